//! Chapter: a planted preference that the model does not know is learned within seconds and shows in the scores.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually};
use super::story::Story;

/// Whom all viewers love.
const LOVED: &str = "pets-author0";
/// Feeds that viewers react to.
const FEEDS: usize = 50;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets"], 210).await?;
    // As careful as by default, but with less patience.
    let hurry = json!({"learner": {"updates_min": 200, "window": 300, "publish_interval_ms": 50}});
    stage.patch_params(&hurry).await?;
    let before = likes(&stage).await?;
    for number in 0..FEEDS {
        react(&stage, &format!("u{}", number % 20)).await?;
    }
    let state = eventually("the learner corrects likes", async || {
        let state = stage.admin(Method::GET, "/v1/admin/learner", &Value::Null).await?;
        Ok((state["objectives"]["like"]["scored_by"] == "corrected").then_some(state))
    })
    .await?;
    let loss = &state["objectives"]["like"]["log_loss"];
    let [model, corrected] = ["model", "corrected"].map(|by| loss[by].as_f64().unwrap_or(f64::NAN));
    story.observe(
        corrected < 0.7 * model,
        "the learner predicts likes better than the model alone",
        &format!(
            "after {} outcomes the log loss is {corrected:.3}, the model's {model:.3}",
            state["samples"]
        ),
    )?;
    let after = eventually("the new weights serve", async || {
        let likes = likes(&stage).await?;
        Ok((likes.0 > 1.5 * likes.1).then_some(likes))
    })
    .await?;
    story.observe(
        after.0 > 1.5 * after.1 && before.0 < 1.2 * before.1,
        "an author whom everybody likes is expected to be liked by somebody new",
        &format!(
            "like {:.3} against {:.3} for another author, before it was {:.3} against {:.3}",
            after.0, after.1, before.0, before.1
        ),
    )?;
    let feed = stage.look("stranger", "n=20&explain=true").await?;
    let items = feed["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let corrections = items.iter().map(|item| &item["explain"]["learner"]["like"]);
    let explained = corrections.filter(|like| like["scored_by"] == "corrected").count();
    let most = items
        .first()
        .map(|item| &item["explain"]["learner"]["like"]["terms"][0]);
    story.observe(
        explained == items.len() && explained > 0,
        "an explained feed tells what the learner did",
        &format!(
            "{explained} of {} items, most by {}",
            items.len(),
            most.unwrap_or(&Value::Null)
        ),
    )
}

/// A viewer likes and finishes what the loved author made, and skips everything else.
async fn react(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let feed = stage.serve(&format!("/v1/users/{user}/feed?n=10")).await?;
    let mut events = Vec::new();
    for item in feed["items"].as_array().into_iter().flatten() {
        let is_loved = item["item"]["author_id"] == LOVED;
        let kinds: &[&str] = if is_loved { &["complete", "like"] } else { &["skip"] };
        for kind in kinds {
            events.push(json!({"user_id": user, "item_id": item["item_id"], "type": kind}));
        }
    }
    stage.send(Method::POST, "/v1/events", &Value::Array(events)).await?;
    Ok(())
}

/// How likely somebody new is said to like an item of the loved author, and of another.
async fn likes(stage: &Stage) -> anyhow::Result<(f64, f64)> {
    let ask = json!({"user_id": "stranger", "item_ids": ["pets140", "pets141"]});
    let ranked = stage.send(Method::POST, "/v1/rank", &ask).await?;
    let like = |id: &str| {
        let mut items = ranked["items"].as_array().into_iter().flatten();
        let found = items.find(|item| item["item_id"] == id);
        found
            .and_then(|item| item["objectives"]["like"].as_f64())
            .unwrap_or(f64::NAN)
    };
    Ok((like("pets140"), like("pets141")))
}
