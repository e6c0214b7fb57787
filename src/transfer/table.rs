//! Rows of a CSV file with a header line (RFC 4180).
//!
//! Owns the cutting into cells, quoted cells that go over several lines included, and the header. Must not know what a
//! column means. The crate `csv_core` parses; this file decides where a row ends when a quote is never closed, so that
//! one bad line costs one line and not the rest of the file.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::lines::{GivenBack, LINE_BYTES_MAX, Lines};
use super::{Fault, Problem};

/// The most bytes that one row may have, over however many lines its quoted cells go.
const ROW_BYTES_MAX: usize = LINE_BYTES_MAX;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// What stands between two cells.
    pub(crate) delimiter: u8,
    /// Whether the first row names the columns; otherwise they are called `1`, `2`, ...
    pub(crate) has_header: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            has_header: true,
        }
    }
}

/// A reader of rows that holds one row at a time.
pub(crate) struct Table {
    lines: Lines,
    parser: Reader,
    dialect: Dialect,
    /// Whether the present row has been read already, to count its columns.
    is_ahead: Option<u64>,
    header: Vec<String>,
    cells: Vec<u8>,
    ends: Vec<usize>,
    cell_count: usize,
}

impl Table {
    /// Reads the header of a table with commas.
    pub(crate) fn open(lines: Lines) -> Result<Table, Fault> {
        Self::open_as(lines, Dialect::default())
    }

    /// Reads the header.
    pub(crate) fn open_as(lines: Lines, dialect: Dialect) -> Result<Table, Fault> {
        let mut table = Table {
            lines,
            parser: ReaderBuilder::new().delimiter(dialect.delimiter).build(),
            dialect,
            is_ahead: None,
            header: Vec::new(),
            cells: Vec::new(),
            ends: Vec::new(),
            cell_count: 0,
        };
        let line = match table.read_row() {
            None => return Err(Problem::new("no_header", "the file is empty; a header line is needed").at(1)),
            Some(outcome) => outcome?,
        };
        if !dialect.has_header {
            table.header = (1..=table.cell_count).map(|number| number.to_string()).collect();
            table.is_ahead = Some(line);
            return Ok(table);
        }
        table.header = (0..table.cell_count)
            .map(|place| table.cell(place).trim().to_owned())
            .collect();
        match first_repeated(&table.header) {
            None => Ok(table),
            Some(name) => Err(Problem::new("header", format!("column `{name}` is there twice")).at(line)),
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
        if let Some(line) = self.is_ahead.take() {
            return Some(Ok(line));
        }
        Some(self.read_row()?.and_then(|line| {
            if self.cell_count == self.header.len() {
                return if self.is_header_again() {
                    Err(Problem::new("header_again", "is the header once more").at(line))
                } else {
                    Ok(line)
                };
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

    /// Files that were joined with `cat` have their header in the middle, too.
    fn is_header_again(&self) -> bool {
        self.dialect.has_header
            && self
                .header
                .iter()
                .enumerate()
                .all(|(place, name)| self.cell(place).trim() == name)
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
        let mut row_bytes = 0;
        let mut quotes = Quotes::default();
        loop {
            if lines_after.is_empty()
                && let Err(problem) = self.lines.text()
            {
                return Some(Err(problem.at(first_line)));
            }
            row_bytes += self.lines.bytes().len() + 1;
            quotes.feed(self.lines.bytes(), self.dialect.delimiter);
            let is_whole = self.feed_line(&mut cells_len);
            // Text right behind a closing quote, lines below its opening one: the quotes belong to two rows.
            let is_stray = !lines_after.is_empty() && quotes.has_stray;
            if is_whole && !is_stray {
                return Some(Ok(first_line));
            }
            let next = if !is_stray && row_bytes < ROW_BYTES_MAX {
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
                let detail = if row_bytes >= ROW_BYTES_MAX {
                    format!("a quoted cell is not closed within {ROW_BYTES_MAX} bytes")
                } else {
                    "a quoted cell is never closed".to_owned()
                };
                return Some(Err(Problem::new("unclosed_quote", detail).at(first_line)));
            }
        }
    }

    /// Feeds the present line; returns whether the row ends with it.
    fn feed_line(&mut self, cells_len: &mut usize) -> bool {
        let line = self.lines.bytes();
        self.cells.resize(*cells_len + line.len() + 1, 0);
        let commas = line.iter().filter(|byte| **byte == self.dialect.delimiter).count();
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

/// Where the quotes of a row stand, to tell a cell of many lines from two quotes that have nothing to do with each other.
#[derive(Default)]
struct Quotes {
    is_inside: bool,
    /// Whether something else than a delimiter stood behind a closing quote.
    has_stray: bool,
}

impl Quotes {
    fn feed(&mut self, line: &[u8], delimiter: u8) {
        let mut is_cell_start = !self.is_inside;
        let mut after_quote = false;
        for byte in line {
            match (self.is_inside, *byte) {
                (true, b'"') => {
                    self.is_inside = false;
                    after_quote = true;
                }
                (true, _) => {}
                // A doubled quote is one quote of the text.
                (false, b'"') if after_quote => {
                    self.is_inside = true;
                    after_quote = false;
                }
                (false, b'"') if is_cell_start => self.is_inside = true,
                (false, other) => {
                    self.has_stray |= after_quote && other != delimiter;
                    is_cell_start = other == delimiter;
                    after_quote = false;
                    continue;
                }
            }
            is_cell_start = false;
        }
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(place, name)| !name.is_empty() && names[..*place].contains(name))
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
    fn a_quoted_cell_may_have_any_number_of_lines() {
        let text = format!("a,b\n1,\"{}\"\n2,x\n", "a line, with a comma\n".repeat(5_000));
        let rows = read(&text);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1], row(5_003, &["2", "x"]));
        let line = format!("{}\n", "x".repeat(1_000));
        let rows = read(&format!("a,b\n1,\"{}2,x\n", line.repeat(9_000)));
        assert!(
            rows[0].as_ref().is_err_and(|text| text.contains("within")),
            "{:?}",
            rows[0]
        );
        assert_eq!(rows.last(), Some(&row(9_002, &["2", "x"])));
    }

    #[test]
    fn two_stray_quotes_do_not_join_their_rows() {
        let rows = read("a,b\n1,\"x\n2,y\n3,\"z\n4,w\n");
        assert!(
            rows[0]
                .as_ref()
                .is_err_and(|text| text.contains("line 2") && text.contains("unclosed_quote"))
        );
        assert_eq!(rows[1], row(3, &["2", "y"]));
        assert!(rows[2].as_ref().is_err_and(|text| text.contains("line 4")));
        assert_eq!(rows[3], row(5, &["4", "w"]));
    }

    #[test]
    fn other_delimiters_and_no_header() {
        let dialect = Dialect {
            delimiter: b';',
            has_header: false,
        };
        let lines = Lines::new(Box::new(std::io::Cursor::new("1,5;a\n\"x;y\";b\n")));
        let mut table = Table::open_as(lines, dialect).expect("a first row");
        assert_eq!(table.header(), ["1", "2"]);
        assert!(matches!(table.advance(), Some(Ok(1))));
        assert_eq!(table.cell(0), "1,5");
        assert!(matches!(table.advance(), Some(Ok(2))));
        assert_eq!((table.cell(0), table.cell(1)), ("x;y", "b"));
        assert!(table.advance().is_none());
    }

    #[test]
    fn a_header_in_the_middle_is_no_row() {
        let rows = read("a,b\n1,2\na,b\n3,4\n");
        assert!(rows[1].as_ref().is_err_and(|text| text.contains("header_again")));
        assert_eq!(rows[2], row(4, &["3", "4"]));
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
