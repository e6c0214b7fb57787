//! Popular and latest lists by window, region and category, and items that turn viral.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids};

async fn like(server: &Server, item: &str, region: &str, ago_ms: i64, viewers: usize) {
    let at = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64
        - ago_ms;
    let event = |number: usize| {
        json!({"user_id": format!("{region}-{item}-{number}"), "item_id": item, "type": "like", "at": at,
               "context": {"region": region}})
    };
    let events: Vec<Value> = (0..viewers).map(event).collect();
    server.send(Method::POST, "/v1/events", &Value::Array(events)).await;
}

async fn patch(server: &Server, params: &Value) {
    let answer = server.admin_call(Method::PATCH, "/v1/admin/params").json(params).send();
    assert_eq!(answer.await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_viral_item_is_listed_within_two_seconds_though_the_lists_are_seldom_made() {
    let server = Server::start().await;
    patch(
        &server,
        &json!({"popularity": {"refresh_ms": 600_000, "refresh_cpu_share": 0.0}}),
    )
    .await;
    server.put_catalogue(&["pets", "food"], 30).await;
    like(&server, "food1", "se", 0, 4).await;
    let began = Instant::now();
    like(&server, "pets3", "se", 0, 40).await;
    let listed = eventually("the item is listed", async || {
        let popular = server.get("/v1/popular?window=5m").await;
        let items = popular["items"].as_array().expect("items");
        items.iter().find(|item| item["item_id"] == "pets3").cloned()
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(listed["viral"], true, "{listed}");
    for path in ["/v1/popular?category=pets", "/v1/popular?window=24h&n=1"] {
        assert_eq!(item_ids(&server.get(path).await)[0], "pets3", "{path}");
    }
    let answer = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let metrics = answer.text().await.expect("a body");
    assert!(metrics.contains("swipeline_viral_detected_total 1"), "{metrics}");
    assert!(metrics.contains("swipeline_viral_items 1"), "{metrics}");
}

#[tokio::test]
async fn window_region_and_category_hold_together() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 10).await;
    for region in ["se", "jp"] {
        let user = json!({"region": region});
        server.send(Method::PUT, &format!("/v1/users/of-{region}"), &user).await;
    }
    let two_hours_ms = 2 * 3_600_000;
    like(&server, "pets1", "se", 0, 5).await;
    like(&server, "food1", "se", 0, 4).await;
    like(&server, "pets2", "jp", 0, 5).await;
    like(&server, "pets3", "se", two_hours_ms, 9).await;
    let list = async |query: &str| item_ids(&server.get(&format!("/v1/popular?{query}")).await);
    eventually("all of it is counted", async || {
        (list("window=24h&region=se").await.len() == 3 && list("region=jp").await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(list("window=5m&region=se&category=pets").await, ["pets1"]);
    assert_eq!(list("window=1h&region=se").await, ["pets1", "food1"]);
    assert_eq!(list("window=24h&region=se&category=pets").await, ["pets3", "pets1"]);
    assert_eq!(list("window=7d&region=jp&category=pets").await, ["pets2"]);
    assert_eq!(list("window=7d&region=jp&category=food").await, [""; 0]);
    assert_eq!(list("window=7d&region=nowhere").await, [""; 0]);
}

#[tokio::test]
async fn the_newest_items_are_those_that_a_region_may_see() {
    let server = Server::start().await;
    let item = |id: &str, regions: &[&str], created_at: i64| json!({"id": id, "regions": regions, "categories": ["pets"], "created_at": created_at});
    let items = json!([
        item("everywhere", &[], 1_000),
        item("here", &["se"], 2_000),
        item("there", &["jp"], 3_000)
    ]);
    server.send(Method::POST, "/v1/items", &items).await;
    let list = async |query: &str| item_ids(&server.get(&format!("/v1/latest?{query}")).await);
    assert_eq!(list("").await, ["there", "here", "everywhere"]);
    assert_eq!(list("region=se&category=pets").await, ["here", "everywhere"]);
    assert_eq!(list("region=jp").await, ["there", "everywhere"]);
    assert_eq!(list("region=nowhere").await, ["everywhere"]);
}
