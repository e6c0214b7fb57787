//! Yoochoose (RecSys Challenge 2015): `yoochoose-clicks.dat` (session, time, item, category) and `yoochoose-buys.dat`
//! (session, time, item, price, quantity), without a header.
//!
//! Owns the mapping: a session is a user, a click a view, a purchase a like.

use std::path::Path;

use swipeline_models::event::{ContextValue, Signal};

use super::super::lines::Lines;
use super::super::table::{Dialect, Table};
use super::super::{Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format};
use super::{event, time};

/// Reads a file of clicks or of purchases; which of the two, its columns say.
pub(super) struct Clicks {
    table: Table,
    is_purchases: bool,
}

impl Clicks {
    /// Reads the first row.
    pub(super) fn open(lines: Lines, path: &Path) -> Result<Self, OpenError> {
        let dialect = Dialect {
            has_header: false,
            ..Dialect::default()
        };
        let table = Table::open_as(lines, dialect).map_err(|fault| head_fault(path, fault))?;
        let is_purchases = match table.header().len() {
            4 => false,
            5 => true,
            count => {
                let detail =
                    format!("Yoochoose's files have 4 (clicks) or 5 (purchases) columns, this one has {count}");
                return Err(not_this_format(path, detail));
            }
        };
        Ok(Self { table, is_purchases })
    }

    fn record(&self) -> Result<Record, Problem> {
        let cell = |place| self.table.cell(place).trim();
        let signal = if self.is_purchases { Signal::Like } else { Signal::View };
        let mut record = event("yc", cell(0), cell(2), signal, time("2", cell(1))?)?;
        if let Record::Event(event) = &mut record
            && !self.is_purchases
            && !matches!(cell(3), "" | "0")
        {
            let category = ContextValue::Text(cell(3).to_owned());
            event.context.insert("category".to_owned(), category);
        }
        Ok(record)
    }
}

impl Parse for Clicks {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.table.advance()?.and_then(|line| {
            rows.push(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}
