//! A disk that can lose its power: what was synced stays, of the rest any prefix.
//!
//! Owns the two files of the simulation, the journal and the store, and what a crash leaves of them. It answers as the real
//! ones do: a commit is a write to the operating system, or a sync; the store keeps batches whole and in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use swipeline_storage::journal::{JournalReader, JournalStats};
use swipeline_storage::snapshot::{EntryVisitor, VisitReport};
use swipeline_storage::{
    CommitState, Journal, JournalError, NewRecord, Partition, Record, Seq, SnapshotError, SnapshotOp, SnapshotStore,
    Tree,
};
use tokio::sync::watch;

use super::Rng;

type Rows = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// `kill -9`: nothing that was written.
    Kill,
    /// The power: anything that was not synced.
    Power,
}

/// Both files of one life of the process.
#[derive(Debug, Default)]
pub(super) struct Disk {
    records: Vec<Record>,
    /// How many of them are synced.
    synced: usize,
    rows: Rows,
    /// Changes behind the last flush, in their order; batches are not whole after a crash.
    unflushed: Vec<SnapshotOp>,
}

impl Disk {
    /// The disk as the next process finds it.
    pub(super) fn after(&self, crash: Crash, rng: &mut Rng) -> Disk {
        let records = match crash {
            Crash::Kill => self.records.len(),
            Crash::Power => self.synced + rng.below(self.records.len() - self.synced + 1),
        };
        let mut rows = self.rows.clone();
        // sled loses unflushed batches to a kill, too.
        let kept = rng.below(self.unflushed.len() + 1);
        apply(&mut rows, &self.unflushed[..kept]);
        Disk {
            records: self.records[..records].to_vec(),
            synced: records,
            rows,
            unflushed: Vec::new(),
        }
    }
}

fn apply(rows: &mut Rows, ops: &[SnapshotOp]) {
    for op in ops {
        match op.clone() {
            SnapshotOp::Put { tree, key, value } => rows.insert((tree, key), value),
            SnapshotOp::Delete { tree, key } => rows.remove(&(tree, key)),
        };
    }
}

/// The process's way to the disk. When it is dead nothing reaches the disk any more.
pub(super) struct Host {
    disk: Mutex<Disk>,
    state: Mutex<HostState>,
    commits: watch::Sender<CommitState>,
    syncs: bool,
}

struct HostState {
    pending: Vec<Record>,
    next: Seq,
    /// Commits wait until somebody syncs or the disk is fast again.
    is_slow: bool,
    store_fails: bool,
    is_dead: bool,
}

impl Host {
    /// A process on a disk; with `syncs` a record is committed when it is synced.
    pub(super) fn new(disk: Disk, syncs: bool) -> Arc<Self> {
        let committed = disk.records.last().map_or(Seq::ZERO, |record| record.seq);
        Arc::new(Self {
            disk: Mutex::new(disk),
            state: Mutex::new(HostState {
                pending: Vec::new(),
                next: committed.next(),
                is_slow: false,
                store_fails: false,
                is_dead: false,
            }),
            commits: watch::Sender::new(CommitState {
                committed,
                failure: None,
            }),
            syncs,
        })
    }

    /// The process is gone; this is what the next one finds.
    pub(super) fn crash(&self, crash: Crash, rng: &mut Rng) -> Disk {
        self.state.lock().is_dead = true;
        self.disk.lock().after(crash, rng)
    }

    pub(super) fn be_slow(&self, is_slow: bool) {
        self.state.lock().is_slow = is_slow;
        if !is_slow {
            self.commit();
        }
    }

    pub(super) fn fail_store(&self, fails: bool) {
        self.state.lock().store_fails = fails;
    }

    /// Everything that was appended is on the disk.
    pub(super) fn sync(&self) {
        self.commit();
        let mut disk = self.disk.lock();
        disk.synced = disk.records.len();
    }

    /// Writes some of what waits.
    pub(super) fn commit_some(&self, rng: &mut Rng) {
        let waiting = self.state.lock().pending.len();
        self.write(rng.below(waiting + 1));
    }

    fn commit(&self) {
        self.write(usize::MAX);
    }

    fn write(&self, count: usize) {
        let mut state = self.state.lock();
        let count = count.min(state.pending.len());
        if state.is_dead || count == 0 {
            return;
        }
        let mut disk = self.disk.lock();
        disk.records.extend(state.pending.drain(..count));
        if self.syncs {
            disk.synced = disk.records.len();
        }
        if let Some(last) = disk.records.last() {
            self.commits.send_modify(|commit| commit.committed = last.seq);
        }
    }
}

/// The journal on that disk.
pub(super) struct SimJournal(pub(super) Arc<Host>);

impl Journal for SimJournal {
    fn append(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        let mut state = self.0.state.lock();
        if state.is_dead {
            return Err(JournalError::Closed);
        }
        let seq = state.next;
        state.next = seq.next();
        state.pending.push(Record {
            seq,
            kind: record.kind,
            version: record.version,
            partition: record.partition,
            payload: record.payload.to_vec(),
        });
        let is_slow = state.is_slow;
        drop(state);
        if !is_slow {
            self.0.commit();
        }
        Ok(seq)
    }

    fn committed(&self) -> Seq {
        self.0.commits.borrow().committed
    }

    fn appended(&self) -> Seq {
        let state = self.0.state.lock();
        state.pending.last().map_or_else(|| self.committed(), |last| last.seq)
    }

    fn subscribe(&self) -> watch::Receiver<CommitState> {
        self.0.commits.subscribe()
    }

    fn read_from(&self, from: Seq) -> Result<JournalReader, JournalError> {
        let disk = self.0.disk.lock();
        let wanted = disk.records.iter().filter(|record| record.seq >= from).cloned();
        Ok(JournalReader::of_records(wanted.collect()))
    }

    fn trim(&self, before: Seq) -> Result<u64, JournalError> {
        let mut disk = self.0.disk.lock();
        let trimmed = disk.records.partition_point(|record| record.seq < before);
        disk.records.drain(..trimmed);
        disk.synced = disk.synced.saturating_sub(trimmed);
        Ok(trimmed as u64)
    }

    fn raise_next_seq(&self, next: Seq) -> Result<(), JournalError> {
        let mut state = self.0.state.lock();
        state.next = state.next.max(next);
        Ok(())
    }

    fn erase_in(&self, _: &[Partition], _: &mut dyn FnMut(&Record) -> bool) -> Result<u64, JournalError> {
        Ok(0)
    }

    fn flush(&self) -> Result<Seq, JournalError> {
        if self.0.state.lock().is_dead {
            return Err(JournalError::Closed);
        }
        self.0.sync();
        Ok(self.committed())
    }

    fn stats(&self) -> JournalStats {
        // Always worth a trim: what the snapshots include is gone when they say so.
        JournalStats {
            disk_bytes: u64::MAX,
            ..JournalStats::default()
        }
    }

    fn shutdown(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

/// The snapshot store on that disk.
pub(super) struct SimStore(pub(super) Arc<Host>);

impl SimStore {
    fn refuse_when_failing(&self) -> Result<(), SnapshotError> {
        let state = self.0.state.lock();
        if state.store_fails || state.is_dead {
            return Err(SnapshotError::Backend("told to fail".to_owned()));
        }
        Ok(())
    }

    fn view(&self) -> Rows {
        let disk = self.0.disk.lock();
        let mut rows = disk.rows.clone();
        apply(&mut rows, &disk.unflushed);
        rows
    }
}

impl SnapshotStore for SimStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        Ok(self.view().remove(&(tree, key.to_vec())))
    }

    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
        Some(self.get(tree, key))
    }

    fn apply(&self, mut batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        let refused = self.refuse_when_failing();
        if refused.is_err() {
            batch.truncate(batch.len() / 2);
        }
        if !self.0.state.lock().is_dead {
            self.0.disk.lock().unflushed.extend(batch);
        }
        refused
    }

    fn flush(&self) -> Result<(), SnapshotError> {
        self.refuse_when_failing()?;
        let mut disk = self.0.disk.lock();
        let ops = std::mem::take(&mut disk.unflushed);
        apply(&mut disk.rows, &ops);
        Ok(())
    }

    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError> {
        let mut report = VisitReport::default();
        for ((of, key), value) in &self.view() {
            if *of == tree && key.as_slice() >= from {
                report.visited += 1;
                if let ControlFlow::Break(()) = visit(key, value) {
                    break;
                }
            }
        }
        Ok(report)
    }

    fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
        Ok(self.view().keys().filter(|(of, _)| *of == tree).count() as u64)
    }

    fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
        let keys: Vec<_> = self.view().into_keys().filter(|(of, _)| *of == tree).collect();
        self.apply(
            keys.into_iter()
                .map(|(tree, key)| SnapshotOp::Delete { tree, key })
                .collect(),
        )
    }

    fn size_on_disk(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }

    fn compact(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }
}
