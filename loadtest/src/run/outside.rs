//! What happens to a server from outside while viewers swipe: another model, a restart, a crowd around one item.
//!
//! Owns the calls and their measurement. Must not decide when (that is the scenario).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swipeline_models::event::Signal;
use swipeline_models::wire::{EventDto, EventsReply};
use tokio::time::{Instant, sleep_until};

use crate::client::record::{Counter, Metric, Recorder};

/// The crowd's events come in batches, so often.
const BATCH_EVERY: Duration = Duration::from_millis(100);
/// Every so manieth of the crowd shares the item.
const SHARE_EVERY: u64 = 5;
/// The most events of one batch; what the server takes at most.
const BATCH_MAX: f64 = 10_000.0;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach what is not a viewer's socket.
#[derive(Debug, Clone)]
pub struct Outside {
    /// For all calls.
    pub http: reqwest::Client,
    /// `http://host:port` of the public listener.
    pub rest_root: String,
    /// `http://host:port` of the admin listener.
    pub admin_root: String,
    /// Restarts the server; run by the shell.
    pub restart_command: Option<String>,
    /// The ranking model to exchange the present one for.
    pub model: Bytes,
    /// One thing after the other: a restart that takes long must not meet the next one.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

/// Why something could not be done to the server.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// A call failed.
    #[error("{url}: {detail}")]
    Call {
        /// Where.
        url: String,
        /// Why.
        detail: String,
    },
    /// The restart command failed.
    #[error("the restart command {0}")]
    Restart(String),
}

impl Outside {
    /// Exchanges the ranking model.
    ///
    /// # Errors
    /// The server does not answer or refuses.
    pub async fn swap_model(&self, recorder: &Recorder) -> Result<(), OutsideError> {
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        let url = format!("{}/v1/admin/model", self.admin_root);
        let call = self.http.put(&url).timeout(TIMEOUT);
        let call = call
            .header("content-type", "application/octet-stream")
            .body(self.model.clone());
        answer(&url, call.send().await).await?;
        let now = Instant::now();
        recorder.latency(Metric::ModelSwap, now - began, now);
        recorder.add(Counter::ModelSwaps, 1);
        Ok(())
    }

    /// Restarts the server by the given command and waits until the command has ended.
    ///
    /// # Errors
    /// There is no command, or it fails.
    pub async fn restart(&self, recorder: &Recorder) -> Result<(), OutsideError> {
        let Some(command) = self.restart_command.clone() else {
            return Err(OutsideError::Restart("was not given".to_owned()));
        };
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        let run = move || std::process::Command::new("sh").arg("-c").arg(command).output();
        let output = tokio::task::spawn_blocking(run)
            .await
            .map_err(|error| OutsideError::Restart(error.to_string()))?
            .map_err(|error| OutsideError::Restart(format!("cannot be run: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(OutsideError::Restart(format!(
                "failed ({}): {}",
                output.status,
                said.trim()
            )));
        }
        let now = Instant::now();
        recorder.latency(Metric::Restart, now - began, now);
        recorder.add(Counter::Restarts, 1);
        Ok(())
    }

    /// Lets a crowd of users, each new, like and share one item until `end`, so many events per second. The rate is
    /// planned: a slow server gets the next batch late, and its latency counts from the plan.
    ///
    /// # Errors
    /// The server does not answer, or refuses an event.
    pub async fn crowd(
        &self,
        recorder: &Recorder,
        item_id: &str,
        user_prefix: &str,
        rate: f64,
        end: Instant,
    ) -> Result<(), OutsideError> {
        let url = format!("{}/v1/events", self.rest_root);
        let start = Instant::now();
        let per_batch = (rate * BATCH_EVERY.as_secs_f64()).min(BATCH_MAX);
        let mut sent = 0_u64;
        for batch in 0_u32.. {
            let planned = start + BATCH_EVERY * batch;
            if planned >= end {
                break;
            }
            sleep_until(planned).await;
            let until = (per_batch * f64::from(batch + 1)) as u64;
            let events: Vec<EventDto> = (sent..until).map(|n| crowd_event(item_id, user_prefix, n)).collect();
            if events.is_empty() {
                continue;
            }
            sent = until;
            let reply = answer(&url, self.http.post(&url).timeout(TIMEOUT).json(&events).send().await).await?;
            let now = Instant::now();
            recorder.latency(Metric::CrowdEvents, now - planned, now);
            recorder.add(Counter::CrowdEvents, events.len() as u64);
            let reply: EventsReply = reply.json().await.map_err(|error| call_error(&url, &error))?;
            for rejection in &reply.rejected {
                recorder.error(&format!("rejected_{}", rejection.code));
            }
        }
        Ok(())
    }
}

/// Does it beside the run; what goes wrong is an error of the run and is said on the way.
pub(super) fn beside(
    recorder: &Arc<Recorder>,
    kind: &'static str,
    work: impl Future<Output = Result<(), OutsideError>> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let recorder = Arc::clone(recorder);
    tokio::spawn(async move {
        if let Err(error) = work.await {
            recorder.error(kind);
            recorder.remark(&error.to_string());
        }
    })
}

fn crowd_event(item_id: &str, user_prefix: &str, number: u64) -> EventDto {
    let signal = if number.is_multiple_of(SHARE_EVERY) {
        Signal::Share
    } else {
        Signal::Like
    };
    EventDto {
        event_id: Some(format!("{user_prefix}crowd{number}")),
        user_id: Some(format!("{user_prefix}crowd{number}")),
        item_id: item_id.to_owned(),
        kind: signal.name().to_owned(),
        ..EventDto::default()
    }
}

async fn answer(
    url: &str,
    reply: Result<reqwest::Response, reqwest::Error>,
) -> Result<reqwest::Response, OutsideError> {
    let reply = reply.map_err(|error| call_error(url, &error))?;
    let status = reply.status();
    if status.is_success() {
        return Ok(reply);
    }
    let detail = reply.text().await.unwrap_or_default();
    Err(OutsideError::Call {
        url: url.to_owned(),
        detail: format!("{status} {detail}"),
    })
}

fn call_error(url: &str, error: &reqwest::Error) -> OutsideError {
    OutsideError::Call {
        url: url.to_owned(),
        detail: error.to_string(),
    }
}
