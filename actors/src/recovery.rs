//! A start: snapshots first, then the tail of the journal behind them.
//!
//! Nothing here is fatal that can be reported and skipped. What was replayed is written down before the engine serves,
//! so that a session that is restored lazily never has to look into the journal.

use std::time::Instant;

use swipeline_storage::{ReadItem, Seq, SnapshotOp, Tree};

use crate::api::EngineError;
use crate::clock;
use crate::effects::load_effects;
use crate::items::{ReplayedItems, publish_stored};
use crate::records::{JournalEntry, decode_bytes, encode};
use crate::service::{
    META_KEYS, ReplayedItemPuts, load_catalogue, load_collaborative, load_graph, load_regions, refresh_new_items,
    settle, store_rows,
};
use crate::session::{ReplayedEvents, ReplayedParams, ReplayedSessions, ReplayedShown};
use crate::shared::{SharedRef, report_damage};

/// Brings everything up to date. Blocks; runs before the first request is served.
pub(crate) fn recover(shared: &SharedRef) -> Result<(), EngineError> {
    let started = Instant::now();
    load_regions(shared).map_err(unreadable)?;
    shared.params.restore(shared).map_err(unreadable)?;
    shared.models.restore(shared).map_err(unreadable)?;
    load_catalogue(shared).map_err(unreadable)?;
    load_collaborative(shared).map_err(unreadable)?;
    load_effects(shared, clock::now()).map_err(unreadable)?;
    let loaded = started.elapsed();
    let (records, sessions) = replay(shared)?;
    // The order in which items came back is not the order in which they were put.
    shared.world.catalogue.enrich_all();
    load_graph(shared);
    // Numbers that statistics include and the journal has lost are not given out again.
    let highest = publish_stored(shared).map_err(unreadable)?;
    let journal = &shared.storage.journal;
    journal
        .raise_next_seq(Seq(highest).next())
        .map_err(|error| EngineError::DataDir(error.to_string()))?;
    shared.items.refresh_trending(&shared.world);
    refresh_new_items(shared);
    tracing::info!(
        items = shared.world.catalogue.load().len(),
        records,
        sessions,
        loaded_ms = loaded.as_millis() as u64,
        took_ms = started.elapsed().as_millis() as u64,
        "recovered"
    );
    Ok(())
}

fn unreadable(error: swipeline_storage::SnapshotError) -> EngineError {
    EngineError::DataDir(format!("the snapshots cannot be read: {error}"))
}

/// Replays the journal behind the checkpoint. Returns how many records and sessions it was about.
fn replay(shared: &SharedRef) -> Result<(u64, usize), EngineError> {
    let checkpoint = match shared.storage.snapshots.get(Tree::Meta, META_KEYS.sequence) {
        Ok(Some(bytes)) => decode_bytes::<u64>(&bytes).unwrap_or(0),
        Ok(None) => 0,
        Err(error) => {
            report_damage("checkpoint", &error);
            0
        }
    };
    let journal = &shared.storage.journal;
    let mut replayed = Replayed::default();
    let mut records = 0;
    let mut last = Seq(checkpoint);
    let reader = journal
        .read_from(Seq(checkpoint).next())
        .map_err(|error| EngineError::DataDir(error.to_string()))?;
    for read in reader {
        let record = match read {
            ReadItem::Record(record) => record,
            ReadItem::Damaged(damage) => {
                report_damage("journal", &format!("{damage:?}"));
                continue;
            }
        };
        last = last.max(record.seq);
        records += 1;
        match JournalEntry::read(&record) {
            Ok(entry) => replayed.take(shared, entry, record.seq.0),
            Err(error) => report_damage("journal", &error),
        }
    }
    replayed.puts.put(shared);
    journal
        .raise_next_seq(last.next())
        .map_err(|error| EngineError::DataDir(error.to_string()))?;
    replayed.sessions.correct_units(shared, clock::now());
    let touched = replayed.sessions.len();
    let mut rows = replayed.sessions.rows(shared);
    rows.extend(replayed.items.into_rows(last.0));
    write(shared, rows, last)?;
    Ok((records, touched))
}

/// What the journal's tail says.
#[derive(Default)]
struct Replayed {
    sessions: ReplayedSessions,
    items: ReplayedItems,
    puts: ReplayedItemPuts,
    params: ReplayedParams,
}

impl Replayed {
    fn take(&mut self, shared: &SharedRef, entry: JournalEntry, sequence: u64) {
        match entry {
            JournalEntry::Events {
                user, events, under, ..
            } => {
                // What speaks of items has to find those of the records before it.
                self.puts.put(shared);
                let params = self.params.of(shared, &under);
                let replayed = ReplayedEvents {
                    user: &user,
                    events: &events,
                    params: &params,
                };
                self.sessions.events(shared, &mut self.items, &replayed, sequence);
            }
            JournalEntry::Shown {
                user,
                at,
                items,
                marks,
                under,
            } => {
                self.puts.put(shared);
                let shown = ReplayedShown {
                    user: &user,
                    at,
                    items: &items,
                    marks: &marks,
                    params: &self.params.of(shared, &under),
                };
                self.sessions.shown(shared, &mut self.items, &shown, sequence);
            }
            JournalEntry::Served(served) => {
                self.puts.put(shared);
                self.sessions.served(shared, &served, sequence);
            }
            JournalEntry::Params(record) => shared.params.replay(shared, *record),
            JournalEntry::Model(record) => shared.models.replay(record),
            JournalEntry::User(user) => self.sessions.described(shared, *user, sequence),
            JournalEntry::Items(upserted) => self.puts.items(shared, upserted),
            JournalEntry::ItemDeleted { id, row } => self.puts.deletion(shared, id, row),
            JournalEntry::Forgotten { user, at } => {
                // It may have died between the deletion and the note of what has to be erased for it.
                shared.archive.note_again(&user, sequence, at);
                self.sessions.forgotten(shared, user, sequence);
            }
        }
    }
}

/// Writes the sessions and items' statistics that were replayed. The checkpoint's number stays as it is: the catalogue,
/// co-engagements, similar sessions and users are written with the next checkpoint only.
fn write(shared: &SharedRef, rows: Vec<SnapshotOp>, last: Seq) -> Result<(), EngineError> {
    if rows.is_empty() {
        return Ok(());
    }
    let store = &shared.storage.snapshots;
    settle(shared).map_err(unreadable)?;
    store_rows(&**store, rows).map_err(unreadable)?;
    let replayed = SnapshotOp::Put {
        tree: Tree::Meta,
        key: b"replayed_sequence".to_vec(),
        value: encode(&last.0),
    };
    store.apply(vec![replayed]).map_err(unreadable)?;
    store.flush().map_err(unreadable)
}
