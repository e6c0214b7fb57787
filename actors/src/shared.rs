//! What all actors and services share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix::ArbiterHandle;
use parking_lot::Mutex;
use swipeline_models::world::World;
use swipeline_storage::{JournalError, SnapshotError, Storage, Tree};
use tokio::sync::Semaphore;

use crate::api::{EngineConfig, EngineError};
use crate::apply_gate::ApplyGate;
use crate::archive::ArchiveService;
use crate::caches::Caches;
use crate::effects::Effects;
use crate::items::ItemRouter;
use crate::overload::Overload;
use crate::served::ServedLog;
use crate::service::{CheckpointRows, LearnerService, ModelService, ParamsService};
use crate::session::{Registry, SessionRows};

/// How many read the store at a time beside the sessions' threads: while it writes they all wait, a thread each.
pub(crate) const READERS_MAX: usize = 4;
/// How long a reader rests whom the store could not answer.
const READ_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

/// What all actors and services share.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) world: World,
    pub(crate) storage: Storage,
    pub(crate) sessions: Registry,
    pub(crate) session_rows: SessionRows,
    /// How many more may read the store at a time beside the sessions' threads.
    pub(crate) readers: Semaphore,
    pub(crate) items: ItemRouter,
    pub(crate) effects: Effects,
    pub(crate) params: ParamsService,
    pub(crate) models: ModelService,
    pub(crate) learner: LearnerService,
    pub(crate) overload: Overload,
    pub(crate) caches: Caches,
    /// Off unless configured.
    pub(crate) served: ServedLog,
    /// Does nothing in memory.
    pub(crate) archive: ArchiveService,
    /// One per core; sessions and item actors are spread over them by hash.
    pub(crate) arbiters: Vec<ArbiterHandle>,
    /// Held while a checkpoint or a backup runs; what the last one could not write.
    pub(crate) checkpoint: tokio::sync::Mutex<CheckpointRows>,
    /// Held while a backup is made beside the data.
    pub(crate) backups: tokio::sync::Mutex<()>,
    /// Held while an item is changed in part.
    pub(crate) patches: tokio::sync::Mutex<()>,
    /// Between the journal and all other state.
    pub(crate) gate: ApplyGate,
    /// Rows of the catalogue that the snapshots do not hold yet, and ids whose snapshots must go.
    pub(crate) catalogue_dirty: Mutex<crate::service::CatalogueDirty>,
    pub(crate) draining: AtomicBool,
    /// What the snapshots hold of what was written to them, as the last checkpoint saw it.
    pub(crate) written: WrittenSnapshots,
}

/// Whether a checkpoint may write only what has changed.
#[derive(Default)]
pub(crate) struct WrittenSnapshots {
    /// Of the store at the last checkpoint (see [`swipeline_storage::SnapshotStore::generation`]).
    generation: AtomicU64,
    /// A checkpoint has failed half way: what it took as written may not be.
    failed: AtomicBool,
}

impl WrittenSnapshots {
    /// Whether everything has to be written again, with the store as it is now.
    pub(crate) fn is_all_due(&self, generation: u64) -> bool {
        self.failed.load(Ordering::Acquire) || self.generation.load(Ordering::Acquire) != generation
    }

    /// A checkpoint that began with the store in this generation has ended.
    pub(crate) fn note(&self, generation: u64, is_written: bool) {
        if is_written {
            self.generation.store(generation, Ordering::Release);
        }
        self.failed.store(!is_written, Ordering::Release);
    }
}

impl Shared {
    /// The arbiter of a key.
    pub(crate) fn arbiter(&self, hash: u64) -> &ArbiterHandle {
        &self.arbiters[self.arbiter_number(hash)]
    }

    /// The number of a key's arbiter.
    pub(crate) fn arbiter_number(&self, hash: u64) -> usize {
        // One arbiter at least is made at start.
        (hash % self.arbiters.len() as u64) as usize
    }

    /// Reads from the store on a thread where nobody waits for it but the caller. `None` when reading panicked or the
    /// runtime ends.
    pub(crate) fn read_beside<T, F>(self: &Arc<Self>, read: F) -> impl Future<Output = Option<T>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> T + Send + 'static,
    {
        let shared = self.clone();
        async move {
            let _reader = shared.readers.acquire().await.ok()?;
            let inside = shared.clone();
            tokio::task::spawn_blocking(move || read(&inside)).await.ok()
        }
    }

    /// Reads a row. Waits for a store that is being replaced, however long that takes: whoever began anew instead would
    /// overwrite what is stored. Blocks.
    ///
    /// # Errors
    /// Those about the value; those about the store only when the engine goes down.
    pub(crate) fn read_row(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        loop {
            match self.storage.snapshots.get(tree, key) {
                Err(error) if error.is_about_store() && !self.is_draining() => std::thread::sleep(READ_AGAIN_AFTER),
                read => return read,
            }
        }
    }

    /// Whether the engine is going down.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// The engine's word for a refusal of the journal.
pub(crate) fn journal_error(error: &JournalError) -> EngineError {
    match error {
        JournalError::Full { .. } => EngineError::Overloaded { retry_after_ms: 100 },
        JournalError::TooLarge { .. } => EngineError::Unavailable(error.to_string()),
        JournalError::Failed(_)
        | JournalError::Closed
        | JournalError::ReservedKind
        | JournalError::NewerVersion { .. }
        | JournalError::Io { .. } => EngineError::JournalFailed(error.to_string()),
    }
}

/// Reports a damaged record or row, loudly and once.
pub(crate) fn report_damage(what: &str, detail: &dyn std::fmt::Display) {
    tracing::error!(what, %detail, "damaged data was skipped");
    metrics::counter!("swipeline_damaged_records_total").increment(1);
}

/// A shared handle.
pub(crate) type SharedRef = Arc<Shared>;
