//! Features as events arrive: labels by behaviour, windows in event time, features from outside, the drift guard.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, problem};

const CATEGORIES: [&str; 3] = ["pets", "food", "cars"];

async fn signal(server: &Server, user: &str, kind: &str, item: &str) {
    let events = json!([{"user_id": user, "item_id": item, "type": kind}]);
    assert_eq!(server.send(Method::POST, "/v1/events", &events).await["accepted"], 1);
}

async fn patch_params(server: &Server, patch: &Value) {
    let call = server.admin_call(Method::PATCH, "/v1/admin/params").json(patch);
    assert_eq!(call.send().await.expect("an answer").status(), 200);
}

async fn labels(server: &Server, user: &str) -> Vec<String> {
    let profile = server.get(&format!("/v1/users/{user}")).await;
    let labels = profile["labels"].as_array().expect("labels").iter();
    labels.filter_map(|label| label.as_str().map(str::to_owned)).collect()
}

async fn features(server: &Server, user: &str) -> Value {
    server.get(&format!("/v1/users/{user}?features=true")).await["features"].clone()
}

/// The leading category of what would be served now, and how much of it is of a category.
async fn look(server: &Server, user: &str, category: &str) -> (String, f32) {
    let feed = server
        .get(&format!("/v1/users/{user}/feed?n=20&impressions=explicit"))
        .await;
    let items = feed["items"].as_array().expect("items");
    let of = |item: &Value| item["item"]["categories"][0].as_str().unwrap_or_default().to_owned();
    let share = items.iter().filter(|item| of(item) == category).count() as f32 / items.len() as f32;
    (of(&items[0]), share)
}

#[tokio::test]
async fn a_label_is_earned_by_the_third_like_shows_and_expires() {
    let server = Server::start().await;
    server.put_catalogue(&CATEGORIES, 40).await;
    let pattern = json!({"name": "fan", "label": "{category}_fan", "signals": ["like"], "same": "category", "count": 3,
                         "within_ms": 60_000, "lifetime_ms": 3_000});
    signal(&server, "ann", "like", "food0").await;
    signal(&server, "ann", "like", "food1").await;
    assert_eq!(labels(&server, "ann").await, Vec::<String>::new());
    signal(&server, "ann", "like", "food2").await;
    assert_eq!(labels(&server, "ann").await, ["food_lover"], "as shipped, at once");
    let profile = server.get("/v1/users/ann").await;
    let times = &profile["label_times"][0];
    assert_eq!(
        (&times["label"], &times["pattern"]),
        (&json!("food_lover"), &json!("lover"))
    );
    assert!(times["expires_at"].as_i64() > times["since"].as_i64());

    patch_params(&server, &json!({"patterns": [pattern]})).await;
    for number in 3..6 {
        signal(&server, "ann", "like", &format!("food{number}")).await;
    }
    assert!(
        labels(&server, "ann").await.contains(&"food_fan".to_owned()),
        "new params count for what follows"
    );
    eventually("the label expires", async || {
        let labels = labels(&server, "ann").await;
        (!labels.contains(&"food_fan".to_owned())).then_some(())
    })
    .await;
    assert!(
        labels(&server, "ann").await.contains(&"food_lover".to_owned()),
        "each has its own lifetime"
    );
}

#[tokio::test]
async fn two_comments_make_active_and_five_skips_bored_with_another_lead() {
    let server = Server::start().await;
    server.put_catalogue(&CATEGORIES, 60).await;
    signal(&server, "bob", "comment", "pets0").await;
    signal(&server, "bob", "comment", "pets0").await;
    assert_eq!(labels(&server, "bob").await, ["active"]);
    for number in 0..6 {
        signal(&server, "bob", "like", &format!("food{number}")).await;
    }
    let (led_by, _) = look(&server, "bob", "food").await;
    for number in 20..25 {
        signal(&server, "bob", "skip", &format!("{led_by}{number}")).await;
    }
    assert!(labels(&server, "bob").await.contains(&"bored".to_owned()));
    for _ in 0..5 {
        assert_ne!(look(&server, "bob", "food").await.0, led_by);
    }
}

#[tokio::test]
async fn windows_are_readable_and_late_events_are_counted() {
    let server = Server::start().await;
    server.put_catalogue(&CATEGORIES, 40).await;
    for number in 0..3 {
        signal(&server, "cat", "like", &format!("cars{number}")).await;
    }
    signal(&server, "cat", "skip", "food1").await;
    let known = features(&server, "cat").await;
    for span in ["5m", "1h", "24h"] {
        let window = &known["windows"][span];
        assert_eq!(
            (&window["signals"]["like"], &window["signals"]["skip"]),
            (&json!(3), &json!(1)),
            "{window}"
        );
        assert_eq!(window["categories"]["cars"], json!({"like": 3}));
    }
    let watermark = known["watermark"].as_i64().expect("a watermark");
    let at = |at: i64| json!([{"user_id": "cat", "item_id": "pets1", "type": "like", "at": at}]);
    server.send(Method::POST, "/v1/events", &at(watermark + 5_000)).await;
    server.send(Method::POST, "/v1/events", &at(watermark - 5_000)).await;
    let known = features(&server, "cat").await;
    assert_eq!(known["windows"]["24h"]["signals"]["like"], 4, "allowed lateness counts");
    assert_eq!(known["late_events"], 1);
    let metrics = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("metrics")
        .text()
        .await
        .expect("text");
    assert!(metrics.contains("swipeline_late_events_total 1"), "{metrics}");

    // Less lateness counts for what follows.
    patch_params(&server, &json!({"windows": {"lateness_ms": 0}})).await;
    let newest = watermark + 30_000;
    server.send(Method::POST, "/v1/events", &at(newest - 1)).await;
    assert_eq!(features(&server, "cat").await["late_events"], 2);
    assert!(
        server.get("/v1/users/cat").await.get("features").is_none(),
        "only when asked for"
    );
}

#[tokio::test]
async fn labels_and_windows_survive_kill_9() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&CATEGORIES, 40).await;
    for number in 0..3 {
        signal(&server, "dan", "like", &format!("pets{number}")).await;
    }
    server.serve("/v1/users/dan/feed?n=5").await;
    let (before, labelled) = (
        features(&server, "dan").await,
        server.get("/v1/users/dan").await["label_times"].clone(),
    );
    assert_eq!(
        before["windows"]["1h"]["signals"]["impression"], 5,
        "what is served counts as shown"
    );
    server.kill().await;
    for checkpointed in [false, true] {
        let mut server = Server::start_in(dir.path(), &[]).await;
        let after = features(&server, "dan").await;
        assert_eq!(server.get("/v1/users/dan").await["label_times"], labelled);
        // An hour's window may lose nothing in a few seconds, but its start may move by a slot.
        assert_eq!(after["windows"]["24h"]["signals"], before["windows"]["24h"]["signals"]);
        assert_eq!(after["watermark"], before["watermark"]);
        if !checkpointed {
            let call = server.admin_call(Method::POST, "/v1/admin/checkpoint");
            assert!(call.send().await.expect("an answer").status().is_success());
        }
        server.kill().await;
    }
}

#[tokio::test]
async fn users_come_in_bulk_with_long_term_tags_that_lead_at_first() {
    let server = Server::start().await;
    server.put_catalogue(&CATEGORIES, 60).await;
    let tags = json!({"cars": 1.0, "cars-tag0": 1.0, "cars-tag1": 1.0, "cars-tag2": 1.0});
    let users = json!([
        {"id": "eve", "long_term_tags": tags, "registered_at": 0, "device": "mobile", "active_hours": [20],
         "attributes": {"like_rate": 0.5, "total_watch_ms": 5_000, "plan": "free"}},
        {"id": "bad", "active_hours": [24]},
        {"id": "fay"},
    ]);
    let reply = server.send(Method::POST, "/v1/users", &users).await;
    assert_eq!(
        (&reply["upserted"], &reply["rejected"][0]["index"]),
        (&json!(2), &json!(1)),
        "{reply}"
    );
    let profile = server.get("/v1/users/eve?features=true&item_id=cars7").await;
    let (user, cross) = (&profile["features"]["user"], &profile["features"]["cross"]);
    assert_eq!(
        (&user["plan"], &user["like_rate"], &user["total_watch_ms"]),
        (&json!("free"), &json!(0.5), &json!(5000.0))
    );
    assert!(user["register_days"].as_f64().expect("a number") > 20_000.0);
    assert_eq!(profile["features"]["active_hours"], json!([20]));
    assert!(
        cross["category_affinity_long"].as_f64().expect("a number") > 0.5,
        "{cross}"
    );
    assert!(
        cross["device_duration"]
            .as_str()
            .expect("a text")
            .starts_with("mobile:")
    );
    let (with_tags, without) = (
        look(&server, "eve", "cars").await.1,
        look(&server, "fay", "cars").await.1,
    );
    assert!(with_tags > without, "{with_tags} against {without}");

    let ndjson = server
        .call(Method::POST, "/v1/users")
        .header("content-type", "application/x-ndjson");
    let answer = ndjson
        .body("{\"id\":\"gus\"}\n{\"id\":7}\n")
        .send()
        .await
        .expect("an answer");
    let reply: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&reply["upserted"], &reply["rejected"][0]["index"]),
        (&json!(1), &json!(1))
    );
    let answer = server
        .call(Method::GET, "/v1/users/eve?features=maybe")
        .send()
        .await
        .expect("an answer");
    problem(answer, 422).await;
}

#[tokio::test]
async fn a_stray_view_does_not_tilt_an_established_taste_and_three_do() {
    let server = Server::start().await;
    server.put_catalogue(&CATEGORIES, 100).await;
    signal(&server, "clock", "like", "pets0").await;
    let now = features(&server, "clock").await["watermark"]
        .as_i64()
        .expect("a watermark");
    let likes: Vec<Value> = (0..12)
        .map(|hour| json!({"user_id": "hal", "item_id": format!("pets{hour}"), "type": "like", "at": now - (36 - hour) * 3_600_000}))
        .collect();
    server.send(Method::POST, "/v1/events", &json!(likes)).await;
    let mut cars = Vec::new();
    for number in 0..3 {
        let view = json!([{"user_id": "hal", "item_id": format!("cars{number}"), "type": "view", "watch_ms": 600_000}]);
        server.send(Method::POST, "/v1/events", &view).await;
        cars.push(look(&server, "hal", "cars").await.1);
    }
    assert!(cars[0] <= 0.35 && cars[2] > cars[0] + 0.2, "{cars:?}");
}
