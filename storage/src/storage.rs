//! Everything that is stored, opened together: directory, lock, journal, snapshots, epoch. The one thing that the
//! composition root opens; must not know what is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{Archive, ArchiveError};
use crate::blobs::Blobs;
use crate::data_dir::{DataDir, DataDirError, DataDirOptions};
use crate::disk_watch::DiskWatch;
use crate::journal::{EmbeddedJournal, Journal, JournalError, JournalOpenReport, JournalOptions, MemoryJournal, Seq};
use crate::ownership::{EmbeddedOwnership, Ownership, OwnershipError};
use crate::snapshot::{
    MemoryStore, SledOptions, SledPlaces, SledStore, SnapshotError, SnapshotOpenReport, SnapshotStore, SupervisedStore,
    SupervisorOptions,
};

/// How to open a [`Storage`].
#[derive(Clone, Debug, Default)]
pub struct StorageOptions {
    /// The directory.
    pub data_dir: DataDirOptions,
    /// The event journal.
    pub journal: JournalOptions,
    /// The snapshot store.
    pub snapshots: SledOptions,
    /// When a snapshot store that stalls or fails is replaced.
    pub supervisor: SupervisorOptions,
    /// With less free space on the disk, in bytes, the journal refuses new records; 0: never.
    pub free_bytes_min: u64,
    /// Starts although the snapshots cannot be read and the journal does not reach back to its first record.
    pub accept_loss: bool,
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
    /// Neither the snapshots nor the journal say how everything was.
    #[error(
        "the snapshots in {path} cannot be used ({reason}), and the journal begins with record {first} only: what is older \
         would be lost. Nothing was changed. Ways out: restore a backup (`swipeline snapshot restore`); put the folder \
         back if it was moved; or start once with `swipeline serve --accept-loss` (or data.accept_loss = true) and go on \
         with what the journal holds"
    )]
    WouldLose {
        /// The folder of the snapshots.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
        /// The first record of the journal.
        first: Seq,
    },
    /// The snapshot store cannot be used.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The epoch cannot be raised.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// A thread cannot be started.
    #[error("no thread for watching the disk: {0}")]
    Watch(std::io::Error),
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
    /// The snapshot store; on disk behind a [`SupervisedStore`].
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Large values that records and snapshots name.
    pub blobs: Arc<Blobs>,
    /// What has happened, beyond the journal; `None` in memory.
    pub archive: Option<Arc<Archive>>,
    /// Who owns which partition, and the epoch of this run.
    pub ownership: Arc<dyn Ownership>,
    /// The same journal as above, for what only files can do (backup).
    pub(crate) embedded_journal: Option<Arc<EmbeddedJournal>>,
    /// Looks after the disk; `None` in memory.
    watch: Option<DiskWatch>,
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
    /// When a part cannot be used; damage alone is no reason, unless it would lose what nothing else holds: `WouldLose`.
    pub fn open(path: &Path, options: &StorageOptions) -> Result<Self, StorageError> {
        let dir = DataDir::open(path, &options.data_dir)?;
        let ownership = EmbeddedOwnership::open(&dir, options.now_ms)?;
        let (journal, journal_report) = EmbeddedJournal::open(&dir.journal(), options.journal)?;
        let first = journal_report.first_seq;
        let snapshot_options = SledOptions {
            may_be_empty: options.accept_loss || first <= Seq::FIRST,
            ..options.snapshots
        };
        let settled = SledPlaces::settle(&dir.snapshots());
        settled.map_err(|source| SnapshotError::Io {
            path: dir.snapshots(),
            source,
        })?;
        let opened = SledStore::open(&dir.snapshots(), snapshot_options, options.now_ms);
        let (snapshots, snapshot_report) = opened.map_err(|error| {
            if let SnapshotError::Unreadable { path, reason } = error {
                StorageError::WouldLose { path, reason, first }
            } else {
                StorageError::Snapshots(error)
            }
        })?;
        let places = Arc::new(SledPlaces::new(&dir.snapshots(), options.snapshots));
        let supervised = SupervisedStore::new(Arc::new(snapshots), places, options.supervisor);
        let snapshots = supervised.map_err(|source| SnapshotError::Io {
            path: dir.snapshots(),
            source,
        })?;
        let archive = Archive::open(&dir, options.now_ms)?;
        let report = OpenReport {
            created: dir.created(),
            journal: journal_report,
            snapshots: snapshot_report,
        };
        let (dir, journal) = (Arc::new(dir), Arc::new(journal));
        let watch = DiskWatch::start(&dir, &journal, options.free_bytes_min).map_err(StorageError::Watch)?;
        Ok(Self {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            snapshots: Arc::new(snapshots),
            blobs: Arc::new(Blobs::Folder(dir.blobs())),
            archive: Some(Arc::new(archive)),
            ownership: Arc::new(ownership),
            watch: Some(watch),
            dir: Some(dir),
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
            watch: None,
            ownership,
            dir: None,
            report: OpenReport {
                created: true,
                ..OpenReport::default()
            },
            embedded_journal: None,
        }
    }

    /// What does not work as it should although it serves, in words; empty when all is well. Whether the journal works is
    /// told by [`Journal::subscribe`].
    pub fn troubles(&self) -> Vec<String> {
        let disk = self.watch.as_ref().and_then(DiskWatch::trouble);
        disk.into_iter().chain(self.snapshots.health().trouble).collect()
    }

    /// Writes out and syncs everything; the journal accepts nothing afterwards.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn close(&self) -> Result<(), StorageError> {
        // The journal first: a snapshot must not be on the disk before the records that it includes.
        self.journal.shutdown()?;
        Ok(self.snapshots.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::NewRecord;
    use crate::partition::partition_of;
    use crate::snapshot::{SnapshotOp, Tree};

    fn append(storage: &Storage) -> Seq {
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: partition_of("u1"),
            payload: b"like",
        };
        storage.journal.append(record).expect("the journal accepts")
    }

    fn use_it(storage: &Storage) -> Seq {
        let seq = append(storage);
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
    fn no_empty_start_when_the_journal_does_not_reach_back() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let options = StorageOptions {
            journal: JournalOptions {
                segment_bytes_max: 100,
                ..JournalOptions::default()
            },
            ..StorageOptions::default()
        };
        let storage = Storage::open(dir.path(), &options).expect("it opens");
        for number in 1..=4 {
            assert_eq!(append(&storage), Seq(number));
            storage.journal.flush().expect("flushed");
        }
        storage.journal.trim(Seq(4)).expect("trimmed");
        assert_eq!(use_it(&storage), Seq(5));
        drop(storage);
        let store = dir.path().join("snapshots");
        let elsewhere = dir.path().join("elsewhere");
        std::fs::rename(&store, &elsewhere).expect("moved");
        for _ in 0..2 {
            // Also at the second try: a refused start must not make the next one possible.
            let refused = Storage::open(dir.path(), &options).err();
            assert!(matches!(&refused, Some(StorageError::WouldLose { .. })), "{refused:?}");
            let text = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(
                text.contains("--accept-loss") && text.contains("snapshot restore"),
                "{text}"
            );
        }
        let accepting = StorageOptions {
            accept_loss: true,
            ..options.clone()
        };
        let storage = Storage::open(dir.path(), &accepting).expect("it opens");
        assert_eq!(storage.snapshots.get(Tree::Users, b"u1").expect("read"), None);
        drop(storage);
        std::fs::remove_dir_all(&store).expect("removed");
        std::fs::rename(&elsewhere, &store).expect("put back");
        let storage = Storage::open(dir.path(), &options).expect("it opens again");
        assert!(storage.snapshots.get(Tree::Users, b"u1").expect("read").is_some());
    }

    #[test]
    fn in_memory_storage_works_the_same() {
        let storage = Storage::in_memory();
        assert_eq!(use_it(&storage), Seq(1));
        assert_eq!((storage.ownership.epoch(), storage.dir.is_none()), (1, true));
    }
}
