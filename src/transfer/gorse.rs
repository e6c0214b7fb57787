//! gorse's users, items and feedback as JSON lines, as `GET /api/bulk/...` gives them.
//!
//! Owns the way of a line to a record. What the parts mean is in `crate::gorse`.

use serde_json::Value;

use super::jsonl::object;
use super::lines::Lines;
use super::reading::Reading;
use super::{Entity, Fault, Parse, Problem, Record};
use crate::gorse::shapes::{GorseFeedback, GorseItem, GorseUser, read};

/// Reads a dump of gorse.
pub(super) struct Gorse {
    lines: Lines,
    entity: Entity,
    reading: Reading,
}

impl Gorse {
    /// Reads `entity` from `lines`.
    pub(super) fn new(lines: Lines, entity: Entity, reading: Reading) -> Self {
        Self { lines, entity, reading }
    }

    fn record(&self) -> Result<Record, Problem> {
        let value = Value::Object(object(self.lines.text()?)?);
        let wrong = |detail: String| Problem::new("wrong_shape", detail);
        let now = self.reading.now;
        Ok(match self.entity {
            Entity::Items => Record::Item(read::<GorseItem>(value).and_then(GorseItem::into_item).map_err(wrong)?),
            Entity::Users => Record::User(read::<GorseUser>(value).and_then(GorseUser::into_user).map_err(wrong)?),
            Entity::Events => {
                let feedback: GorseFeedback = read(value).map_err(wrong)?;
                Record::Event(feedback.event(&self.reading.feedback, now).map_err(wrong)?)
            }
        })
    }
}

impl Parse for Gorse {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.lines.advance_past_blank()?.and_then(|line| {
            rows.push(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}
