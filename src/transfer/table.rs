//! Rows of a CSV file with a header line (RFC 4180).
//!
//! Owns the cutting into cells, quoted cells that go over several lines included, and the header. Must not know what a
//! column means. The crate `csv_core` parses; this file decides where a row ends when a quote is never closed, so that
//! one bad line costs one line and not the rest of the file.

use csv_core::{ReadRecordResult, Reader};

use super::lines::{GivenBack, Lines};
use super::{Fault, Problem};

/// The most lines that one row may go over.
const ROW_LINES_MAX: usize = 64;

/// A reader of rows that holds one row at a time.
pub(crate) struct Table {
    lines: Lines,
    parser: Reader,
    header: Vec<String>,
    cells: Vec<u8>,
    ends: Vec<usize>,
    cell_count: usize,
}

impl Table {
    /// Reads the header.
    pub(crate) fn open(lines: Lines) -> Result<Table, Fault> {
        let mut table = Table {
            lines,
            parser: Reader::new(),
            header: Vec::new(),
            cells: Vec::new(),
            ends: Vec::new(),
            cell_count: 0,
        };
        match table.read_row() {
            None => Err(Problem::new("no_header", "the file is empty; a header line is needed").at(1)),
            Some(Err(fault)) => Err(fault),
            Some(Ok(line)) => {
                table.header = (0..table.cell_count)
                    .map(|place| table.cell(place).trim().to_owned())
                    .collect();
                match first_repeated(&table.header) {
                    None => Ok(table),
                    Some(name) => Err(Problem::new("header", format!("column `{name}` is there twice")).at(line)),
                }
            }
        }
    }

    /// The names of the columns.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Goes to the next row and returns the line it starts on; `None` at the end.
    pub(crate) fn advance(&mut self) -> Option<Result<u64, Fault>> {
        Some(self.read_row()?.and_then(|line| {
            if self.cell_count == self.header.len() {
                return Ok(line);
            }
            let detail = format!("has {} columns, the header has {}", self.cell_count, self.header.len());
            Err(Problem::new("column_count", detail).at(line))
        }))
    }

    /// A cell of the present row.
    pub(crate) fn cell(&self, place: usize) -> &str {
        let start = if place == 0 {
            0
        } else {
            self.ends.get(place - 1).copied().unwrap_or(0)
        };
        let end = self.ends.get(place).copied().unwrap_or(start);
        // The lines were checked before they were cut, and cuts are at ASCII bytes.
        self.cells
            .get(start..end)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    fn read_row(&mut self) -> Option<Result<u64, Fault>> {
        let first_line = match self.lines.advance_past_blank()? {
            Ok(line) => line,
            Err(fault) => return Some(Err(fault)),
        };
        self.parser.reset();
        self.cell_count = 0;
        let mut cells_len = 0;
        let mut lines_after: Vec<GivenBack> = Vec::new();
        if let Err(problem) = self.lines.text() {
            return Some(Err(problem.at(first_line)));
        }
        while !self.feed_line(&mut cells_len) {
            let next = if lines_after.len() + 1 < ROW_LINES_MAX {
                self.lines.advance()
            } else {
                None
            };
            let goes_on = match next {
                Some(Ok(line)) => {
                    lines_after.push(Ok((line, self.lines.bytes().to_vec())));
                    self.lines.text().is_ok()
                }
                Some(Err(fault)) => {
                    lines_after.push(Err(fault));
                    false
                }
                None => false,
            };
            if !goes_on {
                self.lines.give_back_all(lines_after);
                return Some(Err(
                    Problem::new("unclosed_quote", "a quoted cell is never closed").at(first_line)
                ));
            }
        }
        Some(Ok(first_line))
    }

    /// Feeds the present line; returns whether the row ends with it.
    fn feed_line(&mut self, cells_len: &mut usize) -> bool {
        let line = self.lines.bytes();
        self.cells.resize(*cells_len + line.len() + 1, 0);
        let commas = line.iter().filter(|byte| **byte == b',').count();
        self.ends.resize(self.cell_count + commas + 2, 0);
        for part in [line, b"\n".as_slice()] {
            let mut rest = part;
            while !rest.is_empty() {
                let (outcome, read, written, ended) =
                    self.parser
                        .read_record(rest, &mut self.cells[*cells_len..], &mut self.ends[self.cell_count..]);
                rest = &rest[read..];
                *cells_len += written;
                self.cell_count += ended;
                match outcome {
                    ReadRecordResult::InputEmpty => break,
                    ReadRecordResult::Record | ReadRecordResult::End => return true,
                    // Both buffers are as large as the line could ever need; growing keeps this loop finite anyway.
                    ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2 + 1, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2 + 1, 0),
                }
            }
        }
        false
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(place, name)| names[..*place].contains(name))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(u64, Vec<String>), String>> {
        let mut table = Table::open(Lines::new(Box::new(std::io::Cursor::new(text.to_owned())))).expect("a header");
        let mut rows = Vec::new();
        while let Some(outcome) = table.advance() {
            rows.push(match outcome {
                Ok(line) => Ok((
                    line,
                    (0..table.cell_count)
                        .map(|place| table.cell(place).to_owned())
                        .collect(),
                )),
                Err(fault) => Err(fault.to_string()),
            });
        }
        rows
    }

    fn row(line: u64, cells: &[&str]) -> Result<(u64, Vec<String>), String> {
        Ok((line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn quotes_hold_commas_quotes_and_line_ends() {
        let rows = read("a,b\n\"1,5\",\"say \"\"hi\"\"\"\n\"two\nlines\",x\n\nlast,é\n");
        assert_eq!(
            rows,
            [
                row(2, &["1,5", "say \"hi\""]),
                row(3, &["two\nlines", "x"]),
                row(6, &["last", "é"])
            ]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_one_line() {
        let rows = read("a,b\n\"open,1\n2,3\n4,5\n");
        assert!(
            rows[0]
                .as_ref()
                .is_err_and(|text| text.contains("line 2") && text.contains("unclosed_quote"))
        );
        assert_eq!(rows[1..], [row(3, &["2", "3"]), row(4, &["4", "5"])]);
    }

    #[test]
    fn lines_behind_an_open_quote_keep_their_own_faults() {
        let mut bytes = b"a,b\n\"open,1\n2,3\n".to_vec();
        bytes.extend_from_slice(b"caf\xe9,4\n5,6\n");
        let mut table = Table::open(Lines::new(Box::new(std::io::Cursor::new(bytes)))).expect("a header");
        let mut seen = Vec::new();
        while let Some(outcome) = table.advance() {
            seen.push(outcome.map_err(|fault| fault.to_string()));
        }
        assert!(
            seen[0]
                .as_ref()
                .is_err_and(|text| text.contains("line 2") && text.contains("unclosed_quote"))
        );
        assert!(matches!(seen[1], Ok(3)));
        assert!(
            seen[2]
                .as_ref()
                .is_err_and(|text| text.contains("line 4") && text.contains("not_utf8"))
        );
        assert!(matches!(seen[3], Ok(5)));
    }

    #[test]
    fn a_row_with_too_few_columns_is_reported_with_its_line() {
        let rows = read("a,b\n1\n2,3\n");
        assert!(
            rows[0]
                .as_ref()
                .is_err_and(|text| text.contains("line 2") && text.contains("column_count"))
        );
        assert_eq!(rows[1], row(3, &["2", "3"]));
    }

    #[test]
    fn headers_are_needed_and_name_each_column_once() {
        let open = |text: &'static str| Table::open(Lines::new(Box::new(std::io::Cursor::new(text)))).map(|_| ());
        assert!(open("").expect_err("empty").to_string().contains("no_header"));
        assert!(open("a,b,a\n").expect_err("twice").to_string().contains("`a`"));
    }
}
