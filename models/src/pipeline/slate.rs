//! What the pipeline returns: the slate and the report of how it came to be.

use crate::ids::Row;
use crate::rank::ObjectiveRow;
use crate::recall::{CHANNEL_COUNT, Channel, ChannelSet, FilterCounts};
use crate::wire::ItemExplainDto;

/// Number of [`Stage`]s.
pub const STAGE_COUNT: usize = 5;

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Asking channels, merging, filtering.
    Recall = 0,
    /// The cheap order that decides who is ranked.
    PreRank = 1,
    /// Building feature rows.
    Features = 2,
    /// The ranking model and fusion.
    Rank = 3,
    /// Diversity, freshness, exploration, backfill.
    Rerank = 4,
}

impl Stage {
    /// All stages in their order.
    pub const ALL: [Stage; STAGE_COUNT] = [
        Stage::Recall,
        Stage::PreRank,
        Stage::Features,
        Stage::Rank,
        Stage::Rerank,
    ];

    /// The name in metrics and benches.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Recall => "recall",
            Stage::PreRank => "pre_rank",
            Stage::Features => "features",
            Stage::Rank => "rank",
            Stage::Rerank => "rerank",
        }
    }
}

/// Why a slate is less than it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// Everything admissible has been shown.
    Exhausted,
    /// The linear scorer served, because the ranking model failed or the load was high.
    LinearRanker,
    /// Channels that should have been asked were cut off or failed.
    Channels,
    /// Fewer candidates were recalled and ranked, because of the load.
    SmallerSet,
    /// What was left of the viewer's own last candidates, because of the load.
    PrivateQueue,
    /// What is popular in the viewer's region, because of the load.
    RegionHot,
}

impl Degraded {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Degraded::Exhausted => "exhausted",
            Degraded::LinearRanker => "linear_ranker",
            Degraded::Channels => "channels",
            Degraded::SmallerSet => "smaller_set",
            Degraded::PrivateQueue => "private_queue",
            Degraded::RegionHot => "region_hot",
        }
    }
}

/// Which channels were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refill {
    /// None: the pool still fits.
    #[default]
    None,
    /// Those that live from the last positive actions (co-engagement, like sessions, words).
    Live,
    /// All.
    Full(RecallCause),
}

/// Why all channels were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallCause {
    /// The session held no pool.
    First,
    /// The request wants every item explained.
    Explained,
    /// The pool was older than `pool.age_ms_max`.
    Old,
    /// The viewer is in another region than when it was filled.
    Region,
    /// Fewer candidates were left than `pool.low_factor` feeds need.
    Low,
    /// An operator changed a channel, a rule began or ended, or a channel that the pool lacked is back.
    Control,
    /// It was filled while the server was overloaded.
    Reduced,
    /// The taste has turned by more than `pool.turn_cosine_min` allows.
    Turned,
}

impl RecallCause {
    /// All of them, by number.
    pub const ALL: [RecallCause; 8] = [
        RecallCause::First,
        RecallCause::Explained,
        RecallCause::Old,
        RecallCause::Region,
        RecallCause::Low,
        RecallCause::Control,
        RecallCause::Reduced,
        RecallCause::Turned,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RecallCause::First => "first",
            RecallCause::Explained => "explained",
            RecallCause::Old => "old",
            RecallCause::Region => "region",
            RecallCause::Low => "low",
            RecallCause::Control => "control",
            RecallCause::Reduced => "reduced",
            RecallCause::Turned => "turned",
        }
    }
}

/// Why a channel gave less than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is switched off.
    Off,
    /// This session asked it too lately; what it named then is still there.
    Resting,
    /// Its breaker is open.
    CutOff,
    /// It took longer than its time budget; what it named is used.
    Late,
    /// It broke down.
    Failed,
}

impl Trouble {
    /// The name in explanations and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Trouble::Off => "off",
            Trouble::Resting => "resting",
            Trouble::CutOff => "cut_off",
            Trouble::Late => "late",
            Trouble::Failed => "failed",
        }
    }
}

/// What one channel did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChannelReport {
    /// How many candidates it named.
    pub recalled: u32,
    /// How many candidates it would have named were taken by each filter.
    pub filtered: FilterCounts,
    /// In how many nanoseconds.
    pub took_ns: u64,
    /// Whether it was asked.
    pub asked: bool,
    /// Why it gave less than it should.
    pub trouble: Option<Trouble>,
}

/// How a slate came to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// What each channel did, by [`Channel::number`].
    pub channels: [ChannelReport; CHANNEL_COUNT],
    /// How many ranked candidates each channel had named.
    pub kept: [u32; CHANNEL_COUNT],
    /// How many items of the slate each channel had named.
    pub on_slate: [u32; CHANNEL_COUNT],
    /// How many pooled candidates the filters took since they were recalled.
    pub pool_filtered: FilterCounts,
    /// Which channels were asked.
    pub refill: Refill,
    /// Channels whose candidates the viewer's pool lacks because they were cut off or failed.
    pub missing: ChannelSet,
    /// How long each stage took, in nanoseconds.
    pub stage_ns: [u64; STAGE_COUNT],
    /// How many candidates were ranked by the model.
    pub ranked: u32,
}

/// One item of a slate.
#[derive(Debug, Clone, PartialEq)]
pub struct SlateItem {
    /// Which.
    pub row: Row,
    /// The final score.
    pub score: f32,
    /// The channels that named it.
    pub channels: ChannelSet,
    /// The channel with the strongest evidence.
    pub reason: Channel,
    /// With which probability it was drawn, when it fills an exploration slot.
    pub propensity: Option<f32>,
    /// The predicted objectives.
    pub objectives: ObjectiveRow,
    /// How the score came to be, when asked for.
    pub explain: Option<Box<ItemExplainDto>>,
}

/// The answer of the pipeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slate {
    /// The items, best first.
    pub items: Vec<SlateItem>,
    /// How it came to be.
    pub report: Report,
    /// Why it is less than it could be.
    pub degraded: Option<Degraded>,
}
