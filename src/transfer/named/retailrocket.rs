//! RetailRocket: `events.csv` (`timestamp,visitorid,event,itemid,transactionid`) and `item_properties_part*.csv`
//! (`timestamp,itemid,property,value`).
//!
//! Owns the mapping: `view` is a view, `addtocart` a favorite, `transaction` a like; the newest `categoryid` of an item
//! is its category. The other properties are hashed words without a meaning and are left out.

use std::collections::HashMap;
use std::path::Path;

use swipeline_models::event::Signal;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ItemDto;

use super::super::lines::Lines;
use super::super::table::Table;
use super::super::{Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format};
use super::{event, time};

/// Opens a table that has these columns.
fn open<const N: usize>(lines: Lines, path: &Path, columns: [&str; N]) -> Result<(Table, [usize; N]), OpenError> {
    let table = Table::open(lines).map_err(|fault| head_fault(path, fault))?;
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = table.column(column).ok_or_else(|| {
            not_this_format(
                path,
                format!("RetailRocket's file has a column `{column}`; this one has none"),
            )
        })?;
    }
    Ok((table, places))
}

/// Reads `events.csv`.
pub(super) struct Events {
    table: Table,
    places: [usize; 4],
}

impl Events {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, path: &Path) -> Result<Self, OpenError> {
        let (table, places) = open(lines, path, ["timestamp", "visitorid", "event", "itemid"])?;
        Ok(Self { table, places })
    }

    fn record(&self) -> Result<Record, Problem> {
        let [at, visitor, kind, item] = self.places.map(|place| self.table.cell(place).trim());
        let signal = match kind {
            "view" => Signal::View,
            "addtocart" => Signal::Favorite,
            "transaction" => Signal::Like,
            _ => {
                return Err(Problem::new(
                    "unknown_type",
                    format!("column `event`: unknown event {kind:?}"),
                ));
            }
        };
        event("rr", visitor, item, signal, time("timestamp", at)?)
    }
}

impl Parse for Events {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.table.advance()?.and_then(|line| {
            rows.push(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}

/// Reads `item_properties_part*.csv`.
pub(super) struct Properties {
    table: Table,
    places: [usize; 4],
    /// When the category was said that each item has now; one entry per item of the file.
    said_at: HashMap<String, i64>,
}

impl Properties {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, path: &Path) -> Result<Self, OpenError> {
        let (table, places) = open(lines, path, ["timestamp", "itemid", "property", "value"])?;
        Ok(Self {
            table,
            places,
            said_at: HashMap::new(),
        })
    }

    fn record(&mut self) -> Result<Option<Record>, Problem> {
        let [at, item, property, value] = self.places.map(|place| self.table.cell(place).trim());
        if property != "categoryid" {
            return Ok(None);
        }
        let at_ms = time("timestamp", at)?;
        if self.said_at.get(item).is_some_and(|known| *known > at_ms) {
            return Ok(None);
        }
        let category = format!("category:{value}");
        let dto = ItemDto {
            id: item.to_owned(),
            categories: Some(vec![category.clone()]),
            tags: Some(vec![category]),
            created_at: Some(at_ms),
            ..ItemDto::default()
        };
        let record = Record::Item(dto.into_item(TimestampMs(at_ms))?);
        self.said_at.insert(item.to_owned(), at_ms);
        Ok(Some(record))
    }
}

impl Parse for Properties {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.table.advance()?.and_then(|line| {
            rows.extend(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}
