//! The event journal, the truth of the system: an append-only sequence of numbered records. Owns the trait, its types
//! and the waiting for commits; the file backend is [`EmbeddedJournal`], the twin for tests is [`MemoryJournal`].
//! Must not know what is in a payload.

mod commit;
mod embedded;
mod erase;
mod memory;
mod reader;
mod recovery;
mod segment;
mod segment_files;
mod shared;
mod syncer;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod model_tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::partition::Partition;

pub use commit::{GATHER_MS, GATHER_RECORDS};
pub use embedded::{
    Durability, EmbeddedJournal, JournalOptions, PENDING_BYTES_DEFAULT, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_LIMIT,
};
pub use memory::{MEMORY_JOURNAL_BYTES_DEFAULT, MemoryJournal};
pub use reader::JournalReader;
pub use recovery::{DAMAGES_REPORTED_MAX, JournalOpenReport};
pub use segment::{KIND_ERASED, PAYLOAD_BYTES_MAX};

pub(crate) use reader::count_segment;

/// Sequence number of a record: 1 for the first, growing, never reused. 0 means "nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before every record.
    pub const ZERO: Seq = Seq(0);
    /// The number of the first record of a new journal.
    pub const FIRST: Seq = Seq(1);

    /// The number after this one.
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// A record to append; its payload is whatever the caller encoded.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What the payload is (1 to 255; [`KIND_ERASED`] is taken).
    pub kind: u8,
    /// Version of the payload's encoding.
    pub version: u8,
    /// Partition of the key that the record belongs to.
    pub partition: Partition,
    /// At most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: &'a [u8],
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub seq: Seq,
    /// What the payload is.
    pub kind: u8,
    /// Version of the payload's encoding.
    pub version: u8,
    /// Partition of the key that the record belongs to.
    pub partition: Partition,
    /// The bytes that were appended.
    pub payload: Vec<u8>,
}

/// A stretch of the journal that holds no intact record. It is reported and skipped, never fatal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// File name of the segment.
    pub segment: String,
    /// Where the stretch starts, bytes from the start of the segment.
    pub offset: u64,
    /// Its length in bytes; 0 when records are missing without a trace.
    pub bytes: u64,
    /// How many records it held, where that can be told.
    pub records_lost: Option<u64>,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} at byte {} ({} bytes): {}",
            self.segment, self.offset, self.bytes, self.detail
        )
    }
}

/// What a [`JournalReader`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadItem {
    /// The next record.
    Record(Record),
    /// Bytes that had to be skipped; the following items go on behind them.
    Damaged(Damage),
}

/// How far the journal is committed, and whether it has failed. One change per commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitState {
    /// Every record up to this one survives a crash (as far as the [`Durability`] promises).
    pub committed: Seq,
    /// Set while records cannot be written. Those that wait are tried again and again, in their order, and are committed
    /// when the disk takes them; whoever cannot wait may not count on them.
    pub failure: Option<Arc<str>>,
}

/// Numbers for metrics and operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Records appended and not yet committed: the lag.
    pub pending_records: u64,
    /// Their encoded size in bytes.
    pub pending_bytes: u64,
    /// Segments on disk, the active one included.
    pub segments: u64,
    /// Their size in bytes.
    pub disk_bytes: u64,
    /// How long the last commit took, microseconds.
    pub last_commit_us: u64,
    /// Commits since the journal was opened.
    pub commits: u64,
    /// Records committed since the journal was opened.
    pub records: u64,
}

/// Why the journal refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Too much is waiting to be written. Nothing was appended; try again later.
    #[error("the journal is full: {pending_bytes} bytes wait to be written, {bytes_max} may")]
    Full {
        /// Encoded bytes that wait.
        pending_bytes: u64,
        /// How many may.
        bytes_max: u64,
    },
    /// Records cannot be written now (disk full, I/O error, files gone): no append is accepted until they can.
    #[error("the journal cannot be written: {0}")]
    Failed(Arc<str>),
    /// The journal was shut down.
    #[error("the journal is closed")]
    Closed,
    /// The payload is above [`PAYLOAD_BYTES_MAX`].
    #[error("a record of {0} bytes is above the limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge(usize),
    /// [`KIND_ERASED`] cannot be appended.
    #[error("record kind {KIND_ERASED} is reserved for erased records")]
    ReservedKind,
    /// A segment was written by a newer program.
    #[error("journal segment {path} has version {version}, this program knows up to {supported}")]
    NewerVersion {
        /// The segment's file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest one known.
        supported: u32,
    },
    /// A file of the journal could not be used.
    #[error("journal file {path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
}

impl JournalError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source: Arc::new(source),
        }
    }
}

/// An append-only sequence of records with group commit. All methods may be called from any thread.
pub trait Journal: Send + Sync {
    /// Numbers the record and puts it into the pending buffer; never waits for the disk. It is safe only when
    /// [`Journal::committed`] has reached the number.
    ///
    /// # Errors
    /// `Full`, `Failed`, `Closed`, `TooLarge`, `ReservedKind`; nothing was appended then.
    fn append(&self, record: NewRecord<'_>) -> Result<Seq, JournalError>;

    /// As [`append`](Self::append), for a caller with nothing more urgent to do: where a commit is one write into the
    /// system's cache, the caller makes it, which is cheaper than waking another thread and being woken by it. The record
    /// is committed most times then, and always soon.
    ///
    /// # Errors
    /// Those of `append`.
    fn append_at_once(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        self.append(record)
    }

    /// Everything up to this number is committed.
    fn committed(&self) -> Seq;

    /// The number that was handed out last; what is between [`committed`](Self::committed) and it waits to be written.
    fn appended(&self) -> Seq;

    /// A receiver that is told of every commit (newest state only) and of a failure.
    fn subscribe(&self) -> watch::Receiver<CommitState>;

    /// Reads the records from `from` on, up to what is committed now. Erased records are left out.
    ///
    /// # Errors
    /// `Io` when the journal cannot be listed. Damage is not an error but a [`ReadItem::Damaged`].
    fn read_from(&self, from: Seq) -> Result<JournalReader, JournalError>;

    /// Deletes what is wholly before `before`; works in whole sealed segments, so some of it may stay. Returns how
    /// many bytes were freed.
    ///
    /// # Errors
    /// `Io` when a segment cannot be deleted.
    fn trim(&self, before: Seq) -> Result<u64, JournalError>;

    /// Makes sure that the next record gets at least the number `next`. Called at recovery with the highest number
    /// that a snapshot includes, so that no new record is mistaken for an included one when the journal lost its end.
    ///
    /// # Errors
    /// `Failed` or `Closed`.
    fn raise_next_seq(&self, next: Seq) -> Result<(), JournalError>;

    /// Forgets: overwrites in place, on disk, the payload of every record of `partition` for which `matches` says
    /// yes, and returns how many those were. Durable when it returns. Covers all records appended before the call;
    /// must not be called from `matches`. Bytes in a damaged stretch belong to nobody and are not touched.
    ///
    /// # Errors
    /// `Failed` or `Closed` when pending records cannot be committed first, `Io` when a segment cannot be rewritten.
    fn erase(&self, partition: Partition, matches: &mut dyn FnMut(&Record) -> bool) -> Result<u64, JournalError> {
        self.erase_in(&[partition], matches)
    }

    /// [`Journal::erase`] in several partitions, reading the journal once.
    ///
    /// # Errors
    /// As there.
    fn erase_in(&self, partitions: &[Partition], matches: &mut dyn FnMut(&Record) -> bool)
    -> Result<u64, JournalError>;

    /// Commits everything pending and returns when it has reached the disk (fdatasync), with the committed number.
    /// Blocks; not for an async thread.
    ///
    /// # Errors
    /// `Failed` when it could not be written.
    fn flush(&self) -> Result<Seq, JournalError>;

    /// The numbers of now.
    fn stats(&self) -> JournalStats;

    /// Writes out everything pending, syncs and stops; later appends are refused. Calling it twice is harmless.
    ///
    /// # Errors
    /// `Failed` when not everything could be written.
    fn shutdown(&self) -> Result<(), JournalError>;
}

impl dyn Journal + '_ {
    /// Waits until `seq` is committed; see [`wait_committed`].
    ///
    /// # Errors
    /// As [`wait_committed`].
    pub async fn wait_committed(&self, seq: Seq) -> Result<(), JournalError> {
        wait_committed(&mut self.subscribe(), seq).await
    }
}

/// Waits until `seq` is committed.
///
/// # Errors
/// `Failed` when the journal cannot be written before it has committed `seq` (which it may still do later), `Closed` when it was dropped before that.
pub async fn wait_committed(receiver: &mut watch::Receiver<CommitState>, seq: Seq) -> Result<(), JournalError> {
    let settled = receiver
        .wait_for(|state| state.committed >= seq || state.failure.is_some())
        .await;
    let state = settled.map_err(|_| JournalError::Closed)?;
    match &state.failure {
        Some(reason) if state.committed < seq => Err(JournalError::Failed(Arc::clone(reason))),
        Some(_) | None => Ok(()),
    }
}
