//! Which items come: filters, times, devices, authors.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("in range")
}

async fn put(server: &Server, items: Value) {
    let reply = server.send(Method::POST, "/v1/items", &items).await;
    assert_eq!(reply["rejected"], json!([]), "{reply}");
}

#[tokio::test]
async fn a_feed_of_some_categories_tags_or_authors_holds_those_only_and_ends_with_them() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 40).await;
    let feed = server.get("/v1/users/u/feed?n=100&category=pets").await;
    assert_eq!((item_ids(&feed).len(), &feed["degraded"]), (40, &json!("exhausted")));
    assert!(item_ids(&feed).iter().all(|id| id.starts_with("pets")));
    assert_eq!(
        item_ids(&server.get("/v1/users/u/feed?n=100&category=pets&category=food").await).len(),
        80
    );
    assert_eq!(
        item_ids(&server.get("/v1/users/u/feed?n=100&tag=pets-tag0").await).len(),
        8
    );
    assert_eq!(
        item_ids(&server.get("/v1/users/u/feed?n=100&author=pets-author0").await).len(),
        6
    );
    assert_eq!(
        item_ids(
            &server
                .get("/v1/users/u/feed?n=100&author=pets-author0&category=food")
                .await
        )
        .len(),
        0
    );
    assert_eq!(
        item_ids(&server.get("/v1/users/u/feed?n=100&category=nothing").await).len(),
        0
    );
    server
        .send(
            Method::PUT,
            "/v1/users/u",
            &json!({"follows": ["cars-author1", "food-author2"]}),
        )
        .await;
    let followed = item_ids(&server.get("/v1/users/u/feed?n=100&following=true").await);
    assert_eq!(followed.len(), 12, "{followed:?}");
    // A filtered feed takes nothing from the others.
    assert_eq!(item_ids(&server.serve("/v1/users/u/feed?n=120").await).len(), 120);
}

#[tokio::test]
async fn lists_are_filtered_too() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 20).await;
    let likes: Vec<Value> = (0..20)
        .flat_map(|number| {
            ["pets", "food"].map(
                |name| json!({"user_id": format!("u{number}"), "item_id": format!("{name}{number}"), "type": "like"}),
            )
        })
        .collect();
    server.send(Method::POST, "/v1/events", &json!(likes)).await;
    for window in ["1h", "30m", "3h"] {
        eventually("the likes are counted", async || {
            let popular = server.get(&format!("/v1/popular?n=50&window={window}")).await;
            (item_ids(&popular).len() == 40).then_some(())
        })
        .await;
        let pets = item_ids(
            &server
                .get(&format!("/v1/popular?n=50&window={window}&category=pets"))
                .await,
        );
        assert!(
            pets.len() == 20 && pets.iter().all(|id| id.starts_with("pets")),
            "{pets:?}"
        );
        let author = item_ids(
            &server
                .get(&format!("/v1/popular?n=50&window={window}&author=food-author3"))
                .await,
        );
        assert_eq!(author.len(), 3, "{author:?}");
    }
    assert_eq!(item_ids(&server.get("/v1/latest?n=50&tag=food-tag1").await).len(), 4);
    let similar = item_ids(&server.get("/v1/items/pets1/similar?n=50&category=food").await);
    assert!(
        similar.len() == 20 && similar.iter().all(|id| id.starts_with("food")),
        "{similar:?}"
    );
}

#[tokio::test]
async fn items_come_in_their_time_on_their_devices_and_not_to_their_own_author() {
    let server = Server::start().await;
    let now = now_ms();
    put(&server, json!([
        {"id": "always", "author_id": "a"},
        {"id": "later", "author_id": "a", "available_from": now + 3_600_000},
        {"id": "over", "author_id": "a", "expires_at": now - 1_000},
        {"id": "now", "author_id": "a", "available_from": now - 1_000, "expires_at": now + 3_600_000},
        {"id": "tv", "author_id": "b", "devices": ["tv"], "media": {"de": "https://de.example/tv", "default": "https://example/tv"}},
    ])).await;
    let feed = async |query: &str| {
        let mut ids = item_ids(
            &server
                .get(&format!("/v1/users/u/feed?n=20&impressions=explicit{query}"))
                .await,
        );
        ids.sort();
        ids
    };
    assert_eq!(feed("").await, ["always", "now"]);
    assert_eq!(feed("&device=phone").await, ["always", "now"]);
    assert_eq!(feed("&device=tv").await, ["always", "now", "tv"]);
    let listed = item_ids(&server.get("/v1/latest").await);
    assert!(
        listed.contains(&"now".to_owned()) && !listed.iter().any(|id| id == "later" || id == "over"),
        "{listed:?}"
    );
    let own = item_ids(&server.get("/v1/users/a/feed?n=20&device=tv").await);
    assert_eq!(own, ["tv"], "an author is not shown the own items");
    server
        .send(Method::PUT, "/v1/users/u", &json!({"blocks": ["a"], "device": "tv"}))
        .await;
    assert_eq!(feed("").await, ["tv"]);
    let shown = server.get("/v1/users/u/feed?region=de&explain=true").await;
    assert_eq!(shown["items"][0]["media_url"], "https://de.example/tv");
    assert!(shown["channels"].to_string().contains("author"), "{shown}");
    let elsewhere = server.get("/v1/users/u/feed?region=fr&explain=true").await;
    assert_eq!(elsewhere["items"][0]["media_url"], "https://example/tv");
    let refused = server
        .call(Method::PUT, "/v1/items/x")
        .json(&json!({"available_from": 5, "expires_at": 5}))
        .send()
        .await;
    assert_eq!(refused.expect("an answer").status(), 422);
}

#[tokio::test]
async fn an_item_that_ends_while_it_is_in_the_pool_does_not_come_any_more() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let ends = now_ms() + 1_500;
    put(&server, json!([{"id": "soon", "expires_at": ends}])).await;
    let look = "/v1/users/u/feed?n=50&impressions=explicit";
    assert!(item_ids(&server.get(look).await).contains(&"soon".to_owned()));
    eventually("it ends", async || (now_ms() > ends).then_some(())).await;
    assert!(!item_ids(&server.get(look).await).contains(&"soon".to_owned()));
}

#[tokio::test]
async fn a_scene_has_its_items_channels_and_rules_and_an_unknown_one_is_refused() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 30).await;
    let scenes = json!({"scenes": {
        "kitchen": {"filter": {"category": "food"}},
        "zoo": {"rules": [{"name": "zoo", "target": {"category": "food"}, "share": -1.0}], "channels": {"hot": 0}},
    }});
    // Before there are scenes any name goes.
    assert_eq!(
        server
            .feed_ids("u", "n=5&scene=anything&impressions=explicit")
            .await
            .len(),
        5
    );
    let patched = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&scenes)
        .send()
        .await
        .expect("an answer");
    assert_eq!(patched.status(), 200);
    let kitchen = server.feed_ids("u", "n=60&scene=kitchen&impressions=explicit").await;
    assert!(
        kitchen.len() == 30 && kitchen.iter().all(|id| id.starts_with("food")),
        "{kitchen:?}"
    );
    let zoo = server.get("/v1/users/u/feed?n=10&scene=zoo&explain=true").await;
    assert!(item_ids(&zoo).iter().all(|id| id.starts_with("pets")), "{zoo}");
    assert_eq!(zoo["channels"]["hot"]["trouble"], "off", "{zoo}");
    let both = server
        .feed_ids("u", "n=60&scene=kitchen&tag=food-tag1&impressions=explicit")
        .await;
    assert_eq!(both.len(), 6, "{both:?}");
    let unknown = server
        .call(Method::GET, "/v1/users/u/feed?scene=kitchn")
        .send()
        .await
        .expect("an answer");
    let refused = crate::harness::problem(unknown, 422).await;
    assert_eq!(refused["errors"][0]["code"], "unknown_scene");
    let bad = json!({"scenes": {"x": {"channels": {"hto": 1}}}});
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&bad)
        .send()
        .await
        .expect("an answer");
    let refused = crate::harness::problem(answer, 422).await;
    assert_eq!(refused["errors"][0]["field"], "scenes.x.channels.hto");
}
