//! One call of a gorse client: its query, its body, and how it is answered.
//!
//! Owns the words of gorse's answers: JSON, or a status and a plain text. Must not know the routes.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use swipeline_actors::{Engine, EngineError};
use swipeline_models::time::TimestampMs;

use super::door::Door;
use super::ledger::LedgerError;
use super::shapes::read;

/// How many of a list where nothing is said.
const N_DEFAULT: usize = 10;
/// The most of a list.
const N_MAX: usize = 10_000;

/// Why a call is refused, in gorse's words.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The status.
    pub(super) status: StatusCode,
    /// The body, plain text.
    pub(super) text: String,
}

impl Refusal {
    /// The call is wrong.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            text: text.into(),
        }
    }

    /// There is no such thing.
    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            text: text.into(),
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let status = match &error {
            EngineError::Invalid(_) | EngineError::InvalidMany(_) => StatusCode::BAD_REQUEST,
            EngineError::NotFound(_) => StatusCode::NOT_FOUND,
            EngineError::Overloaded { .. } | EngineError::Unavailable(_) | EngineError::JournalFailed(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            EngineError::Conflict(_)
            | EngineError::Outdated { .. }
            | EngineError::DataDir(_)
            | EngineError::ModelRefused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            text: error.to_string(),
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        let status = match &error {
            LedgerError::Full(_) => StatusCode::TOO_MANY_REQUESTS,
            LedgerError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            text: error.to_string(),
        }
    }
}

/// The answer to a call.
pub(super) type Answer = Result<HttpResponse, Refusal>;

/// One call.
pub(super) struct Call<'a> {
    /// What answers.
    pub(super) engine: &'a Engine,
    /// The feedbacks and what they mean.
    pub(super) door: &'a Door,
    /// The time of the call.
    pub(super) now: TimestampMs,
    /// The query's pairs.
    pub(super) query: Vec<(String, String)>,
    /// The body.
    pub(super) body: &'a [u8],
    /// Whether lists of recommendations carry scores (`X-API-Version: 2`).
    pub(super) wants_scores: bool,
}

/// An item or a user with a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Score {
    /// Which.
    pub(super) id: String,
    /// How much.
    pub(super) score: f64,
}

/// How many rows a call has changed.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Success {
    row_affected: usize,
}

impl Call<'_> {
    /// The first value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pair = self.query.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let pairs = self.query.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn whole(&self, name: &str, otherwise: usize) -> Result<usize, Refusal> {
        let Some(text) = self.parameter(name) else {
            return Ok(otherwise);
        };
        let number = text.parse::<i64>();
        let number = number.map_err(|_| Refusal::bad(format!("{name}: {text:?} is not an integer")))?;
        Ok(usize::try_from(number).unwrap_or(0))
    }

    /// How many are wanted.
    pub(super) fn n(&self) -> Result<usize, Refusal> {
        self.whole("n", N_DEFAULT).map(|n| n.min(N_MAX))
    }

    /// How many are passed over.
    pub(super) fn offset(&self) -> Result<usize, Refusal> {
        self.whole("offset", 0).map(|offset| offset.min(N_MAX))
    }

    /// Where a list goes on: the text in the cursor.
    pub(super) fn cursor(&self) -> Result<Option<String>, Refusal> {
        let Some(text) = self.parameter("cursor") else {
            return Ok(None);
        };
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| Refusal::bad(format!("cursor: {error}")))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| Refusal::bad(format!("cursor: {error}")))
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body).map_err(|error| Refusal::bad(error.to_string()))
    }

    /// The body as a shape.
    pub(super) fn shape<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        read(self.json()?).map_err(Refusal::bad)
    }

    /// The body as a list of a shape. null is the empty list, as in Go.
    pub(super) fn shapes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Refusal> {
        match self.json()? {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => list
                .into_iter()
                .map(read)
                .collect::<Result<_, _>>()
                .map_err(Refusal::bad),
            other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                Err(Refusal::bad(format!("expected a list, found {other}")))
            }
        }
    }
}

/// The cursor of a text; empty at the end.
pub(super) fn cursor_of(next: Option<&str>) -> String {
    next.map_or_else(String::new, |text| STANDARD.encode(text))
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    Ok(HttpResponse::Ok().json(value))
}

/// An answer with the number of rows that were changed.
pub(super) fn changed(row_affected: usize) -> Answer {
    json(&Success { row_affected })
}
