//! What appenders, the threads of the journal, readers and maintenance share, and how all of them learn of what is wrong.
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

/// What can keep records from being committed. All but the last end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The last write or sync of a commit failed; it is tried again.
    Write,
    /// The last background sync failed; it is tried again.
    Sync,
    /// The files are not where they belong.
    Place,
    /// A thread died of a bug.
    Thread,
}

/// The faults of now.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    reasons: [Option<Arc<str>>; 4],
}

impl Faults {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.reasons[fault as usize].is_some()
    }

    /// What callers are told, if anything is wrong.
    pub(super) fn reason(&self) -> Option<&Arc<str>> {
        self.reasons.iter().rev().flatten().next()
    }
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
    /// What keeps records from being committed, while it does.
    pub(super) faults: Faults,
    /// Why nothing new is taken, although what waits is committed.
    pub(super) refusal: Option<Arc<str>>,
    pub(super) salt: u32,
}

/// Tells the waiters when a thread of the journal dies of a bug: they must not wait for ever.
pub(super) struct PanicAlarm<'a>(pub(super) &'a JournalShared);

impl Drop for PanicAlarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .set_fault(Fault::Thread, Some("a thread of the journal panicked"));
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
            faults: Faults::default(),
            refusal: None,
            salt,
        }
    }

    pub(super) fn refuse_when_over(&self) -> Result<(), JournalError> {
        match (self.faults.reason(), &self.refusal) {
            _ if self.closing => Err(JournalError::Closed),
            (Some(reason), _) | (None, Some(reason)) => Err(JournalError::Failed(Arc::clone(reason))),
            (None, None) => Ok(()),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.encoded.len() as u64 + self.in_flight_bytes
    }
}

impl JournalShared {
    /// Notes that something keeps records from being committed (or, with `None`, no longer does) and tells everybody. What
    /// waits goes on waiting; nothing new is taken.
    pub(super) fn set_fault(&self, fault: Fault, reason: Option<&str>) {
        let mut pending = self.pending.lock();
        let slot = &mut pending.faults.reasons[fault as usize];
        if slot.as_deref() == reason {
            return;
        }
        match reason {
            Some(reason) => tracing::error!(reason, "the journal cannot be written and takes nothing until it can"),
            None => tracing::warn!("what kept the journal from being written is over"),
        }
        *slot = reason.map(Arc::from);
        let failure = pending.faults.reason().cloned();
        self.commit_state.send_modify(|state| state.failure = failure);
        drop(pending);
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
