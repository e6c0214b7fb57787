//! Chapter: an item that comes with a title and no tags gets tags of the catalogue, marked as inferred.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use super::story::Story;

const COOKING: [&str; 8] = [
    "How to bake sourdough bread at home",
    "One pot pasta recipe in fifteen minutes",
    "My grandmother's apple pie recipe",
    "Crispy potatoes, the only recipe you need",
    "Baking bread with no oven",
    "Quick pasta sauce with tomatoes and garlic",
    "Noodles and garlic bread",
    "Tomato soup recipe for cold days",
];
const FOOTBALL: [&str; 8] = [
    "Last minute goal decides the derby",
    "Best goals of the season",
    "The goalkeeper saves three penalties in the final",
    "Derby highlights: two goals in stoppage time",
    "How to take a penalty like a striker",
    "Striker scores a hat trick in the cup final",
    "Every goal of the cup season",
    "Striker and goalkeeper on a training day",
];

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let tagged = |(tag, titles): (&str, [&str; 8])| {
        let item = |(number, title): (usize, &&str)| json!({"id": format!("{tag}{number}"), "title": title, "tags": [tag], "categories": ["video"]});
        titles.iter().enumerate().map(item).collect::<Vec<Value>>()
    };
    let items: Vec<Value> = [("cooking", COOKING), ("football", FOOTBALL)]
        .into_iter()
        .flat_map(tagged)
        .collect();
    stage.send(Method::POST, "/v1/items", &json!(items)).await?;
    let title = "A pasta recipe with garlic and tomatoes";
    stage
        .send(
            Method::PUT,
            "/v1/items/new",
            &json!({"title": title, "categories": ["video"]}),
        )
        .await?;
    stage
        .send(
            Method::PUT,
            "/v1/items/vague",
            &json!({"title": "Hello again", "categories": ["video"]}),
        )
        .await?;
    let (new, vague) = (stage.get("/v1/items/new").await?, stage.get("/v1/items/vague").await?);
    story.observe(
        new["inferred_tags"] == json!(["cooking"]) && new["tags"].is_null(),
        "an item with a title and no tags gets tags of the catalogue, marked as inferred",
        &format!(
            "{title:?} got {}, its own tags are {}",
            new["inferred_tags"], new["tags"]
        ),
    )?;
    story.observe(
        vague["inferred_tags"].is_null(),
        "a title that says nothing gets none",
        &format!("{} got {}", vague["title"], vague["inferred_tags"]),
    )
}
