//! The admin listener: recall channels, their settings in force, and their breakers.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use swipeline_actors::ChannelStatus;
use swipeline_models::control::ByHand;

use super::admin::changed_by;
use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto};
use super::reply::reply;
use crate::server::AppState;

/// What an operator does with a breaker.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct BreakerRequest {
    /// `open`: the channel is not asked; `close`: it is asked, whatever happens; `reset`: the breaker decides again.
    #[schema(value_type = String)]
    action: String,
}

#[derive(Debug, Serialize)]
struct ChannelsReply {
    params_version: u64,
    channels: Vec<ChannelStatus>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/admin/channels", get_channels),
        Endpoint::post("/v1/admin/channels/{name}/breaker", post_breaker),
    ]
}

/// The recall channels
///
/// Every channel and mixer: settings in force, breaker, calls, failures and times.
#[utoipa::path(get, path = "/v1/admin/channels", tag = "admin",
    responses((status = 200, description = "`{params_version, channels: [{name, kind, enabled, quota, ..., breaker, calls, late, failed, refused, p50_us, p99_us}]}`", body = Object)))]
pub(crate) async fn get_channels(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let engine = state.engine()?;
    let channels = ChannelsReply {
        params_version: engine.params().version,
        channels: engine.channels(),
    };
    reply(&request, &channels)
}

/// Open, close or reset a channel's breaker by hand
///
/// Holds until the next such call or a restart. To switch a channel off for good, set `channels.<name>.enabled`.
#[utoipa::path(post, path = "/v1/admin/channels/{name}/breaker", tag = "admin", request_body = BreakerRequest,
    params(("name" = String, Path, description = "The channel or mixer")),
    responses(
        (status = 200, description = "The channel as it is now", body = Object),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 404, description = "No such channel", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "No such action", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn post_breaker(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let action = known::document(&request, || body.read::<BreakerRequest>())?.action;
    let decision = match action.as_str() {
        "open" => ByHand::Open,
        "close" => ByHand::Close,
        "reset" => ByHand::Reset,
        _ => {
            let detail = format!("must be open, close or reset, is {action:?}");
            return Err(Problem::rule("action", "unknown_value", detail));
        }
    };
    let channel = state.engine()?.decide_breaker(&path, decision)?;
    tracing::info!(by = changed_by(&request), channel = %path, action, "breaker set by hand");
    reply(&request, &channel)
}
