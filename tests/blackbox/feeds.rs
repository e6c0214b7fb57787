//! Feeds over REST: no repeats, exclusion, explanation, exhaustion.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, eventually, item_ids};

#[tokio::test]
async fn a_feed_never_repeats_and_ends_when_everything_was_shown() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 20).await;
    let mut shown = HashSet::new();
    for _ in 0..6 {
        let feed = server.serve("/v1/users/u/feed").await;
        assert_eq!(feed["user_id"], "u");
        assert!(
            feed["request_id"].is_string() && feed["generated_at"].is_i64() && feed["took_us"].is_u64(),
            "{feed}"
        );
        let ids = item_ids(&feed);
        assert_eq!(ids.len(), 10, "{feed}");
        for (position, item) in feed["items"].as_array().expect("items").iter().enumerate() {
            assert_eq!(item["position"], position);
            assert!(
                item["channels"].as_array().is_some_and(|channels| !channels.is_empty()),
                "{item}"
            );
            assert!(
                item["reason"].is_string() && item["explore"].is_boolean() && item["score"].is_number(),
                "{item}"
            );
        }
        for id in ids {
            assert!(shown.insert(id.clone()), "{id} was shown twice");
        }
    }
    let last = server.serve("/v1/users/u/feed").await;
    assert_eq!(last["items"], json!([]));
    assert_eq!(last["degraded"], "exhausted");
    assert_eq!(server.feed_ids("somebody-else", "n=60").await.len(), 60);
}

#[tokio::test]
async fn explicit_impressions_leave_what_was_served_open() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 12).await;
    for _ in 0..3 {
        assert_eq!(server.feed_ids("u", "n=12&impressions=explicit").await.len(), 12);
    }
    let seen = json!([{"user_id": "u", "item_id": "pets3", "type": "impression"}]);
    server.send(Method::POST, "/v1/events", &seen).await;
    let left = server.feed_ids("u", "n=12&impressions=explicit").await;
    assert_eq!(left.len(), 11);
    assert!(!left.contains(&"pets3".to_owned()));
}

#[tokio::test]
async fn what_is_excluded_hidden_or_deleted_does_not_come() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let feed = server
        .feed_ids("u", "n=10&impressions=explicit&exclude=pets1,pets2")
        .await;
    assert_eq!(feed.len(), 8);
    assert!(!feed.contains(&"pets1".to_owned()) && !feed.contains(&"pets2".to_owned()));
    server
        .send(Method::PUT, "/v1/items/pets3", &json!({"hidden": true}))
        .await;
    server
        .call(Method::DELETE, "/v1/items/pets4")
        .send()
        .await
        .expect("an answer");
    let feed = server.feed_ids("u", "n=10&impressions=explicit").await;
    assert_eq!(feed.len(), 8);
    assert!(!feed.contains(&"pets3".to_owned()) && !feed.contains(&"pets4".to_owned()));
}

#[tokio::test]
async fn explain_names_channels_and_scores() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 30).await;
    let feed = server.serve("/v1/users/u/feed?explain=true").await;
    let explain = &feed["items"][0]["explain"];
    assert!(
        explain["objectives"]
            .as_object()
            .is_some_and(|objectives| !objectives.is_empty()),
        "{feed}"
    );
    for field in ["weights", "features", "channel_scores"] {
        assert!(explain[field].is_object(), "{field} is missing in {explain}");
    }
    assert!(explain["moves"].is_array());
    let channels = feed["channels"].as_object().expect("channels");
    assert!(
        channels
            .values()
            .any(|channel| channel["kept"].as_u64().is_some_and(|kept| kept > 0)),
        "{feed}"
    );
    let plain = server.serve("/v1/users/u/feed").await;
    assert!(
        plain.get("channels").is_none() && plain["items"][0].get("explain").is_none(),
        "{plain}"
    );
}

#[tokio::test]
async fn a_new_item_close_to_the_interest_comes_within_two_requests() {
    let server = Server::start().await;
    let near =
        |number: usize| json!({"id": format!("near{number}"), "embedding": [1.0, 0.01 * number as f32, 0.0, 0.0]});
    let far = |number: usize| json!({"id": format!("far{number}"), "embedding": [0.0, 0.0, 1.0, 0.01 * number as f32]});
    let items: Vec<_> = (0..50).flat_map(|number| [near(number), far(number)]).collect();
    server.send(Method::POST, "/v1/items", &json!(items)).await;
    let likes: Vec<_> = (0..8)
        .map(|number| json!({"user_id": "u", "item_id": format!("near{number}"), "type": "like"}))
        .collect();
    server.send(Method::POST, "/v1/events", &json!(likes)).await;
    server
        .send(
            Method::PUT,
            "/v1/items/fresh",
            &json!({"embedding": [1.0, 0.03, 0.0, 0.0]}),
        )
        .await;
    let mut found = false;
    for _ in 0..2 {
        found |= server.feed_ids("u", "n=20").await.contains(&"fresh".to_owned());
    }
    assert!(found, "the fresh item did not come within two requests");
}

#[tokio::test]
async fn likes_draw_their_kind_in_and_skips_push_it_out() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars", "music"], 100).await;
    let share = async |user: &str| {
        let ids = server.feed_ids(user, "n=40&impressions=explicit").await;
        ids.iter().filter(|id| id.starts_with("pets")).count()
    };
    let before = share("fan").await;
    for (user, kind) in [("fan", "like"), ("foe", "skip")] {
        let events: Vec<_> = (0..10)
            .map(|number| json!({"user_id": user, "item_id": format!("pets{number}"), "type": kind}))
            .collect();
        server.send(Method::POST, "/v1/events", &json!(events)).await;
    }
    let (fan, foe) = eventually("taste shows", async || {
        let shares = (share("fan").await, share("foe").await);
        (shares.0 > before && shares.0 > shares.1).then_some(shares)
    })
    .await;
    assert!(fan > before && foe < fan, "before {before}, fan {fan}, foe {foe}");
}
