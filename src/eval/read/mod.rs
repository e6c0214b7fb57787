//! Reading logs: each format in its file, plain or gzip by the first bytes.
//!
//! Owns what all formats share: numbering ids, walking lines, errors that name file and line. A bad line ends the
//! reading: a number measured on half a log is worse than none.

pub(crate) mod events;
pub(crate) mod items;
pub(crate) mod kuairand;
pub(crate) mod movielens;
pub(crate) mod sequence;
pub(crate) mod sessions;

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::transfer::{BytesRead, Fault, InputFile, Lines, OpenError, Table};

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A line does not say what it should.
    #[error("{}:{line}: {detail}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The file holds no rows.
    #[error("{}: {detail}", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        detail: String,
    },
}

/// Original ids by dense numbers.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    ids: Vec<String>,
    number_of: FxHashMap<String, u32>,
}

impl Ids {
    /// The number of `id`; a new id gets the next one.
    pub(crate) fn number(&mut self, id: &str) -> u32 {
        if let Some(number) = self.number_of.get(id) {
            return *number;
        }
        let number = self.ids.len() as u32;
        self.ids.push(id.to_owned());
        self.number_of.insert(id.to_owned(), number);
        number
    }

    /// The number of `id`, if it has one.
    pub(crate) fn get(&self, id: &str) -> Option<u32> {
        self.number_of.get(id).copied()
    }

    /// The ids in the order of their numbers.
    pub(crate) fn into_ids(self) -> Vec<String> {
        self.ids
    }
}

/// Opens a file, plain or gzip.
fn open_lines(path: &Path) -> Result<Lines, ReadError> {
    let input = InputFile::Path(path.to_owned());
    Ok(Lines::new(input.open(&BytesRead::default())?))
}

/// Opens a CSV file with a header that has all of `columns`; returns their places.
fn open_table<const N: usize>(path: &Path, columns: [&str; N]) -> Result<(Table, [usize; N]), ReadError> {
    let table = Table::open(open_lines(path)?).map_err(|fault| at_fault(path, &fault))?;
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = table
            .column(column)
            .ok_or_else(|| at_line(path, 1, format!("the header has no column `{column}`")))?;
    }
    Ok((table, places))
}

fn at_line(path: &Path, line: u64, detail: impl Into<String>) -> ReadError {
    ReadError::Line {
        path: path.to_owned(),
        line,
        detail: detail.into(),
    }
}

fn at_fault(path: &Path, fault: &Fault) -> ReadError {
    match fault {
        Fault::Rejected(reject) => at_line(path, reject.line, reject.detail.clone()),
        Fault::Broken { line, source } => at_line(path, line + 1, format!("cannot be read: {source}")),
    }
}

fn empty(path: &Path, detail: &str) -> ReadError {
    ReadError::Empty {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}

/// Goes through the lines that are not blank; `take` says what is wrong with one.
fn for_each_line(
    path: &Path,
    lines: &mut Lines,
    mut take: impl FnMut(u64, &str) -> Result<(), String>,
) -> Result<(), ReadError> {
    while let Some(outcome) = lines.advance_past_blank() {
        let line = outcome.map_err(|fault| at_fault(path, &fault))?;
        let text = lines.text_or_latin1();
        take(line, &text).map_err(|detail| at_line(path, line, detail))?;
    }
    Ok(())
}

/// Seconds since 1970 (whole or with a fraction), or an RFC 3339 time, in milliseconds.
fn seconds_as_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => Ok((seconds * 1_000.0).round() as i64),
        _ if text.contains('T') => crate::transfer::parse_time(text),
        _ => Err(format!("{text:?} is not a time in seconds")),
    }
}

/// An id of the log, which is never empty.
fn id(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("an id is empty".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_or_without_a_fraction() {
        assert_eq!(seconds_as_ms("1396437466.94"), Ok(1_396_437_466_940));
        assert_eq!(seconds_as_ms(" 881250949 "), Ok(881_250_949_000));
        assert_eq!(seconds_as_ms("2014-04-02T11:17:46.940Z"), Ok(1_396_437_466_940));
        for bad in ["", "NaN", "inf", "soon", "1e300"] {
            assert!(seconds_as_ms(bad).is_err(), "{bad}");
        }
    }
}
