//! Where the yardstick items come from: the server's own lists over REST.
//!
//! Owns these requests. Everything here may fail without harm: then a yardstick is missing or is drawn from feeds.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swipeline_models::wire::{ItemDto, ScoredItemsReply};
use tokio::time::sleep;

use crate::client::Yardstick;

/// How many items are asked for.
const RANDOM_N: usize = 500;
const POPULAR_N: usize = 50;
/// How often the popular list is asked for again.
const POPULAR_EVERY: Duration = Duration::from_secs(5);
/// How long a list may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What the random yardstick was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RandomSource {
    /// The newest items of the catalogue, whatever they are about.
    Latest,
    /// The different items that came by in feeds; harder to beat, because somebody was meant to like them.
    Feeds,
}

/// A sample of the catalogue that nobody has chosen for anybody: its newest items. `None` when the server does not
/// give them.
pub async fn random_sample(http: &reqwest::Client, rest_root: &str) -> Option<Vec<Arc<ItemDto>>> {
    let items = fetch(http, &format!("{rest_root}/v1/latest?n={RANDOM_N}")).await?;
    (!items.is_empty()).then_some(items)
}

/// Keeps the popular yardstick as fresh as a popularity feed would be; never ends by itself.
pub async fn keep_popular_fresh(http: reqwest::Client, rest_root: String, yardstick: Arc<Yardstick>) {
    loop {
        if let Some(items) = fetch(&http, &format!("{rest_root}/v1/popular?n={POPULAR_N}&window=1h")).await {
            yardstick.set_popular(items);
        }
        sleep(POPULAR_EVERY).await;
    }
}

async fn fetch(http: &reqwest::Client, url: &str) -> Option<Vec<Arc<ItemDto>>> {
    let reply = http
        .get(url)
        .timeout(TIMEOUT)
        .send()
        .await
        .ok()?
        .error_for_status()
        .ok()?;
    let list: ScoredItemsReply = reply.json().await.ok()?;
    Some(list.items.into_iter().filter_map(|scored| scored.item).collect())
}
