//! Chapter: a 50/50 experiment splits its viewers, and an effect that was planted in them is found.

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use swipeline_models::experiment::chi_square_tail;

use super::stage::Stage;
use super::story::Story;

/// How many simulated viewers come.
const VIEWERS: usize = 2_000;
/// How many of them are asked for at a time.
const AT_A_TIME: usize = 16;
/// How many items each is shown.
const ITEMS: usize = 5;
/// Below this p-value a split of one half each is no chance.
const SPLIT_P_MIN: f64 = 0.001;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets", "food"], 40).await?;
    let experiment = json!({"name": "greeting", "variants": [
        {"name": "plain"}, {"name": "warm", "params": {"rerank": {"exploration_share": 0.3}}}]});
    let bad = json!({"experiments": [{"name": "x", "variants": [{"name": "a", "params": {"rerank": {"xyz": 1}}}]}]});
    let refused = stage
        .patch_params(&bad)
        .await
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    let path = "experiments[0].variants[0].params.rerank.xyz";
    story.observe(
        refused.contains(path),
        "a variant that cannot be is refused by its path",
        path,
    )?;
    stage.patch_params(&json!({"experiments": [experiment]})).await?;

    let warm = let_viewers_swipe(&stage).await?;
    let half = VIEWERS as f64 / 2.0;
    let chi_square = 2.0 * (warm as f64 - half) * (warm as f64 - half) / half;
    let p_value = chi_square_tail(chi_square, 1);
    story.observe(
        p_value > SPLIT_P_MIN,
        "a 50/50 experiment splits by chi-square",
        &format!("{} and {warm} of {VIEWERS} viewers, p = {p_value:.2}", VIEWERS - warm),
    )?;
    let report = stage.get("/v1/experiments/greeting").await?;
    tell_report(story, &report)?;
    let stats = stage.get("/v1/stats?window=5m&variant=greeting:warm").await?;
    story.observe(
        stats["total"]["likes"].as_u64() > Some(0) && stats["experiment"]["verdict"] == report["verdict"],
        "the statistics of a variant are there within seconds",
        &format!(
            "{} likes of {} impressions",
            stats["total"]["likes"], stats["total"]["impressions"]
        ),
    )
}

fn tell_report(story: &mut Story, report: &Value) -> anyhow::Result<()> {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let compared = &report["variants"][1]["compared"]["like_rate"];
    story.observe(
        report["verdict"] == "better: warm",
        "an effect that was planted in the viewers is reported",
        &format!(
            "{}: like rate {:.3} against {:.3}, lift {:.0} %, always-valid p = {:.1e}, interval {:.3} to {:.3}",
            report["verdict"],
            number(&report["variants"][1]["metrics"]["like_rate"]["value"]),
            number(&report["variants"][0]["metrics"]["like_rate"]["value"]),
            100.0 * number(&compared["lift"]),
            number(&compared["sequential"]["p_value"]),
            number(&compared["sequential"]["low"]),
            number(&compared["sequential"]["high"]),
        ),
    )?;
    let skips = &report["variants"][1]["compared"]["completion_rate"];
    story.observe(
        skips["sequential"]["significant"] == false && report["sample_ratio"]["alarm"] == false,
        "no effect is reported where none was planted, and the sample ratio holds",
        &format!(
            "completion rate: always-valid p = {:.2}; sample ratio: p = {:.2}",
            number(&skips["sequential"]["p_value"]),
            number(&report["sample_ratio"]["p_value"])
        ),
    )
}

/// Every viewer is shown a feed; those of `warm` like half as much again, all complete the same. Returns how many were
/// served `warm`.
async fn let_viewers_swipe(stage: &Stage) -> anyhow::Result<usize> {
    let feeds: Vec<anyhow::Result<(usize, Value)>> = stream::iter(0..VIEWERS)
        .map(|viewer| async move {
            let feed = stage
                .serve(&format!("/v1/users/viewer-{viewer}/feed?n={ITEMS}"))
                .await?;
            Ok((viewer, feed))
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let mut warm = 0;
    let mut events = Vec::new();
    for feed in feeds {
        let (viewer, feed) = feed?;
        let is_warm = feed["variant"] == "greeting:warm";
        let likes_below = if is_warm { 30 } else { 20 };
        warm += usize::from(is_warm);
        let items = feed["items"].as_array().context("a feed without items")?;
        for (place, item) in items.iter().enumerate() {
            // A fixed draw for every viewer and place, the same in every run.
            let draw = (viewer * ITEMS + place).wrapping_mul(2_654_435_761) % 4_294_967_296 * 100 / 4_294_967_296;
            let mut did = |kind: &str| {
                events.push(json!({"user_id": format!("viewer-{viewer}"), "item_id": item["item_id"], "type": kind}));
            };
            if draw < likes_below {
                did("like");
            }
            if draw >= 90 {
                did("complete");
            }
        }
    }
    let sent = events.len();
    let reply = stage.send(Method::POST, "/v1/events", &Value::Array(events)).await?;
    anyhow::ensure!(reply["accepted"] == sent, "events were not accepted: {reply}");
    Ok(warm)
}
