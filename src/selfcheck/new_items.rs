//! Chapter: a new item gets the impressions that it is guaranteed by its deadline; one that everybody skips is given up
//! early.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually};
use super::story::Story;

const TARGET: u64 = 20;
const DEADLINE: Duration = Duration::from_secs(5);
/// The items that were there before were made so long ago.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
const VIEWERS: usize = 60;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let params = json!({"cold_start": {"new_item_impressions": TARGET, "new_item_deadline_ms": DEADLINE.as_millis() as u64,
                                       "new_item_share": 0.2}});
    stage.patch_params(&params).await?;
    put_old_items(&stage).await?;
    let before = stage.get("/v1/items/pets1?explain=true").await?;
    story.observe(
        before["exploration"].is_null(),
        "nothing is guaranteed to an old item",
        &format!("exploration is {}", before["exploration"]),
    )?;
    for id in ["good", "bad"] {
        let item = json!({"categories": ["pets"], "tags": ["pets-tag1"]});
        stage.send(Method::PUT, &format!("/v1/items/{id}"), &item).await?;
    }
    let similar = stage.get("/v1/items/good/similar?n=5").await?;
    let neighbours = similar["items"].as_array().map_or(0, Vec::len);
    story.observe(
        neighbours == 5,
        "a new item has neighbours by content at once",
        &format!("{neighbours} similar items"),
    )?;
    let (good, bad) = watch_until_ended(&stage).await?;
    story.observe(
        good["state"] == "done" && good["shown"].as_u64() >= Some(TARGET),
        "a new item gets its guaranteed impressions by the deadline",
        &format!("{} of {TARGET}, {}", good["shown"], good["state"]),
    )?;
    story.observe(
        bad["state"] == "stopped" && bad["shown"].as_u64().is_some_and(|shown| 4 * shown <= 3 * TARGET),
        "one that everybody skips is given up early",
        &format!("{} of {TARGET}, {}", bad["shown"], bad["state"]),
    )
}

async fn put_old_items(stage: &Stage) -> anyhow::Result<()> {
    let made = SystemTime::now().checked_sub(MONTH).context("a clock of before 1970")?;
    let made_ms = made.duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let item = |number: usize| {
        let category = ["pets", "food", "cars"][number % 3];
        json!({"id": format!("{category}{number}"), "categories": [category], "created_at": made_ms,
               "tags": [format!("{category}-tag{}", number % 5)], "author_id": format!("author{}", number % 40)})
    };
    let items: Vec<Value> = (0..400).map(item).collect();
    stage.send(Method::POST, "/v1/items", &Value::Array(items)).await?;
    let pets1 = json!({"categories": ["pets"], "created_at": made_ms});
    stage.send(Method::PUT, "/v1/items/pets1", &pets1).await?;
    Ok(())
}

/// Viewers look at one feed after the other, and skip the bad item, until both items have come to an end. Returns their
/// exploration.
async fn watch_until_ended(stage: &Stage) -> anyhow::Result<(Value, Value)> {
    let mut number = 0;
    eventually("both new items come to an end", async || {
        let viewer = format!("viewer{}", number % VIEWERS);
        number += 1;
        let feed = stage.serve(&format!("/v1/users/{viewer}/feed?n=10")).await?;
        let items = feed["items"].as_array().cloned().unwrap_or_default();
        if items.iter().any(|item| item["item_id"] == "bad") {
            stage.signal(&viewer, "skip", "bad").await?;
        }
        let good = stage.get("/v1/items/good?explain=true").await?["exploration"].take();
        let bad = stage.get("/v1/items/bad?explain=true").await?["exploration"].take();
        // A slow machine may be late with the good one; it is told so then.
        let has_ended = good["state"] != "pacing" && (bad["state"] == "stopped" || bad["state"] == "done");
        Ok(has_ended.then_some((good, bad)))
    })
    .await
}
