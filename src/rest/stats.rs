//! `GET /v1/stats`: what the feeds achieve.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_models::effect::{Dimension, Filter, Question, StatsWindow};
use swipeline_models::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use swipeline_models::wire::StatsReply;

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;

/// The steps of a series; the first one is none.
const INTERVALS: [(&str, Option<i64>); 5] = [
    ("", None),
    ("5s", Some(5_000)),
    ("1m", Some(MINUTE_MS)),
    ("1h", Some(HOUR_MS)),
    ("1d", Some(DAY_MS)),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/v1/stats", get_stats)]
}

/// What the feeds achieve
///
/// Impressions, views, likes, skips, completion, watch time and rates; in total, per recall channel, per variant, and by any
/// combination of `channel`, `category`, `variant`, `position` and `region`. Kept for 30 days, over restarts.
#[utoipa::path(get, path = "/v1/stats", tag = "operations",
    params(
        ("window" = Option<String>, Query, description = "Any length from `5s` to `30d`, such as `30m` or `3h`; `5m` when left out. Rounded up to whole steps of 5 s (up to 5 minutes), 1 minute (up to 2 hours), 1 hour (up to 7 days) or 1 day", example = "1h"),
        ("group_by" = Option<String>, Query, description = "Some of `channel,category,variant,position,region`"),
        ("interval" = Option<String>, Query, description = "A series in steps of `5s`, `1m`, `1h` or `1d`, not finer than the window is kept"),
        ("variant" = Option<String>, Query, description = "Of this experiment variant only, `experiment:variant`; brings what the experiment says"),
        ("channel" = Option<String>, Query, description = "Of items that this channel named only"),
        ("category" = Option<String>, Query, description = "Of items whose leading category this is only"),
        ("position" = Option<String>, Query, description = "`0`, `1`, `2`, `3-4`, `5-9`, `10-19`, `20+` or `unknown` only"),
        ("region" = Option<String>, Query, description = "Of viewers in this region only"),
    ),
    responses(
        (status = 200, description = "Counts and rates", body = StatsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_stats(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let question = question_of(&Query::of(&request)?)?;
    reply(&request, &state.engine()?.stats(&question))
}

fn question_of(query: &Query) -> Result<Question, Problem> {
    let window = match query.length_ms("window")? {
        None => StatsWindow::FIVE_MINUTES,
        Some(length_ms) => StatsWindow::of_length(length_ms)
            .ok_or_else(|| Problem::rule("window", "out_of_range", "must be 5s to 30d"))?,
    };
    let interval_ms = query.choice("interval", &INTERVALS)?;
    if interval_ms.is_some_and(|interval| interval < window.level().slot_ms() || interval > window.length_ms()) {
        let finest = INTERVALS
            .iter()
            .find(|(_, interval)| *interval == Some(window.level().slot_ms()));
        let finest = finest.map_or("1h", |(word, _)| word);
        return Err(Problem::rule(
            "interval",
            "does_not_fit",
            format!("this window is kept in steps of {finest}; steps must not be longer than the window"),
        ));
    }
    let mut group_by: Vec<Dimension> = Vec::new();
    for name in query.text("group_by").into_iter().flat_map(|list| list.split(',')) {
        let known = Dimension::from_name(name.trim()).filter(|dimension| !group_by.contains(dimension));
        let unknown = || {
            let rule = "must be some of channel, category, variant, position, region, each once";
            Problem::rule("group_by", "unknown_value", format!("{rule}, is {name:?}"))
        };
        group_by.push(known.ok_or_else(unknown)?);
    }
    let mut filter = BTreeMap::new();
    for dimension in Dimension::ALL {
        if let Some(name) = query.name(dimension.name())? {
            filter.insert(dimension, name);
        }
    }
    Ok(Question {
        window,
        filter: Filter(filter),
        group_by,
        interval_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn question(text: &str) -> Result<Question, Problem> {
        question_of(&Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request()).expect("a query"))
    }

    #[test]
    fn a_question_is_read_and_what_cannot_be_answered_is_refused() {
        let asked = question("window=7d&group_by=channel,category&interval=1d&variant=e:b").expect("a question");
        assert_eq!((asked.window, asked.interval_ms), (StatsWindow::ONE_WEEK, Some(DAY_MS)));
        assert_eq!(asked.group_by, [Dimension::Channel, Dimension::Category]);
        assert_eq!(asked.filter.0[&Dimension::Variant], "e:b");
        assert_eq!(
            question("window=3h").expect("a question").window.length_ms(),
            3 * HOUR_MS
        );
        assert_eq!(question("").expect("a question").window, StatsWindow::FIVE_MINUTES);
        let refused = [
            "window=2y",
            "window=31d",
            "interval=1s",
            "window=24h&interval=1m",
            "window=5m&interval=1h",
            "group_by=mood",
            "group_by=channel,channel",
        ];
        assert!(refused.iter().all(|text| question(text).is_err()));
    }
}
