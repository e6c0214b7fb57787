//! What happens to every call before and after its handler: bounds, identity, error documents, headers, metrics.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};

use super::state::{AppState, CountGuard};
use crate::auth::Identity;
use crate::rest::{Format, Problem};

/// Nothing may be loaded or run by what is not a page.
const CONTENT_SECURITY_DEFAULT: &str = "default-src 'none'; frame-ancestors 'none'";

/// The bounds of a body on a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// The most bytes.
    pub(crate) bytes_max: usize,
    /// How long the next part of a body may take.
    pub(crate) part_timeout: Duration,
}

/// Which listener a call came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Viewers and back ends.
    Public,
    /// Operators.
    Admin,
}

/// The edge around every handler.
pub(super) async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let format = Format::wanted(request.headers());
    let side = request.app_data::<Side>().copied().unwrap_or(Side::Public);
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let admitted = match &state {
        Some(state) => admit(state, side, &request),
        None => Ok(None),
    };
    let response = match admitted {
        Ok(_in_flight) => match next.call(request).await {
            Ok(response) => response.map_into_boxed_body(),
            Err(error) => return Err(error),
        },
        Err(problem) => request.into_response(actix_web::ResponseError::error_response(&problem)),
    };
    let mut response = with_problem(response, format);
    add_headers(&mut response);
    record(&response, side, began);
    Ok(response)
}

/// Whether a call may go on to its handler.
fn admit<'a>(state: &'a AppState, side: Side, request: &ServiceRequest) -> Result<Option<CountGuard<'a>>, Problem> {
    let path = request.path();
    if !path.starts_with("/v1/") {
        return Ok(None);
    }
    if side == Side::Admin {
        state.authenticator().admits_operator(request.headers())?;
        return Ok(None);
    }
    state
        .limits()
        .check_caller(request.peer_addr().map(|address| address.ip()))?;
    if path == crate::ws::STREAM_PATH {
        // The handshake finds out who is there: a token may come in a subprotocol or in `hello`.
        return Ok(None);
    }
    let in_flight = state.enter_call(brings_something(request))?;
    let identity = state.authenticator().identify(request.headers())?;
    if let Identity::Service(place) = identity {
        state.limits().check_key(place)?;
    }
    request.extensions_mut().insert(identity);
    Ok(Some(in_flight))
}

/// Whether a call brings something that must not be lost; everything else can be asked again.
fn brings_something(request: &ServiceRequest) -> bool {
    !matches!(request.method().as_str(), "GET" | "HEAD") && request.path() != crate::rest::RANK_PATH
}

/// Every error answer is a problem document in the caller's format, also those that the HTTP library makes.
fn with_problem(response: ServiceResponse<BoxBody>, format: Format) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let known = response.response().extensions().get::<Problem>().cloned();
    let problem = known.unwrap_or_else(|| {
        let detail = response
            .response()
            .error()
            .map_or_else(|| "the call was refused".to_owned(), ToString::to_string);
        Problem::of_status(status, detail)
    });
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), path = response.request().path(), "{problem}");
    }
    let instance = response.request().path().to_owned();
    let (request, _) = response.into_parts();
    let document: HttpResponse = problem.to_response(format, Some(instance));
    ServiceResponse::new(request, document)
}

fn add_headers(response: &mut ServiceResponse<BoxBody>) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_DEFAULT),
        );
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn record(response: &ServiceResponse<BoxBody>, side: Side, began: Instant) {
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| "unknown".to_owned());
    let listener = match side {
        Side::Public => "public",
        Side::Admin => "admin",
    };
    let method = method_label(response.request().method());
    let status = response.status().as_u16().to_string();
    metrics::counter!("swipeline_http_requests_total", "listener" => listener, "method" => method,
        "route" => route.clone(), "status" => status)
    .increment(1);
    metrics::histogram!("swipeline_http_request_seconds", "listener" => listener, "method" => method, "route" => route)
        .record(began.elapsed().as_secs_f64());
}

/// A label from a fixed set, so that made-up methods cannot grow the metrics.
fn method_label(method: &actix_web::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
