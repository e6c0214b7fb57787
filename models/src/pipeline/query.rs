//! What one request asks of the pipeline.

use crate::degradation::Level;
use crate::ids::Word;
use crate::params::Params;
use crate::recall::Limits;
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

/// How much of the pipeline runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// All of it.
    #[default]
    Full,
    /// Fewer candidates are recalled and ranked.
    SmallerSet,
    /// Those are ranked by the linear scorer.
    LinearRanker,
}

impl Effort {
    /// How much of the pipeline runs when it runs at all at a level of degradation.
    #[must_use]
    pub const fn at(level: Level) -> Self {
        match level {
            Level::Full => Effort::Full,
            Level::SmallerSet => Effort::SmallerSet,
            Level::LinearRanker | Level::PrivateQueue | Level::RegionHot | Level::Refused => Effort::LinearRanker,
        }
    }
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
    /// What else limits what may be shown.
    pub limits: Limits<'a>,
    /// The numbers that hold for this viewer: those in force for all, or those of an experiment.
    pub params: &'a Params,
    /// Whether the slate is to be explained; the channels are then asked anew.
    pub explain: bool,
    /// How much of the pipeline runs.
    pub effort: Effort,
    /// Measures the stages.
    pub clock: Clock<'a>,
}

impl Query<'_> {
    /// What is left of a number of candidates at this effort; never fewer than two slates.
    pub(super) fn reduced(&self, count: usize) -> usize {
        self.reduced_quota(count).max(2 * self.n).min(count)
    }

    /// What is left of a channel's quota at this effort; never nothing.
    pub(super) fn reduced_quota(&self, quota: usize) -> usize {
        if self.effort == Effort::Full {
            return quota;
        }
        ((quota as f32 * self.params.degradation.candidate_share) as usize).max(1)
    }
}
