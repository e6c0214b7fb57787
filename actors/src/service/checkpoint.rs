//! Checkpoints: everything that has changed goes into the snapshots, and the journal is trimmed behind them.
//!
//! The order is what makes it safe: first the journal number is taken that the checkpoint will include, then all state
//! is written (which includes at least that number), then the snapshots are flushed, and only then the journal is
//! trimmed.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use swipeline_models::collaborative::{ProfileRecord, SessionRecord};
use swipeline_models::ids::Row;
use swipeline_storage::{Seq, SnapshotError, SnapshotOp, SnapshotStore, Tree};

use crate::api::{Checkpoint, EngineError};
use crate::effects::take_effects;
use crate::records::{decode_bytes, encode};
use crate::service::CatalogueDirty;
use crate::shared::{Shared, SharedRef, report_damage};

/// Keys of [`Tree::Meta`].
pub(crate) struct MetaKeys {
    /// The journal number that the snapshots include.
    pub(crate) sequence: &'static [u8],
    /// Region names in the order of their numbers, because item statistics are stored by number.
    pub(crate) regions: &'static [u8],
    /// How well each profile of requests has served.
    pub(crate) profiles: &'static [u8],
}

/// The keys in use.
pub(crate) const META_KEYS: MetaKeys = MetaKeys {
    sequence: b"checkpoint_sequence",
    regions: b"regions",
    profiles: b"profiles",
};

/// How many co-engagement rows one checkpoint writes at most; the rest follows with the next one.
const CO_VISIT_ROWS_MAX: usize = 200_000;
/// How many places of the session ring make one snapshot row.
const KNN_PLACES_PER_ROW: usize = 512;
/// How many pages of like viewers one checkpoint writes at most; the rest follows with the next one.
const USER_PAGES_MAX: usize = 512;
/// Stands before the number of a page of like viewers in [`Tree::KnnSessions`]; a row of sessions has the number alone.
const USER_PAGE_PREFIX: u8 = b'u';
/// How many rows go into the store at a time.
const ROWS_PER_BATCH: usize = 1_024;

/// Writes checkpoints at the configured interval until the engine drains.
pub(crate) async fn run_checkpoints(shared: SharedRef) {
    let interval = Duration::from_millis(shared.config.checkpoint_interval_ms.max(100));
    while !shared.is_draining() {
        tokio::time::sleep(interval).await;
        if !shared.is_draining()
            && let Err(error) = checkpoint(&shared).await
        {
            tracing::error!(%error, "the checkpoint failed; the journal keeps everything");
        }
    }
}

/// Writes a checkpoint.
pub(crate) async fn checkpoint(shared: &SharedRef) -> Result<Checkpoint, EngineError> {
    let _one_at_a_time = shared.checkpoint.lock().await;
    let started = Instant::now();
    let included = shared.storage.journal.committed();
    let sessions = shared.sessions.write_all(shared).await?;
    let mut items = shared.items.snapshots().await;
    let mut effects = take_effects(shared, included).await?;
    items.extend(effects.take_rows());
    let inside = shared.clone();
    let written = tokio::task::spawn_blocking(move || {
        let written = write(&inside, included, items);
        if written.is_ok() {
            effects.are_written();
        }
        written
    });
    let rows = written
        .await
        .map_err(|error| EngineError::Unavailable(error.to_string()))?
        .map_err(|error| EngineError::Unavailable(format!("the snapshots could not be written: {error}")))?;
    let freed = trim(shared, included);
    let took = started.elapsed();
    metrics::histogram!("swipeline_checkpoint_seconds").record(took.as_secs_f64());
    Ok(Checkpoint {
        sequence: included.0,
        rows: rows + sessions,
        journal_bytes_freed: freed,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Drops what the snapshots include from the journal, once it is larger than configured. Until then it is kept, for
/// exports and as the truth from which damaged snapshots are rebuilt.
fn trim(shared: &Shared, included: Seq) -> u64 {
    let journal = &shared.storage.journal;
    if journal.stats().disk_bytes <= shared.config.journal_keep_bytes {
        return 0;
    }
    // What the archive has not taken yet must stay, or it would be lost to it.
    let included = shared
        .archive
        .trim_bound(shared)
        .map_or(included, |bound| included.min(bound));
    journal.trim(included.next()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the journal could not be trimmed");
        0
    })
}

fn write(shared: &Shared, included: Seq, items: Vec<SnapshotOp>) -> Result<u64, SnapshotError> {
    let catalogue = std::mem::take(&mut *shared.catalogue_dirty.lock());
    let result = write_all(shared, included, items, &catalogue);
    if result.is_err() {
        shared.catalogue_dirty.lock().put_back(catalogue);
        shared.learner.put_rows_back();
    }
    result
}

/// Puts rows into the store, some at a time. Returns how many there were.
pub(crate) fn store_rows(
    store: &dyn SnapshotStore,
    rows: impl IntoIterator<Item = SnapshotOp>,
) -> Result<u64, SnapshotError> {
    let mut rows = rows.into_iter();
    let mut stored = 0;
    loop {
        let batch: Vec<SnapshotOp> = rows.by_ref().take(ROWS_PER_BATCH).collect();
        if batch.is_empty() {
            return Ok(stored);
        }
        stored += batch.len() as u64;
        store.apply(batch)?;
    }
}

fn write_all(
    shared: &Shared,
    included: Seq,
    items: Vec<SnapshotOp>,
    catalogue: &CatalogueDirty,
) -> Result<u64, SnapshotError> {
    let store = &*shared.storage.snapshots;
    let mut written = store_rows(store, items)?;
    written += store_rows(store, catalogue.rows(shared))?;
    written += store_rows(store, co_visit_rows(shared))?;
    written += store_rows(store, knn_rows(shared))?;
    written += store_rows(store, shared.learner.take_rows())?;
    written += store_user_pages(shared)?;
    let regions = &shared.world.catalogue.words().regions;
    let names: Vec<String> = (0..regions.len())
        .filter_map(|word| regions.name(u32::try_from(word).ok()?))
        .map(|name| name.to_string())
        .collect();
    let meta = |key: &[u8], value: Vec<u8>| SnapshotOp::Put {
        tree: Tree::Meta,
        key: key.to_vec(),
        value,
    };
    let profiles = encode(&shared.world.profiles.export());
    store.apply(vec![
        meta(META_KEYS.regions, encode(&names)),
        meta(META_KEYS.profiles, profiles),
    ])?;
    store.flush()?;
    // Only when everything before it is durable may the number say so.
    store.apply(vec![meta(META_KEYS.sequence, encode(&included.0))])?;
    store.flush()?;
    Ok(written)
}

fn co_visit_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let mut dirty = Vec::new();
    shared.world.co_visits.take_dirty(CO_VISIT_ROWS_MAX, &mut dirty);
    let row = |row: Row| {
        let key = row.to_be_bytes().to_vec();
        match shared.world.co_visits.export_row(row) {
            Some(state) => SnapshotOp::Put {
                tree: Tree::CoVisits,
                key,
                value: encode(&state),
            },
            None => SnapshotOp::Delete {
                tree: Tree::CoVisits,
                key,
            },
        }
    };
    dirty.into_iter().map(row).collect()
}

fn knn_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let knn = &shared.world.session_knn;
    let mut rows = Vec::new();
    for start in (0..knn.capacity()).step_by(KNN_PLACES_PER_ROW) {
        let records = knn.export(start..start + KNN_PLACES_PER_ROW);
        if records.is_empty() {
            // The ring fills from the front: nothing lies behind the first empty stretch.
            break;
        }
        let key = u32::try_from(start).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        rows.push(SnapshotOp::Put {
            tree: Tree::KnnSessions,
            key,
            value: encode(&records),
        });
    }
    rows
}

/// Writes the pages of like viewers that have changed. What could not be written is written with the next checkpoint.
fn store_user_pages(shared: &Shared) -> Result<u64, SnapshotError> {
    let users = &shared.world.similar_users;
    let pages = users.take_dirty(USER_PAGES_MAX);
    let row = |page: &usize| {
        let number = u32::try_from(*page).unwrap_or(u32::MAX).to_be_bytes();
        SnapshotOp::Put {
            tree: Tree::KnnSessions,
            key: [&[USER_PAGE_PREFIX], number.as_slice()].concat(),
            value: encode(&users.export_page(*page)),
        }
    };
    let stored = store_rows(&*shared.storage.snapshots, pages.iter().map(row));
    if stored.is_err() {
        pages.iter().for_each(|page| users.mark_dirty(*page));
    }
    stored
}

/// Takes up co-engagements and sessions from the snapshots.
pub(crate) fn load_collaborative(shared: &Shared) -> Result<(), SnapshotError> {
    let params = shared.world.params.load();
    let world = &shared.world;
    let store = &shared.storage.snapshots;
    store.for_each(Tree::CoVisits, &mut |key, value| {
        let row = <[u8; 4]>::try_from(key).map(Row::from_be_bytes);
        match (row, decode_bytes(value)) {
            (Ok(row), Ok(state)) => {
                if !world.co_visits.import_row(row, state, &params.collaborative) {
                    report_damage("co-engagements", &"a row that is not sound");
                }
            }
            _ => report_damage("co-engagements", &"an unreadable row"),
        }
        ControlFlow::Continue(())
    })?;
    store.for_each(Tree::KnnSessions, &mut |key, value| {
        match decode_bytes::<Vec<SessionRecord>>(value) {
            Ok(records) if key.first() == Some(&USER_PAGE_PREFIX) && key.len() > size_of::<u32>() => {
                records.iter().for_each(|record| {
                    world.similar_users.import(record);
                });
            }
            Ok(records) => records.iter().for_each(|record| {
                world.session_knn.import(record);
                world.linear.count_events(record.items.len() as u64);
            }),
            Err(error) => report_damage("sessions", &error),
        }
        ControlFlow::Continue(())
    })?;
    world.similar_users.finish_import();
    if let Some(profiles) = store.get(Tree::Meta, META_KEYS.profiles)? {
        match decode_bytes::<ProfileRecord>(&profiles) {
            Ok(record) => world.profiles.import(&record),
            Err(error) => report_damage("profiles", &error),
        }
    }
    let mut fresh = Vec::new();
    // What was just read is not a change.
    world.co_visits.take_dirty(usize::MAX, &mut fresh);
    Ok(())
}
