//! Parquet: columns named as the REST API's fields, ours and those that pandas, polars, DuckDB or Spark write.
//!
//! Owns the check of the columns and what their types make certain about times. Must not know data sets, nor how a value
//! becomes a field.

use std::fs::File;

use serde_json::{Map, Value};
use swipeline_storage::table::{TableError, TableReader, TimeKind};

use super::csv::targets;
use super::fields::{Raw, RowBuilder};
use super::reading::{Reading, Target};
use super::source::{BytesRead, InputFile};
use super::{Entity, Fault, OpenError, Parse, Problem, Record, not_this_format};

/// Reads a Parquet file.
pub(super) struct ParquetRows {
    reader: TableReader,
    entity: Entity,
    reading: Reading,
    /// What each column stands for, and what its type says about times.
    columns: Vec<(String, Vec<Target>, Option<TimeKind>)>,
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
        reading: Reading,
        bytes_read: &BytesRead,
    ) -> Result<Self, OpenError> {
        let path = match input {
            InputFile::Path(path) => path,
            InputFile::Stdin | InputFile::Zipped(_) => {
                let detail = "Parquet is read from its end: it cannot come from standard input or out of an archive";
                return Err(not_this_format(input.path(), detail));
            }
        };
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
        let names = reader.column_names();
        let targets = targets(names, entity, &reading).map_err(|detail| not_this_format(path, detail))?;
        let columns = names.iter().cloned().zip(targets).zip(reader.time_kinds());
        let columns = columns.map(|((name, targets), kind)| (name, targets, *kind)).collect();
        Ok(Self {
            reader,
            entity,
            reading,
            columns,
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
        let mut row = RowBuilder::new(self.entity, &self.reading);
        for (name, targets, time_kind) in &self.columns {
            let Some(value) = fields.remove(name) else { continue };
            for target in targets {
                row.set(target, name, raw(value.clone(), *time_kind, &self.reading))?;
            }
        }
        row.finish()
    }
}

/// A value of a column whose type may say what kind of time it is.
fn raw(value: Value, time_kind: Option<TimeKind>, reading: &Reading) -> Raw<'static> {
    match (value.as_i64(), time_kind) {
        (Some(ms), Some(TimeKind::Instant)) => Raw::Instant(ms),
        (Some(ms), Some(TimeKind::Local)) => Raw::Local(ms),
        // A date starts at midnight, in which zone ever; there is no time of day to guess about.
        (Some(ms), Some(TimeKind::Date)) => Raw::Instant(reading.times.of_local_ms(ms).ms),
        _ => Raw::Json(value),
    }
}

impl Parse for ParquetRows {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        let outcome = self.reader.next_object()?;
        self.row += 1;
        self.count_bytes();
        let row = self.row;
        let record = match outcome {
            Ok(fields) => self.record(fields),
            Err(TableError::WrongCell { column, cell }) => {
                Err(Problem::new("wrong_shape", format!("column `{column}`: {cell}")))
            }
            Err(error @ (TableError::Io(_) | TableError::Parquet(_) | TableError::OtherTable { .. })) => {
                return Some(Err(Fault::Broken {
                    line: row - 1,
                    source: std::io::Error::other(error),
                }));
            }
        };
        Some(
            record
                .map(|record| rows.push(record))
                .map(|()| row)
                .map_err(|problem| problem.at(row)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, ParquetWriter, Row, item_cells, item_table, open, user_cells, user_table};
    use super::*;
    use std::path::Path;
    use swipeline_models::time::TimestampMs;
    use swipeline_models::wire::{ItemDto, UserDto};
    use swipeline_storage::table::{Cell, Column, ColumnKind, Table};

    fn at_seven() -> Reading {
        Reading {
            now: TimestampMs(7),
            ..Reading::default()
        }
    }

    fn read(path: &Path, entity: Entity) -> Vec<Result<Row, String>> {
        let input = InputFile::Path(path.to_owned());
        let rows = open(&input, entity, Format::Parquet, &at_seven(), &BytesRead::default()).expect("opens");
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
            bad[1].starts_with("line 3: ") && bad[1].contains("not_an_integer"),
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
            let opened = open(&input, entity, Format::Parquet, &at_seven(), &BytesRead::default());
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
            &at_seven(),
            &BytesRead::default(),
        );
        assert!(stdin.err().expect("is refused").to_string().contains("standard input"));
    }
}
