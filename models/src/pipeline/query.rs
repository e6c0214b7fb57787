//! What one request asks of the pipeline.

use crate::ids::Word;
use crate::params::Params;
use crate::time::TimestampMs;

/// A monotonic clock in nanoseconds, brought by the caller for the report; `|| 0` where time does not matter.
pub type Clock<'a> = &'a dyn Fn() -> u64;

/// What a client says about its situation: ranking context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestContext<'a> {
    /// On what kind of device, such as `phone`.
    pub device: Option<&'a str>,
    /// By which kind of network, such as `wifi`.
    pub network: Option<&'a str>,
}

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
    /// On what the viewer is, and how connected.
    pub context: RequestContext<'a>,
    /// Hashes of items to leave out, sorted.
    pub excluded: &'a [u64],
    /// The numbers that hold for this viewer: those in force for all, or those of an experiment.
    pub params: &'a Params,
    /// Whether the slate is to be explained; the channels are then asked anew.
    pub explain: bool,
    /// Measures the stages.
    pub clock: Clock<'a>,
}
