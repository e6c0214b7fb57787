//! Generic CSV: the header names the fields of the REST API, or the caller says which column is which.
//!
//! Owns the check of the header. Must not know data sets, nor how a cell becomes a field.

use std::path::Path;

use super::fields::{Raw, RowBuilder, field_names};
use super::lines::Lines;
use super::reading::{Reading, Target};
use super::table::{Dialect, Table};
use super::{Entity, Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format};

/// Reads a generic CSV file.
pub(super) struct Csv {
    table: Table,
    entity: Entity,
    reading: Reading,
    /// What each column stands for.
    targets: Vec<Vec<Target>>,
}

impl Csv {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, entity: Entity, reading: Reading, path: &Path) -> Result<Csv, OpenError> {
        let is_tsv = super::source::plain_name(path).ends_with(".tsv");
        let dialect = Dialect {
            delimiter: reading.delimiter.unwrap_or(if is_tsv { b'\t' } else { b',' }),
            has_header: !reading.no_header,
        };
        let table = Table::open_as(lines, dialect).map_err(|fault| head_fault(path, fault))?;
        let targets = targets(table.header(), entity, &reading)
            .map_err(|detail| not_this_format(path, format!("{detail}{}", separator_hint(table.header(), dialect))))?;
        Ok(Csv {
            table,
            entity,
            reading,
            targets,
        })
    }

    fn record(&self) -> Result<Record, Problem> {
        let mut row = RowBuilder::new(self.entity, &self.reading);
        for (place, (column, targets)) in self.table.header().iter().zip(&self.targets).enumerate() {
            for target in targets {
                row.set(target, column, Raw::Cell(self.table.cell(place)))?;
            }
        }
        row.finish()
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

/// What each column stands for.
///
/// # Errors
/// A column is unknown, a mapped one is not there, or a needed field is given by none.
pub(super) fn targets(names: &[String], entity: Entity, reading: &Reading) -> Result<Vec<Vec<Target>>, String> {
    if let Some((field, column)) = reading.unmapped(names) {
        return Err(format!(
            "--map {field}={column}: there is no column `{column}`; there are {}",
            names.join(", ")
        ));
    }
    let known = names.iter().map(|name| {
        reading.targets(entity, name).ok_or_else(|| {
            format!(
                "unknown column `{name}` for {entity}; known are {}; --map FIELD={name} or --ignore {name} says what to do with it",
                field_names(entity)
            )
        })
    });
    let known = known.collect::<Result<Vec<_>, _>>()?;
    match reading.missing(entity, names) {
        Some(missing) => Err(format!(
            "column `{missing}` is needed for {entity}; --map {missing}=COLUMN says which one it is"
        )),
        None => Ok(known),
    }
}

/// What to try when a header looks cut at the wrong places.
fn separator_hint(names: &[String], dialect: Dialect) -> String {
    let other = [(b';', "';'"), (b'\t', "'\\t'"), (b'|', "'|'"), (b',', "','")]
        .into_iter()
        .find(|(delimiter, _)| {
            *delimiter != dialect.delimiter && names.len() == 1 && names[0].as_bytes().contains(delimiter)
        });
    other.map_or_else(String::new, |(_, shown)| {
        format!(". Are the columns separated by {shown}? Then say --delimiter {shown}")
    })
}
