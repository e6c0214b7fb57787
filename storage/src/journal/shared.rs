//! What appenders, the threads of the journal, readers and maintenance share, and how all of them learn of a failure.
//! Must not do I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use super::commit::{CommitCounters, CommitDesk};
use super::embedded::JournalOptions;
use super::segment_files::SegmentCatalog;
use super::syncer::Syncer;
use super::{CommitState, JournalError, Seq};

/// What appenders, the threads, readers and maintenance share.
#[derive(Debug)]
pub(super) struct JournalShared {
    pub(super) options: JournalOptions,
    pub(super) pending: Mutex<Pending>,
    /// Wakes the commit thread.
    pub(super) work: Condvar,
    /// Wakes those who wait in `flush`.
    pub(super) settled: Condvar,
    pub(super) committed: AtomicU64,
    pub(super) commit_state: watch::Sender<CommitState>,
    pub(super) catalog: SegmentCatalog,
    /// Written while `erase` overwrites records, read while a segment is loaded: nobody sees half a record.
    pub(super) contents: Arc<RwLock<()>>,
    /// One trim, erase or backup at a time.
    pub(super) maintenance: Mutex<()>,
    pub(super) syncer: Syncer,
    pub(super) counters: CommitCounters,
    /// Held by whoever commits.
    pub(super) desk: Mutex<CommitDesk>,
    /// Until when appenders do not write themselves, in milliseconds since `opened`.
    pub(super) slow_until_ms: AtomicU64,
    pub(super) opened: Instant,
}

/// The records that wait for the next commit.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) encoded: Vec<u8>,
    pub(super) records: u64,
    /// When the first of them came.
    pub(super) gathering_since: Option<Instant>,
    /// Size of the group that is being written right now.
    pub(super) in_flight_bytes: u64,
    pub(super) in_flight_records: u64,
    pub(super) next_seq: Seq,
    /// The number up to which records were ever handed out; `next_seq` may be ahead of it.
    pub(super) last_appended: Seq,
    /// Somebody waits in `flush`: do not gather.
    pub(super) urgent: bool,
    pub(super) closing: bool,
    pub(super) failure: Option<Arc<str>>,
    pub(super) salt: u32,
}

/// Tells the waiters when a thread of the journal dies of a bug: they must not wait for ever.
pub(super) struct PanicAlarm<'a>(pub(super) &'a JournalShared);

impl Drop for PanicAlarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a thread of the journal panicked");
        }
    }
}

impl Pending {
    pub(super) fn new(next_seq: Seq, salt: u32) -> Self {
        Self {
            encoded: Vec::new(),
            records: 0,
            gathering_since: None,
            in_flight_bytes: 0,
            in_flight_records: 0,
            next_seq,
            last_appended: Seq(next_seq.0 - 1),
            urgent: false,
            closing: false,
            failure: None,
            salt,
        }
    }

    pub(super) fn refuse_when_over(&self) -> Result<(), JournalError> {
        match &self.failure {
            Some(reason) => Err(JournalError::Failed(Arc::clone(reason))),
            None if self.closing => Err(JournalError::Closed),
            None => Ok(()),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.encoded.len() as u64 + self.in_flight_bytes
    }
}

impl JournalShared {
    /// From now on nothing is committed and every append is refused.
    pub(super) fn fail(&self, reason: &str) {
        tracing::error!(
            reason,
            "the journal has failed and accepts nothing until it is opened again"
        );
        let reason: Arc<str> = reason.into();
        let mut pending = self.pending.lock();
        if pending.failure.is_none() {
            pending.failure = Some(Arc::clone(&reason));
        }
        pending.encoded = Vec::new();
        pending.records = 0;
        pending.in_flight_bytes = 0;
        pending.in_flight_records = 0;
        drop(pending);
        self.commit_state.send_modify(|state| {
            state.failure.get_or_insert(reason);
        });
        self.settled.notify_all();
        self.work.notify_all();
    }

    /// Whether a write had to wait for the disk a moment ago.
    pub(super) fn is_slow(&self) -> bool {
        let until_ms = self.slow_until_ms.load(Ordering::Relaxed);
        until_ms > 0 && self.opened.elapsed() < Duration::from_millis(until_ms)
    }

    /// Appenders leave writing to the commit thread for so long.
    pub(super) fn rest_from_slowness(&self, rest: Duration) {
        let until = self.opened.elapsed() + rest;
        let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.slow_until_ms.store(until_ms, Ordering::Relaxed);
    }

    pub(super) fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }
}
