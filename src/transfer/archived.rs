//! Rows of the archive as JSON.

use serde_json::{Map, Value};
use swipeline_actors::archive_table;
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::{Cell, Column};

/// The shape of one kind's rows.
pub(crate) struct ArchivedRows {
    kind: ArchiveKind,
    columns: Vec<Column>,
}

impl ArchivedRows {
    /// Of a kind.
    pub(crate) fn of(kind: ArchiveKind) -> Self {
        Self {
            kind,
            columns: archive_table(kind).columns.to_vec(),
        }
    }

    /// A row as JSON: an event in the shape of the REST API, so that it can be imported again; a slate's item with all that
    /// is known.
    pub(crate) fn object(&self, row: &[Cell]) -> Map<String, Value> {
        let is_wanted = |name: &str| self.kind == ArchiveKind::Slates || !["sequence", "accepted_at"].contains(&name);
        self.columns
            .iter()
            .zip(row)
            .filter(|(column, cell)| is_wanted(&column.name) && **cell != Cell::Null)
            .map(|(column, cell)| {
                let value = match (column.name.as_ref(), cell) {
                    ("context", Cell::Text(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
                    _ => cell.to_json(),
                };
                (column.name.to_string(), value)
            })
            .collect()
    }
}
