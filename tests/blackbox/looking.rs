//! Feeds that are looked at and feeds that are served: what counts as shown, and that one showing is one showing.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, eventually, item_ids, problem};
use crate::socket::Socket;

async fn impressions(server: &Server, user: &str) -> Value {
    server.get(&format!("/v1/users/{user}")).await["counts"]["impression"].clone()
}

async fn report(server: &Server, user: &str, kind: &str, items: &[String]) {
    let event = |item: &String| json!({"user_id": user, "item_id": item, "type": kind});
    let events: Vec<Value> = items.iter().map(event).collect();
    let reply = server.send(Method::POST, "/v1/events", &json!(events)).await;
    assert_eq!(reply["accepted"], items.len(), "{reply}");
}

#[tokio::test]
async fn a_look_is_the_same_until_something_is_reported_and_goes_on_behind_a_feed() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 20).await;
    let path = "/v1/users/u/feed?n=10";
    let first = server.get(path).await;
    let again = server.get(path).await;
    assert_eq!(
        (&first["request_id"], item_ids(&first)),
        (&again["request_id"], item_ids(&again))
    );
    // HEAD looks at nothing, and POST is not disturbed by any of it.
    for _ in 0..2 {
        let head = server.call(Method::HEAD, path).send().await.expect("an answer");
        assert_eq!(head.status(), 200);
    }
    problem(
        server.call(Method::GET, "/v1/users/u").send().await.expect("an answer"),
        404,
    )
    .await;

    let mut seen = item_ids(&first);
    let mut last = first["request_id"].clone();
    for _ in 0..5 {
        let behind = format!("{path}&after={}", last.as_str().expect("an id"));
        let next = server.get(&behind).await;
        assert_eq!(next, server.get(&behind).await, "asked again it is the same");
        let ids = item_ids(&next);
        assert_eq!(ids.len(), 10);
        assert!(ids.iter().all(|id| !seen.contains(id)), "{ids:?} repeats");
        seen.extend(ids);
        last = next["request_id"].clone();
    }
    let end = server
        .get(&format!("{path}&after={}", last.as_str().expect("an id")))
        .await;
    assert_eq!((item_ids(&end).len(), &end["degraded"]), (0, &json!("exhausted")));

    report(&server, "u", "impression", &item_ids(&first)[..3]).await;
    let after = server.get(path).await;
    assert_ne!(after["request_id"], first["request_id"]);
    assert!(item_ids(&after).iter().all(|id| !item_ids(&first)[..3].contains(id)));
    let unknown = server.call(Method::GET, &format!("{path}&after=never")).send().await;
    let refused = problem(unknown.expect("an answer"), 422).await;
    assert_eq!(refused["errors"][0]["code"], "unknown_feed");
}

#[tokio::test]
async fn what_is_served_counts_as_shown_and_wishes_stand_in_the_body_or_the_query() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 20).await;
    let by_body = server
        .send(Method::POST, "/v1/users/u/feed", &json!({"n": 5, "category": "pets"}))
        .await;
    let by_query = server.serve("/v1/users/u/feed?n=5&category=pets&category=food").await;
    let by_look = server.get("/v1/users/u/feed?n=5&impressions=served").await;
    let mut all: Vec<String> = [&by_body, &by_query, &by_look].into_iter().flat_map(item_ids).collect();
    assert!(item_ids(&by_body).iter().all(|id| id.starts_with("pets")), "{by_body}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 15, "nothing comes twice");
    assert_eq!(impressions(&server, "u").await, 15);
    let open = server
        .send(Method::POST, "/v1/users/u/feed", &json!({"impressions": "explicit"}))
        .await;
    assert_eq!(
        (item_ids(&open).len(), impressions(&server, "u").await),
        (10, json!(15))
    );
    let twice = server
        .call(Method::POST, "/v1/users/u/feed?n=5")
        .json(&json!({"n": 6}))
        .send()
        .await;
    let refused = problem(twice.expect("an answer"), 422).await;
    assert_eq!(
        (&refused["errors"][0]["field"], &refused["errors"][0]["code"]),
        (&json!("n"), &json!("ambiguous"))
    );
    let bad = server
        .call(Method::POST, "/v1/users/u/feed")
        .json(&json!({"n": 0, "exclude": [""]}))
        .send()
        .await;
    assert_eq!(
        problem(bad.expect("an answer"), 422).await["errors"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

async fn shown_of(server: &Server, item: &str) -> (Value, Value) {
    let item = server.get(&format!("/v1/items/{item}?explain=true")).await;
    let stats = server
        .get(&format!("/v1/items/{}/stats", item["id"].as_str().expect("an id")))
        .await;
    (item["exploration"]["shown"].clone(), stats["impressions"].clone())
}

#[tokio::test]
async fn one_showing_is_one_showing_over_rest_in_both_orders_and_after_a_restart() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Server::start_in(folder.path(), &[]).await;
    server.put_catalogue(&["pets"], 30).await;
    let served = item_ids(&server.serve("/v1/users/u/feed?n=4").await);
    report(&server, "u", "impression", &served).await;
    assert_eq!(impressions(&server, "u").await, 4);
    // Acted on first, reported as shown later, twice.
    let looked = item_ids(&server.get("/v1/users/u/feed?n=2").await);
    report(&server, "u", "like", &looked).await;
    assert_eq!(impressions(&server, "u").await, 4);
    report(&server, "u", "impression", &looked).await;
    report(&server, "u", "impression", &looked).await;
    assert_eq!(impressions(&server, "u").await, 6);
    let expected = (json!(1), json!(1));
    for item in served.iter().chain(&looked) {
        eventually("it is counted once", async || {
            (shown_of(&server, item).await.1 == expected.1).then_some(())
        })
        .await;
    }
    server.kill().await;
    let server = Server::start_in(folder.path(), &[]).await;
    assert_eq!(impressions(&server, "u").await, 6);
    report(&server, "u", "impression", &served).await;
    report(&server, "u", "impression", &looked).await;
    assert_eq!(impressions(&server, "u").await, 6);
    for item in served.iter().chain(&looked) {
        assert_eq!(shown_of(&server, item).await, expected, "{item}");
    }
}

#[tokio::test]
async fn one_showing_is_one_showing_on_a_socket_in_both_orders() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 30).await;
    let mut socket = Socket::unread(&server, "u").await;
    let feed = socket.until("feed").await;
    let ids = item_ids(&feed);
    socket
        .send(&json!({"type": "seen", "seq": feed["seq"], "upto": 2, "id": 1}))
        .await;
    socket.until("ack").await;
    report(&server, "u", "impression", &ids[..3]).await;
    assert_eq!(impressions(&server, "u").await, 3);
    report(&server, "u", "impression", &ids[3..6]).await;
    socket
        .send(&json!({"type": "seen", "seq": feed["seq"], "upto": 5, "id": 2}))
        .await;
    socket.until("ack").await;
    assert_eq!(impressions(&server, "u").await, 6);
}
