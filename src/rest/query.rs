//! Query strings: parameters by name, each checked. Unknown ones are `known`'s business.

use actix_web::{HttpRequest, web};
use swipeline_models::catalogue::ItemFilter;
use swipeline_models::ids::ItemId;
use swipeline_models::wire::{FEED_N_DEFAULT, FEED_N_MAX, FieldError};

use super::problem::Problem;

/// The most ids in `exclude`.
pub(crate) const EXCLUDE_MAX: usize = 1_000;
/// Parameters that are lists: each may be given several times, and with commas.
const LISTS: [&str; 2] = ["exclude", "variant"];
/// Parameters that may be given several times, one name each: names may have commas.
const NAMES: [&str; 3] = ["category", "tag", "author"];
/// The most names of one kind.
const NAMES_MAX: usize = 100;

/// The parameters of a query string, each name once.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query string. A list that is given several times is one list; any other name stands once, or which value
    /// is meant would be a guess.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|error| Problem::malformed(format!("the query cannot be read: {error}")))?;
        let mut merged: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs.into_inner() {
            if NAMES.contains(&name.as_str()) {
                merged.push((name, value));
                continue;
            }
            let Some((_, known)) = merged.iter_mut().find(|(known, _)| *known == name) else {
                merged.push((name, value));
                continue;
            };
            if LISTS.contains(&name.as_str()) {
                known.push(',');
                known.push_str(&value);
            } else if *known != value {
                let detail = format!("is given twice, as {known:?} and as {value:?}");
                return Err(Problem::rule(&name, "repeated", detail));
            }
        }
        Ok(Self(merged))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names that are given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A text; absent when empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text| !text.is_empty())
    }

    /// A short text that keeps the rules of ids; absent when empty.
    pub(crate) fn name(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        swipeline_models::ids::validate_id(text).map_err(|error| Problem::rule(name, "invalid", error.to_string()))?;
        Ok(Some(text.to_owned()))
    }

    /// Names that may be given several times; empty ones do not count.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let given = self
            .0
            .iter()
            .filter(|(known, value)| known == name && !value.is_empty());
        given.map(|(_, value)| value.clone()).collect()
    }

    /// `n`: 1 to [`FEED_N_MAX`], [`FEED_N_DEFAULT`] when left out.
    pub(crate) fn n(&self) -> Result<usize, Problem> {
        Ok(self.given_n()?.unwrap_or(FEED_N_DEFAULT))
    }

    /// `n`, when it is given.
    pub(crate) fn given_n(&self) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get("n") else { return Ok(None) };
        text.parse()
            .ok()
            .filter(|n| (1..=FEED_N_MAX).contains(n))
            .map(Some)
            .ok_or_else(|| {
                Problem::rule(
                    "n",
                    "out_of_range",
                    format!("must be an integer between 1 and {FEED_N_MAX}, is {text:?}"),
                )
            })
    }

    /// `true` or `false`; false when left out.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Problem::rule(
                name,
                "not_a_flag",
                format!("must be true or false, is {other:?}"),
            )),
        }
    }

    /// A length of time such as `30m`, in milliseconds; absent when left out.
    pub(crate) fn length_ms(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let length_ms = swipeline_models::time::parse_length_ms(text).ok_or_else(|| {
            let detail = format!("must be a length of time such as 30m, 3h or 7d, is {text:?}");
            Problem::rule(name, "not_a_length", detail)
        })?;
        Ok(Some(length_ms))
    }

    /// One of some words; the first one when left out.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
        let given = self
            .text(name)
            .unwrap_or_else(|| choices.first().map_or("", |(word, _)| word));
        choices
            .iter()
            .find(|(word, _)| *word == given)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Problem::rule(
                    name,
                    "unknown_value",
                    format!("must be one of {}, is {given:?}", words.join(", ")),
                )
            })
    }

    /// `category`, `tag` and `author`: what is wanted of items.
    pub(crate) fn items_wanted(&self) -> Result<ItemFilter, Problem> {
        checked_filter(ItemFilter {
            categories: self.names("category"),
            tags: self.names("tag"),
            authors: self.names("author"),
            ..ItemFilter::default()
        })
    }

    /// `exclude`: item ids, split by commas; spaces around a comma are not part of an id.
    pub(crate) fn exclude(&self) -> Result<Vec<ItemId>, Problem> {
        let Some(text) = self.text("exclude") else {
            return Ok(Vec::new());
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.len() > EXCLUDE_MAX {
            return Err(Problem::rule(
                "exclude",
                "too_many",
                format!("may name at most {EXCLUDE_MAX} items"),
            ));
        }
        let check = |(index, part): (usize, &&str)| {
            ItemId::new(part)
                .map_err(|error| FieldError::new(format!("exclude[{index}]"), "invalid_id", error.to_string()))
        };
        parts
            .iter()
            .enumerate()
            .map(check)
            .collect::<Result<_, _>>()
            .map_err(|error| Problem::rules(vec![error]))
    }
}

/// Checks the names of a filter.
pub(crate) fn checked_filter(filter: ItemFilter) -> Result<ItemFilter, Problem> {
    let mut errors = Vec::new();
    for (kind, names) in [
        ("category", &filter.categories),
        ("tag", &filter.tags),
        ("author", &filter.authors),
    ] {
        if names.len() > NAMES_MAX {
            let detail = format!("may have at most {NAMES_MAX} names");
            errors.push(FieldError::new(kind, "too_many", detail));
        }
        for name in names {
            if let Err(error) = swipeline_models::ids::validate_id(name) {
                errors.push(FieldError::new(kind, "invalid", error.to_string()));
            }
        }
    }
    if errors.is_empty() {
        Ok(filter)
    } else {
        Err(Problem::rules(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    fn query(text: &str) -> Query {
        Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request()).expect("a query")
    }

    #[test]
    fn n_is_one_to_five_hundred() {
        assert_eq!(query("").n().expect("default"), 10);
        assert_eq!(query("n=500").n().expect("valid"), 500);
        for bad in ["n=0", "n=501", "n=x", "n=", "n=-1", "n=1.5", "n=99999999999999999999"] {
            let problem = query(bad).n().expect_err("bad");
            assert_eq!(problem.status_code().as_u16(), 422, "{bad}");
            assert_eq!(problem.to_dto(None).errors[0].field.as_deref(), Some("n"), "{bad}");
        }
    }

    #[test]
    fn words_are_taken_or_named() {
        let windows = [("1h", 1), ("24h", 24)];
        assert_eq!(query("").choice("window", &windows).expect("default"), 1);
        assert_eq!(query("window=24h").choice("window", &windows).expect("valid"), 24);
        assert!(query("window=2h").choice("window", &windows).is_err());
        assert!(query("explain=true").flag("explain").expect("a flag"));
        assert!(query("explain=maybe").flag("explain").is_err());
        assert_eq!(query("exclude=a,%C3%A9,,b").exclude().expect("ids").len(), 3);
        assert!(query("exclude=a%00").exclude().is_err());
    }

    #[test]
    fn a_list_may_be_given_in_parts_and_anything_else_once() {
        let ids = |text: &str| {
            let ids = query(text).exclude().expect("ids");
            ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids("exclude=a&exclude=b&n=1&exclude=c,d"), ["a", "b", "c", "d"]);
        assert_eq!(ids("exclude=a,%20b&exclude=+c+"), ["a", "b", "c"]);
        assert_eq!(query("variant=x:a&variant=y:b").text("variant"), Some("x:a,y:b"));
        assert_eq!(query("n=5&n=5").n().expect("the same"), 5);
        let problem = Query::of(&TestRequest::with_uri("/?n=5&n=6").to_http_request())
            .err()
            .expect("which?");
        assert_eq!(problem.status_code().as_u16(), 422);
        assert_eq!(problem.to_dto(None).errors[0].field.as_deref(), Some("n"));
    }
}
