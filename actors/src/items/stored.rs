//! Item statistics in the snapshots: their row, and how they are brought up to date from the journal at a start.

use std::ops::ControlFlow;

use rustc_hash::FxHashMap;
use swipeline_models::ids::Row;
use swipeline_models::popularity::ItemStats;
use swipeline_storage::{SnapshotError, SnapshotOp, Tree};

use super::actor::record;
use super::included::Included;
use super::router::Recorded;
use crate::clock;
use crate::records::{decode_bytes, encode};
use crate::shared::{Shared, SharedRef, report_damage};

/// Stands before rows that name what they include; MessagePack never begins with it. Earlier programs wrote the statistics
/// alone, with one number in them.
const MARK: u8 = 0xc1;

/// The statistics of an item, and which journal records they include.
#[derive(Default)]
pub(super) struct StoredItem {
    pub(super) stats: ItemStats,
    pub(super) included: Included,
}

impl StoredItem {
    /// The value of the item's row.
    pub(super) fn encode(stats: &ItemStats, included: &Included) -> Vec<u8> {
        let mut value = vec![MARK];
        value.extend(encode(&(included, stats)));
        value
    }

    /// What a row says; nothing when it is damaged.
    fn decode(value: &[u8]) -> Self {
        let decoded = match value.strip_prefix(&[MARK]) {
            Some(marked) => decode_bytes(marked).map(|(included, stats)| Self { stats, included }),
            None => decode_bytes(value).map(|stats: ItemStats| Self {
                included: Included::upto(stats.last_sequence),
                stats,
            }),
        };
        decoded.unwrap_or_else(|error| {
            report_damage("item statistics", &error);
            Self::default()
        })
    }
}

/// The statistics of an item as they were stored, unless the store would have to be waited for.
pub(super) fn item_now(shared: &Shared, row: Row) -> Option<StoredItem> {
    if !shared.items.stored.read().contains(&row) {
        return Some(StoredItem::default());
    }
    let stored = shared.storage.snapshots.try_get(Tree::ItemStats, &row.to_be_bytes())?;
    Some(read(stored))
}

/// The statistics of an item as they were stored; empty ones when there are none or they are damaged. Blocks.
pub(super) fn stored_item(shared: &Shared, row: Row) -> StoredItem {
    read(shared.read_row(Tree::ItemStats, &row.to_be_bytes()))
}

fn read(stored: Result<Option<Vec<u8>>, SnapshotError>) -> StoredItem {
    match stored {
        Ok(Some(bytes)) => StoredItem::decode(&bytes),
        Ok(None) => StoredItem::default(),
        Err(error) => {
            report_damage("item statistics", &error);
            StoredItem::default()
        }
    }
}

/// How many likes the stored statistics of an item have counted in its life.
#[cfg(test)]
pub(crate) fn stored_likes(shared: &Shared, row: Row) -> u32 {
    let stats = stored_item(shared, row).stats;
    stats.lifetime().get(swipeline_models::popularity::Counter::Likes)
}

/// Statistics that are being brought up to date from the journal at a start.
#[derive(Default)]
pub(crate) struct ReplayedItems {
    items: FxHashMap<Row, StoredItem>,
}

impl ReplayedItems {
    /// Takes a signal of a journal record, unless the stored statistics include the record. Several signals of one record
    /// may be on one item: all of them are new, or none is.
    pub(crate) fn record(&mut self, shared: &SharedRef, recorded: &Recorded) {
        let item = self
            .items
            .entry(recorded.row)
            .or_insert_with(|| stored_item(shared, recorded.row));
        if !item.included.holds(recorded.sequence) {
            record(&mut item.stats, recorded, shared);
        }
    }

    /// The changed statistics as snapshot rows, which include everything up to `last`.
    pub(crate) fn into_rows(self, last: u64) -> Vec<SnapshotOp> {
        let row = |(row, mut item): (Row, StoredItem)| {
            item.included.raise(last);
            SnapshotOp::Put {
                tree: Tree::ItemStats,
                key: row.to_be_bytes().to_vec(),
                value: StoredItem::encode(&item.stats, &item.included),
            }
        };
        self.items.into_iter().map(row).collect()
    }
}

/// Publishes the reading of every stored item, so that rankers know popularity from the first request on. Returns the
/// highest journal number that one includes.
pub(crate) fn publish_stored(shared: &SharedRef) -> Result<u64, SnapshotError> {
    let params = shared.world.params.load();
    let now = clock::now();
    let mut highest = 0;
    let report = shared.storage.snapshots.for_each(Tree::ItemStats, &mut |key, value| {
        let Ok(row) = <[u8; 4]>::try_from(key).map(Row::from_be_bytes) else {
            report_damage("item statistics", &"a key that is no row");
            return ControlFlow::Continue(());
        };
        shared.items.stored.write().insert(row);
        let StoredItem { mut stats, included } = StoredItem::decode(value);
        highest = highest.max(included.highest());
        if shared.world.catalogue.load().entry(row).is_some() {
            stats.expire(now);
            let reading = stats.reading(now, &params.popularity);
            shared.items.publish(&shared.world, row, reading);
        }
        ControlFlow::Continue(())
    })?;
    if report.damaged_total > 0 {
        report_damage("item statistics", &format!("{} damaged rows", report.damaged_total));
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_last_release_are_read() {
        let mut stats = ItemStats::default();
        stats.last_sequence = 7;
        let old = StoredItem::decode(&encode(&stats));
        assert!(old.included.holds(7) && !old.included.holds(8));
        let mut included = Included::upto(7);
        included.add(9);
        let row = StoredItem::encode(&stats, &included);
        let new = StoredItem::decode(&row);
        assert_eq!((new.included, new.stats), (included, stats));
        assert_eq!(StoredItem::decode(b"?").included, Included::default());
    }
}
