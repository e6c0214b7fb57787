//! Storage of Swipeline: the event journal (the truth), snapshots (so that a start is quick), the data directory with
//! its lock and version, ownership of partitions, and backups. Everything is bytes: callers encode and decode. Knows no
//! HTTP, no ranking and no domain type; the only crate that knows sled.
//!
//! | part | trait | files | in memory |
//! |---|---|---|---|
//! | [`journal`] | [`journal::Journal`] | [`journal::EmbeddedJournal`] | [`journal::MemoryJournal`] |
//! | [`snapshot`] | [`snapshot::SnapshotStore`] | [`snapshot::SledStore`] | [`snapshot::MemoryStore`] |
//! | [`archive`] | | [`archive::Archive`] | |
//! | [`ownership`] | [`ownership::Ownership`] | [`ownership::EmbeddedOwnership`] | the same |
//!
//! [`snapshot::SupervisedStore`] stands before the store on disk, so that nobody depends on it being alive, and
//! [`snapshot::WriteBehind`] before any for callers that must not wait for it.
//!
//! Each trait has one contract test suite that all of its implementations run.
//!
//! # How state survives
//! An event is appended to the journal and acknowledged after the commit. Snapshots carry the journal sequence they
//! include. A start reads the snapshots and then the journal behind them, calls
//! [`journal::Journal::raise_next_seq`] with the highest included sequence plus one, and goes on. The journal is trimmed only
//! behind snapshots that [`snapshot::SnapshotStore::flush`] has made durable.

pub mod archive;
pub mod backup;
mod blobs;
pub mod data_dir;
mod disk_watch;
mod files;
pub mod journal;
pub mod ownership;
pub mod partition;
mod priority;
pub mod ring_log;
pub mod snapshot;
mod storage;
pub mod table;

pub use archive::{Archive, ArchiveError, ArchiveKind};
pub use blobs::{BlobError, BlobName, Blobs};
pub use data_dir::{DataDir, DataDirError, DataDirOptions};
pub use journal::{
    CommitState, Durability, Journal, JournalError, JournalOptions, NewRecord, ReadItem, Record, Seq, wait_committed,
};
pub use ownership::{EmbeddedOwnership, Lease, Owner, Ownership};
pub use partition::{PARTITION_COUNT, Partition, partition_of};
pub use priority::give_way;
pub use ring_log::{RingLog, erase_records, read_ring_log};
pub use snapshot::{SledOptions, SnapshotError, SnapshotOp, SnapshotStore, Tree, WriteBehind};
pub use storage::{OpenReport, Storage, StorageError, StorageOptions};
