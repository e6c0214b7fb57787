//! What callers hear of a store that hangs, fails or comes back, and that nothing answered with `Ok` is ever missing.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use proptest::prelude::*;

use super::*;
use crate::snapshot::MemoryStore;
use crate::snapshot::contract::check_contract;

const TREE: Tree = Tree::Users;
/// Nothing in these tests takes as long, unless it hangs.
const SOON: Duration = Duration::from_secs(10);

const QUICK: SupervisorOptions = SupervisorOptions {
    stall_after: Duration::from_millis(150),
    read_within: SOON,
    close_within: Duration::from_millis(50),
    retry_after: Duration::from_millis(10),
};

/// A disk with several stores on it, of which one counts.
#[derive(Default)]
struct Disk {
    stores: Mutex<BTreeMap<u64, Arc<MemoryStore>>>,
    current: AtomicU64,
    next: AtomicU64,
    /// Writes fail, and a store that has seen that fails until it is opened again.
    fails: AtomicBool,
    /// The place cannot be written.
    is_full: AtomicBool,
    /// Whoever writes or closes waits until it is given back.
    gate: RwLock<()>,
    opened: AtomicU64,
}

struct Hanging {
    disk: Arc<Disk>,
    content: Arc<MemoryStore>,
    has_failed: AtomicBool,
}

impl Hanging {
    fn write(&self) -> Result<(), SnapshotError> {
        drop(self.disk.gate.read());
        if self.disk.fails.load(Ordering::SeqCst) {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(SnapshotError::Backend("input/output error".to_owned()));
        }
        Ok(())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        drop(self.disk.gate.read());
    }
}

impl SnapshotStore for Hanging {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        self.content.get(tree, key)
    }

    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
        self.content.try_get(tree, key)
    }

    fn apply(&self, batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        self.write()?;
        self.content.apply(batch)
    }

    fn flush(&self) -> Result<(), SnapshotError> {
        self.write()
    }

    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError> {
        self.content.for_each_from(tree, from, visit)
    }

    fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
        self.content.len(tree)
    }

    fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
        self.write()?;
        self.content.clear(tree)
    }

    fn size_on_disk(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }

    fn compact(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }
}

struct Maker(Arc<Disk>);

impl Maker {
    fn open(&self, place: u64) -> Arc<dyn SnapshotStore> {
        let content = Arc::clone(self.0.stores.lock().entry(place).or_default());
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        Arc::new(Hanging {
            disk: Arc::clone(&self.0),
            content,
            has_failed: AtomicBool::new(false),
        })
    }

    fn current(&self) -> u64 {
        self.0.current.load(Ordering::SeqCst)
    }
}

impl StoreMaker for Maker {
    fn probe(&self) -> io::Result<()> {
        let is_full = self.0.is_full.load(Ordering::SeqCst);
        if is_full {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn reopen(&self) -> Result<Arc<dyn SnapshotStore>, SnapshotError> {
        Ok(self.open(self.current()))
    }

    fn open_beside(&self) -> Result<Beside, SnapshotError> {
        let beside = self.open_empty()?;
        let current = self.current();
        let from = Arc::clone(self.0.stores.lock().entry(current).or_default());
        let to = Arc::clone(self.0.stores.lock().entry(beside.place).or_default());
        for tree in Tree::ALL {
            for (key, value) in all(&*from, tree) {
                to.apply(vec![SnapshotOp::Put { tree, key, value }])?;
            }
        }
        Ok(beside)
    }

    fn open_empty(&self) -> Result<Beside, SnapshotError> {
        let place = self.0.next.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Beside {
            store: self.open(place),
            place,
        })
    }

    fn adopt(&self, place: u64, _erase: bool) -> Result<(), SnapshotError> {
        self.0.current.store(place, Ordering::SeqCst);
        Ok(())
    }

    fn discard(&self, place: u64) {
        self.0.stores.lock().remove(&place);
    }
}

fn start(disk: &Arc<Disk>) -> SupervisedStore {
    let maker = Maker(Arc::clone(disk));
    let store = maker.open(maker.current());
    SupervisedStore::new(store, Arc::new(maker), QUICK).expect("it starts")
}

fn put(key: u8, value: &[u8]) -> SnapshotOp {
    SnapshotOp::Put {
        tree: TREE,
        key: vec![key],
        value: value.to_vec(),
    }
}

fn all(store: &dyn SnapshotStore, tree: Tree) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let walked = store.for_each(tree, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    walked.expect("walked");
    found
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn is_well(store: &SupervisedStore) -> bool {
    store.health().trouble.is_none()
}

#[test]
fn it_keeps_the_contract_of_a_store() {
    check_contract(&start(&Arc::default()));
}

#[test]
fn a_store_that_hangs_is_replaced_and_holds_what_was_answered() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    store.apply(vec![put(1, b"one"), put(2, b"two")]).expect("applied");
    let hanging = disk.gate.write();
    let began = Instant::now();
    let refused = store.apply(vec![put(3, b"three")]);
    assert!(matches!(refused, Err(SnapshotError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < SOON, "nobody waits for it for ever");
    let before = store.generation();
    eventually("replaced", || is_well(&store));
    assert_eq!(store.get(TREE, &[1]).expect("read"), Some(b"one".to_vec()));
    assert!(
        store.generation() > before || before > 0,
        "callers are told to write again"
    );
    let health = store.health();
    assert_eq!((health.stalls, health.replaced, health.left_behind), (1, 1, 1));
    drop(hanging);
    store.apply(vec![put(4, b"four")]).expect("applied");
    // The one that was left behind has come back and written its own; it does not count.
    assert_eq!(all(&store, TREE).len(), 3);
    assert_eq!(store.get(TREE, &[3]).expect("read"), None);
}

#[test]
fn a_store_that_comes_back_by_itself_is_kept() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    store.apply(vec![put(1, b"one")]).expect("applied");
    // Where it is cannot be written: no copy can be made.
    disk.is_full.store(true, Ordering::SeqCst);
    let hanging = disk.gate.write();
    assert!(store.apply(vec![put(2, b"two")]).is_err());
    let trouble = store.health().trouble.expect("it says so");
    assert!(trouble.contains("standing still"), "{trouble}");
    assert!(store.try_get(TREE, &[1]).is_none(), "who must not wait does not");
    // Readers wait for it, and are answered when it is back.
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| store.get(TREE, &[1]));
        let generation = store.generation();
        drop(hanging);
        assert_eq!(reader.join().expect("no panic").expect("read"), Some(b"one".to_vec()));
        eventually("well", || is_well(&store));
        assert!(store.generation() > generation);
    });
    store.apply(vec![put(3, b"three")]).expect("applied");
    assert_eq!((store.health().replaced, disk.opened.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn a_failure_that_sticks_to_the_store_ends_with_the_disk_being_well() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    store.apply(vec![put(1, b"one")]).expect("applied");
    disk.fails.store(true, Ordering::SeqCst);
    disk.is_full.store(true, Ordering::SeqCst);
    assert!(matches!(
        store.apply(vec![put(2, b"two")]),
        Err(SnapshotError::Backend(_))
    ));
    assert_eq!(
        store.get(TREE, &[1]).expect("it is read as before"),
        Some(b"one".to_vec())
    );
    let refused = store.apply(vec![put(2, b"two")]);
    assert!(matches!(refused, Err(SnapshotError::Unavailable(_))), "{refused:?}");
    assert_eq!(
        disk.opened.load(Ordering::SeqCst),
        1,
        "it is not closed as long as it could not be opened"
    );
    disk.fails.store(false, Ordering::SeqCst);
    disk.is_full.store(false, Ordering::SeqCst);
    eventually("well", || is_well(&store));
    store.apply(vec![put(2, b"two")]).expect("applied");
    assert_eq!(all(&store, TREE).len(), 2);
    let health = store.health();
    assert_eq!((health.failures, health.replaced, health.left_behind), (1, 1, 0));
}

#[test]
fn a_failed_store_that_does_not_close_is_left_behind() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    store.apply(vec![put(1, b"one")]).expect("applied");
    disk.fails.store(true, Ordering::SeqCst);
    assert!(store.apply(vec![put(2, b"two")]).is_err());
    let hanging = disk.gate.write();
    disk.fails.store(false, Ordering::SeqCst);
    eventually("well", || is_well(&store));
    assert_eq!(all(&store, TREE), [(vec![1], b"one".to_vec())]);
    drop(hanging);
    store.apply(vec![put(2, b"two")]).expect("applied");
}

#[test]
fn dropping_it_never_waits_for_ever() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    let hanging = disk.gate.write();
    let began = Instant::now();
    drop(store);
    assert!(began.elapsed() < SOON);
    drop(hanging);
}

#[test]
fn rewriting_takes_changes_meanwhile_and_lets_readers_pass() {
    let disk = Arc::new(Disk::default());
    let store = start(&disk);
    let many = (0..40_u8).flat_map(|first| (0..100_u8).map(move |second| (first, second)));
    let ops = many.map(|(first, second)| SnapshotOp::Put {
        tree: Tree::Sessions,
        key: vec![first, second],
        value: vec![first; 50],
    });
    store.apply(ops.collect()).expect("applied");
    store.apply(vec![put(1, b"one")]).expect("applied");
    std::thread::scope(|scope| {
        let rewriting = scope.spawn(|| store.compact());
        let mut number = 0_u8;
        while !rewriting.is_finished() {
            number = number.wrapping_add(1);
            store.apply(vec![put(number, &[number])]).expect("applied");
            assert_eq!(store.get(TREE, &[number]).expect("read"), Some(vec![number]));
        }
        rewriting.join().expect("no panic").expect("rewritten");
        assert_eq!(store.get(TREE, &[number]).expect("read"), Some(vec![number]));
    });
    assert_eq!(all(&store, Tree::Sessions).len(), 4_000);
    assert_eq!(disk.current.load(Ordering::SeqCst), 1, "the new one counts");
    // It broke off: the old one goes on.
    disk.fails.store(true, Ordering::SeqCst);
    assert!(store.compact().is_err());
    disk.fails.store(false, Ordering::SeqCst);
    eventually("well", || is_well(&store));
    assert_eq!(all(&store, Tree::Sessions).len(), 4_000);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Hang,
    Return,
    Fail,
    Mend,
    Rewrite,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0u8..8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => Just(Step::Hang),
        2 => Just(Step::Return),
        1 => Just(Step::Fail),
        2 => Just(Step::Mend),
        1 => Just(Step::Rewrite),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What was answered with `Ok` last is there, or a later one whose call nobody knows the end of.
    #[test]
    fn nothing_that_was_answered_is_missing(steps in steps()) {
        let disk = Arc::new(Disk::default());
        let mut store = start(&disk);
        let mut possible: BTreeMap<u8, Vec<Option<u8>>> = BTreeMap::new();
        let mut hanging = None;
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    let values = possible.entry(key).or_insert_with(|| vec![None]);
                    match store.apply(vec![put(key, &[value])]) {
                        Ok(()) => *values = vec![Some(value)],
                        Err(_) => values.push(Some(value)),
                    }
                }
                Step::Hang if hanging.is_none() => hanging = Some(disk.gate.write()),
                Step::Hang => {}
                Step::Return => hanging = None,
                Step::Fail => disk.fails.store(true, Ordering::SeqCst),
                Step::Mend => disk.fails.store(false, Ordering::SeqCst),
                Step::Rewrite => drop(store.compact()),
                Step::Reopen => {
                    drop(hanging.take());
                    disk.fails.store(false, Ordering::SeqCst);
                    // Or a call that hung would come to its end in the store that is opened next.
                    eventually("well", || is_well(&store));
                    drop(store);
                    store = start(&disk);
                }
            }
        }
        drop(hanging);
        disk.fails.store(false, Ordering::SeqCst);
        eventually("well", || is_well(&store));
        for (key, values) in possible {
            let found = store.get(TREE, &[key]).expect("read").map(|value| value[0]);
            prop_assert!(values.contains(&found), "{key}: {found:?} is none of {values:?}");
        }
    }
}
