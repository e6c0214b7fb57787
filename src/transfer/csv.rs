//! Generic CSV: the header names the fields of the REST API.
//!
//! Owns how a cell becomes a field: lists are separated by `|`, embeddings by `|` or spaces, attributes and context are
//! columns `attributes.<key>` and `context.<key>`; an empty cell is an absent field. Must not know data sets.

use std::collections::BTreeMap;
use std::path::Path;

use swipeline_models::event::ContextValue;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::lines::Lines;
use super::table::Table;
use super::{Entity, Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format, parse_time};

/// The fields of an item that are columns, in generic CSV and in Parquet.
pub(super) const ITEM_COLUMNS: &[&str] = &[
    "id",
    "title",
    "author_id",
    "categories",
    "tags",
    "duration_ms",
    "created_at",
    "regions",
    "embedding",
    "hidden",
];
/// Those of a user.
pub(super) const USER_COLUMNS: &[&str] = &[
    "id",
    "tags",
    "region",
    "device",
    "registered_at",
    "follows",
    "long_term_tags",
    "active_hours",
];
/// Those of an event.
pub(super) const EVENT_COLUMNS: &[&str] = &[
    "event_id",
    "user_id",
    "item_id",
    "type",
    "at",
    "watch_ms",
    "position",
    "request_id",
];

/// Reads a generic CSV file.
pub(super) struct Csv {
    table: Table,
    entity: Entity,
    now: TimestampMs,
}

impl Csv {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, entity: Entity, now: TimestampMs, path: &Path) -> Result<Csv, OpenError> {
        let table = Table::open(lines).map_err(|fault| head_fault(path, fault))?;
        let (columns, map, required): (_, _, &[&str]) = match entity {
            Entity::Items => (ITEM_COLUMNS, "attributes.", &["id"]),
            Entity::Users => (USER_COLUMNS, "attributes.", &["id"]),
            Entity::Events => (EVENT_COLUMNS, "context.", &["user_id", "item_id", "type"]),
        };
        let known = |name: &String| {
            columns.contains(&name.as_str()) || name.strip_prefix(map).is_some_and(|key| !key.is_empty())
        };
        if let Some(unknown) = table.header().iter().find(|name| !known(name)) {
            let detail = format!(
                "unknown column `{unknown}` for {entity}; known are {}, {map}<key>",
                columns.join(", ")
            );
            return Err(not_this_format(path, detail));
        }
        if let Some(missing) = required.iter().find(|name| table.column(name).is_none()) {
            return Err(not_this_format(
                path,
                format!("column `{missing}` is needed for {entity}"),
            ));
        }
        Ok(Csv { table, entity, now })
    }

    fn record(&self) -> Result<Record, Problem> {
        Ok(match self.entity {
            Entity::Items => Record::Item(self.fill(set_item)?.into_item(self.now)?),
            Entity::Users => Record::User(self.fill(set_user)?.into_user()?),
            Entity::Events => Record::Event(self.fill(set_event)?.into_event(None, self.now)?),
        })
    }

    fn fill<T: Default>(&self, set: fn(&mut T, &str, &str) -> Result<(), Problem>) -> Result<T, Problem> {
        let mut target = T::default();
        for (place, column) in self.table.header().iter().enumerate() {
            let cell = self.table.cell(place);
            if cell.is_empty() {
                continue;
            }
            set(&mut target, column, cell).map_err(|problem| Problem {
                detail: format!("column `{column}`: {}", problem.detail),
                ..problem
            })?;
        }
        Ok(target)
    }
}

impl Parse for Csv {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        let line = match self.table.advance()? {
            Ok(line) => line,
            Err(fault) => return Some(Err(fault)),
        };
        Some(
            self.record()
                .map(|record| rows.push(record))
                .map(|()| line)
                .map_err(|problem| problem.at(line)),
        )
    }
}

fn set_item(item: &mut ItemDto, column: &str, cell: &str) -> Result<(), Problem> {
    match column {
        "id" => item.id = cell.to_owned(),
        "title" => item.title = Some(cell.to_owned()),
        "author_id" => item.author_id = Some(cell.to_owned()),
        "categories" => item.categories = Some(list(cell)),
        "tags" => item.tags = Some(list(cell)),
        "duration_ms" => item.duration_ms = Some(integer(cell)?),
        "created_at" => item.created_at = Some(time(cell)?),
        "regions" => item.regions = Some(list(cell)),
        "embedding" => item.embedding = Some(embedding(cell)?),
        "hidden" => item.hidden = Some(flag(cell)?),
        _ => set_value(&mut item.attributes, column, cell),
    }
    Ok(())
}

fn set_user(user: &mut UserDto, column: &str, cell: &str) -> Result<(), Problem> {
    match column {
        "id" => user.id = cell.to_owned(),
        "tags" => user.tags = Some(list(cell)),
        "region" => user.region = Some(cell.to_owned()),
        "device" => user.device = Some(cell.to_owned()),
        "registered_at" => user.registered_at = Some(time(cell)?),
        "follows" => user.follows = Some(list(cell)),
        "long_term_tags" => user.long_term_tags = Some(weights(cell)?),
        "active_hours" => user.active_hours = Some(hours(cell)?),
        _ => set_value(&mut user.attributes, column, cell),
    }
    Ok(())
}

fn set_event(event: &mut EventDto, column: &str, cell: &str) -> Result<(), Problem> {
    match column {
        "event_id" => event.event_id = Some(cell.to_owned()),
        "user_id" => event.user_id = Some(cell.to_owned()),
        "item_id" => event.item_id = cell.to_owned(),
        "type" => event.kind = cell.to_owned(),
        "at" => event.at = Some(time(cell)?),
        "watch_ms" => event.watch_ms = Some(integer(cell)?),
        "position" => event.position = Some(integer(cell)?),
        "request_id" => event.request_id = Some(cell.to_owned()),
        _ => set_value(&mut event.context, column, cell),
    }
    Ok(())
}

/// A column `attributes.<key>` or `context.<key>`; the header has been checked.
fn set_value(values: &mut Option<BTreeMap<String, ContextValue>>, column: &str, cell: &str) {
    let key = column.split_once('.').map_or(column, |(_, key)| key);
    values.get_or_insert_default().insert(key.to_owned(), value_of(cell));
}

/// A cell as a flag, a number or a text. It is a number only when the number would be written the same way, so that
/// codes such as `007` or `1e5` stay texts.
pub(super) fn value_of(cell: &str) -> ContextValue {
    match cell {
        "true" => return ContextValue::Flag(true),
        "false" => return ContextValue::Flag(false),
        _ => {}
    }
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() == cell => ContextValue::Number(number),
        Ok(_) | Err(_) => ContextValue::Text(cell.to_owned()),
    }
}

fn list(cell: &str) -> Vec<String> {
    cell.split('|')
        .map(str::trim)
        .filter(|element| !element.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `cats:1.5|dogs`: tags with weights, 1 where none is given.
fn weights(cell: &str) -> Result<BTreeMap<String, f32>, Problem> {
    let weight = |element: String| match element.rsplit_once(':') {
        Some((tag, weight)) => {
            let not_a_weight = || Problem::new("not_a_weight", format!("{weight:?} is not a number"));
            Ok((
                tag.trim().to_owned(),
                weight.trim().parse().map_err(|_| not_a_weight())?,
            ))
        }
        None => Ok((element, 1.0)),
    };
    list(cell).into_iter().map(weight).collect()
}

/// `7|8|21`: hours of the day.
fn hours(cell: &str) -> Result<Vec<u8>, Problem> {
    list(cell)
        .iter()
        .map(|element| {
            let hour = integer(element)?;
            u8::try_from(hour).map_err(|_| Problem::new("not_an_hour", format!("{hour} is not an hour of the day")))
        })
        .collect()
}

fn integer(cell: &str) -> Result<i64, Problem> {
    cell.trim()
        .parse()
        .map_err(|_| Problem::new("not_an_integer", format!("{cell:?} is not an integer")))
}

fn time(cell: &str) -> Result<i64, Problem> {
    parse_time(cell.trim()).map_err(|detail| Problem::new("not_a_time", detail))
}

fn flag(cell: &str) -> Result<bool, Problem> {
    match cell.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::new(
            "not_a_flag",
            format!("{cell:?} is neither true nor false"),
        )),
    }
}

fn embedding(cell: &str) -> Result<Vec<f32>, Problem> {
    let numbers = cell
        .split(|symbol: char| symbol == '|' || symbol.is_whitespace())
        .filter(|part| !part.is_empty());
    numbers
        .map(|part| {
            part.parse()
                .map_err(|_| Problem::new("not_a_number", format!("{part:?} is not a number")))
        })
        .collect()
}
