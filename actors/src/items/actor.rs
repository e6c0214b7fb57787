//! The actor of one item: records signals, publishes its reading, stops when its windows are empty.

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use swipeline_models::ids::Row;
use swipeline_models::popularity::{ItemSignal, ItemStats};

use super::Recorded;
use super::included::Included;
use super::stored::{StoredItem, item_now, stored_item};
use crate::clock;
use crate::shared::SharedRef;

/// How many signals wait for one item; what comes beyond waits at the router.
pub(crate) const MAILBOX_SIGNALS_MAX: usize = 256;

/// The actor of one item.
pub(crate) struct ItemActor {
    row: Row,
    stats: ItemStats,
    included: Included,
    /// Whether the store has to be waited for first.
    awaits_store: bool,
    is_dirty: bool,
    shared: SharedRef,
}

/// A signal on the item, with the journal record that it came with.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RecordSignal(pub(crate) Recorded);

/// Time has passed: publish again; stop when nothing is left in the windows.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ItemTick;

/// All statistics of the item.
#[derive(Message)]
#[rtype(result = "ItemStats")]
pub(crate) struct ReadStats;

/// Write down the statistics if they have changed since the last time.
#[derive(Message)]
#[rtype(result = "Option<Vec<u8>>")]
pub(crate) struct ItemSnapshot {
    /// No signal of a record up to this number is on its way any more.
    pub(crate) cut: u64,
    /// Also if nothing has changed.
    pub(crate) everything: bool,
}

impl ItemActor {
    /// The actor of an item; when the store is busy, what it holds of it is read once the actor runs.
    pub(super) fn new(row: Row, shared: SharedRef) -> Self {
        let stored = item_now(&shared, row);
        let awaits_store = stored.is_none();
        let StoredItem { stats, included } = stored.unwrap_or_default();
        Self {
            row,
            awaits_store,
            stats,
            included,
            is_dirty: false,
            shared,
        }
    }

    /// Whether the item's last minute stands out; counts when that is news.
    fn stands_out(&mut self) -> bool {
        let (now, params) = (clock::now(), self.shared.world.params.load());
        let was_viral = self.stats.is_viral(now);
        let stands_out = self.stats.detect_burst(now, &params.popularity.viral);
        if stands_out && !was_viral {
            metrics::counter!("swipeline_viral_detected_total").increment(1);
        }
        stands_out
    }

    fn publish(&self) {
        let params = self.shared.world.params.load();
        let reading = self.stats.reading(clock::now(), &params.popularity);
        self.shared.items.publish(&self.shared.world, self.row, reading);
    }
}

impl Actor for ItemActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_SIGNALS_MAX);
        let row = self.row;
        if !self.awaits_store {
            return;
        }
        let read = self.shared.read_beside(move |shared| stored_item(shared, row));
        // Signals wait for it in the mailbox; the thread does not.
        context.wait(read.into_actor(self).map(|stored, actor, context| match stored {
            Some(stored) => (actor.stats, actor.included) = (stored.stats, stored.included),
            None => context.stop(),
        }));
    }
}

impl Handler<RecordSignal> for ItemActor {
    type Result = ();

    fn handle(&mut self, RecordSignal(recorded): RecordSignal, _context: &mut Self::Context) {
        record(&mut self.stats, &recorded, &self.shared);
        self.included.add(recorded.sequence);
        self.is_dirty = true;
        let stands_out = recorded.signal.is_positive() && self.stands_out();
        self.publish();
        if stands_out {
            self.shared.items.report_burst(self.row);
        }
    }
}

impl Handler<ItemTick> for ItemActor {
    type Result = ();

    fn handle(&mut self, _tick: ItemTick, context: &mut Self::Context) {
        self.stats.expire(clock::now());
        self.publish();
        if !self.is_dirty && self.stats.windows_empty(clock::now()) {
            self.shared.items.forget_actor(self.row);
            context.stop();
        }
    }
}

impl Handler<ReadStats> for ItemActor {
    type Result = actix::MessageResult<ReadStats>;

    fn handle(&mut self, _read: ReadStats, _context: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.stats.clone())
    }
}

impl Handler<ItemSnapshot> for ItemActor {
    type Result = Option<Vec<u8>>;

    fn handle(&mut self, snapshot: ItemSnapshot, _context: &mut Self::Context) -> Self::Result {
        self.included.raise(snapshot.cut);
        if !std::mem::take(&mut self.is_dirty) && !snapshot.everything {
            return None;
        }
        Some(StoredItem::encode(&self.stats, &self.included))
    }
}

/// Takes a signal into statistics.
pub(super) fn record(stats: &mut ItemStats, recorded: &Recorded, shared: &SharedRef) {
    let params = shared.world.params.load();
    let Recorded {
        signal,
        at,
        watch_ms,
        region,
        viewer,
        sequence,
        ..
    } = *recorded;
    let signal = ItemSignal {
        signal,
        at,
        watch_ms,
        region,
        viewer: Some(viewer),
    };
    stats.record(&signal, clock::now(), &params.popularity);
    stats.last_sequence = stats.last_sequence.max(sequence);
}
