//! The admin listener: metrics, parameters, model, checkpoint.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, problem};
use crate::socket::Socket;

pub(crate) async fn admin(server: &Server, method: Method, path: &str, body: Option<&Value>) -> Value {
    let mut call = server.admin_call(method, path).header("x-changed-by", "alice");
    if let Some(body) = body {
        call = call.json(body);
    }
    let answer = call.send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn parameters_are_versioned_validated_and_rolled_back() {
    let server = Server::start().await;
    let path = "/v1/admin/params";
    let first = admin(&server, Method::GET, path, None).await;
    let share = |document: &Value| {
        document["params"]["rerank"]["exploration_share"]
            .as_f64()
            .expect("a number")
    };
    let before = share(&first);
    let patch = json!({"rerank": {"exploration_share": 0.25}});
    let second = admin(&server, Method::PATCH, path, Some(&patch)).await;
    assert_eq!(
        second["version"].as_u64(),
        first["version"].as_u64().map(|version| version + 1)
    );
    assert_eq!(second["changed_by"], "alice");
    assert!((share(&second) - 0.25).abs() < 1e-6);
    assert_eq!(second["params"]["interest"], first["params"]["interest"]);
    let bad = json!({"rerank": {"exploration_share": 7}, "interrest": {}, "channels": {"hot": {"quota": "x"}}});
    for method in [Method::PUT, Method::PATCH] {
        let answer = server
            .admin_call(method, path)
            .json(&bad)
            .send()
            .await
            .expect("an answer");
        let refused = problem(answer, 422).await;
        let fields: Vec<&str> = refused["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        for field in ["rerank.exploration_share", "interrest", "channels.hot.quota"] {
            assert!(fields.contains(&field), "{field} is missing in {fields:?}");
        }
    }
    assert_eq!(
        admin(&server, Method::GET, path, None).await["version"],
        second["version"]
    );
    let history = admin(&server, Method::GET, "/v1/admin/params/history", None).await;
    assert_eq!(history["versions"][0]["version"], second["version"]);
    let back = json!({"version": first["version"]});
    let third = admin(&server, Method::POST, "/v1/admin/params/rollback", Some(&back)).await;
    assert!((share(&third) - before).abs() < 1e-6);
    assert!(third["version"].as_u64() > second["version"].as_u64());
    let none = server
        .admin_call(Method::POST, "/v1/admin/params/rollback")
        .json(&json!({"version": 999}));
    problem(none.send().await.expect("an answer"), 404).await;
    let malformed = server
        .admin_call(Method::PATCH, path)
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await
        .expect("an answer");
    problem(malformed, 400).await;
    let replaced = admin(&server, Method::PUT, path, Some(&json!({}))).await;
    assert!((share(&replaced) - before).abs() < 1e-6);
}

#[tokio::test]
async fn a_bad_model_is_refused_with_the_reason_and_the_old_one_serves() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 30).await;
    let model = admin(&server, Method::GET, "/v1/admin/model", None).await;
    for bytes in [b"this is not ONNX".to_vec(), Vec::new(), vec![0x08; 100_000]] {
        let call = server.admin_call(Method::PUT, "/v1/admin/model").body(bytes);
        let call = call.header("content-type", "application/octet-stream");
        let refused = problem(call.send().await.expect("an answer"), 422).await;
        assert_eq!(refused["errors"][0]["code"], "model_refused");
    }
    let after = admin(&server, Method::GET, "/v1/admin/model", None).await;
    assert_eq!(after["fingerprint"], model["fingerprint"]);
    assert_eq!(server.feed_ids("u", "n=10").await.len(), 10);
    problem(
        server
            .admin_call(Method::POST, "/v1/admin/model/rollback")
            .send()
            .await
            .expect("an answer"),
        409,
    )
    .await;
}

#[tokio::test]
async fn metrics_tell_what_happens() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 30).await;
    let mut socket = Socket::of(&server, "u").await;
    socket.signal("like", "pets1", "e1").await;
    server.get("/v1/latest").await;
    // A feed is on its way to the client before its time is counted.
    let text = eventually("the feed is counted", async || {
        let answer = server
            .admin_call(Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        let media_type = answer.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(media_type.starts_with("text/plain"), "{media_type}");
        let text = answer.text().await.expect("text");
        text.contains("swipeline_event_to_feed_seconds_count 1").then_some(text)
    })
    .await;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(line.starts_with("swipeline_"), "{line}");
    }
    for part in [
        "swipeline_event_to_feed_seconds_bucket{le=\"0.005\"}",
        "swipeline_event_to_feed_seconds_count 1",
        "swipeline_http_requests_total{",
        "route=\"/v1/latest\"",
        "swipeline_http_request_seconds_bucket{",
        "swipeline_sockets 1",
        "swipeline_sockets_opened_total{protocol=\"swipeline.v1.json\"} 1",
        "swipeline_socket_messages_in_total{type=\"event\"} 1",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[tokio::test]
async fn operators_calls_are_not_on_the_public_listener() {
    let server = Server::start().await;
    for path in [
        "/metrics",
        "/v1/admin/params",
        "/v1/admin/model",
        "/v1/admin/params/history",
    ] {
        problem(server.call(Method::GET, path).send().await.expect("an answer"), 404).await;
    }
    problem(
        server
            .call(Method::POST, "/v1/admin/checkpoint")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    problem(
        server
            .admin_call(Method::GET, "/v1/latest")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    let checkpoint = admin(&server, Method::POST, "/v1/admin/checkpoint", None).await;
    assert!(
        checkpoint["took_ms"].is_u64() && checkpoint["sequence"].is_u64(),
        "{checkpoint}"
    );
    assert_eq!(admin(&server, Method::GET, "/readyz", None).await["status"], "ready");
}
