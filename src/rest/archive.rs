//! The admin listener: what the archive holds, and making files of it now.

use actix_web::{HttpRequest, HttpResponse, web};

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::reply::reply;
use crate::server::AppState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/admin/archive", get_archive),
        Endpoint::post("/v1/admin/archive/roll", roll_archive),
    ]
}

/// What the archive holds
#[utoipa::path(get, path = "/v1/admin/archive", tag = "admin",
    responses((status = 200, description = "`{enabled, cursor, lag_records, events, slates, waiting_to_forget, error}`; \
        `events` and `slates` are `{warm_records, warm_bytes, warm_intervals, cold_files, cold_rows, cold_bytes, oldest_ms}`",
        body = Object)))]
pub(crate) async fn get_archive(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    answer(&request, &state)
}

/// Make files of everything that was accepted and served up to now
///
/// Answered when the files are in their place, with what the archive holds then.
#[utoipa::path(post, path = "/v1/admin/archive/roll", tag = "admin",
    responses(
        (status = 200, description = "As `GET /v1/admin/archive`", body = Object),
        (status = 409, description = "The archive is switched off", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn roll_archive(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.engine()?.roll_archive().await?;
    answer(&request, &state)
}

fn answer(request: &HttpRequest, state: &AppState) -> Result<HttpResponse, Problem> {
    let status = state.engine()?.archive_status();
    let status = status.ok_or_else(|| Problem::new(ProblemKind::Conflict, "a server in memory has no archive"))?;
    reply(request, &status)
}
