//! Reading tables: our own as cells, anybody's as JSON objects. Holds a batch of rows in memory.

use std::fs::File;
use std::path::Path;

use parquet::file::metadata::KeyValue;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::record::RowAccessor;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::convert::{cell, object};
use super::shape::{Shape, TimeKind, shape_of, time_kind};
use super::{Cell, Column, ColumnKind, KEY_SCHEMA_VERSION, KEY_TABLE, Table, TableError, column_of};

/// Reads a Parquet file row by row, in its order.
pub struct TableReader {
    rows: RowIter<'static>,
    table: Table,
    rows_total: u64,
    /// All columns, also those that no cell can hold.
    names: Vec<String>,
    /// What each of them looks like inside, in the same order.
    shapes: Vec<Shape>,
    /// What the types of each of them say about times.
    time_kinds: Vec<Option<TimeKind>>,
}

/// What a file's metadata says beyond its table.
fn all_notes(found: Option<&Vec<KeyValue>>) -> Vec<(String, String)> {
    let is_ours = |key: &str| key == KEY_TABLE || key == KEY_SCHEMA_VERSION;
    let notes = found.into_iter().flatten().filter(|note| !is_ours(&note.key));
    notes
        .filter_map(|note| Some((note.key.clone(), note.value.clone()?)))
        .collect()
}

impl TableReader {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, is not Parquet, or has a column that cannot be read row by row.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::of_file(File::open(path)?)
    }

    /// The same for a file that is open already.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub fn of_file(file: File) -> Result<Self, TableError> {
        let reader = SerializedFileReader::new(file)?;
        let metadata = reader.metadata().file_metadata();
        let note = |wanted: &str| {
            let notes = metadata.key_value_metadata()?;
            let found = notes.iter().find(|note| note.key == wanted)?;
            found.value.clone()
        };
        let schema = metadata.schema();
        let shapes = schema.get_fields().iter().map(|field| shape_of(field));
        let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
        let time_kinds = schema.get_fields().iter().map(|field| time_kind(field)).collect();
        let table = Table {
            name: note(KEY_TABLE).unwrap_or_default().into(),
            version: note(KEY_SCHEMA_VERSION)
                .and_then(|version| version.parse().ok())
                .unwrap_or(0),
            columns: schema
                .get_fields()
                .iter()
                .filter_map(|field| column_of(field))
                .collect(),
            notes: all_notes(metadata.key_value_metadata()),
        };
        let names = schema
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        let rows_total = u64::try_from(metadata.num_rows()).unwrap_or(0);
        Ok(Self {
            rows: RowIter::from_file_into(Box::new(reader)),
            table,
            rows_total,
            names,
            shapes,
            time_kinds,
        })
    }

    /// Opens a file of `table`, or of an older version of it.
    ///
    /// # Errors
    /// As [`TableReader::open`]; `OtherTable` when it is another table or a newer version.
    pub fn open_as(path: &Path, table: &Table) -> Result<Self, TableError> {
        let reader = Self::open(path)?;
        if reader.table.name != table.name || reader.table.version > table.version {
            return Err(TableError::OtherTable {
                found: format!("{:?} version {}", reader.table.name, reader.table.version),
                wanted: format!("{:?} version {}", table.name, table.version),
            });
        }
        Ok(reader)
    }

    /// The table as the file describes it: name and version are empty and 0 in files of other programs.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The names of all columns, in order.
    #[must_use]
    pub fn column_names(&self) -> &[String] {
        &self.names
    }

    /// What the types of the columns say about times, in the order of [`TableReader::column_names`].
    #[must_use]
    pub fn time_kinds(&self) -> &[Option<TimeKind>] {
        &self.time_kinds
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows_total(&self) -> u64 {
        self.rows_total
    }

    /// The next row as cells in the order of `columns`, by their names; null for a column that the file does not have.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn next_cells(&mut self, columns: &[Column]) -> Option<Result<Vec<Cell>, TableError>> {
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error.into())),
        };
        let mut fields = row.into_columns();
        let mut take = |column: &Column| {
            let place = fields.iter().position(|(name, _)| *name == column.name)?;
            let cell = cell(fields.swap_remove(place).1);
            // An empty list says nothing about its elements.
            let is_empty = matches!(&cell, Cell::Texts(none) if none.is_empty());
            if is_empty && column.kind == ColumnKind::Floats {
                Some(Cell::Floats(Vec::new()))
            } else {
                Some(cell)
            }
        };
        Some(Ok(columns
            .iter()
            .map(|column| take(column).unwrap_or_default())
            .collect()))
    }

    /// The next row as a JSON object without its nulls; times in milliseconds since 1970, UUIDs in their usual form.
    ///
    /// # Errors
    /// `WrongCell` for a value that JSON cannot hold, behind which the next row can be read; anything else when the file
    /// cannot be read any further.
    pub fn next_object(&mut self) -> Option<Result<Map<String, Value>, TableError>> {
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error.into())),
        };
        Some(object(row, &self.shapes))
    }
}

/// Whether a column of Parquet file may hold a value, by its Bloom filters; true where it has none.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn may_hold(path: &Path, column: &str, value: &str) -> Result<bool, TableError> {
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let reader = SerializedFileReader::new_with_options(File::open(path)?, options)?;
    let leaves = reader.metadata().file_metadata().schema_descr().columns();
    let Some(place) = leaves.iter().position(|leaf| leaf.path().string() == column) else {
        return Ok(false);
    };
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number)?;
        if group
            .get_column_bloom_filter(place)
            .is_none_or(|filter| filter.check(&value))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any row has this text in this column. Reads that column only.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn holds(path: &Path, column: &str, value: &str) -> Result<bool, TableError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let schema = reader.metadata().file_metadata().schema();
    let wanted: Vec<_> = schema
        .get_fields()
        .iter()
        .filter(|field| field.name() == column)
        .cloned()
        .collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(wanted).build()?;
    for row in reader.get_row_iter(Some(projection))? {
        if row?.get_string(0).is_ok_and(|found| found == value) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::TableWriter;
    use super::*;
    use proptest::prelude::*;

    fn table() -> Table {
        Table {
            name: "things".into(),
            version: 3,
            columns: vec![
                Column::required("name", ColumnKind::Text).with_bloom_filter(),
                Column::optional("at", ColumnKind::Time),
                Column::optional("count", ColumnKind::Int),
                Column::optional("share", ColumnKind::Float),
                Column::optional("exact", ColumnKind::Double),
                Column::optional("is_on", ColumnKind::Bool),
                Column::optional("tags", ColumnKind::Texts),
                Column::optional("vector", ColumnKind::Floats),
            ],
            notes: vec![("more".to_owned(), "yes".to_owned())],
        }
    }

    fn write(path: &Path, rows: &[Vec<Cell>]) {
        let mut writer = TableWriter::new(Box::new(File::create(path).expect("a file")), &table()).expect("starts");
        for row in rows {
            writer.write(row.clone()).expect("written");
        }
        assert_eq!(writer.finish().expect("finished"), rows.len() as u64);
    }

    fn read(path: &Path) -> Vec<Vec<Cell>> {
        let mut reader = TableReader::open_as(path, &table()).expect("opens");
        std::iter::from_fn(|| reader.next_cells(&table().columns))
            .map(|row| row.expect("a row"))
            .collect()
    }

    fn maybe(cell: impl Strategy<Value = Cell> + 'static) -> BoxedStrategy<Cell> {
        prop_oneof![1 => Just(Cell::Null), 3 => cell].boxed()
    }

    fn row() -> impl Strategy<Value = Vec<Cell>> {
        (
            "[a-zé]{1,6}".prop_map(Cell::Text),
            maybe((0i64..1 << 42).prop_map(Cell::Int)),
            maybe(any::<i64>().prop_map(Cell::Int)),
            maybe((-1e6f32..1e6).prop_map(Cell::Float)),
            maybe((-1e6f64..1e6).prop_map(Cell::Double)),
            maybe(any::<bool>().prop_map(Cell::Bool)),
            maybe(proptest::collection::vec("[a-z]{0,4}", 0..4).prop_map(Cell::Texts)),
            maybe(proptest::collection::vec(-1f32..1.0, 0..5).prop_map(Cell::Floats)),
        )
            .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn rows_come_back_as_they_were_written(rows in proptest::collection::vec(row(), 0..60)) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("t.parquet");
            write(&path, &rows);
            prop_assert_eq!(read(&path), rows);
        }
    }

    #[test]
    fn a_row_is_an_object_without_its_nulls() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        let tags = Cell::Texts(vec!["a".to_owned(), "b".to_owned()]);
        let cells = vec![
            Cell::Text("x".to_owned()),
            Cell::Int(1_700_000_000_123),
            Cell::Null,
            Cell::Float(0.5),
            Cell::Null,
            Cell::Null,
            tags,
        ];
        write(&path, &[cells]);
        let mut reader = TableReader::open(&path).expect("opens");
        assert_eq!((reader.table().version, reader.rows_total()), (3, 1));
        let object = reader.next_object().expect("a row").expect("readable");
        let expected = serde_json::json!({"name": "x", "at": 1_700_000_000_123_i64, "share": 0.5, "tags": ["a", "b"]});
        assert_eq!(Value::Object(object), expected);
        assert!(reader.next_object().is_none());
    }

    #[test]
    fn a_lookup_by_value_says_no_for_what_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        let rows: Vec<Vec<Cell>> = (0..2_000)
            .map(|number| vec![Cell::Text(format!("user-{number}"))])
            .collect();
        write(&path, &rows);
        assert!(may_hold(&path, "name", "user-7").expect("readable"));
        assert!(holds(&path, "name", "user-7").expect("readable"));
        assert!(!holds(&path, "name", "user-2000").expect("readable"));
        let wrong =
            (2_000..3_000).filter(|number| may_hold(&path, "name", &format!("user-{number}")).expect("readable"));
        assert!(wrong.count() < 60, "the filter says yes too often");
    }

    /// A file with columns as other programs write them; two rows, the second one of nulls.
    fn foreign(path: &Path) {
        use parquet::data_type::{
            ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
        };
        use parquet::file::writer::SerializedFileWriter;
        use parquet::schema::parser::parse_message_type;
        let schema = "message spark_schema {
            optional group attributes { optional binary lang (UTF8); optional double price; }
            optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
            optional fixed_len_byte_array(16) id (UUID);
            optional int64 at (TIMESTAMP(NANOS,false));
            optional binary raw;
        }";
        let schema = std::sync::Arc::new(parse_message_type(schema).expect("a schema"));
        let file = File::create(path).expect("a file");
        let mut writer = SerializedFileWriter::new(file, schema, Default::default()).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        macro_rules! column {
            ($kind:ty, $values:expr, $definitions:expr, $repetitions:expr) => {
                let mut column = group.next_column().expect("a column").expect("one more");
                let written = column
                    .typed::<$kind>()
                    .write_batch($values, Some($definitions), $repetitions);
                written.expect("written");
                column.close().expect("closed");
            };
        }
        column!(ByteArrayType, &[ByteArray::from("de")], &[2, 0], None);
        column!(DoubleType, &[9.5], &[2, 0], None);
        column!(ByteArrayType, &[ByteArray::from("x")], &[3, 2, 0], Some(&[0, 1, 0]));
        let uuid = FixedLenByteArray::from((0..16).map(|place| place * 17).collect::<Vec<u8>>());
        column!(FixedLenByteArrayType, &[uuid], &[1, 0], None);
        column!(Int64Type, &[1_700_000_000_123_456_789], &[1, 0], None);
        column!(
            ByteArrayType,
            &[ByteArray::from("text"), ByteArray::from(vec![0xff, 0xfe])],
            &[1, 1],
            None
        );
        group.close().expect("closed");
        writer.close().expect("closed");
    }

    #[test]
    fn what_other_programs_write_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        foreign(&path);
        let mut reader = TableReader::open(&path).expect("opens");
        assert_eq!(reader.time_kinds()[3], Some(TimeKind::Local));
        let row = reader.next_object().expect("a row").expect("readable");
        let expected = serde_json::json!({
            "attributes": {"lang": "de", "price": 9.5},
            "tags": ["x", null],
            "id": "00112233-4455-6677-8899-aabbccddeeff",
            "at": 1_700_000_000_123_i64,
            "raw": "text",
        });
        assert_eq!(Value::Object(row), expected);
        // Bytes that are no text cost their row and not the file.
        let refused = reader.next_object().expect("a row").expect_err("no text");
        assert!(
            matches!(&refused, TableError::WrongCell { column, .. } if column == "raw"),
            "{refused}"
        );
        assert!(reader.next_object().is_none());
    }

    #[test]
    fn what_is_no_table_of_ours_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        std::fs::write(&path, b"PAR1 but not really").expect("written");
        assert!(matches!(TableReader::open(&path), Err(TableError::Parquet(_))));
        write(&path, &[]);
        let other = Table { version: 2, ..table() };
        assert!(matches!(
            TableReader::open_as(&path, &other),
            Err(TableError::OtherTable { .. })
        ));
        let wrong = vec![Cell::Int(1)];
        let mut writer = TableWriter::new(Box::new(Vec::new()), &table()).expect("starts");
        assert!(matches!(writer.write(wrong), Err(TableError::WrongCell { .. })));
    }
}
