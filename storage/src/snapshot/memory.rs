//! The snapshot store in memory, for tests and for `in_memory` storage: the same contract, nothing survives.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use super::{EntryVisitor, SnapshotError, SnapshotOp, SnapshotStore, Tree, VisitReport};

/// Trees in ordered maps. Holds what its callers put in, like the store on disk.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: RwLock<Entries>,
}

type Entries = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

impl SnapshotStore for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        Ok(self.entries.read().get(&(tree, key.to_vec())).cloned())
    }

    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
        let entries = self.entries.try_read()?;
        Some(Ok(entries.get(&(tree, key.to_vec())).cloned()))
    }

    fn apply(&self, batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        batch.iter().try_for_each(SnapshotOp::check)?;
        let mut entries = self.entries.write();
        for op in batch {
            match op {
                SnapshotOp::Put { tree, key, value } => entries.insert((tree, key), value),
                SnapshotOp::Delete { tree, key } => entries.remove(&(tree, key)),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError> {
        let entries = self.entries.read();
        let mut report = VisitReport::default();
        for ((_, key), value) in entries
            .range((tree, from.to_vec())..)
            .take_while(|((of, _), _)| *of == tree)
        {
            report.visited += 1;
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(report)
    }

    fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
        Ok(self.entries.read().keys().filter(|(of, _)| *of == tree).count() as u64)
    }

    fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
        self.entries.write().retain(|(of, _), _| *of != tree);
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }

    fn compact(&self) -> Result<u64, SnapshotError> {
        Ok(0)
    }
}
