//! Lists that are the same for everybody: similar, popular and latest items.

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::{PopularQuery, Window};
use swipeline_models::wire::ScoredItemsReply;

use super::endpoint::Endpoint;
use super::items::{item_id, no_such_item};
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;

/// The windows of `popular`; the first one is the default.
const WINDOWS: [(&str, Window); 4] = [
    ("1h", Window::OneHour),
    ("5m", Window::FiveMinutes),
    ("24h", Window::OneDay),
    ("7d", Window::OneWeek),
];

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
    let n = Query::of(&request)?.n()?;
    let similar = state
        .engine()?
        .similar(id.as_str(), n)
        .ok_or_else(|| no_such_item(id.as_str()))?;
    reply(&request, &similar)
}

/// What is popular now
#[utoipa::path(get, path = "/v1/popular", tag = "lists",
    params(
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("window" = Option<String>, Query, description = "`5m`, `1h` (default), `24h` or `7d`"),
        ("category" = Option<String>, Query, description = "Of this category only"),
        ("region" = Option<String>, Query, description = "In this region"),
    ),
    responses(
        (status = 200, description = "The most popular first", body = ScoredItemsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_popular(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let popular_query = PopularQuery {
        n: query.n()?,
        window: query.choice("window", &WINDOWS)?,
        category: query.name("category")?,
        region: query.name("region")?,
    };
    reply(&request, &state.engine()?.popular(&popular_query))
}

/// The newest items
#[utoipa::path(get, path = "/v1/latest", tag = "lists",
    params(
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("category" = Option<String>, Query, description = "Of this category only"),
        ("region" = Option<String>, Query, description = "That may be shown in this region only"),
    ),
    responses(
        (status = 200, description = "The newest first", body = ScoredItemsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_latest(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let (n, category, region) = (query.n()?, query.name("category")?, query.name("region")?);
    let latest = state.engine()?.latest(n, category.as_deref(), region.as_deref());
    reply(&request, &latest)
}
