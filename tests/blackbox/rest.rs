//! REST as a back end uses it: items, users, events, lists; JSON, lines and MessagePack.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids, problem};

#[tokio::test]
async fn an_item_lives_from_put_to_delete() {
    let server = Server::start().await;
    let item = json!({"title": "Cats", "author_id": "a1", "categories": ["pets"], "tags": ["cat", "cute"],
                      "duration_ms": 12_000, "created_at": 1_700_000_000_000_i64, "regions": ["de"],
                      "embedding": [0.25, -0.5, 1.0], "attributes": {"lang": "en", "hd": true, "size": 1.5}});
    let mut expected = item.clone();
    expected["id"] = json!("v1");
    assert_eq!(server.send(Method::PUT, "/v1/items/v1", &item).await, expected);
    assert_eq!(server.get("/v1/items/v1").await, expected);
    let renamed = json!({"id": "v1", "title": "Dogs"});
    server.send(Method::PUT, "/v1/items/v1", &renamed).await;
    assert_eq!(server.get("/v1/items/v1").await["title"], "Dogs");
    let deleted = server
        .call(Method::DELETE, "/v1/items/v1")
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert_eq!(deleted.bytes().await.expect("a body").len(), 0);
    problem(
        server
            .call(Method::GET, "/v1/items/v1")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    problem(
        server
            .call(Method::DELETE, "/v1/items/v1")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
}

#[tokio::test]
async fn an_id_may_hold_any_visible_character() {
    let server = Server::start().await;
    for (path, id) in [
        ("a%2Fb", "a/b"),
        ("%C3%A9%20%F0%9F%90%88", "é 🐈"),
        ("a%3Fb%23c%25", "a?b#c%"),
    ] {
        let kept = server
            .send(Method::PUT, &format!("/v1/items/{path}"), &json!({"id": id}))
            .await;
        assert_eq!(kept["id"], id);
        assert_eq!(server.get(&format!("/v1/items/{path}")).await["id"], id);
    }
}

#[tokio::test]
async fn a_list_of_items_rejects_the_bad_ones_by_their_index() {
    let server = Server::start().await;
    let list = json!([{"id": "a"}, {"id": ""}, {"id": 5}, {"id": "b", "tags": ["x\u{7}"]}, "nonsense", {"id": "c"}]);
    let reply = server.send(Method::POST, "/v1/items", &list).await;
    assert_eq!(reply["upserted"], 2);
    let rejected = reply["rejected"].as_array().expect("a list");
    let indexes: Vec<_> = rejected
        .iter()
        .map(|rejection| rejection["index"].as_u64().expect("an index"))
        .collect();
    assert_eq!(indexes, [1, 2, 3, 4]);
    assert_eq!(rejected[0]["code"], "id_empty");
    assert_eq!(rejected[1]["code"], "malformed");
    assert!(rejected[2]["detail"].as_str().expect("text").contains("tags[0]"));
    assert_eq!(server.get("/v1/items/c").await["id"], "c");
}

#[tokio::test]
async fn items_come_as_lines_too() {
    let server = Server::start().await;
    let lines = "{\"id\":\"a\"}\n\n{\"id\":\n{\"id\":\"b\"}\r\n{\"id\":\"\"}";
    let call = server
        .call(Method::POST, "/v1/items")
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let reply: Value = call.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(reply["upserted"], 2);
    assert_eq!(reply["rejected"][0]["index"], 2);
    assert!(
        reply["rejected"][0]["detail"]
            .as_str()
            .expect("text")
            .contains("line 3"),
        "{reply}"
    );
    assert_eq!(reply["rejected"][1]["index"], 4);
}

#[tokio::test]
async fn messagepack_says_the_same_as_json() {
    let server = Server::start().await;
    let list = json!([{"id": "a", "categories": ["pets"]}, {"id": 7}, {"id": "b", "embedding": [0.5, 0.5]}]);
    let packed = rmp_serde::to_vec_named(&list).expect("MessagePack");
    let call = server
        .call(Method::POST, "/v1/items")
        .header("content-type", "application/msgpack")
        .body(packed);
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/msgpack");
    let reply: Value = rmp_serde::from_slice(&answer.bytes().await.expect("a body")).expect("MessagePack");
    assert_eq!(reply["upserted"], 2);
    assert_eq!(reply["rejected"][0]["index"], 1);
    let call = server
        .call(Method::GET, "/v1/items/b")
        .header("accept", "application/msgpack");
    let bytes = call.send().await.expect("an answer").bytes().await.expect("a body");
    let packed: Value = rmp_serde::from_slice(&bytes).expect("MessagePack");
    assert_eq!(packed, server.get("/v1/items/b").await);
    let call = server
        .call(Method::GET, "/v1/items/nothing")
        .header("accept", "application/msgpack");
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+msgpack");
    let problem: Value = rmp_serde::from_slice(&answer.bytes().await.expect("a body")).expect("MessagePack");
    assert_eq!(problem["status"], 404);
}

#[tokio::test]
async fn a_user_is_registered_profiled_and_forgotten() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    problem(
        server
            .call(Method::GET, "/v1/users/u1")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    let user = json!({"tags": ["cat"], "region": "de", "device": "phone", "follows": ["pets-author1"]});
    assert_eq!(server.send(Method::PUT, "/v1/users/u1", &user).await["region"], "de");
    let events = json!([{"user_id": "u1", "item_id": "pets1", "type": "like"},
                        {"user_id": "u1", "item_id": "pets2", "type": "skip"}]);
    let reply = server.send(Method::POST, "/v1/events", &events).await;
    assert_eq!(reply, json!({"accepted": 2, "duplicates": 0, "rejected": []}));
    let profile = server.get("/v1/users/u1").await;
    assert_eq!(profile["id"], "u1");
    assert_eq!(profile["tags"], json!(["cat"]));
    assert_eq!(profile["counts"]["like"], 1);
    assert_eq!(profile["counts"]["skip"], 1);
    assert_eq!(profile["recent"], json!(["pets2", "pets1"]));
    assert!(
        profile["labels"].is_array() && profile["interests"]["long"].is_array(),
        "{profile}"
    );
    let short = profile["interests"]["short"].as_array().expect("interests");
    assert!(
        short
            .iter()
            .all(|entry| entry["tag"].is_string() && entry["weight"].is_number()),
        "{profile}"
    );
    assert_eq!(
        server
            .call(Method::DELETE, "/v1/users/u1")
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    problem(
        server
            .call(Method::GET, "/v1/users/u1")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    problem(
        server
            .call(Method::DELETE, "/v1/users/u1")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
}

#[tokio::test]
async fn an_event_counts_once_and_a_bad_one_is_rejected_alone() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 5).await;
    let events = json!([
        {"event_id": "e1", "user_id": "u", "item_id": "pets1", "type": "like", "at": 1_700_000_000_000_i64},
        {"event_id": "e1", "user_id": "u", "item_id": "pets1", "type": "like"},
        {"user_id": "u", "item_id": "no such item", "type": "like"},
        {"user_id": "u", "item_id": "pets2", "type": "adore"},
        {"item_id": "pets2", "type": "like"},
        {"user_id": "u", "item_id": "pets2", "type": "view", "watch_ms": 3_000, "position": 2, "context": {"net": "4g"}},
    ]);
    let reply = server.send(Method::POST, "/v1/events", &events).await;
    assert_eq!((&reply["accepted"], &reply["duplicates"]), (&json!(2), &json!(1)));
    let rejected = reply["rejected"].as_array().expect("a list");
    let rejected: Vec<_> = rejected
        .iter()
        .map(|one| (one["index"].as_u64(), one["code"].as_str()))
        .collect();
    assert_eq!(
        rejected
            .iter()
            .map(|(index, _)| index.expect("an index"))
            .collect::<Vec<_>>(),
        [2, 3, 4]
    );
    assert_eq!(rejected[1].1, Some("unknown_type"));
    let again = server.send(Method::POST, "/v1/events", &json!([events[0]])).await;
    assert_eq!(again, json!({"accepted": 0, "duplicates": 1, "rejected": []}));
    assert_eq!(server.get("/v1/users/u").await["counts"]["like"], 1);
    assert_eq!(server.send(Method::POST, "/v1/events", &json!([])).await["accepted"], 0);
}

#[tokio::test]
async fn lists_for_everybody() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 20).await;
    let likes: Vec<Value> = (0..5)
        .map(|number| json!({"user_id": format!("u{number}"), "item_id": "pets3", "type": "like"}))
        .collect();
    server.send(Method::POST, "/v1/events", &Value::Array(likes)).await;
    let similar = server.get("/v1/items/pets1/similar?n=5").await;
    assert_eq!(item_ids(&similar).len(), 5);
    assert!(!item_ids(&similar).contains(&"pets1".to_owned()));
    assert!(similar["items"][0]["score"].is_number());
    problem(
        server
            .call(Method::GET, "/v1/items/none/similar")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    for window in ["5m", "1h", "24h", "7d"] {
        eventually("the liked item is popular", async || {
            let popular = server.get(&format!("/v1/popular?n=3&window={window}")).await;
            item_ids(&popular).contains(&"pets3".to_owned()).then_some(())
        })
        .await;
    }
    let latest = item_ids(&server.get("/v1/latest?n=7&category=food").await);
    assert_eq!(latest.len(), 7);
    assert!(latest.iter().all(|id| id.starts_with("food")), "{latest:?}");
    let ids = json!(["food1", "pets1", "nothing", "pets2"]);
    let ranked = server
        .send(Method::POST, "/v1/rank", &json!({"user_id": "u1", "item_ids": ids}))
        .await;
    let mut ranked_ids = item_ids(&ranked);
    ranked_ids.sort();
    assert_eq!(ranked_ids, ["food1", "pets1", "pets2"]);
    assert!(
        ranked["items"][0]["score"].is_number() && ranked["items"][0]["objectives"].is_object(),
        "{ranked}"
    );
    let stats = server.get("/v1/stats?window=5m").await;
    assert!(stats.is_object(), "{stats}");
}
