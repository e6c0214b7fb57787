//! The journal in memory, for tests and for `in_memory` storage: the same contract, every append committed at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::embedded::check_record;
use super::reader::JournalReader;
use super::segment::{KIND_ERASED, RECORD_HEADER_BYTES};
use super::{CommitState, Journal, JournalError, JournalStats, NewRecord, Record, Seq};
use crate::partition::Partition;

/// Default bound of [`MemoryJournal`], bytes.
pub const MEMORY_JOURNAL_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;

/// A journal that is gone with its process.
#[derive(Debug)]
pub struct MemoryJournal {
    records: Mutex<MemoryRecords>,
    committed: AtomicU64,
    commit_state: watch::Sender<CommitState>,
    bytes_max: u64,
}

#[derive(Debug)]
struct MemoryRecords {
    records: VecDeque<Record>,
    bytes: u64,
    next_seq: Seq,
    appended: u64,
    closed: bool,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(MEMORY_JOURNAL_BYTES_DEFAULT)
    }
}

impl MemoryJournal {
    /// An empty journal that refuses appends (`Full`) above `bytes_max` until it is trimmed.
    pub fn new(bytes_max: u64) -> Self {
        let records = MemoryRecords {
            records: VecDeque::new(),
            bytes: 0,
            next_seq: Seq::FIRST,
            appended: 0,
            closed: false,
        };
        Self {
            records: Mutex::new(records),
            committed: AtomicU64::new(0),
            commit_state: watch::Sender::new(CommitState::default()),
            bytes_max,
        }
    }
}

fn encoded_bytes(payload: &[u8]) -> u64 {
    (RECORD_HEADER_BYTES + payload.len()) as u64
}

impl Journal for MemoryJournal {
    fn append(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        check_record(&record)?;
        let mut state = self.records.lock();
        if state.closed {
            return Err(JournalError::Closed);
        }
        let bytes = state.bytes + encoded_bytes(record.payload);
        if bytes > self.bytes_max {
            return Err(JournalError::Full {
                pending_bytes: state.bytes,
                bytes_max: self.bytes_max,
            });
        }
        let seq = state.next_seq;
        state.bytes = bytes;
        state.next_seq = seq.next();
        state.appended += 1;
        state.records.push_back(Record {
            seq,
            kind: record.kind,
            version: record.version,
            partition: record.partition,
            payload: record.payload.to_vec(),
        });
        self.committed.store(seq.0, Ordering::Release);
        // Still under the lock, so that the state never goes backwards.
        self.commit_state.send_modify(|commit| commit.committed = seq);
        Ok(seq)
    }

    fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }

    fn appended(&self) -> Seq {
        self.committed()
    }

    fn subscribe(&self) -> watch::Receiver<CommitState> {
        self.commit_state.subscribe()
    }

    fn read_from(&self, from: Seq) -> Result<JournalReader, JournalError> {
        let state = self.records.lock();
        let wanted = |record: &&Record| record.seq >= from && record.kind != KIND_ERASED;
        Ok(JournalReader::of_records(
            state.records.iter().filter(wanted).cloned().collect(),
        ))
    }

    fn trim(&self, before: Seq) -> Result<u64, JournalError> {
        let mut state = self.records.lock();
        let mut freed_bytes = 0;
        let trimmed = state.records.partition_point(|record| record.seq < before);
        for record in state.records.drain(..trimmed) {
            freed_bytes += encoded_bytes(&record.payload);
        }
        state.bytes -= freed_bytes;
        Ok(freed_bytes)
    }

    fn raise_next_seq(&self, next: Seq) -> Result<(), JournalError> {
        let mut state = self.records.lock();
        if state.closed {
            return Err(JournalError::Closed);
        }
        state.next_seq = state.next_seq.max(next);
        Ok(())
    }

    fn erase_in(
        &self,
        partitions: &[Partition],
        matches: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<u64, JournalError> {
        let mut state = self.records.lock();
        let mut erased = 0;
        for record in &mut state.records {
            if partitions.contains(&record.partition) && record.kind != KIND_ERASED && matches(record) {
                record.kind = KIND_ERASED;
                record.payload.fill(0);
                erased += 1;
            }
        }
        Ok(erased)
    }

    fn flush(&self) -> Result<Seq, JournalError> {
        Ok(self.committed())
    }

    fn stats(&self) -> JournalStats {
        let state = self.records.lock();
        JournalStats {
            commits: state.appended,
            records: state.appended,
            ..JournalStats::default()
        }
    }

    fn shutdown(&self) -> Result<(), JournalError> {
        self.records.lock().closed = true;
        Ok(())
    }
}
