//! Chapter: a new viewer's first feed is the editor's picks, what is popular in the region and the registered tags; ten
//! signals later it is the viewer's own.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually, share_of};
use super::story::Story;

const PICKS: [&str; 5] = ["cars50", "cars51", "cars52", "cars53", "cars54"];

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let params = json!({"cold_start": {"editors_picks": {"*": PICKS}, "new_item_share": 0.0},
                        "rerank": {"exploration_share": 0.0}});
    stage.patch_params(&params).await?;
    stage.put_catalogue(&["pets", "food", "cars"], 60).await?;
    make_food_popular(&stage).await?;

    let newcomer = json!({"region": "se", "tags": ["pets-tag1"]});
    stage.send(Method::PUT, "/v1/users/newcomer", &newcomer).await?;
    let first = stage.look("newcomer", "n=10").await?;
    let parts = ["picked for a start", "popular right now", "has tags that you like"];
    let counts = parts.map(|reason| count(&first, |item| item["reason"] == reason));
    story.observe(
        counts == [4, 3, 3],
        "the first feed is made of editor's picks, what is popular in the region, and registered tags",
        &format!("{} picks, {} popular, {} tagged", counts[0], counts[1], counts[2]),
    )?;
    story.observe(
        first["items"][0]["item_id"] == PICKS[0],
        "the editor's first pick leads it",
        &format!("{}", first["items"][0]["item_id"]),
    )?;

    stage.signal("newcomer", "like", "pets30").await?;
    let second = stage.look("newcomer", "n=10").await?;
    let (before, after) = (share_of(&first, "pets"), share_of(&second, "pets"));
    story.observe(
        after >= before + 0.2,
        "the first like is not drowned",
        &format!("pets go from {before:.2} to {after:.2}"),
    )?;

    for number in 31..40 {
        stage.signal("newcomer", "like", &format!("pets{number}")).await?;
    }
    let personal = stage.look("newcomer", "n=10").await?;
    let picked = count(&personal, |item| PICKS.iter().any(|pick| item["item_id"] == *pick));
    story.observe(
        picked == 0 && share_of(&personal, "pets") >= 0.6,
        "after ten signals the feed is personal",
        &format!("{picked} picks, pets are {:.2}", share_of(&personal, "pets")),
    )
}

/// Some viewers of the region like food, until the region's list says so.
async fn make_food_popular(stage: &Stage) -> anyhow::Result<()> {
    let mut events = Vec::new();
    for number in 0..8 {
        let name = format!("/v1/users/local{number}");
        stage.send(Method::PUT, &name, &json!({"region": "se"})).await?;
        let like = |item: i32| {
            json!({"user_id": format!("local{number}"), "item_id": format!("food{item}"),
                   "type": "like"})
        };
        events.extend((0..6).map(like));
    }
    stage.send(Method::POST, "/v1/events", &Value::Array(events)).await?;
    eventually("food is popular in the region", async || {
        let popular = stage.get("/v1/popular?n=6&region=se").await?;
        let items = popular["items"].as_array().map_or(0, Vec::len);
        Ok((items == 6).then_some(()))
    })
    .await
}

fn count(feed: &Value, is_such: impl Fn(&Value) -> bool) -> usize {
    let items = feed["items"].as_array();
    items.map_or(0, |items| items.iter().filter(|item| is_such(item)).count())
}
