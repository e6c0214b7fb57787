//! Lists that are the same for everybody: similar, popular and latest items.

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::PopularQuery;
use swipeline_models::time::{DAY_MS, HOUR_MS};
use swipeline_models::wire::ScoredItemsReply;

use super::endpoint::Endpoint;
use super::items::{item_id, no_such_item};
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;

/// The longest window of `popular`, and the one without any.
const WINDOW_MS_MAX: i64 = 7 * DAY_MS;
const WINDOW_MS_DEFAULT: i64 = HOUR_MS;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/items/{id}/similar", get_similar),
        Endpoint::get("/v1/popular", get_popular),
        Endpoint::get("/v1/latest", get_latest),
    ]
}

/// Items like this one
#[utoipa::path(get, path = "/v1/items/{id}/similar", tag = "lists",
    params(
        ("id" = String, Path, description = "Item id"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("category" = Option<Vec<String>>, Query, description = "Of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "With one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "By one of these authors only; may be given several times"),
    ),
    responses(
        (status = 200, description = "The most similar first", body = ScoredItemsReply),
        (status = 404, description = "Unknown item", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_similar(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = item_id(&path)?;
    let query = Query::of(&request)?;
    let (n, filter) = (query.n()?, query.items_wanted()?);
    let similar = state
        .engine()?
        .similar(id.as_str(), n, &filter)
        .ok_or_else(|| no_such_item(id.as_str()))?;
    reply(&request, &similar)
}

/// What is popular now
#[utoipa::path(get, path = "/v1/popular", tag = "lists",
    params(
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("window" = Option<String>, Query, description = "Any length up to `7d`, such as `30m` or `3h`; `1h` when left out. Counted in steps of 1 minute (up to 5 minutes), 5 minutes (up to 1 hour), 1 hour (up to a day) or 6 hours", example = "1h"),
        ("category" = Option<Vec<String>>, Query, description = "Of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "With one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "By one of these authors only; may be given several times"),
        ("region" = Option<String>, Query, description = "In this region"),
    ),
    responses(
        (status = 200, description = "The most popular first", body = ScoredItemsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_popular(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let window_ms = query.length_ms("window")?.unwrap_or(WINDOW_MS_DEFAULT);
    if window_ms > WINDOW_MS_MAX {
        return Err(Problem::rule("window", "out_of_range", "must be at most 7d"));
    }
    let popular_query = PopularQuery {
        n: query.n()?,
        window_ms,
        filter: query.items_wanted()?,
        region: query.name("region")?,
    };
    reply(&request, &state.engine()?.popular(&popular_query).await)
}

/// The newest items
#[utoipa::path(get, path = "/v1/latest", tag = "lists",
    params(
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("category" = Option<Vec<String>>, Query, description = "Of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "With one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "By one of these authors only; may be given several times"),
        ("region" = Option<String>, Query, description = "That may be shown in this region only"),
    ),
    responses(
        (status = 200, description = "The newest first", body = ScoredItemsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_latest(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let (n, filter, region) = (query.n()?, query.items_wanted()?, query.name("region")?);
    let latest = state.engine()?.latest(n, &filter, region.as_deref());
    reply(&request, &latest)
}
