//! The catalogue and the users as a back end looks through them and changes them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, problem};

fn ids(page: &Value, list: &str) -> Vec<String> {
    let rows = page[list].as_array().expect("a list");
    rows.iter()
        .map(|row| row["id"].as_str().expect("an id").to_owned())
        .collect()
}

async fn all_pages(server: &Server, path: &str, list: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}{cursor}")).await;
        all.extend(ids(&page, list));
        match page.get("cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn items_are_found_by_words_and_names_page_by_page() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 25).await;
    let items = json!([
        {"id": "bread", "title": "Sourdough, slowly", "categories": ["food"], "tags": ["bread"], "created_at": 5},
        {"id": "day", "title": "My day", "attributes": {"description": "Sourdough at last"}},
        {"id": "gone", "title": "Sourdough in secret", "hidden": true},
    ]);
    server.send(Method::POST, "/v1/items", &items).await;
    assert_eq!(
        ids(&server.get("/v1/items?q=sourdough").await, "items"),
        ["bread", "day"]
    );
    assert_eq!(
        ids(&server.get("/v1/items?q=sourdough&hidden=true").await, "items").len(),
        3
    );
    assert_eq!(
        ids(&server.get("/v1/items?q=sourdough&category=food").await, "items"),
        ["bread"]
    );
    assert!(ids(&server.get("/v1/items?q=nothing").await, "items").is_empty());
    for path in [
        "/v1/items?n=7",
        "/v1/items?n=7&sort=popular",
        "/v1/items?n=7&sort=created",
    ] {
        let all = all_pages(&server, path, "items").await;
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (52, 52), "{path}");
    }
    assert_eq!(
        all_pages(&server, "/v1/items?n=7", "items")
            .await
            .last()
            .map(String::as_str),
        Some("bread")
    );
    assert_eq!(
        all_pages(&server, "/v1/items?n=7&category=pets", "items").await.len(),
        25
    );
    let first = server.get("/v1/items?n=7").await;
    let cursor = first["cursor"].as_str().expect("a cursor");
    let other = server
        .call(Method::GET, &format!("/v1/items?n=7&category=pets&cursor={cursor}"))
        .send()
        .await;
    let refused = problem(other.expect("an answer"), 422).await;
    assert_eq!(refused["errors"][0]["field"], "cursor");
    for bad in ["sort=relevance", "sort=age", "cursor=zz", "n=0"] {
        let answer = server
            .call(Method::GET, &format!("/v1/items?{bad}"))
            .send()
            .await
            .expect("an answer");
        problem(answer, 422).await;
    }
    let categories = server.get("/v1/categories").await;
    assert_eq!(
        categories["categories"],
        json!([{"name": "food", "items": 26}, {"name": "pets", "items": 25}])
    );
    let tags = server.get("/v1/tags").await;
    assert!(tags["tags"].as_array().is_some_and(|tags| tags.len() == 11), "{tags}");
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let server = Server::start().await;
    let item = json!({"title": "A", "tags": ["x", "y"], "created_at": 5, "embedding": [1.0, 0.0], "attributes": {"a": 1, "b": 2}});
    server.send(Method::PUT, "/v1/items/v", &item).await;
    let patch = json!({"title": null, "tags": ["z"], "attributes": {"a": null, "c": true}});
    let kept = server.send(Method::PATCH, "/v1/items/v", &patch).await;
    let expected = json!({"id": "v", "tags": ["z"], "created_at": 5, "embedding": [1.0, 0.0], "attributes": {"b": 2.0, "c": true}});
    assert_eq!(kept, expected);
    assert_eq!(server.get("/v1/items/v").await, expected);
    assert_eq!(
        server
            .send(Method::PATCH, "/v1/items/v", &json!({"created_at": null}))
            .await["created_at"],
        5
    );
    for (path, body, status) in [
        ("/v1/items/nobody", json!({}), 404),
        ("/v1/items/v", json!({"id": "w"}), 422),
        ("/v1/items/v", json!({"duration_ms": -1}), 422),
        ("/v1/items/v", json!({"titel": "A"}), 400),
        ("/v1/items/v", json!([1]), 400),
        ("/v1/users/nobody", json!({}), 404),
    ] {
        let answer = server
            .call(Method::PATCH, path)
            .json(&body)
            .send()
            .await
            .expect("an answer");
        problem(answer, status).await;
    }
    server
        .send(
            Method::PUT,
            "/v1/users/u",
            &json!({"tags": ["x"], "region": "de", "blocks": ["a1"]}),
        )
        .await;
    let follow = json!([{"user_id": "u", "item_id": "v", "type": "like"}]);
    server.send(Method::POST, "/v1/events", &follow).await;
    let kept = server
        .send(
            Method::PATCH,
            "/v1/users/u",
            &json!({"region": null, "friends": ["bob"]}),
        )
        .await;
    assert_eq!(
        kept,
        json!({"id": "u", "tags": ["x"], "blocks": ["a1"], "friends": ["bob"]})
    );
    let user = server.get("/v1/users/u").await;
    assert_eq!(
        (&user["friends"], &user["counts"]["like"]),
        (&json!(["bob"]), &json!(1))
    );
    let refused = server
        .call(Method::PATCH, "/v1/users/u")
        .json(&json!({"regoin": "de"}))
        .send()
        .await;
    problem(refused.expect("an answer"), 400).await;
}

#[tokio::test]
async fn what_happened_to_an_item_is_counted_by_window() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 3).await;
    let event = |user: &str, kind: &str, watch_ms: Value| json!({"user_id": user, "item_id": "pets1", "type": kind, "watch_ms": watch_ms});
    let events = json!([
        event("a", "impression", Value::Null),
        event("b", "impression", Value::Null),
        event("a", "view", json!(5_000)),
        event("a", "like", Value::Null),
        event("b", "skip", Value::Null),
        event("a", "complete", Value::Null),
    ]);
    server.send(Method::POST, "/v1/events", &events).await;
    let stats = eventually("all is counted", async || {
        let stats = server.get("/v1/items/pets1/stats?window=3h").await;
        (stats["completions"] == 1).then_some(stats)
    })
    .await;
    for (field, expected) in [
        ("impressions", 2),
        ("views", 1),
        ("likes", 1),
        ("skips", 1),
        ("watch_time_ms", 5_000),
        ("window_ms", 10_800_000),
    ] {
        assert_eq!(stats[field], expected, "{field} in {stats}");
    }
    assert_eq!(stats["like_rate"], 0.5);
    for window in ["5m", "1h", "24h", "7d", "all"] {
        assert_eq!(stats["windows"][window]["likes"], 1, "{window} in {stats}");
    }
    assert_eq!(server.get("/v1/items/pets2/stats").await["impressions"], 0);
    problem(
        server
            .call(Method::GET, "/v1/items/none/stats")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    for bad in ["8d", "0h", "week"] {
        let answer = server
            .call(Method::GET, &format!("/v1/items/pets1/stats?window={bad}"))
            .send()
            .await;
        problem(answer.expect("an answer"), 422).await;
    }
}

#[tokio::test]
async fn users_are_listed_and_what_they_did_is_told() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let users: Vec<Value> = (0..12)
        .map(|number| json!({"id": format!("ann{number:02}"), "region": "de"}))
        .collect();
    server.send(Method::POST, "/v1/users", &json!(users)).await;
    server.send(Method::PUT, "/v1/users/bob", &json!({})).await;
    let all = all_pages(&server, "/v1/users?prefix=ann&n=5", "users").await;
    assert_eq!(
        all,
        users
            .iter()
            .map(|user| user["id"].as_str().expect("an id"))
            .collect::<Vec<_>>()
    );
    assert_eq!(all_pages(&server, "/v1/users?n=5", "users").await.len(), 13);
    let events: Vec<Value> = (0..7).map(|number| json!({"user_id": "bob", "item_id": format!("pets{number}"), "type": "like", "at": 1_000 + number})).collect();
    server.send(Method::POST, "/v1/events", &json!(events)).await;
    let first = server.get("/v1/users/bob/history?n=5").await;
    assert_eq!(
        first["events"][0],
        json!({"item_id": "pets6", "type": "like", "at": 1_006})
    );
    let cursor = first["cursor"].as_str().expect("a cursor");
    let rest = server.get(&format!("/v1/users/bob/history?n=5&cursor={cursor}")).await;
    assert_eq!(
        (rest["events"].as_array().map(Vec::len), rest.get("cursor")),
        (Some(2), None),
        "{rest}"
    );
    problem(
        server
            .call(Method::GET, "/v1/users/nobody/history")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
}
