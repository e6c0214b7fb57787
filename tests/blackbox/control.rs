//! Live control: shares, mixers, breakers, boosts, and who changed what.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{Server, eventually, item_ids, problem};

const PARAMS: &str = "/v1/admin/params";

async fn change(server: &Server, method: Method, path: &str, body: &Value, if_match: Option<&str>) -> Response {
    let mut call = server.admin_call(method, path).header("x-changed-by", "ann").json(body);
    if let Some(version) = if_match {
        call = call.header("if-match", version);
    }
    call.send().await.expect("an answer")
}

async fn patch(server: &Server, body: Value) -> Value {
    let answer = change(server, Method::PATCH, PARAMS, &body, None).await;
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn admin(server: &Server, path: &str) -> Value {
    let answer = server.admin_call(Method::GET, path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

async fn channel(server: &Server, name: &str) -> Value {
    let channels = admin(server, "/v1/admin/channels").await;
    let list = channels["channels"].as_array().expect("a list");
    let found = list.iter().find(|channel| channel["name"] == name);
    found
        .unwrap_or_else(|| panic!("{name} is missing in {channels}"))
        .clone()
}

/// A feed that can be asked again.
async fn look(server: &Server, query: &str) -> Value {
    server
        .get(&format!("/v1/users/u/feed?impressions=explicit&{query}"))
        .await
}

/// Sixty items of each of three categories, and a user who likes pets and is no beginner any more.
async fn start() -> Server {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 60).await;
    let likes: Vec<Value> = (0..12)
        .map(|number| json!({"user_id": "u", "item_id": format!("pets{number}"), "type": "like"}))
        .collect();
    server.send(Method::POST, "/v1/events", &json!(likes)).await;
    server
}

fn of_channel(feed: &Value, name: &str) -> usize {
    let items = feed["items"].as_array().expect("items").iter();
    items
        .filter(|item| {
            item["channels"]
                .as_array()
                .expect("channels")
                .iter()
                .any(|channel| channel == name)
        })
        .count()
}

fn of_category(feed: &Value, name: &str) -> usize {
    item_ids(feed).iter().filter(|id| id.starts_with(name)).count()
}

#[tokio::test]
async fn a_change_of_an_outdated_version_is_refused_and_the_history_says_what_changed() {
    let server = Server::start().await;
    let answer = server.admin_call(Method::GET, PARAMS).send().await.expect("an answer");
    let seen = answer.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(seen, "\"1\"");
    let quota = json!({"channels": {"hot": {"quota": 33}}});
    let first = change(&server, Method::PATCH, PARAMS, &quota, Some(&seen)).await;
    assert_eq!(
        (first.status().as_u16(), first.headers()["etag"].to_str().expect("text")),
        (200, "\"2\"")
    );
    for method in [Method::PUT, Method::PATCH] {
        let late = change(&server, method, PARAMS, &json!({"feed": {"n": 7}}), Some(&seen)).await;
        problem(late, 412).await;
    }
    let back = json!({"version": 1});
    let rollback = "/v1/admin/params/rollback";
    problem(change(&server, Method::POST, rollback, &back, Some("\"1\"")).await, 412).await;
    problem(
        change(&server, Method::PATCH, PARAMS, &quota, Some("yesterday")).await,
        400,
    )
    .await;
    assert_eq!(
        change(&server, Method::POST, rollback, &back, Some("\"2\""))
            .await
            .status(),
        200
    );
    let history = admin(&server, "/v1/admin/params/history").await;
    let versions = history["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[0]["rolled_back_to"], 1);
    assert_eq!(
        versions[0]["changes"][0],
        json!({"key": "channels.hot.quota", "from": 33, "to": 60})
    );
    assert_eq!(
        versions[1]["changes"],
        json!([{"key": "channels.hot.quota", "from": 60, "to": 33}])
    );
    assert_eq!(versions[1]["changed_by"], "ann");
    assert!(versions[1]["changed_at"].as_i64() > Some(1_600_000_000_000));
}

#[tokio::test]
async fn the_history_with_its_changes_survives_a_crash() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    let boost = json!({"boosts": [{"name": "week", "target": {"category": "food"}, "share": 0.3}]});
    patch(&server, boost).await;
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    let history = admin(&server, "/v1/admin/params/history").await;
    assert_eq!(history["versions"][0]["changes"][0]["key"], "boosts");
    assert_eq!(history["versions"][0]["params"]["boosts"][0]["name"], "week");
}

#[tokio::test]
async fn impossible_settings_are_refused_with_the_key_named() {
    let server = Server::start().await;
    let bad = json!({
        "channels": {"hot": {"min_share": 0.6, "max_share": 0.5}, "tags": {"min_share": 0.6, "weight": -1.0}},
        "mixers": {"both": {"sources": ["hot", "hto"]}},
        "boosts": [{"name": "a", "target": {"category": "food"}, "factor": -2}],
        "breakers": {"error_share_max": 2},
    });
    let refused = problem(change(&server, Method::PATCH, PARAMS, &bad, None).await, 422).await;
    let fields: Vec<&str> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|error| error["field"].as_str())
        .collect();
    for field in [
        "channels.hot.min_share",
        "channels.tags.min_share",
        "channels.tags.weight",
        "mixers.both.sources[1]",
        "boosts[0].factor",
        "breakers.error_share_max",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
    for (bad, field) in [
        (
            json!({"boosts": [{"name": "a", "target": {"category": "x"}, "factr": 2}]}),
            "boosts[0].factr",
        ),
        (json!({"channels": {"hot": {"quota": -1}}}), "channels.hot.quota"),
        (json!({"channels": {"warm": {"quota": 1}}}), "channels.warm"),
    ] {
        let refused = problem(change(&server, Method::PATCH, PARAMS, &bad, None).await, 422).await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    assert_eq!(admin(&server, PARAMS).await["version"], 1);
}

#[tokio::test]
async fn shares_and_mixers_hold_for_the_next_feed() {
    let server = start().await;
    let before = look(&server, "n=20").await;
    assert!(of_channel(&before, "tags") > 4, "{before}");
    let mixer = json!({"sources": ["tags", "fresh"], "rule": "intersection", "quota": 100});
    patch(
        &server,
        json!({"channels": {"tags": {"max_share": 0.2}, "explore": {"min_share": 0.3}}, "mixers": {"new_and_near": mixer}}),
    )
    .await;
    let after = look(&server, "n=20").await;
    assert_eq!(after["items"].as_array().expect("items").len(), 20);
    assert!(of_channel(&after, "tags") <= 4, "{after}");
    assert!(of_channel(&after, "explore") >= 6, "{after}");
    let explained = look(&server, "n=20&explain=true").await;
    let mixed = &explained["channels"]["new_and_near"];
    assert!(
        mixed["recalled"].as_u64() > Some(0) && mixed["breaker"] == "closed",
        "{mixed}"
    );
    let status = channel(&server, "new_and_near").await;
    assert_eq!(
        (&status["kind"], &status["sources"]),
        (&json!("mixer"), &json!(["tags", "fresh"]))
    );
    assert!(server.get("/v1/stats?window=1m").await["channels"]["new_and_near"].is_object());
    patch(&server, json!({"channels": {"tags": {"enabled": false}}})).await;
    let off = look(&server, "n=20&explain=true").await;
    assert_eq!(
        (of_channel(&off, "tags"), &off["channels"]["tags"]["trouble"]),
        (0, &json!("off"))
    );
    assert_eq!(of_channel(&off, "new_and_near"), 0);
}

#[tokio::test]
async fn a_broken_channel_is_cut_off_shown_and_comes_back() {
    let server = start().await;
    patch(
        &server,
        json!({"channels": {"tags": {"time_budget_us": 1}},
               "breakers": {"error_share_max": 0.5, "min_calls": 5, "open_ms": 50, "half_open_calls": 1, "window_ms": 60_000}}),
    )
    .await;
    eventually("the channel is cut off", async || {
        let feed = look(&server, "n=10&explain=true").await;
        (feed["degraded"] == "channels" && feed["channels"]["tags"]["trouble"] == "cut_off").then_some(())
    })
    .await;
    let status = channel(&server, "tags").await;
    assert!(
        status["late"].as_u64() >= Some(3) && status["opened"].as_u64() >= Some(1),
        "{status}"
    );
    assert!(
        status["p50_us"].as_f64() > Some(0.0) && status["p99_us"].is_f64(),
        "{status}"
    );
    assert_eq!(channel(&server, "hot").await["breaker"], "closed");
    patch(&server, json!({"channels": {"tags": {"time_budget_us": 5_000_000}}})).await;
    eventually("the channel comes back", async || {
        let feed = look(&server, "n=10&explain=true").await;
        (feed.get("degraded").is_none() && of_channel(&feed, "tags") > 0).then_some(())
    })
    .await;
    assert_eq!(channel(&server, "tags").await["breaker"], "closed");
}

#[tokio::test]
async fn an_operator_opens_and_resets_a_breaker_by_hand() {
    let server = start().await;
    let path = "/v1/admin/channels/tags/breaker";
    let opened = change(&server, Method::POST, path, &json!({"action": "open"}), None).await;
    let opened: Value = opened.json().await.expect("JSON");
    assert_eq!((&opened["breaker"], &opened["held"]), (&json!("open"), &json!(true)));
    let feed = look(&server, "n=10&explain=true").await;
    assert_eq!((&feed["degraded"], of_channel(&feed, "tags")), (&json!("channels"), 0));
    let metrics = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let metrics = metrics.text().await.expect("text");
    assert!(
        metrics.contains("swipeline_channel_breaker_state{channel=\"tags\"} 2"),
        "{metrics}"
    );
    change(&server, Method::POST, path, &json!({"action": "reset"}), None).await;
    let feed = look(&server, "n=10").await;
    assert!(
        feed.get("degraded").is_none() && of_channel(&feed, "tags") > 0,
        "{feed}"
    );
    problem(
        change(&server, Method::POST, path, &json!({"action": "hit"}), None).await,
        422,
    )
    .await;
    let nobody = "/v1/admin/channels/nobody/breaker";
    problem(
        change(&server, Method::POST, nobody, &json!({"action": "open"}), None).await,
        404,
    )
    .await;
}

#[tokio::test]
async fn a_boost_raises_a_category_in_its_window_only() {
    let server = start().await;
    let before = of_category(&look(&server, "n=20").await, "cars");
    let now = look(&server, "n=1").await["generated_at"].as_i64().expect("a time");
    let rule = |from: i64, until: i64| json!({"boosts": [{"name": "week", "target": {"category": "cars"}, "share": 0.4, "from": from, "until": until}]});
    patch(&server, rule(now + 3_600_000, now + 7_200_000)).await;
    let early = look(&server, "n=20&explain=true").await;
    assert!(
        of_category(&early, "cars") < before + 5 && !early.to_string().contains("boost:week"),
        "{before}"
    );
    patch(&server, rule(now - 3_600_000, now + 3_600_000)).await;
    let inside = look(&server, "n=20&explain=true").await;
    assert!(of_category(&inside, "cars") >= 8, "{inside}");
    assert!(
        inside.to_string().contains("boost:week"),
        "the explanation names the rule"
    );
    patch(&server, rule(now - 7_200_000, now - 3_600_000)).await;
    assert!(of_category(&look(&server, "n=20").await, "cars") < before + 5);
    let bury = json!({"boosts": [{"name": "less", "target": {"category": "pets"}, "share": -1}]});
    patch(&server, bury).await;
    assert_eq!(of_category(&look(&server, "n=20").await, "pets"), 0);
}

#[tokio::test]
async fn rules_may_be_for_a_device_or_a_label_and_items_for_a_region() {
    let server = start().await;
    let target = json!({"category": "cars", "device": "tv"});
    patch(
        &server,
        json!({"boosts": [{"name": "tv", "target": target, "share": 0.5}]}),
    )
    .await;
    let on_tv = look(&server, "n=20&device=tv&network=wifi&region=de&explain=true").await;
    let on_phone = look(&server, "n=20&device=phone").await;
    assert!(of_category(&on_tv, "cars") >= 10, "{on_tv}");
    assert!(of_category(&on_phone, "cars") < 10, "{on_phone}");
    assert_eq!(
        (&on_tv["context"]["device"], &on_tv["context"]["network"]),
        (&json!("tv"), &json!("wifi"))
    );
    // Who likes three pets in a row is a `pets_lover`.
    let target = json!({"category": "cars", "label": "pets_lover"});
    patch(
        &server,
        json!({"boosts": [{"name": "l", "target": target, "share": 0.5}]}),
    )
    .await;
    assert!(of_category(&look(&server, "n=20").await, "cars") >= 10);
    let another = server.get("/v1/users/another/feed?impressions=explicit&n=20").await;
    assert!(of_category(&another, "cars") < 14, "a third of what there is");
    let item = json!({"categories": ["pets"], "regions": ["fr"]});
    server.send(Method::PUT, "/v1/items/french", &item).await;
    patch(
        &server,
        json!({"boosts": [{"name": "f", "target": {"item": "french"}, "share": 0.1}]}),
    )
    .await;
    for (region, expected) in [("fr", true), ("de", false)] {
        let feed = look(&server, &format!("n=20&region={region}")).await;
        assert_eq!(item_ids(&feed).contains(&"french".to_owned()), expected, "{region}");
    }
}
