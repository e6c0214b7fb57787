//! Commits: take what gathered, write it with one call, tell everybody. The commit thread does that, or the appender
//! itself when it has nothing better to do. Owns the order "write, then acknowledge", and that what could not be written is
//! kept and tried again, in its place; must not acknowledge anything that was not written.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Seq;
use super::embedded::Durability;
use super::segment_files::SegmentWriter;
use super::shared::{Fault, JournalShared, PanicAlarm, Pending};

/// How long [`Durability::Fsync`] gathers records for one sync.
pub const GATHER_MS: u64 = 5;
/// How many records end the gathering early.
pub const GATHER_RECORDS: u64 = 256;
/// A buffer that a burst has blown up above this is not kept.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// A write into the system's cache that takes longer has waited for the disk,
const SLOW_WRITE: Duration = Duration::from_millis(5);
/// and for so long after it appenders leave writing to the commit thread.
const SLOW_REST: Duration = Duration::from_secs(1);

/// What could not be written is tried again after so long; sooner in tests, which fill and empty disks by the hundred.
pub(super) const RETRY_MS: u64 = if cfg!(test) { 5 } else { 250 };

/// Counted since the journal was opened.
#[derive(Debug, Default)]
pub(super) struct CommitCounters {
    pub(super) last_commit_us: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) records: AtomicU64,
}

/// What only the one who commits has: where records go, and an empty buffer to swap for the pending one.
#[derive(Debug)]
pub(super) struct CommitDesk {
    pub(super) writer: SegmentWriter,
    spare: Vec<u8>,
    /// The records whose write failed: the next ones to be written.
    unwritten: Option<Group>,
}

impl CommitDesk {
    pub(super) fn new(writer: SegmentWriter) -> Self {
        Self {
            writer,
            spare: Vec::new(),
            unwritten: None,
        }
    }
}

/// The records of one commit.
#[derive(Debug)]
struct Group {
    encoded: Vec<u8>,
    last_seq: Seq,
    records: u64,
}

/// Runs until the journal closes; everything pending is written first, or tried once more where the disk does not take it.
pub(super) fn run(shared: &JournalShared) {
    loop {
        let turn = wait_for_records(shared);
        if turn == Turn::Over {
            return;
        }
        let mut desk = shared.desk.lock();
        // An appender may have been faster.
        let group = desk
            .unwritten
            .take()
            .or_else(|| take_group(&mut shared.pending.lock(), &mut desk.spare));
        let is_written = group.is_none_or(|group| commit(shared, &mut desk, group));
        if turn == Turn::Last && !is_written {
            return;
        }
    }
}

/// Commits on the caller's thread, if that is a matter of one write into the system's cache. What it leaves is the commit
/// thread's work; returns whether there is any.
pub(super) fn commit_at_once(shared: &JournalShared) -> bool {
    if shared.options.durability != Durability::Process || shared.is_slow() {
        return true;
    }
    // Whoever has the desk may have taken the caller's record or not.
    let Some(mut desk) = shared.desk.try_lock() else {
        return true;
    };
    let mut pending = shared.pending.lock();
    if pending.faults.reason().is_some() || desk.unwritten.is_some() {
        return true;
    }
    if !pending.encoded.is_empty() && !desk.writer.has_room_for(&pending.encoded) {
        return true;
    }
    let group = take_group(&mut pending, &mut desk.spare);
    drop(pending);
    if let Some(group) = group {
        let alarm = PanicAlarm(shared);
        let started = Instant::now();
        commit(shared, &mut desk, group);
        if started.elapsed() > SLOW_WRITE {
            shared.rest_from_slowness(SLOW_REST);
        }
        drop(alarm);
    }
    false
}

/// Writes a group and tells everybody. Returns `false` when it could not be written; it is the next one then.
fn commit(shared: &JournalShared, desk: &mut CommitDesk, group: Group) -> bool {
    let started = Instant::now();
    if let Err(error) = write_group(shared, &mut desk.writer, &group.encoded) {
        desk.writer.roll_back();
        desk.unwritten = Some(group);
        shared.set_fault(Fault::Write, Some(&format!("write: {error}")));
        return false;
    }
    if settle(shared, &group, started.elapsed()) {
        shared.set_fault(Fault::Write, None);
    }
    let mut spare = group.encoded;
    spare.clear();
    if spare.capacity() <= BUFFER_KEPT_BYTES {
        desk.spare = spare;
    }
    true
}

/// What the commit thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It commits.
    Commit,
    /// It tries once more what could not be written: the journal closes.
    Last,
    /// It ends.
    Over,
}

/// Waits until records should be committed.
fn wait_for_records(shared: &JournalShared) -> Turn {
    let mut pending = shared.pending.lock();
    let retry_at = Instant::now() + Duration::from_millis(RETRY_MS);
    loop {
        if pending.faults.has(Fault::Thread) {
            return Turn::Over;
        }
        if pending.faults.has(Fault::Place) {
            // Whatever would be written would be nowhere.
            if pending.closing {
                return Turn::Over;
            }
            shared.work.wait(&mut pending);
            continue;
        }
        if pending.faults.has(Fault::Write) {
            if pending.closing {
                return Turn::Last;
            }
            if shared.work.wait_until(&mut pending, retry_at).timed_out() {
                return Turn::Commit;
            }
            continue;
        }
        let gathering_ends = match pending.gathering_since {
            Some(since) if !pending.urgent && !pending.closing && pending.records < GATHER_RECORDS => {
                Some(since + Duration::from_millis(GATHER_MS))
            }
            Some(_) | None => None,
        };
        match gathering_ends {
            _ if pending.encoded.is_empty() && pending.closing => return Turn::Over,
            _ if pending.encoded.is_empty() => shared.work.wait(&mut pending),
            Some(deadline) if Instant::now() < deadline => {
                shared.work.wait_until(&mut pending, deadline);
            }
            Some(_) | None => return Turn::Commit,
        }
    }
}

/// Swaps the pending records for the empty `spare`; the caller has the desk, or groups would overtake each other.
fn take_group(pending: &mut Pending, spare: &mut Vec<u8>) -> Option<Group> {
    if pending.encoded.is_empty() {
        return None;
    }
    let encoded = std::mem::replace(&mut pending.encoded, std::mem::take(spare));
    let group = Group {
        last_seq: pending.last_appended,
        records: pending.records,
        encoded,
    };
    pending.in_flight_bytes = group.encoded.len() as u64;
    pending.in_flight_records = pending.records;
    pending.records = 0;
    pending.gathering_since = None;
    pending.urgent = false;
    Some(group)
}

fn write_group(shared: &JournalShared, writer: &mut SegmentWriter, encoded: &[u8]) -> io::Result<()> {
    let durability = shared.options.durability;
    writer.write(&shared.catalog, encoded, |sealed| match durability {
        Durability::Process => {
            shared.syncer.mark_dirty(sealed);
            Ok(())
        }
        Durability::Fsync => sealed.file.sync_data(),
    })?;
    match durability {
        Durability::Process => shared.syncer.mark_dirty(writer.active()),
        Durability::Fsync => writer.active().file.sync_data()?,
    }
    writer.settle();
    writer.publish(&shared.catalog);
    Ok(())
}

/// Acknowledges: one notification per commit. Returns whether writing had failed before.
fn settle(shared: &JournalShared, group: &Group, took: Duration) -> bool {
    let counters = &shared.counters;
    counters
        .last_commit_us
        .store(took.as_micros() as u64, Ordering::Relaxed);
    counters.commits.fetch_add(1, Ordering::Relaxed);
    counters.records.fetch_add(group.records, Ordering::Relaxed);
    let mut pending = shared.pending.lock();
    pending.in_flight_bytes = 0;
    pending.in_flight_records = 0;
    shared.committed.store(group.last_seq.0, Ordering::Release);
    let had_failed = pending.faults.has(Fault::Write);
    drop(pending);
    shared
        .commit_state
        .send_modify(|state| state.committed = group.last_seq);
    shared.settled.notify_all();
    had_failed
}
