//! From serving to a trained model and back: the served log, `swipeline train ranker`, the swap.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually, run, stderr_of};

const LOGGED: [(&str, &str); 1] = [("DATA__SERVED_LOG_PERCENT", "100")];
const CATEGORIES: [&str; 2] = ["cats", "cars"];
const VIEWERS: usize = 24;
const FEEDS: usize = 3;

async fn put_videos(server: &Server) {
    let videos: Vec<Value> = CATEGORIES
        .iter()
        .flat_map(|category| (0..60).map(move |number| (category, number)))
        .map(|(category, number)| {
            json!({"id": format!("{category}{number}"), "categories": [category], "tags": [category],
                   "author_id": format!("{category}-author{}", number % 7), "duration_ms": 10_000})
        })
        .collect();
    server.send(Method::POST, "/v1/items", &Value::Array(videos)).await;
}

/// Viewers who like one category and skip the other; what the server recommends, they answer.
async fn let_viewers_swipe(server: &Server) {
    for round in 0..FEEDS {
        for viewer in 0..VIEWERS {
            let (user, loved) = (format!("viewer-{viewer}"), CATEGORIES[viewer % 2]);
            let feed = server.serve(&format!("/v1/users/{user}/feed?n=10")).await;
            let items = feed["items"].as_array().expect("items");
            let answer = |(place, item): (usize, &Value)| {
                let id = item["item_id"].as_str().expect("an id");
                let is_loved = id.starts_with(loved);
                let (signal, watch_ms) = match (is_loved, place % 3) {
                    (true, 0) => ("like", 9_000),
                    (true, _) => ("complete", 10_000),
                    (false, _) => ("skip", 700),
                };
                json!({"user_id": user, "item_id": id, "type": signal, "watch_ms": watch_ms,
                       "event_id": format!("{user}-{round}-{place}"), "request_id": feed["request_id"]})
            };
            let events: Vec<Value> = items.iter().enumerate().map(answer).collect();
            let reply = server.send(Method::POST, "/v1/events", &Value::Array(events)).await;
            assert_eq!(reply["accepted"].as_u64(), Some(items.len() as u64), "{reply}");
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn served_bytes(dir: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(dir.join("data/served")).expect("a served log");
    files
        .flat_map(|file| std::fs::read(file.expect("a file").path()).expect("bytes"))
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_model_trained_from_what_was_served_swaps_into_the_running_server() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &LOGGED).await;
    put_videos(&server).await;
    let_viewers_swipe(&server).await;
    server.signal("TERM");
    assert!(server.wait().await.success(), "{}", server.errors());

    let (data, model) = (dir.path().join("data"), dir.path().join("ranker.onnx"));
    let samples = dir.path().join("samples.ndjson.gz");
    let trained = run(&[
        "train",
        "ranker",
        "--data",
        path(&data),
        "--out",
        path(&model),
        "--include-open",
        "--epochs",
        "8",
        "--write-samples",
        path(&samples),
    ]);
    let (said, errors) = (
        String::from_utf8_lossy(&trained.stdout).into_owned(),
        stderr_of(&trained),
    );
    assert!(trained.status.success(), "{errors}");
    let all = VIEWERS * FEEDS * 10;
    assert!(
        errors.contains(&format!("{all} items served: {all} samples; left out: 0 never seen")),
        "{errors}"
    );
    assert!(said.contains("loads back with the same numbers"), "{said}");
    assert!(said.contains("Off-policy") && said.contains("bundled"), "{said}");

    // The written samples teach the same, so the same model comes out of them, byte by byte.
    let again = dir.path().join("again.onnx");
    let retrained = run(&[
        "train",
        "ranker",
        "--from",
        path(&samples),
        "--out",
        path(&again),
        "--epochs",
        "8",
    ]);
    assert!(retrained.status.success(), "{}", stderr_of(&retrained));
    let bytes = std::fs::read(&model).expect("a model");
    assert!(bytes == std::fs::read(&again).expect("a model"));

    let server = Server::start_in(dir.path(), &LOGGED).await;
    let call = server.admin_call(Method::PUT, "/v1/admin/model").body(bytes);
    let answer = call
        .header("content-type", "application/octet-stream")
        .send()
        .await
        .expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert_eq!(status, 200, "{text}");
    let description: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        description["version"]
            .as_str()
            .expect("a version")
            .starts_with("trained-"),
        "{text}"
    );
    let feed = server.serve("/v1/users/viewer-0/feed?n=10").await;
    assert_eq!(
        (feed["items"].as_array().map(Vec::len), &feed["degraded"]),
        (Some(10), &Value::Null),
        "{feed}"
    );
}

#[tokio::test]
async fn a_deleted_user_is_gone_from_the_served_log_too() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &LOGGED).await;
    put_videos(&server).await;
    for user in ["somebody-else", "forget-me-now"] {
        assert_eq!(server.feed_ids(user, "n=10").await.len(), 10);
    }
    let deleted = server
        .call(Method::DELETE, "/v1/users/forget-me-now")
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), 204);
    eventually(
        "the bytes leave the served log, and those of others are there",
        async || {
            let left = served_bytes(dir.path());
            (!contains(&left, "forget-me-now") && contains(&left, "somebody-else")).then_some(())
        },
    )
    .await;
    server.signal("TERM");
    assert!(server.wait().await.success());
    // Also when the log is off and only its files are left.
    let server = Server::start_in(dir.path(), &[]).await;
    let deleted = server
        .call(Method::DELETE, "/v1/users/somebody-else")
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), 204);
    eventually("the bytes leave a log that is off", async || {
        (!contains(&served_bytes(dir.path()), "somebody-else")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_is_logged_unless_asked_for_and_training_says_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    put_videos(&server).await;
    assert_eq!(server.feed_ids("u", "n=10").await.len(), 10);
    server.signal("TERM");
    assert!(server.wait().await.success());
    let data = dir.path().join("data");
    assert!(!data.join("served").exists());
    let out = dir.path().join("ranker.onnx");
    let trained = run(&["train", "ranker", "--data", path(&data), "--out", path(&out)]);
    assert_eq!(trained.status.code(), Some(1));
    assert!(
        stderr_of(&trained).contains("data.served_log_percent"),
        "{}",
        stderr_of(&trained)
    );
    assert!(!out.exists());
    let neither = run(&["train", "ranker", "--out", path(&out)]);
    assert_eq!(neither.status.code(), Some(2));
    let missing = run(&[
        "train",
        "ranker",
        "--data",
        path(&data.join("none")),
        "--out",
        path(&out),
    ]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr_of(&missing).contains("no such data directory"));
}
