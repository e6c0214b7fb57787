//! What Parquet holds as cells and as JSON: times in milliseconds, decimals and bytes as text. Must not read files.

use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::Cell;

const MICROS_PER_MS: i64 = 1_000;
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

/// A row as a JSON object.
pub(super) fn object(row: Row) -> Map<String, Value> {
    let fields = row.into_columns().into_iter();
    fields
        .map(|(name, field)| (name, json(field)))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

fn json(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(value),
        Field::Byte(value) => Value::from(value),
        Field::Short(value) => Value::from(value),
        Field::Int(value) => Value::from(value),
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
        Field::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes.data())),
        Field::Date(days) => Value::from(i64::from(days) * DAY_MS),
        Field::TimeMillis(value) => Value::from(value),
        Field::TimestampMicros(value) => Value::from(value.div_euclid(MICROS_PER_MS)),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(json).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().cloned();
            entries
                .map(|(key, value)| {
                    let key = json(key);
                    (key.as_str().map_or_else(|| key.to_string(), str::to_owned), json(value))
                })
                .collect()
        }
    }
}

/// What JSON has no number for becomes a text, which whoever wants a number refuses by its name.
fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}
