//! `GET /v1/users/{id}/feed`: a feed without a socket.

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::FeedRequest;
use swipeline_models::wire::FeedDto;

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use super::users::user_id;
use crate::server::AppState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/v1/users/{id}/feed", get_feed)]
}

/// A feed
///
/// Never repeats an item that the user has been shown. What is served counts as shown unless `impressions=explicit`.
#[utoipa::path(get, path = "/v1/users/{id}/feed", tag = "feeds",
    params(
        ("id" = String, Path, description = "User id"),
        ("n" = Option<u32>, Query, description = "How many items, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("scene" = Option<String>, Query, description = "Where in the app"),
        ("region" = Option<String>, Query, description = "Where the viewer is"),
        ("device" = Option<String>, Query, description = "On what"),
        ("network" = Option<String>, Query, description = "By which kind of network, such as `wifi`"),
        ("exclude" = Option<String>, Query, description = "Item ids to leave out, split by commas"),
        ("explain" = Option<bool>, Query, description = "Whether to say how every item came to be here"),
        ("variant" = Option<String>, Query, description = "Serve as in these variants, `experiment:variant`, joined by commas (where the params allow it)"),
        ("impressions" = Option<String>, Query, description = "`served` (default) or `explicit`"),
    ),
    responses(
        (status = 200, description = "The feed", body = FeedDto),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
        (status = 429, description = "Too many calls", body = ProblemDto, content_type = "application/problem+json"),
        (status = 503, description = "Not now", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_feed(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = user_id(&path)?;
    state.require_user(&request, &user)?;
    state.limits().check_user(user.as_str())?;
    let query = Query::of(&request)?;
    let feed_request = FeedRequest {
        user,
        n: query.n()?,
        scene: query.name("scene")?,
        region: query.name("region")?,
        device: query.name("device")?,
        network: query.name("network")?,
        exclude: query.exclude()?,
        explain: query.flag("explain")?,
        variant: query.name("variant")?,
        explicit_impressions: query.choice("impressions", &[("served", false), ("explicit", true)])?,
    };
    let feed = state.engine()?.feed(feed_request).await?;
    reply(&request, &feed)
}
