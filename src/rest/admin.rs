//! The admin listener: metrics, parameters, model, checkpoint.

use actix_web::http::Method;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use swipeline_actors::{FeedRequest, ModelDescription, ParamsDocument, ParamsEdit};
use swipeline_models::learner::LearnerReport;
use swipeline_models::params::{ParamKey, schema};
use swipeline_models::wire::FeedDto;

use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use super::users::user_id;
use crate::server::AppState;
use crate::telemetry;

/// The header that says who changes something.
const CHANGED_BY_HEADER: &str = "x-changed-by";
/// The most bytes of that header that are kept.
const CHANGED_BY_BYTES_MAX: usize = 256;

/// Which version to go back to.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct RollbackRequest {
    /// A version of the history.
    version: u64,
}

/// The versions of the parameters.
#[derive(Debug, Serialize)]
struct HistoryReply<'a> {
    versions: Vec<&'a ParamsDocument>,
}

/// Every key of the parameters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ParamsSchemaReply {
    /// In the order of their paths.
    keys: Vec<ParamKey>,
}

/// What a change of the parameters would do.
#[derive(Debug, Serialize)]
struct DryRunReply<'a> {
    dry_run: bool,
    #[serde(flatten)]
    document: &'a ParamsDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<FeedDto>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/metrics", get_metrics),
        Endpoint::get("/v1/admin/params", get_params)
            .on(Method::PUT, put_params)
            .on(Method::PATCH, patch_params),
        Endpoint::get("/v1/admin/params/schema", get_params_schema),
        Endpoint::get("/v1/admin/params/history", get_params_history),
        Endpoint::post("/v1/admin/params/rollback", roll_back_params),
        Endpoint::get("/v1/admin/model", get_model).on(Method::PUT, put_model),
        Endpoint::post("/v1/admin/model/rollback", roll_back_model),
        Endpoint::get("/v1/admin/learner", get_learner),
        Endpoint::get("/v1/admin/degradation", get_degradation),
        Endpoint::post("/v1/admin/checkpoint", post_checkpoint),
    ]
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "admin", security(()),
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(crate) async fn get_metrics(state: web::Data<AppState>) -> HttpResponse {
    if let Ok(engine) = state.engine() {
        engine.publish_gauges();
    }
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics().render() + &telemetry::process_metrics())
}

/// The parameters in force
#[utoipa::path(get, path = "/v1/admin/params", tag = "admin",
    responses((status = 200, description = "`{version, changed_at, changed_by, params}`", body = Object)))]
pub(crate) async fn get_params(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply_params(&request, &state.engine()?.params())
}

/// Replace the parameters
///
/// The whole document; keys that are left out have their defaults. In force at once. With `If-Match: "<version>"` only
/// when that version is still the one in force.
#[utoipa::path(put, path = "/v1/admin/params", tag = "admin", request_body = Object,
    params(
        ("dry_run" = Option<bool>, Query, description = "Change nothing; say what would change"),
        ("user_id" = Option<String>, Query, description = "With `dry_run`: also the feed of this user as it would be"),
        ("n" = Option<u32>, Query, description = "How many items that feed has, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
    ),
    responses(
        (status = 200, description = "The new version", body = Object),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 412, description = "`If-Match` names another version than the one in force", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Every bad key, by its path", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_params(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let document = body.read_any_json()?;
    if let Some(answer) = try_out(&request, &state, &document, false).await? {
        return Ok(answer);
    }
    let changed = state.engine()?.put_params(document, edit_of(&request)?).await?;
    reply_params(&request, &changed)
}

/// Change some parameters
///
/// A merge patch (RFC 7396): what is not named stays; `null` means the default. With `If-Match: "<version>"` only when
/// that version is still the one in force.
#[utoipa::path(patch, path = "/v1/admin/params", tag = "admin",
    params(
        ("dry_run" = Option<bool>, Query, description = "Change nothing; say what would change"),
        ("user_id" = Option<String>, Query, description = "With `dry_run`: also the feed of this user as it would be"),
        ("n" = Option<u32>, Query, description = "How many items that feed has, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
    ),
    request_body(content((Object = "application/merge-patch+json"), (Object = "application/json"))),
    responses(
        (status = 200, description = "The new version", body = Object),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 412, description = "`If-Match` names another version than the one in force", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Every bad key, by its path", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn patch_params(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let patch = body.read_any_json()?;
    if let Some(answer) = try_out(&request, &state, &patch, true).await? {
        return Ok(answer);
    }
    let changed = state.engine()?.patch_params(patch, edit_of(&request)?).await?;
    reply_params(&request, &changed)
}

/// With `dry_run=true` what a change of the params would do; nothing without it.
async fn try_out(
    request: &HttpRequest,
    state: &AppState,
    document: &serde_json::Value,
    is_patch: bool,
) -> Result<Option<HttpResponse>, Problem> {
    let query = Query::of(request)?;
    if !query.flag("dry_run")? {
        return Ok(None);
    }
    let feed = match query.text("user_id") {
        Some(user) => Some(FeedRequest::plain(user_id(user)?, query.n()?)),
        None => None,
    };
    let edit = edit_of(request)?;
    let preview = state.engine()?.preview_params(document.clone(), is_patch, edit, feed);
    let (document, feed) = preview.await?;
    let answer = DryRunReply {
        dry_run: true,
        document: &document,
        feed,
    };
    reply(request, &answer).map(Some)
}

/// Every key of the parameters
///
/// With its text, type, range, default and unit. `[]` in a key stands for any element of a list, `{name}` for a name of the
/// operator's choice.
#[utoipa::path(get, path = "/v1/admin/params/schema", tag = "admin",
    responses((status = 200, description = "The keys, in the order of their paths", body = ParamsSchemaReply)))]
pub(crate) async fn get_params_schema(request: HttpRequest) -> Result<HttpResponse, Problem> {
    static KEYS: std::sync::OnceLock<Vec<ParamKey>> = std::sync::OnceLock::new();
    let keys = KEYS.get_or_init(schema).clone();
    reply(&request, &ParamsSchemaReply { keys })
}

/// The versions that can be gone back to
///
/// Each with who changed it, when, and which keys from what to what.
#[utoipa::path(get, path = "/v1/admin/params/history", tag = "admin",
    responses((status = 200, description = "`{versions: [...]}`, the newest first", body = Object)))]
pub(crate) async fn get_params_history(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let history = state.engine()?.params_history();
    reply(
        &request,
        &HistoryReply {
            versions: history.iter().map(AsRef::as_ref).collect(),
        },
    )
}

/// Go back to an earlier version of the parameters
#[utoipa::path(post, path = "/v1/admin/params/rollback", tag = "admin", request_body = RollbackRequest,
    responses(
        (status = 200, description = "The new version", body = Object),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 404, description = "No such version", body = ProblemDto, content_type = "application/problem+json"),
        (status = 412, description = "`If-Match` names another version than the one in force", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn roll_back_params(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let version = known::document(&request, || body.read::<RollbackRequest>())?.version;
    let changed = state.engine()?.roll_back_params(version, edit_of(&request)?).await?;
    reply_params(&request, &changed)
}

/// The ranking model in force
#[utoipa::path(get, path = "/v1/admin/model", tag = "admin",
    responses((status = 200, description = "`{kind, version, fingerprint, loaded_at, can_roll_back}`", body = Object)))]
pub(crate) async fn get_model(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply(&request, &state.engine()?.model())
}

/// Swap the ranking model
///
/// The body is an ONNX file. It is loaded, checked and warmed up aside; the old model serves until then.
#[utoipa::path(put, path = "/v1/admin/model", tag = "admin",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The new model", body = Object),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Refused, and why; the old one keeps serving", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_model(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let bytes = body.into_bytes();
    if bytes.is_empty() {
        return Err(Problem::rule(
            "model",
            "model_refused",
            "the body is empty; send an ONNX file",
        ));
    }
    let model = state.engine()?.swap_model(bytes.to_vec()).await?;
    audit(&request, "model swapped", &model);
    reply(&request, &model)
}

/// Go back to the previous ranking model
#[utoipa::path(post, path = "/v1/admin/model/rollback", tag = "admin",
    responses(
        (status = 200, description = "The model in force", body = Object),
        (status = 409, description = "There is none to go back to", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn roll_back_model(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let model = state.engine()?.roll_back_model().await?;
    audit(&request, "model rolled back", &model);
    reply(&request, &model)
}

/// The online learner
///
/// What serves each objective (`model`, `calibrated` or `corrected`), the progressive log loss of each, and the largest
/// weights that have a name.
#[utoipa::path(get, path = "/v1/admin/learner", tag = "admin",
    responses((status = 200, description = "Its state", body = LearnerReport)))]
pub(crate) async fn get_learner(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply(&request, &state.engine()?.learner().await?)
}

/// How much is done for a feed, and why
///
/// The level, what was measured, the thresholds, and the last changes of the level, the newest first.
#[utoipa::path(get, path = "/v1/admin/degradation", tag = "admin",
    responses((status = 200, description = "`{level, number, since, reason, load, arbiters, transitions, params}`", body = Object)))]
pub(crate) async fn get_degradation(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply(&request, &state.engine()?.degradation())
}

/// Write a checkpoint now
#[utoipa::path(post, path = "/v1/admin/checkpoint", tag = "admin",
    responses((status = 200, description = "`{sequence, rows, journal_bytes_freed, took_ms}`", body = Object)))]
pub(crate) async fn post_checkpoint(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    reply(&request, &state.engine()?.checkpoint().await?)
}

/// The document, with its version as entity tag: `If-Match` takes it.
fn reply_params(request: &HttpRequest, document: &ParamsDocument) -> Result<HttpResponse, Problem> {
    let mut response = reply(request, document)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", document.version)) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// Who wants to change the params, and from which version on: `If-Match` names one, or `*` for whichever.
fn edit_of(request: &HttpRequest) -> Result<ParamsEdit, Problem> {
    let expected = match request.headers().get(IF_MATCH).map(HeaderValue::to_str) {
        None | Some(Ok("*")) => None,
        Some(tag) => {
            let tag = tag.unwrap_or_default().trim();
            let version = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse();
            Some(version.map_err(|_| Problem::malformed(format!("If-Match must be a version or *, is {tag:?}")))?)
        }
    };
    Ok(ParamsEdit {
        by: changed_by(request),
        expected,
    })
}

/// Who changes something: the header `X-Changed-By`, else the address.
pub(super) fn changed_by(request: &HttpRequest) -> String {
    let named = request
        .headers()
        .get(CHANGED_BY_HEADER)
        .and_then(|value| value.to_str().ok())
        .map(str::trim);
    match named.filter(|name| !name.is_empty()) {
        Some(name) => name
            .chars()
            .filter(|symbol| !symbol.is_control())
            .take(CHANGED_BY_BYTES_MAX)
            .collect(),
        None => request
            .peer_addr()
            .map_or_else(|| "unknown".to_owned(), |address| address.ip().to_string()),
    }
}

fn audit(request: &HttpRequest, what: &str, model: &ModelDescription) {
    tracing::info!(
        by = changed_by(request),
        fingerprint = model.fingerprint,
        version = model.version,
        "{what}"
    );
}
