//! Recall: from the whole catalogue to a few hundred candidates.
//!
//! Owns the channels (one file each), what admits a candidate, and the pool that a session keeps between swipes. Must
//! not rank: a channel's score only says how strongly that channel stands behind a candidate.

mod admission;
mod boost;
mod channel;
mod cold_start;
mod context;
mod embedding;
mod explore;
mod followed;
mod fresh;
mod hot;
mod item_item;
mod linear;
mod pool;
mod session_knn;
mod similar_users;
mod start;
mod tags;

pub use admission::{Admission, FILTER_COUNT, Filter, FilterCounts, Limits};
pub use channel::{CHANNEL_COUNT, Channel, ChannelSet, MIXERS_MAX};
pub use context::{RecallContext, RecallScratch};
pub use pool::{BLEND_COUNT, BlendScores, EVIDENCE_COUNT, Evidence, Pool, PoolState, blend_place, evidence_place};

pub(crate) use explore::fill_from_everywhere;
pub(crate) use start::{StartPart, gather, personal_share};

use crate::popularity::ScoredRow;

/// A recall channel.
pub(crate) trait RecallChannel: Sync {
    /// Which one it is.
    fn channel(&self) -> Channel;

    /// Names up to `quota` admissible candidates, each with the channel's own score, best first.
    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>);
}

/// The channels in the order in which they fill the pool: the most personal first.
pub(crate) const CHANNELS: [&dyn RecallChannel; 13] = [
    &item_item::ItemItemChannel,
    &session_knn::SessionKnnChannel,
    &linear::LinearChannel,
    &embedding::EmbeddingChannel,
    &cold_start::ColdStartChannel,
    &boost::BoostChannel,
    &explore::ExploreChannel,
    &followed::FollowedChannel,
    &tags::TagsChannel,
    &embedding::EmbeddingLongChannel,
    &similar_users::SimilarUsersChannel,
    &hot::HotChannel,
    &fresh::FreshChannel,
];
