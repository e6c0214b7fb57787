//! Health and the description of the API.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::reply::reply;
use crate::server::AppState;

/// Whether the server lives, or may serve.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HealthDto {
    /// `ok` or `ready`.
    status: &'static str,
    /// The server's version.
    version: &'static str,
    /// What does not work as it should although it serves: the disk is nearly full (nothing that has to be kept is taken),
    /// or the snapshot store is being replaced. It ends by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/livez", livez),
        Endpoint::get("/readyz", readyz),
        Endpoint::get("/openapi.json", openapi),
    ]
}

/// Is the process alive?
#[utoipa::path(get, path = "/livez", tag = "operations", security(()),
    responses((status = 200, description = "Alive", body = HealthDto)))]
pub(crate) async fn livez(request: HttpRequest) -> Result<HttpResponse, Problem> {
    reply(
        &request,
        &HealthDto {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            degraded: Vec::new(),
        },
    )
}

/// May it serve?
///
/// Only after recovery and warm-up, not while it is shutting down, and not while the journal cannot be written. What is
/// wrong otherwise while it serves is named in `degraded`.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses(
        (status = 200, description = "Ready", body = HealthDto),
        (status = 503, description = "Not ready; the detail says why", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn readyz(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    if let Some(reason) = state.not_ready() {
        return Err(Problem::new(ProblemKind::Unavailable, reason));
    }
    reply(
        &request,
        &HealthDto {
            status: "ready",
            version: env!("CARGO_PKG_VERSION"),
            degraded: state.degraded(),
        },
    )
}

/// The endpoint of the socket's description, which only the public listener has.
pub(super) fn stream_endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/asyncapi.json", asyncapi)]
}

/// The description of the WebSocket
#[utoipa::path(get, path = "/asyncapi.json", tag = "operations", security(()),
    responses((status = 200, description = "AsyncAPI 3.0", body = Object)))]
pub(crate) async fn asyncapi() -> HttpResponse {
    static DOCUMENT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let document = DOCUMENT.get_or_init(|| crate::asyncapi::document().to_string());
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.as_str())
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn openapi(document: web::Data<crate::openapi::Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.json())
}
