//! Errors as RFC 9457 problem documents, and the one mapper from engine errors to them.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use swipeline_actors::EngineError;
use swipeline_models::wire::FieldError;

use super::reply::Format;
use crate::auth::AuthError;
use crate::limits::Exceeded;

/// When to try again after an answer that does not know better.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// What kind of problem it is; each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// 400: the body or the query cannot be read.
    Malformed,
    /// 401: who is there?
    Unauthorized,
    /// 403: not allowed.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 409: contradicts the present state.
    Conflict,
    /// 412: somebody else was faster.
    PreconditionFailed,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the media type is not known.
    UnsupportedMediaType,
    /// 422: readable, but a rule is broken.
    RuleBroken,
    /// 429: too many calls of this caller.
    RateLimited,
    /// 500: a defect of the server.
    Internal,
    /// 503: not now.
    Unavailable,
    /// Anything that the HTTP library answers by itself.
    Other(StatusCode),
}

impl ProblemKind {
    fn status(self) -> StatusCode {
        match self {
            ProblemKind::Malformed => StatusCode::BAD_REQUEST,
            ProblemKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ProblemKind::Forbidden => StatusCode::FORBIDDEN,
            ProblemKind::NotFound => StatusCode::NOT_FOUND,
            ProblemKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ProblemKind::Conflict => StatusCode::CONFLICT,
            ProblemKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ProblemKind::RuleBroken => StatusCode::UNPROCESSABLE_ENTITY,
            ProblemKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ProblemKind::Other(status) => status,
        }
    }

    /// The name in `type`.
    fn name(self) -> &'static str {
        match self {
            ProblemKind::Malformed => "malformed",
            ProblemKind::Unauthorized => "unauthorized",
            ProblemKind::Forbidden => "forbidden",
            ProblemKind::NotFound => "not-found",
            ProblemKind::MethodNotAllowed => "method-not-allowed",
            ProblemKind::Conflict => "conflict",
            ProblemKind::PreconditionFailed => "precondition-failed",
            ProblemKind::TooLarge => "too-large",
            ProblemKind::UnsupportedMediaType => "unsupported-media-type",
            ProblemKind::RuleBroken => "rule-broken",
            ProblemKind::RateLimited => "rate-limited",
            ProblemKind::Internal => "internal",
            ProblemKind::Unavailable => "unavailable",
            ProblemKind::Other(_) => "other",
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemItem {
    /// Its place in a list, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// The field's path, such as `categories[2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// A short, stable code.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) detail: String,
}

impl From<FieldError> for ProblemItem {
    fn from(error: FieldError) -> Self {
        Self {
            index: None,
            field: Some(error.field),
            code: error.code,
            detail: error.detail,
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemDto {
    /// Names the kind of problem: `urn:swipeline:problem:<kind>`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The status in words.
    pub(crate) title: String,
    /// The status.
    pub(crate) status: u16,
    /// What is wrong, for people.
    pub(crate) detail: String,
    /// The path of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// Which rules are broken, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<ProblemItem>,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<ProblemItem>,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let retry_after = (kind == ProblemKind::Unavailable).then_some(RETRY_AFTER_DEFAULT);
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after,
            allow: None,
        }
    }

    /// A body or a query that cannot be read.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Malformed, detail)
    }

    /// A readable call that breaks rules. A number that is not finite counts as malformed.
    pub(crate) fn rules(errors: Vec<FieldError>) -> Self {
        let not_finite = errors.iter().any(|error| error.code == "not_finite");
        let kind = if not_finite {
            ProblemKind::Malformed
        } else {
            ProblemKind::RuleBroken
        };
        let detail = match errors.as_slice() {
            [error] => format!("{}: {}", error.field, error.detail),
            errors => format!("{} fields are not valid", errors.len()),
        };
        Self {
            errors: errors.into_iter().map(ProblemItem::from).collect(),
            ..Self::new(kind, detail)
        }
    }

    /// A call that says what nobody reads.
    pub(crate) fn unknown(errors: Vec<ProblemItem>) -> Self {
        let named = |item: &ProblemItem| format!("{} {}", item.field.as_deref().unwrap_or("a field"), item.detail);
        let detail = match errors.as_slice() {
            [error] => named(error),
            errors => errors.iter().map(named).collect::<Vec<_>>().join("; "),
        };
        let detail = format!("{detail} (`lenient=1` makes it a warning)");
        Self {
            errors,
            ..Self::malformed(detail)
        }
    }

    /// A body of which one field cannot be read.
    pub(crate) fn unreadable(error: FieldError) -> Self {
        Self {
            errors: vec![ProblemItem::from(error.clone())],
            ..Self::malformed(format!("{}: {}", error.field, error.detail))
        }
    }

    /// A part of a call that cannot be read.
    pub(crate) fn rule_malformed(field: &str, code: &str, detail: &str) -> Self {
        Self::unreadable(FieldError::new(field, code, detail))
    }

    /// One broken rule.
    pub(crate) fn rule(field: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::rules(vec![FieldError::new(field, code, detail)])
    }

    /// A method that this path does not know.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        Self {
            allow: Some(allow.clone()),
            ..Self::new(ProblemKind::MethodNotAllowed, format!("this path takes {allow}"))
        }
    }

    /// The problem of an answer that the HTTP library made by itself.
    pub(crate) fn of_status(status: StatusCode, detail: String) -> Self {
        let kind = match status {
            StatusCode::BAD_REQUEST => ProblemKind::Malformed,
            StatusCode::NOT_FOUND => ProblemKind::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => ProblemKind::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemKind::UnsupportedMediaType,
            StatusCode::INTERNAL_SERVER_ERROR => ProblemKind::Internal,
            StatusCode::SERVICE_UNAVAILABLE => ProblemKind::Unavailable,
            other => ProblemKind::Other(other),
        };
        Self::new(kind, detail)
    }

    fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// The document.
    pub(crate) fn to_dto(&self, instance: Option<String>) -> ProblemDto {
        let status = self.kind.status();
        ProblemDto {
            kind: format!("urn:swipeline:problem:{}", self.kind.name()),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance,
            errors: self.errors.clone(),
        }
    }

    /// The answer in the caller's format.
    pub(crate) fn to_response(&self, format: Format, instance: Option<String>) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status());
        if let Some(retry_after) = self.retry_after {
            let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if self.kind == ProblemKind::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"swipeline\""));
        }
        let document = self.to_dto(instance);
        let (media_type, body) = match format {
            Format::Json => ("application/problem+json", serde_json::to_vec(&document).ok()),
            Format::MessagePack => ("application/problem+msgpack", rmp_serde::to_vec_named(&document).ok()),
        };
        response
            .insert_header((CONTENT_TYPE, media_type))
            .body(body.unwrap_or_default())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    /// JSON without `instance`; the edge renders it again when the caller wants another format.
    fn error_response(&self) -> HttpResponse {
        let mut response = self.to_response(Format::Json, None);
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error {
            EngineError::Overloaded { retry_after_ms } => {
                Self::new(ProblemKind::Unavailable, text).retry_after(Duration::from_millis(retry_after_ms))
            }
            EngineError::JournalFailed(_) | EngineError::Unavailable(_) | EngineError::DataDir(_) => {
                Self::new(ProblemKind::Unavailable, text)
            }
            EngineError::Invalid(error) => Self::rules(vec![error]),
            EngineError::InvalidMany(errors) => Self::rules(errors),
            EngineError::NotFound(_) => Self::new(ProblemKind::NotFound, text),
            EngineError::Conflict(_) => Self::new(ProblemKind::Conflict, text),
            EngineError::Outdated { .. } => Self::new(ProblemKind::PreconditionFailed, text),
            EngineError::ModelRefused(_) => Self::rule("model", "model_refused", text),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Self::new(ProblemKind::Unauthorized, error.to_string())
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        metrics::counter!("swipeline_rate_limited_total", "scope" => exceeded.scope).increment(1);
        Self::new(ProblemKind::RateLimited, format!("too many calls ({})", exceeded.scope))
            .retry_after(exceeded.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_error_has_its_status() {
        let status = |error: EngineError| Problem::from(error).status_code().as_u16();
        let field = || FieldError::new("n", "out_of_range", "is 0");
        assert_eq!(status(EngineError::Overloaded { retry_after_ms: 1_500 }), 503);
        assert_eq!(status(EngineError::JournalFailed("disk full".to_owned())), 503);
        assert_eq!(status(EngineError::Unavailable("draining".to_owned())), 503);
        assert_eq!(status(EngineError::Invalid(field())), 422);
        assert_eq!(status(EngineError::InvalidMany(vec![field(), field()])), 422);
        assert_eq!(status(EngineError::NotFound("item".to_owned())), 404);
        assert_eq!(status(EngineError::Conflict("old".to_owned())), 409);
        let outdated = EngineError::Outdated {
            expected: 1,
            current: 2,
        };
        assert_eq!(status(outdated), 412);
        assert_eq!(status(EngineError::ModelRefused("wrong shape".to_owned())), 422);
    }

    #[test]
    fn not_now_says_when() {
        let response = Problem::from(EngineError::Overloaded { retry_after_ms: 1_500 }).error_response();
        assert_eq!(
            response.headers().get(RETRY_AFTER).map(|value| value.as_bytes()),
            Some(b"2".as_slice())
        );
        let response = Problem::from(EngineError::Unavailable("draining".to_owned())).error_response();
        assert_eq!(
            response.headers().get(RETRY_AFTER).map(|value| value.as_bytes()),
            Some(b"1".as_slice())
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_malformed() {
        let problem = Problem::rule("embedding[1]", "not_finite", "must be a finite number");
        assert_eq!(problem.status_code(), StatusCode::BAD_REQUEST);
    }
}
