//! A start: snapshots first, then the tail of the journal behind them.
//!
//! Nothing here is fatal that can be reported and skipped. What was replayed is written down before the engine serves,
//! so that a session that is restored lazily never has to look into the journal.

use std::time::Instant;

use swipeline_models::ids::Word;
use swipeline_storage::{ReadItem, Seq, SnapshotOp, Tree};

use crate::api::EngineError;
use crate::items::{ReplayedItems, publish_stored};
use crate::records::{JournalEntry, decode_bytes, encode};
use crate::service::{META_KEYS, load_catalogue, load_collaborative, load_graph, replay_deletion, replay_items};
use crate::session::ReplayedSessions;
use crate::shared::{SharedRef, report_damage};

/// How many rows go into the store at a time.
const ROWS_PER_BATCH: usize = 1_024;

/// Brings everything up to date. Blocks; runs before the first request is served.
pub(crate) fn recover(shared: &SharedRef) -> Result<(), EngineError> {
    let started = Instant::now();
    restore_regions(shared)?;
    shared.params.restore(shared);
    load_catalogue(shared).map_err(unreadable)?;
    load_collaborative(shared).map_err(unreadable)?;
    let loaded = started.elapsed();
    let (records, sessions) = replay(shared)?;
    load_graph(shared);
    publish_stored(shared).map_err(unreadable)?;
    shared.items.refresh_trending(&shared.world);
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

/// Gives the regions the numbers that stored item statistics know them by.
fn restore_regions(shared: &SharedRef) -> Result<(), EngineError> {
    let Some(bytes) = shared
        .storage
        .snapshots
        .get(Tree::Meta, META_KEYS.regions)
        .map_err(unreadable)?
    else {
        return Ok(());
    };
    match decode_bytes::<Vec<String>>(&bytes) {
        Ok(names) => {
            for (number, name) in names.iter().enumerate() {
                let given = shared.world.catalogue.words().regions.intern(name);
                debug_assert_eq!(given, Word::try_from(number).ok());
            }
        }
        Err(error) => report_damage("regions", &error),
    }
    Ok(())
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
    let mut sessions = ReplayedSessions::default();
    let mut items = ReplayedItems::default();
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
            Ok(entry) => take(shared, entry, record.seq.0, &mut sessions, &mut items),
            Err(error) => report_damage("journal", &error),
        }
    }
    journal
        .raise_next_seq(last.next())
        .map_err(|error| EngineError::DataDir(error.to_string()))?;
    let touched = sessions.len();
    let mut rows = sessions.rows(shared);
    rows.extend(items.into_rows());
    rows.extend(shared.catalogue_dirty.lock().take_rows(shared));
    write(shared, rows, last)?;
    Ok((records, touched))
}

fn take(
    shared: &SharedRef,
    entry: JournalEntry,
    sequence: u64,
    sessions: &mut ReplayedSessions,
    items: &mut ReplayedItems,
) {
    match entry {
        JournalEntry::Events { user, events } => sessions.events(shared, items, &user, &events, sequence),
        JournalEntry::Shown { user, at, items: shown } => {
            sessions.shown(shared, items, &user, at, &shown, sequence);
        }
        JournalEntry::User(user) => sessions.described(shared, *user, sequence),
        JournalEntry::Items(upserted) => replay_items(shared, upserted),
        JournalEntry::ItemDeleted { id, row } => replay_deletion(shared, id, row),
    }
}

/// Writes what was replayed. The checkpoint's number stays as it is: co-engagements and like sessions are written with
/// the next checkpoint only.
fn write(shared: &SharedRef, rows: Vec<SnapshotOp>, last: Seq) -> Result<(), EngineError> {
    if rows.is_empty() {
        return Ok(());
    }
    let store = &shared.storage.snapshots;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        store
            .apply(rows.by_ref().take(ROWS_PER_BATCH).collect())
            .map_err(unreadable)?;
    }
    let replayed = SnapshotOp::Put {
        tree: Tree::Meta,
        key: b"replayed_sequence".to_vec(),
        value: encode(&last.0),
    };
    store.apply(vec![replayed]).map_err(unreadable)?;
    store.flush().map_err(unreadable)
}
