//! Items and users as rows of tables, for export: which columns, and what stands in them. The events' table is the
//! archive's.

use swipeline_models::wire::{ItemDto, UserDto};
use swipeline_storage::table::{Cell, Column, ColumnKind, Table};

/// The version of the tables below.
const SCHEMA_VERSION: u32 = 1;

/// Items as a table.
pub(crate) fn item_table() -> Table {
    Table {
        name: "items".into(),
        version: SCHEMA_VERSION,
        columns: vec![
            Column::required("id", ColumnKind::Text),
            Column::optional("title", ColumnKind::Text),
            Column::optional("author_id", ColumnKind::Text),
            Column::optional("categories", ColumnKind::Texts),
            Column::optional("tags", ColumnKind::Texts),
            Column::optional("duration_ms", ColumnKind::Int),
            Column::optional("created_at", ColumnKind::Time),
            Column::optional("regions", ColumnKind::Texts),
            Column::optional("embedding", ColumnKind::Floats),
            Column::optional("hidden", ColumnKind::Bool),
            Column::optional("attributes", ColumnKind::Text),
        ],
        notes: Vec::new(),
    }
}

/// An item as a row of [`item_table`].
pub(crate) fn item_cells(item: &ItemDto) -> Vec<Cell> {
    vec![
        Cell::Text(item.id.clone()),
        Cell::text(item.title.as_deref()),
        Cell::text(item.author_id.as_deref()),
        texts(item.categories.as_ref()),
        texts(item.tags.as_ref()),
        Cell::int(item.duration_ms),
        Cell::int(item.created_at),
        texts(item.regions.as_ref()),
        item.embedding.clone().map_or(Cell::Null, Cell::Floats),
        item.hidden.map_or(Cell::Null, Cell::Bool),
        json(item.attributes.as_ref()),
    ]
}

/// Users as a table.
pub(crate) fn user_table() -> Table {
    Table {
        name: "users".into(),
        version: SCHEMA_VERSION,
        columns: vec![
            Column::required("id", ColumnKind::Text),
            Column::optional("tags", ColumnKind::Texts),
            Column::optional("region", ColumnKind::Text),
            Column::optional("device", ColumnKind::Text),
            Column::optional("registered_at", ColumnKind::Time),
            Column::optional("follows", ColumnKind::Texts),
            Column::optional("long_term_tags", ColumnKind::Text),
            Column::optional("active_hours", ColumnKind::Text),
            Column::optional("attributes", ColumnKind::Text),
        ],
        notes: Vec::new(),
    }
}

/// A user as a row of [`user_table`].
pub(crate) fn user_cells(user: &UserDto) -> Vec<Cell> {
    vec![
        Cell::Text(user.id.clone()),
        texts(user.tags.as_ref()),
        Cell::text(user.region.as_deref()),
        Cell::text(user.device.as_deref()),
        Cell::int(user.registered_at),
        texts(user.follows.as_ref()),
        json(user.long_term_tags.as_ref()),
        json(user.active_hours.as_ref()),
        json(user.attributes.as_ref()),
    ]
}

fn texts(list: Option<&Vec<String>>) -> Cell {
    list.map_or(Cell::Null, |list| Cell::Texts(list.clone()))
}

fn json<T: serde::Serialize>(map: Option<&T>) -> Cell {
    map.and_then(|map| serde_json::to_string(map).ok())
        .map_or(Cell::Null, Cell::Text)
}
