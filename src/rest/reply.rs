//! Answers in the caller's format: JSON or MessagePack with the same field names.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;

use super::known::Warnings;
use super::problem::{Problem, ProblemItem, ProblemKind};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json`.
    Json,
    /// `application/msgpack`, named maps.
    MessagePack,
}

impl Format {
    /// What the caller wants: what `Accept` names, else the format of the body, else JSON.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let accept: Vec<&str> = headers
            .get_all(ACCEPT)
            .filter_map(|value| value.to_str().ok())
            .collect();
        let mut best: Option<(f32, Format)> = None;
        for (media_type, quality) in accept.iter().flat_map(|value| value.split(',')).map(quality_of) {
            let format = match media_type.as_str() {
                "application/json" | "application/problem+json" => Format::Json,
                other if is_msgpack(other) => Format::MessagePack,
                _ => continue,
            };
            if quality > 0.0 && best.is_none_or(|(highest, _)| quality > highest) {
                best = Some((quality, format));
            }
        }
        best.map_or_else(|| Self::of_body(headers), |(_, format)| format)
    }

    fn of_body(headers: &HeaderMap) -> Self {
        match media_type(headers) {
            Some(media_type) if is_msgpack(&media_type) => Format::MessagePack,
            _ => Format::Json,
        }
    }
}

/// The media type of the body, in small letters and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    let text = value.to_str().unwrap_or("not readable");
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Whether a media type means MessagePack.
pub(crate) fn is_msgpack(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" | "application/problem+msgpack"
    )
}

/// A document with what of the call was not read.
#[derive(Serialize)]
struct Warned<'a, T> {
    #[serde(flatten)]
    document: &'a T,
    warnings: &'a [ProblemItem],
}

/// An answer with a document.
pub(crate) fn reply<T: Serialize>(request: &HttpRequest, document: &T) -> Result<HttpResponse, Problem> {
    match request.extensions().get::<Warnings>() {
        Some(Warnings(warnings)) => answer(request, &Warned { document, warnings }),
        None => answer(request, document),
    }
}

fn answer<T: Serialize>(request: &HttpRequest, document: &T) -> Result<HttpResponse, Problem> {
    let (media_type, body) = match Format::wanted(request.headers()) {
        Format::Json => (
            "application/json",
            serde_json::to_vec(document).map_err(|error| error.to_string()),
        ),
        Format::MessagePack => (
            "application/msgpack",
            rmp_serde::to_vec_named(document).map_err(|error| error.to_string()),
        ),
    };
    let body = body.map_err(|error| Problem::new(ProblemKind::Internal, format!("the answer has no form: {error}")))?;
    Ok(HttpResponse::build(StatusCode::OK)
        .insert_header((CONTENT_TYPE, media_type))
        .body(body))
}

/// A name of a list such as `Accept`, in small letters, and how much it is liked.
pub(crate) fn quality_of(part: &str) -> (String, f32) {
    let mut parameters = part.split(';');
    let media_type = parameters.next().unwrap_or_default().trim().to_ascii_lowercase();
    let quality = parameters
        .filter_map(|parameter| parameter.trim().strip_prefix("q="))
        .find_map(|quality| quality.trim().parse::<f32>().ok())
        .unwrap_or(1.0);
    (media_type, quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn wanted(accept: Option<&'static str>, content_type: Option<&'static str>) -> Format {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Format::wanted(&headers)
    }

    #[test]
    fn accept_decides_then_the_body_then_json() {
        assert_eq!(wanted(None, None), Format::Json);
        assert_eq!(wanted(Some("*/*"), None), Format::Json);
        assert_eq!(wanted(Some("*/*"), Some("application/msgpack")), Format::MessagePack);
        assert_eq!(
            wanted(Some("application/json"), Some("application/msgpack")),
            Format::Json
        );
        assert_eq!(
            wanted(Some("application/msgpack"), Some("application/json")),
            Format::MessagePack
        );
        assert_eq!(
            wanted(Some("application/json;q=0.5, application/x-msgpack"), None),
            Format::MessagePack
        );
        assert_eq!(wanted(Some("application/msgpack;q=0"), None), Format::Json);
        assert_eq!(wanted(Some("text/html"), None), Format::Json);
    }
}
