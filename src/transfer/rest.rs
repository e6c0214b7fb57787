//! A running server, asked over REST.
//!
//! Owns addresses, the credential, problem documents and patience (429 and 503 are tried again after `Retry-After`).
//! Must not know what is asked.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The environment variable with the API key (or viewer's token) for a server that asks for one.
pub(crate) const CREDENTIAL_VARIABLE: &str = "SWIPELINE_API_KEY";
/// How often a call is tried again before it counts as failed.
const RETRIES_MAX: u32 = 60;
/// The longest wait between two tries, whatever the server says.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// The wait when the server does not say how long.
const RETRY_WAIT_DEFAULT: Duration = Duration::from_secs(1);
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an answer may take that is read as it comes: whole exports and backups.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestError {
    /// The address cannot be used.
    #[error("{url:?} is not the address of a server (such as http://127.0.0.1:8080): {detail}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// No answer.
    #[error("{url} does not answer: {detail}")]
    NoAnswer {
        /// What was called.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The server refused.
    #[error("the server says {status}: {detail}")]
    Refused {
        /// With which status.
        status: StatusCode,
        /// Why.
        detail: String,
    },
    /// The answer is not what the API promises.
    #[error("the server's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// The part of a problem document (RFC 9457) that people read.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<ProblemItem>,
}

#[derive(Deserialize)]
struct ProblemItem {
    #[serde(default)]
    field: Option<String>,
    detail: String,
}

/// A running server.
#[derive(Debug, Clone)]
pub(crate) struct RestServer {
    http: reqwest::Client,
    root: Url,
    credential: Option<String>,
}

impl RestServer {
    /// The server at `url`. The credential goes with every call as `Authorization: Bearer`.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) fn new(url: &str, credential: Option<String>) -> Result<Self, RestError> {
        let wrong = |detail: String| RestError::Address {
            url: url.to_owned(),
            detail,
        };
        let root: Url = url.parse().map_err(|error| wrong(format!("{error}")))?;
        if root.scheme() != "http" {
            return Err(wrong(
                "only http is spoken here; put TLS in front of the server and call it from inside".to_owned(),
            ));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .build();
        Ok(Self {
            http: http.map_err(|error| wrong(error.to_string()))?,
            root,
            credential,
        })
    }

    /// The address of a path given by its segments; anything may stand in a segment.
    fn address(&self, segments: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.root.clone();
        // Fails only for addresses such as `mailto:`, which `new` does not let in.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Asks and reads the answer.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that cannot be read.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, RestError> {
        let body = self.call(Method::GET, self.address(segments, query), None).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Asks for a long answer, which the caller reads as it comes.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn open(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
    ) -> Result<reqwest::Response, RestError> {
        let url = self.address(segments, query);
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let silent = |error: reqwest::Error| RestError::NoAnswer {
            url: shown.clone(),
            detail: root_cause(&error),
        };
        let mut request = self.http.get(url).timeout(LONG_ANSWER_TIMEOUT);
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        Err(refusal(status, &answer.bytes().await.map_err(silent)?))
    }

    /// Sends a body and reads the answer. What the server has no room for now (429, 503) is sent again.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that cannot be read.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, String)],
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<T, RestError> {
        let (url, body) = (self.address(segments, query), bytes::Bytes::from(body));
        for _ in 0..RETRIES_MAX {
            match self
                .try_call(method.clone(), url.clone(), Some((content_type, body.clone())))
                .await?
            {
                Answer::Done(answer) => return Ok(serde_json::from_slice(&answer)?),
                Answer::Later(wait) => tokio::time::sleep(wait).await,
            }
        }
        let answer = self.call(method, url, Some((content_type, body))).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Deletes.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn delete(&self, segments: &[&str]) -> Result<(), RestError> {
        self.call(Method::DELETE, self.address(segments, &[]), None)
            .await
            .map(drop)
    }

    /// One try; "later" is a refusal like any other.
    async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<(&'static str, bytes::Bytes)>,
    ) -> Result<bytes::Bytes, RestError> {
        let (status, _, answer) = self.exchange(method, url, body).await?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(status, &answer))
        }
    }

    async fn try_call(
        &self,
        method: Method,
        url: Url,
        body: Option<(&'static str, bytes::Bytes)>,
    ) -> Result<Answer, RestError> {
        let (status, headers, answer) = self.exchange(method, url, body).await?;
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(Answer::Later(wait_of(&headers)));
        }
        if status.is_success() {
            Ok(Answer::Done(answer))
        } else {
            Err(refusal(status, &answer))
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Option<(&'static str, bytes::Bytes)>,
    ) -> Result<(StatusCode, HeaderMap, bytes::Bytes), RestError> {
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let silent = |error: reqwest::Error| RestError::NoAnswer {
            url: shown.clone(),
            detail: root_cause(&error),
        };
        let mut request = self.http.request(method, url);
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        if let Some((content_type, bytes)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(bytes);
        }
        let response = request.send().await.map_err(silent)?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok((status, headers, response.bytes().await.map_err(silent)?))
    }
}

enum Answer {
    Done(bytes::Bytes),
    Later(Duration),
}

fn wait_of(headers: &HeaderMap) -> Duration {
    let said = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    said.map_or(RETRY_WAIT_DEFAULT, Duration::from_secs).min(RETRY_WAIT_MAX)
}

fn refusal(status: StatusCode, body: &[u8]) -> RestError {
    let detail = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let items = problem.errors.iter().map(|item| match &item.field {
                Some(field) => format!("{field}: {}", item.detail),
                None => item.detail.clone(),
            });
            std::iter::once(problem.detail.clone())
                .chain(items)
                .collect::<Vec<_>>()
                .join("; ")
        }
        Err(_) => "(no problem document)".to_owned(),
    };
    let hint = if status == StatusCode::UNAUTHORIZED {
        format!("; set {CREDENTIAL_VARIABLE}")
    } else {
        String::new()
    };
    RestError::Refused {
        status,
        detail: format!("{detail}{hint}"),
    }
}

/// The innermost cause: "connection refused" instead of "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_may_stand_in_a_segment() {
        let server = RestServer::new("http://127.0.0.1:8080/base/", None).expect("an address");
        let url = server.address(&["v1", "users", "a/b ?é", "feed"], &[("n", "5".to_owned())]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/base/v1/users/a%2Fb%20%3F%C3%A9/feed?n=5"
        );
    }

    #[test]
    fn an_address_that_cannot_be_used_is_named() {
        for url in ["nowhere", "https://example.org", "127.0.0.1:8080"] {
            let error = RestServer::new(url, None).expect_err("refused").to_string();
            assert!(error.contains(url), "{error}");
        }
    }

    #[test]
    fn the_servers_wish_to_wait_is_kept_within_reason() {
        let headers = |value: &str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header"))]);
        assert_eq!(wait_of(&headers("7")), Duration::from_secs(7));
        assert_eq!(wait_of(&headers("86400")), RETRY_WAIT_MAX);
        assert_eq!(wait_of(&headers("soon")), RETRY_WAIT_DEFAULT);
    }

    #[test]
    fn a_problem_document_is_told_with_its_fields() {
        let body = br#"{"type":"x","title":"t","status":422,"detail":"no","errors":[{"field":"n","code":"c","detail":"too large"}]}"#;
        let error = refusal(StatusCode::UNPROCESSABLE_ENTITY, body).to_string();
        assert!(error.contains("422") && error.contains("no; n: too large"), "{error}");
    }
}
