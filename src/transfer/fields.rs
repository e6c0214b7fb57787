//! Fields of the API out of what files hold: texts of CSV, values of JSON and Parquet.
//!
//! Owns which fields there are, how each of them may be written, and the way to a checked record. One way for all
//! formats, so that what CSV understands is understood in Parquet and JSON too. Must not read files.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use swipeline_models::event::ContextValue;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::reading::{Reading, Target};
use super::time::Moment;
use super::{Entity, Problem, Record};

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An id: a text, or a whole number.
    Id,
    /// Any text.
    Text,
    /// Texts; `a|b` where there are no lists.
    Texts,
    /// A whole number of milliseconds; fractions are rounded.
    Millis,
    /// A whole number.
    Whole,
    /// A moment.
    Time,
    /// A moment; what lies before 1970 becomes 1970.
    LongAgo,
    /// True or false.
    Flag,
    /// Numbers; `0.5|1` or `0.5 1` where there are no lists.
    Numbers,
    /// Names with weights; `a:1.5|b` where there are no maps.
    Weights,
    /// Hours of the day; `7|21` where there are no lists.
    Hours,
    /// Names with flags, numbers or texts: an object, or JSON as a text.
    Values,
}

const ITEM_FIELDS: &[(&str, Kind)] = &[
    ("id", Kind::Id),
    ("title", Kind::Text),
    ("author_id", Kind::Id),
    ("categories", Kind::Texts),
    ("tags", Kind::Texts),
    ("duration_ms", Kind::Millis),
    ("created_at", Kind::LongAgo),
    ("regions", Kind::Texts),
    ("embedding", Kind::Numbers),
    ("hidden", Kind::Flag),
    ("attributes", Kind::Values),
];
const USER_FIELDS: &[(&str, Kind)] = &[
    ("id", Kind::Id),
    ("tags", Kind::Texts),
    ("region", Kind::Id),
    ("device", Kind::Text),
    ("registered_at", Kind::LongAgo),
    ("follows", Kind::Texts),
    ("long_term_tags", Kind::Weights),
    ("active_hours", Kind::Hours),
    ("attributes", Kind::Values),
];
const EVENT_FIELDS: &[(&str, Kind)] = &[
    ("event_id", Kind::Id),
    ("user_id", Kind::Id),
    ("item_id", Kind::Id),
    ("type", Kind::Text),
    ("at", Kind::Time),
    ("watch_ms", Kind::Millis),
    ("position", Kind::Whole),
    ("request_id", Kind::Id),
    ("context", Kind::Values),
];

/// The fields of an entity.
fn fields(entity: Entity) -> &'static [(&'static str, Kind)] {
    match entity {
        Entity::Items => ITEM_FIELDS,
        Entity::Users => USER_FIELDS,
        Entity::Events => EVENT_FIELDS,
    }
}

/// The field of that name and how it is written.
pub(super) fn kind_of(entity: Entity, name: &str) -> Option<(&'static str, Kind)> {
    fields(entity).iter().copied().find(|(field, _)| *field == name)
}

/// The field for everything else.
pub(super) fn values_field(entity: Entity) -> &'static str {
    match entity {
        Entity::Items | Entity::Users => "attributes",
        Entity::Events => "context",
    }
}

/// The fields' names, for people.
pub(crate) fn field_names(entity: Entity) -> String {
    let names: Vec<&str> = fields(entity).iter().map(|(name, _)| *name).collect();
    format!("{}, {}.<key>", names.join(", "), values_field(entity))
}

/// What a file holds in one place.
#[derive(Debug, Clone)]
pub(super) enum Raw<'a> {
    /// A cell of a text format, which has no types.
    Cell(&'a str),
    /// A value with a type.
    Json(Value),
    /// A moment that its column's type makes certain, in milliseconds.
    Instant(i64),
    /// A date and time of a column without a zone, as if it were UTC.
    Local(i64),
}

/// Collects the fields of one row.
pub(super) struct RowBuilder<'a> {
    entity: Entity,
    reading: &'a Reading,
    object: Map<String, Value>,
    values: Map<String, Value>,
}

impl<'a> RowBuilder<'a> {
    /// Starts a row.
    pub(super) fn new(entity: Entity, reading: &'a Reading) -> Self {
        let mut object = Map::new();
        if let (Entity::Events, Some(kind)) = (entity, &reading.kind) {
            object.insert("type".to_owned(), Value::from(kind.as_str()));
        }
        Self {
            entity,
            reading,
            object,
            values: Map::new(),
        }
    }

    /// Takes what `column` holds; null and the empty cell are an absent field.
    ///
    /// # Errors
    /// Says what is wrong with it, and names the column.
    pub(super) fn set(&mut self, target: &Target, column: &str, raw: Raw<'_>) -> Result<(), Problem> {
        let is_absent = match &raw {
            Raw::Cell(text) => text.is_empty() || *text == "\\N",
            Raw::Json(value) => value.is_null(),
            Raw::Instant(_) | Raw::Local(_) => false,
        };
        if is_absent {
            return Ok(());
        }
        let outcome = match target {
            Target::Value(key) => context_value(raw).map(|value| {
                if !value.is_null() {
                    self.values.insert(key.clone(), value);
                }
            }),
            Target::Field(_, Kind::Values) => self.set_values(raw),
            Target::Field(name, kind) => self.value(*kind, raw).map(|value| {
                self.object.insert((*name).to_owned(), value);
            }),
        };
        outcome.map_err(|problem| Problem {
            detail: format!("column `{column}`: {}", problem.detail),
            ..problem
        })
    }

    /// The row, checked.
    ///
    /// # Errors
    /// Names the first field that breaks a rule.
    pub(super) fn finish(mut self) -> Result<Record, Problem> {
        if !self.values.is_empty() {
            let name = values_field(self.entity).to_owned();
            self.object.insert(name, Value::Object(self.values));
        }
        let now = self.reading.now;
        Ok(match self.entity {
            Entity::Items => Record::Item(shaped::<ItemDto>(self.object)?.into_item(now)?),
            Entity::Users => Record::User(shaped::<UserDto>(self.object)?.into_user()?),
            Entity::Events => Record::Event(shaped::<EventDto>(self.object)?.into_event(None, now)?),
        })
    }

    fn set_values(&mut self, raw: Raw<'_>) -> Result<(), Problem> {
        let object = match raw {
            Raw::Json(Value::Object(object)) => object,
            Raw::Json(Value::String(text)) => json_object(&text)?,
            Raw::Cell(text) => json_object(text)?,
            other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => return Err(wrong_shape(&other, "an object")),
        };
        for (key, value) in object {
            let value = context_value(Raw::Json(value)).map_err(|problem| Problem {
                detail: format!("`{key}`: {}", problem.detail),
                ..problem
            })?;
            if !value.is_null() {
                self.values.entry(key).or_insert(value);
            }
        }
        Ok(())
    }

    fn value(&self, kind: Kind, raw: Raw<'_>) -> Result<Value, Problem> {
        match kind {
            Kind::Id => id(raw),
            Kind::Text => text(raw),
            Kind::Texts => texts(raw),
            Kind::Millis => whole(raw, true),
            Kind::Whole => whole(raw, false),
            Kind::Time => self.time(raw).map(Value::from),
            Kind::LongAgo => self.time(raw).map(|ms| Value::from(ms.max(0))),
            Kind::Flag => flag(raw),
            Kind::Numbers => numbers(raw),
            Kind::Weights => weights(raw),
            Kind::Hours => hours(raw),
            Kind::Values => Err(Problem::new("wrong_shape", "is an object")),
        }
    }

    fn time(&self, raw: Raw<'_>) -> Result<i64, Problem> {
        let rules = &self.reading.times;
        let read = match &raw {
            Raw::Instant(ms) => Ok(Moment { ms: *ms, guess: None }),
            Raw::Local(ms) => Ok(rules.of_local_ms(*ms)),
            Raw::Cell(text) => rules.of_text(text),
            Raw::Json(Value::String(text)) => rules.of_text(text),
            Raw::Json(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => rules.of_number(whole),
                (None, Some(fraction)) => rules.of_fraction(fraction),
                (None, None) => return Err(wrong_shape(&raw, "a time")),
            },
            Raw::Json(_) => return Err(wrong_shape(&raw, "a time")),
        };
        let moment = read.map_err(|detail| Problem::new("not_a_time", detail))?;
        if let Some(guess) = moment.guess {
            self.reading.notes.count(&format!("times {guess}"));
        }
        Ok(moment.ms)
    }
}

fn shaped<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| Problem::new("wrong_shape", error.to_string()))
}

fn json_object(text: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(text).map_err(|error| Problem::new("malformed_json", error.to_string()))
}

fn wrong_shape(raw: &Raw<'_>, wanted: &str) -> Problem {
    let found = match raw {
        Raw::Cell(text) => format!("{text:?}"),
        Raw::Json(value) => value.to_string(),
        Raw::Instant(ms) | Raw::Local(ms) => format!("the time {ms}"),
    };
    let shown: String = found.chars().take(100).collect();
    Problem::new("wrong_shape", format!("{shown} is not {wanted}"))
}

/// A number without fraction, also when its column is one of fractions (one gap makes pandas write 3423.0).
fn whole_number(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let fraction = number.as_f64()?;
        (fraction.fract() == 0.0 && fraction.abs() < 9e15).then_some(fraction as i64)
    })
}

fn id(raw: Raw<'_>) -> Result<Value, Problem> {
    match raw {
        Raw::Cell(text) => Ok(Value::from(without_zero_fraction(text))),
        Raw::Json(Value::String(text)) => Ok(Value::from(text)),
        Raw::Json(Value::Number(ref number)) => match (whole_number(number), number.as_u64()) {
            (Some(whole), _) => Ok(Value::from(whole.to_string())),
            (None, Some(large)) => Ok(Value::from(large.to_string())),
            (None, None) => Err(wrong_shape(&raw, "an id: a text or a whole number")),
        },
        other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => {
            Err(wrong_shape(&other, "an id: a text or a whole number"))
        }
    }
}

/// `3423.0` as `3423`; everything else as it is.
pub(super) fn without_zero_fraction(text: &str) -> &str {
    match text.strip_suffix(".0") {
        Some(whole) if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        _ => text,
    }
}

fn text(raw: Raw<'_>) -> Result<Value, Problem> {
    match raw {
        Raw::Cell(text) => Ok(Value::from(text)),
        Raw::Json(Value::String(text)) => Ok(Value::from(text)),
        Raw::Json(Value::Number(number)) => Ok(Value::from(
            whole_number(&number).map_or_else(|| number.to_string(), |whole| whole.to_string()),
        )),
        other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => Err(wrong_shape(&other, "a text")),
    }
}

fn texts(raw: Raw<'_>) -> Result<Value, Problem> {
    let elements = match raw {
        Raw::Cell(text) => return listed(text),
        Raw::Json(Value::String(text)) => return listed(&text),
        Raw::Json(Value::Array(elements)) => elements,
        other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => return Err(wrong_shape(&other, "a list of texts")),
    };
    let present = elements.into_iter().filter(|element| !element.is_null());
    present.map(|element| text(Raw::Json(element))).collect()
}

/// `a|b`, or a list in JSON.
fn listed(text: &str) -> Result<Value, Problem> {
    let trimmed = text.trim();
    if trimmed.starts_with('[') && trimmed.ends_with(']') {
        return match serde_json::from_str::<Vec<Value>>(trimmed) {
            Ok(elements) => texts(Raw::Json(Value::Array(elements))),
            Err(_) => {
                let detail = format!("{text:?} is neither a list such as a|b nor one in JSON");
                Err(Problem::new("not_a_list", detail))
            }
        };
    }
    Ok(parts(text).map(Value::from).collect())
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('|').map(str::trim).filter(|part| !part.is_empty())
}

fn whole(raw: Raw<'_>, may_round: bool) -> Result<Value, Problem> {
    let number = match &raw {
        Raw::Cell(text) => parsed_number(text.trim()),
        Raw::Json(Value::String(text)) => parsed_number(text.trim()),
        Raw::Json(Value::Number(number)) => Some(number.clone()),
        Raw::Json(_) | Raw::Instant(_) | Raw::Local(_) => return Err(wrong_shape(&raw, "an integer")),
    };
    let rounded = number.and_then(|number| {
        whole_number(&number).or_else(|| {
            let fraction = number.as_f64().filter(|fraction| may_round && fraction.abs() < 9e15)?;
            Some(fraction.round() as i64)
        })
    });
    rounded.map(Value::from).ok_or_else(|| Problem {
        code: "not_an_integer".to_owned(),
        ..wrong_shape(&raw, "an integer")
    })
}

fn parsed_number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// True or false in the words of JSON, Python, Excel, R and SQL.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

fn flag(raw: Raw<'_>) -> Result<Value, Problem> {
    let found = match &raw {
        Raw::Cell(text) => parse_flag(text),
        Raw::Json(Value::String(text)) => parse_flag(text),
        Raw::Json(Value::Bool(flag)) => Some(*flag),
        Raw::Json(Value::Number(number)) => match whole_number(number) {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        },
        Raw::Json(_) | Raw::Instant(_) | Raw::Local(_) => None,
    };
    found.map(Value::from).ok_or_else(|| Problem {
        code: "not_a_flag".to_owned(),
        ..wrong_shape(&raw, "true or false")
    })
}

fn numbers(raw: Raw<'_>) -> Result<Value, Problem> {
    let cell = match &raw {
        Raw::Json(Value::Array(elements)) if elements.iter().all(Value::is_number) => {
            return Ok(Value::from(elements.clone()));
        }
        Raw::Cell(text) => *text,
        Raw::Json(Value::String(text)) => text.as_str(),
        Raw::Json(_) | Raw::Instant(_) | Raw::Local(_) => return Err(wrong_shape(&raw, "a list of numbers")),
    };
    // `[0.5 -1]` and `[0.5, -1]` are what numpy and Python write.
    let inner = cell.trim().trim_start_matches('[').trim_end_matches(']');
    let parts = inner
        .split(|symbol: char| symbol == '|' || symbol == ',' || symbol.is_whitespace())
        .filter(|part| !part.is_empty());
    let parse = |part: &str| {
        let number = part
            .parse::<f32>()
            .ok()
            .and_then(|number| Number::from_f64(number.into()));
        number
            .map(Value::Number)
            .ok_or_else(|| Problem::new("not_a_number", format!("{part:?} is not a number")))
    };
    parts.map(parse).collect()
}

/// `cats:1.5|dogs`: tags with weights, 1 where none is given; or an object.
fn weights(raw: Raw<'_>) -> Result<Value, Problem> {
    let cell = match raw {
        Raw::Json(Value::Object(object)) => return Ok(Value::Object(without_nulls(object))),
        Raw::Json(Value::String(text)) => text,
        Raw::Cell(text) => text.to_owned(),
        other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => {
            return Err(wrong_shape(&other, "an object of names and weights"));
        }
    };
    if cell.trim_start().starts_with('{') {
        return json_object(&cell).map(|object| Value::Object(without_nulls(object)));
    }
    let weight = |element: &str| match element.rsplit_once(':') {
        Some((tag, weight)) => {
            let number = weight.trim().parse::<f64>().ok().and_then(Number::from_f64);
            let number = number.ok_or_else(|| Problem::new("not_a_weight", format!("{weight:?} is not a number")))?;
            Ok((tag.trim().to_owned(), Value::Number(number)))
        }
        None => Ok((element.to_owned(), Value::from(1))),
    };
    parts(&cell)
        .map(weight)
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

fn without_nulls(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// `7|8|21`: hours of the day; or a list.
fn hours(raw: Raw<'_>) -> Result<Value, Problem> {
    let elements: Vec<Value> = match raw {
        Raw::Json(Value::Array(elements)) => elements,
        Raw::Json(Value::String(text)) if text.trim_start().starts_with('[') => {
            serde_json::from_str(&text).map_err(|error| Problem::new("malformed_json", error.to_string()))?
        }
        Raw::Json(Value::String(text)) => parts(&text).map(Value::from).collect(),
        Raw::Cell(text) => parts(text).map(Value::from).collect(),
        other @ (Raw::Json(_) | Raw::Instant(_) | Raw::Local(_)) => return Err(wrong_shape(&other, "a list of hours")),
    };
    let hour = |element: Value| {
        let number = whole(Raw::Json(element), false)?;
        match number.as_i64() {
            Some(0..=23) => Ok(number),
            _ => Err(Problem::new(
                "not_an_hour",
                format!("{number} is not an hour of the day"),
            )),
        }
    };
    elements
        .into_iter()
        .filter(|element| !element.is_null())
        .map(hour)
        .collect()
}

/// A value of attributes or context. Null is none.
fn context_value(raw: Raw<'_>) -> Result<Value, Problem> {
    match raw {
        Raw::Cell(text) => {
            serde_json::to_value(value_of(text)).map_err(|error| Problem::new("wrong_shape", error.to_string()))
        }
        Raw::Json(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => Ok(value),
        Raw::Instant(ms) | Raw::Local(ms) => Ok(Value::from(ms)),
        other @ Raw::Json(_) => Err(wrong_shape(&other, "a flag, a number or a text")),
    }
}

/// A cell as a flag, a number or a text. It is a number only when the number would be written the same way, so that
/// codes such as `007` or `1e5` stay texts.
pub(super) fn value_of(cell: &str) -> ContextValue {
    match cell {
        "true" | "True" | "TRUE" => return ContextValue::Flag(true),
        "false" | "False" | "FALSE" => return ContextValue::Flag(false),
        _ => {}
    }
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() == cell => ContextValue::Number(number),
        Ok(_) | Err(_) => ContextValue::Text(cell.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: Kind, raw: Raw<'_>, expected: Result<Value, &str>) {
        let reading = Reading::default();
        let row = RowBuilder::new(Entity::Items, &reading);
        let shown = format!("{kind:?} {raw:?}");
        let found = row.value(kind, raw).map_err(|problem| problem.code);
        assert_eq!(found, expected.map_err(str::to_owned), "{shown}");
    }

    #[test]
    fn flags_are_read_in_everybodys_words() {
        for text in ["true", "True", "TRUE", "1", "1.0", "yes", "t"] {
            check(Kind::Flag, Raw::Cell(text), Ok(json!(true)));
            check(Kind::Flag, Raw::Json(json!(text)), Ok(json!(true)));
        }
        for value in [json!(false), json!(0), json!(0.0), json!("FALSE")] {
            check(Kind::Flag, Raw::Json(value), Ok(json!(false)));
        }
        check(Kind::Flag, Raw::Cell("2"), Err("not_a_flag"));
        check(Kind::Flag, Raw::Json(json!(2)), Err("not_a_flag"));
    }

    #[test]
    fn whole_numbers_may_come_as_fractions() {
        for raw in [
            Raw::Cell("21000.0"),
            Raw::Cell(" 21000 "),
            Raw::Json(json!(21000.0)),
            Raw::Json(json!("21000")),
        ] {
            check(Kind::Millis, raw.clone(), Ok(json!(21000)));
            check(Kind::Whole, raw, Ok(json!(21000)));
        }
        check(Kind::Millis, Raw::Cell("1234.5"), Ok(json!(1235)));
        check(Kind::Whole, Raw::Cell("1234.5"), Err("not_an_integer"));
        check(Kind::Millis, Raw::Cell("NaN"), Err("not_an_integer"));
        check(Kind::Millis, Raw::Json(json!(true)), Err("wrong_shape"));
    }

    #[test]
    fn ids_may_come_as_numbers() {
        check(Kind::Id, Raw::Json(json!(3423.0)), Ok(json!("3423")));
        check(Kind::Id, Raw::Json(json!(u64::MAX)), Ok(json!(u64::MAX.to_string())));
        check(Kind::Id, Raw::Cell("3423.0"), Ok(json!("3423")));
        check(Kind::Id, Raw::Cell("v1.0"), Ok(json!("v1.0")));
        check(Kind::Id, Raw::Json(json!("3423.0")), Ok(json!("3423.0")));
        check(Kind::Id, Raw::Json(json!(1.5)), Err("wrong_shape"));
        check(Kind::Id, Raw::Json(json!(true)), Err("wrong_shape"));
    }

    #[test]
    fn lists_leave_nulls_out_and_come_in_several_forms() {
        check(Kind::Texts, Raw::Json(json!(["x", null, 7])), Ok(json!(["x", "7"])));
        check(Kind::Texts, Raw::Cell("a| b |"), Ok(json!(["a", "b"])));
        check(Kind::Texts, Raw::Cell("[\"a\", null]"), Ok(json!(["a"])));
        check(Kind::Texts, Raw::Cell("['a', 'b']"), Err("not_a_list"));
        check(Kind::Texts, Raw::Json(json!({"a": 1})), Err("wrong_shape"));
        check(Kind::Numbers, Raw::Cell("[0.5 -1]"), Ok(json!([0.5, -1.0])));
        check(Kind::Numbers, Raw::Cell("0.5|x"), Err("not_a_number"));
        check(Kind::Hours, Raw::Cell("7|21"), Ok(json!([7, 21])));
        check(Kind::Hours, Raw::Cell("24"), Err("not_an_hour"));
        check(Kind::Weights, Raw::Cell("a:1.5|b"), Ok(json!({"a": 1.5, "b": 1})));
    }

    #[test]
    fn times_before_1970_are_cut_where_things_are_old() {
        check(Kind::LongAgo, Raw::Cell("1927-03-01"), Ok(json!(0)));
        check(Kind::LongAgo, Raw::Cell("-5"), Ok(json!(0)));
        check(Kind::Time, Raw::Cell("-5"), Ok(json!(-5)));
        check(Kind::Time, Raw::Cell("soon"), Err("not_a_time"));
        check(Kind::Time, Raw::Instant(1_655_000_000), Ok(json!(1_655_000_000)));
    }
}
