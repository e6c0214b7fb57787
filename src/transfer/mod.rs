//! Reading and writing data files: items, users and events in the formats of the outside.
//!
//! Owns the formats ([`open`]: a stream of checked domain values and of bad lines, one record at a time), reading ahead
//! ([`feeder`]), where imported rows go ([`sink`]), and the words in which an import is reported ([`progress`],
//! [`summary`]). A format must not know where its rows go.

mod archived;
mod cells;
mod csv;
pub(crate) mod feeder;
mod fields;
mod gorse;
mod jsonl;
mod kuairand;
mod lines;
mod movielens;
mod named;
mod parquet;
pub(crate) mod progress;
mod reading;
pub(crate) mod rest;
pub(crate) mod sink;
mod source;
pub(crate) mod summary;
mod table;
mod time;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use swipeline_models::event::Event;
use swipeline_models::item::Item;
use swipeline_models::user::User;
use swipeline_models::wire::FieldError;

pub(crate) use archived::ArchivedRows;
pub(crate) use cells::{item_cells, item_table, user_cells, user_table};
pub(crate) use fields::field_names;
pub(crate) use lines::Lines;
pub(crate) use reading::{Notes, Reading, is_field};
pub(crate) use source::{BytesRead, InputFile, expand};
pub(crate) use table::Table;
use time::parse_year;
pub(crate) use time::{TimeRules, TimeUnit, parse_time, parse_zone};
pub(crate) use write::{JsonlWriter, ParquetWriter, WriteError};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Entity {
    /// Things that can be shown.
    Items,
    /// Viewers.
    Users,
    /// What viewers did.
    Events,
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Entity::Items => "items",
            Entity::Users => "users",
            Entity::Events => "events",
        })
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object per line, shaped as in the REST API.
    Jsonl,
    /// A header line with the names of the REST API's fields, then one row per line.
    Csv,
    /// Parquet with columns named as the REST API's fields.
    Parquet,
    /// MovieLens: recbole's atomic files, `u.data` / `u.item` / `u.user`, `*.dat`, or `ratings.csv` / `movies.csv`.
    Movielens,
    /// KuaiRand in its official CSV schema.
    Kuairand,
    /// gorse's users, items and feedback as JSON lines.
    Gorse,
    /// RetailRocket's events and item properties.
    Retailrocket,
    /// Yoochoose's clicks and purchases (RecSys Challenge 2015).
    Yoochoose,
    /// Last.fm 1K: plays and profiles.
    Lastfm,
    /// Amazon reviews of 2014, 2018 and 2023: reviews, ratings, products.
    Amazon,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Movielens => "movielens",
            Format::Kuairand => "kuairand",
            Format::Gorse => "gorse",
            Format::Retailrocket => "retailrocket",
            Format::Yoochoose => "yoochoose",
            Format::Lastfm => "lastfm",
            Format::Amazon => "amazon",
        })
    }
}

impl Format {
    /// The format that a file's name speaks for, if it speaks.
    pub(crate) fn of_name(path: &Path) -> Option<Format> {
        let name = source::plain_name(path);
        let movielens_names = [
            "u.data",
            "u.item",
            "u.user",
            "ratings.csv",
            "movies.csv",
            "rating.csv",
            "movie.csv",
        ];
        if movielens_names.contains(&name.as_str()) {
            return Some(Format::Movielens);
        }
        if ["log_", "video_features_basic", "user_features"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            return Some(Format::Kuairand);
        }
        if name.starts_with("yoochoose-") {
            return Some(Format::Yoochoose);
        }
        if name.starts_with("userid-timestamp-") || name == "userid-profile.tsv" {
            return Some(Format::Lastfm);
        }
        if name.starts_with("item_properties") {
            return Some(Format::Retailrocket);
        }
        match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "csv" | "tsv" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            "inter" | "item" | "user" | "dat" => Some(Format::Movielens),
            _ => None,
        }
    }
}

/// One value read from a file, checked against the rules of the API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// An item.
    Item(Item),
    /// A user.
    User(User),
    /// An event.
    Event(Event),
}

/// A record and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The line of the file, from 1; several rows may come from one line.
    pub(crate) line: u64,
    /// What the line says.
    pub(crate) record: Record,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    /// The line of the file, from 1.
    pub(crate) line: u64,
    /// A short, stable code.
    pub(crate) code: String,
    /// What is wrong, for people; names the column where there is one.
    pub(crate) detail: String,
}

/// Why a reader did not yield a row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// This line is bad; the next one may be good.
    #[error("line {}: {} ({})", .0.line, .0.detail, .0.code)]
    Rejected(Reject),
    /// The input cannot be read any further.
    #[error("cannot be read after line {line}: {source}")]
    Broken {
        /// The last line that could be read, from 1 (0: none).
        line: u64,
        /// What the reader said.
        source: std::io::Error,
    },
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// There is no such file, or it may not be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds nothing of that kind.
    #[error("{}: no {entity} files in this folder (looked for {looked_for})", .path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// What was wanted.
        entity: Entity,
        /// The names that would have been taken.
        looked_for: &'static str,
    },
    /// The file's head shows that it is something else.
    #[error("{}: {detail}", .path.display())]
    NotThisFormat {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        detail: String,
    },
}

/// What is wrong with one line; the line's number is the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A short, stable code.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) detail: String,
}

impl Problem {
    fn new(code: &str, detail: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    fn at(self, line: u64) -> Fault {
        Fault::Rejected(Reject {
            line,
            code: self.code,
            detail: self.detail,
        })
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self {
            code: error.code,
            detail: format!("{}: {}", error.field, error.detail),
        }
    }
}

/// A reader of one file; lazily, one record at a time.
pub(crate) type RecordReader = Box<dyn Iterator<Item = Result<Row, Fault>> + Send>;

/// What reads one record (usually a line) and says which rows it means.
trait Parse: Send {
    /// Reads the next record, appends what it means to `rows` and returns its line; `None` at the end.
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>>;
}

/// Turns a [`Parse`] into an iterator of rows.
struct Rows<P> {
    parser: P,
    waiting: Vec<Record>,
    line: u64,
    broken: bool,
}

impl<P: Parse> Rows<P> {
    fn new(parser: P) -> Self {
        Self {
            parser,
            waiting: Vec::new(),
            line: 0,
            broken: false,
        }
    }
}

impl<P: Parse> Iterator for Rows<P> {
    type Item = Result<Row, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.waiting.pop() {
                return Some(Ok(Row {
                    line: self.line,
                    record,
                }));
            }
            if self.broken {
                return None;
            }
            match self.parser.parse_next(&mut self.waiting)? {
                Ok(line) => {
                    self.line = line;
                    self.waiting.reverse();
                }
                Err(fault) => {
                    self.waiting.clear();
                    self.broken = matches!(fault, Fault::Broken { .. });
                    return Some(Err(fault));
                }
            }
        }
    }
}

/// Opens one input.
///
/// # Errors
/// The file cannot be opened, or its head shows that it is not `entity` in `format`.
pub(crate) fn open(
    input: &InputFile,
    entity: Entity,
    format: Format,
    reading: &Reading,
    bytes_read: &BytesRead,
) -> Result<RecordReader, OpenError> {
    let path = input.path();
    if format == Format::Parquet {
        let rows = parquet::ParquetRows::open(input, entity, reading.clone(), bytes_read)?;
        return Ok(Box::new(Rows::new(rows)));
    }
    let lines = lines::Lines::new(input.open(bytes_read)?);
    match format {
        Format::Jsonl => Ok(Box::new(Rows::new(jsonl::Jsonl::new(lines, entity, reading.clone())))),
        Format::Csv => {
            let rows = csv::Csv::open(lines, entity, reading.clone(), path)?;
            Ok(Box::new(Rows::new(rows)))
        }
        Format::Parquet => Err(not_this_format(path, "Parquet has no lines")),
        Format::Movielens => movielens::open(lines, entity, path),
        Format::Kuairand => Ok(Box::new(Rows::new(kuairand::Kuairand::open(lines, entity, path)?))),
        Format::Gorse => Ok(Box::new(Rows::new(gorse::Gorse::new(lines, entity, reading.clone())))),
        Format::Retailrocket | Format::Yoochoose | Format::Lastfm | Format::Amazon => {
            named::open(lines, entity, format, reading, path)
        }
    }
}

/// The head of a file is not what the caller said it is.
fn not_this_format(path: &Path, detail: impl Into<String>) -> OpenError {
    OpenError::NotThisFormat {
        path: path.to_owned(),
        detail: detail.into(),
    }
}

/// A fault in the head of a file is a fault of the whole file.
fn head_fault(path: &Path, fault: Fault) -> OpenError {
    match fault {
        Fault::Rejected(reject) => not_this_format(path, format!("line {}: {}", reject.line, reject.detail)),
        Fault::Broken { source, .. } => OpenError::Io {
            path: path.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests;
