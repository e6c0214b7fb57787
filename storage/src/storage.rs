//! Everything that is stored, opened together: directory, lock, journal, snapshots, epoch. The one thing that the
//! composition root opens; must not know what is stored.

use std::path::Path;
use std::sync::Arc;

use crate::archive::{Archive, ArchiveError};
use crate::blobs::Blobs;
use crate::data_dir::{DataDir, DataDirError, DataDirOptions};
use crate::journal::{EmbeddedJournal, Journal, JournalError, JournalOpenReport, JournalOptions, MemoryJournal};
use crate::ownership::{EmbeddedOwnership, Ownership, OwnershipError};
use crate::snapshot::{MemoryStore, SledOptions, SledStore, SnapshotError, SnapshotOpenReport, SnapshotStore};

/// How to open a [`Storage`].
#[derive(Clone, Debug, Default)]
pub struct StorageOptions {
    /// The directory.
    pub data_dir: DataDirOptions,
    /// The event journal.
    pub journal: JournalOptions,
    /// The snapshot store.
    pub snapshots: SledOptions,
    /// Now, milliseconds since 1970: part of the name of what is set aside.
    pub now_ms: i64,
}

/// Why the storage could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The snapshot store cannot be used.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The epoch cannot be raised.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The directory was made by this opening.
    pub created: bool,
    /// What the journal found.
    pub journal: JournalOpenReport,
    /// What the snapshot store found.
    pub snapshots: SnapshotOpenReport,
}

impl OpenReport {
    /// Whether something was lost that had been written: reason for a loud word to the operator.
    pub fn is_damaged(&self) -> bool {
        self.journal.damaged_total > 0 || self.snapshots.set_aside.is_some() || self.snapshots.lost_flushes > 0
    }
}

/// The open storage. Dropping it closes everything; [`Storage::close`] also says whether that went well.
pub struct Storage {
    /// The event journal.
    pub journal: Arc<dyn Journal>,
    /// The snapshot store.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Large values that records and snapshots name.
    pub blobs: Arc<Blobs>,
    /// What has happened, beyond the journal; `None` in memory.
    pub archive: Option<Arc<Archive>>,
    /// Who owns which partition, and the epoch of this run.
    pub ownership: Arc<dyn Ownership>,
    /// The same journal as above, for what only files can do (backup).
    pub(crate) embedded_journal: Option<Arc<EmbeddedJournal>>,
    /// The directory and its lock, given back after the parts above; `None` in memory. Whoever keeps a handle of a part
    /// beyond this struct must keep this one as well.
    pub dir: Option<Arc<DataDir>>,
    /// What opening found.
    pub report: OpenReport,
}

impl Storage {
    /// Opens (or creates) the data directory at `path` and everything in it. Blocks while the journal is checked.
    ///
    /// # Errors
    /// When a part cannot be used; damage alone is no reason.
    pub fn open(path: &Path, options: &StorageOptions) -> Result<Self, StorageError> {
        let dir = DataDir::open(path, &options.data_dir)?;
        let ownership = EmbeddedOwnership::open(&dir, options.now_ms)?;
        let (snapshots, snapshot_report) = SledStore::open(&dir.snapshots(), options.snapshots, options.now_ms)?;
        let (journal, journal_report) = EmbeddedJournal::open(&dir.journal(), options.journal)?;
        let archive = Archive::open(&dir, options.now_ms)?;
        let report = OpenReport {
            created: dir.created(),
            journal: journal_report,
            snapshots: snapshot_report,
        };
        let journal = Arc::new(journal);
        Ok(Self {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            snapshots: Arc::new(snapshots),
            blobs: Arc::new(Blobs::Folder(dir.blobs())),
            archive: Some(Arc::new(archive)),
            ownership: Arc::new(ownership),
            dir: Some(Arc::new(dir)),
            report,
            embedded_journal: Some(journal),
        })
    }

    /// Everything in memory, gone at the end: for tests and throw-away servers.
    pub fn in_memory() -> Self {
        Self::of_parts(
            Arc::new(MemoryJournal::default()),
            Arc::new(MemoryStore::default()),
            Arc::new(Blobs::in_memory()),
            Arc::new(EmbeddedOwnership::in_memory()),
        )
    }

    /// Put together from parts that somebody else has opened; without a directory and an archive.
    pub fn of_parts(
        journal: Arc<dyn Journal>,
        snapshots: Arc<dyn SnapshotStore>,
        blobs: Arc<Blobs>,
        ownership: Arc<dyn Ownership>,
    ) -> Self {
        Self {
            journal,
            snapshots,
            blobs,
            archive: None,
            ownership,
            dir: None,
            report: OpenReport {
                created: true,
                ..OpenReport::default()
            },
            embedded_journal: None,
        }
    }

    /// Writes out and syncs everything; the journal accepts nothing afterwards.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn close(&self) -> Result<(), StorageError> {
        // The journal first: a snapshot must not be on the disk before the records that it includes.
        self.journal.shutdown()?;
        if let Some(archive) = &self.archive {
            archive.warm.flush()?;
        }
        Ok(self.snapshots.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{NewRecord, Seq};
    use crate::partition::partition_of;
    use crate::snapshot::{SnapshotOp, Tree};

    fn use_it(storage: &Storage) -> Seq {
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: partition_of("u1"),
            payload: b"like",
        };
        let seq = storage.journal.append(record).expect("the journal accepts");
        let put = SnapshotOp::Put {
            tree: Tree::Users,
            key: b"u1".to_vec(),
            value: seq.0.to_le_bytes().to_vec(),
        };
        storage.snapshots.apply(vec![put]).expect("applied");
        storage.close().expect("closed");
        seq
    }

    #[test]
    fn everything_is_there_after_reopening() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("data");
        for run in 1..=3 {
            let storage = Storage::open(&path, &StorageOptions::default()).expect("it opens");
            assert_eq!((storage.report.created, storage.report.is_damaged()), (run == 1, false));
            assert_eq!(storage.ownership.epoch(), run);
            assert_eq!(storage.report.journal.next_seq, Seq(run));
            let stored = storage.snapshots.get(Tree::Users, b"u1").expect("read");
            assert_eq!(stored, (run > 1).then(|| (run - 1).to_le_bytes().to_vec()));
            assert_eq!(use_it(&storage), Seq(run));
        }
    }

    #[test]
    fn the_directory_is_locked_while_the_storage_lives() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let storage = Storage::open(dir.path(), &StorageOptions::default()).expect("it opens");
        let second = Storage::open(dir.path(), &StorageOptions::default());
        assert!(matches!(second, Err(StorageError::DataDir(DataDirError::InUse(_)))));
        drop(storage);
        Storage::open(dir.path(), &StorageOptions::default()).expect("it opens");
    }

    #[test]
    fn in_memory_storage_works_the_same() {
        let storage = Storage::in_memory();
        assert_eq!(use_it(&storage), Seq(1));
        assert_eq!((storage.ownership.epoch(), storage.dir.is_none()), (1, true));
    }
}
