//! `/v1/users`: what the outside says about viewers, and what was learned.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_models::ids::UserId;
use swipeline_models::wire::{UserDto, UserProfileDto};

use super::body::Body;
use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::reply::reply;
use crate::server::AppState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users/{id}", get_user)
            .on(Method::PUT, put_user)
            .on(Method::DELETE, delete_user),
    ]
}

/// Checks a user id of a path.
pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::new(text).map_err(|error| Problem::rule("id", "invalid_id", error.to_string()))
}

fn no_such_user(id: &UserId) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("there is no user {:?}", id.as_str()))
}

/// Register a user or change the registration
///
/// Optional: a user that only sends events is known as well.
#[utoipa::path(put, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path, description = "User id")),
    request_body(content((UserDto = "application/json"), (UserDto = "application/msgpack"))),
    responses(
        (status = 200, description = "The user as it is kept", body = UserDto),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_user(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = user_id(&path)?;
    let mut dto = body.read::<UserDto>()?;
    if !dto.id.is_empty() && dto.id != id.as_str() {
        return Err(Problem::rule(
            "id",
            "differs",
            format!("differs from the id {:?} of the path", id.as_str()),
        ));
    }
    id.as_str().clone_into(&mut dto.id);
    let user = dto.into_user().map_err(|error| Problem::rules(vec![error]))?;
    let kept = UserDto::from(&user);
    state.engine()?.put_user(user).await?;
    reply(&request, &kept)
}

/// A user with the learned profile
#[utoipa::path(get, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path, description = "User id")),
    responses(
        (status = 200, description = "The user and what was learned", body = UserProfileDto),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_user(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = user_id(&path)?;
    state.require_user(&request, &id)?;
    let profile = state.engine()?.profile(&id).await?.ok_or_else(|| no_such_user(&id))?;
    reply(&request, &profile)
}

/// Forget a user
///
/// Everything about the user goes, on disk too.
#[utoipa::path(delete, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path, description = "User id")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_user(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = user_id(&path)?;
    if !state.engine()?.delete_user(&id).await? {
        return Err(no_such_user(&id));
    }
    Ok(HttpResponse::NoContent().finish())
}
