//! What a call says that nobody reads: refused by name, or with `lenient=1` told in the answer's `warnings`.
//!
//! Owns which parameters an operation has (those that the API document names) and what becomes of the others. Must not
//! know what any of them means.

use std::collections::HashMap;
use std::sync::OnceLock;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError};
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemItem};
use super::query::Query;
use crate::object::Object;
use crate::openapi::parameters;
use crate::unknown::{Unknown, watch};

/// The parameter that every operation has: what is not known is told and not refused.
const LENIENT: &str = "lenient";

/// What of a call was not read.
#[derive(Default)]
pub(super) struct Warnings(pub(super) Vec<ProblemItem>);

/// Refuses parameters that the operation does not have. Pages and health checks take any: whoever asks for those adds what
/// keeps a cache from answering.
pub(super) async fn check_query(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match check(request.request()) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}

fn check(request: &HttpRequest) -> Result<(), Problem> {
    if request.query_string().is_empty() || request.path() == crate::ws::STREAM_PATH {
        return Ok(());
    }
    let pattern = request.match_pattern().filter(|pattern| pattern.starts_with("/v1/"));
    let Some(known) = pattern.and_then(|pattern| known_parameters(request.method().as_str(), &pattern)) else {
        return Ok(());
    };
    let query = Query::of(request)?;
    let is_known = |name: &&str| *name == LENIENT || known.iter().any(|known| known == name);
    let unknown: Vec<Unknown> = query
        .given()
        .filter(|name| !is_known(name))
        .map(|name| Unknown::new(0, name, known.iter().map(String::as_str)))
        .collect();
    judge(request, unknown, |unknown| ProblemItem {
        index: None,
        field: Some(unknown.name.clone()),
        code: "unknown_parameter".to_owned(),
        detail: unknown.detail(),
    })
}

/// Reads a document and refuses fields that it does not have.
pub(super) fn document<T>(request: &HttpRequest, read: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    checked(request, read, |_| None)
}

/// Reads a list and refuses fields that its elements do not have: nothing of the list is taken then.
pub(super) fn list<T>(request: &HttpRequest, read: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    checked(request, read, |unknown| Some(unknown.element))
}

/// A merge patch; anything but an object would replace the whole.
pub(super) fn patch(document: &serde_json::Value) -> Result<serde_json::Value, Problem> {
    if document.is_object() {
        Ok(document.clone())
    } else {
        Err(Problem::malformed("a merge patch must be an object"))
    }
}

/// Reads a patched document and refuses fields that it does not have.
pub(super) fn patched<T: DeserializeOwned>(request: &HttpRequest, document: serde_json::Value) -> Result<T, Problem> {
    self::document(request, || {
        let read = serde_json::from_value::<Object<T>>(document);
        read.map(|Object(read)| read)
            .map_err(|error| Problem::malformed(format!("the patched document is not the expected JSON: {error}")))
    })
}

fn checked<T>(
    request: &HttpRequest,
    read: impl FnOnce() -> Result<T, Problem>,
    index: impl Fn(&Unknown) -> Option<usize>,
) -> Result<T, Problem> {
    let (document, unknown) = watch(read);
    let document = document?;
    judge(request, unknown, |unknown| ProblemItem {
        index: index(unknown),
        field: Some(unknown.name.clone()),
        code: "unknown_field".to_owned(),
        detail: unknown.detail(),
    })?;
    Ok(document)
}

fn judge(request: &HttpRequest, unknown: Vec<Unknown>, item: impl Fn(&Unknown) -> ProblemItem) -> Result<(), Problem> {
    if unknown.is_empty() {
        return Ok(());
    }
    let items: Vec<ProblemItem> = unknown.iter().map(item).collect();
    if !Query::of(request)?.flag(LENIENT)? {
        return Err(Problem::unknown(items));
    }
    let mut extensions = request.extensions_mut();
    if let Some(Warnings(warnings)) = extensions.get_mut::<Warnings>() {
        warnings.extend(items);
    } else {
        extensions.insert(Warnings(items));
    }
    Ok(())
}

fn known_parameters(method: &str, pattern: &str) -> Option<&'static [String]> {
    static KNOWN: OnceLock<HashMap<(String, String), Vec<String>>> = OnceLock::new();
    let method = if method == "HEAD" { "GET" } else { method };
    let known = KNOWN.get_or_init(parameters);
    known.get(&(method.to_owned(), pattern.to_owned())).map(Vec::as_slice)
}
