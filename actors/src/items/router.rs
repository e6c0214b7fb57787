//! The way from a session to the actors of items, and from those to what rankers read.
//!
//! Owns: which items have an actor, what waits when an actor's mailbox is full (bounded), and the last reading of every
//! item, from which the trending lists are made.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Actor, Addr, dev::SendError};
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxBuildHasher, FxHashSet};
use swipeline_models::event::Signal;
use swipeline_models::ids::{Row, Word};
use swipeline_models::popularity::{ItemReading, ItemStats, TrendingBuilder};
use swipeline_models::time::TimestampMs;
use swipeline_models::world::World;
use swipeline_storage::{SnapshotOp, Tree};
use tokio::sync::Notify;

use super::actor::{ItemActor, ItemSnapshot, ItemTick, ReadStats, RecordSignal};
use super::stored::{item_now, stored_item};
use crate::clock;
use crate::shared::SharedRef;

/// How many signals wait while actors are busy; what comes beyond is counted and lost for popularity (not for anything
/// that was promised).
const WAITING_SIGNALS_MAX: usize = 1_000_000;
/// An actor publishes with every signal; a tick only lets what is old leave its windows, of which the shortest has five
/// minutes. So each tick is for one of so many parts of the actors: all of them at once would keep their threads from
/// viewers for a microsecond each.
const TICK_PARTS: u32 = 8;
/// How many actors are asked for their snapshots at a time.
const SNAPSHOTS_AT_A_TIME: usize = 256;
/// Parts of the maps with a lock each. Whoever walks over all items holds one at a time: the smaller it is, the shorter a
/// session's thread that publishes waits.
const SHARDS: usize = 512;
/// How many viral items wait to be listed at once; the others are with the next making of all lists.
const BURSTS_MAX: usize = 1_000;

/// A signal on its way to an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) row: Row,
    pub(crate) signal: Signal,
    pub(crate) at: TimestampMs,
    pub(crate) watch_ms: u32,
    pub(crate) region: Option<Word>,
    /// Whose: the low half of the user id's hash.
    pub(crate) viewer: u32,
    /// The journal record that it came with.
    pub(crate) sequence: u64,
}

/// Items that have just stood out from their own baseline and wait to be listed.
#[derive(Default)]
struct Bursts {
    rows: Mutex<FxHashSet<Row>>,
    reported: Notify,
}

/// The items with actors, and every item's last reading.
pub(crate) struct ItemRouter {
    actors: DashMap<Row, Addr<ItemActor>, FxBuildHasher>,
    readings: DashMap<Row, ItemReading, FxBuildHasher>,
    /// Items whose statistics the store may hold.
    pub(super) stored: RwLock<FxHashSet<Row>>,
    waiting: Mutex<VecDeque<Recorded>>,
    /// Held by whoever delivers what waited: what it has in its hands waits nowhere else.
    delivering: tokio::sync::Mutex<()>,
    /// Counts ticks.
    ticks: AtomicU32,
    bursts: Bursts,
}

impl Default for ItemRouter {
    fn default() -> Self {
        let shards = FxBuildHasher;
        Self {
            actors: DashMap::with_hasher_and_shard_amount(shards, SHARDS),
            readings: DashMap::with_hasher_and_shard_amount(shards, SHARDS),
            stored: RwLock::default(),
            waiting: Mutex::default(),
            delivering: tokio::sync::Mutex::default(),
            ticks: AtomicU32::new(0),
            bursts: Bursts::default(),
        }
    }
}

impl ItemRouter {
    /// Hands a signal to the item's actor, which is started if there is none. Never waits.
    pub(crate) fn record(&self, shared: &SharedRef, recorded: Recorded) {
        if !self.try_record(shared, recorded) {
            let mut waiting = self.waiting.lock();
            if waiting.len() < WAITING_SIGNALS_MAX {
                waiting.push_back(recorded);
            } else {
                metrics::counter!("swipeline_item_signals_dropped_total").increment(1);
            }
        }
    }

    /// Shows a reading to rankers.
    pub(crate) fn publish(&self, world: &World, row: Row, reading: ItemReading) {
        // A row beyond the board keeps the prior; the board's bound is the catalogue's practical bound.
        let _ = world.board.publish(row, &reading);
        self.readings.insert(row, reading);
    }

    /// The item is gone: nothing of it is shown any more.
    pub(crate) fn remove(&self, world: &World, row: Row) {
        self.actors.remove(&row);
        self.readings.remove(&row);
        world.board.clear(row);
    }

    /// The actor is about to stop.
    pub(crate) fn forget_actor(&self, row: Row) {
        self.actors.remove(&row);
    }

    /// How many items have an actor.
    pub(crate) fn len(&self) -> usize {
        self.actors.len()
    }

    /// Delivers what waited, and lets the next part of the actors publish again.
    pub(crate) fn tick(&self, shared: &SharedRef) {
        self.deliver_waiting(shared);
        let part = self.ticks.fetch_add(1, Ordering::Relaxed) % TICK_PARTS;
        let in_part = self.actors.iter().filter(|entry| entry.key() % TICK_PARTS == part);
        let actors: Vec<Addr<ItemActor>> = in_part.map(|entry| entry.value().clone()).collect();
        for actor in actors {
            // An actor whose mailbox is full publishes with its next signal anyway.
            let _ = actor.try_send(ItemTick);
        }
    }

    /// Makes the trending lists from the last readings.
    pub(crate) fn refresh_trending(&self, world: &World) {
        let params = world.params.load();
        let snapshot = world.catalogue.load();
        let mut builder = TrendingBuilder::new(clock::now(), &params.popularity);
        for reading in &self.readings {
            if let Some(entry) = snapshot.entry(*reading.key()).filter(|entry| !entry.item.hidden) {
                builder.add(*reading.key(), &entry.categories, reading.value());
            }
        }
        world.trending.store(std::sync::Arc::new(builder.build()));
    }

    /// An item has just stood out from its own baseline: it is to be listed at once.
    pub(crate) fn report_burst(&self, row: Row) {
        let mut rows = self.bursts.rows.lock();
        if rows.len() < BURSTS_MAX {
            rows.insert(row);
        }
        drop(rows);
        self.bursts.reported.notify_one();
    }

    /// Waits until an item has stood out.
    pub(crate) async fn burst_reported(&self) {
        self.bursts.reported.notified().await;
    }

    /// Puts the items that stood out into the finished lists.
    pub(crate) fn list_bursts(&self, world: &World) {
        let rows = std::mem::take(&mut *self.bursts.rows.lock());
        let params = world.params.load();
        let snapshot = world.catalogue.load();
        for row in rows {
            let (Some(entry), Some(reading)) = (snapshot.entry(row), self.readings.get(&row)) else {
                continue;
            };
            if !entry.item.hidden {
                let lists = world.trending.load();
                let listed = lists.with_item(row, &entry.categories, &reading, &params.popularity);
                world.trending.store(std::sync::Arc::new(listed));
            }
        }
    }

    /// The changed statistics of all items as snapshot rows, or with `everything` the unchanged ones too. They include every
    /// record up to `cut`: none of those may be on its way to this router any more.
    pub(crate) async fn snapshots(&self, shared: &SharedRef, cut: u64, everything: bool) -> Vec<SnapshotOp> {
        self.deliver_all_waiting(shared).await;
        let actors: Vec<(Row, Addr<ItemActor>)> = self
            .actors
            .iter()
            .map(|entry| (*entry.key(), entry.value().clone()))
            .collect();
        let mut rows = Vec::new();
        for batch in actors.chunks(SNAPSHOTS_AT_A_TIME) {
            let asked = batch.iter().map(|(row, actor)| {
                let answer = actor.send(ItemSnapshot { cut, everything });
                async move { (*row, answer.await) }
            });
            for (row, answer) in futures_util::future::join_all(asked).await {
                if let Ok(Some(value)) = answer {
                    self.stored.write().insert(row);
                    rows.push(SnapshotOp::Put {
                        tree: Tree::ItemStats,
                        key: row.to_be_bytes().to_vec(),
                        value,
                    });
                }
            }
        }
        rows
    }

    /// The statistics of an item: of its actor, or as they were stored.
    pub(crate) async fn stats(&self, shared: &SharedRef, row: Row) -> ItemStats {
        let actor = self.actors.get(&row).map(|actor| actor.clone());
        if let Some(actor) = actor
            && let Ok(stats) = actor.send(ReadStats).await
        {
            return stats;
        }
        if let Some(stored) = item_now(shared, row) {
            return stored.stats;
        }
        let read = shared.read_beside(move |shared| stored_item(shared, row).stats);
        read.await.unwrap_or_default()
    }

    /// Delivers what waited, also to actors that have to be waited for.
    async fn deliver_all_waiting(&self, shared: &SharedRef) {
        let _one_at_a_time = self.delivering.lock().await;
        let batch = std::mem::take(&mut *self.waiting.lock());
        for recorded in batch {
            // An actor that has just stopped has nothing unwritten; a new one takes the signal.
            for _ in 0..2 {
                let actor = self.actor(shared, recorded.row);
                if actor.send(RecordSignal(recorded)).await.is_ok() {
                    break;
                }
                self.actors.remove(&recorded.row);
            }
        }
    }

    fn deliver_waiting(&self, shared: &SharedRef) {
        let Ok(_one_at_a_time) = self.delivering.try_lock() else {
            return;
        };
        let batch = std::mem::take(&mut *self.waiting.lock());
        for recorded in batch {
            self.record(shared, recorded);
        }
    }

    fn try_record(&self, shared: &SharedRef, recorded: Recorded) -> bool {
        let row = recorded.row;
        for _ in 0..2 {
            let actor = self.actor(shared, row);
            match actor.try_send(RecordSignal(recorded)) {
                Ok(()) => return true,
                Err(SendError::Full(_)) => return false,
                // It has just stopped (or died): a new one is started from the snapshot.
                Err(SendError::Closed(_)) => {
                    self.actors.remove(&row);
                }
            }
        }
        false
    }

    fn actor(&self, shared: &SharedRef, row: Row) -> Addr<ItemActor> {
        let running = self.actors.get(&row).map(|actor| actor.clone());
        running.unwrap_or_else(|| self.start(shared, row))
    }

    fn start(&self, shared: &SharedRef, row: Row) -> Addr<ItemActor> {
        let entry = self.actors.entry(row);
        entry
            .or_insert_with(|| {
                let inside = shared.clone();
                ItemActor::start_in_arbiter(shared.arbiter(u64::from(row)), move |_| ItemActor::new(row, inside))
            })
            .clone()
    }
}
