//! From a configuration to the state that everything shares: storage, world, services, what recovery brings back. Must not
//! start actors.

use super::*;
use crate::records::decode_bytes;

/// Opens the data dir, or makes a storage in memory.
///
/// # Errors
/// `DataDir` when it cannot be opened.
pub(super) fn open_storage(config: &EngineConfig) -> Result<Storage, EngineError> {
    Ok(match &config.data_dir {
        Some(path) => {
            let mut options = StorageOptions {
                now_ms: clock::now().0,
                accept_loss: config.accept_loss,
                free_bytes_min: config.free_bytes_min,
                ..StorageOptions::default()
            };
            options.journal.durability = if config.fsync {
                Durability::Fsync
            } else {
                Durability::Process
            };
            Storage::open(path, &options).map_err(|error| EngineError::DataDir(error.to_string()))?
        }
        None => Storage::in_memory(),
    })
}

/// Recovers what is in the storage and puts the services together.
///
/// # Errors
/// `DataDir` when the served log, the archive or the learner cannot be opened; those of the configured model.
pub(super) fn open(
    config: EngineConfig,
    storage: Storage,
    arbiters: Vec<actix::ArbiterHandle>,
) -> Result<SharedRef, EngineError> {
    if storage.report.is_damaged() {
        tracing::error!(report = ?storage.report, "the data dir is damaged; what is left of it is used");
    }
    let index = IndexParams {
        exact_items_max: config.exact_items_max,
        ..IndexParams::default()
    };
    let world = World::new(config.embedding_dim, index).map_err(|error| EngineError::DataDir(error.to_string()))?;
    let served_dir = storage.dir.as_ref().map(|dir| dir.served());
    let archive = ArchiveService::new(storage.archive.clone());
    let (percent, bytes_max) = (config.served_log_percent, config.served_log_bytes_max);
    let served = ServedLog::open(served_dir, percent, bytes_max, archive.slates())
        .map_err(|error| EngineError::DataDir(format!("the served log cannot be opened: {error}")))?;
    let shared = Arc::new(Shared {
        overload: Overload::of(arbiters.len()),
        caches: Caches::default(),
        config,
        world,
        storage,
        sessions: Registry::default(),
        session_rows: SessionRows::default(),
        readers: tokio::sync::Semaphore::new(READERS_MAX),
        items: ItemRouter::default(),
        effects: Effects::default(),
        params: ParamsService::default(),
        models: Default::default(),
        learner: LearnerService::default(),
        served,
        archive,
        arbiters,
        checkpoint: tokio::sync::Mutex::default(),
        backups: tokio::sync::Mutex::new(()),
        patches: tokio::sync::Mutex::new(()),
        gate: Default::default(),
        catalogue_dirty: parking_lot::Mutex::default(),
        draining: AtomicBool::new(false),
        written: Default::default(),
    });
    refuse_gap(&shared)?;
    recover(&shared)?;
    model::install_configured(&shared)?;
    ArchiveService::start(&shared)
        .map_err(|error| EngineError::DataDir(format!("the archive cannot be started: {error}")))?;
    let unreadable = |error| EngineError::DataDir(format!("the learner cannot be read: {error}"));
    shared.learner.load(&shared).map_err(unreadable)?;
    Ok(shared)
}

/// The snapshots say up to which record they include everything; the journal has to go on right behind it. A store that
/// came back older than that, or that was begun anew behind a trimmed journal, does not hold what was in between.
fn refuse_gap(shared: &Shared) -> Result<(), EngineError> {
    let first = shared.storage.report.journal.first_seq;
    let stored = shared.storage.snapshots.get(Tree::Meta, service::META_KEYS.sequence);
    let included = stored.ok().flatten().and_then(|bytes| decode_bytes::<u64>(&bytes).ok());
    let included = included.unwrap_or(0);
    if first.0 <= included + 1 || first <= swipeline_storage::Seq::FIRST {
        return Ok(());
    }
    let what = format!(
        "the snapshots include everything up to record {included}, and the journal begins with record {first}: what was \
         in between is in neither"
    );
    if shared.config.accept_loss {
        tracing::error!(what, "starting with what is left, as was asked for");
        return Ok(());
    }
    Err(EngineError::DataDir(format!(
        "{what}. Nothing was changed. Ways out: restore a backup (`swipeline snapshot restore`), or start once with \
         `swipeline serve --accept-loss` (or data.accept_loss = true) and go on with what is left"
    )))
}
