//! One JSON object per line, shaped as in the REST API.
//!
//! Owns the codes for lines that are not such an object. Must not know other formats.

use serde::de::DeserializeOwned;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::lines::Lines;
use super::{Entity, Fault, Parse, Problem, Record};

/// Reads a `jsonl` file.
pub(super) struct Jsonl {
    lines: Lines,
    entity: Entity,
    now: TimestampMs,
}

impl Jsonl {
    /// Reads `entity` from `lines`.
    pub(super) fn new(lines: Lines, entity: Entity, now: TimestampMs) -> Self {
        Self { lines, entity, now }
    }

    fn record(&self) -> Result<Record, Problem> {
        let text = self.lines.text()?;
        Ok(match self.entity {
            Entity::Items => Record::Item(object::<ItemDto>(text)?.into_item(self.now)?),
            Entity::Users => Record::User(object::<UserDto>(text)?.into_user()?),
            Entity::Events => Record::Event(object::<EventDto>(text)?.into_event(None, self.now)?),
        })
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

fn object<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
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
