//! Chapter: an item that turns viral is in the trending list within two seconds, however seldom the lists are made.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually};
use super::story::Story;

const WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let seldom = json!({"popularity": {"refresh_ms": 600_000, "refresh_cpu_share": 0.0}});
    stage.patch_params(&seldom).await?;
    stage.put_catalogue(&["pets", "food"], 40).await?;
    like(&stage, "food3", 3).await?;

    let began = Instant::now();
    like(&stage, "pets7", 40).await?;
    let listed = eventually("the viral item is listed", async || {
        let popular = stage.get("/v1/popular?window=5m&n=5").await?;
        let found = popular["items"].as_array().and_then(|items| {
            let found = items.iter().find(|item| item["item_id"] == "pets7");
            found.cloned()
        });
        Ok(found)
    })
    .await?;
    let elapsed = began.elapsed();
    story.observe(
        elapsed < WITHIN,
        "a viral item is in the trending list within 2 s",
        &format!(
            "{} ms after the burst began, with lists made every ten minutes",
            elapsed.as_millis()
        ),
    )?;
    story.observe(
        listed["viral"] == true,
        "it is marked as viral",
        &format!("viral is {}", listed["viral"]),
    )?;
    let of_category = stage.get("/v1/popular?window=1h&category=pets").await?;
    let first = &of_category["items"][0]["item_id"];
    story.observe(
        first == "pets7",
        "it leads the list of its category too",
        &format!("{first}"),
    )?;
    let popular = stage.get("/v1/popular?window=5m&n=50").await?;
    let others = popular["items"].as_array().map_or(0, |items| {
        items
            .iter()
            .filter(|item| item["viral"] == true && item["item_id"] != "pets7")
            .count()
    });
    story.observe(
        others == 0,
        "an item with a handful of likes is not",
        &format!("{others} others"),
    )
}

/// So many viewers like an item.
async fn like(stage: &Stage, item: &str, viewers: usize) -> anyhow::Result<()> {
    let event = |number: usize| json!({"user_id": format!("fan{number}-of-{item}"), "item_id": item, "type": "like"});
    let events: Vec<Value> = (0..viewers).map(event).collect();
    stage.send(Method::POST, "/v1/events", &Value::Array(events)).await?;
    Ok(())
}
