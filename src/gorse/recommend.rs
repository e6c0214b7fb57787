//! Lists: recommended, alike, newest, popular, for a session.
//!
//! Owns what gorse leaves out of a list (what the user has any feedback on, what is not in all of the categories) and what
//! it falls back to. What is recommended is the engine's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HttpDate, LAST_MODIFIED};
use swipeline_actors::{FeedRequest, Showing};
use swipeline_models::catalogue::ItemFilter;
use swipeline_models::item::Item;
use swipeline_models::wire::FEED_N_MAX;

use super::call::{Answer, Call, Refusal, Score, json};
use super::ledger::Again;
use super::shapes::{GorseFeedback, time_of, time_text};
use super::things::user_id;

/// So many of a session's last good feedbacks are looked at.
const SESSION_CONTEXT_MAX: usize = 100;
/// So many neighbours of each of them.
const SESSION_NEIGHBOURS: usize = 100;
/// So many of a user's last feedbacks tell who is like the user.
const USER_CONTEXT_MAX: usize = 200;
/// So many users of one item are looked at; more say nothing about taste.
const ITEM_USERS_MAX: usize = 2_000;
/// A list that is to be filtered is asked for so much longer.
const FILTER_FACTOR: usize = 8;

/// What a list leaves out.
struct Sieve<'a> {
    categories: Vec<&'a str>,
    /// Items that somebody has done something with.
    known: HashSet<String>,
}

impl Sieve<'_> {
    fn passes(&self, item: &Item) -> bool {
        let in_all = self
            .categories
            .iter()
            .all(|wanted| item.categories.iter().any(|category| category.as_str() == *wanted));
        in_all && !item.hidden && !self.known.contains(item.id.as_str())
    }
}

impl Call<'_> {
    /// What is left out for the categories of the query (and of the path) and for `user`.
    fn sieve<'a>(&'a self, category: Option<&'a str>, user: Option<&str>) -> Result<Sieve<'a>, Refusal> {
        let known = match user {
            Some(user) => self.ledger()?.of_user(user, self.now.0),
            None => Vec::new(),
        };
        Ok(Sieve {
            categories: self.parameters("category").chain(category).collect(),
            known: known.into_iter().map(|(key, _)| key.item.to_string()).collect(),
        })
    }

    /// The part of a list that the query asks for.
    fn part(&self, scores: impl Iterator<Item = Score>) -> Result<Vec<Score>, Refusal> {
        Ok(scores.skip(self.offset()?).take(self.n()?).collect())
    }

    /// How many items to ask for, so that enough pass.
    fn wanted(&self) -> Result<usize, Refusal> {
        Ok(((self.offset()? + self.n()?) * FILTER_FACTOR).clamp(1, FEED_N_MAX))
    }

    fn admitted<'a>(
        &'a self,
        scores: impl Iterator<Item = Score> + 'a,
        sieve: &'a Sieve<'_>,
    ) -> impl Iterator<Item = Score> + 'a {
        scores.filter(|score| self.engine.item(&score.id).is_some_and(|item| sieve.passes(&item)))
    }

    /// `GET /recommend/{user}[/{category}]`: the engine's feed; for whom it knows nothing about, the newest items.
    pub(super) async fn recommend(&self, user: &str, category: Option<&str>) -> Answer {
        let scores = self.recommended(user, category).await?;
        self.write_back(user, &scores).await?;
        if self.wants_scores {
            return json(&scores);
        }
        json(&scores.into_iter().map(|score| score.id).collect::<Vec<_>>())
    }

    /// `GET /collaborative-filtering/{user}[/{category}]`.
    pub(super) async fn collaborative(&self, user: &str, category: Option<&str>) -> Answer {
        let scores = self.recommended(user, category).await?;
        dated(&scores, self.now.0)
    }

    async fn recommended(&self, user: &str, category: Option<&str>) -> Result<Vec<Score>, Refusal> {
        let id = user_id(user)?;
        let sieve = self.sieve(category, Some(user))?;
        let count = self.offset()? + self.n()?;
        // Of somebody who was only registered nothing is known: gorse's clients expect the newest items then.
        let profile = self.engine.profile(&id).await?;
        let is_known =
            !sieve.known.is_empty() || profile.is_some_and(|profile| profile.counts.values().any(|count| *count > 0));
        let mut scores: Vec<Score> = Vec::new();
        if is_known {
            let n = if sieve.categories.is_empty() {
                count.clamp(1, FEED_N_MAX)
            } else {
                self.wanted()?
            };
            let feed = self.engine.feed(FeedRequest {
                showing: Showing::Explicit,
                ..FeedRequest::plain(id, n)
            });
            let items = feed.await?.items.into_iter().map(|item| Score {
                id: item.item_id,
                score: f64::from(item.score),
            });
            scores = self.admitted(items, &sieve).collect();
        }
        if scores.len() < count {
            let given: HashSet<String> = scores.iter().map(|score| score.id.clone()).collect();
            let newest = self.newest(&sieve, count + given.len()).into_iter();
            scores.extend(newest.filter(|score| !given.contains(&score.id)));
        }
        self.part(scores.into_iter())
    }

    /// `write-back-type`: what was recommended counts as this feedback, at once or after `write-back-delay`.
    async fn write_back(&self, user: &str, scores: &[Score]) -> Result<(), Refusal> {
        let Some(kind) = self.parameter("write-back-type") else {
            return Ok(());
        };
        let delay = self
            .parameter("write-back-delay")
            .map(parse_duration)
            .transpose()
            .map_err(Refusal::bad)?;
        let delay_ms = delay.map_or(0, |delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        let at = time_text(self.now.0.saturating_add(delay_ms));
        let feedback = |score: &Score| GorseFeedback {
            feedback_type: kind.to_owned(),
            user_id: user.to_owned(),
            item_id: score.id.clone(),
            timestamp: at.clone(),
            ..GorseFeedback::default()
        };
        let feedbacks: Vec<GorseFeedback> = scores.iter().map(feedback).collect();
        if delay_ms == 0 {
            return self.give(&feedbacks, Again::Adds).await.map(drop);
        }
        // It is known from its time on, and teaches nothing: nobody knows yet whether it will have been read.
        let kept = feedbacks
            .iter()
            .map(|feedback| self.kept(feedback))
            .collect::<Result<_, _>>()?;
        Ok(self.ledger()?.put(kept, Again::Adds)?)
    }

    /// `GET /latest[/{category}]`.
    pub(super) fn latest(&self, category: Option<&str>) -> Answer {
        let sieve = self.sieve(category, self.parameter("user-id"))?;
        let newest = self.newest(&sieve, self.offset()? + self.n()?);
        json(&self.part(newest.into_iter())?)
    }

    fn newest(&self, sieve: &Sieve<'_>, count: usize) -> Vec<Score> {
        // The engine's own list is as long as it is asked for; only what the sieve takes out makes it longer than needed.
        let asked = count + sieve.known.len();
        let asked = if sieve.categories.is_empty() {
            asked
        } else {
            asked.saturating_mul(FILTER_FACTOR)
        };
        let first = sieve.categories.first().copied();
        let found = self
            .engine
            .latest(asked, &ItemFilter::of_category(first), None)
            .items
            .into_iter();
        let scored = found.filter_map(|listed| {
            let item = self.engine.item(&listed.item_id).filter(|item| sieve.passes(item))?;
            Some(Score {
                score: seconds_of(&item),
                id: listed.item_id,
            })
        });
        let mut scored: Vec<Score> = scored.collect();
        scored.sort_by(|one, other| other.score.total_cmp(&one.score));
        scored.truncate(count);
        scored
    }

    /// `GET /non-personalized/{name}`, and `GET /popular` of older clients.
    pub(super) fn non_personalized(&self, name: &str, category: Option<&str>) -> Answer {
        let sieve = self.sieve(category, self.parameter("user-id"))?;
        let scores = match name {
            "latest" => self.newest(&sieve, self.offset()? + self.n()?),
            "popular" => self.popular(&sieve)?,
            _ => {
                return Err(Refusal::not_found(format!(
                    "non-personalized recommender {name} not found"
                )));
            }
        };
        dated(&self.part(scores.into_iter())?, self.now.0)
    }

    /// By what the last week liked; behind it, so that a young server has a list too, by the number of good feedbacks.
    fn popular(&self, sieve: &Sieve<'_>) -> Result<Vec<Score>, Refusal> {
        let category = sieve.categories.first().map(|category| &**category);
        let reply = self.engine.popular_of_week(self.wanted()?, category);
        let scores = reply.items.iter().map(|item| Score {
            id: item.item_id.clone(),
            score: f64::from(item.score),
        });
        Ok(self.admitted(scores, sieve).collect())
    }

    /// `GET /item/{id}/neighbors[/{category}]`, `GET /item-to-item/{name}/{id}`.
    pub(super) fn alike(&self, item: &str, category: Option<&str>) -> Answer {
        let sieve = self.sieve(category, self.parameter("user-id"))?;
        let Some(reply) = self.engine.similar(item, self.wanted()?, &ItemFilter::default()) else {
            return Err(Refusal::not_found("item not found"));
        };
        let scores = reply.items.iter().map(|alike| Score {
            id: alike.item_id.clone(),
            score: f64::from(alike.score),
        });
        json(&self.part(self.admitted(scores, &sieve))?)
    }

    /// `GET /user/{id}/neighbors`, `GET /user-to-user/{name}/{id}`: who did something with the same items, the fewer
    /// items each has, the nearer (cosine of the sets).
    pub(super) fn neighbours(&self, user: &str) -> Answer {
        let ledger = self.ledger()?;
        let items_of = |user: &str| -> HashSet<String> {
            let kept = ledger.of_user(user, self.now.0).into_iter();
            kept.map(|(key, _)| key.item.to_string()).collect()
        };
        let mut mine = ledger.of_user(user, self.now.0);
        mine.sort_by_key(|(_, body)| std::cmp::Reverse(body.at));
        let own: HashSet<String> = mine
            .iter()
            .take(USER_CONTEXT_MAX)
            .map(|(key, _)| key.item.to_string())
            .collect();
        let mut together: HashMap<String, usize> = HashMap::new();
        for item in &own {
            let others: HashSet<String> = ledger
                .of_item(item, self.now.0)
                .into_iter()
                .map(|(key, _)| key.user.to_string())
                .collect();
            if others.len() <= ITEM_USERS_MAX {
                others
                    .into_iter()
                    .filter(|other| other != user)
                    .for_each(|other| *together.entry(other).or_default() += 1);
            }
        }
        let cosine = |(other, common): (String, usize)| {
            let size = (own.len() * items_of(&other).len()).max(1) as f64;
            Score {
                score: common as f64 / size.sqrt(),
                id: other,
            }
        };
        let mut scores: Vec<Score> = together.into_iter().map(cosine).collect();
        scores.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.id.cmp(&other.id)));
        json(&self.part(scores.into_iter())?)
    }

    /// `POST /session/recommend[/{category}]`: what is like the good feedbacks of a session, by the sum of the likenesses.
    pub(super) fn session(&self, mut feedbacks: Vec<GorseFeedback>, category: Option<&str>) -> Answer {
        let mut sieve = self.sieve(category, None)?;
        sieve.known = feedbacks.iter().map(|feedback| feedback.item_id.clone()).collect();
        feedbacks.retain(|feedback| self.door.rules.is_positive(&feedback.feedback_type, feedback.value));
        let at = |feedback: &GorseFeedback| time_of(&feedback.timestamp).ok().flatten().unwrap_or(0);
        feedbacks.sort_by_key(|feedback| std::cmp::Reverse(at(feedback)));
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for feedback in feedbacks.iter().take(SESSION_CONTEXT_MAX) {
            let reply = self
                .engine
                .similar(&feedback.item_id, SESSION_NEIGHBOURS, &ItemFilter::default())
                .unwrap_or_default();
            for alike in reply.items {
                *sums.entry(alike.item_id).or_default() += f64::from(alike.score);
            }
        }
        let mut scores: Vec<Score> = sums.into_iter().map(|(id, score)| Score { id, score }).collect();
        scores.sort_by(|one, other| other.score.total_cmp(&one.score));
        json(&self.part(self.admitted(scores.into_iter(), &sieve))?)
    }
}

/// The time of an item in seconds since 1970, as the score of a newest-first list.
fn seconds_of(item: &Item) -> f64 {
    let said = super::shapes::GorseItem::of(item).timestamp;
    let ms = time_of(&said).ok().flatten().unwrap_or(0);
    ms.div_euclid(1_000) as f64
}

/// A list with the time at which it was made.
fn dated(scores: &[Score], now_ms: i64) -> Answer {
    let made = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    Ok(HttpResponse::Ok()
        .insert_header((LAST_MODIFIED, HttpDate::from(made)))
        .json(scores))
}

/// A duration as Go writes it: `10m`, `1h30m`, `1.5s`, `100ms`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 10m or 1h30m");
    let mut seconds = 0.0;
    let mut rest = text;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    while !rest.is_empty() {
        let end = rest
            .find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit_end = rest[end..]
            .find(|symbol: char| symbol.is_ascii_digit() || symbol == '.')
            .map_or(rest.len(), |length| end + length);
        seconds += number
            * match &rest[end..unit_end] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|_| !text.is_empty())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for text in ["", "10", "m", "10 m", "1d", "-1s", "1..5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
