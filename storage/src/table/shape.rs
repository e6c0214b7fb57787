//! What the columns of anybody's Parquet file look like inside: which of them can be read row by row, and what a value
//! needs that says too little by itself (nanoseconds, UUIDs, times without a zone). Must not read rows.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::schema::types::Type;

use super::TableError;

/// The most columns inside columns.
const DEPTH_MAX: usize = 16;

/// What a column's type makes certain about its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeKind {
    /// A moment.
    Instant,
    /// A date and time of nobody knows which zone.
    Local,
    /// A date.
    Date,
}

/// How the values of a column are to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As they are.
    Plain,
    /// Nanoseconds since 1970, which the reader gives as plain numbers.
    Nanos,
    /// The 16 bytes of a UUID.
    Uuid,
    /// Columns in a column, in their order.
    Struct(Vec<Shape>),
    /// A list of them.
    List(Box<Shape>),
    /// Keys and values.
    Map(Box<Shape>, Box<Shape>),
}

/// The shape of a column.
///
/// # Errors
/// It cannot be read row by row; names it.
pub(super) fn shape_of(field: &Type) -> Result<Shape, TableError> {
    shape_at(field, field.name(), DEPTH_MAX)
}

fn shape_at(field: &Type, path: &str, depth_left: usize) -> Result<Shape, TableError> {
    let refused = |why: &str| TableError::WrongCell {
        column: path.to_owned(),
        cell: why.to_owned(),
    };
    if depth_left == 0 {
        return Err(refused("columns in columns in columns"));
    }
    if !field.get_basic_info().has_repetition() {
        return Err(refused("values of which nobody says how many there are"));
    }
    if field.is_primitive() {
        return leaf(field).ok_or_else(|| {
            let info = field.get_basic_info();
            refused(&format!(
                "{:?} {:?}, which is not supported",
                field.get_physical_type(),
                info.converted_type()
            ))
        });
    }
    let children = field.get_fields();
    if children.is_empty() {
        return Err(refused("a struct of nothing"));
    }
    let inside = |child: &Type| shape_at(child, &format!("{path}.{}", child.name()), depth_left - 1);
    let is_repeated = |child: &Type| {
        let info = child.get_basic_info();
        info.has_repetition() && info.repetition() == Repetition::REPEATED
    };
    let converted = field.get_basic_info().converted_type();
    if converted == ConvertedType::LIST {
        let repeated = children
            .first()
            .filter(|child| children.len() == 1 && is_repeated(child));
        let repeated = repeated.ok_or_else(|| refused("a list that is written in no known way"))?;
        let element = if is_element(repeated) {
            inside(repeated)?
        } else {
            inside(&repeated.get_fields()[0])?
        };
        return Ok(Shape::List(Box::new(element)));
    }
    if matches!(converted, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) {
        let entry = children
            .first()
            .filter(|child| children.len() == 1 && is_repeated(child) && child.is_group());
        let entry = entry.ok_or_else(|| refused("a map that is written in no known way"))?;
        return match entry.get_fields() {
            [key] => Ok(Shape::List(Box::new(inside(key)?))),
            [key, value] => Ok(Shape::Map(Box::new(inside(key)?), Box::new(inside(value)?))),
            _ => Err(refused("a map that is written in no known way")),
        };
    }
    let shapes = children.iter().map(|child| inside(child)).collect::<Result<_, _>>()?;
    let shape = Shape::Struct(shapes);
    Ok(if is_repeated(field) {
        Shape::List(Box::new(shape))
    } else {
        shape
    })
}

/// Whether the repeated part of a list is the element itself: the rules for lists of old writers
/// (<https://github.com/apache/parquet-format/blob/master/LogicalTypes.md>), as the row reader applies them.
fn is_element(repeated: &Type) -> bool {
    if repeated.is_primitive() {
        return true;
    }
    let is_list = repeated.get_basic_info().converted_type() == ConvertedType::LIST;
    let fields = repeated.get_fields();
    let has_single_repeated_child = fields.len() == 1
        && fields[0].get_basic_info().has_repetition()
        && fields[0].get_basic_info().repetition() == Repetition::REPEATED;
    if is_list || has_single_repeated_child {
        return false;
    }
    fields.len() != 1 || repeated.name() == "array" || repeated.name().ends_with("_tuple")
}

/// The shape of a column without columns in it; `None` for what the row reader does not know and would panic on.
fn leaf(field: &Type) -> Option<Shape> {
    use ConvertedType as C;
    let info = field.get_basic_info();
    let converted = info.converted_type();
    let is_known = match field.get_physical_type() {
        PhysicalType::BOOLEAN | PhysicalType::FLOAT | PhysicalType::DOUBLE | PhysicalType::INT96 => true,
        PhysicalType::INT32 => matches!(
            converted,
            C::NONE
                | C::INT_8
                | C::INT_16
                | C::INT_32
                | C::UINT_8
                | C::UINT_16
                | C::UINT_32
                | C::DATE
                | C::TIME_MILLIS
                | C::DECIMAL
        ),
        PhysicalType::INT64 => matches!(
            converted,
            C::NONE | C::INT_64 | C::UINT_64 | C::TIME_MICROS | C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS | C::DECIMAL
        ),
        PhysicalType::BYTE_ARRAY => {
            matches!(converted, C::NONE | C::UTF8 | C::ENUM | C::JSON | C::BSON | C::DECIMAL)
        }
        PhysicalType::FIXED_LEN_BYTE_ARRAY => matches!(converted, C::NONE | C::DECIMAL),
    };
    let shape = match info.logical_type_ref() {
        Some(LogicalType::Uuid) => Shape::Uuid,
        Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS => Shape::Nanos,
        _ => Shape::Plain,
    };
    let shape = match info.has_repetition() && info.repetition() == Repetition::REPEATED {
        true => Shape::List(Box::new(shape)),
        false => shape,
    };
    is_known.then_some(shape)
}

/// What the type of a column says about times in it.
pub(super) fn time_kind(field: &Type) -> Option<TimeKind> {
    if !field.is_primitive() {
        return None;
    }
    let info = field.get_basic_info();
    match (
        field.get_physical_type(),
        info.logical_type_ref(),
        info.converted_type(),
    ) {
        (PhysicalType::INT96, _, _) => Some(TimeKind::Instant),
        (_, Some(LogicalType::Timestamp(time)), _) if !time.is_adjusted_to_u_t_c => Some(TimeKind::Local),
        (_, Some(LogicalType::Timestamp(_)), _)
        | (_, None, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => Some(TimeKind::Instant),
        (_, Some(LogicalType::Date), _) | (_, None, ConvertedType::DATE) => Some(TimeKind::Date),
        _ => None,
    }
}
