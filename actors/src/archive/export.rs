//! Reading all tiers, each row once: cold files, then what is warm, then what is hot.

use swipeline_storage::archive::{ArchiveKind, ColdFile};
use swipeline_storage::table::{Cell, TableReader};
use swipeline_storage::{Archive, ArchiveError, ReadItem, Seq};

use super::tables::{archive_table, event_rows, for_each_row};
use crate::api::EngineError;
use crate::shared::Shared;

/// From when until when, in milliseconds since 1970: the time that a row speaks of (`at`), `until` itself left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// From here on.
    pub since: Option<i64>,
    /// Before this.
    pub until: Option<i64>,
}

impl TimeRange {
    fn holds(self, at_ms: i64) -> bool {
        self.since.is_none_or(|since| at_ms >= since) && self.until.is_none_or(|until| at_ms < until)
    }

    fn touches(self, file: &ColdFile) -> bool {
        self.since.is_none_or(|since| file.at_last_ms >= since)
            && self.until.is_none_or(|until| file.at_first_ms < until)
    }
}

/// Calls `each` for every row of a kind, in the order in which they were accepted or served. Blocks; entries do not move
/// meanwhile.
pub(crate) fn for_each_archived(
    shared: &Shared,
    kind: ArchiveKind,
    range: TimeRange,
    each: &mut dyn FnMut(Vec<Cell>),
) -> Result<(), EngineError> {
    let failed = |error: &dyn std::fmt::Display| EngineError::Unavailable(error.to_string());
    shared.served.settle();
    shared.archive.keep_still(|| {
        let mut wanted = |row: Vec<Cell>, at_ms: i64| {
            if range.holds(at_ms) {
                each(row);
            }
        };
        let mut from = Seq::FIRST;
        if let Some(store) = &shared.archive.store {
            read_cold(store, kind, range, &mut wanted).map_err(|error| failed(&error))?;
            read_warm(store, kind, &mut wanted).map_err(|error| failed(&error))?;
            from = store.warm.cursor().next();
        }
        match kind {
            ArchiveKind::Events => {
                for read in shared.storage.journal.read_from(from).map_err(|error| failed(&error))? {
                    if let ReadItem::Record(record) = read {
                        event_rows(&record, &mut wanted);
                    }
                }
            }
            ArchiveKind::Slates => shared
                .archive
                .slates
                .for_each(&mut |slate| for_each_row(kind, 0, &slate.payload, &mut wanted)),
        }
        Ok(())
    })
}

fn read_cold(
    store: &Archive,
    kind: ArchiveKind,
    range: TimeRange,
    each: &mut dyn FnMut(Vec<Cell>, i64),
) -> Result<(), ArchiveError> {
    let table = archive_table(kind);
    let at = table.columns.iter().position(|column| column.name == "at");
    for file in store
        .cold
        .files()
        .into_iter()
        .filter(|file| file.kind == kind && range.touches(file))
    {
        let path = store.cold.path(&file);
        let unreadable = |source| ArchiveError::Table {
            path: path.clone(),
            source,
        };
        let mut reader = TableReader::open_as(&path, &table).map_err(unreadable)?;
        while let Some(row) = reader.next_cells(&table.columns) {
            let row = row.map_err(unreadable)?;
            let at_ms = at.and_then(|place| row[place].as_int()).unwrap_or(file.start_ms);
            each(row, at_ms);
        }
    }
    Ok(())
}

fn read_warm(store: &Archive, kind: ArchiveKind, each: &mut dyn FnMut(Vec<Cell>, i64)) -> Result<(), ArchiveError> {
    for bucket in store.warm.buckets(kind) {
        for batch in store.warm.batches(kind, bucket.start_ms) {
            for (sequence, entry) in store.warm.entries(kind, bucket.start_ms, &[batch])? {
                for_each_row(kind, sequence, &entry, each);
            }
        }
    }
    Ok(())
}
