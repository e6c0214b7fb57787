//! `kill -9` at the moments that are dangerous: beside a checkpoint, under an experiment, between a feed and its report.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, item_ids};
use crate::socket::Socket;

const NEVER: (&str, &str) = ("DATA__CHECKPOINT_INTERVAL_MS", "3600000");
const USERS: usize = 12;

async fn checkpoint(server: &Server) {
    let answer = server.admin_call(Method::POST, "/v1/admin/checkpoint").send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

async fn patch_params(server: &Server, patch: &Value) -> Value {
    let call = server.admin_call(Method::PATCH, "/v1/admin/params").json(patch);
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

/// Posts likes of its user, five a call, until told to stop or the server is gone; counts what was acknowledged.
async fn like_on(server: &Server, user: usize, round: usize, go_on: &AtomicBool, acked: &Mutex<HashMap<usize, u64>>) {
    for call in 0.. {
        if !go_on.load(Ordering::Relaxed) {
            return;
        }
        let event = |number: usize| {
            json!({"user_id": format!("u{user}"), "item_id": format!("pets{}", (call * 5 + number) % 400),
                   "type": "like", "event_id": format!("{round}-{call}-{number}")})
        };
        let events: Vec<Value> = (0..5).map(event).collect();
        let answer = server.call(Method::POST, "/v1/events").json(&events).send().await;
        let Ok(answer) = answer else { return };
        if answer.status() == 200 {
            *acked.lock().expect("no panic").entry(user).or_default() += 5;
        }
    }
}

#[tokio::test]
async fn what_is_acknowledged_beside_a_checkpoint_survives_the_kill_behind_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let settings = [NEVER, ("LIMITS__USER_PER_S", "0")];
    let mut server = Server::start_in(dir.path(), &settings).await;
    server.put_catalogue(&["pets"], 400).await;
    let acked = Mutex::new(HashMap::new());
    for round in 0..6 {
        let go_on = AtomicBool::new(true);
        {
            let callers = (0..USERS).map(|user| like_on(&server, user, round, &go_on, &acked));
            let callers = futures_util::future::join_all(callers);
            let checkpoints = async {
                // One right behind the other: each begins in the middle of somebody's events.
                for _ in 0..8 {
                    checkpoint(&server).await;
                }
                go_on.store(false, Ordering::Relaxed);
            };
            futures_util::future::join(callers, checkpoints).await;
        }
        server.kill().await;
        server = Server::start_in(dir.path(), &settings).await;
        let expected = acked.lock().expect("no panic").clone();
        assert_eq!(expected.len(), USERS);
        let mut likes = 0;
        for (user, expected) in expected {
            let profile = server.get(&format!("/v1/users/u{user}")).await;
            assert_eq!(profile["counts"]["like"], expected, "round {round}, user {user}");
            likes += expected;
        }
        assert!(likes > 0);
    }
}

#[tokio::test]
async fn a_viewer_of_an_experiment_is_the_same_after_a_crash() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[NEVER]).await;
    server.put_catalogue(&["pets", "food", "cars"], 20).await;
    let experiment = json!({"experiments": [{"name": "strong", "traffic": 1.0, "variants": [
        {"name": "likes", "weight": 1, "params": {"interest": {"signals": {"like": 5.0}}}}]}]});
    patch_params(&server, &experiment).await;
    let act = async |server: &Server, item: &str, signal: &str| {
        let event = json!([{"user_id": "ann", "item_id": item, "type": signal}]);
        server.send(Method::POST, "/v1/events", &event).await;
    };
    for (item, signal) in [
        ("pets1", "like"),
        ("food1", "view"),
        ("cars1", "skip"),
        ("pets2", "like"),
    ] {
        act(&server, item, signal).await;
    }
    // What comes now counts under other numbers, and the record says so.
    patch_params(
        &server,
        &json!({"interest": {"signals": {"view": 3.0}}, "experiments": []}),
    )
    .await;
    act(&server, "food2", "view").await;
    let before = server.get("/v1/users/ann").await;
    server.kill().await;
    server = Server::start_in(dir.path(), &[NEVER]).await;
    let after = server.get("/v1/users/ann").await;
    for horizon in ["short", "long"] {
        let weights = |profile: &Value| -> Vec<(String, f64)> {
            let entries = profile["interests"][horizon].as_array().expect("a list").clone();
            let entry = |entry: &Value| (entry["tag"].to_string(), entry["weight"].as_f64().expect("a number"));
            let mut weights: Vec<(String, f64)> = entries.iter().map(entry).collect();
            weights.sort_by(|a, b| a.0.cmp(&b.0));
            weights
        };
        let (before, after) = (weights(&before), weights(&after));
        assert!(!before.is_empty());
        assert_eq!(before.len(), after.len());
        for (was, is) in before.iter().zip(&after) {
            // Time has passed: short-term weights fade by less than a thousandth in the seconds of a start.
            assert!(
                was.0 == is.0 && (was.1 - is.1).abs() < 0.005,
                "{horizon}: {before:?} {after:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_shown_before_a_crash_may_be_reported_after_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[NEVER]).await;
    server.put_catalogue(&["pets"], 300).await;
    let mut socket = Socket::of(&server, "ann").await;
    let mut feed = socket.ask("first", 10).await;
    for number in 0..3 {
        feed = socket.ask(&format!("more{number}"), 10).await;
    }
    let (seq, shown) = (feed["seq"].as_u64().expect("a number"), item_ids(&feed));
    server.kill().await;
    for has_checkpoint in [false, true] {
        server = Server::start_in(dir.path(), &[NEVER]).await;
        let mut socket = Socket::of(&server, "ann").await;
        socket.send(&json!({"type": "seen", "id": "late", "seq": seq})).await;
        let reply = socket.until_matching(|message| message["id"] == "late").await;
        assert_eq!(reply["type"], "ack", "{reply}");
        let fresh = socket.ask("fresh", 10).await;
        assert!(
            fresh["seq"].as_u64().expect("a number") > seq,
            "a number was given out twice: {fresh}"
        );
        let rest = server.feed_ids("ann", "n=300&impressions=explicit").await;
        assert!(
            !rest.is_empty() && shown.iter().all(|id| !rest.contains(id)),
            "{shown:?} came again"
        );
        for unknown in [json!({"seq": 99_999_999}), json!({"seq": seq, "epoch": 999})] {
            let mut message = json!({"type": "seen", "id": "unknown"});
            message
                .as_object_mut()
                .expect("an object")
                .extend(unknown.as_object().expect("an object").clone());
            socket.send(&message).await;
            let reply = socket.until_matching(|message| message["id"] == "unknown").await;
            assert_eq!(
                (&reply["type"], &reply["code"]),
                (&json!("error"), &json!("unknown_feed"))
            );
        }
        if has_checkpoint {
            checkpoint(&server).await;
        }
        server.kill().await;
    }
}

#[tokio::test]
async fn params_and_models_are_as_they_were_acknowledged() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[NEVER]).await;
    server.put_catalogue(&["pets"], 5).await;
    let model = |padding: usize| {
        let mut bytes = std::fs::read("models/artifacts/ranker-v1.onnx").expect("the bundled model");
        // Field 6 of a model (its description in words): larger than a row of the store may be.
        bytes.push(0x32);
        let mut length = padding;
        while length > 127 {
            bytes.push((length & 127) as u8 | 128);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(std::iter::repeat_n(b'x', padding));
        bytes
    };
    let put = async |server: &Server, path: &str, padding: usize| {
        let call = server.admin_call(Method::PUT, path).body(model(padding));
        let answer = call
            .header("content-type", "application/octet-stream")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{}", answer.text().await.expect("text"));
    };
    let state = async |server: &Server| {
        let mut state = Vec::new();
        for path in ["/v1/admin/params", "/v1/admin/model", "/v1/admin/models"] {
            let answer = server.admin_call(Method::GET, path).send().await.expect("an answer");
            let mut value: Value = answer.json().await.expect("JSON");
            forget_when_loaded(&mut value);
            state.push(value);
        }
        state
    };
    put(&server, "/v1/admin/model", 1_000).await;
    for has_checkpoint in [false, true, false] {
        put(&server, "/v1/admin/models/large", 20 * 1024 * 1024).await;
        put(&server, "/v1/admin/model", 18 * 1024 * 1024).await;
        patch_params(
            &server,
            &json!({"rank": {"model": "large"}, "caches": {"similar_ms": 1_234}}),
        )
        .await;
        if has_checkpoint {
            checkpoint(&server).await;
        }
        let before = state(&server).await;
        server.kill().await;
        server = Server::start_in(dir.path(), &[NEVER]).await;
        assert_eq!(state(&server).await, before);
    }
}

/// When a model was loaded and whether there is one to go back to is of this start.
fn forget_when_loaded(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("loaded_at");
            fields.remove("can_roll_back");
            fields.values_mut().for_each(forget_when_loaded);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_when_loaded),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
