//! Tables in Parquet files: flat columns and lists, zstd, a name and a schema version in the file's own metadata.
//!
//! Owns the columns' types and their way into and out of Parquet; knows no domain type. What is written here opens in
//! DuckDB, pandas and polars; what those write is read here as JSON objects ([`TableReader::next_object`]).

mod convert;
mod read;
mod shape;
mod write;

use std::borrow::Cow;
use std::fmt::Write as _;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::Type;

pub use read::TableReader;
pub(crate) use read::{holds, may_hold};
pub use shape::TimeKind;
pub use write::TableWriter;

/// Metadata key of the table's name.
pub const KEY_TABLE: &str = "swipeline.table";
/// Metadata key of the version of the table's schema.
pub const KEY_SCHEMA_VERSION: &str = "swipeline.schema_version";

/// What a column holds. Every column may be null unless it is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A moment in milliseconds since 1970 (a UTC timestamp in Parquet).
    Time,
    /// A number of 32 bits.
    Float,
    /// A number of 64 bits.
    Double,
    /// UTF-8.
    Text,
    /// A list of texts.
    Texts,
    /// A list of 32-bit numbers.
    Floats,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: letters, digits and `_`.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether every row has a value.
    pub is_required: bool,
    /// Whether every row group carries a Bloom filter of it, so that a lookup of one value reads few files.
    pub has_bloom_filter: bool,
}

impl Column {
    /// A column that may be null.
    #[must_use]
    pub fn optional(name: &'static str, kind: ColumnKind) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            is_required: false,
            has_bloom_filter: false,
        }
    }

    /// A column in which every row has a value.
    #[must_use]
    pub fn required(name: &'static str, kind: ColumnKind) -> Self {
        Self {
            is_required: true,
            ..Self::optional(name, kind)
        }
    }

    /// The same with a Bloom filter.
    #[must_use]
    pub fn with_bloom_filter(mut self) -> Self {
        self.has_bloom_filter = true;
        self
    }
}

/// A table: what all files of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, noted in every file.
    pub name: Cow<'static, str>,
    /// The version of its columns, noted in every file; grows when a column changes its meaning or goes.
    pub version: u32,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// More for the file's metadata.
    pub notes: Vec<(String, String)>,
}

/// One value of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// None.
    #[default]
    Null,
    /// For [`ColumnKind::Bool`].
    Bool(bool),
    /// For [`ColumnKind::Int`] and [`ColumnKind::Time`].
    Int(i64),
    /// For [`ColumnKind::Float`].
    Float(f32),
    /// For [`ColumnKind::Double`].
    Double(f64),
    /// For [`ColumnKind::Text`].
    Text(String),
    /// For [`ColumnKind::Texts`].
    Texts(Vec<String>),
    /// For [`ColumnKind::Floats`].
    Floats(Vec<f32>),
}

impl Cell {
    /// A text, or null.
    #[must_use]
    pub fn text(value: Option<&str>) -> Self {
        value.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
    }

    /// A whole number, or null.
    #[must_use]
    pub fn int(value: Option<impl Into<i64>>) -> Self {
        value.map_or(Cell::Null, |number| Cell::Int(number.into()))
    }

    /// A 32-bit number, or null.
    #[must_use]
    pub fn float(value: Option<f32>) -> Self {
        value.map_or(Cell::Null, Cell::Float)
    }

    /// The text in it.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Cell::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number in it.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Cell::Int(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The value in JSON. 32-bit numbers keep their short form.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(value) => Value::from(*value),
            Cell::Int(value) => Value::from(*value),
            Cell::Float(value) => json_float(*value),
            Cell::Double(value) => Value::from(*value),
            Cell::Text(value) => Value::from(value.as_str()),
            Cell::Texts(values) => Value::from(values.as_slice()),
            Cell::Floats(values) => values.iter().copied().map(json_float).collect(),
        }
    }
}

/// 0.1 and not 0.10000000149: what was a 32-bit number reads back as the same one. Not finite: null.
fn json_float(value: f32) -> serde_json::Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(serde_json::Value::Null, serde_json::Value::from)
}

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not Parquet, it is damaged, or it uses what this program does not know.
    #[error("{0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A value does not belong into its column.
    #[error("column {column} cannot hold {cell}")]
    WrongCell {
        /// Which.
        column: String,
        /// What was put there.
        cell: String,
    },
    /// Another table, or a version of it that this program does not know.
    #[error("the file holds table {found}, not {wanted}")]
    OtherTable {
        /// Its name and version.
        found: String,
        /// What was looked for.
        wanted: String,
    },
}

/// The schema in Parquet's own words.
fn message_type(table: &Table) -> String {
    let mut text = format!("message {} {{\n", table.name);
    for Column {
        name,
        kind,
        is_required,
        ..
    } in &table.columns
    {
        let repetition = if *is_required { "REQUIRED" } else { "OPTIONAL" };
        let line = match kind {
            ColumnKind::Bool => format!("{repetition} BOOLEAN {name};"),
            ColumnKind::Int => format!("{repetition} INT64 {name};"),
            ColumnKind::Time => format!("{repetition} INT64 {name} (TIMESTAMP(MILLIS,true));"),
            ColumnKind::Float => format!("{repetition} FLOAT {name};"),
            ColumnKind::Double => format!("{repetition} DOUBLE {name};"),
            ColumnKind::Text => format!("{repetition} BYTE_ARRAY {name} (STRING);"),
            ColumnKind::Texts => {
                format!(
                    "{repetition} group {name} (LIST) {{ REPEATED group list {{ REQUIRED BYTE_ARRAY element (STRING); }} }}"
                )
            }
            ColumnKind::Floats => {
                format!("{repetition} group {name} (LIST) {{ REPEATED group list {{ REQUIRED FLOAT element; }} }}")
            }
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text.push('}');
    text
}

/// The column that a top-level field of a file stands for; `None` for what no [`ColumnKind`] can hold.
fn column_of(field: &Type) -> Option<Column> {
    let kind = if field.is_primitive() {
        match field.get_physical_type() {
            PhysicalType::BOOLEAN => ColumnKind::Bool,
            PhysicalType::INT64 if is_time(field) => ColumnKind::Time,
            PhysicalType::INT32 | PhysicalType::INT64 => ColumnKind::Int,
            PhysicalType::FLOAT => ColumnKind::Float,
            PhysicalType::DOUBLE => ColumnKind::Double,
            PhysicalType::BYTE_ARRAY => ColumnKind::Text,
            PhysicalType::INT96 | PhysicalType::FIXED_LEN_BYTE_ARRAY => return None,
        }
    } else {
        // A struct is no list, and its first column may well have no columns of its own.
        let repeated = field.get_fields().first().filter(|inner| inner.is_group())?;
        if field.get_basic_info().converted_type() != ConvertedType::LIST {
            return None;
        }
        let element = repeated.get_fields().first()?;
        match element.is_primitive().then(|| element.get_physical_type())? {
            PhysicalType::BYTE_ARRAY => ColumnKind::Texts,
            PhysicalType::FLOAT => ColumnKind::Floats,
            PhysicalType::BOOLEAN
            | PhysicalType::INT32
            | PhysicalType::INT64
            | PhysicalType::INT96
            | PhysicalType::DOUBLE
            | PhysicalType::FIXED_LEN_BYTE_ARRAY => return None,
        }
    };
    Some(Column {
        name: Cow::Owned(field.name().to_owned()),
        kind,
        is_required: !field.is_optional(),
        has_bloom_filter: false,
    })
}

fn is_time(field: &Type) -> bool {
    let info = field.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::Timestamp { .. }))
        || info.converted_type() == ConvertedType::TIMESTAMP_MILLIS
}
