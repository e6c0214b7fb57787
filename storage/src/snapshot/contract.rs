//! The contract of [`SnapshotStore`], as tests that every backend runs, and what the sled store must survive.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_750_000_000_000;

fn put(tree: Tree, key: &[u8], value: &[u8]) -> SnapshotOp {
    SnapshotOp::Put {
        tree,
        key: key.to_vec(),
        value: value.to_vec(),
    }
}

fn delete(tree: Tree, key: &[u8]) -> SnapshotOp {
    SnapshotOp::Delete {
        tree,
        key: key.to_vec(),
    }
}

fn entries(store: &dyn SnapshotStore, tree: Tree) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    let report = store.for_each(tree, visit).expect("the tree is walked");
    assert_eq!((report.visited, report.damaged_total), (entries.len() as u64, 0));
    entries
}

fn open_sled(dir: &std::path::Path) -> (SledStore, SnapshotOpenReport) {
    let options = SledOptions {
        cache_bytes: 4 * 1024 * 1024,
        ..SledOptions::default()
    };
    SledStore::open(&dir.join("snapshots"), options, NOW_MS).expect("the store opens")
}

pub(super) fn check_contract(store: &dyn SnapshotStore) {
    puts_gets_and_deletes(store);
    trees_are_apart_and_ordered(store);
    large_values_and_batches(store);
    refuses_what_is_too_large(store);
    for tree in Tree::ALL {
        store.clear(tree).expect("the tree is cleared");
        assert_eq!(store.len(tree).expect("counted"), 0);
    }
}

fn puts_gets_and_deletes(store: &dyn SnapshotStore) {
    assert_eq!(store.get(Tree::Users, b"u1").expect("read"), None);
    store
        .apply(vec![put(Tree::Users, b"u1", b"one"), put(Tree::Users, b"u2", b"")])
        .expect("applied");
    assert_eq!(store.get(Tree::Users, b"u1").expect("read"), Some(b"one".to_vec()));
    assert_eq!(store.get(Tree::Users, b"u2").expect("read"), Some(Vec::new()));
    let now = store.try_get(Tree::Users, b"u1").expect("nobody writes");
    assert_eq!(now.expect("read"), Some(b"one".to_vec()));
    // Within a batch the order counts.
    let batch = vec![
        put(Tree::Users, b"u1", b"two"),
        delete(Tree::Users, b"u2"),
        delete(Tree::Users, b"u3"),
        put(Tree::Users, b"u3", b"back"),
        delete(Tree::Users, b"nobody"),
    ];
    store.apply(batch).expect("applied");
    let expected = vec![(b"u1".to_vec(), b"two".to_vec()), (b"u3".to_vec(), b"back".to_vec())];
    assert_eq!(entries(store, Tree::Users), expected);
    store.apply(Vec::new()).expect("an empty batch is fine");
    store.flush().expect("flushed");
    store.compact().expect("compacted");
    assert_eq!(entries(store, Tree::Users), expected);
}

fn trees_are_apart_and_ordered(store: &dyn SnapshotStore) {
    let batch = Tree::ALL
        .into_iter()
        .flat_map(|tree| [b"b", b"c", b"a"].map(|key: &[u8; 1]| put(tree, key, tree.name().as_bytes())));
    store.apply(batch.collect()).expect("applied");
    store.clear(Tree::Users).expect("cleared");
    for tree in Tree::ALL {
        let expected = if tree == Tree::Users { 0 } else { 3 };
        assert_eq!(store.len(tree).expect("counted"), expected, "{tree}");
        assert!(
            entries(store, tree)
                .iter()
                .all(|(_, value)| value == tree.name().as_bytes())
        );
        assert_eq!(Tree::by_name(tree.name()), Some(tree));
    }
    let keys: Vec<Vec<u8>> = entries(store, Tree::Items).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"a", b"b", b"c"]);
    let mut seen = 0;
    let stop_at_two = &mut |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    assert_eq!(store.for_each(Tree::Items, stop_at_two).expect("walked").visited, 2);
    let mut from_b = Vec::new();
    let collect = &mut |key: &[u8], _: &[u8]| {
        from_b.push(key.to_vec());
        ControlFlow::Continue(())
    };
    store.for_each_from(Tree::Items, b"aa", collect).expect("walked");
    assert_eq!(from_b, [b"b", b"c"]);
}

fn large_values_and_batches(store: &dyn SnapshotStore) {
    let large: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
    let many = (0..3_000u32).map(|number| put(Tree::Sessions, &number.to_be_bytes(), &large[..300]));
    let huge = (0..12u8).map(|number| put(Tree::Models, &[number], &large));
    store.apply(many.chain(huge).collect()).expect("applied");
    store
        .apply(vec![put(Tree::Models, b"huge", &large.repeat(30))])
        .expect("applied");
    store.flush().expect("flushed");
    assert_eq!(store.len(Tree::Sessions).expect("counted"), 3_003);
    assert_eq!(store.get(Tree::Models, &[7]).expect("read"), Some(large.clone()));
    assert_eq!(store.get(Tree::Models, b"huge").expect("read"), Some(large.repeat(30)));
}

fn refuses_what_is_too_large(store: &dyn SnapshotStore) {
    for op in [
        put(Tree::Items, b"x", &vec![0; VALUE_BYTES_MAX + 1]),
        put(Tree::Items, &[0; KEY_BYTES_MAX + 1], b"x"),
        delete(Tree::Items, &[0; KEY_BYTES_MAX + 1]),
    ] {
        let refused = store.apply(vec![put(Tree::Items, b"first", b"x"), op]);
        assert!(matches!(refused, Err(SnapshotError::TooLarge { .. })));
    }
    assert_eq!(
        store.get(Tree::Items, b"first").expect("read"),
        None,
        "nothing of a refused batch is applied"
    );
}

#[test]
fn memory_store() {
    check_contract(&MemoryStore::default());
}

#[test]
fn sled_store() {
    let dir = tempfile::tempdir().expect("temporary folder");
    check_contract(&open_sled(dir.path()).0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn sled_store_matches_a_map_across_reopening(
        ops in prop::collection::vec((0..3usize, 0..12u8, prop::option::of(prop::collection::vec(any::<u8>(), 0..50))), 1..80),
        batch_len in 1..20usize,
        reopen_every in 2..6usize,
    ) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut store = open_sled(dir.path()).0;
        let mut model = BTreeMap::new();
        for (number, batch) in ops.chunks(batch_len).enumerate() {
            let change = |(tree, key, value): &(usize, u8, Option<Vec<u8>>)| match value {
                Some(value) => put(Tree::ALL[*tree], &[*key], value),
                None => delete(Tree::ALL[*tree], &[*key]),
            };
            store.apply(batch.iter().map(change).collect()).expect("applied");
            for (tree, key, value) in batch {
                match value {
                    Some(value) => model.insert((*tree, vec![*key]), value.clone()),
                    None => model.remove(&(*tree, vec![*key])),
                };
            }
            if number % reopen_every == 0 {
                store.flush().expect("flushed");
                drop(store);
                let (reopened, report) = open_sled(dir.path());
                prop_assert_eq!(report, SnapshotOpenReport::default());
                store = reopened;
            }
        }
        for tree in 0..3 {
            let of_tree = model.iter().filter(|((of, _), _)| *of == tree);
            let expected: Vec<_> = of_tree.map(|((_, key), value)| (key.clone(), value.clone())).collect();
            prop_assert_eq!(entries(&store, Tree::ALL[tree]), expected);
        }
    }
}

#[test]
fn a_damaged_value_is_reported_and_skipped() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, _) = open_sled(dir.path());
    store
        .apply((1..=3u8).map(|key| put(Tree::Items, &[key], b"value")).collect())
        .expect("applied");
    store.flush().expect("flushed");
    drop(store);
    // sled itself is content: only the frame tells.
    let raw = sled::open(dir.path().join("snapshots")).expect("sled opens");
    raw.open_tree(Tree::Items.name())
        .expect("the tree opens")
        .insert([2], b"garbage")
        .expect("written");
    raw.flush().expect("flushed");
    drop(raw);
    let (store, report) = open_sled(dir.path());
    assert_eq!(report.set_aside, None);
    assert!(matches!(
        store.get(Tree::Items, &[2]),
        Err(SnapshotError::Damaged { tree: Tree::Items, .. })
    ));
    let mut keys = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    };
    let report = store.for_each(Tree::Items, visit).expect("walked");
    assert_eq!(
        (report.visited, report.damaged_total, report.damaged),
        (2, 1, vec![vec![2]])
    );
    assert_eq!(keys, [[1], [3]]);
    store.apply(vec![put(Tree::Items, &[2], b"new")]).expect("applied");
    assert_eq!(store.get(Tree::Items, &[2]).expect("read"), Some(b"new".to_vec()));
}

#[test]
fn a_damaged_folder_is_set_aside() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, &str, Damage); 3] = [
        ("db", "random bytes", |bytes| {
            bytes
                .iter_mut()
                .enumerate()
                .for_each(|(at, byte)| *byte ^= (at * 7 + 13) as u8)
        }),
        ("conf", "nonsense settings", |bytes| {
            *bytes = b"this is not a configuration of sled at all".to_vec()
        }),
        ("conf", "zeros", |bytes| *bytes = vec![0; 40]),
    ];
    for (file, what, damage) in damages {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (store, _) = open_sled(dir.path());
        let many = (0..2_000u32).map(|number| put(Tree::Users, &number.to_be_bytes(), &[7; 200]));
        store.apply(many.collect()).expect("applied");
        store.flush().expect("flushed");
        drop(store);
        let path = dir.path().join("snapshots").join(file);
        let mut bytes = fs::read(&path).expect("sled's file is read");
        damage(&mut bytes);
        fs::write(&path, bytes).expect("sled's file is damaged");
        // sled refuses, or drops without a word what it cannot read: neither may go unnoticed, both must end in a store
        // that works.
        let (store, report) = open_sled(dir.path());
        if let Some(set_aside) = &report.set_aside {
            assert!(set_aside.path.join(file).exists(), "{what}: the damaged files are kept");
            assert!(set_aside.path.ends_with(format!("snapshots.damaged-{NOW_MS}")));
        }
        assert!(
            report.set_aside.is_some() || report.lost_flushes == 1,
            "{what}: {report:?}"
        );
        store.apply(vec![put(Tree::Users, b"new", b"value")]).expect("applied");
        store.flush().expect("flushed");
        assert_eq!(store.get(Tree::Users, b"new").expect("read"), Some(b"value".to_vec()));
    }
}

fn filled(dir: &std::path::Path) {
    let (store, _) = open_sled(dir);
    for round in 0..4_u32 {
        let many = (0..2_000u32).map(|number| put(Tree::Users, &number.to_be_bytes(), &[round as u8; 300]));
        store.apply(many.collect()).expect("applied");
        store.flush().expect("flushed");
    }
}

fn check_filled(store: &SledStore) {
    let all = entries(store, Tree::Users);
    assert_eq!(all.len(), 2_000);
    assert!(all.iter().all(|(_, value)| value == &[3; 300]));
}

#[test]
fn what_sled_did_not_finish_is_no_damage() {
    type Leave = fn(&std::path::Path);
    let leaves: [Leave; 3] = [
        |store| fs::write(store.join("snap.FFFFFFFFFFFFFFFF.generating"), b"").expect("left"),
        |store| fs::write(store.join("snap.0000000000000001.generating"), [7; 4_000]).expect("left"),
        // A finished page table that lost its end.
        |store| {
            let mut snapshots: Vec<_> = fs::read_dir(store)
                .expect("listed")
                .map(|entry| entry.expect("an entry").path())
                .filter(|path| {
                    path.file_name()
                        .is_some_and(|name| name.to_string_lossy().starts_with("snap."))
                })
                .collect();
            snapshots.sort();
            let newest = snapshots.pop().expect("sled writes one at every start");
            let bytes = fs::read(&newest).expect("read");
            fs::write(newest, &bytes[..bytes.len() / 2]).expect("torn");
        },
    ];
    for leave in leaves {
        let dir = tempfile::tempdir().expect("temporary folder");
        filled(dir.path());
        drop(open_sled(dir.path()));
        leave(&dir.path().join("snapshots"));
        let (store, report) = open_sled(dir.path());
        assert_eq!(report, SnapshotOpenReport::default());
        check_filled(&store);
    }
}

#[test]
fn no_empty_store_where_that_is_forbidden_and_one_that_was_set_aside_is_taken_back() {
    let options = SledOptions {
        may_be_empty: false,
        ..SledOptions::default()
    };
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("snapshots");
    let refused = |what: &str| {
        let opened = SledStore::open(&path, options, NOW_MS);
        assert!(
            matches!(opened, Err(SnapshotError::Unreadable { .. })),
            "{what}: {opened:?}"
        );
    };
    refused("there is none");
    assert!(!path.exists(), "nothing was made");
    filled(dir.path());
    // Set aside over a leftover, by an earlier version.
    fs::write(path.join("snap.00000000000000FF.generating"), b"").expect("left");
    fs::rename(&path, dir.path().join("snapshots.damaged-5")).expect("set aside");
    fs::create_dir(dir.path().join("snapshots.damaged-6")).expect("made");
    fs::write(dir.path().join("snapshots.damaged-6/db"), [3; 5_000]).expect("a worse one");
    fs::create_dir(&path).expect("an empty folder, as every start makes it");
    let (store, report) = SledStore::open(&path, options, NOW_MS).expect("the older one opens");
    assert_eq!(report.taken_back, Some(dir.path().join("snapshots.damaged-5")));
    check_filled(&store);
    drop(store);
    fs::write(path.join("conf"), [0; 40]).expect("damaged");
    refused("it is damaged");
    assert!(path.join("db").exists(), "and it is left where it is");
}

#[test]
fn flushes_at_the_same_time_do_not_take_each_others_files() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, _) = open_sled(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..20 {
                    store
                        .apply(vec![put(Tree::Users, &[thread, number], b"x")])
                        .expect("applied");
                    store.flush().expect("flushed");
                }
            });
        }
    });
    drop(store);
    let (store, report) = open_sled(dir.path());
    assert_eq!(
        (report, store.len(Tree::Users).expect("counted")),
        (SnapshotOpenReport::default(), 80)
    );
}

#[test]
fn a_locked_store_is_refused_and_not_set_aside() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (_store, _) = open_sled(dir.path());
    let second = SledStore::open(&dir.path().join("snapshots"), SledOptions::default(), NOW_MS);
    assert!(matches!(second, Err(SnapshotError::Io { .. })));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
}

#[test]
fn compaction_removes_deleted_bytes_from_the_disk() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, _) = open_sled(dir.path());
    let secret = b"a secret that must not stay".as_slice();
    let all = |value: &[u8]| {
        (0..200u8)
            .map(|key| put(Tree::Users, &[key], value))
            .collect::<Vec<_>>()
    };
    store.apply(all(&secret.repeat(40))).expect("applied");
    store.flush().expect("flushed");
    store
        .apply((0..100u8).map(|key| delete(Tree::Users, &[key])).collect())
        .expect("applied");
    store
        .apply((100..200u8).map(|key| put(Tree::Users, &[key], b"kept")).collect())
        .expect("applied");
    store.flush().expect("flushed");
    assert!(
        is_on_disk(dir.path(), secret),
        "without a compaction the bytes are still there"
    );
    store.compact().expect("compacted");
    assert!(!is_on_disk(dir.path(), secret));
    assert_eq!(store.len(Tree::Users).expect("counted"), 100);
    drop(store);
    let (store, report) = open_sled(dir.path());
    assert_eq!(report, SnapshotOpenReport::default());
    assert!(entries(&store, Tree::Users).iter().all(|(_, value)| value == b"kept"));
}

#[test]
fn a_compaction_that_died_half_way_is_finished() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, _) = open_sled(dir.path());
    store.apply(vec![put(Tree::Users, b"u", b"value")]).expect("applied");
    store.flush().expect("flushed");
    drop(store);
    // It died between the two renames.
    fs::rename(dir.path().join("snapshots"), dir.path().join("snapshots.outdated")).expect("renamed");
    fs::create_dir(dir.path().join("snapshots.compacting")).expect("made");
    let (store, _) = open_sled(dir.path());
    assert_eq!(store.get(Tree::Users, b"u").expect("read"), Some(b"value".to_vec()));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
}

fn is_on_disk(path: &std::path::Path, needle: &[u8]) -> bool {
    fs::read_dir(path).expect("listed").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, needle);
        }
        fs::read(&path)
            .expect("read")
            .windows(needle.len())
            .any(|window| window == needle)
    })
}
