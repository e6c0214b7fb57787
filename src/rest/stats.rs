//! `GET /v1/stats`: what the feeds achieve.

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::StatsWindow;
use swipeline_models::wire::StatsReply;

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;

/// The windows; the first one is the default.
const WINDOWS: [(&str, StatsWindow); 3] = [
    ("5m", StatsWindow::FiveMinutes),
    ("1m", StatsWindow::OneMinute),
    ("1h", StatsWindow::OneHour),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/v1/stats", get_stats)]
}

/// What the feeds achieve
///
/// Impressions, views, likes, skips, completion, watch time and rates; in total, per recall channel, per variant.
#[utoipa::path(get, path = "/v1/stats", tag = "operations",
    params(
        ("window" = Option<String>, Query, description = "`1m`, `5m` (default) or `1h`"),
        ("variant" = Option<String>, Query, description = "Of this experiment variant only"),
    ),
    responses(
        (status = 200, description = "Counts and rates", body = StatsReply),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_stats(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let query = Query::of(&request)?;
    let (window, variant) = (query.choice("window", &WINDOWS)?, query.name("variant")?);
    reply(&request, &state.engine()?.stats(window, variant.as_deref()))
}
