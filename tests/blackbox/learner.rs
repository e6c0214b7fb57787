//! The online learner: a planted preference is learned within seconds, shows in scores and explanations, can be switched
//! off, and survives `kill -9` once a checkpoint was written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually};

/// Whom all viewers love.
const LOVED: &str = "pets-author0";
/// Items of every feed that viewers react to.
const FEED_ITEMS: usize = 10;
/// How many feeds the viewers react to together.
const FEEDS: usize = 50;

async fn admin(server: &Server, method: Method, path: &str, body: Option<&Value>) -> Value {
    let mut call = server.admin_call(method, path);
    if let Some(body) = body {
        call = call.json(body);
    }
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.expect("JSON")
}

/// A learner that is as careful as by default, but with less patience.
async fn hurry(server: &Server) {
    let patch = json!({"learner": {"updates_min": 200, "window": 300, "publish_interval_ms": 50}});
    admin(server, Method::PATCH, "/v1/admin/params", Some(&patch)).await;
}

/// Viewers like and finish what [`LOVED`] made, and skip everything else.
async fn teach(server: &Server) {
    for number in 0..FEEDS {
        let user = format!("u{}", number % 20);
        let feed = server.serve(&format!("/v1/users/{user}/feed?n={FEED_ITEMS}")).await;
        let mut events = Vec::new();
        for item in feed["items"].as_array().expect("items") {
            let is_loved = item["item"]["author_id"] == LOVED;
            let kinds: &[&str] = if is_loved { &["complete", "like"] } else { &["skip"] };
            for kind in kinds {
                events.push(json!({"user_id": user, "item_id": item["item_id"], "type": kind}));
            }
        }
        let reply = server.send(Method::POST, "/v1/events", &Value::Array(events)).await;
        assert_eq!(reply["rejected"], json!([]));
    }
}

/// Waits until everything is learned but the last item of each feed, at which the viewer still may be.
async fn learned(server: &Server) -> Value {
    eventually("the outcomes are learned", async || {
        let state = admin(server, Method::GET, "/v1/admin/learner", None).await;
        let is_served = state["objectives"]["like"]["scored_by"] == "corrected";
        (is_served && state["samples"].as_u64()? >= (FEEDS * (FEED_ITEMS - 1)) as u64).then_some(state)
    })
    .await
}

/// The like of an item of the loved author and of another for somebody new, by what serves now.
async fn likes_for_a_stranger(server: &Server) -> (f64, f64) {
    let ask = json!({"user_id": "stranger", "item_ids": ["pets140", "pets141"]});
    let ranked = server.send(Method::POST, "/v1/rank", &ask).await;
    let like = |id: &str| {
        let items = ranked["items"].as_array().expect("items").iter();
        let found = items
            .filter(|item| item["item_id"] == id)
            .find_map(|item| item["objectives"]["like"].as_f64());
        found.expect("a prediction")
    };
    (like("pets140"), like("pets141"))
}

async fn metrics(server: &Server) -> String {
    let answer = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    answer.text().await.expect("text")
}

#[tokio::test]
async fn a_planted_preference_is_learned_and_can_be_switched_off() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 210).await;
    hurry(&server).await;
    let before = likes_for_a_stranger(&server).await;
    assert!(
        (before.0 / before.1 - 1.0).abs() < 0.2,
        "nothing is known yet: {before:?}"
    );
    teach(&server).await;
    let state = learned(&server).await;
    let loss = &state["objectives"]["like"]["log_loss"];
    let [model, corrected] = ["model", "corrected"].map(|by| loss[by].as_f64().expect("a loss"));
    assert!(corrected < 0.7 * model, "{loss}");
    let names: Vec<&str> = state["weights"]
        .as_array()
        .expect("weights")
        .iter()
        .filter_map(|weight| weight["name"].as_str())
        .collect();
    assert!(names.contains(&format!("author:{LOVED}").as_str()), "{names:?}");

    let (loved, other) = eventually("the weights are published", async || {
        let likes = likes_for_a_stranger(&server).await;
        (likes.0 > 1.5 * likes.1).then_some(likes)
    })
    .await;
    assert!(loved > 1.5 * other, "{loved} {other}");
    let feed = server
        .get("/v1/users/stranger/feed?n=20&explain=true&impressions=explicit")
        .await;
    let items = feed["items"].as_array().expect("items");
    let explained = items
        .iter()
        .find(|item| item["item"]["author_id"] == LOVED)
        .expect("the loved author");
    let like = &explained["explain"]["learner"]["like"];
    assert_eq!(like["scored_by"], "corrected", "{explained}");
    assert_eq!(like["served"], explained["explain"]["objectives"]["like"]);
    assert!(
        like["terms"].as_array().is_some_and(|terms| !terms.is_empty()),
        "{like}"
    );

    let text = metrics(&server).await;
    for part in [
        "swipeline_learner_log_loss{objective=\"like\",scored_by=\"model\"}",
        "swipeline_learner_log_loss{objective=\"skip\",scored_by=\"corrected\"}",
        "swipeline_learner_level{objective=\"like\"} 2",
        "swipeline_learner_updates_total",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }

    admin(
        &server,
        Method::PATCH,
        "/v1/admin/params",
        Some(&json!({"learner": {"correct": false}})),
    )
    .await;
    let off = likes_for_a_stranger(&server).await;
    assert!(
        (off.0 / loved - 1.0).abs() > 0.1 || (off.1 / other - 1.0).abs() > 0.1,
        "{off:?} {loved} {other}"
    );
    let feed = server
        .get("/v1/users/stranger/feed?n=5&explain=true&impressions=explicit")
        .await;
    assert_eq!(feed["items"][0]["explain"]["learner"], Value::Null);
}

#[tokio::test]
async fn what_was_learned_survives_a_crash_after_a_checkpoint() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 210).await;
    hurry(&server).await;
    teach(&server).await;
    let before = learned(&server).await;
    admin(&server, Method::POST, "/v1/admin/checkpoint", None).await;
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    let after = admin(&server, Method::GET, "/v1/admin/learner", None).await;
    assert_eq!(after["objectives"]["like"]["scored_by"], "corrected", "{after}");
    assert!(after["samples"].as_u64() >= before["samples"].as_u64(), "{after}");
    // More may have been learned between the look and the checkpoint, but not less.
    assert!(after["crosses"].as_u64() >= before["crosses"].as_u64(), "{after}");
    let (loved, other) = likes_for_a_stranger(&server).await;
    assert!(loved > 1.5 * other, "{loved} {other}");
}
