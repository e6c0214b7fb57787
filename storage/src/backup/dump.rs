//! The logical dump of a snapshot tree: entries one after the other, independent of sled. Must not check the content;
//! the manifest carries the checksum of the whole file.
//!
//! ```text
//! entry = key_len u32 · value_len u32 (little-endian) · key · value
//! ```

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use super::BackupError;
use crate::snapshot::{KEY_BYTES_MAX, SnapshotOp, SnapshotStore, Tree, VALUE_BYTES_MAX, VisitReport};

/// A restore hands its entries to the store in batches of about this size.
const RESTORE_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Writes every intact entry of a tree.
pub(super) fn write_tree(
    store: &dyn SnapshotStore,
    tree: Tree,
    target: &mut dyn Write,
) -> Result<VisitReport, BackupError> {
    let mut written = Ok(());
    let report = store.for_each(tree, &mut |key, value| {
        written = write_entry(target, key, value);
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    written.map_err(|error| BackupError::io(tree.name(), error))?;
    Ok(report)
}

fn write_entry(target: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    for length in [key.len(), value.len()] {
        let length = u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        target.write_all(&length.to_le_bytes())?;
    }
    target.write_all(key)?;
    target.write_all(value)
}

/// Puts every entry of a dump into the store; returns how many.
pub(super) fn read_tree(store: &dyn SnapshotStore, tree: Tree, source: &mut dyn Read) -> Result<u64, BackupError> {
    let (mut batch, mut batch_bytes, mut entries) = (Vec::new(), 0, 0);
    while let Some((key, value)) = read_entry(source).map_err(|error| BackupError::io(tree.name(), error))? {
        entries += 1;
        batch_bytes += key.len() + value.len();
        batch.push(SnapshotOp::Put { tree, key, value });
        if batch_bytes >= RESTORE_BATCH_BYTES {
            store.apply(std::mem::take(&mut batch))?;
            batch_bytes = 0;
        }
    }
    store.apply(batch)?;
    Ok(entries)
}

/// Reads a dump to its end and returns how many entries it has.
pub(super) fn count_entries(source: &mut dyn Read) -> io::Result<u64> {
    let mut entries = 0;
    while read_entry(source)?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

/// `None` at the end.
fn read_entry(source: &mut dyn Read) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut lengths = [0u8; 8];
    if source.read(&mut lengths[..1])? == 0 {
        return Ok(None);
    }
    source.read_exact(&mut lengths[1..])?;
    let [a, b, c, d, e, f, g, h] = lengths;
    let key_len = u32::from_le_bytes([a, b, c, d]) as usize;
    let value_len = u32::from_le_bytes([e, f, g, h]) as usize;
    if key_len > KEY_BYTES_MAX || value_len > VALUE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an entry is longer than any can be",
        ));
    }
    let (mut key, mut value) = (vec![0; key_len], vec![0; value_len]);
    source.read_exact(&mut key)?;
    source.read_exact(&mut value)?;
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::MemoryStore;

    #[test]
    fn dumps_come_back_and_cut_ones_are_errors() {
        let store = MemoryStore::default();
        let put = |key: u8| SnapshotOp::Put {
            tree: Tree::Items,
            key: vec![key],
            value: vec![key; usize::from(key)],
        };
        store.apply((0..20).map(put).collect()).expect("applied");
        let mut dump = Vec::new();
        assert_eq!(write_tree(&store, Tree::Items, &mut dump).expect("dumped").visited, 20);
        let copy = MemoryStore::default();
        assert_eq!(read_tree(&copy, Tree::Users, &mut dump.as_slice()).expect("read"), 20);
        assert_eq!(copy.get(Tree::Users, &[7]).expect("read"), Some(vec![7; 7]));
        assert_eq!(count_entries(&mut dump.as_slice()).expect("counted"), 20);
        assert!(count_entries(&mut &dump[..dump.len() - 1]).is_err());
        assert!(count_entries(&mut [0xFF; 9].as_slice()).is_err());
        assert_eq!(count_entries(&mut io::empty()).expect("counted"), 0);
    }
}
