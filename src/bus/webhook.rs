//! Webhooks: accepted events, posted in their order to an address, signed and retried.
//!
//! Owns the delivery. The journal is the queue: a webhook is a durable cursor in it, so nothing is lost by a restart and
//! memory holds one batch. What is delivered may come twice (a receiver goes by `X-Swipeline-Delivery`, or by sequence and
//! place); it never comes out of order.

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Serialize;
use swipeline_actors::{Engine, EngineError, TailedEvent};
use swipeline_models::wire::EventDto;

use super::cursor::Cursor;
use super::signature::signature;
use crate::config::WebhookSettings;

/// The folder of the cursors in a data directory.
const FOLDER: &str = "webhooks";
/// The most events of one delivery.
const EVENTS_PER_CALL_MAX: usize = 500;
/// How long events are gathered.
const GATHER: Duration = Duration::from_millis(100);
/// The cursor is written after so many records at the latest.
const RECORDS_UNWRITTEN_MAX: u64 = 10_000;
/// How long a receiver may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The waits between tries: doubled from the first to the last.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(500);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);
/// So often a delivery is tried that the receiver refuses for what it is (4xx); then it is passed over.
const REFUSALS_MAX: u32 = 10;

/// The body of a delivery.
#[derive(Serialize)]
struct Delivery<'a> {
    /// The number of the first record in it.
    first: u64,
    /// The number of the last.
    last: u64,
    events: Vec<Delivered<'a>>,
}

#[derive(Serialize)]
struct Delivered<'a> {
    sequence: u64,
    accepted_at: i64,
    #[serde(flatten)]
    event: &'a EventDto,
}

/// What a receiver said.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It has it.
    Taken,
    /// Not now.
    Later,
    /// Not this.
    Refused,
}

/// Starts a task for each webhook; they end with the runtime, or when the journal has failed.
pub(crate) fn start_webhooks(engine: &Engine, webhooks: &[WebhookSettings], data_dir: &Path) {
    for settings in webhooks {
        let webhook = Webhook::new(engine.clone(), settings.clone(), data_dir);
        match webhook {
            Ok(mut webhook) => {
                actix_web::rt::spawn(async move { webhook.run().await });
            }
            Err(error) => tracing::error!(url = settings.url, %error, "a webhook cannot be started"),
        }
    }
}

struct Webhook {
    engine: Engine,
    settings: WebhookSettings,
    http: reqwest::Client,
    cursor: Cursor,
    /// Everything up to this record has been delivered or passed over.
    delivered: u64,
    /// What the cursor says.
    written: u64,
}

impl Webhook {
    fn new(engine: Engine, settings: WebhookSettings, data_dir: &Path) -> anyhow::Result<Self> {
        let cursor = Cursor::of(&data_dir.join(FOLDER), &settings.url)?;
        // A new webhook hears of what happens from now on; the past can be exported.
        let delivered = match cursor.read()? {
            Some(number) => number,
            None => {
                let now = engine.committed();
                cursor.write(now)?;
                now
            }
        };
        Ok(Self {
            engine,
            settings,
            http: reqwest::Client::builder()
                .timeout(CALL_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            cursor,
            delivered,
            written: delivered,
        })
    }

    async fn run(&mut self) {
        loop {
            if let Err(error) = self.engine.wait_committed(self.delivered).await {
                tracing::info!(url = self.settings.url, %error, "a webhook ends");
                return;
            }
            // Events that come one behind the other go together, and the journal is not read for each of them.
            tokio::time::sleep(GATHER).await;
            let (engine, after) = (self.engine.clone(), self.delivered);
            let read = tokio::task::spawn_blocking(move || engine.tail(after, EVENTS_PER_CALL_MAX)).await;
            let tail = read.unwrap_or_else(|error| Err(EngineError::Unavailable(error.to_string())));
            match tail {
                Ok(tail) => {
                    if tail.records_lost > 0 {
                        tracing::warn!(
                            url = self.settings.url,
                            records = tail.records_lost,
                            "a webhook was away for too long"
                        );
                        metrics::counter!("swipeline_webhook_lost_records_total").increment(tail.records_lost);
                    }
                    let wanted: Vec<&TailedEvent> = tail.events.iter().filter(|event| self.wants(event)).collect();
                    if !wanted.is_empty() {
                        self.deliver(&wanted).await;
                    }
                    self.delivered = tail.upto;
                    // What held nothing for the receiver may be looked at again after a restart.
                    let is_worth_writing = !wanted.is_empty() || self.delivered - self.written >= RECORDS_UNWRITTEN_MAX;
                    if !is_worth_writing {
                        continue;
                    }
                    self.written = self.delivered;
                    if let Err(error) = self.cursor.write(self.delivered) {
                        tracing::warn!(url = self.settings.url, %error, "how far a webhook has come cannot be written");
                    }
                }
                Err(error) => {
                    tracing::warn!(url = self.settings.url, %error, "the journal cannot be read for a webhook");
                    tokio::time::sleep(RETRY_WAIT_MAX).await;
                }
            }
        }
    }

    fn wants(&self, event: &TailedEvent) -> bool {
        let kinds = &self.settings.kinds;
        kinds.is_empty() || kinds.iter().any(|kind| kind == "events" || *kind == event.event.kind)
    }

    /// Tries until the receiver has it, or refuses it for good.
    async fn deliver(&self, events: &[&TailedEvent]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return;
        };
        let delivery = Delivery {
            first: first.sequence,
            last: last.sequence,
            events: events
                .iter()
                .map(|tailed| Delivered {
                    sequence: tailed.sequence,
                    accepted_at: tailed.accepted_at,
                    event: &tailed.event,
                })
                .collect(),
        };
        let body = match serde_json::to_vec(&delivery) {
            Ok(body) => bytes::Bytes::from(body),
            Err(error) => return tracing::error!(%error, "events cannot be written as JSON"),
        };
        let id = format!("{}-{}", first.sequence, last.sequence);
        let (mut wait, mut refusals) = (RETRY_WAIT_MIN, 0);
        loop {
            let verdict = self.call(&id, body.clone()).await;
            let outcome = match verdict {
                Verdict::Taken => "taken",
                Verdict::Later => "later",
                Verdict::Refused => "refused",
            };
            metrics::counter!("swipeline_webhook_calls_total", "outcome" => outcome).increment(1);
            match verdict {
                Verdict::Taken => return,
                Verdict::Later => {}
                Verdict::Refused => refusals += 1,
            }
            if refusals >= REFUSALS_MAX {
                tracing::warn!(
                    url = self.settings.url,
                    delivery = id,
                    "a receiver refuses events; they are passed over"
                );
                metrics::counter!("swipeline_webhook_refused_events_total").increment(events.len() as u64);
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    async fn call(&self, id: &str, body: bytes::Bytes) -> Verdict {
        let mut request = self
            .http
            .post(&self.settings.url)
            .header("content-type", "application/json")
            .header("x-swipeline-delivery", id);
        if let Some(secret) = &self.settings.secret {
            request = request.header("x-swipeline-signature", signature(secret.expose().as_bytes(), &body));
        }
        match request.body(body).send().await {
            Ok(response) => verdict_of(response.status()),
            Err(error) => {
                tracing::debug!(url = self.settings.url, %error, "a receiver does not answer");
                Verdict::Later
            }
        }
    }
}

fn verdict_of(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        // Not a word about the body: the time, the order, the rate.
        408 | 425 | 429 => Verdict::Later,
        400..=499 => Verdict::Refused,
        _ => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_body_is_one() {
        let check = |status, expected| {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(verdict_of(status), expected, "{status}");
        };
        check(204, Verdict::Taken);
        check(302, Verdict::Later);
        check(400, Verdict::Refused);
        check(404, Verdict::Refused);
        check(429, Verdict::Later);
        check(503, Verdict::Later);
    }
}
