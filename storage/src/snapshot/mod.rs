//! Snapshots: the latest state of everything, as key and value in named trees, so that a start does not read the whole
//! journal. Owns the trait and its types; the file backend is [`SledStore`], the twin [`MemoryStore`]. Must not know
//! what is in a value. Losing a snapshot is repaired from the journal; losing the journal is not repaired at all.

mod flush_count;
mod frame;
mod memory;
mod set_aside;
mod sled_places;
mod sled_store;
mod supervised;
mod write_behind;

#[cfg(test)]
mod contract;

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

pub use memory::MemoryStore;
pub use sled_places::SledPlaces;
pub use sled_store::{CACHE_BYTES_DEFAULT, SledOptions, SledStore};
pub use supervised::{Beside, StoreMaker, SupervisedStore, SupervisorOptions};
pub use write_behind::WriteBehind;

/// Longest key, bytes.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest value, bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many damaged keys a report names; the rest is only counted.
pub const DAMAGED_KEYS_REPORTED_MAX: usize = 64;

/// The named trees. Each is a key space of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Catalogue: items by id.
    Items,
    /// Session actors by user id.
    Sessions,
    /// Users by id.
    Users,
    /// Item actors (rolling windows) by item id.
    ItemStats,
    /// Item-item co-engagement by item id.
    CoVisits,
    /// Live state of the session-kNN channel.
    KnnSessions,
    /// Parameters in force and their history.
    Params,
    /// Models and their metadata.
    Models,
    /// Counts of what feeds achieve, by time slot and by experiment variant.
    Effects,
    /// Everything of which there is one.
    Meta,
    /// The archive's warm events of earlier versions.
    ArchiveEvents,
    /// The archive's warm slates of earlier versions.
    ArchiveSlates,
}

impl Tree {
    /// Every tree.
    pub const ALL: [Tree; 12] = [
        Tree::Items,
        Tree::Sessions,
        Tree::Users,
        Tree::ItemStats,
        Tree::CoVisits,
        Tree::KnnSessions,
        Tree::Params,
        Tree::Models,
        Tree::Effects,
        Tree::Meta,
        Tree::ArchiveEvents,
        Tree::ArchiveSlates,
    ];

    /// The name on disk; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Tree::Items => "items",
            Tree::Sessions => "sessions",
            Tree::Users => "users",
            Tree::ItemStats => "item_stats",
            Tree::CoVisits => "co_visits",
            Tree::KnnSessions => "knn_sessions",
            Tree::Params => "params",
            Tree::Models => "models",
            Tree::Effects => "effects",
            Tree::Meta => "meta",
            Tree::ArchiveEvents => "archive_events",
            Tree::ArchiveSlates => "archive_slates",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Tree> {
        Tree::ALL.into_iter().find(|tree| tree.name() == name)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotOp {
    /// Sets a value.
    Put {
        /// Where.
        tree: Tree,
        /// At most [`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
        /// At most [`VALUE_BYTES_MAX`] bytes.
        value: Vec<u8>,
    },
    /// Removes a key; harmless when it is not there.
    Delete {
        /// Where.
        tree: Tree,
        /// Which.
        key: Vec<u8>,
    },
}

impl SnapshotOp {
    /// The tree and the key that the change is about.
    pub fn target(&self) -> (Tree, &[u8]) {
        match self {
            SnapshotOp::Put { tree, key, .. } | SnapshotOp::Delete { tree, key } => (*tree, key),
        }
    }

    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            SnapshotOp::Put { key, value, .. } => key.len() + value.len(),
            SnapshotOp::Delete { key, .. } => key.len(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SnapshotError> {
        let (tree, key) = self.target();
        if key.len() > KEY_BYTES_MAX {
            return Err(SnapshotError::TooLarge {
                tree,
                what: "key",
                bytes: key.len(),
                bytes_max: KEY_BYTES_MAX,
            });
        }
        match self {
            SnapshotOp::Put { value, .. } if value.len() > VALUE_BYTES_MAX => Err(SnapshotError::TooLarge {
                tree,
                what: "value",
                bytes: value.len(),
                bytes_max: VALUE_BYTES_MAX,
            }),
            SnapshotOp::Put { .. } | SnapshotOp::Delete { .. } => Ok(()),
        }
    }
}

/// How a store is, for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// What is wrong with it, while it is.
    pub trouble: Option<String>,
    /// How often it stood still.
    pub stalls: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often it was replaced.
    pub replaced: u64,
    /// How many stores did not close and were left behind.
    pub left_behind: u64,
}

/// What [`SnapshotStore::for_each`] saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitReport {
    /// Intact entries that were handed to the visitor.
    pub visited: u64,
    /// The first [`DAMAGED_KEYS_REPORTED_MAX`] keys whose values are damaged; they were skipped.
    pub damaged: Vec<Vec<u8>>,
    /// How many there are.
    pub damaged_total: u64,
}

impl VisitReport {
    pub(crate) fn damage(&mut self, key: &[u8]) {
        self.damaged_total += 1;
        if self.damaged.len() < DAMAGED_KEYS_REPORTED_MAX {
            self.damaged.push(key.to_vec());
        }
    }
}

/// What opening the store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotOpenReport {
    /// Set when the store on disk could not be used: it was moved here, and a new, empty one was made.
    pub set_aside: Option<SetAside>,
    /// Set when there was no store, and one that had been set aside earlier opens after all: it was moved back from here.
    pub taken_back: Option<PathBuf>,
    /// How many flushes the store came back without: sled drops the damaged end of its log without a word. What is
    /// left is older than it should be.
    pub lost_flushes: u64,
}

/// A damaged store that was moved away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// Why it could not be used.
    pub reason: String,
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The value of a key fails its checksum. Treat it as lost.
    #[error("the value of key {} in tree {tree} is damaged", key.escape_ascii())]
    Damaged {
        /// In which tree.
        tree: Tree,
        /// Of which key.
        key: Vec<u8>,
    },
    /// A value was written by a newer program.
    #[error("the value of key {} in tree {tree} has version {version}, this program knows up to {supported}", key.escape_ascii())]
    NewerVersion {
        /// In which tree.
        tree: Tree,
        /// Of which key.
        key: Vec<u8>,
        /// Its version.
        version: u8,
        /// The newest one known.
        supported: u8,
    },
    /// A key or value is above its limit.
    #[error("a {what} of {bytes} bytes for tree {tree} is above the limit of {bytes_max}")]
    TooLarge {
        /// For which tree.
        tree: Tree,
        /// "key" or "value".
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// The database below failed; it may work again after a restart.
    #[error("the snapshot store failed: {0}")]
    Backend(String),
    /// The store is being replaced: nothing of the call is certain, and it may work a little later.
    #[error("the snapshot store cannot be used right now: {0}")]
    Unavailable(String),
    /// There is no store that can be read, and a new, empty one was not allowed. Nothing was changed.
    #[error("snapshot store {path}: {reason}")]
    Unreadable {
        /// The store's folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the store could not be used (rights, space, lock).
    #[error("snapshot store {path}: {source}")]
    Io {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SnapshotError {
    /// Whether the store is at fault and not the value: the same call may work later.
    #[must_use]
    pub fn is_about_store(&self) -> bool {
        match self {
            SnapshotError::Backend(_) | SnapshotError::Io { .. } | SnapshotError::Unavailable(_) => true,
            SnapshotError::Damaged { .. }
            | SnapshotError::NewerVersion { .. }
            | SnapshotError::TooLarge { .. }
            | SnapshotError::Unreadable { .. } => false,
        }
    }
}

/// Sees a key and its value; says whether to go on.
pub type EntryVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Key-value trees with batched writes. All methods may be called from any thread and may block on the disk.
pub trait SnapshotStore: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// `Damaged` or `NewerVersion` about this value, `Backend` or `Io` about the store.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError>;

    /// [`SnapshotStore::get`] for callers that must not wait: `None` when it would wait for a writer.
    ///
    /// # Errors
    /// As [`SnapshotStore::get`].
    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>>;

    /// Applies the changes in their order. Each is all or nothing; the batch as a whole is not. Nothing of it is sure
    /// to survive a crash before [`SnapshotStore::flush`] has returned.
    ///
    /// # Errors
    /// `TooLarge` before anything was applied; `Backend` or `Io` with a part of it applied.
    fn apply(&self, batch: Vec<SnapshotOp>) -> Result<(), SnapshotError>;

    /// Makes everything applied before the call durable.
    ///
    /// # Errors
    /// `Backend` or `Io`; nothing may be trusted to be durable then.
    fn flush(&self) -> Result<(), SnapshotError>;

    /// Shows every intact entry of a tree in ascending order of keys, until the visitor breaks. Changes made meanwhile
    /// may or may not be seen. The visitor must not call the store.
    ///
    /// # Errors
    /// `Backend` or `Io` when the walk itself fails; a damaged value is skipped and reported.
    fn for_each(&self, tree: Tree, visit: &mut EntryVisitor<'_>) -> Result<VisitReport, SnapshotError> {
        self.for_each_from(tree, &[], visit)
    }

    /// [`SnapshotStore::for_each`] from the first key on that is not before `from`.
    ///
    /// # Errors
    /// As [`SnapshotStore::for_each`].
    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError>;

    /// Number of entries. Walks the tree.
    ///
    /// # Errors
    /// `Backend` or `Io`.
    fn len(&self, tree: Tree) -> Result<u64, SnapshotError>;

    /// Removes every entry of a tree.
    ///
    /// # Errors
    /// `Backend` or `Io`.
    fn clear(&self, tree: Tree) -> Result<(), SnapshotError>;

    /// Bytes on disk; 0 in memory.
    ///
    /// # Errors
    /// `Backend` or `Io`.
    fn size_on_disk(&self) -> Result<u64, SnapshotError>;

    /// Rewrites the store with only what is alive and throws the old files away. A log-structured store keeps deleted
    /// and overwritten values on the disk for an unknown time: this is what makes a deletion final, and it gives the
    /// space back. May take long. Returns how many bytes were freed. Damaged values are
    /// carried over as they are.
    ///
    /// # Errors
    /// `Backend` or `Io`; the old content is still there then.
    fn compact(&self) -> Result<u64, SnapshotError>;

    /// Grows when the content may have gone back, or when calls have failed of which nobody knows what became: whoever
    /// writes only what has changed has to write everything again then.
    fn generation(&self) -> u64 {
        0
    }

    /// Breaks a [compaction](Self::compact) off that does not keep others from the store; from now on there is none.
    fn stop_compacting(&self) {}

    /// How the store is.
    fn health(&self) -> StoreHealth {
        StoreHealth::default()
    }
}
