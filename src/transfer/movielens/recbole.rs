//! recbole's atomic files: tab-separated, a header of `name:type`, lists separated by spaces.
//!
//! Owns the names of their columns. Must not know the classic forms.

use std::collections::BTreeMap;
use std::path::Path;

use swipeline_models::wire::UserDto;

use super::super::fields::value_of;
use super::super::lines::Lines;
use super::super::{Entity, Fault, OpenError, Parse, Problem, Record, not_this_format};
use super::{film, other_entity, rating};

/// The names under which data sets keep their genres.
const GENRE_COLUMNS: [&str; 4] = ["class", "genre", "genres", "categories"];
/// The names under which data sets keep who did something.
const VIEWER_COLUMNS: [&str; 2] = ["user_id", "session_id"];
/// The names under which data sets keep their titles.
const TITLE_COLUMNS: [&str; 2] = ["movie_title", "title"];

/// Reads an atomic file.
pub(super) struct Recbole {
    lines: Lines,
    header: Vec<String>,
    entity: Entity,
}

impl Recbole {
    /// Checks the header `head`, which has been read from `lines`.
    pub(super) fn open(lines: Lines, head: &str, entity: Entity, path: &Path) -> Result<Recbole, OpenError> {
        let names = head
            .split('\t')
            .map(|column| column.split(':').next().unwrap_or(column).to_owned());
        let header: Vec<String> = names.collect();
        let has = |name: &str| header.iter().any(|column| column == name);
        // In data sets of sessions nobody has a name: a session is a viewer.
        let has_viewer = has("user_id") || has("session_id");
        let found = match (has_viewer, has("item_id")) {
            (true, true) => Entity::Events,
            (false, true) if has("timestamp") => {
                return Err(not_this_format(
                    path,
                    "holds events of nobody: it has no `user_id` and no `session_id`",
                ));
            }
            (false, true) => Entity::Items,
            (true, false) => Entity::Users,
            (false, false) => {
                return Err(not_this_format(
                    path,
                    "the header has neither a `user_id` nor an `item_id` column",
                ));
            }
        };
        if found != entity {
            return Err(other_entity(path, found, entity));
        }
        let needed: &[&str] = if entity == Entity::Events { &["timestamp"] } else { &[] };
        match needed.iter().find(|name| !has(name)) {
            Some(missing) => Err(not_this_format(path, format!("the header has no `{missing}` column"))),
            None => Ok(Recbole { lines, header, entity }),
        }
    }

    fn record(&self) -> Result<Record, Problem> {
        let text = self.lines.text_or_latin1();
        let cells: Vec<&str> = text.split('\t').collect();
        if cells.len() != self.header.len() {
            let detail = format!("has {} columns, the header has {}", cells.len(), self.header.len());
            return Err(Problem::new("column_count", detail));
        }
        let cell = |name: &str| {
            self.header
                .iter()
                .position(|column| column == name)
                .and_then(|place| cells.get(place))
                .copied()
                .unwrap_or("")
        };
        let first_of = |names: &[&str]| {
            names
                .iter()
                .map(|name| cell(name))
                .find(|text| !text.is_empty())
                .unwrap_or("")
        };
        match self.entity {
            Entity::Events => {
                let has_rating = self.header.iter().any(|column| column == "rating");
                let stars = has_rating.then(|| cell("rating"));
                rating(first_of(&VIEWER_COLUMNS), cell("item_id"), stars, cell("timestamp"))
            }
            Entity::Items => {
                let year = Some(cell("release_year")).filter(|year| !year.is_empty());
                film(
                    cell("item_id"),
                    first_of(&TITLE_COLUMNS),
                    year,
                    first_of(&GENRE_COLUMNS).split(' '),
                )
            }
            Entity::Users => {
                let others = self
                    .header
                    .iter()
                    .zip(&cells)
                    .filter(|(name, text)| *name != "user_id" && !text.is_empty());
                let attributes: BTreeMap<_, _> = others.map(|(name, text)| (name.clone(), value_of(text))).collect();
                let user = UserDto {
                    id: cell("user_id").to_owned(),
                    attributes: Some(attributes),
                    ..UserDto::default()
                };
                Ok(Record::User(user.into_user()?))
            }
        }
    }
}

impl Parse for Recbole {
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
