//! What happens to every call before and after its handler: bounds, identity, error documents, headers, metrics.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderValue, ORIGIN, REFERRER_POLICY, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use tracing::Instrument;

use super::client::{Address, X_REQUEST_ID, request_id};
use super::encoding::encoded;
use super::gate::{Site, check_site};
use super::places::{Budget, Place, Places};
use super::state::AppState;
use crate::auth::{AuthError, Identity};
use crate::gorse;
use crate::limits::Flight;
use crate::rest::{Format, Problem, ProblemKind};

/// Nothing may be loaded or run by what is not a page.
const CONTENT_SECURITY_DEFAULT: &str = "default-src 'none'; frame-ancestors 'none'";

/// The bounds of a body on a listener.
#[derive(Clone)]
pub(crate) struct BodyLimits {
    /// The most bytes.
    pub(crate) bytes_max: usize,
    /// How long a whole body may take.
    pub(crate) total_timeout: Duration,
    /// In each span of this length ...
    pub(crate) pace_interval: Duration,
    /// ... so many bytes must come, or the body is given up.
    pub(crate) pace_bytes: u64,
    /// What all bodies of the listener may hold.
    pub(crate) budget: Budget,
}

impl Default for BodyLimits {
    /// Where a listener does not say otherwise.
    fn default() -> Self {
        let bytes_max = 64 * 1024;
        Self {
            bytes_max,
            total_timeout: Duration::from_secs(60),
            pace_interval: Duration::from_secs(10),
            pace_bytes: 0,
            budget: Budget::new(bytes_max),
        }
    }
}

/// A call that comes from a page that may send what needs no preflight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromAllowedPage;

/// A call that takes its place when its body has come.
struct TakesPlaceLater {
    places: Places,
}

/// Which listener a call came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Viewers and back ends.
    Public,
    /// Operators.
    Admin,
}

/// What a call holds until it is answered.
#[derive(Default)]
struct Held {
    _flights: [Option<Flight>; 2],
    _place: Option<Place>,
}

/// The edge around every handler.
pub(super) async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let name = request_id(request.headers());
    let span = tracing::info_span!("call", request_id = name.to_str().unwrap_or_default());
    let mut response = around(request, next).instrument(span).await?;
    response.headers_mut().insert(X_REQUEST_ID, name);
    Ok(response)
}

async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let format = Format::wanted(request.headers());
    let side = request.app_data::<Side>().copied().unwrap_or(Side::Public);
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let origin = request.headers().get(ORIGIN).cloned();
    let has_door = state.as_ref().is_some_and(|state| state.gorse().is_some());
    let is_of_gorse = has_door && side == Side::Public && request.path().starts_with(gorse::ROOT);
    let admitted = match &state {
        Some(state) => admit(state, side, &request),
        None => Ok(Admitted::Call(Held::default())),
    };
    let response = match admitted {
        Ok(Admitted::Call(_held)) => {
            let response = next.call(request).await?.map_into_boxed_body();
            response.request().extensions_mut().remove::<Place>();
            response
        }
        Ok(Admitted::Answered(answer)) => request.into_response(answer),
        Err(problem) => request.into_response(actix_web::ResponseError::error_response(&problem)),
    };
    let response = if is_of_gorse {
        with_plain_text(response)
    } else {
        with_problem(response, format)
    };
    let mut response = encoded(response);
    add_headers(&mut response);
    if let (Some(state), Side::Public) = (&state, side) {
        state.gate().share(origin.as_ref(), response.headers_mut());
    }
    record(&response, side, began);
    Ok(response)
}

/// A call that may go on.
enum Admitted {
    /// To its handler.
    Call(Held),
    /// It is answered already.
    Answered(HttpResponse),
}

/// Whether a call may go on to its handler.
fn admit(state: &AppState, side: Side, request: &ServiceRequest) -> Result<Admitted, Problem> {
    let path = request.path();
    if is_health(path) {
        // Always answered, whoever asks by whatever name.
        return Ok(Admitted::Call(Held::default()));
    }
    let (headers, authenticator) = (request.headers(), state.authenticator());
    let is_of_gorse = side == Side::Public && state.gorse().is_some() && path.starts_with(gorse::ROOT);
    let is_open = match side {
        Side::Public if is_of_gorse => state.settings().gorse.api_key.is_none(),
        Side::Public => authenticator.is_anonymous(),
        Side::Admin => authenticator.trusts_operators(),
    };
    state.gate().check_host(headers, is_open)?;
    check_text(request.uri())?;
    if side == Side::Public
        && request.method() == Method::OPTIONS
        && let Some(answer) = state.gate().preflight(headers)
    {
        return answer.map(Admitted::Answered);
    }
    let site = state.gate().site(headers);
    if is_open && (is_api(path) || is_of_gorse) && path != crate::ws::STREAM_PATH {
        check_site(site, side)?;
    }
    let connection = request.peer_addr().map(|address| address.ip());
    let address = Address::of(connection, headers, state.trusted_proxies());
    if is_of_gorse {
        // Its clients have a key of their own, which the door looks at.
        request.extensions_mut().insert(address);
        state.limits().check_caller(address.0)?;
        let of_address = state.limits().enter_ip(address.0)?;
        return Ok(Admitted::Call(held(state, request, [None, of_address])?));
    }
    if !path.starts_with("/v1/") {
        return Ok(Admitted::Call(Held::default()));
    }
    request.extensions_mut().insert(address);
    if side == Side::Admin {
        admit_operator(state, request, address)?;
        return Ok(Admitted::Call(Held::default()));
    }
    state.limits().check_caller(address.0)?;
    if path == crate::ws::STREAM_PATH {
        // The handshake finds out who is there: a token may come in a subprotocol or in `hello`.
        return Ok(Admitted::Call(Held::default()));
    }
    if site == Site::Allowed {
        request.extensions_mut().insert(FromAllowedPage);
    }
    let identity = authenticator.identify(headers)?;
    let of_user = match &identity {
        Identity::Service(place) => {
            state.limits().check_key(*place)?;
            None
        }
        Identity::Viewer(viewer) => state.limits().enter_user(viewer.user.as_str())?,
        Identity::Anonymous => None,
    };
    request.extensions_mut().insert(identity);
    let of_address = state.limits().enter_ip(address.0)?;
    Ok(Admitted::Call(held(state, request, [of_user, of_address])?))
}

/// What a call holds while it is in work: a call with a body takes its place when the body has come.
fn held(state: &AppState, request: &ServiceRequest, flights: [Option<Flight>; 2]) -> Result<Held, Problem> {
    let place = if has_body(request) {
        let places = state.places().clone();
        request.extensions_mut().insert(TakesPlaceLater { places });
        None
    } else {
        Some(take_place(
            state.places(),
            brings_something(request.method(), request.path()),
        )?)
    };
    Ok(Held {
        _flights: flights,
        _place: place,
    })
}

/// Who guesses keys is heard seldom, and told so.
fn admit_operator(state: &AppState, request: &ServiceRequest, Address(address): Address) -> Result<(), Problem> {
    let guesses = state.limits().guesses();
    if let Some(address) = address {
        guesses.check(address)?;
    }
    let admitted = state.authenticator().admits_operator(request.headers());
    if let (Err(AuthError::UnknownKey(_)), Some(address)) = (&admitted, address) {
        tracing::warn!(%address, "an unknown admin key was tried");
        guesses.failed(address);
    }
    Ok(admitted?)
}

fn is_health(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz")
}

/// Whether a path does or tells something; everything else is pages and their parts.
fn is_api(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/api/") || path == "/metrics"
}

/// Ids are UTF-8: bytes that are no text must not become another text.
fn check_text(uri: &Uri) -> Result<(), Problem> {
    for (part, name) in [(uri.path(), "path"), (uri.query().unwrap_or_default(), "query")] {
        if part.contains('%') && percent_decode_str(part).decode_utf8().is_err() {
            return Err(Problem::rule_malformed(
                name,
                "not_utf8",
                "must be UTF-8 when it is decoded",
            ));
        }
    }
    Ok(())
}

/// Whether a body follows the head of a call that somebody will read; a body that nobody waits for is no way around the
/// places.
fn has_body(request: &ServiceRequest) -> bool {
    if !matches!(request.method().as_str(), "POST" | "PUT" | "PATCH") {
        return false;
    }
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// Whether a call brings something that must not be lost; everything else can be asked again.
fn brings_something(method: &Method, path: &str) -> bool {
    !matches!(method.as_str(), "GET" | "HEAD") && !crate::rest::is_question(path)
}

fn take_place(places: &Places, brings_something: bool) -> Result<Place, Problem> {
    places.take(brings_something).ok_or_else(|| {
        metrics::counter!("swipeline_rate_limited_total", "scope" => "in_flight").increment(1);
        Problem::new(ProblemKind::Unavailable, "too many calls are in work")
    })
}

/// The body of a call has come: the call takes its place, which it holds until it is answered.
pub(crate) fn body_has_come(request: &HttpRequest) -> Result<(), Problem> {
    let Some(TakesPlaceLater { places }) = request.extensions_mut().remove::<TakesPlaceLater>() else {
        return Ok(());
    };
    let place = take_place(&places, brings_something(request.method(), request.path()))?;
    request.extensions_mut().insert(place);
    Ok(())
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

/// gorse's clients read errors as plain text, also those that the edge or the HTTP library makes.
fn with_plain_text(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let problem = response
        .response()
        .extensions()
        .get::<Problem>()
        .map(ToString::to_string);
    let text = problem.or_else(|| response.response().error().map(ToString::to_string));
    let Some(text) = text else { return response };
    let status = response.status();
    let (request, _) = response.into_parts();
    let plain = HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(text);
    ServiceResponse::new(request, plain)
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
