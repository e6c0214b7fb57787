//! What one request asks of the pipeline.

use crate::ids::Word;
use crate::params::Params;
use crate::time::TimestampMs;

/// A monotonic clock in nanoseconds, brought by the caller for the report; `|| 0` where time does not matter.
pub type Clock<'a> = &'a dyn Fn() -> u64;

/// One request.
pub struct Query<'a> {
    /// How many items.
    pub n: usize,
    /// When.
    pub now: TimestampMs,
    /// Seeds all chance of this request: the same state, world and seed give the same slate.
    pub seed: u64,
    /// Where the viewer is for this request.
    pub region: Option<Word>,
    /// Hashes of items to leave out, sorted.
    pub excluded: &'a [u64],
    /// The numbers that hold for this viewer: those in force for all, or those of an experiment.
    pub params: &'a Params,
    /// Whether the slate is to be explained; the channels are then asked anew.
    pub explain: bool,
    /// Measures the stages.
    pub clock: Clock<'a>,
}
