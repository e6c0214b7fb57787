//! Writing a table. Owns the buffers of one row group; must not know where the bytes go.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::{Cell, Column, ColumnKind, KEY_SCHEMA_VERSION, KEY_TABLE, Table, TableError, message_type};

/// Rows that are written together.
const GROUP_ROWS_MAX: usize = 65_536;
/// A row group ends early when its values take so much memory.
const GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Small enough to cost little, good enough to halve what level 1 leaves.
const ZSTD_LEVEL: i32 = 3;
/// The share of values that a Bloom filter takes for its own by mistake.
const BLOOM_FALSE_SHARE: f64 = 0.01;

type Output = Box<dyn Write + Send>;

/// Writes rows as Parquet. Holds one row group in memory.
pub struct TableWriter {
    file: SerializedFileWriter<Output>,
    columns: Vec<ColumnBuffer>,
    group_rows: usize,
    group_bytes: usize,
    rows: u64,
}

struct ColumnBuffer {
    column: Column,
    values: Values,
    /// How much of the way down to the value is there, per slot.
    definitions: Vec<i16>,
    /// Whether a slot goes on with the list of the one before.
    repetitions: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
}

impl TableWriter {
    /// Starts a file.
    ///
    /// # Errors
    /// The output cannot be written, or the table's names are no names.
    pub fn new(output: Output, table: &Table) -> Result<Self, TableError> {
        let schema = Arc::new(parse_message_type(&message_type(table))?);
        let mut notes = vec![
            KeyValue::new(KEY_TABLE.to_owned(), table.name.to_string()),
            KeyValue::new(KEY_SCHEMA_VERSION.to_owned(), table.version.to_string()),
        ];
        notes.extend(
            table
                .notes
                .iter()
                .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
        );
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_created_by(concat!("swipeline ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(notes));
        for column in table.columns.iter().filter(|column| column.has_bloom_filter) {
            let path = ColumnPath::from(column.name.as_ref());
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_SHARE)
                .set_column_bloom_filter_max_ndv(path, GROUP_ROWS_MAX as u64);
        }
        Ok(Self {
            file: SerializedFileWriter::new(output, schema, Arc::new(properties.build()))?,
            columns: table.columns.iter().map(ColumnBuffer::new).collect(),
            group_rows: 0,
            group_bytes: 0,
            rows: 0,
        })
    }

    /// Writes a row: one cell per column, in their order; cells that are left out at the end are null.
    ///
    /// # Errors
    /// A cell that does not belong into its column, or the output cannot be written. The file is of no use then.
    pub fn write(&mut self, row: Vec<Cell>) -> Result<(), TableError> {
        let cells = row.into_iter().chain(std::iter::repeat(Cell::Null));
        for (buffer, cell) in self.columns.iter_mut().zip(cells) {
            self.group_bytes += buffer.push(cell)?;
        }
        self.rows += 1;
        self.group_rows += 1;
        if self.group_rows >= GROUP_ROWS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            self.write_group()?;
        }
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the rest and the footer, flushes the output and returns the number of rows.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(self) -> Result<u64, TableError> {
        self.finish_with(&[])
    }

    /// [`TableWriter::finish`], with more for the file's metadata.
    ///
    /// # Errors
    /// As there.
    pub fn finish_with(mut self, notes: &[(&str, String)]) -> Result<u64, TableError> {
        for (key, value) in notes {
            self.file
                .append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.write_group()?;
        self.file.into_inner()?.flush()?;
        Ok(self.rows)
    }

    fn write_group(&mut self) -> Result<(), TableError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for buffer in &mut self.columns {
            if let Some(writer) = group.next_column()? {
                buffer.write(writer)?;
            }
        }
        group.close()?;
        self.group_rows = 0;
        self.group_bytes = 0;
        Ok(())
    }
}

impl ColumnBuffer {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            ColumnKind::Bool => Values::Bool(Vec::new()),
            ColumnKind::Int | ColumnKind::Time => Values::Int(Vec::new()),
            ColumnKind::Float | ColumnKind::Floats => Values::Float(Vec::new()),
            ColumnKind::Double => Values::Double(Vec::new()),
            ColumnKind::Text | ColumnKind::Texts => Values::Text(Vec::new()),
        };
        Self {
            column: column.clone(),
            values,
            definitions: Vec::new(),
            repetitions: Vec::new(),
        }
    }

    /// Takes a cell; returns about how many bytes it takes.
    fn push(&mut self, cell: Cell) -> Result<usize, TableError> {
        // What is there when the column itself is: 1 for an optional one, nothing to say for a required one.
        let present = i16::from(!self.column.is_required);
        let is_list = matches!(self.column.kind, ColumnKind::Texts | ColumnKind::Floats);
        let bytes = match (&mut self.values, cell) {
            (_, Cell::Null) if !self.column.is_required => {
                self.slot(0, 0, is_list);
                return Ok(2);
            }
            (Values::Bool(values), Cell::Bool(value)) => {
                values.push(value);
                1
            }
            (Values::Int(values), Cell::Int(value)) => {
                values.push(value);
                8
            }
            (Values::Float(values), Cell::Float(value)) if !is_list => {
                values.push(value);
                4
            }
            (Values::Double(values), Cell::Double(value)) => {
                values.push(value);
                8
            }
            (Values::Text(values), Cell::Text(value)) if !is_list => {
                let bytes = value.len() + 24;
                values.push(ByteArray::from(value.into_bytes()));
                bytes
            }
            (Values::Float(values), Cell::Floats(list)) if is_list => {
                let count = list.len();
                values.extend(list);
                self.list(count, present);
                return Ok(8 * count + 4);
            }
            (Values::Text(values), Cell::Texts(list)) if is_list => {
                let bytes: usize = list.iter().map(|text| text.len() + 28).sum();
                let count = list.len();
                values.extend(list.into_iter().map(|text| ByteArray::from(text.into_bytes())));
                self.list(count, present);
                return Ok(bytes + 4);
            }
            (_, cell) => {
                return Err(TableError::WrongCell {
                    column: self.column.name.to_string(),
                    cell: format!("{cell:?}"),
                });
            }
        };
        self.slot(present, 0, false);
        Ok(bytes + 2)
    }

    fn list(&mut self, count: usize, present: i16) {
        if count == 0 {
            self.slot(present, 0, true);
        }
        for place in 0..count {
            self.slot(present + 1, i16::from(place > 0), true);
        }
    }

    fn slot(&mut self, definition: i16, repetition: i16, is_list: bool) {
        self.definitions.push(definition);
        if is_list {
            self.repetitions.push(repetition);
        }
    }

    fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), TableError> {
        let is_list = matches!(self.column.kind, ColumnKind::Texts | ColumnKind::Floats);
        let definitions = (is_list || !self.column.is_required).then_some(self.definitions.as_slice());
        let repetitions = is_list.then_some(self.repetitions.as_slice());
        match &mut self.values {
            Values::Bool(values) => {
                writer
                    .typed::<BoolType>()
                    .write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Int(values) => {
                writer
                    .typed::<Int64Type>()
                    .write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Float(values) => {
                writer
                    .typed::<FloatType>()
                    .write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Double(values) => {
                writer
                    .typed::<DoubleType>()
                    .write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Text(values) => {
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(values, definitions, repetitions)?;
                values.clear();
            }
        }
        self.definitions.clear();
        self.repetitions.clear();
        Ok(writer.close()?)
    }
}
