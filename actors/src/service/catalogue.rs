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
/// How many items are put at a time when the catalogue is loaded or replayed: every batch publishes the catalogue.
const LOAD_BATCH_ITEMS: usize = 16_384;

/// What the snapshots do not know yet.
#[derive(Debug, Default)]
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
    let _entered = shared.gate.enter();
    let results = shared
        .world
        .catalogue
        .apply(changes, |accepted| -> Result<(), EngineError> {
            last = write_down(shared, accepted)?;
            let mut dirty = shared.catalogue_dirty.lock();
            accepted.iter().for_each(|changed| dirty.note(changed));
            Ok(())
        })?;
    let put = results.iter().flatten().filter_map(|changed| match changed {
        Changed::Upserted { row, .. } => Some(*row),
        Changed::Deleted { .. } => None,
    });
    shared.world.new_items.note(put);
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

    /// These rows have to be written, whether or not they have changed.
    pub(crate) fn mark(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// The same as rows of the snapshots, made one by one: a whole catalogue of them would not fit beside itself.
    pub(crate) fn rows<'a>(&'a self, shared: &'a Shared) -> impl Iterator<Item = SnapshotOp> + 'a {
        let put = |row: &Row| {
            let item = ItemDto::from(&*shared.world.catalogue.load().entry(*row)?.item);
            let key = item.id.clone().into_bytes();
            Some(SnapshotOp::Put {
                tree: Tree::Items,
                key,
                value: encode_named(&(row, item)),
            })
        };
        let deletions = self.deleted.iter().flat_map(|(id, row)| {
            let delete = |tree, key| SnapshotOp::Delete { tree, key };
            let row = row.to_be_bytes().to_vec();
            [
                delete(Tree::Items, id.as_str().as_bytes().to_vec()),
                delete(Tree::ItemStats, row.clone()),
                delete(Tree::CoVisits, row),
            ]
        });
        // Deletions first: what was deleted while these rows are made is not among them any more, and what was put
        // again since its deletion must stay.
        deletions.chain(self.rows.iter().filter_map(put))
    }

    /// Puts back what could not be written, unless something newer is known.
    pub(crate) fn put_back(&mut self, taken: CatalogueDirty) {
        self.rows.extend(taken.rows);
        for (id, row) in taken.deleted {
            self.deleted.entry(id).or_insert(row);
        }
    }
}

/// Loads the catalogue from the snapshots.
pub(crate) fn load(shared: &SharedRef) -> Result<(), SnapshotError> {
    let mut items: Vec<(Row, Arc<Item>)> = Vec::new();
    let report = shared.storage.snapshots.for_each(Tree::Items, &mut |_, value| {
        match decode_bytes::<(Row, ItemDto)>(value) {
            Ok((row, dto)) => items.extend(item_of(dto).map(|item| (row, item))),
            Err(error) => report_damage("item", &error),
        }
        ControlFlow::Continue(())
    })?;
    // The store's order is that of ids. In the order of rows a batch touches few blocks of the index, and what a block
    // was before has to be copied only where two batches meet.
    items.sort_unstable_by_key(|(row, _)| *row);
    let mut items = items
        .into_iter()
        .map(|(row, item)| Change::Upsert { item, row: Some(row) });
    loop {
        let batch: Vec<Change> = items.by_ref().take(LOAD_BATCH_ITEMS).collect();
        if batch.is_empty() {
            break;
        }
        put(shared, batch);
    }
    if report.damaged_total > 0 {
        report_damage("items", &format!("{} damaged rows", report.damaged_total));
    }
    Ok(())
}

/// Items of journal records that wait to be put together.
#[derive(Default)]
pub(crate) struct ReplayedItemPuts {
    changes: Vec<Change>,
    ids: FxHashSet<String>,
}

impl ReplayedItemPuts {
    /// Takes up items of a journal record. What the snapshots hold just like that is skipped.
    pub(crate) fn items(&mut self, shared: &SharedRef, items: Vec<(Row, ItemDto)>) {
        for (row, dto) in items {
            let id = dto.id.clone();
            let Some(item) = item_of(dto) else { continue };
            let catalogue = &shared.world.catalogue;
            let is_there = catalogue.row(&id) == Some(row) && catalogue.item(&id).is_some_and(|known| known == item);
            // An earlier record that waits would change it first.
            if is_there && !self.ids.contains(&id) {
                continue;
            }
            shared.catalogue_dirty.lock().rows.insert(row);
            self.ids.insert(id);
            self.changes.push(Change::Upsert { item, row: Some(row) });
        }
        if self.changes.len() >= LOAD_BATCH_ITEMS {
            self.put(shared);
        }
    }

    /// Takes up a deletion of a journal record.
    pub(crate) fn deletion(&mut self, shared: &SharedRef, id: ItemId, row: Row) {
        self.put(shared);
        put(shared, vec![Change::Delete { id: id.clone() }]);
        shared.items.remove(&shared.world, row);
        shared.world.co_visits.remove(row);
        let mut dirty = shared.catalogue_dirty.lock();
        dirty.rows.remove(&row);
        dirty.deleted.insert(id, row);
    }

    /// Puts what waits: before anything that speaks of items, and at the end.
    pub(crate) fn put(&mut self, shared: &SharedRef) {
        self.ids.clear();
        put(shared, std::mem::take(&mut self.changes));
    }
}

fn item_of(dto: ItemDto) -> Option<Arc<Item>> {
    let id = dto.id.clone();
    match dto.into_item(TimestampMs::default()) {
        Ok(item) => Some(Arc::new(item)),
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
