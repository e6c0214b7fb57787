//! The commit thread: takes what gathered, writes it with one call, tells everybody. Owns the order "write, then
//! acknowledge"; must not acknowledge anything that was not written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Seq;
use super::embedded::Durability;
use super::segment_files::SegmentWriter;
use super::shared::JournalShared;

/// How long [`Durability::Fsync`] gathers records for one sync.
pub const GATHER_MS: u64 = 5;
/// How many records end the gathering early.
pub const GATHER_RECORDS: u64 = 256;
/// A buffer that a burst has blown up above this is not kept.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Counted since the journal was opened.
#[derive(Debug, Default)]
pub(super) struct CommitCounters {
    pub(super) last_commit_us: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) records: AtomicU64,
}

/// The records of one commit.
struct Group {
    last_seq: Seq,
    records: u64,
}

/// Runs until the journal closes (everything pending is written first) or fails.
pub(super) fn run(shared: &JournalShared) {
    let mut encoded = Vec::new();
    while let Some(group) = next_group(shared, &mut encoded) {
        let started = Instant::now();
        let written = write_group(shared, &mut shared.writer.lock(), &encoded);
        match written {
            Ok(()) => settle(shared, &group, started.elapsed()),
            Err(error) => return shared.fail(&format!("write: {error}")),
        }
        encoded.clear();
        if encoded.capacity() > BUFFER_KEPT_BYTES {
            encoded = Vec::new();
        }
    }
}

/// Waits for records and swaps them into the empty `encoded`. `None` when the journal is over.
fn next_group(shared: &JournalShared, encoded: &mut Vec<u8>) -> Option<Group> {
    let mut pending = shared.pending.lock();
    loop {
        if pending.failure.is_some() {
            return None;
        }
        let gathering_ends = match pending.gathering_since {
            Some(since) if !pending.urgent && !pending.closing && pending.records < GATHER_RECORDS => {
                Some(since + Duration::from_millis(GATHER_MS))
            }
            Some(_) | None => None,
        };
        match gathering_ends {
            _ if pending.encoded.is_empty() && pending.closing => return None,
            _ if pending.encoded.is_empty() => shared.work.wait(&mut pending),
            Some(deadline) if Instant::now() < deadline => {
                shared.work.wait_until(&mut pending, deadline);
            }
            Some(_) | None => break,
        }
    }
    std::mem::swap(&mut pending.encoded, encoded);
    let group = Group {
        last_seq: pending.last_appended,
        records: pending.records,
    };
    pending.in_flight_bytes = encoded.len() as u64;
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
