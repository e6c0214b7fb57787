//! `/v1/users`: what the outside says about viewers, and what was learned.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::wire::{
    HistoryEventDto, HistoryPageDto, ItemsReply, Rejection, UserDto, UserProfileDto, UsersPageDto,
};

use super::body::Body;
use super::cursor;
use super::endpoint::Endpoint;
use super::items::check_same_id;
use super::known;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::query::Query;
use super::reply::reply;
use crate::gorse::Door;
use crate::server::AppState;

/// The most users in one call.
pub(crate) const USERS_PER_CALL_MAX: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/users", put_users).on(Method::GET, list_users),
        Endpoint::get("/v1/users/{id}/history", get_history),
        Endpoint::get("/v1/users/{id}", get_user)
            .on(Method::PUT, put_user)
            .on(Method::PATCH, patch_user)
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
    let mut dto = known::document(&request, || body.read::<UserDto>())?;
    if dto.id.is_empty() {
        id.as_str().clone_into(&mut dto.id);
    }
    check_same_id(&dto.id, id.as_str())?;
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
    let list = known::list(&request, || body.read_list::<UserDto>(USERS_PER_CALL_MAX))?;
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

/// Change some fields of a user
///
/// A merge patch (RFC 7396): what is not named stays, `null` takes a field away, a list is replaced as a whole.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path, description = "User id", example = "ann")),
    request_body(content((UserDto = "application/merge-patch+json"), (UserDto = "application/json"))),
    responses(
        (status = 200, description = "The user as it is kept", body = UserDto),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn patch_user(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = user_id(&path)?;
    let patch = known::patch(&body.read_any_json()?)?;
    let given: UserDto = known::patched(&request, patch.clone())?;
    if !given.id.is_empty() {
        check_same_id(&given.id, id.as_str())?;
    }
    let kept = state.engine()?.patch_user(&id, patch).await?;
    reply(&request, &kept.ok_or_else(|| no_such_user(&id))?)
}

/// List users
///
/// In the order of their ids, page by page: `cursor` of an answer asks for the next, with the same `prefix`.
#[utoipa::path(get, path = "/v1/users", tag = "users",
    params(
        ("prefix" = Option<String>, Query, description = "Whose ids begin so", example = "an"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "From the page before"),
    ),
    responses(
        (status = 200, description = "A page of users", body = UsersPageDto),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_users(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let query = Query::of(&request)?;
    let (prefix, n) = (query.name("prefix")?.unwrap_or_default(), query.n()?);
    let from = query.text("cursor").map(cursor::read_text).transpose()?;
    // One more than the page, to know where the next begins.
    let mut users = state
        .engine()?
        .users(&prefix, from.as_deref().unwrap_or_default(), n + 1)
        .await?;
    let next = (users.len() > n).then(|| cursor::write_text(&users[n].id));
    users.truncate(n);
    reply(&request, &UsersPageDto { users, cursor: next })
}

/// What a user did
///
/// The last 200 actions (everything but impressions), the newest first. What happened before is in the archive.
#[utoipa::path(get, path = "/v1/users/{id}/history", tag = "users",
    params(
        ("id" = String, Path, description = "User id", example = "ann"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "From the page before"),
    ),
    responses(
        (status = 200, description = "A page of actions", body = HistoryPageDto),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_history(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = user_id(&path)?;
    state.require_user(&request, &id)?;
    let query = Query::of(&request)?;
    let n = query.n()?;
    let behind = query.text("cursor").map(cursor::read_text).transpose()?;
    let mut events = state.engine()?.history(&id).await?.ok_or_else(|| no_such_user(&id))?;
    if let Some(behind) = behind {
        // By what it names and not by a number: new actions come in front.
        let place = events.iter().position(|event| place_of(event) == behind);
        events.drain(..place.map_or(events.len(), |place| place + 1));
    }
    let more = events.len() > n;
    events.truncate(n);
    let cursor = events
        .last()
        .filter(|_| more)
        .map(|last| cursor::write_text(&place_of(last)));
    reply(&request, &HistoryPageDto { events, cursor })
}

fn place_of(event: &HistoryEventDto) -> String {
    format!("{} {} {}", event.at, event.kind, event.item_id)
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
