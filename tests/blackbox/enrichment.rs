//! Inferred tags from outside: marked, used by feeds, never the owner's, and there again after a crash.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, item_ids};

/// Titles with a word of their subject in each, two subjects.
fn tagged() -> Vec<Value> {
    let item = |(number, subject): (usize, &str)| {
        let title = match subject {
            "cooking" => format!("Recipe number {number} with garlic"),
            _ => format!("Goal number {number} of the derby"),
        };
        json!({"id": format!("{subject}{number}"), "title": title, "tags": [subject], "categories": ["video"]})
    };
    (0..12)
        .flat_map(|number| [(number, "cooking"), (number, "football")])
        .map(item)
        .collect()
}

#[tokio::test]
async fn an_untagged_item_is_found_by_those_who_like_its_subject_also_after_a_crash() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.send(Method::POST, "/v1/items", &json!(tagged())).await;
    let new = json!({"title": "Something new", "categories": ["video"],
                     "attributes": {"description": "A recipe with garlic, for two"}});
    let kept = server.send(Method::PUT, "/v1/items/new", &new).await;
    assert!(kept["tags"].is_null(), "{kept}");
    for round in 0..2 {
        let item = server.get("/v1/items/new").await;
        assert_eq!(item["inferred_tags"], json!(["cooking"]), "round {round}: {item}");
        assert!(
            item["tags"].is_null(),
            "round {round}: the owner's tags were touched: {item}"
        );
        server.kill().await;
        server = Server::start_in(dir.path(), &[]).await;
    }
    // Whoever sends back what a GET has shown does not make the inferred tags the owner's.
    let shown = server.get("/v1/items/new").await;
    server.send(Method::PUT, "/v1/items/new", &shown).await;
    assert!(server.get("/v1/items/new").await["tags"].is_null());
    for number in 0..5 {
        let event = json!([{"user_id": "cook", "item_id": format!("cooking{number}"), "type": "like"}]);
        server.send(Method::POST, "/v1/events", &event).await;
    }
    let feed = server.serve("/v1/users/cook/feed?n=20&explain=true").await;
    assert!(item_ids(&feed).contains(&"new".to_owned()), "{feed}");
    let item = feed["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|item| item["item_id"] == "new");
    let channels = item.expect("found above")["channels"].to_string();
    assert!(channels.contains("tags"), "{channels}");
}

#[tokio::test]
async fn items_with_tags_enough_and_a_model_that_is_off_are_left_alone() {
    let server = Server::start().await;
    server.send(Method::POST, "/v1/items", &json!(tagged())).await;
    let own = json!({"title": "A recipe with garlic", "tags": ["mine", "too"]});
    server.send(Method::PUT, "/v1/items/own", &own).await;
    assert!(server.get("/v1/items/own").await["inferred_tags"].is_null());
    let off = json!({"enrichment": {"enabled": false}});
    let patched = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&off)
        .send()
        .await;
    assert_eq!(patched.expect("an answer").status(), 200);
    server
        .send(Method::PUT, "/v1/items/off", &json!({"title": "A recipe with garlic"}))
        .await;
    assert!(server.get("/v1/items/off").await["inferred_tags"].is_null());
}
