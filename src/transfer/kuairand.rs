//! KuaiRand (short videos of Kuaishou) in its official CSV schema.
//!
//! Owns the mapping: a row of a log is an impression, a `skip` (played for less than three seconds) or a `view`, and one
//! event per further signal; `video_features_basic` are items, `user_features` are users. The data set's own monthly
//! statistics per video are not read: they look into the future.

use std::collections::BTreeMap;
use std::path::Path;

use swipeline_models::event::Signal;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::fields::{parse_flag, value_of, without_zero_fraction};
use super::lines::Lines;
use super::table::Table;
use super::{Entity, Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format, parse_time};

/// What was played for less is a skip.
const SKIP_PLAY_MS: i64 = 3_000;
/// A play time over a day is a player that was left alone.
const PLAY_MS_MAX: i64 = 24 * 3_600 * 1_000;
/// The columns of a log that are flags, and what each of them says.
const FLAGS: [(&str, Signal); 6] = [
    ("is_like", Signal::Like),
    ("is_follow", Signal::Follow),
    ("is_comment", Signal::Comment),
    ("is_forward", Signal::Share),
    ("long_view", Signal::Complete),
    ("is_hate", Signal::Dislike),
];
/// The columns of `video_features_basic` that are kept as attributes.
const VIDEO_ATTRIBUTES: [&str; 6] = [
    "video_type",
    "upload_type",
    "server_width",
    "server_height",
    "music_id",
    "music_type",
];

/// Reads a KuaiRand file.
pub(super) struct Kuairand {
    table: Table,
    entity: Entity,
}

impl Kuairand {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, entity: Entity, path: &Path) -> Result<Kuairand, OpenError> {
        let table = Table::open(lines).map_err(|fault| head_fault(path, fault))?;
        let (file, required): (_, &[&str]) = match entity {
            Entity::Items => ("video_features_basic_*.csv", &["video_id", "author_id", "tag"]),
            Entity::Users => ("user_features_*.csv", &["user_id", "user_active_degree"]),
            Entity::Events => ("log_*.csv", &["user_id", "video_id", "time_ms", "play_time_ms"]),
        };
        match required.iter().find(|name| table.column(name).is_none()) {
            None => Ok(Kuairand { table, entity }),
            Some(missing) => {
                let detail = format!("has no column `{missing}`; KuaiRand {entity} come from a file like {file}");
                Err(not_this_format(path, detail))
            }
        }
    }

    /// The cell of a column; empty when there is no such column.
    fn cell(&self, column: &str) -> &str {
        self.table
            .column(column)
            .map_or("", |place| self.table.cell(place).trim())
    }

    fn id(&self, column: &str) -> &str {
        without_zero_fraction(self.cell(column))
    }

    /// A flag in any spelling; no column and an empty cell are a no.
    fn flag(&self, column: &str) -> Result<bool, Problem> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(false);
        }
        parse_flag(cell).ok_or_else(|| {
            Problem::new(
                "not_a_flag",
                format!("column `{column}`: {cell:?} is neither true nor false"),
            )
        })
    }

    fn integer(&self, column: &str) -> Result<i64, Problem> {
        let cell = self.cell(column);
        // The official files write some integers as floats.
        cell.strip_suffix(".0").unwrap_or(cell).parse().map_err(|_| {
            Problem::new(
                "not_an_integer",
                format!("column `{column}`: {cell:?} is not an integer"),
            )
        })
    }

    fn events(&self, rows: &mut Vec<Record>) -> Result<(), Problem> {
        let (user, video, at) = (self.id("user_id"), self.id("video_id"), self.integer("time_ms")?);
        let play_ms = self.integer("play_time_ms")?.clamp(0, PLAY_MS_MAX);
        let watched = if play_ms < SKIP_PLAY_MS {
            Signal::Skip
        } else {
            Signal::View
        };
        let mut signals = vec![Signal::Impression, watched];
        for (column, signal) in FLAGS {
            if self.flag(column)? {
                signals.push(signal);
            }
        }
        for signal in signals {
            let event = EventDto {
                event_id: Some(format!("kr:{user}:{video}:{at}:{}", signal.name())),
                user_id: Some(user.to_owned()),
                item_id: video.to_owned(),
                kind: signal.name().to_owned(),
                at: Some(at),
                watch_ms: matches!(signal, Signal::Skip | Signal::View | Signal::Complete).then_some(play_ms),
                ..EventDto::default()
            };
            // Times are the file's own; the far end of "now" keeps them as they are.
            let end = TimestampMs(swipeline_models::time::TIMESTAMP_MS_MAX);
            rows.push(Record::Event(event.into_event(None, end)?));
        }
        Ok(())
    }

    fn item(&self) -> Result<Record, Problem> {
        let words = self.cell("tag").split(',').map(str::trim).filter(|tag| !tag.is_empty());
        let tags: Vec<String> = words.map(|tag| format!("tag:{tag}")).collect();
        let video_type = self.cell("video_type");
        let category = tags
            .first()
            .cloned()
            .or_else(|| (!video_type.is_empty()).then(|| video_type.to_lowercase()));
        let uploaded = self.cell("upload_dt");
        let created_at = match uploaded {
            "" => None,
            day => Some(
                parse_time(day)
                    .map_err(|detail| Problem::new("not_a_time", format!("column `upload_dt`: {detail}")))?,
            ),
        };
        let duration_ms = match self.cell("video_duration") {
            "" => None,
            _ => Some(self.integer("video_duration")?),
        };
        let author = self.id("author_id");
        let item = ItemDto {
            id: self.id("video_id").to_owned(),
            author_id: (!author.is_empty()).then(|| author.to_owned()),
            categories: category.map(|category| vec![category]),
            tags: Some(tags),
            duration_ms,
            created_at,
            attributes: Some(self.attributes(VIDEO_ATTRIBUTES.iter().copied())),
            ..ItemDto::default()
        };
        Ok(Record::Item(item.into_item(TimestampMs(0))?))
    }

    fn user(&self) -> Result<Record, Problem> {
        let others = self
            .table
            .header()
            .iter()
            .map(String::as_str)
            .filter(|column| *column != "user_id");
        let user = UserDto {
            id: self.id("user_id").to_owned(),
            attributes: Some(self.attributes(others)),
            ..UserDto::default()
        };
        Ok(Record::User(user.into_user()?))
    }

    fn attributes<'a>(
        &self,
        columns: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<String, swipeline_models::event::ContextValue> {
        let cells = columns
            .map(|column| (column, self.cell(column)))
            .filter(|(_, cell)| !cell.is_empty());
        cells
            .map(|(column, cell)| (column.to_owned(), value_of(cell.strip_suffix(".0").unwrap_or(cell))))
            .collect()
    }
}

impl Parse for Kuairand {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        let line = match self.table.advance()? {
            Ok(line) => line,
            Err(fault) => return Some(Err(fault)),
        };
        let outcome = match self.entity {
            Entity::Items => self.item().map(|item| rows.push(item)),
            Entity::Users => self.user().map(|user| rows.push(user)),
            Entity::Events => self.events(rows),
        };
        Some(outcome.map(|()| line).map_err(|problem| problem.at(line)))
    }
}
