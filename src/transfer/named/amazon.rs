//! Amazon reviews of 2014, 2018 and 2023: reviews as JSON lines, ratings as CSV, products as JSON lines.
//!
//! Owns the names under which the three releases keep the same thing. 4 stars or more are a like, less than 3 a dislike,
//! in between a view.

use std::path::Path;

use serde_json::{Map, Value};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ItemDto;

use super::super::jsonl::object;
use super::super::lines::Lines;
use super::super::table::{Dialect, Table};
use super::super::{Fault, OpenError, Parse, Problem, Record, RecordReader, Rows, head_fault, not_this_format};
use super::{event, signal_of_stars, stars, time};

const USER_NAMES: [&str; 2] = ["user_id", "reviewerID"];
const ITEM_NAMES: [&str; 2] = ["parent_asin", "asin"];
const STARS_NAMES: [&str; 2] = ["rating", "overall"];
const TIME_NAMES: [&str; 2] = ["timestamp", "unixReviewTime"];
const AUTHOR_NAMES: [&str; 2] = ["store", "brand"];
/// The most categories of a product that are kept; the last ones say nothing new.
const CATEGORIES_MAX: usize = 8;

/// Opens reviews (JSON lines) or ratings (CSV); the first line says which.
pub(super) fn reviews(mut lines: Lines, path: &Path) -> Result<RecordReader, OpenError> {
    match lines.advance_past_blank() {
        None => return Err(not_this_format(path, "the file is empty")),
        Some(outcome) => outcome.map_err(|fault| head_fault(path, fault))?,
    };
    let head = lines.text_or_latin1().into_owned();
    lines.give_back();
    if head.trim_start().starts_with('{') {
        return Ok(Box::new(Rows::new(Reviews { lines })));
    }
    Ok(Box::new(Rows::new(Ratings::open(lines, &head, path)?)))
}

struct Reviews {
    lines: Lines,
}

impl Parse for Reviews {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.lines.advance_past_blank()?.and_then(|line| {
            let record = self.lines.text().and_then(object).and_then(|review| {
                let cell = |names: [&str; 2]| word(&review, names).unwrap_or_default();
                let at = time(TIME_NAMES[0], &cell(TIME_NAMES))?;
                let signal = signal_of_stars(stars(STARS_NAMES[0], &cell(STARS_NAMES))?);
                event("az", &cell(USER_NAMES), &cell(ITEM_NAMES), signal, at)
            });
            rows.push(record.map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}

/// Ratings: `user_id,parent_asin,rating,timestamp` with a header (2023), or four columns without (2014: user first, 2018:
/// product first).
struct Ratings {
    table: Table,
    /// The places of user, product, stars and time.
    places: [usize; 4],
}

impl Ratings {
    fn open(lines: Lines, head: &str, path: &Path) -> Result<Self, OpenError> {
        let has_header = ITEM_NAMES.iter().any(|name| head.contains(name));
        let dialect = Dialect {
            has_header,
            ..Dialect::default()
        };
        let table = Table::open_as(lines, dialect).map_err(|fault| head_fault(path, fault))?;
        let unknown = || not_this_format(path, "is neither reviews nor ratings of Amazon");
        let places = if has_header {
            let place = |names: [&str; 2]| names.iter().find_map(|name| table.column(name)).ok_or_else(unknown);
            [
                place(USER_NAMES)?,
                place(ITEM_NAMES)?,
                place(STARS_NAMES)?,
                place(TIME_NAMES)?,
            ]
        } else {
            match (
                table.header().len(),
                is_product(table.cell(0)),
                is_product(table.cell(1)),
            ) {
                (4, false, true) => [0, 1, 2, 3],
                (4, true, false) => [1, 0, 2, 3],
                _ => return Err(unknown()),
            }
        };
        Ok(Self { table, places })
    }

    fn record(&self) -> Result<Record, Problem> {
        let [user, item, rating, at] = self.places.map(|place| self.table.cell(place).trim());
        let signal = signal_of_stars(stars(STARS_NAMES[0], rating)?);
        event("az", user, item, signal, time(TIME_NAMES[0], at)?)
    }
}

impl Parse for Ratings {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.table.advance()?.and_then(|line| {
            rows.push(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}

/// Ten characters: `B0` and more, or an ISBN.
fn is_product(text: &str) -> bool {
    let isbn = |text: &str| text[..9].bytes().all(|byte| byte.is_ascii_digit());
    text.len() == 10 && text.is_ascii() && (text.starts_with('B') || isbn(text))
}

/// Reads products: `asin,title,brand,category` (2018) or `parent_asin,title,store,main_category,categories` (2023).
pub(super) struct Products {
    lines: Lines,
    now: TimestampMs,
}

impl Products {
    /// Reads products from `lines`; `now` is when they were made, for the data set does not say.
    pub(super) fn new(lines: Lines, now: TimestampMs) -> Self {
        Self { lines, now }
    }

    fn record(&self) -> Result<Record, Problem> {
        let text = self.lines.text()?;
        let product = object(text).map_err(|problem| {
            // The release of 2014 wrote Python's dictionaries.
            let hint = if text.starts_with("{'") {
                "; single quotes are not JSON"
            } else {
                ""
            };
            Problem {
                detail: format!("{}{hint}", problem.detail),
                ..problem
            }
        })?;
        let mut categories: Vec<String> = word(&product, ["main_category", "main_cat"]).into_iter().collect();
        let lists = ["categories", "category"]
            .iter()
            .filter_map(|name| product.get(*name)?.as_array());
        for category in lists.flatten().filter_map(Value::as_str).map(str::trim) {
            let is_new =
                !category.is_empty() && category.len() <= 100 && !categories.iter().any(|known| known == category);
            if is_new && categories.len() < CATEGORIES_MAX {
                categories.push(category.to_owned());
            }
        }
        let dto = ItemDto {
            id: word(&product, ITEM_NAMES).unwrap_or_default(),
            title: word(&product, ["title", "name"]).map(|title| title[..title.floor_char_boundary(500)].to_owned()),
            author_id: word(&product, AUTHOR_NAMES).filter(|author| author.len() <= 256),
            tags: Some(categories.clone()),
            categories: Some(categories),
            ..ItemDto::default()
        };
        Ok(Record::Item(dto.into_item(self.now)?))
    }
}

impl Parse for Products {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.lines.advance_past_blank()?.and_then(|line| {
            rows.push(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}

/// The first of the values under these names that is a text or a number.
fn word(object: &Map<String, Value>, names: [&str; 2]) -> Option<String> {
    names.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}
