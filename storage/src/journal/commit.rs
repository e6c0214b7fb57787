//! Commits: take what gathered, write it with one call, tell everybody. The commit thread does that, or the appender
//! itself when it has nothing better to do. Owns the order "write, then acknowledge"; must not acknowledge anything that
//! was not written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Seq;
use super::embedded::Durability;
use super::segment_files::SegmentWriter;
use super::shared::{JournalShared, PanicAlarm, Pending};

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
}

impl CommitDesk {
    pub(super) fn new(writer: SegmentWriter) -> Self {
        Self {
            writer,
            spare: Vec::new(),
        }
    }
}

/// The records of one commit.
struct Group {
    encoded: Vec<u8>,
    last_seq: Seq,
    records: u64,
}

/// Runs until the journal closes (everything pending is written first) or fails.
pub(super) fn run(shared: &JournalShared) {
    while wait_for_records(shared) {
        let mut desk = shared.desk.lock();
        // An appender may have been faster.
        let group = take_group(&mut shared.pending.lock(), &mut desk.spare);
        if let Some(group) = group
            && !commit(shared, &mut desk, group)
        {
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

/// Writes a group and tells everybody. Returns `false` when the journal has failed of it.
fn commit(shared: &JournalShared, desk: &mut CommitDesk, group: Group) -> bool {
    let started = Instant::now();
    match write_group(shared, &mut desk.writer, &group.encoded) {
        Ok(()) => settle(shared, &group, started.elapsed()),
        Err(error) => {
            shared.fail(&format!("write: {error}"));
            return false;
        }
    }
    let mut spare = group.encoded;
    spare.clear();
    if spare.capacity() <= BUFFER_KEPT_BYTES {
        desk.spare = spare;
    }
    true
}

/// Waits until records should be committed. `false` when the journal is over.
fn wait_for_records(shared: &JournalShared) -> bool {
    let mut pending = shared.pending.lock();
    loop {
        if pending.failure.is_some() {
            return false;
        }
        let gathering_ends = match pending.gathering_since {
            Some(since) if !pending.urgent && !pending.closing && pending.records < GATHER_RECORDS => {
                Some(since + Duration::from_millis(GATHER_MS))
            }
            Some(_) | None => None,
        };
        match gathering_ends {
            _ if pending.encoded.is_empty() && pending.closing => return false,
            _ if pending.encoded.is_empty() => shared.work.wait(&mut pending),
            Some(deadline) if Instant::now() < deadline => {
                shared.work.wait_until(&mut pending, deadline);
            }
            Some(_) | None => return true,
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
        Durability::Fsync => sealed.sync_data(),
    })?;
    match durability {
        Durability::Process => shared.syncer.mark_dirty(writer.file()),
        Durability::Fsync => writer.file().sync_data()?,
    }
    writer.publish(&shared.catalog);
    Ok(())
}

/// Acknowledges: one notification per commit.
fn settle(shared: &JournalShared, group: &Group, took: Duration) {
    let counters = &shared.counters;
    counters
        .last_commit_us
        .store(took.as_micros() as u64, Ordering::Relaxed);
    counters.commits.fetch_add(1, Ordering::Relaxed);
    counters.records.fetch_add(group.records, Ordering::Relaxed);
    let mut pending = shared.pending.lock();
    pending.in_flight_bytes = 0;
    pending.in_flight_records = 0;
    let failure = pending.failure.as_ref().map(Arc::clone);
    shared.committed.store(group.last_seq.0, Ordering::Release);
    drop(pending);
    shared.commit_state.send_modify(|state| {
        state.committed = group.last_seq;
        if state.failure.is_none() {
            state.failure = failure;
        }
    });
    shared.settled.notify_all();
}
