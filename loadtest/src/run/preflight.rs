//! Before a run: does the server answer, and has it anything to show?
//!
//! Owns that check and its messages for people.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use crate::client::{ClientConfig, Connector, OpenError, ServerFrame, decode, open};

/// How long the first feed may take.
const FIRST_FEED_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the first feed tells about the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// How many items the first feed had.
    pub first_feed_items: usize,
    /// The first item of it.
    pub first_item: Option<String>,
    /// The categories in it.
    pub categories: Vec<String>,
}

/// Why a run makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Nobody answers.
    #[error(
        "no server answers at {address}: {cause}\n  start one with `swipeline serve`, or say where it is with --url"
    )]
    NoServer {
        /// Where.
        address: String,
        /// Why not.
        cause: OpenError,
    },
    /// Somebody answers, but does not agree to the upgrade.
    #[error(
        "{address} answers, but not as a Swipeline stream: {cause}\n  the path is /v1/stream on the public listener"
    )]
    Refused {
        /// Where.
        address: String,
        /// Why not.
        cause: OpenError,
    },
    /// It answered the upgrade and then did not do what the contract says.
    #[error("the server at {address} does not speak the expected protocol: {detail}")]
    NotSpeaking {
        /// Where.
        address: String,
        /// What was wrong.
        detail: String,
    },
    /// The first feed is empty.
    #[error(
        "the server at {address} has nothing to show: its first feed is empty\n  \
         fill it with `swipeline-loadtest fill --items 100000`"
    )]
    EmptyCatalogue {
        /// Where.
        address: String,
    },
}

/// Opens one socket, waits for `welcome` and the first feed, and looks into it.
///
/// # Errors
/// Nobody answers, it is something else, or it has no items.
pub async fn check_server(
    config: &ClientConfig,
    connector: &Arc<dyn Connector>,
    user_id: &str,
) -> Result<ServerFacts, PreflightError> {
    let address = config.endpoint.authority();
    let mut socket = Box::pin(open(connector, &config.endpoint, config.proto, user_id))
        .await
        .map_err(|cause| {
            let address = address.clone();
            if matches!(cause, OpenError::Handshake(_) | OpenError::Unavailable) {
                PreflightError::Refused { address, cause }
            } else {
                PreflightError::NoServer { address, cause }
            }
        })?;
    let not_speaking = |detail: String| PreflightError::NotSpeaking {
        address: address.clone(),
        detail,
    };
    let first_feed = async {
        loop {
            let message = match socket.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(not_speaking(error.to_string())),
                None => return Err(not_speaking("it closed the socket".to_owned())),
            };
            for frame in decode(config.proto, &message).map_err(|error| not_speaking(error.to_string()))? {
                match frame.kind.as_str() {
                    "feed" => return Ok(frame),
                    "error" => return Err(not_speaking(frame.message.unwrap_or_default())),
                    _ => {}
                }
            }
        }
    };
    let frame = timeout(FIRST_FEED_WAIT_MAX, first_feed)
        .await
        .map_err(|_| not_speaking(format!("no feed within {} s", FIRST_FEED_WAIT_MAX.as_secs())))??;
    // The server need not be told: dropping the probe's socket is enough.
    facts_of(frame).ok_or(PreflightError::EmptyCatalogue { address })
}

fn facts_of(frame: ServerFrame) -> Option<ServerFacts> {
    let items = frame.items.filter(|items| !items.is_empty())?;
    let mut categories: Vec<String> = items
        .iter()
        .filter_map(|item| item.item.as_ref())
        .flat_map(|item| item.categories.clone().unwrap_or_default())
        .collect();
    categories.sort_unstable();
    categories.dedup();
    Some(ServerFacts {
        first_feed_items: items.len(),
        first_item: items.first().map(|item| item.item_id.clone()),
        categories,
    })
}
