//! Chapter: a broken channel is cut off and comes back, and what operators decide about channels holds at once.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually};
use super::story::Story;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets", "food", "cars"], 60).await?;
    // Enough for a feed that is not a beginner's any more.
    for number in 0..12 {
        stage.signal("ann", "like", &format!("pets{number}")).await?;
    }
    shares(&stage, story).await?;
    breaks(&stage, story).await
}

async fn shares(stage: &Stage, story: &mut Story) -> anyhow::Result<()> {
    let before = stage.look("ann", "n=20").await?;
    let mixer = json!({"sources": ["tags", "fresh"], "rule": "union"});
    stage
        .patch_params(
            &json!({"channels": {"tags": {"max_share": 0.2}, "explore": {"min_share": 0.3}},
                              "mixers": {"near_or_new": mixer}}),
        )
        .await?;
    let after = stage.look("ann", "n=20").await?;
    let counts = |feed: &Value| (named_by(feed, "tags"), named_by(feed, "explore"));
    story.observe(
        named_by(&after, "tags") <= 4 && named_by(&after, "explore") >= 6 && named_by(&before, "tags") > 4,
        "a channel has at least and at most its share of the next feed",
        &format!(
            "tags and explore go from {:?} to {:?} of 20",
            counts(&before),
            counts(&after)
        ),
    )?;
    story.observe(
        named_by(&after, "near_or_new") > 0,
        "a mixer is a channel of its own",
        &format!("near_or_new named {} of 20", named_by(&after, "near_or_new")),
    )?;
    let impossible = json!({"channels": {"hot": {"min_share": 0.9, "max_share": 0.1}}});
    let refused = stage.patch_params(&impossible).await;
    let text = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    story.observe(
        text.contains("422") && text.contains("channels.hot.min_share"),
        "a minimum above the maximum is refused by its name",
        "422, channels.hot.min_share",
    )?;
    stage
        .patch_params(&json!({"channels": {"tags": {"max_share": 1.0}, "explore": {"min_share": 0.0}}}))
        .await?;
    Ok(())
}

async fn breaks(stage: &Stage, story: &mut Story) -> anyhow::Result<()> {
    stage
        .patch_params(&json!({"channels": {"tags": {"time_budget_us": 1}},
                              "breakers": {"error_share_max": 0.5, "min_calls": 5, "open_ms": 200, "half_open_calls": 1}}))
        .await?;
    let feed = eventually("the channel is cut off", async || {
        let feed = stage.look("ann", "n=10&explain=true").await?;
        Ok((feed["channels"]["tags"]["trouble"] == "cut_off").then_some(feed))
    })
    .await?;
    let length = feed["items"].as_array().map_or(0, Vec::len);
    story.observe(
        feed["degraded"] == "channels" && length == 10 && named_by(&feed, "tags") == 0,
        "a channel that exceeds its time budget is cut off",
        &format!("degraded {}, {length} items by other channels", feed["degraded"]),
    )?;
    let channels = stage.admin(Method::GET, "/v1/admin/channels", &Value::Null).await?;
    let tags = channels["channels"]
        .as_array()
        .and_then(|list| list.iter().find(|channel| channel["name"] == "tags"))
        .cloned()
        .unwrap_or_default();
    story.observe(
        tags["opened"].as_u64() >= Some(1) && tags["late"].as_u64() >= Some(3),
        "operators see its breaker, calls and times",
        &format!(
            "{} calls, {} late, p50 {} µs",
            tags["calls"], tags["late"], tags["p50_us"]
        ),
    )?;
    stage
        .patch_params(&json!({"channels": {"tags": {"time_budget_us": 5_000_000}}}))
        .await?;
    let back = eventually("the channel comes back", async || {
        let feed = stage.look("ann", "n=10&explain=true").await?;
        Ok((feed["degraded"].is_null() && named_by(&feed, "tags") > 0).then_some(feed))
    })
    .await?;
    story.observe(
        back["channels"]["tags"]["breaker"] == "closed",
        "it comes back when the budget is restored",
        &format!("breaker closed, tags named {} of 10", named_by(&back, "tags")),
    )
}

/// How many items of a feed a channel named.
fn named_by(feed: &Value, channel: &str) -> usize {
    let items = feed["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_named = |item: &&Value| {
        let channels = item["channels"].as_array();
        channels.is_some_and(|channels| channels.iter().any(|one| one == channel))
    };
    items.iter().filter(is_named).count()
}
