//! Chapter: a boosted category's share rises in its window only.

use serde_json::{Value, json};

use super::stage::{Stage, share_of};
use super::story::Story;

const HOUR_MS: i64 = 3_600_000;
/// Feeds per observation.
const VIEWERS: usize = 5;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["beauty", "pets", "food", "cars"], 60).await?;
    for viewer in 0..VIEWERS {
        // Enough for feeds that are not a beginner's any more.
        for number in 0..12 {
            let kind = ["pets", "food"][number % 2];
            stage
                .signal(
                    &format!("v{viewer}"),
                    "like",
                    &format!("{kind}{}", 12 * viewer + number),
                )
                .await?;
        }
    }
    let natural = mean_share(&stage, "beauty", "").await?;
    let now = stage.look("v0", "n=1").await?["generated_at"]
        .as_i64()
        .unwrap_or_default();
    let rule = |from: i64, until: i64| {
        json!({"boosts": [{"name": "beauty-week", "target": {"category": "beauty"}, "share": 0.2,
                           "from": now + from, "until": now + until}]})
    };
    stage.patch_params(&rule(HOUR_MS, 2 * HOUR_MS)).await?;
    let before = mean_share(&stage, "beauty", "").await?;
    stage.patch_params(&rule(-HOUR_MS, HOUR_MS)).await?;
    let inside = mean_share(&stage, "beauty", "").await?;
    let explained = stage.look("v0", "n=20&explain=true").await?;
    stage.patch_params(&rule(-2 * HOUR_MS, -HOUR_MS)).await?;
    let after = mean_share(&stage, "beauty", "").await?;
    story.observe(
        inside >= natural + 0.15 && before <= natural + 0.08 && after <= natural + 0.08,
        "a boosted category's share rises in its window only",
        &format!("beauty +20 %: {natural:.2} without, {before:.2} before, {inside:.2} in it, {after:.2} after"),
    )?;
    story.observe(
        explained.to_string().contains("boost:beauty-week"),
        "the explanation of an item names the rule",
        "boost:beauty-week",
    )?;
    let bury = json!({"boosts": [{"name": "less-pets", "target": {"category": "pets"}, "share": -1.0}]});
    let liked = mean_share(&stage, "pets", "").await?;
    stage.patch_params(&bury).await?;
    let buried = mean_share(&stage, "pets", "").await?;
    story.observe(
        liked > 0.1 && buried == 0.0,
        "a buried category goes",
        &format!("pets go from {liked:.2} to {buried:.2}"),
    )?;
    let target = json!({"category": "cars", "device": "tv"});
    stage
        .patch_params(&json!({"boosts": [{"name": "tv", "target": target, "share": 0.4}]}))
        .await?;
    let on_tv = mean_share(&stage, "cars", "&device=tv").await?;
    let on_phone = mean_share(&stage, "cars", "&device=phone").await?;
    story.observe(
        on_tv >= on_phone + 0.3,
        "a rule may be for one device only",
        &format!("cars are {on_tv:.2} on a tv, {on_phone:.2} on a phone"),
    )
}

/// The mean share of a category over the feeds of all viewers.
async fn mean_share(stage: &Stage, category: &str, query: &str) -> anyhow::Result<f64> {
    let mut feeds: Vec<Value> = Vec::with_capacity(VIEWERS);
    for viewer in 0..VIEWERS {
        feeds.push(stage.look(&format!("v{viewer}"), &format!("n=20{query}")).await?);
    }
    Ok(feeds.iter().map(|feed| share_of(feed, category)).sum::<f64>() / VIEWERS as f64)
}
