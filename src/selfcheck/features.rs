//! Chapter: behaviour earns labels that move feeds and expire, signals are counted in windows of event time, and what is
//! given from outside is used.

use std::time::Instant;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually, share_of};
use super::story::Story;

/// Short enough to be waited for.
const LIFETIME_MS: u64 = 2_500;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets", "food", "cars"], 80).await?;
    labels(story, &stage).await?;
    boredom(story, &stage).await?;
    windows(story, &stage).await?;
    outside(story, &stage).await?;
    drift(story, &stage).await
}

async fn labels(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    let document = stage.admin(Method::GET, "/v1/admin/params", &Value::Null).await?;
    let mut patterns = document["params"]["patterns"].clone();
    for pattern in patterns.as_array_mut().context("the patterns are a list")? {
        if pattern["name"] == "lover" {
            pattern["lifetime_ms"] = json!(LIFETIME_MS);
        }
    }
    stage.patch_params(&json!({"patterns": patterns})).await?;
    for number in 0..2 {
        stage.signal("ann", "like", &format!("pets{number}")).await?;
    }
    let early = has_label(stage, "ann", "pets_lover").await?;
    let third = Instant::now();
    stage.signal("ann", "like", "pets2").await?;
    eventually("the label is there", async || {
        Ok(has_label(stage, "ann", "pets_lover").await?.then_some(()))
    })
    .await?;
    let appeared_ms = third.elapsed().as_millis();
    story.observe(
        !early && appeared_ms < 1_000,
        "a pattern's label appears within a second of the third like",
        &format!("pets_lover {appeared_ms} ms after it, not before"),
    )?;
    eventually("the label expires", async || {
        Ok((!has_label(stage, "ann", "pets_lover").await?).then_some(()))
    })
    .await?;
    let lived_ms = third.elapsed().as_millis();
    story.observe(
        // The server counts whole milliseconds, from when it took the like.
        lived_ms + 20 >= u128::from(LIFETIME_MS),
        "and expires",
        &format!("gone after {lived_ms} ms, its lifetime is {LIFETIME_MS} ms"),
    )
}

async fn boredom(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    for number in 0..6 {
        stage.signal("bob", "like", &format!("food{number}")).await?;
    }
    let before = stage.look("bob", "n=10").await?;
    let led_by = before["items"][0]["item"]["categories"][0].clone();
    let category = led_by.as_str().unwrap_or_default().to_owned();
    for number in 20..25 {
        stage.signal("bob", "skip", &format!("{category}{number}")).await?;
    }
    let is_bored = has_label(stage, "bob", "bored").await?;
    let after = stage.look("bob", "n=10").await?;
    let now_led_by = &after["items"][0]["item"]["categories"][0];
    story.observe(
        is_bored && *now_led_by != led_by,
        "who skips five in a row is bored, and the next feed leads with something else",
        &format!("{led_by} before, {now_led_by} after"),
    )
}

async fn windows(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    let asked = Instant::now();
    let profile = stage.get("/v1/users/bob?features=true&item_id=food50").await?;
    let took = asked.elapsed();
    let windows = &profile["features"]["windows"];
    let skips: Vec<&Value> = ["5m", "1h", "24h"]
        .iter()
        .map(|span| &windows[span]["signals"]["skip"])
        .collect();
    story.observe(
        skips.iter().all(|count| **count == 5) && windows["5m"]["categories"]["food"]["like"] == 6,
        "signals are counted over 5 minutes, an hour and a day, and by category",
        &format!(
            "5 skips in each, 6 likes of food, read in {} us with HTTP",
            took.as_micros()
        ),
    )?;
    let at = profile["features"]["watermark"]
        .as_i64()
        .context("there is a watermark")?;
    let late = json!([{"user_id": "bob", "item_id": "cars1", "type": "like", "at": at - 1_000}]);
    stage.send(Method::POST, "/v1/events", &late).await?;
    let features = stage.get("/v1/users/bob?features=true").await?["features"].clone();
    story.observe(
        features["late_events"] == 1 && features["windows"]["24h"]["categories"]["cars"]["like"].is_null(),
        "an event behind the watermark is counted as late",
        &format!("late_events {}", features["late_events"]),
    )
}

async fn outside(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    let users = json!([{"id": "eve", "long_term_tags": {"cars": 1.0, "cars-tag0": 1.0, "cars-tag1": 1.0, "cars-tag2": 1.0},
                        "registered_at": 0, "attributes": {"plan": "free"}}, {"id": ""}]);
    let reply = stage.send(Method::POST, "/v1/users", &users).await?;
    let profile = stage.get("/v1/users/eve?features=true").await?;
    let feed = stage.look("eve", "n=20").await?;
    let stranger = stage.look("stranger", "n=20").await?;
    let (cars, usual) = (share_of(&feed, "cars"), share_of(&stranger, "cars"));
    story.observe(
        reply["upserted"] == 1
            && reply["rejected"][0]["index"] == 1
            && profile["features"]["user"]["plan"] == "free"
            && cars > usual,
        "long-term tags and features from outside are taken in bulk and lead the first feed",
        &format!("cars are {cars:.2} of it, {usual:.2} of a stranger's"),
    )
}

async fn drift(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    let now = stage.get("/v1/users/bob?features=true").await?["features"]["watermark"].as_i64();
    let now = now.context("there is a watermark")?;
    let past = |number: i64| now - 86_400_000 - (12 - number) * 3_600_000;
    let likes: Vec<Value> = (0..12)
        .map(|number| json!({"user_id": "dan", "item_id": format!("pets{}", number + 20), "type": "like", "at": past(number)}))
        .collect();
    stage.send(Method::POST, "/v1/events", &json!(likes)).await?;
    let mut cars = Vec::new();
    for number in 0..3 {
        let view = json!([{"user_id": "dan", "item_id": format!("cars{number}"), "type": "view", "watch_ms": 15_000}]);
        stage.send(Method::POST, "/v1/events", &view).await?;
        cars.push(share_of(&stage.look("dan", "n=20").await?, "cars"));
    }
    story.observe(
        cars[0] <= 0.35 && cars[2] > cars[0] + 0.2,
        "a stray view does not tilt an established taste, three do",
        &format!(
            "cars are {:.2} of the feed after one, {:.2} after three",
            cars[0], cars[2]
        ),
    )
}

async fn has_label(stage: &Stage, user: &str, label: &str) -> anyhow::Result<bool> {
    let profile = stage.get(&format!("/v1/users/{user}")).await?;
    Ok(profile["labels"]
        .as_array()
        .is_some_and(|labels| labels.iter().any(|one| one == label)))
}
