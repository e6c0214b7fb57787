//! Parquet: columns named as the REST API's fields, ours and those that pandas, polars, DuckDB or Spark write.
//!
//! Owns how a column becomes a field: lists are lists, times are timestamps or milliseconds, whole numbers may stand in
//! columns of fractions (pandas makes them where a value is missing) and ids in columns of numbers; attributes and
//! context are a struct, a map, a JSON text or columns `attributes.<key>`; null is an absent field. Must not know data
//! sets.

use std::fs::File;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};
use swipeline_storage::table::{TableError, TableReader};

use super::csv::{EVENT_COLUMNS, ITEM_COLUMNS, USER_COLUMNS};
use super::source::{BytesRead, InputFile};
use super::{Entity, Fault, OpenError, Parse, Problem, Record, not_this_format};

/// Fields that are whole numbers.
const WHOLE_NUMBERS: [&str; 6] = [
    "duration_ms",
    "created_at",
    "registered_at",
    "at",
    "watch_ms",
    "position",
];
/// Fields that are ids.
const IDS: [&str; 7] = [
    "id",
    "author_id",
    "user_id",
    "item_id",
    "event_id",
    "request_id",
    "region",
];
/// What the archive's own files have beyond an event; the server gives it anew.
const ARCHIVE_COLUMNS: [&str; 2] = ["sequence", "accepted_at"];

/// Reads a Parquet file.
pub(super) struct ParquetRows {
    reader: TableReader,
    entity: Entity,
    now: TimestampMs,
    row: u64,
    /// The file's size, spread over its rows for the progress.
    bytes: u64,
    bytes_read: BytesRead,
    bytes_counted: u64,
}

impl ParquetRows {
    /// Opens a file and checks its columns.
    pub(super) fn open(
        input: &InputFile,
        entity: Entity,
        now: TimestampMs,
        bytes_read: &BytesRead,
    ) -> Result<Self, OpenError> {
        let path = input.path();
        if *input == InputFile::Stdin {
            let detail = "Parquet is read from its end: it cannot come from standard input";
            return Err(not_this_format(path, detail));
        }
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let reader = TableReader::of_file(file).map_err(|error| match error {
            TableError::Io(source) => io(source),
            TableError::Parquet(_) | TableError::WrongCell { .. } | TableError::OtherTable { .. } => {
                not_this_format(path, error.to_string())
            }
        })?;
        check_columns(reader.column_names(), entity).map_err(|detail| not_this_format(path, detail))?;
        Ok(Self {
            reader,
            entity,
            now,
            row: 0,
            bytes: input.bytes().unwrap_or(0),
            bytes_read: bytes_read.clone(),
            bytes_counted: 0,
        })
    }

    fn count_bytes(&mut self) {
        let rows = self.reader.rows_total().max(1);
        let so_far = u64::try_from(u128::from(self.bytes) * u128::from(self.row) / u128::from(rows)).unwrap_or(0);
        self.bytes_read.add(so_far.saturating_sub(self.bytes_counted));
        self.bytes_counted = so_far;
    }

    fn record(&self, mut fields: Map<String, Value>) -> Result<Record, Problem> {
        let map = map_field(self.entity);
        fold_map(&mut fields, map)?;
        if self.entity == Entity::Users {
            USER_JSON_COLUMNS
                .iter()
                .try_for_each(|name| unfold_json(&mut fields, name))?;
        }
        for name in WHOLE_NUMBERS {
            if let Some(value) = fields.get_mut(name) {
                make_whole(value);
            }
        }
        for name in IDS {
            if let Some(value) = fields.get_mut(name)
                && let Some(number) = value.as_i64()
            {
                *value = Value::from(number.to_string());
            }
        }
        Ok(match self.entity {
            Entity::Items => Record::Item(shaped::<ItemDto>(fields)?.into_item(self.now)?),
            Entity::Users => Record::User(shaped::<UserDto>(fields)?.into_user()?),
            Entity::Events => {
                ARCHIVE_COLUMNS.iter().for_each(|name| drop(fields.remove(*name)));
                Record::Event(shaped::<EventDto>(fields)?.into_event(None, self.now)?)
            }
        })
    }
}

impl Parse for ParquetRows {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        let fields = match self.reader.next_object()? {
            Ok(fields) => fields,
            Err(error) => {
                return Some(Err(Fault::Broken {
                    line: self.row,
                    source: std::io::Error::other(error),
                }));
            }
        };
        self.row += 1;
        self.count_bytes();
        let row = self.row;
        Some(
            self.record(fields)
                .map(|record| rows.push(record))
                .map(|()| row)
                .map_err(|problem| problem.at(row)),
        )
    }
}

/// Columns of users that hold JSON.
const USER_JSON_COLUMNS: [&str; 2] = ["long_term_tags", "active_hours"];

fn map_field(entity: Entity) -> &'static str {
    match entity {
        Entity::Items | Entity::Users => "attributes",
        Entity::Events => "context",
    }
}

fn check_columns(names: &[String], entity: Entity) -> Result<(), String> {
    let map = map_field(entity);
    let (columns, required): (_, &[&str]) = match entity {
        Entity::Items => (ITEM_COLUMNS, &["id"]),
        Entity::Users => (USER_COLUMNS, &["id"]),
        Entity::Events => (EVENT_COLUMNS, &["user_id", "item_id", "type"]),
    };
    let is_known = |name: &String| {
        let name = name.as_str();
        columns.contains(&name)
            || name == map
            || name
                .strip_prefix(map)
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
            || (entity == Entity::Events && ARCHIVE_COLUMNS.contains(&name))
    };
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(format!(
            "unknown column `{unknown}` for {entity}; known are {}, {map}, {map}.<key>",
            columns.join(", ")
        ));
    }
    match required.iter().find(|name| !names.iter().any(|column| column == *name)) {
        Some(missing) => Err(format!("column `{missing}` is needed for {entity}")),
        None => Ok(()),
    }
}

/// Makes one object of the forms in which attributes and context may come.
fn fold_map(fields: &mut Map<String, Value>, map: &str) -> Result<(), Problem> {
    let mut folded = match fields.remove(map) {
        None => Map::new(),
        Some(Value::Object(object)) => object,
        Some(Value::String(text)) => serde_json::from_str(&text)
            .map_err(|error| Problem::new("malformed_json", format!("column `{map}`: {error}")))?,
        Some(other) => {
            return Err(Problem::new(
                "wrong_shape",
                format!("column `{map}`: {other} is no object"),
            ));
        }
    };
    let keys: Vec<String> = fields.keys().filter(|name| name.starts_with(map)).cloned().collect();
    for name in keys {
        if let Some(key) = name.strip_prefix(map).and_then(|rest| rest.strip_prefix('.'))
            && let Some(value) = fields.remove(&name)
        {
            folded.insert(key.to_owned(), value);
        }
    }
    if !folded.is_empty() {
        fields.insert(map.to_owned(), Value::Object(folded));
    }
    Ok(())
}

/// Reads a column that holds JSON as a text.
fn unfold_json(fields: &mut Map<String, Value>, name: &str) -> Result<(), Problem> {
    if let Some(value) = fields.get_mut(name)
        && let Value::String(text) = value
    {
        *value = serde_json::from_str(text)
            .map_err(|error| Problem::new("malformed_json", format!("column `{name}`: {error}")))?;
    }
    Ok(())
}

fn make_whole(value: &mut Value) {
    if let Some(number) = value.as_f64()
        && value.as_i64().is_none()
        && number.fract() == 0.0
        && number.abs() < 9e15
    {
        *value = Value::from(number as i64);
    }
}

fn shaped<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| Problem::new("wrong_shape", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, ParquetWriter, Row, item_cells, item_table, open, user_cells, user_table};
    use super::*;
    use std::path::Path;
    use swipeline_storage::table::{Cell, Column, ColumnKind, Table};

    fn read(path: &Path, entity: Entity) -> Vec<Result<Row, String>> {
        let input = InputFile::Path(path.to_owned());
        let rows = open(&input, entity, Format::Parquet, TimestampMs(7), &BytesRead::default()).expect("opens");
        rows.map(|row| row.map_err(|fault| fault.to_string())).collect()
    }

    fn write(path: &Path, columns: Vec<Column>, rows: Vec<Vec<Cell>>) {
        let table = Table {
            name: "anything".into(),
            version: 1,
            columns,
            notes: Vec::new(),
        };
        let mut writer = ParquetWriter::create(path, &table).expect("created");
        rows.into_iter().for_each(|row| writer.write(row).expect("written"));
        writer.finish().expect("finished");
    }

    #[test]
    fn items_and_users_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("items.parquet");
        let item: ItemDto = serde_json::from_value(serde_json::json!({
            "id": "v1", "title": "Katzen", "author_id": "a", "categories": ["pets"], "tags": ["cat", "Zoë"],
            "duration_ms": 21_000, "created_at": 5, "regions": ["de"], "embedding": [0.1, -0.2], "hidden": true,
            "attributes": {"lang": "de", "rank": 2.5, "new": true}
        }))
        .expect("an item");
        let bare = ItemDto {
            id: "v2".to_owned(),
            ..ItemDto::default()
        };
        let mut writer = ParquetWriter::create(&path, &item_table()).expect("created");
        for item in [&item, &bare] {
            writer.write(item_cells(item)).expect("written");
        }
        assert_eq!(writer.finish().expect("finished"), 2);
        let records: Vec<Record> = read(&path, Entity::Items)
            .into_iter()
            .map(|row| row.expect("good").record)
            .collect();
        let expected = [item, bare].map(|item| Record::Item(item.into_item(TimestampMs(7)).expect("good")));
        assert_eq!(records, expected);

        let path = folder.path().join("users.parquet");
        let user: UserDto = serde_json::from_value(serde_json::json!({
            "id": "u1", "tags": ["cat"], "region": "de", "device": "ios", "registered_at": 9, "follows": ["a"],
            "long_term_tags": {"cat": 1.5}, "active_hours": [7, 21], "attributes": {"plan": "free"}
        }))
        .expect("a user");
        let mut writer = ParquetWriter::create(&path, &user_table()).expect("created");
        writer.write(user_cells(&user)).expect("written");
        writer.finish().expect("finished");
        let records: Vec<Record> = read(&path, Entity::Users)
            .into_iter()
            .map(|row| row.expect("good").record)
            .collect();
        assert_eq!(records, [Record::User(user.into_user().expect("good"))]);
    }

    #[test]
    fn numbers_stand_for_ids_and_fractions_for_whole_numbers_and_bad_rows_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.parquet");
        let columns = vec![
            Column::optional("user_id", ColumnKind::Int),
            Column::optional("item_id", ColumnKind::Int),
            Column::optional("type", ColumnKind::Text),
            Column::optional("watch_ms", ColumnKind::Double),
            Column::optional("context", ColumnKind::Text),
        ];
        let row = |kind: &str, watch: f64, context: &str| {
            let text = |text: &str| Cell::Text(text.to_owned());
            vec![
                Cell::Int(7),
                Cell::Int(9),
                text(kind),
                Cell::Double(watch),
                text(context),
            ]
        };
        let rows = vec![
            row("like", 1_200.0, r#"{"screen": "home"}"#),
            row("cough", 1.0, "{}"),
            row("like", f64::NAN, "{}"),
            row("like", 1.0, "{"),
        ];
        write(&path, columns, rows);
        let rows = read(&path, Entity::Events);
        let Record::Event(event) = &rows[0].as_ref().expect("good").record else {
            panic!("no event")
        };
        assert_eq!(
            (event.user.as_str(), event.item.as_str(), event.watch_ms),
            ("7", "9", Some(1_200))
        );
        assert_eq!(event.context.len(), 1);
        let bad: Vec<&String> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
        assert!(
            bad[0].starts_with("line 2: ") && bad[0].contains("unknown_type"),
            "{bad:?}"
        );
        assert!(
            bad[1].starts_with("line 3: ") && bad[1].contains("wrong_shape"),
            "{bad:?}"
        );
        assert!(
            bad[2].starts_with("line 4: ") && bad[2].contains("malformed_json"),
            "{bad:?}"
        );
    }

    #[test]
    fn what_is_something_else_is_refused_by_its_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.parquet");
        let refusal = |entity| {
            let input = InputFile::Path(path.clone());
            let opened = open(&input, entity, Format::Parquet, TimestampMs(7), &BytesRead::default());
            opened.err().expect("is refused").to_string()
        };
        write(
            &path,
            vec![
                Column::optional("id", ColumnKind::Text),
                Column::optional("colour", ColumnKind::Text),
            ],
            Vec::new(),
        );
        assert!(refusal(Entity::Items).contains("unknown column `colour`"));
        write(&path, vec![Column::optional("user_id", ColumnKind::Text)], Vec::new());
        assert!(refusal(Entity::Events).contains("column `item_id` is needed"));
        std::fs::write(&path, "id,title\n").expect("written");
        assert!(refusal(Entity::Items).contains("x.parquet"));
        let stdin = open(
            &InputFile::Stdin,
            Entity::Items,
            Format::Parquet,
            TimestampMs(7),
            &BytesRead::default(),
        );
        assert!(stdin.err().expect("is refused").to_string().contains("standard input"));
    }
}
