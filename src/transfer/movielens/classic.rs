//! The forms in which GroupLens itself gives MovieLens away: `u.data`, `u.item`, `u.user` (100K), `*.dat` with `::`
//! (1M, 10M) and `ratings.csv`, `movies.csv` (20M and later).
//!
//! Owns their separators and the order of their columns. Must not know recbole's form.

use std::collections::BTreeMap;
use std::path::Path;

use swipeline_models::wire::UserDto;

use super::super::fields::{value_of, without_zero_fraction};
use super::super::lines::Lines;
use super::super::table::Table;
use super::super::{Entity, Fault, OpenError, Parse, Problem, Record, head_fault, not_this_format};
use super::{film, other_entity, rating, split_year};

/// The genres of `u.item`, in the order of its flags.
const GENRES_100K: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];
/// The place of the first genre flag in `u.item`.
const GENRES_START: usize = 5;

/// What a file without a header holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// user, item, rating, seconds.
    Ratings,
    /// id, title, release date, video date, URL, 19 flags.
    FlaggedFilms,
    /// id, title, genres with `|` between them.
    Films,
    /// id, age, gender, occupation, zip code.
    Users100k,
    /// id, gender, age, occupation, zip code.
    Users1m,
}

/// Reads a file without a header.
pub(super) struct Classic {
    lines: Lines,
    separator: &'static str,
    layout: Layout,
    columns: usize,
}

impl Classic {
    /// Knows the layout by the first line, `head`.
    pub(super) fn open(lines: Lines, head: &str, entity: Entity, path: &Path) -> Result<Classic, OpenError> {
        let separator = ["::", "\t", "|"]
            .into_iter()
            .find(|separator| head.contains(separator))
            .unwrap_or("\t");
        let cells: Vec<&str> = head.split(separator).collect();
        let numeric = |place: usize| cells.get(place).is_some_and(|cell| cell.parse::<f64>().is_ok());
        let (layout, found) = match (separator, cells.len()) {
            ("::" | "\t", 4) if numeric(2) && numeric(3) => (Layout::Ratings, Entity::Events),
            ("::", 3) => (Layout::Films, Entity::Items),
            ("::", 5) => (Layout::Users1m, Entity::Users),
            ("|", 24) => (Layout::FlaggedFilms, Entity::Items),
            ("|", 5) => (Layout::Users100k, Entity::Users),
            _ => {
                return Err(not_this_format(
                    path,
                    "the first line belongs to no known form of MovieLens",
                ));
            }
        };
        if found != entity {
            return Err(other_entity(path, found, entity));
        }
        Ok(Classic {
            lines,
            separator,
            layout,
            columns: cells.len(),
        })
    }

    fn record(&self) -> Result<Record, Problem> {
        let text = self.lines.text_or_latin1();
        let cells: Vec<&str> = text.split(self.separator).collect();
        if cells.len() != self.columns {
            let detail = format!("has {} columns instead of {}", cells.len(), self.columns);
            return Err(Problem::new("column_count", detail));
        }
        match self.layout {
            Layout::Ratings => rating(cells[0], cells[1], Some(cells[2]), cells[3]),
            Layout::Films => {
                let (title, year) = split_year(cells[1]);
                film(cells[0], title, year, cells[2].split('|'))
            }
            Layout::FlaggedFilms => {
                let (title, year_in_title) = split_year(cells[1]);
                // "01-Jan-1995": the year is what the other forms have, too.
                let year = cells[2]
                    .rsplit('-')
                    .next()
                    .filter(|year| year.len() == 4)
                    .or(year_in_title);
                let flags = cells[GENRES_START..].iter().zip(GENRES_100K);
                film(
                    cells[0],
                    title,
                    year,
                    flags.filter(|(flag, _)| **flag == "1").map(|(_, genre)| genre),
                )
            }
            Layout::Users100k => user(cells[0], &["age", "gender", "occupation", "zip_code"], &cells[1..]),
            Layout::Users1m => user(cells[0], &["gender", "age", "occupation", "zip_code"], &cells[1..]),
        }
    }
}

impl Parse for Classic {
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

/// Reads `ratings.csv` and `movies.csv`.
pub(super) struct Columns {
    table: Table,
    entity: Entity,
}

impl Columns {
    /// Reads and checks the header.
    pub(super) fn open(lines: Lines, entity: Entity, path: &Path) -> Result<Columns, OpenError> {
        let table = Table::open(lines).map_err(|fault| head_fault(path, fault))?;
        let has = |names: &[&str]| names.iter().all(|name| table.column(name).is_some());
        let found = if has(&["userId", "movieId", "rating", "timestamp"]) {
            Entity::Events
        } else if has(&["movieId", "title", "genres"]) {
            Entity::Items
        } else {
            return Err(not_this_format(
                path,
                "is neither MovieLens' ratings.csv nor its movies.csv",
            ));
        };
        if found != entity {
            return Err(other_entity(path, found, entity));
        }
        Ok(Columns { table, entity })
    }

    fn record(&self) -> Result<Record, Problem> {
        let cell = |name: &str| self.table.column(name).map_or("", |place| self.table.cell(place));
        if self.entity == Entity::Events {
            return rating(cell("userId"), cell("movieId"), Some(cell("rating")), cell("timestamp"));
        }
        let (title, year) = split_year(cell("title"));
        let id = without_zero_fraction(cell("movieId").trim());
        film(id, title, year, cell("genres").split('|'))
    }
}

impl Parse for Columns {
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

fn user(id: &str, names: &[&str], cells: &[&str]) -> Result<Record, Problem> {
    let known = names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    let attributes: BTreeMap<_, _> = known.map(|(name, cell)| ((*name).to_owned(), value_of(cell))).collect();
    let user = UserDto {
        id: id.to_owned(),
        attributes: Some(attributes),
        ..UserDto::default()
    };
    Ok(Record::User(user.into_user()?))
}
