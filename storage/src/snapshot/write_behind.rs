//! Rows on their way into a snapshot store, for owners that must not wait for it.
//!
//! Owns: the newest row of every key until the store holds it, the order in which rows of a key reach the store, and whether
//! as much waits as may. Must not decide when to write; a crash loses what waits, so it has to be somewhere else as well
//! (the journal) until [`WriteBehind::write`] has returned.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{SnapshotError, SnapshotOp, SnapshotStore, Tree};

/// How many rows the store gets at a time.
const BATCH_ROWS_MAX: usize = 512;

type Rows = HashMap<Vec<u8>, Arc<[u8]>>;

/// Rows of one tree on their way into the store. Putting and reading never wait for the disk.
#[derive(Debug)]
pub struct WriteBehind {
    tree: Tree,
    bytes_max: usize,
    state: Mutex<State>,
    /// Held from the taking of rows to their being in the store.
    writer: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Put, and not taken by a writer yet.
    waiting: Rows,
    /// Taken by the writer, and perhaps not in the store yet; shared with it, so that nothing is copied under the lock.
    taken: Arc<Rows>,
    /// Of keys and values of both.
    bytes: usize,
}

impl State {
    fn put(&mut self, key: Vec<u8>, value: Arc<[u8]>) {
        self.bytes += key.len() + value.len();
        let key_bytes = key.len();
        if let Some(older) = self.waiting.insert(key, value) {
            self.bytes -= key_bytes + older.len();
        }
    }
}

fn bytes_of(rows: &Rows) -> usize {
    rows.iter().map(|(key, value)| key.len() + value.len()).sum()
}

impl WriteBehind {
    /// Rows of `tree`; it is full when `bytes_max` bytes of them wait.
    #[must_use]
    pub fn new(tree: Tree, bytes_max: usize) -> Self {
        Self {
            tree,
            bytes_max,
            state: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    /// Whether as much waits as may: whoever can keep its row puts it later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state.lock().bytes >= self.bytes_max
    }

    /// Takes a row; it replaces one of the same key. Also when it [is full](Self::is_full): a caller that cannot wait puts
    /// no more than it [writes](Self::write) itself.
    ///
    /// # Errors
    /// `TooLarge` when the row is above the store's limits; nothing was taken then.
    pub fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), SnapshotError> {
        let op = SnapshotOp::Put {
            tree: self.tree,
            key,
            value,
        };
        op.check()?;
        if let SnapshotOp::Put { key, value, .. } = op {
            self.state.lock().put(key, value.into());
        }
        Ok(())
    }

    /// The newest row of a key, unless the store holds it (or nobody ever put one).
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let state = self.state.lock();
        state.waiting.get(key).or_else(|| state.taken.get(key)).cloned()
    }

    /// Brings everything that was put before the call into the store, and returns how many rows that were. Blocks; one
    /// writer at a time. Not durable before [`SnapshotStore::flush`].
    ///
    /// `settle` runs when the rows are taken and before the store sees the first of them: it makes durable what they
    /// include (write-ahead), because a row must never be newer than the log it is rebuilt from.
    ///
    /// # Errors
    /// Those of the store and of `settle`. What was not written waits on.
    pub fn write(
        &self,
        store: &dyn SnapshotStore,
        settle: impl FnOnce() -> Result<(), SnapshotError>,
    ) -> Result<u64, SnapshotError> {
        let _one_at_a_time = self.writer.lock();
        let taken = {
            let mut state = self.state.lock();
            let waiting = std::mem::take(&mut state.waiting);
            state.taken = Arc::new(waiting);
            Arc::clone(&state.taken)
        };
        let bytes = bytes_of(&taken);
        let written = if taken.is_empty() {
            Ok(())
        } else {
            settle().and_then(|()| self.hand_over(&taken, store))
        };
        let mut state = self.state.lock();
        state.taken = Arc::default();
        state.bytes -= bytes;
        if written.is_err() {
            for (key, value) in &*taken {
                // What was put meanwhile is newer.
                if !state.waiting.contains_key(key) {
                    state.put(key.clone(), Arc::clone(value));
                }
            }
        }
        drop(state);
        written.map(|()| taken.len() as u64)
    }

    fn hand_over(&self, rows: &Rows, store: &dyn SnapshotStore) -> Result<(), SnapshotError> {
        let mut puts = rows.iter().map(|(key, value)| SnapshotOp::Put {
            tree: self.tree,
            key: key.clone(),
            value: value.to_vec(),
        });
        loop {
            let batch: Vec<SnapshotOp> = puts.by_ref().take(BATCH_ROWS_MAX).collect();
            if batch.is_empty() {
                return Ok(());
            }
            store.apply(batch)?;
        }
    }

    /// Drops the row of a key. None that was put before the call reaches the store afterwards: a write that runs is
    /// waited for.
    pub fn erase(&self, key: &[u8]) {
        let _no_writer = self.writer.lock();
        let mut state = self.state.lock();
        if let Some(value) = state.waiting.remove(key) {
            state.bytes -= key.len() + value.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::super::{EntryVisitor, MemoryStore, VisitReport};
    use super::*;

    const TREE: Tree = Tree::Sessions;

    /// A store that can be told to fail, and half way at that, and to stop before it writes.
    #[derive(Default)]
    struct Faulty {
        inner: MemoryStore,
        fails: AtomicBool,
        gate: Mutex<()>,
    }

    impl SnapshotStore for Faulty {
        fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
            self.inner.get(tree, key)
        }

        fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
            self.inner.try_get(tree, key)
        }

        fn apply(&self, mut batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
            let _open = self.gate.lock();
            if !self.fails.load(Ordering::SeqCst) {
                return self.inner.apply(batch);
            }
            batch.truncate(batch.len() / 2);
            self.inner.apply(batch)?;
            Err(SnapshotError::Backend("told to fail".to_owned()))
        }

        fn flush(&self) -> Result<(), SnapshotError> {
            self.inner.flush()
        }

        fn for_each_from(
            &self,
            tree: Tree,
            from: &[u8],
            visit: &mut EntryVisitor<'_>,
        ) -> Result<VisitReport, SnapshotError> {
            self.inner.for_each_from(tree, from, visit)
        }

        fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
            self.inner.len(tree)
        }

        fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
            self.inner.clear(tree)
        }

        fn size_on_disk(&self) -> Result<u64, SnapshotError> {
            self.inner.size_on_disk()
        }

        fn compact(&self) -> Result<u64, SnapshotError> {
            self.inner.compact()
        }
    }

    fn put(rows: &WriteBehind, key: &str, value: &str) {
        rows.put(key.into(), value.into()).expect("room");
    }

    fn bytes(rows: &WriteBehind) -> usize {
        rows.state.lock().bytes
    }

    fn waits(rows: &WriteBehind, key: &str) -> Option<String> {
        rows.get(key.as_bytes())
            .map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn a_row_is_found_until_the_store_has_it() {
        let (rows, store) = (WriteBehind::new(TREE, 1_000), MemoryStore::default());
        put(&rows, "ada", "one");
        put(&rows, "ada", "two");
        assert_eq!((waits(&rows, "ada").as_deref(), bytes(&rows)), (Some("two"), 6));
        assert_eq!(rows.write(&store, || Ok(())).expect("written"), 1);
        assert_eq!((waits(&rows, "ada"), bytes(&rows)), (None, 0));
        assert_eq!(store.get(TREE, b"ada").expect("read"), Some(b"two".to_vec()));
        assert_eq!(rows.write(&store, || Ok(())).expect("nothing to do"), 0);
    }

    #[test]
    fn what_is_put_while_an_older_row_is_written_comes_after_it() {
        let (rows, store) = (WriteBehind::new(TREE, 1_000), Faulty::default());
        put(&rows, "ada", "old");
        let shut = store.gate.lock();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| rows.write(&store, || Ok(())));
            while !rows.state.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            assert_eq!(
                waits(&rows, "ada").as_deref(),
                Some("old"),
                "the writer has it in its hands"
            );
            put(&rows, "ada", "new");
            assert_eq!(waits(&rows, "ada").as_deref(), Some("new"));
            drop(shut);
            assert_eq!(writer.join().expect("no panic").expect("written"), 1);
        });
        assert_eq!(store.get(TREE, b"ada").expect("read"), Some(b"old".to_vec()));
        assert_eq!(rows.write(&store, || Ok(())).expect("written"), 1);
        assert_eq!(store.get(TREE, b"ada").expect("read"), Some(b"new".to_vec()));
    }

    #[test]
    fn an_erased_row_does_not_reach_the_store_behind_the_erasure() {
        let (rows, store) = (WriteBehind::new(TREE, 1_000), Faulty::default());
        put(&rows, "ada", "in hand");
        let shut = store.gate.lock();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| rows.write(&store, || Ok(())));
            while !rows.state.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            put(&rows, "ada", "waiting");
            let eraser = scope.spawn(|| rows.erase(b"ada"));
            assert!(!eraser.is_finished(), "it waits for the writer");
            drop(shut);
            writer.join().expect("no panic").expect("written");
            eraser.join().expect("no panic");
        });
        assert_eq!((waits(&rows, "ada"), bytes(&rows)), (None, 0));
        assert_eq!(rows.write(&store, || Ok(())).expect("nothing to do"), 0);
        assert_eq!(
            store.get(TREE, b"ada").expect("read"),
            Some(b"in hand".to_vec()),
            "for the caller to delete"
        );
    }

    #[test]
    fn it_is_full_until_it_is_written_and_takes_nothing_that_the_store_would_not() {
        let (rows, store) = (WriteBehind::new(TREE, 16), MemoryStore::default());
        put(&rows, "ada", "12345");
        assert!(!rows.is_full());
        put(&rows, "bob", "12345");
        assert!(rows.is_full());
        rows.write(&store, || Ok(())).expect("written");
        assert!(!rows.is_full());
        let refused = rows.put(vec![0; 100_000], Vec::new());
        assert!(
            matches!(refused, Err(SnapshotError::TooLarge { what: "key", .. })),
            "{refused:?}"
        );
        assert_eq!(bytes(&rows), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8, u8),
        Write,
        FailToWrite,
        Erase(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..6, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            1 => Just(Step::Write),
            1 => Just(Step::FailToWrite),
            1 => (0u8..6).prop_map(Step::Erase),
        ];
        proptest::collection::vec(step, 0..40)
    }

    proptest! {
        /// Whoever looks here first and then into the store reads what was put last.
        #[test]
        fn the_last_row_counts_whatever_fails(steps in steps()) {
            let (rows, store) = (WriteBehind::new(TREE, 1 << 20), Faulty::default());
            let mut last: HashMap<u8, u8> = HashMap::new();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        rows.put(vec![key], vec![value]).expect("room");
                        last.insert(key, value);
                    }
                    Step::Write => {
                        rows.write(&store, || Ok(())).expect("written");
                        prop_assert_eq!(bytes(&rows), 0);
                    }
                    Step::FailToWrite => {
                        let waited = bytes(&rows);
                        store.fails.store(true, Ordering::SeqCst);
                        prop_assert_eq!(rows.write(&store, || Ok(())).is_err(), waited > 0);
                        store.fails.store(false, Ordering::SeqCst);
                        prop_assert_eq!(bytes(&rows), waited);
                    }
                    Step::Erase(key) => {
                        rows.erase(&[key]);
                        store.apply(vec![SnapshotOp::Delete { tree: TREE, key: vec![key] }]).expect("deleted");
                        last.remove(&key);
                    }
                }
                for key in 0..6 {
                    let stored = store.get(TREE, &[key]).expect("read");
                    let found = rows.get(&[key]).map(|value| value.to_vec()).or(stored);
                    prop_assert_eq!(found, last.get(&key).map(|value| vec![*value]));
                }
            }
        }
    }
}
