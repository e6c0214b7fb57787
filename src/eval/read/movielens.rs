//! Ratings of MovieLens in all its forms: recbole's `.inter`, `u.data`, `ratings.dat`, `ratings.csv`.
//!
//! Owns the recognition of the form by the first line. Unlike an import it keeps the stars, which protocols judge by.

use std::path::Path;

use super::{Ids, ReadError, at_fault, at_line, empty, for_each_line, id, items, open_lines, seconds_as_ms};
use crate::eval::log::{Catalogue, Interaction, InteractionLog};

/// The stars of an event in a log without ratings: it is a like.
const STARS_WITHOUT_RATING: f32 = 5.0;

/// Where the columns stand.
struct Columns {
    separator: &'static str,
    count: usize,
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: usize,
}

/// Reads ratings, and the items beside the file where there are any.
///
/// # Errors
/// The file cannot be read, is of another form, or has a bad line.
pub(crate) fn read(path: &Path) -> Result<InteractionLog, ReadError> {
    let mut lines = open_lines(path)?;
    let first = lines
        .advance_past_blank()
        .ok_or_else(|| empty(path, "no ratings in it"))?;
    let first = first.map_err(|fault| at_fault(path, &fault))?;
    let head = lines.text_or_latin1().into_owned();
    let (columns, has_header) = recognise(&head).map_err(|detail| at_line(path, first, detail))?;
    if !has_header {
        lines.give_back();
    }
    let (mut users, mut names) = (Ids::default(), Ids::default());
    let mut interactions = Vec::new();
    for_each_line(path, &mut lines, |_, text| {
        interactions.push(rating(text, &columns, &mut users, &mut names)?);
        Ok(())
    })?;
    if interactions.is_empty() {
        return Err(empty(path, "no ratings in it"));
    }
    let facts = items::beside(path, &names)?;
    Ok(InteractionLog {
        catalogue: Catalogue {
            user_ids: users.into_ids(),
            item_ids: names.into_ids(),
            items: facts,
        },
        interactions,
    })
}

fn recognise(head: &str) -> Result<(Columns, bool), String> {
    if head.contains(":token") {
        return named(head, "\t", ["user_id", "item_id", "rating", "timestamp"]).map(|columns| (columns, true));
    }
    if head.starts_with("userId,") {
        return named(head, ",", ["userId", "movieId", "rating", "timestamp"]).map(|columns| (columns, true));
    }
    let separator = if head.contains("::") { "::" } else { "\t" };
    if head.split(separator).count() != 4 {
        return Err("the first line belongs to no known form of MovieLens' ratings".to_owned());
    }
    let columns = Columns {
        separator,
        count: 4,
        user: 0,
        item: 1,
        rating: Some(2),
        time: 3,
    };
    Ok((columns, false))
}

fn named(head: &str, separator: &'static str, names: [&str; 4]) -> Result<Columns, String> {
    let header: Vec<&str> = head
        .split(separator)
        .map(|column| column.split(':').next().unwrap_or(column).trim())
        .collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let needed = |name: &str| place(name).ok_or_else(|| format!("the header has no column `{name}`"));
    Ok(Columns {
        separator,
        count: header.len(),
        user: needed(names[0])?,
        item: needed(names[1])?,
        rating: place(names[2]),
        time: needed(names[3])?,
    })
}

fn rating(text: &str, columns: &Columns, users: &mut Ids, names: &mut Ids) -> Result<Interaction, String> {
    let cells: Vec<&str> = text.split(columns.separator).collect();
    if cells.len() != columns.count {
        return Err(format!("has {} columns instead of {}", cells.len(), columns.count));
    }
    let value = match columns.rating.map(|place| cells[place].trim()) {
        None => STARS_WITHOUT_RATING,
        Some(stars) => {
            let parsed = stars.parse::<f32>().ok().filter(|stars| stars.is_finite());
            parsed.ok_or_else(|| format!("the rating {stars:?} is not a number"))?
        }
    };
    Ok(Interaction {
        user: users.number(id(cells[columns.user])?),
        item: names.number(id(cells[columns.item])?),
        at_ms: seconds_as_ms(cells[columns.time])?,
        value,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_text(text: &str) -> Result<InteractionLog, ReadError> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        read(file.path())
    }

    #[test]
    fn the_same_rating_reads_the_same_in_all_forms() {
        let expected = Interaction {
            user: 0,
            item: 0,
            at_ms: 881_250_949_000,
            value: 3.0,
        };
        for text in [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
            "item_id:token\tuser_id:token\ttimestamp:float\trating:float\n242\t196\t881250949.0\t3\n",
            "196\t242\t3\t881250949\n",
            "196::242::3::881250949\r\n",
            "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n",
        ] {
            let log = read_text(text).expect(text);
            assert_eq!(log.interactions, [expected], "{text}");
            assert_eq!(
                (&log.catalogue.user_ids[0][..], &log.catalogue.item_ids[0][..]),
                ("196", "242")
            );
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, said) in [
            ("1\t2\t3\t4\n1\t2\tmany\t4\n", ":2: the rating \"many\""),
            ("1\t2\t3\t4\n\n1\t2\t3\n", ":3: has 3 columns"),
            ("1\t2\t3\tlater\n", ":1: \"later\" is not a time"),
            ("1 2 3 4\n", ":1: the first line belongs to no known form"),
            (
                "user_id:token\titem_id:token\n1\t2\n",
                ":1: the header has no column `timestamp`",
            ),
            ("", "no ratings in it"),
        ] {
            let error = read_text(text).expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
