//! `/v1/users`: what the outside says about viewers, and what was learned.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::wire::{ItemsReply, Rejection, UserDto, UserProfileDto};

use super::body::Body;
use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::query::Query;
use super::reply::reply;
use crate::gorse::Door;
use crate::server::AppState;

/// The most users in one call.
pub(crate) const USERS_PER_CALL_MAX: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/users", put_users),
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
    let mut kept = UserDto::from(&user);
    let engine = state.engine()?;
    engine.put_user(user).await?;
    if kept.follows.is_none() {
        // Those that are known from events stay.
        kept.follows = engine
            .profile(&id)
            .await?
            .and_then(|profile| profile.user.follows.clone());
    }
    reply(&request, &kept)
}

/// Register many users or change their registrations
///
/// A bad user is rejected with its index and does not take the others along. Durable when answered.
#[utoipa::path(post, path = "/v1/users", tag = "users",
    request_body(content(
        (Vec<UserDto> = "application/json"), (Vec<UserDto> = "application/msgpack"), (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "What was taken and what was not", body = ItemsReply),
        (status = 400, description = "Not a list", body = ProblemDto, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Too many", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_users(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let list = body.read_list::<UserDto>(USERS_PER_CALL_MAX)?;
    drop(body);
    let mut rejected = list.rejected;
    let mut users = Vec::with_capacity(list.elements.len());
    for (index, dto) in list.elements {
        match dto.into_user() {
            Ok(user) => users.push(user),
            Err(error) => rejected.push(Rejection::from_field(index, &error)),
        }
    }
    if !users.is_empty() {
        state.engine()?.put_users(&users).await?;
    }
    rejected.sort_by_key(|rejection| rejection.index);
    let upserted = users.len();
    reply(&request, &ItemsReply { upserted, rejected })
}

/// A user with the learned profile
///
/// With `features=true` also what models and rules can read of the user now.
#[utoipa::path(get, path = "/v1/users/{id}", tag = "users", params(
        ("id" = String, Path, description = "User id"),
        ("features" = Option<bool>, Query, description = "Add windows, labels and all other features of the user"),
        ("item_id" = Option<String>, Query, description = "With `features`: also those of the user and this item together"),
    ),
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
    let query = Query::of(&request)?;
    let item = query.name("item_id")?.and_then(|item| ItemId::new(&item).ok());
    let profile = if query.flag("features")? {
        state.engine()?.profile_with_features(&id, item.as_ref()).await?
    } else {
        state.engine()?.profile(&id).await?
    };
    let profile = profile.ok_or_else(|| no_such_user(&id))?;
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
    if let Some(ledger) = state.gorse().and_then(Door::ledger) {
        let forgotten = ledger.forget_user(id.as_str());
        forgotten.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
    }
    if !state.engine()?.delete_user(&id).await? {
        return Err(no_such_user(&id));
    }
    Ok(HttpResponse::NoContent().finish())
}
