//! Feeds without the pipeline: from what the last ranking left, because that is as good, or because there is no time.
//!
//! Owns which of the ways a feed is made in, by the level of degradation. Must not decide the level.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{Context, Handler};
use rustc_hash::FxBuildHasher;
use swipeline_models::catalogue::CatalogueSnapshot;
use swipeline_models::degradation::Level;
use swipeline_models::pipeline::{PrivateQueue, Query, QueueStamp, Scratch, Slate, add_region_hot};

use super::actor::SessionActor;
use super::messages::{MakeUp, SocketId};
use super::outcomes::rows_served;
use super::served::slots_to_log;
use super::wish::PushWish;
use crate::caches::count_hit;
use crate::clock;
use crate::pipeline_metrics::PipelineMetrics;
use crate::served::ServedSlot;

/// A slate, the catalogue that it was made from, and what is to be logged of it.
pub(super) type MadeSlate = (Slate, Arc<CatalogueSnapshot>, Option<Vec<ServedSlot>>);

/// The name of the cache in metrics.
const FEED_CACHE: &str = "feed";

impl Handler<MakeUp> for SessionActor {
    type Result = ();

    fn handle(&mut self, _make_up: MakeUp, _context: &mut Context<Self>) {
        self.push(PushWish::because("load"));
    }
}

impl SessionActor {
    /// The level that holds.
    pub(super) fn level(&self) -> Level {
        self.shared.overload.level()
    }

    /// Whether there is no time for a feed that is to be pushed; it is owed then and made up for.
    pub(super) fn sheds_push(&self) -> bool {
        if self.level() != Level::Refused {
            return false;
        }
        metrics::counter!("swipeline_shed_total", "what" => "push").increment(1);
        if !self.activity.is_owed_feed.swap(true, Ordering::Relaxed) {
            self.shared.overload.owe();
        }
        true
    }

    /// Tells a client that asked for a feed when to come again, if there is no time for one. Returns whether it was told.
    pub(super) fn refuses_ask(&self, socket: SocketId, id: Option<swipeline_models::wire::MessageId>) -> bool {
        if self.level() != Level::Refused {
            return false;
        }
        metrics::counter!("swipeline_shed_total", "what" => "ask").increment(1);
        let retry_after_ms = self.shared.world.params.load().degradation.retry_after_ms;
        let text = "no feeds are made just now; events are taken".to_owned();
        self.sockets
            .refuse(socket, id, "overloaded", text, Some(retry_after_ms));
        true
    }

    /// The next items of the last ranking, when a new one would be made from the same.
    pub(super) fn next_of_ranking(&mut self, query: &Query<'_>) -> Option<MadeSlate> {
        if self.level() >= Level::PrivateQueue || query.params.caches.feed_ms == 0 {
            return None;
        }
        let stamp = self.stamp(query);
        let world = &self.shared.world;
        let made = Self::with_scratch(|scratch| {
            let queue = &self.queue;
            let slate = queue.serve_fresh(world, &self.state, &self.pool, query, &stamp, scratch)?;
            let snapshot = Arc::clone(&world.catalogue.load());
            let slots = slots_to_log(&self.shared, &self.state.user, &slate, &snapshot, scratch);
            let rows = rows_served(&self.state, query, &slate, &snapshot, scratch);
            Some(((slate, snapshot, slots), rows))
        });
        count_hit(FEED_CACHE, made.is_some());
        let (made, rows) = made?;
        PipelineMetrics::record_short(&made.0, &self.shared.world.mixers);
        self.await_outcomes(rows);
        Some(made)
    }

    /// A slate that costs next to nothing, at the levels at which the pipeline does not run.
    pub(super) fn slate_of_level(&self, query: &Query<'_>) -> Option<MadeSlate> {
        let level = self.level();
        if level < Level::PrivateQueue {
            return None;
        }
        let world = &self.shared.world;
        let mut slate = Slate::default();
        if level == Level::PrivateQueue {
            slate = Self::with_scratch(|scratch| {
                self.queue
                    .serve_overloaded(world, &self.state, &self.pool, query, scratch)
            });
            if slate.items.is_empty() {
                slate.degraded = None;
            }
        }
        if slate.items.len() < query.n {
            add_region_hot(world, &self.state, query, &mut slate);
        }
        PipelineMetrics::record_short(&slate, &world.mixers);
        Some((slate, world.catalogue.load().clone(), None))
    }

    /// Names what a ranking is made from now.
    pub(super) fn stamp(&self, query: &Query<'_>) -> QueueStamp {
        let world = &self.shared.world;
        // The address tells documents apart that are in force at the same time, the version those that follow each other.
        let address = std::ptr::from_ref(query.params) as usize as u64;
        QueueStamp {
            made_at: query.now,
            signals: self.state.signals(),
            catalogue_version: world.catalogue.load().version(),
            region: query.region,
            context: FxBuildHasher.hash_one((query.context.device, query.context.network)),
            params: address ^ self.shared.params.current().version.rotate_left(48),
            model_loaded_at: world.ranker.current().info().loaded_at,
        }
    }
}

/// Keeps what the pipeline has just left in the scratch memory. A ranking for a request that left items out does not
/// answer others.
pub(super) fn keep_ranking(
    queue: &mut PrivateQueue,
    slate: &Slate,
    snapshot: &CatalogueSnapshot,
    query: &Query<'_>,
    stamp: QueueStamp,
    scratch: &mut Scratch,
) {
    let items_max = query.params.caches.queue_items_max as usize;
    let stamp = query.excluded.is_empty().then_some(stamp);
    queue.fill(slate, snapshot, items_max, stamp, scratch);
}

/// The profile that was made last, kept by its session: it goes when the session does.
pub(crate) struct KeptProfile {
    /// How often the session had changed.
    pub(crate) changes: u64,
    /// The catalogue's version.
    pub(crate) catalogue_version: u64,
    /// When it was made.
    pub(crate) made_at: swipeline_models::time::TimestampMs,
    /// The profile.
    pub(crate) profile: Arc<swipeline_models::wire::UserProfileDto>,
}

impl KeptProfile {
    /// Whether a profile of now would be the same: nothing has changed and no label has ended.
    pub(crate) fn holds(&self, changes: u64, catalogue_version: u64, kept_ms: i64) -> bool {
        let now = clock::now();
        let age_ms = now.since(self.made_at);
        let mut labels = self.profile.label_times.iter();
        self.changes == changes
            && self.catalogue_version == catalogue_version
            && (0..kept_ms).contains(&age_ms)
            && labels.all(|label| label.expires_at > now.0)
    }
}
