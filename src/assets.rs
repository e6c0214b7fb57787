//! The pages: the documentation viewer, the swipe page of the demo and what they load, embedded in the binary.
//!
//! Owns their paths, media types and the content security policy. Must not know what the pages do.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde_json::json;

use crate::rest::{Endpoint, Problem, ProblemKind};
use crate::server::Pages;

/// Nothing from anywhere but this server; no inline script or style; not in a frame.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// The pages as endpoints; they are not part of the API document.
pub(crate) fn endpoints(pages: Pages) -> Vec<Endpoint> {
    let root = match pages {
        Pages::Api => Endpoint::get("/", landing),
        Pages::Demo => Endpoint::get("/", swipe_page),
    };
    vec![
        root,
        Endpoint::get("/docs", docs_page),
        Endpoint::get("/favicon.ico", favicon),
        Endpoint::get("/assets/{path:.+}", asset),
    ]
}

async fn landing() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": "swipeline",
        "version": env!("CARGO_PKG_VERSION"),
        "docs": "/docs",
        "openapi": "/openapi.json",
        "stream": "/v1/stream",
    }))
}

async fn swipe_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "index.html")
}

async fn docs_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "docs.html")
}

async fn favicon(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "favicon.svg")
}

async fn asset(request: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    if path.ends_with(".html") {
        return Err(Problem::new(ProblemKind::NotFound, "there is no such asset"));
    }
    file(&request, &path)
}

fn file(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let Some(EmbeddedFile { data, metadata }) = Web::get(path) else {
        return Err(Problem::new(ProblemKind::NotFound, "there is no such asset"));
    };
    let tag: String = metadata
        .sha256_hash()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let unchanged = request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_SECURITY))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag));
    if unchanged {
        return Ok(response.finish());
    }
    Ok(response
        .insert_header((CONTENT_TYPE, media_type(path)))
        .body(data.into_owned()))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
