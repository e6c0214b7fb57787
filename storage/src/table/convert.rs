//! What Parquet holds as cells and as JSON: times in milliseconds, decimals and bytes as text. Must not read files.

use std::fmt::Write as _;

use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::shape::Shape;
use super::{Cell, TableError};

const MICROS_PER_MS: i64 = 1_000;
const NANOS_PER_MS: i64 = 1_000_000;
const DAY_MS: i64 = 86_400_000;

/// A field as the cell of one of our tables.
pub(super) fn cell(field: Field) -> Cell {
    match field {
        Field::Bool(value) => Cell::Bool(value),
        Field::Int(value) => Cell::Int(i64::from(value)),
        Field::Long(value) | Field::TimestampMillis(value) => Cell::Int(value),
        Field::Float(value) => Cell::Float(value),
        Field::Double(value) => Cell::Double(value),
        Field::Str(value) => Cell::Text(value),
        Field::ListInternal(list) => {
            let elements = list.elements();
            let floats: Option<Vec<f32>> = elements
                .iter()
                .map(|element| {
                    if let Field::Float(value) = element {
                        Some(*value)
                    } else {
                        None
                    }
                })
                .collect();
            match floats.filter(|floats| !floats.is_empty()) {
                Some(floats) => Cell::Floats(floats),
                None => Cell::Texts(
                    elements
                        .iter()
                        .filter_map(|element| {
                            if let Field::Str(text) = element {
                                Some(text.clone())
                            } else {
                                None
                            }
                        })
                        .collect(),
                ),
            }
        }
        Field::Null
        | Field::Byte(_)
        | Field::Short(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_)
        | Field::Float16(_)
        | Field::Decimal(_)
        | Field::Bytes(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMicros(_)
        | Field::Group(_)
        | Field::MapInternal(_) => Cell::Null,
    }
}

/// A row as a JSON object, without its nulls; `shapes` are those of its columns.
///
/// # Errors
/// A value is no text though nothing else can be made of it; names the column.
pub(super) fn object(row: Row, shapes: &[Shape]) -> Result<Map<String, Value>, TableError> {
    let mut object = Map::new();
    let mut shapes = shapes.iter();
    for (name, field) in row.into_columns() {
        let value = json(field, shapes.next().unwrap_or(&Shape::Plain)).map_err(|cell| TableError::WrongCell {
            column: name.clone(),
            cell,
        })?;
        if !value.is_null() {
            object.insert(name, value);
        }
    }
    Ok(object)
}

/// A field as JSON; fails with what it is instead.
fn json(field: Field, shape: &Shape) -> Result<Value, String> {
    let inner = |error: TableError| match error {
        TableError::WrongCell { column, cell } => format!("{cell} in `{column}`"),
        other @ (TableError::Io(_) | TableError::Parquet(_) | TableError::OtherTable { .. }) => other.to_string(),
    };
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(value),
        Field::Byte(value) => Value::from(value),
        Field::Short(value) => Value::from(value),
        Field::Int(value) => Value::from(value),
        Field::Long(value) if *shape == Shape::Nanos => Value::from(value.div_euclid(NANOS_PER_MS)),
        Field::Long(value) | Field::TimeMicros(value) | Field::TimestampMillis(value) => Value::from(value),
        Field::UByte(value) => Value::from(value),
        Field::UShort(value) => Value::from(value),
        Field::UInt(value) => Value::from(value),
        Field::ULong(value) => Value::from(value),
        Field::Float16(value) => float(value.to_f64()),
        Field::Float(value) => float(f64::from(value)),
        Field::Double(value) => float(value),
        Field::Decimal(value) => {
            let unscaled = value.data().iter().fold(
                if value.data().first().is_some_and(|byte| byte & 0x80 != 0) {
                    -1_i128
                } else {
                    0
                },
                |sum, byte| (sum << 8) | i128::from(*byte),
            );
            float(unscaled as f64 / 10_f64.powi(value.scale()))
        }
        Field::Str(value) => Value::from(value),
        Field::Bytes(bytes) if *shape == Shape::Uuid && bytes.len() == 16 => Value::from(uuid(bytes.data())),
        // What old writers call bytes is mostly text; what is not must not become an id.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data())
            .map(Value::from)
            .map_err(|_| "binary data, which is not UTF-8".to_owned())?,
        Field::Date(days) => Value::from(i64::from(days) * DAY_MS),
        Field::TimeMillis(value) => Value::from(value),
        Field::TimestampMicros(value) => Value::from(value.div_euclid(MICROS_PER_MS)),
        Field::Group(row) => {
            let shapes = if let Shape::Struct(shapes) = shape {
                shapes.as_slice()
            } else {
                &[]
            };
            Value::Object(object(row, shapes).map_err(inner)?)
        }
        Field::ListInternal(list) => {
            let element = if let Shape::List(element) = shape {
                element.as_ref()
            } else {
                &Shape::Plain
            };
            let elements = list.elements().iter().cloned();
            elements.map(|field| json(field, element)).collect::<Result<_, _>>()?
        }
        Field::MapInternal(map) => {
            let (keys, values) = match shape {
                Shape::Map(keys, values) => (keys.as_ref(), values.as_ref()),
                Shape::Plain | Shape::Nanos | Shape::Uuid | Shape::Struct(_) | Shape::List(_) => {
                    (&Shape::Plain, &Shape::Plain)
                }
            };
            let entries = map.entries().iter().cloned().map(|(key, value)| {
                let key = json(key, keys)?;
                let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                Ok((name, json(value, values)?))
            });
            entries.collect::<Result<_, String>>()?
        }
    })
}

/// 16 bytes as `c0ffee00-aaaa-bbbb-cccc-ddddeeeeffff`.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What JSON has no number for becomes a text, which whoever wants a number refuses by its name.
fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}
