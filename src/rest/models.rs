//! Ranking models that are kept by name, for params and variants that ask for them.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

use super::body::Body;
use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto};
use super::reply::reply;
use crate::server::AppState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/admin/models", get_models),
        Endpoint::new("/v1/admin/models/{name}")
            .on(Method::PUT, keep_model)
            .on(Method::DELETE, drop_model),
    ]
}

/// The kept ranking models
#[utoipa::path(get, path = "/v1/admin/models", tag = "admin",
    responses((status = 200, description = "By name: `{kind, version, fingerprint, loaded_at, can_roll_back}`", body = Object)))]
pub(crate) async fn get_models(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply(&request, &state.engine()?.kept_models())
}

/// Keep a ranking model by name
///
/// The body is an ONNX file. It serves viewers whose `rank.model` is this name; at most 8 are kept.
#[utoipa::path(put, path = "/v1/admin/models/{name}", tag = "admin",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_`, `-` or `.`")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The kept model", body = Object),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Refused, and why", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn keep_model(
    request: HttpRequest,
    state: web::Data<AppState>,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let model = state.engine()?.keep_model(&name, body.into_bytes().to_vec()).await?;
    reply(&request, &model)
}

/// Keep a ranking model no longer
#[utoipa::path(delete, path = "/v1/admin/models/{name}", tag = "admin",
    params(("name" = String, Path, description = "The model's name")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "No such model", body = ProblemDto, content_type = "application/problem+json"),
        (status = 409, description = "The params in force ask for it", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn drop_model(state: web::Data<AppState>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    state.engine()?.drop_model(&name).await?;
    Ok(HttpResponse::NoContent().finish())
}
