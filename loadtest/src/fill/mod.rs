//! Filling a server with the generated catalogue and, if wanted, with a history of views, over REST.
//!
//! Owns batching and the reading of replies. Must not print; progress goes to a callback.

mod history;

use std::error::Error as _;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swipeline_models::wire::{ItemDto, ItemsReply, Rejection};
use tokio::task::JoinSet;

use crate::behaviour::Catalogue;

pub use history::{HistoryTotals, fill_history};

/// Items per request without embeddings; a request stays far below 8 MiB.
const PAGE_ITEMS: usize = 2_000;
/// Numbers of embeddings per request: about 12 bytes each in JSON.
const PAGE_NUMBERS_MAX: usize = 200_000;
/// Requests under way at a time.
const REQUESTS_MAX: usize = 4;
/// How often a request is repeated that was refused for a while.
const RETRIES_MAX: u32 = 20;
/// The pause before a repetition when the server does not name one.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FillTotals {
    /// Items taken.
    pub upserted: usize,
    /// Items not taken.
    pub rejected: usize,
    /// Why the first of them was not.
    pub first_rejection: Option<Rejection>,
}

/// Why a server could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// Nobody answers, or the connection broke.
    #[error("no server answers at {url}: {detail}")]
    NoServer {
        /// Where.
        url: String,
        /// Why not.
        detail: String,
    },
    /// It refused.
    #[error("the server answered {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The reason that it gave.
        detail: String,
    },
    /// It answered something else than the contract says.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(String),
}

/// The part of an RFC 9457 problem that is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

/// Upserts the whole catalogue; `progress` hears how many items are done.
///
/// # Errors
/// The server does not answer, refuses, or answers nonsense. Single rejected items are counted, not an error.
pub async fn fill(rest_root: &str, catalogue: &Catalogue, progress: impl Fn(usize)) -> Result<FillTotals, FillError> {
    let url = format!("{}/v1/items", rest_root.trim_end_matches('/'));
    let http = reqwest::Client::new();
    let numbers = catalogue.config().dim.unwrap_or(1);
    let page_len = PAGE_ITEMS.min(PAGE_NUMBERS_MAX / numbers.max(1)).max(1);
    let mut totals = FillTotals::default();
    let mut requests = JoinSet::new();
    for page in catalogue.pages(page_len) {
        if requests.len() >= REQUESTS_MAX {
            take_reply(&mut requests, &mut totals, &progress).await?;
        }
        requests.spawn(Box::pin(send_page(http.clone(), url.clone(), page)));
    }
    while !requests.is_empty() {
        take_reply(&mut requests, &mut totals, &progress).await?;
    }
    Ok(totals)
}

async fn take_reply(
    requests: &mut JoinSet<Result<ItemsReply, FillError>>,
    totals: &mut FillTotals,
    progress: &impl Fn(usize),
) -> Result<(), FillError> {
    let Some(joined) = requests.join_next().await else {
        return Ok(());
    };
    let reply = joined.map_err(|error| FillError::Nonsense(error.to_string()))??;
    totals.upserted += reply.upserted;
    totals.rejected += reply.rejected.len();
    if totals.first_rejection.is_none() {
        totals.first_rejection = reply.rejected.into_iter().next();
    }
    progress(totals.upserted + totals.rejected);
    Ok(())
}

async fn send_page(http: reqwest::Client, url: String, page: Vec<ItemDto>) -> Result<ItemsReply, FillError> {
    post(&http, &url, &page).await
}

/// Posts a list; one that is refused for a while (429, 503) is posted again. Neither an upsert nor an event with an id
/// does harm twice.
async fn post<T: DeserializeOwned>(http: &reqwest::Client, url: &str, list: &impl Serialize) -> Result<T, FillError> {
    let no_server = |error: reqwest::Error| {
        let cause = error
            .source()
            .and_then(|cause| cause.source().or(Some(cause)))
            .map(ToString::to_string);
        FillError::NoServer {
            url: url.to_owned(),
            detail: cause.unwrap_or_else(|| error.to_string()),
        }
    };
    let mut attempt = 0;
    loop {
        let reply = http
            .post(url)
            .timeout(TIMEOUT)
            .json(list)
            .send()
            .await
            .map_err(no_server)?;
        let status = reply.status().as_u16();
        if matches!(status, 429 | 503) && attempt < RETRIES_MAX {
            attempt += 1;
            let seconds = reply
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            tokio::time::sleep(seconds.map_or(RETRY_PAUSE, Duration::from_secs)).await;
            continue;
        }
        let body = reply.bytes().await.map_err(no_server)?;
        if !(200..300).contains(&status) {
            let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
            let detail = format!("{} {}", problem.title, problem.detail).trim().to_owned();
            return Err(FillError::Refused { status, detail });
        }
        return serde_json::from_slice(&body).map_err(|error| FillError::Nonsense(error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::{App, HttpResponse, HttpServer, web};
    use parking_lot::Mutex;
    use swipeline_models::time::TimestampMs;

    use super::*;
    use crate::behaviour::CatalogueConfig;

    fn catalogue(items: usize) -> Catalogue {
        let config = CatalogueConfig {
            items,
            dim: None,
            seed: 1,
            now: TimestampMs(1_790_000_000_000),
            days: 3,
        };
        Catalogue::new(config).expect("possible")
    }

    /// A server that refuses the first page once and rejects item `v3`.
    fn start_server(seen: Arc<Mutex<Vec<usize>>>) -> (String, actix_web::dev::ServerHandle) {
        let server = HttpServer::new(move || {
            let seen = Arc::clone(&seen);
            App::new().app_data(web::JsonConfig::default().limit(8 << 20)).route(
                "/v1/items",
                web::post().to(move |page: web::Json<Vec<ItemDto>>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let mut seen = seen.lock();
                        seen.push(page.len());
                        if seen.len() == 1 {
                            return HttpResponse::TooManyRequests()
                                .insert_header(("retry-after", "0"))
                                .finish();
                        }
                        let rejected: Vec<Rejection> = page
                            .iter()
                            .enumerate()
                            .filter(|(_, item)| item.id == "v3")
                            .map(|(index, _)| Rejection {
                                index,
                                code: "no".to_owned(),
                                detail: "d".to_owned(),
                            })
                            .collect();
                        HttpResponse::Ok().json(ItemsReply {
                            upserted: page.len() - rejected.len(),
                            rejected,
                        })
                    }
                }),
            )
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let root = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        (root, handle)
    }

    #[actix_web::test]
    async fn pages_are_sent_again_when_refused_and_rejections_are_counted() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (root, handle) = start_server(Arc::clone(&seen));
        let totals = fill(&root, &catalogue(5_000), |_| {}).await.expect("filled");
        assert_eq!((totals.upserted, totals.rejected), (4_999, 1));
        assert_eq!(totals.first_rejection.expect("is kept").code, "no");
        assert_eq!(seen.lock().len(), 4, "three pages and one repetition");
        handle.stop(false).await;
    }

    #[actix_web::test]
    async fn a_server_that_is_not_there_is_named() {
        // Port 1 needs privileges that no test server has.
        let error = fill("http://127.0.0.1:1", &catalogue(1), |_| {})
            .await
            .expect_err("nobody listens");
        assert!(error.to_string().contains("http://127.0.0.1:1/v1/items"), "{error}");
    }
}
