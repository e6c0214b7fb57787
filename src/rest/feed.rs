//! `/v1/users/{id}/feed`: a feed without a socket. `POST` serves and counts as shown, `GET` looks.

use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::{FeedRequest, Showing};
use swipeline_models::catalogue::ItemFilter;
use swipeline_models::ids::{ItemId, UserId, validate_id};
use swipeline_models::wire::{FEED_N_DEFAULT, FEED_N_MAX, FeedDto, FeedRequestDto, FieldError};

use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto};
use super::query::{EXCLUDE_MAX, Query, checked_filter};
use super::reply::reply;
use super::users::user_id;
use crate::server::AppState;

/// Where feeds are asked for.
const FEED_PATH: &str = "/v1/users/{id}/feed";
/// What `impressions` may say to `GET`; the first one holds without it.
const LOOKING: [(&str, Showing); 3] = [
    ("", Showing::Look),
    ("served", Showing::Counted),
    ("explicit", Showing::Explicit),
];
/// The same for `POST`.
const SERVING: [(&str, Showing); 2] = [("served", Showing::Counted), ("explicit", Showing::Explicit)];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get(FEED_PATH, get_feed).on(Method::POST, post_feed)]
}

/// Look at a feed
///
/// The same feed as `POST` serves, without counting as shown: asked again it is the same until something is reported of the
/// user (or 15 minutes have passed), so that retries and prefetches lose nothing. `after=<request_id>` goes on behind that
/// feed. `impressions=served` makes it count as `POST` does; `impressions=explicit` ranks anew every time.
#[utoipa::path(get, path = "/v1/users/{id}/feed", tag = "feeds",
    params(
        ("id" = String, Path, description = "User id", example = "ann"),
        ("n" = Option<u32>, Query, description = "How many items, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("scene" = Option<String>, Query, description = "Where in the app"),
        ("region" = Option<String>, Query, description = "Where the viewer is"),
        ("device" = Option<String>, Query, description = "On what"),
        ("network" = Option<String>, Query, description = "By which kind of network, such as `wifi`"),
        ("exclude" = Option<String>, Query, description = "Item ids to leave out, split by commas; may be given several times"),
        ("category" = Option<Vec<String>>, Query, description = "Items of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "Items with one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "Items by one of these authors only; may be given several times"),
        ("following" = Option<bool>, Query, description = "Items by authors that the viewer follows only"),
        ("after" = Option<String>, Query, description = "The request id of an earlier feed: go on behind it"),
        ("explain" = Option<bool>, Query, description = "Whether to say how every item came to be here; ranks anew"),
        ("variant" = Option<String>, Query, description = "Serve as in these variants, `experiment:variant`, joined by commas (where the params allow it)"),
        ("impressions" = Option<String>, Query, description = "`served` or `explicit`"),
    ),
    responses(
        (status = 200, description = "The feed", body = FeedDto),
        (status = 422, description = "A parameter breaks a rule, or `after` names no feed of late", body = ProblemDto, content_type = "application/problem+json"),
        (status = 503, description = "Not now", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_feed(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = allowed_user(&request, &state, &path)?;
    let query = Query::of(&request)?;
    let asked = FeedRequest {
        showing: query.choice("impressions", &LOOKING)?,
        after: query.name("after")?,
        ..checked(user, of_query(&query)?)?
    };
    if request.method() == Method::HEAD {
        // Monitors and link checkers ask so: nobody sees anything, and no session begins.
        let media_type = (CONTENT_TYPE, "application/json");
        return Ok(HttpResponse::Ok().insert_header(media_type).finish());
    }
    reply(&request, &state.engine()?.feed(asked).await?)
}

/// Serve a feed
///
/// Never repeats an item that the user has been shown. What is served counts as shown, unless `impressions=explicit`: the
/// client reports `impression` events itself then. What the body says may stand in the query instead.
#[utoipa::path(post, path = "/v1/users/{id}/feed", tag = "feeds",
    params(
        ("id" = String, Path, description = "User id", example = "ann"),
        ("n" = Option<u32>, Query, description = "How many items, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("scene" = Option<String>, Query, description = "Where in the app"),
        ("region" = Option<String>, Query, description = "Where the viewer is"),
        ("device" = Option<String>, Query, description = "On what"),
        ("network" = Option<String>, Query, description = "By which kind of network, such as `wifi`"),
        ("exclude" = Option<String>, Query, description = "Item ids to leave out, split by commas; may be given several times"),
        ("category" = Option<Vec<String>>, Query, description = "Items of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "Items with one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "Items by one of these authors only; may be given several times"),
        ("following" = Option<bool>, Query, description = "Items by authors that the viewer follows only"),
        ("explain" = Option<bool>, Query, description = "Whether to say how every item came to be here"),
        ("variant" = Option<String>, Query, description = "Serve as in these variants, `experiment:variant`, joined by commas (where the params allow it)"),
        ("impressions" = Option<String>, Query, description = "`served` (default) or `explicit`"),
    ),
    request_body(content((FeedRequestDto = "application/json"), (FeedRequestDto = "application/msgpack"))),
    responses(
        (status = 200, description = "The feed", body = FeedDto),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
        (status = 503, description = "Not now", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn post_feed(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let user = allowed_user(&request, &state, &path)?;
    let query = Query::of(&request)?;
    let by_query = of_query(&query)?;
    let asked = if body.is_empty() {
        by_query
    } else {
        joined(by_query, known::document(&request, || body.read::<FeedRequestDto>())?)?
    };
    let showing = showing_of(asked.impressions.as_deref())?;
    let asked = FeedRequest {
        showing,
        ..checked(user, asked)?
    };
    reply(&request, &state.engine()?.feed(asked).await?)
}

fn allowed_user(request: &HttpRequest, state: &AppState, id: &str) -> Result<UserId, Problem> {
    let user = user_id(id)?;
    state.require_user(request, &user)?;
    state.limits().check_user(user.as_str())?;
    Ok(user)
}

fn showing_of(word: Option<&str>) -> Result<Showing, Problem> {
    let word = word.unwrap_or(SERVING[0].0);
    let known = SERVING.iter().find(|(known, _)| *known == word);
    known.map(|(_, showing)| *showing).ok_or_else(|| {
        let detail = format!("must be one of served, explicit, is {word:?}");
        Problem::rule("impressions", "unknown_value", detail)
    })
}

fn of_query(query: &Query) -> Result<FeedRequestDto, Problem> {
    let text = |name: &str| query.text(name).map(str::to_owned);
    let names = |name: &str| {
        let names = query.names(name);
        (!names.is_empty()).then_some(swipeline_models::wire::NamesDto::Many(names))
    };
    let flag = |name: &str| query.text(name).map(|_| query.flag(name)).transpose();
    let excluded = query.exclude()?;
    Ok(FeedRequestDto {
        n: query.given_n()?.and_then(|n| i64::try_from(n).ok()),
        scene: text("scene"),
        region: text("region"),
        device: text("device"),
        network: text("network"),
        exclude: (!excluded.is_empty()).then(|| excluded.iter().map(|id| id.as_str().to_owned()).collect()),
        category: names("category"),
        tag: names("tag"),
        author: names("author"),
        following: flag("following")?,
        explain: flag("explain")?,
        variant: text("variant"),
        impressions: text("impressions"),
    })
}

/// What query and body say together. What both say must be the same, or which is meant would be a guess.
fn joined(query: FeedRequestDto, body: FeedRequestDto) -> Result<FeedRequestDto, Problem> {
    fn one<T: PartialEq>(field: &str, query: Option<T>, body: Option<T>, errors: &mut Vec<FieldError>) -> Option<T> {
        if query.is_some() && body.is_some() && query != body {
            errors.push(FieldError::new(
                field,
                "ambiguous",
                "stands in the query and, otherwise, in the body",
            ));
        }
        body.or(query)
    }
    let mut errors = Vec::new();
    let joined = FeedRequestDto {
        n: one("n", query.n, body.n, &mut errors),
        scene: one("scene", query.scene, body.scene, &mut errors),
        region: one("region", query.region, body.region, &mut errors),
        device: one("device", query.device, body.device, &mut errors),
        network: one("network", query.network, body.network, &mut errors),
        exclude: one("exclude", query.exclude, body.exclude, &mut errors),
        category: one("category", query.category, body.category, &mut errors),
        tag: one("tag", query.tag, body.tag, &mut errors),
        author: one("author", query.author, body.author, &mut errors),
        following: one("following", query.following, body.following, &mut errors),
        explain: one("explain", query.explain, body.explain, &mut errors),
        variant: one("variant", query.variant, body.variant, &mut errors),
        impressions: one("impressions", query.impressions, body.impressions, &mut errors),
    };
    if errors.is_empty() {
        Ok(joined)
    } else {
        Err(Problem::rules(errors))
    }
}

/// The request, checked; it counts as shown.
fn checked(user: UserId, asked: FeedRequestDto) -> Result<FeedRequest, Problem> {
    let mut errors = Vec::new();
    let mut name = |field: &str, text: Option<String>| {
        let text = text.filter(|text| !text.is_empty());
        if let Some(Err(error)) = text.as_deref().map(validate_id) {
            errors.push(FieldError::new(field, "invalid", error.to_string()));
        }
        text
    };
    let (scene, region) = (name("scene", asked.scene), name("region", asked.region));
    let (device, network) = (name("device", asked.device), name("network", asked.network));
    let variant = name("variant", asked.variant);
    let n = asked.n.map_or(Some(FEED_N_DEFAULT), |n| usize::try_from(n).ok());
    let n = n.filter(|n| (1..=FEED_N_MAX).contains(n));
    if n.is_none() {
        let detail = format!("must be an integer between 1 and {FEED_N_MAX}");
        errors.push(FieldError::new("n", "out_of_range", detail));
    }
    let exclude = asked.exclude.unwrap_or_default();
    if exclude.len() > EXCLUDE_MAX {
        let detail = format!("may name at most {EXCLUDE_MAX} items");
        errors.push(FieldError::new("exclude", "too_many", detail));
    }
    let mut excluded = Vec::with_capacity(exclude.len());
    for (index, id) in exclude.iter().enumerate() {
        match ItemId::new(id) {
            Ok(id) => excluded.push(id),
            Err(error) => errors.push(FieldError::new(
                format!("exclude[{index}]"),
                "invalid_id",
                error.to_string(),
            )),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::rules(errors));
    }
    let names = |names: Option<swipeline_models::wire::NamesDto>| names.map(Vec::from).unwrap_or_default();
    let filter = checked_filter(ItemFilter {
        categories: names(asked.category),
        tags: names(asked.tag),
        authors: names(asked.author),
        following: asked.following.unwrap_or(false),
        ..ItemFilter::default()
    })?;
    Ok(FeedRequest {
        user,
        n: n.unwrap_or(FEED_N_DEFAULT),
        scene,
        region,
        device,
        network,
        exclude: excluded,
        filter,
        explain: asked.explain.unwrap_or(false),
        showing: Showing::Counted,
        after: None,
        variant,
    })
}
