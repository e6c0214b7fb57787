//! `POST /v1/events`: what viewers did.

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::{EventSource, IngestReply};
use swipeline_models::wire::{EVENTS_PER_CALL_MAX, EventDto, EventsReply, Rejection};

use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::auth::Identity;
use crate::server::{AppState, now};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/v1/events", post_events)]
}

/// Report events
///
/// At most 10 000. A bad event is rejected with its index and does not take the others along. Answered only when the
/// accepted ones are durable. A viewer's token admits the viewer's own events only. `source=history` is for old logs: they
/// count in tastes, neighbours and popularity by their own times, but not in what goes by arrival (statistics, experiments,
/// the learner).
#[utoipa::path(post, path = "/v1/events", tag = "events",
    params(("source" = Option<String>, Query, description = "`live` (default) or `history`")),
    request_body(content(
        (Vec<EventDto> = "application/json"), (Vec<EventDto> = "application/msgpack"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "What became of them", body = EventsReply),
        (status = 400, description = "Not a list", body = ProblemDto, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Too many", body = ProblemDto, content_type = "application/problem+json"),
        (status = 503, description = "Not now", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn post_events(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let identity = state.identity(&request)?;
    let sources = [("live", EventSource::Live), ("history", EventSource::History)];
    let source = Query::of(&request)?.choice("source", &sources)?;
    let list = known::list(&request, || body.read_list::<EventDto>(EVENTS_PER_CALL_MAX))?;
    drop(body);
    let session_user = match &identity {
        Identity::Viewer(viewer) => {
            state.limits().check_user(viewer.user.as_str())?;
            Some(&viewer.user)
        }
        Identity::Anonymous | Identity::Service(_) => None,
    };
    let (mut rejected, now) = (list.rejected, now());
    let mut places = Vec::with_capacity(list.elements.len());
    let mut events = Vec::with_capacity(list.elements.len());
    for (index, dto) in list.elements {
        match dto.into_event(session_user, now) {
            Ok(event) => {
                places.push(index);
                events.push(event);
            }
            Err(error) => rejected.push(Rejection::from_field(index, &error)),
        }
    }
    let taken = if events.is_empty() {
        IngestReply::default()
    } else {
        state.engine()?.ingest_from(events, source).await?
    };
    rejected.extend(taken.rejected.into_iter().map(|rejection| Rejection {
        index: places.get(rejection.index).copied().unwrap_or(rejection.index),
        ..rejection
    }));
    rejected.sort_by_key(|rejection| rejection.index);
    reply(
        &request,
        &EventsReply {
            accepted: taken.accepted,
            duplicates: taken.duplicates,
            rejected,
        },
    )
}
