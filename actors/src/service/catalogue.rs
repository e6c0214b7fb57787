//! Changes of the catalogue: journal first, then visible, then (at the next checkpoint) in the snapshots.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use swipeline_models::catalogue::{Change, Changed};
use swipeline_models::ids::{ItemId, Row};
use swipeline_models::item::Item;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{FieldError, ItemDto};
use swipeline_storage::{Seq, SnapshotError, SnapshotOp, Tree};

use crate::api::EngineError;
use crate::records::{JournalEntry, decode_bytes, encode_named};
use crate::shared::{Shared, SharedRef, journal_error, report_damage};

/// How many items one journal record holds at most.
const ITEMS_PER_RECORD: usize = 64;
/// How many items are put at a time when the catalogue is loaded.
const LOAD_BATCH_ITEMS: usize = 4_096;

/// What the snapshots do not know yet.
#[derive(Default)]
pub(crate) struct CatalogueDirty {
    rows: FxHashSet<Row>,
    deleted: FxHashMap<ItemId, Row>,
}

/// Applies changes. Returns one result per change and the journal sequence to wait for (0 when nothing changed).
pub(crate) fn apply_changes(
    shared: &Shared,
    changes: Vec<Change>,
) -> Result<(Vec<Result<Changed, FieldError>>, Seq), EngineError> {
    let mut last = Seq::ZERO;
    let results = shared
        .world
        .catalogue
        .apply(changes, |accepted| -> Result<(), EngineError> {
            last = write_down(shared, accepted)?;
            let mut dirty = shared.catalogue_dirty.lock();
            accepted.iter().for_each(|changed| dirty.note(changed));
            Ok(())
        })?;
    for changed in results.iter().flatten() {
        if let Changed::Deleted { row: Some(row), .. } = changed {
            shared.items.remove(&shared.world, *row);
            shared.world.co_visits.remove(*row);
        }
    }
    Ok((results, last))
}

fn write_down(shared: &Shared, accepted: &[Changed]) -> Result<Seq, EngineError> {
    let journal = &*shared.storage.journal;
    let mut last = Seq::ZERO;
    let mut upserted: Vec<(Row, ItemDto)> = Vec::new();
    let mut append = |entry: JournalEntry| -> Result<(), EngineError> {
        last = entry.append(journal).map_err(|error| journal_error(&error))?;
        Ok(())
    };
    for changed in accepted {
        match changed {
            Changed::Upserted { row, entry, .. } => {
                upserted.push((*row, ItemDto::from(&*entry.item)));
                if upserted.len() >= ITEMS_PER_RECORD {
                    append(JournalEntry::Items(std::mem::take(&mut upserted)))?;
                }
            }
            Changed::Deleted { row: Some(row), id } => {
                // In the order in which they were applied.
                if !upserted.is_empty() {
                    append(JournalEntry::Items(std::mem::take(&mut upserted)))?;
                }
                append(JournalEntry::ItemDeleted {
                    id: id.clone(),
                    row: *row,
                })?;
            }
            Changed::Deleted { row: None, .. } => {}
        }
    }
    if !upserted.is_empty() {
        append(JournalEntry::Items(upserted))?;
    }
    Ok(last)
}

impl CatalogueDirty {
    fn note(&mut self, changed: &Changed) {
        match changed {
            Changed::Upserted { row, entry, .. } => {
                self.rows.insert(*row);
                self.deleted.remove(&entry.item.id);
            }
            Changed::Deleted { row: Some(row), id } => {
                self.rows.remove(row);
                self.deleted.insert(id.clone(), *row);
            }
            Changed::Deleted { row: None, .. } => {}
        }
    }

    /// Everything that the snapshots do not know yet, as rows; it counts as known from now on.
    pub(crate) fn take_rows(&mut self, shared: &Shared) -> Vec<SnapshotOp> {
        let snapshot = shared.world.catalogue.load();
        let put = |row: Row| {
            let item = ItemDto::from(&*snapshot.entry(row)?.item);
            let key = item.id.clone().into_bytes();
            Some(SnapshotOp::Put {
                tree: Tree::Items,
                key,
                value: encode_named(&(row, item)),
            })
        };
        let mut rows: Vec<SnapshotOp> = self.rows.drain().filter_map(put).collect();
        for (id, row) in self.deleted.drain() {
            let row = row.to_be_bytes().to_vec();
            rows.push(SnapshotOp::Delete {
                tree: Tree::Items,
                key: id.as_str().as_bytes().to_vec(),
            });
            rows.push(SnapshotOp::Delete {
                tree: Tree::ItemStats,
                key: row.clone(),
            });
            rows.push(SnapshotOp::Delete {
                tree: Tree::CoVisits,
                key: row,
            });
        }
        rows
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&mut self, shared: &Shared, rows: &[SnapshotOp]) {
        for row in rows {
            if let (SnapshotOp::Put { .. }, (Tree::Items, key)) = (row, row.target())
                && let Ok(id) = std::str::from_utf8(key)
                && let Some(row) = shared.world.catalogue.row(id)
            {
                self.rows.insert(row);
            }
        }
    }
}

/// Loads the catalogue from the snapshots.
pub(crate) fn load(shared: &SharedRef) -> Result<(), SnapshotError> {
    let mut batch: Vec<Change> = Vec::with_capacity(LOAD_BATCH_ITEMS);
    let report = shared.storage.snapshots.for_each(Tree::Items, &mut |_, value| {
        match decode_bytes::<(Row, ItemDto)>(value) {
            Ok((row, dto)) => batch.extend(change_of(row, dto)),
            Err(error) => report_damage("item", &error),
        }
        if batch.len() >= LOAD_BATCH_ITEMS {
            put(shared, std::mem::take(&mut batch));
        }
        ControlFlow::Continue(())
    })?;
    put(shared, batch);
    if report.damaged_total > 0 {
        report_damage("items", &format!("{} damaged rows", report.damaged_total));
    }
    Ok(())
}

/// Takes up items of a journal record.
pub(crate) fn replay_items(shared: &SharedRef, items: Vec<(Row, ItemDto)>) {
    let rows: Vec<Row> = items.iter().map(|(row, _)| *row).collect();
    put(
        shared,
        items.into_iter().filter_map(|(row, dto)| change_of(row, dto)).collect(),
    );
    shared.catalogue_dirty.lock().rows.extend(rows);
}

/// Takes up a deletion of a journal record.
pub(crate) fn replay_deletion(shared: &SharedRef, id: ItemId, row: Row) {
    put(shared, vec![Change::Delete { id: id.clone() }]);
    shared.items.remove(&shared.world, row);
    shared.world.co_visits.remove(row);
    let mut dirty = shared.catalogue_dirty.lock();
    dirty.rows.remove(&row);
    dirty.deleted.insert(id, row);
}

fn change_of(row: Row, dto: ItemDto) -> Option<Change> {
    let id = dto.id.clone();
    match dto.into_item(TimestampMs::default()) {
        Ok(item) => Some(Change::Upsert {
            item: Arc::<Item>::new(item),
            row: Some(row),
        }),
        Err(error) => {
            report_damage("item", &format!("{id}: {}: {}", error.field, error.detail));
            None
        }
    }
}

fn put(shared: &SharedRef, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    for refused in shared
        .world
        .catalogue
        .apply_unrecorded(changes)
        .into_iter()
        .filter_map(Result::err)
    {
        report_damage("item", &format!("{}: {}", refused.field, refused.detail));
    }
}
