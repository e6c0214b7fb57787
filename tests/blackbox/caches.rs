//! What is kept for a short time: it is used, it is never wrong, and it can be switched off.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids};

/// How often a cache answered, and how often it could not.
async fn uses(server: &Server, cache: &str) -> (u64, u64) {
    let answer = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("text");
    let count = |kind: &str| {
        let line = format!("swipeline_cache_{kind}_total{{cache=\"{cache}\"}} ");
        let found = text.lines().find_map(|known| known.strip_prefix(&line)?.parse().ok());
        found.unwrap_or(0)
    };
    (count("hits"), count("misses"))
}

async fn patch(server: &Server, patch: &Value) {
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(patch)
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200, "{patch}");
}

async fn like(server: &Server, user: &str, item: &str) {
    let event = json!([{"user_id": user, "item_id": item, "type": "like"}]);
    assert_eq!(server.send(Method::POST, "/v1/events", &event).await["accepted"], 1);
}

/// Long enough that nothing but what is tested lets an entry go.
async fn start() -> Server {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 100).await;
    let long = json!({"similar_ms": 60_000, "popular_ms": 60_000, "profile_ms": 60_000, "feed_ms": 60_000});
    // A new viewer's feed is made of more than a ranking.
    patch(&server, &json!({"caches": long, "cold_start": {"first_slates": 0}})).await;
    server
}

#[tokio::test]
async fn the_next_feed_comes_from_what_the_ranking_left_and_never_repeats() {
    let server = start().await;
    let mut shown = HashSet::new();
    for round in 0..5 {
        let feed = server.serve("/v1/users/u/feed").await;
        assert_eq!((item_ids(&feed).len(), &feed["degraded"]), (10, &Value::Null));
        for id in item_ids(&feed) {
            assert!(shown.insert(id.clone()), "{id} was shown twice");
        }
        assert_eq!(uses(&server, "feed").await, (round, 1), "one ranking is enough");
    }
    // Every answer counts as shown, whoever asks how.
    let explicit = server.feed_ids("u", "n=60&impressions=explicit").await;
    assert!(explicit.iter().all(|id| !shown.contains(id)));
    assert_eq!(uses(&server, "feed").await.1, 1, "that one is not for the cache");
}

#[tokio::test]
async fn whatever_matters_asks_for_a_new_ranking() {
    let server = start().await;
    let expect_miss = async |server: &Server, what: &str| {
        let before = uses(server, "feed").await;
        server.serve("/v1/users/u/feed?n=3").await;
        let after = uses(server, "feed").await;
        assert_eq!((after.0, after.1), (before.0, before.1 + 1), "{what}");
        // And the one after it needs none.
        server.serve("/v1/users/u/feed?n=3").await;
        assert_eq!(uses(server, "feed").await, (before.0 + 1, before.1 + 1), "{what}");
    };
    expect_miss(&server, "the first").await;
    like(&server, "u", "pets1").await;
    expect_miss(&server, "a signal of the viewer").await;
    server
        .send(Method::PUT, "/v1/items/new", &json!({"categories": ["pets"]}))
        .await;
    expect_miss(&server, "a new item").await;
    patch(&server, &json!({"rerank": {"exploration_share": 0.0}})).await;
    expect_miss(&server, "other params").await;
    server
        .send(Method::PUT, "/v1/users/u", &json!({"tags": ["food-tag1"]}))
        .await;
    expect_miss(&server, "another registration").await;
    // What somebody else does is not this viewer's business for so short a time.
    let before = uses(&server, "feed").await;
    like(&server, "v", "pets2").await;
    server.serve("/v1/users/u/feed?n=3").await;
    assert_eq!(uses(&server, "feed").await, (before.0 + 1, before.1));
    patch(&server, &json!({"caches": {"feed_ms": 0}})).await;
    let before = uses(&server, "feed").await;
    server.serve("/v1/users/u/feed?n=3").await;
    server.serve("/v1/users/u/feed?n=3").await;
    assert_eq!(uses(&server, "feed").await, before, "it is off");
}

#[tokio::test]
async fn what_was_hidden_or_deleted_comes_from_no_cache() {
    let server = start().await;
    patch(&server, &json!({"popularity": {"refresh_ms": 500}})).await;
    let similar = "/v1/items/pets50/similar?n=20";
    for number in 0..40 {
        like(&server, &format!("fan{}", number % 4), &format!("pets{}", number % 20)).await;
    }
    eventually("something is popular", async || {
        (item_ids(&server.get("/v1/popular?window=1h&n=20").await).len() >= 20).then_some(())
    })
    .await;
    let lists = async || {
        [
            item_ids(&server.get(similar).await),
            item_ids(&server.get("/v1/popular?window=1h&n=20").await),
        ]
    };
    let first = lists().await;
    assert_eq!(lists().await, first);
    let (similar_uses, popular_uses) = (uses(&server, "similar").await, uses(&server, "popular").await);
    assert!(
        similar_uses.0 >= 1 && popular_uses.0 >= 1,
        "{similar_uses:?} {popular_uses:?}"
    );
    for list in &first {
        let (hidden, deleted) = (&list[0], &list[1]);
        server
            .send(Method::PUT, &format!("/v1/items/{hidden}"), &json!({"hidden": true}))
            .await;
        let path = format!("/v1/items/{deleted}");
        server.call(Method::DELETE, &path).send().await.expect("an answer");
        for after in lists().await {
            assert!(!after.contains(hidden) && !after.contains(deleted), "{after:?}");
        }
    }
}

#[tokio::test]
async fn a_profile_is_read_again_only_when_something_was_learned() {
    let server = start().await;
    like(&server, "u", "pets1").await;
    let first = server.get("/v1/users/u").await;
    assert_eq!(first["counts"]["like"], 1);
    assert_eq!(server.get("/v1/users/u").await, first);
    assert_eq!(uses(&server, "profile").await.0, 1);
    like(&server, "u", "pets2").await;
    let second = server.get("/v1/users/u").await;
    assert_eq!(second["counts"]["like"], 2, "an acknowledged event shows at once");
    assert_eq!(second["recent"], json!(["pets2", "pets1"]));
    server
        .call(Method::DELETE, "/v1/items/pets2")
        .send()
        .await
        .expect("an answer");
    assert_eq!(server.get("/v1/users/u").await["recent"], json!(["pets1"]));
    server.serve("/v1/users/u/feed?n=4").await;
    assert_eq!(server.get("/v1/users/u").await["counts"]["impression"], 4);
    server
        .call(Method::DELETE, "/v1/users/u")
        .send()
        .await
        .expect("an answer");
    let gone = server.call(Method::GET, "/v1/users/u").send().await.expect("an answer");
    assert_eq!(gone.status(), 404);
}

#[tokio::test]
async fn what_is_liked_together_shows_among_similar_items_at_once() {
    let server = start().await;
    let path = "/v1/items/pets1/similar?n=5";
    assert!(!item_ids(&server.get(path).await).contains(&"cars77".to_owned()));
    for item in ["pets1", "cars77"] {
        like(&server, "u", item).await;
    }
    eventually("it is found together", async || {
        item_ids(&server.get(path).await)
            .contains(&"cars77".to_owned())
            .then_some(())
    })
    .await;
}
