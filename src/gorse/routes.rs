//! Which call is which: method and path to the functions of the other files.
//!
//! Owns the table of routes, who may pass, and the headers of every answer. Must not know what a call does.

use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::call::{Answer, Call, Refusal, json};
use super::door::Door;
use super::ledger::Again;
use super::shapes::{GorseItem, GorseUser};
use crate::rest::Body;
use crate::server::{AppState, now};

/// What all paths start with.
pub(crate) const ROOT: &str = "/api/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthStatus {
    ready: bool,
    data_store_error: Option<String>,
    cache_store_error: Option<String>,
    data_store_connected: bool,
    cache_store_connected: bool,
}

/// Registers the one handler of all paths.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/api/{path:.*}").to(serve));
}

async fn serve(request: HttpRequest, state: web::Data<AppState>, body: Body) -> HttpResponse {
    let answer = match state.gorse() {
        Some(door) => Box::pin(answer(&request, &state, door, &body.into_bytes())).await,
        None => Err(Refusal::not_found("404: Page Not Found")),
    };
    let mut response = answer.unwrap_or_else(|refusal| {
        let plain = "text/plain; charset=utf-8";
        HttpResponse::build(refusal.status)
            .content_type(plain)
            .body(refusal.text)
    });
    let id = uuid::Uuid::new_v4().to_string();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn answer(request: &HttpRequest, state: &AppState, door: &Door, body: &[u8]) -> Answer {
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or_default();
    let segments: Vec<String> = path
        .split('/')
        .map(decoded)
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::bad("malformed path"))?;
    let mut segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    // The clients disagree about a slash at the end.
    if segments.last() == Some(&"") {
        segments.pop();
    }
    if let ["health", which @ ("live" | "ready")] = segments[..] {
        return health(state, which == "ready");
    }
    if !door.admits(request.headers()) {
        return Err(Refusal {
            status: StatusCode::UNAUTHORIZED,
            text: "unauthorized".to_owned(),
        });
    }
    let engine = state.engine().map_err(|problem| Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        text: problem.to_string(),
    })?;
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let query = query.map_err(|error| Refusal::bad(error.to_string()))?.into_inner();
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let call = Call {
        engine,
        door,
        now: now(),
        query,
        body,
        wants_scores: header("x-api-version") == "2",
    };
    Box::pin(route(&call, request.method(), &segments, header(CONTENT_TYPE.as_str()))).await
}

async fn route(call: &Call<'_>, method: &Method, segments: &[&str], content_type: &str) -> Answer {
    match (method.as_str(), segments) {
        ("POST", ["user"]) => call.put_users(vec![call.shape::<GorseUser>()?]).await,
        ("POST", ["users"]) => call.put_users(call.shapes()?).await,
        ("PATCH", ["user", user]) => call.patch_user(user).await,
        ("GET", ["user", user]) => call.get_user(user).await,
        ("GET", ["users"]) => call.list_users().await,
        ("DELETE", ["user", user]) => call.delete_user(user).await,
        ("GET", ["user", user, "feedback"]) => call.feedback_of_user(user, None),
        ("GET", ["user", user, "feedback", kind]) => call.feedback_of_user(user, Some(kind)),
        ("GET", ["user", user, "neighbors"] | ["user-to-user", _, user]) => call.neighbours(user),
        ("POST", ["item"]) => call.put_items(vec![call.shape::<GorseItem>()?]).await,
        ("POST", ["items"]) => call.put_items(call.shapes()?).await,
        ("PATCH", ["item", item]) => call.patch_item(item).await,
        ("GET", ["item", item]) => call.get_item(item),
        ("GET", ["items"]) => call.list_items(),
        ("DELETE", ["item", item]) => call.delete_item(item).await,
        ("PUT", ["item", item, "category", category]) => call.set_category(item, category, true).await,
        ("DELETE", ["item", item, "category", category]) => call.set_category(item, category, false).await,
        ("GET", ["item", item, "feedback"]) => call.feedback_of_item(item, None),
        ("GET", ["item", item, "feedback", kind]) => call.feedback_of_item(item, Some(kind)),
        ("GET", ["item", item, "neighbors"] | ["item-to-item", _, item]) => call.alike(item, None),
        ("GET", ["item", item, "neighbors", category]) => call.alike(item, Some(category)),
        ("POST", ["feedback"]) => call.give(&call.shapes()?, Again::Adds).await,
        ("PUT", ["feedback"]) => call.give(&call.shapes()?, Again::Replaces).await,
        ("GET", ["feedback"]) => call.list_feedback(None),
        ("GET", ["feedback", kind]) => call.list_feedback(Some(kind)),
        ("GET", ["feedback", user, item]) => call.feedback_between(user, item),
        ("DELETE", ["feedback", user, item]) => call.take_back(user, item, None).await,
        ("GET", ["feedback", kind, user, item]) => call.one_feedback(kind, user, item),
        ("DELETE", ["feedback", kind, user, item]) => call.take_back(user, item, Some(kind)).await,
        ("GET", ["latest"]) => call.latest(None),
        ("GET", ["latest", category]) => call.latest(Some(category)),
        ("GET", ["popular"]) => call.non_personalized("popular", None),
        ("GET", ["popular", category]) => call.non_personalized("popular", Some(category)),
        ("GET", ["non-personalized", name]) => call.non_personalized(name, None),
        ("GET", ["collaborative-filtering", user]) => call.collaborative(user, None).await,
        ("GET", ["collaborative-filtering", user, category]) => call.collaborative(user, Some(category)).await,
        ("GET", ["recommend", user]) => call.recommend(user, None).await,
        ("GET", ["recommend", user, category]) => call.recommend(user, Some(category)).await,
        ("POST", ["session", "recommend"]) => call.session(call.shapes()?, None),
        ("POST", ["session", "recommend", category]) => call.session(call.shapes()?, Some(category)),
        ("GET", ["bulk", what]) => call.bulk_get(what).await,
        ("POST", ["bulk", what]) => call.bulk_post(what, content_type).await,
        _ => Err(Refusal::not_found("404: Page Not Found")),
    }
}

fn health(state: &AppState, must_be_ready: bool) -> Answer {
    let reason = state.not_ready();
    let status = HealthStatus {
        ready: reason.is_none(),
        data_store_connected: reason.is_none(),
        cache_store_connected: reason.is_none(),
        data_store_error: reason,
        cache_store_error: None,
    };
    if must_be_ready && !status.ready {
        return Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: serde_json::to_string(&status).unwrap_or_default(),
        });
    }
    json(&status)
}

/// A segment of a path without its percent signs (RFC 3986).
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded() {
        assert_eq!(decoded("Children%27s%20%2F").as_deref(), Some("Children's /"));
        assert_eq!(decoded("star>=4").as_deref(), Some("star>=4"));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
