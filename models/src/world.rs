//! Everything that rankers read and that is shared by all sessions.
//!
//! Owns nothing but the bundle: each part publishes its own snapshots. Must not hold anything of a single viewer.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalogue::Catalogue;
use crate::collaborative::{CoVisits, LinearSlot, ProfileChoice, SessionKnn, SimilarUsers};
use crate::control::{ChannelGuards, MixerNames};
use crate::index::{IndexParams, VectorError};
use crate::learner::LearnerSlot;
use crate::new_items::NewItems;
use crate::params::Params;
use crate::popularity::{Board, TrendingLists};
use crate::rank::RankerSlot;
use crate::time::TimestampMs;

/// Everything that is shared by all sessions. Any thread may read it at any time.
pub struct World {
    /// What can be shown.
    pub catalogue: Catalogue,
    /// How items do.
    pub board: Board,
    /// Which items do best.
    pub trending: ArcSwap<TrendingLists>,
    /// Which new items are owed impressions.
    pub new_items: NewItems,
    /// Which items are liked together.
    pub co_visits: CoVisits,
    /// Which sessions are alike.
    pub session_knn: SessionKnn,
    /// Which viewers have a like taste.
    pub similar_users: SimilarUsers,
    /// What all sessions together say.
    pub linear: LinearSlot,
    /// How far back requests look.
    pub profiles: ProfileChoice,
    /// The numbers that an operator may turn.
    pub params: ArcSwap<Params>,
    /// The ranking model.
    pub ranker: RankerSlot,
    /// What outcomes have taught about the model's predictions.
    pub learner: LearnerSlot,
    /// Which channels are cut off.
    pub guards: ChannelGuards,
    /// What the channels that stand for mixers are called.
    pub mixers: MixerNames,
}

impl World {
    /// An empty world with default params and the bundled model.
    ///
    /// # Errors
    /// A dimension that no index can hold.
    pub fn new(dimension: Option<usize>, index: IndexParams) -> Result<Self, VectorError> {
        Ok(Self {
            catalogue: Catalogue::new(dimension, index)?,
            board: Board::default(),
            trending: ArcSwap::from_pointee(TrendingLists::default()),
            new_items: NewItems::default(),
            co_visits: CoVisits::default(),
            session_knn: SessionKnn::default(),
            similar_users: SimilarUsers::default(),
            linear: LinearSlot::default(),
            profiles: ProfileChoice::default(),
            params: ArcSwap::from(Arc::new(Params::default())),
            guards: ChannelGuards::default(),
            mixers: MixerNames::default(),
            ranker: RankerSlot::bundled(TimestampMs::default())
                .unwrap_or_else(|_| RankerSlot::linear(TimestampMs::default())),
            learner: LearnerSlot::default(),
        })
    }

    /// Puts params into force.
    pub fn set_params(&self, params: Arc<Params>) {
        self.catalogue.set_enrichment(&params.enrichment);
        // Before anybody reads it: the words of rules have their numbers when the next request names them.
        params.control(self);
        self.params.store(params);
    }
}
