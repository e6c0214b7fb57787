//! One JSON object per line, shaped as in the REST API, or with keys that the caller has mapped.
//!
//! Owns the codes for lines that are not such an object. Must not know other formats.

use serde_json::{Map, Value};

use super::fields::{Raw, RowBuilder};
use super::lines::Lines;
use super::reading::Reading;
use super::{Entity, Fault, Parse, Problem, Record};

/// Reads a `jsonl` file.
pub(super) struct Jsonl {
    lines: Lines,
    entity: Entity,
    reading: Reading,
}

impl Jsonl {
    /// Reads `entity` from `lines`.
    pub(super) fn new(lines: Lines, entity: Entity, reading: Reading) -> Self {
        Self { lines, entity, reading }
    }

    fn record(&self) -> Result<Record, Problem> {
        let mut row = RowBuilder::new(self.entity, &self.reading);
        for (key, value) in object(self.lines.text()?)? {
            match self.reading.targets(self.entity, &key) {
                Some(targets) => targets
                    .iter()
                    .try_for_each(|target| row.set(target, &key, Raw::Json(value.clone())))?,
                None => self
                    .reading
                    .notes
                    .count(&format!("values of the unknown field `{key}` left out")),
            }
        }
        row.finish()
    }
}

impl Parse for Jsonl {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        let line = match self.lines.advance_past_blank()? {
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

/// A line as a JSON object.
///
/// # Errors
/// It is no JSON, or no object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => "wrong_shape",
            serde_json::error::Category::Syntax | serde_json::error::Category::Eof => "malformed_json",
            serde_json::error::Category::Io => "unreadable",
        };
        // The parser knows one line only: its "line 1" would contradict the file's line number.
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        Problem::new(code, format!("{said} at column {}", error.column()))
    })
}
