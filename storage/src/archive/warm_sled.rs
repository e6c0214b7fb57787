//! The warm tier of versions before December 2026, a sled database in the same folder: taken over once, then removed.
//!
//! ```text
//! key   = interval's start in ms i64 · partition u8 · batch u64      (big-endian)
//! value = chunk
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::warm::WarmTier;
use super::{ArchiveError, ArchiveKind};
use crate::journal::Seq;
use crate::snapshot::{SledOptions, SledStore, SnapshotStore, Tree};

const CURSOR_KEY: &[u8] = b"archive_cursor";
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
const KEY_BYTES: usize = 17;
/// What sled and its store keep in their folder, beside snapshots of the page table.
const FILES: [&str; 3] = ["db", "conf", "flushes"];
const SLED_SNAPSHOT_PREFIXES: [&str; 2] = ["snap.", "unread.snap."];
const BLOBS: &str = "blobs";

fn tree(kind: ArchiveKind) -> Tree {
    match kind {
        ArchiveKind::Events => Tree::ArchiveEvents,
        ArchiveKind::Slates => Tree::ArchiveSlates,
    }
}

/// Whether there is such a database, or what is left of one.
pub(super) fn is_there(dir: &Path) -> bool {
    FILES.iter().any(|name| dir.join(name).exists())
}

/// Copies everything into `tier`; returns how far the journal was taken. A database that does not open is left where it
/// is, beside: the journal fills the tier as far as it reaches.
pub(super) fn take_over(dir: &Path, now_ms: i64, tier: &WarmTier) -> Result<Seq, ArchiveError> {
    let options = SledOptions {
        cache_bytes: CACHE_BYTES,
        ..SledOptions::default()
    };
    let (store, report) = SledStore::open(dir, options, now_ms)?;
    if let Some(lost) = report.set_aside {
        tracing::error!(
            ?lost,
            "the warm archive was damaged and begins anew; the journal fills it as far as it reaches"
        );
        for kind in ArchiveKind::ALL {
            let folder = dir.join(kind.name());
            fs::create_dir_all(&folder).map_err(|error| ArchiveError::io(&folder, error))?;
        }
        return Ok(Seq::ZERO);
    }
    for kind in ArchiveKind::ALL {
        take_kind(&store, kind, tier)?;
    }
    let cursor = store.get(Tree::Meta, CURSOR_KEY)?;
    let cursor = cursor.and_then(|bytes| bytes.try_into().ok());
    Ok(Seq(cursor.map_or(0, u64::from_be_bytes)))
}

fn take_kind(store: &SledStore, kind: ArchiveKind, tier: &WarmTier) -> Result<(), ArchiveError> {
    // First the places, which are small: chunks of a batch are spread over the keys of its interval.
    let mut places: BTreeMap<(i64, u64), Vec<u8>> = BTreeMap::new();
    store.for_each(tree(kind), &mut |key, _| {
        if key.len() == KEY_BYTES
            && let (Some(start), Some(batch)) = (key.first_chunk::<8>(), key.last_chunk::<8>())
        {
            let place = (i64::from_be_bytes(*start), u64::from_be_bytes(*batch));
            places.entry(place).or_default().push(key[8]);
        }
        ControlFlow::Continue(())
    })?;
    for ((start_ms, batch), partitions) in places {
        let mut chunks = BTreeMap::new();
        for partition in partitions {
            let mut key = start_ms.to_be_bytes().to_vec();
            key.push(partition);
            key.extend_from_slice(&batch.to_be_bytes());
            if let Some(chunk) = store.get(tree(kind), &key)? {
                chunks.insert(partition, chunk);
            }
        }
        tier.append(kind, start_ms, batch, &chunks)?;
    }
    Ok(())
}

/// Removes the database's files.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    let unless_gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    unless_gone(fs::remove_dir_all(dir.join(BLOBS)))?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_snapshot = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            SLED_SNAPSHOT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
        if is_snapshot {
            fs::remove_file(path)?;
        }
    }
    for name in FILES {
        unless_gone(fs::remove_file(dir.join(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::chunk;
    use crate::snapshot::SnapshotOp;

    #[test]
    fn what_a_database_held_is_taken_over_once_however_often_it_dies() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let fill = || {
            let (store, _) = SledStore::open(dir.path(), SledOptions::default(), 0).expect("opened");
            let put = |tree: Tree, key: Vec<u8>, value: Vec<u8>| SnapshotOp::Put { tree, key, value };
            let entry = |seq: u64, partition: u8, batch: u64| {
                let mut key = 3_600_000_i64.to_be_bytes().to_vec();
                key.push(partition);
                key.extend_from_slice(&batch.to_be_bytes());
                let mut value = Vec::new();
                chunk::push(&mut value, seq, b"someone");
                put(Tree::ArchiveEvents, key, value)
            };
            let cursor = put(Tree::Meta, CURSOR_KEY.to_vec(), 9_u64.to_be_bytes().to_vec());
            let ops = vec![entry(1, 200, 1), entry(2, 3, 1), entry(5, 3, 4), cursor];
            store.apply(ops).expect("applied");
            store.flush().expect("flushed");
        };
        fill();
        let check = || {
            let tier = WarmTier::open(dir.path(), 0).expect("opened");
            assert_eq!(tier.cursor(), Seq(9));
            assert_eq!(tier.batches(ArchiveKind::Events, 3_600_000), [1, 4]);
            let entries = tier.entries(ArchiveKind::Events, 3_600_000, &[1, 4]).expect("read");
            assert!(entries.iter().map(|(seq, _)| *seq).eq([1, 2, 5]));
            assert!(!is_there(dir.path()), "the database is gone");
        };
        check();
        check();
        // It died before the cursor was written: what it had copied does not count.
        fs::remove_file(dir.path().join("CURSOR")).expect("removed");
        fill();
        check();
        // It died before the database was removed.
        fill();
        check();
    }
}
