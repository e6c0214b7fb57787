//! The journal in files: what callers touch. An append encodes into the pending buffer under a short lock; the commit
//! thread, or an appender that asks for it ([`super::commit`]), takes the whole buffer and writes it. Must not do I/O in
//! `append`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::commit::{self, CommitCounters, CommitDesk};
use super::reader::JournalReader;
use super::recovery::{JournalOpenReport, recover};
use super::segment::{KIND_ERASED, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, encode_record};
use super::segment_files::{SegmentCatalog, SegmentSpan};
use super::shared::{Fault, JournalShared, PanicAlarm, Pending};
use super::syncer::Syncer;
use super::{CommitState, Journal, JournalError, JournalStats, NewRecord, Record, Seq, erase};
use crate::partition::{PARTITION_COUNT, Partition};

/// Default of [`JournalOptions::segment_bytes_max`].
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Highest value of [`JournalOptions::segment_bytes_max`]; a segment is read into memory as a whole.
pub const SEGMENT_BYTES_LIMIT: u64 = 512 * 1024 * 1024;
/// Default of [`JournalOptions::pending_bytes_max`].
pub const PENDING_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// When a record counts as committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Handed to the operating system: survives the death of the process (`kill -9`), but a power failure may cost
    /// about the last second. What gathered during one write goes out with the next.
    #[default]
    Process,
    /// On the disk: survives a power failure. Gathers for [`super::GATHER_MS`] or [`super::GATHER_RECORDS`],
    /// whichever comes first, then writes and syncs.
    Fsync,
}

/// How to run an [`EmbeddedJournal`].
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// When a record counts as committed.
    pub durability: Durability,
    /// A segment is sealed when it has reached this size, bytes (at most 512 MiB).
    pub segment_bytes_max: u64,
    /// How many encoded bytes may wait to be written.
    pub pending_bytes_max: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            segment_bytes_max: SEGMENT_BYTES_DEFAULT,
            pending_bytes_max: PENDING_BYTES_DEFAULT,
        }
    }
}

/// The journal of one process in a folder of its own.
#[derive(Debug)]
pub struct EmbeddedJournal {
    shared: Arc<JournalShared>,
    threads: Mutex<Option<JournalThreads>>,
}

#[derive(Debug)]
struct JournalThreads {
    commit: JoinHandle<()>,
    sync: JoinHandle<()>,
}

/// Keeps trim and erase out while it lives.
pub(crate) struct MaintenanceGuard<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl EmbeddedJournal {
    /// Opens the journal in `dir` (created when missing), reading all of it: cuts off a torn end, finds damage.
    ///
    /// # Errors
    /// `Io` when a file cannot be used, `NewerVersion` when a newer program wrote it.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<(Self, JournalOpenReport), JournalError> {
        fs::create_dir_all(dir).map_err(|error| JournalError::io(dir, error))?;
        let segment_bytes_max = options.segment_bytes_max.min(SEGMENT_BYTES_LIMIT);
        let options = JournalOptions {
            segment_bytes_max,
            ..options
        };
        let recovered = recover(dir, segment_bytes_max)?;
        let next_seq = recovered.report.next_seq;
        let committed = Seq(next_seq.0 - 1);
        let shared = Arc::new(JournalShared {
            options,
            pending: Mutex::new(Pending::new(next_seq, recovered.salt)),
            work: Condvar::new(),
            settled: Condvar::new(),
            committed: AtomicU64::new(committed.0),
            commit_state: watch::Sender::new(CommitState {
                committed,
                failure: None,
            }),
            catalog: SegmentCatalog::new(recovered.spans),
            contents: Arc::default(),
            maintenance: Mutex::new(()),
            syncer: Syncer::default(),
            counters: CommitCounters::default(),
            desk: Mutex::new(CommitDesk::new(recovered.writer)),
            slow_until_ms: AtomicU64::new(0),
            opened: Instant::now(),
        });
        let threads = JournalThreads {
            commit: spawn("journal-commit", dir, &shared, commit::run)?,
            sync: spawn("journal-sync", dir, &shared, |shared| {
                shared.syncer.run(|| sync(shared).is_ok());
            })?,
        };
        Ok((
            Self {
                shared,
                threads: Mutex::new(Some(threads)),
            },
            recovered.report,
        ))
    }

    /// Keeps trim and erase out, for a consistent copy.
    pub(crate) fn pause_maintenance(&self) -> MaintenanceGuard<'_> {
        MaintenanceGuard {
            _guard: self.shared.maintenance.lock(),
        }
    }

    /// The committed parts of all segments; they stay as they are as long as the guard lives.
    pub(crate) fn spans(&self, _paused: &MaintenanceGuard<'_>) -> Vec<SegmentSpan> {
        self.shared.catalog.spans_from(Seq::ZERO)
    }

    /// Takes nothing new while there is a reason not to; what waits is committed all the same.
    pub(crate) fn refuse(&self, reason: Option<&str>) {
        self.shared.pending.lock().refusal = reason.map(Arc::from);
    }

    /// Says that the files are not where they belong (or are again): nothing is committed meanwhile.
    pub(crate) fn set_misplaced(&self, reason: Option<&str>) {
        self.shared.set_fault(Fault::Place, reason);
    }

    #[cfg(test)]
    pub(super) fn replace_active_file(&self, file: fs::File) -> Arc<super::segment_files::SegmentFile> {
        self.shared.desk.lock().writer.replace_file(file)
    }

    #[cfg(test)]
    pub(super) fn restore_active_file(&self, file: Arc<super::segment_files::SegmentFile>) {
        self.shared.desk.lock().writer.restore_file(file);
    }

    /// Keeps everybody from writing while the guard lives.
    #[cfg(test)]
    pub(super) fn pause_writes(&self) -> MutexGuard<'_, CommitDesk> {
        self.shared.desk.lock()
    }

    /// Puts the record into the pending buffer. Returns its number, and whether the commit thread should know of it.
    fn put(&self, record: &NewRecord<'_>) -> Result<(Seq, bool), JournalError> {
        check_record(record)?;
        let encoded_bytes = (RECORD_HEADER_BYTES + record.payload.len()) as u64;
        let options = &self.shared.options;
        let mut pending = self.shared.pending.lock();
        pending.refuse_when_over()?;
        let pending_bytes = pending.bytes();
        // An empty buffer takes any record, or a small bound would refuse a large one for ever.
        if pending_bytes > 0 && pending_bytes + encoded_bytes > options.pending_bytes_max {
            return Err(JournalError::Full {
                pending_bytes,
                bytes_max: options.pending_bytes_max,
            });
        }
        let seq = pending.next_seq;
        let salt = pending.salt;
        encode_record(&mut pending.encoded, salt, seq, record);
        pending.next_seq = seq.next();
        pending.last_appended = seq;
        pending.records += 1;
        let is_first = pending.records == 1;
        if is_first && options.durability == Durability::Fsync {
            pending.gathering_since = Some(Instant::now());
        }
        Ok((seq, is_first || pending.records == commit::GATHER_RECORDS))
    }
}

/// Syncs what was committed into the page cache, and notes how it went.
fn sync(shared: &JournalShared) -> std::io::Result<()> {
    let synced = shared.syncer.sync_now(&|work| {
        let _nobody_commits = shared.desk.lock();
        let _nobody_erases = shared.contents.read();
        work()
    });
    let reason = synced.as_ref().err().map(|error| format!("fdatasync: {error}"));
    shared.set_fault(Fault::Sync, reason.as_deref());
    synced
}

fn spawn(
    name: &str,
    dir: &Path,
    shared: &Arc<JournalShared>,
    body: impl FnOnce(&JournalShared) + Send + 'static,
) -> Result<JoinHandle<()>, JournalError> {
    let shared = Arc::clone(shared);
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let alarm = PanicAlarm(&shared);
        body(&shared);
        drop(alarm);
    });
    started.map_err(|error| JournalError::io(dir, error))
}

impl Journal for EmbeddedJournal {
    fn append(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        let (seq, wakes) = self.put(&record)?;
        if wakes {
            self.shared.work.notify_one();
        }
        Ok(seq)
    }

    fn append_at_once(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        let (seq, _) = self.put(&record)?;
        if commit::commit_at_once(&self.shared) {
            self.shared.work.notify_one();
        }
        Ok(seq)
    }

    fn committed(&self) -> Seq {
        self.shared.committed()
    }

    fn appended(&self) -> Seq {
        self.shared.pending.lock().last_appended
    }

    fn subscribe(&self) -> watch::Receiver<CommitState> {
        self.shared.commit_state.subscribe()
    }

    fn read_from(&self, from: Seq) -> Result<JournalReader, JournalError> {
        let spans = self.shared.catalog.spans_from(from);
        Ok(JournalReader::of_segments(
            spans,
            from,
            Arc::clone(&self.shared.contents),
        ))
    }

    fn trim(&self, before: Seq) -> Result<u64, JournalError> {
        let _maintenance = self.shared.maintenance.lock();
        let mut freed_bytes = 0;
        for span in self.shared.catalog.spans_wholly_before(before) {
            fs::remove_file(&span.path).map_err(|error| JournalError::io(&span.path, error))?;
            self.shared.catalog.forget(&span.path);
            freed_bytes += span.bytes;
        }
        Ok(freed_bytes)
    }

    fn raise_next_seq(&self, next: Seq) -> Result<(), JournalError> {
        let mut pending = self.shared.pending.lock();
        // A disk that takes nothing now is no reason: this writes nothing.
        if pending.closing {
            return Err(JournalError::Closed);
        }
        // The gap in the numbers makes the writer start a new segment.
        pending.next_seq = pending.next_seq.max(next);
        Ok(())
    }

    fn erase_in(
        &self,
        partitions: &[Partition],
        matches: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<u64, JournalError> {
        self.flush()?;
        let _maintenance = self.shared.maintenance.lock();
        let mut wanted = [false; PARTITION_COUNT];
        partitions
            .iter()
            .for_each(|partition| wanted[usize::from(partition.0)] = true);
        let spans = self.shared.catalog.spans_from(Seq::ZERO);
        spans.iter().try_fold(0, |erased, span| {
            Ok(erased + erase::erase_in_segment(span, &self.shared.contents, &wanted, matches)?)
        })
    }

    fn flush(&self) -> Result<Seq, JournalError> {
        let shared = &self.shared;
        let mut pending = shared.pending.lock();
        let target = pending.last_appended;
        while shared.committed() < target {
            if let Some(reason) = pending.faults.reason() {
                return Err(JournalError::Failed(Arc::clone(reason)));
            }
            pending.urgent = true;
            shared.work.notify_one();
            shared.settled.wait(&mut pending);
        }
        drop(pending);
        // Not a number from behind the sync: what was committed meanwhile is not synced.
        let synced = shared.committed();
        // How it went is noted as a fault, which is asked for like all others.
        let _ = sync(shared);
        match shared.pending.lock().faults.reason() {
            Some(reason) => Err(JournalError::Failed(Arc::clone(reason))),
            None => Ok(synced),
        }
    }

    fn stats(&self) -> JournalStats {
        let (segments, disk_bytes) = self.shared.catalog.totals();
        let pending = self.shared.pending.lock();
        let counters = &self.shared.counters;
        JournalStats {
            pending_records: pending.records + pending.in_flight_records,
            pending_bytes: pending.bytes(),
            segments,
            disk_bytes,
            last_commit_us: counters.last_commit_us.load(Ordering::Relaxed),
            commits: counters.commits.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
        }
    }

    fn shutdown(&self) -> Result<(), JournalError> {
        let Some(threads) = self.threads.lock().take() else {
            return Ok(());
        };
        self.shared.pending.lock().closing = true;
        self.shared.work.notify_all();
        // A panic of a thread has been turned into a failure by its alarm, which flush reports.
        let _ = threads.commit.join();
        self.shared.syncer.stop();
        let _ = threads.sync.join();
        self.flush().map(|_| ())
    }
}

/// What every backend checks before it takes a record.
pub(super) fn check_record(record: &NewRecord<'_>) -> Result<(), JournalError> {
    if record.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(JournalError::TooLarge(record.payload.len()));
    }
    if record.kind == KIND_ERASED {
        Err(JournalError::ReservedKind)
    } else {
        Ok(())
    }
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::error!(%error, "the journal could not be closed cleanly");
        }
    }
}
