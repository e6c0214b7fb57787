//! Checkpoints: everything that has changed goes into the snapshots, and the journal is trimmed behind them.
//!
//! What makes it safe:
//! - **The cut.** With the gate closed ([`crate::apply_gate`]) nobody is between journal and memory: the last number handed
//!   out is the cut, and what has no number of its own (co-engagements, similar sessions and users, effects) is taken
//!   as of the cut. Most of it was taken before; the gate is closed for what has changed since.
//! - **Write-ahead.** No row reaches the store before the journal has on the disk what the row includes.
//! - **The number last.** Rows, a flush, then the number of the cut, a flush, and only then the journal is trimmed.
//! - What could not be written is kept and written with the next checkpoint.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use swipeline_models::collaborative::{ProfileRecord, SessionRecord};
use swipeline_models::ids::Row;
use swipeline_storage::{Seq, SnapshotError, SnapshotOp, SnapshotStore, Tree};

use crate::api::{Checkpoint, EngineError};
use crate::effects::{EffectsCut, PendingEffects, take_effects};
use crate::records::{decode_bytes, encode};
use crate::service::CatalogueDirty;
use crate::shared::{Shared, SharedRef, report_damage};

/// Keys of [`Tree::Meta`].
pub(crate) struct MetaKeys {
    /// The journal number that the snapshots include.
    pub(crate) sequence: &'static [u8],
    /// Where earlier programs kept all region names.
    regions: &'static [u8],
    /// Region names in the order of their numbers, because item statistics are stored by number; behind it the number of
    /// the first one in the row.
    region_names: &'static [u8],
    /// How well each profile of requests has served.
    pub(crate) profiles: &'static [u8],
}

/// The keys in use.
pub(crate) const META_KEYS: MetaKeys = MetaKeys {
    sequence: b"checkpoint_sequence",
    regions: b"regions",
    region_names: b"region_names/",
    profiles: b"profiles",
};

/// Co-engagements and pages are taken in passes while everything goes on, until so few rows are left for the closed gate,
const ROWS_LEFT_FOR_GATE: usize = 256;
/// or so many passes were made.
const PASSES_MAX: usize = 6;
/// Stands before the number of a page of like viewers in [`Tree::KnnSessions`]; a row of sessions has the number alone.
const USER_PAGE_PREFIX: u8 = b'u';
/// How many region names one row holds.
const REGIONS_PER_ROW: usize = 1_024;
/// How many rows go into the store at a time.
const ROWS_PER_BATCH: usize = 1_024;
/// How many rows of the catalogue are made for one sync of the journal.
const CATALOGUE_ROWS_PER_SYNC: usize = 16_384;

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

/// Rows that are on their way into the store, the newest of each key.
#[derive(Default)]
pub(crate) struct CheckpointRows(FxHashMap<(Tree, Vec<u8>), Option<Vec<u8>>>);

impl CheckpointRows {
    fn extend(&mut self, ops: impl IntoIterator<Item = SnapshotOp>) -> usize {
        let before = self.0.len();
        let entry = |op| match op {
            SnapshotOp::Put { tree, key, value } => ((tree, key), Some(value)),
            SnapshotOp::Delete { tree, key } => ((tree, key), None),
        };
        self.0.extend(ops.into_iter().map(entry));
        self.0.len() - before
    }

    fn ops(&self) -> impl Iterator<Item = SnapshotOp> + '_ {
        self.0.iter().map(|((tree, key), value)| match value {
            Some(value) => SnapshotOp::Put {
                tree: *tree,
                key: key.clone(),
                value: value.clone(),
            },
            None => SnapshotOp::Delete {
                tree: *tree,
                key: key.clone(),
            },
        })
    }
}

/// Writes a checkpoint. It goes on when nobody waits for it any more: what it has taken must not be lost half way.
pub(crate) async fn checkpoint(shared: &SharedRef) -> Result<Checkpoint, EngineError> {
    let inside = shared.clone();
    let made = tokio::spawn(async move { make(&inside).await }).await;
    made.map_err(|error| EngineError::Unavailable(error.to_string()))?
}

async fn make(shared: &SharedRef) -> Result<Checkpoint, EngineError> {
    let mut unwritten = shared.checkpoint.lock().await;
    let generation = shared.storage.snapshots.generation();
    let everything = shared.written.is_all_due(generation);
    let written = write_checkpoint(shared, everything, &mut unwritten).await;
    // Whatever the store became meanwhile, what was written went to the one before it, or it is not known.
    let is_written = written.is_ok() && shared.storage.snapshots.generation() == generation;
    shared.written.note(generation, is_written);
    let (mut done, cut) = written?;
    if is_written {
        done.journal_bytes_freed = trim(shared, cut.number);
        cut.effects.are_written();
        shared.params.are_stored(cut.params);
        shared.models.are_stored(cut.models);
    }
    Ok(done)
}

async fn write_checkpoint(
    shared: &SharedRef,
    everything: bool,
    unwritten: &mut CheckpointRows,
) -> Result<(Checkpoint, Cut), EngineError> {
    let started = Instant::now();
    if everything {
        mark_everything(shared);
    }
    let mut rows = std::mem::take(unwritten);
    let inside = shared.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let cut = take_cut(&inside, &mut rows);
        (cut, rows)
    });
    let (cut, mut rows) = taken
        .await
        .map_err(|error| EngineError::Unavailable(error.to_string()))?;
    rows.extend(shared.items.snapshots(shared, cut.number.0, everything).await);
    let sessions = match shared.sessions.write_all(shared).await {
        Ok(sessions) => sessions,
        Err(error) => {
            *unwritten = rows;
            return Err(error);
        }
    };
    let inside = shared.clone();
    let written = tokio::task::spawn_blocking(move || {
        let written = write(&inside, &cut, &mut rows);
        (written, cut, rows)
    });
    let (written, cut, rows) = written
        .await
        .map_err(|error| EngineError::Unavailable(error.to_string()))?;
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            *unwritten = rows;
            return Err(EngineError::Unavailable(format!(
                "the snapshots could not be written: {error}"
            )));
        }
    };
    let took = started.elapsed();
    metrics::histogram!("swipeline_checkpoint_seconds").record(took.as_secs_f64());
    let done = Checkpoint {
        sequence: cut.number.0,
        rows: written + sessions,
        journal_bytes_freed: 0,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    Ok((done, cut))
}

/// Everything that is in memory counts as changed: the snapshots may lack what was taken as written.
fn mark_everything(shared: &Shared) {
    tracing::warn!("this checkpoint writes everything again, because the last one failed or the store was replaced");
    let world = &shared.world;
    let rows: Vec<Row> = world.catalogue.load().iter().map(|(row, _)| row).collect();
    rows.iter().for_each(|row| world.co_visits.mark_dirty(*row));
    shared.catalogue_dirty.lock().mark(rows);
    (0..world.session_knn.pages()).for_each(|page| world.session_knn.mark_dirty(page));
    (0..world.similar_users.pages()).for_each(|page| world.similar_users.mark_dirty(page));
    shared.learner.put_rows_back();
    shared.params.are_stored(FxHashSet::default());
    shared.models.mark_unstored();
}

/// What a checkpoint includes.
struct Cut {
    /// All records up to this one, and of what has no number of its own none beyond it.
    number: Seq,
    effects: PendingEffects,
    /// The profiles of requests as of the cut.
    profiles: Vec<u8>,
    /// What the store holds of params and models when the rows are written.
    params: FxHashSet<Vec<u8>>,
    models: u64,
}

/// Draws the cut and takes what is exactly as of it. Blocks.
fn take_cut(shared: &SharedRef, rows: &mut CheckpointRows) -> Cut {
    for _ in 0..PASSES_MAX {
        if rows.extend(world_rows(shared)) <= ROWS_LEFT_FOR_GATE {
            break;
        }
    }
    let closed = shared.gate.close();
    let closed_at = Instant::now();
    let number = shared.storage.journal.appended();
    let effects_cut = EffectsCut::begin(&shared.effects, number.0);
    rows.extend(world_rows(shared));
    let profiles = encode(&shared.world.profiles.export());
    drop(closed);
    metrics::histogram!("swipeline_checkpoint_gate_seconds").record(closed_at.elapsed().as_secs_f64());
    let mut effects = take_effects(shared, &effects_cut);
    drop(effects_cut);
    rows.extend(effects.take_rows());
    let (params_rows, params) = shared.params.unstored();
    let (model_rows, models) = shared.models.unstored();
    rows.extend(params_rows);
    rows.extend(model_rows);
    Cut {
        number,
        effects,
        profiles,
        params,
        models,
    }
}

/// What viewers do together and has changed since it was taken last.
fn world_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let mut rows = co_visit_rows(shared);
    rows.extend(similar_session_rows(shared));
    rows.extend(similar_user_rows(shared));
    rows
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

fn write(shared: &Shared, cut: &Cut, rows: &mut CheckpointRows) -> Result<u64, SnapshotError> {
    rows.extend(shared.learner.take_rows());
    let catalogue = std::mem::take(&mut *shared.catalogue_dirty.lock());
    let result = write_all(shared, cut, rows, &catalogue);
    if result.is_err() {
        shared.catalogue_dirty.lock().put_back(catalogue);
    }
    result
}

/// Write-ahead: what any row that exists now includes is on the journal's disk when this returns. Blocks.
pub(crate) fn settle(shared: &Shared) -> Result<(), SnapshotError> {
    let flushed = shared.storage.journal.flush();
    let unsettled = |error| SnapshotError::Backend(format!("nothing may be written before the journal: {error}"));
    flushed.map(|_| ()).map_err(unsettled)
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
    cut: &Cut,
    rows: &CheckpointRows,
    catalogue: &CatalogueDirty,
) -> Result<u64, SnapshotError> {
    let store = &*shared.storage.snapshots;
    settle(shared)?;
    let mut written = store_rows(store, rows.ops())?;
    let mut catalogue = catalogue.rows(shared);
    loop {
        let made: Vec<SnapshotOp> = catalogue.by_ref().take(CATALOGUE_ROWS_PER_SYNC).collect();
        if made.is_empty() {
            break;
        }
        settle(shared)?;
        written += store_rows(store, made)?;
    }
    store_rows(store, region_rows(shared))?;
    let meta = |key: &[u8], value: Vec<u8>| SnapshotOp::Put {
        tree: Tree::Meta,
        key: key.to_vec(),
        value,
    };
    store.apply(vec![meta(META_KEYS.profiles, cut.profiles.clone())])?;
    store.flush()?;
    // Only when everything before it is durable may the number say so.
    store.apply(vec![meta(META_KEYS.sequence, encode(&cut.number.0))])?;
    store.flush()?;
    Ok(written)
}

/// The names of regions in the order of their numbers, some to a row: one row of all would grow beyond what the store takes.
fn region_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let regions = &shared.world.catalogue.words().regions;
    let tree = Tree::Meta;
    let name = |word: usize| Some(regions.name(u32::try_from(word).ok()?)?.to_string());
    let row = |start: usize| {
        let names: Vec<String> = (start..regions.len()).take(REGIONS_PER_ROW).filter_map(name).collect();
        SnapshotOp::Put {
            tree,
            key: region_key(start),
            value: encode(&names),
        }
    };
    let mut rows: Vec<SnapshotOp> = (0..regions.len()).step_by(REGIONS_PER_ROW).map(row).collect();
    rows.push(SnapshotOp::Delete {
        tree,
        key: META_KEYS.regions.to_vec(),
    });
    rows
}

/// The key of the names from a number on.
fn region_key(start: usize) -> Vec<u8> {
    let start = u32::try_from(start).unwrap_or(u32::MAX);
    [META_KEYS.region_names, start.to_be_bytes().as_slice()].concat()
}

/// Gives the regions the numbers that stored item statistics know them by.
pub(crate) fn load_regions(shared: &Shared) -> Result<(), SnapshotError> {
    let store = &shared.storage.snapshots;
    let regions = &shared.world.catalogue.words().regions;
    let take = |bytes: &[u8]| match decode_bytes::<Vec<String>>(bytes) {
        Ok(names) => names.iter().for_each(|name| {
            regions.intern(name);
        }),
        Err(error) => report_damage("regions", &error),
    };
    // Earlier programs had all of them in one row.
    if let Some(bytes) = store.get(Tree::Meta, META_KEYS.regions)? {
        take(&bytes);
    }
    for start in (0..).step_by(REGIONS_PER_ROW) {
        let Some(bytes) = store.get(Tree::Meta, &region_key(start))? else {
            break;
        };
        take(&bytes);
    }
    Ok(())
}

fn co_visit_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let mut dirty = Vec::new();
    shared.world.co_visits.take_dirty(usize::MAX, &mut dirty);
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

fn similar_session_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let sessions = &shared.world.session_knn;
    let row = |page: usize| {
        let (start, records) = sessions.export_page(page);
        SnapshotOp::Put {
            tree: Tree::KnnSessions,
            key: u32::try_from(start).unwrap_or(u32::MAX).to_be_bytes().to_vec(),
            value: encode(&records),
        }
    };
    sessions.take_dirty(usize::MAX).into_iter().map(row).collect()
}

fn similar_user_rows(shared: &Shared) -> Vec<SnapshotOp> {
    let users = &shared.world.similar_users;
    let row = |page: usize| {
        let number = u32::try_from(page).unwrap_or(u32::MAX).to_be_bytes();
        SnapshotOp::Put {
            tree: Tree::KnnSessions,
            key: [&[USER_PAGE_PREFIX], number.as_slice()].concat(),
            value: encode(&users.export_page(page)),
        }
    };
    users.take_dirty(usize::MAX).into_iter().map(row).collect()
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
    let _ = (
        world.session_knn.take_dirty(usize::MAX),
        world.similar_users.take_dirty(usize::MAX),
    );
    Ok(())
}
