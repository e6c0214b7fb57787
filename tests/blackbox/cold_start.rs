//! New users and new items: editor's picks, region and registered tags first; impressions that a new item is guaranteed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids};

const PICKS: [&str; 6] = ["cars20", "cars21", "cars22", "cars23", "cars24", "cars25"];
/// The first of May 2020: nobody takes such an item for new.
const LONG_AGO_MS: i64 = 1_588_291_200_000;

async fn patch(server: &Server, params: &Value) {
    let answer = server.admin_call(Method::PATCH, "/v1/admin/params").json(params).send();
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text().await.expect("a body"));
}

/// Items of long ago, so that only what a test puts afterwards is new.
async fn put_old_items(server: &Server, count: usize) {
    let item = |number: usize| {
        let category = ["pets", "food", "cars"][number % 3];
        json!({"id": format!("{category}{number}"), "categories": [category], "created_at": LONG_AGO_MS,
               "tags": [format!("{category}-tag{}", number % 5)], "author_id": format!("author{}", number % 40)})
    };
    let items: Vec<Value> = (0..count).map(item).collect();
    server.send(Method::POST, "/v1/items", &Value::Array(items)).await;
}

fn reasons(feed: &Value, reason: &str) -> usize {
    let items = feed["items"].as_array().expect("items");
    items.iter().filter(|item| item["reason"] == reason).count()
}

#[tokio::test]
async fn a_new_user_begins_with_picks_region_and_tags_and_ends_with_the_own_taste() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 40).await;
    let params = json!({"cold_start": {"editors_picks": {"*": PICKS, "se": ["food39"]}, "new_item_share": 0.0},
                        "rerank": {"exploration_share": 0.0}});
    patch(&server, &params).await;
    for number in 0..6 {
        let local = format!("local{number}");
        server
            .send(Method::PUT, &format!("/v1/users/{local}"), &json!({"region": "se"}))
            .await;
        let like = |item: i32| json!({"user_id": local, "item_id": format!("food{item}"), "type": "like"});
        let likes: Vec<Value> = (0..5).map(like).collect();
        server.send(Method::POST, "/v1/events", &Value::Array(likes)).await;
    }
    eventually("the region has a list", async || {
        let popular = item_ids(&server.get("/v1/popular?region=se").await);
        (popular.len() == 5).then_some(())
    })
    .await;

    // A category's name serves as a registered tag as well as a tag's.
    let newcomer = json!({"region": "se", "tags": ["pets"]});
    server.send(Method::PUT, "/v1/users/newcomer", &newcomer).await;
    let look = "/v1/users/newcomer/feed?n=10&impressions=explicit";
    let first = server.get(look).await;
    assert_eq!(item_ids(&first)[0], "food39", "the region's pick leads: {first}");
    assert_eq!(reasons(&first, "picked for a start"), 4, "{first}");
    assert_eq!(reasons(&first, "popular right now"), 3, "{first}");
    assert_eq!(reasons(&first, "has tags that you like"), 3, "{first}");
    for item in first["items"].as_array().expect("items") {
        let named = item["channels"].as_array().expect("channels");
        let parts = [json!("cold_start"), json!("hot"), json!("tags")];
        assert!(named.iter().any(|channel| parts.contains(channel)), "{item}");
    }

    let likes: Vec<Value> = (10..20)
        .map(|number| json!({"user_id": "newcomer", "item_id": format!("pets{number}"), "type": "like"}))
        .collect();
    server.send(Method::POST, "/v1/events", &Value::Array(likes)).await;
    let personal = item_ids(&server.get(look).await);
    let pets = personal.iter().filter(|id| id.starts_with("pets")).count();
    assert!(pets >= 6, "{personal:?}");
    assert!(!personal.iter().any(|id| PICKS.contains(&id.as_str())), "{personal:?}");
}

#[tokio::test]
async fn a_new_item_gets_its_impressions_and_keeps_what_it_had_over_a_crash() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    put_old_items(&server, 300).await;
    let pace = json!({"cold_start": {"new_item_impressions": 12, "new_item_deadline_ms": 86_400_000,
                                     "new_item_share": 0.1}});
    patch(&server, &pace).await;
    let old = server.get("/v1/items/pets0?explain=true").await;
    assert_eq!(old["exploration"], Value::Null, "not new: {old}");
    server
        .send(Method::PUT, "/v1/items/fresh", &json!({"categories": ["opera"]}))
        .await;
    let item = server.get("/v1/items/fresh?explain=true").await;
    let created_at = item["created_at"].as_i64().expect("a time");
    let expected = json!({"target": 12, "shown": 0, "deadline": created_at + 86_400_000, "state": "pacing"});
    assert_eq!(item["exploration"], expected);

    // A day is long: only the head start is owed now, and nobody is known to like opera. With a short deadline anybody
    // will do.
    let hurry = json!({"cold_start": {"new_item_deadline_ms": 3_000}});
    patch(&server, &hurry).await;
    let mut viewer = 0;
    let shown = eventually("some impressions", async || {
        viewer += 1;
        let feed = server.serve(&format!("/v1/users/early{viewer}/feed")).await;
        let given = feed["items"].as_array().expect("items").iter();
        for item in given.filter(|item| item["item_id"] == "fresh" && item["explore"] == true) {
            assert!(
                item["reason"] == "new" || item["reason"] == "something different",
                "{item}"
            );
        }
        shown(&server).await.filter(|shown| *shown >= 3)
    })
    .await;
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    patch(&server, &pace).await;
    patch(&server, &hurry).await;
    let after = shown_now(&server).await;
    assert!(after >= shown, "{after} after the crash, {shown} before");
    let state = eventually("the item is done", async || {
        viewer += 1;
        server.serve(&format!("/v1/users/late{viewer}/feed")).await;
        let exploration = server.get("/v1/items/fresh?explain=true").await["exploration"].clone();
        (exploration["state"] == "done").then_some(exploration)
    })
    .await;
    assert!(state["shown"].as_u64().expect("a count") >= 12);
    let metrics = eventually("the metrics say so", async || {
        let answer = server
            .admin_call(Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("a body");
        text.contains("swipeline_new_items{state=\"pacing\"} 0").then_some(text)
    })
    .await;
    assert!(metrics.contains("swipeline_new_items_ended_total{state=\"done\"}"));
}

async fn shown_now(server: &Server) -> u64 {
    shown(server).await.expect("it is new")
}

async fn shown(server: &Server) -> Option<u64> {
    server.get("/v1/items/fresh?explain=true").await["exploration"]["shown"].as_u64()
}

#[tokio::test]
async fn an_item_that_everybody_skips_is_given_up() {
    let server = Server::start().await;
    put_old_items(&server, 300).await;
    let params = json!({"cold_start": {"new_item_impressions": 40, "new_item_deadline_ms": 4_000,
                                       "new_item_share": 0.1}});
    patch(&server, &params).await;
    server
        .send(Method::PUT, "/v1/items/dud", &json!({"categories": ["noise"]}))
        .await;
    let mut viewer = 0;
    let exploration = eventually("the item comes to an end", async || {
        viewer += 1;
        let name = format!("viewer{viewer}");
        let feed = item_ids(&server.serve(&format!("/v1/users/{name}/feed")).await);
        if feed.contains(&"dud".to_owned()) {
            let skip = json!([{"user_id": name, "item_id": "dud", "type": "skip"}]);
            server.send(Method::POST, "/v1/events", &skip).await;
        }
        let exploration = server.get("/v1/items/dud?explain=true").await["exploration"].clone();
        // On a slow machine the deadline may pass before.
        let has_ended = exploration["state"] == "stopped" || exploration["state"] == "done";
        has_ended.then_some(exploration)
    })
    .await;
    assert_eq!(exploration["state"], "stopped", "{exploration}");
    assert!(exploration["shown"].as_u64().expect("a count") < 20, "{exploration}");
}

#[tokio::test]
async fn an_impossible_promise_is_refused_by_its_name() {
    let server = Server::start().await;
    let params = json!({"cold_start": {"new_item_deadline_ms": 86_400_000_000_i64, "personal_share_min": 2}});
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&params)
        .send();
    let problem = crate::harness::problem(answer.await.expect("an answer"), 422).await;
    let text = problem["errors"].to_string();
    for field in ["cold_start.new_item_deadline_ms", "cold_start.personal_share_min"] {
        assert!(text.contains(field), "{text}");
    }
}
