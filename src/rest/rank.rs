//! `POST /v1/rank`: given items, scored and ordered.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::RankQuery;
use swipeline_models::event::ContextValue;
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::wire::{FEED_N_MAX, FieldError, RankReply, RankRequest};

use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto};
use super::reply::reply;
use crate::server::AppState;

/// Where given items are scored: the one POST that changes nothing.
pub(super) const RANK_PATH: &str = "/v1/rank";
/// The most items in one call.
const RANK_ITEMS_MAX: usize = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post(RANK_PATH, rank_items)]
}

/// Score and order given items
///
/// Nothing is filtered and nothing counts as shown. At most 1 000 items; ids that are not known come back in `unknown`.
#[utoipa::path(post, path = "/v1/rank", tag = "feeds",
    request_body(content((RankRequest = "application/json"), (RankRequest = "application/msgpack"))),
    responses(
        (status = 200, description = "The items, best first", body = RankReply),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn rank_items(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let query = check(known::document(&request, || body.read::<RankRequest>())?)?;
    state.require_user(&request, &query.user)?;
    state.limits().check_user(query.user.as_str())?;
    let ranked = state.engine()?.rank(query).await?;
    reply(&request, &ranked)
}

fn check(dto: RankRequest) -> Result<RankQuery, Problem> {
    let mut errors = Vec::new();
    let user = UserId::new(&dto.user_id)
        .map_err(|error| errors.push(FieldError::new("user_id", "invalid_id", error.to_string())));
    if dto.item_ids.is_empty() || dto.item_ids.len() > RANK_ITEMS_MAX {
        let detail = format!("must have 1 to {RANK_ITEMS_MAX} ids, has {}", dto.item_ids.len());
        errors.push(FieldError::new("item_ids", "out_of_range", detail));
    }
    let mut items = Vec::with_capacity(dto.item_ids.len());
    for (index, id) in dto.item_ids.iter().enumerate() {
        match ItemId::new(id) {
            Ok(id) => items.push(id),
            Err(error) => {
                errors.push(FieldError::new(
                    format!("item_ids[{index}]"),
                    "invalid_id",
                    error.to_string(),
                ));
            }
        }
    }
    let n = dto
        .n
        .map(|n| usize::try_from(n).ok().filter(|n| (1..=FEED_N_MAX).contains(n)));
    if n == Some(None) {
        let detail = format!("must be an integer between 1 and {FEED_N_MAX}");
        errors.push(FieldError::new("n", "out_of_range", detail));
    }
    let context = dto.context.unwrap_or_default();
    let region = context_name(&context, "region", &mut errors);
    let device = context_name(&context, "device", &mut errors);
    match user {
        Ok(user) if errors.is_empty() => Ok(RankQuery {
            user,
            items,
            n: n.flatten(),
            region,
            device,
        }),
        _ => Err(Problem::rules(errors)),
    }
}

/// A name of the ranking context.
fn context_name(context: &BTreeMap<String, ContextValue>, name: &str, errors: &mut Vec<FieldError>) -> Option<String> {
    match context.get(name) {
        None => None,
        Some(ContextValue::Text(text)) if swipeline_models::ids::validate_id(text).is_ok() => Some(text.clone()),
        Some(_) => {
            errors.push(FieldError::new(
                format!("context.{name}"),
                "invalid",
                "must be a short text",
            ));
            None
        }
    }
}
