//! A disk that is full, a data directory that is gone, files that are damaged: nothing is acknowledged that is not kept,
//! feeds go on, and a start that would lose something is refused.

use std::fs;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Server, eventually, stderr_of, swipeline};
use crate::socket::Socket;

async fn like(server: &Server, event_id: &str) -> (StatusCode, Option<String>) {
    let event = json!([{"user_id": "u", "item_id": "pets1", "type": "like", "event_id": event_id}]);
    let answer = server
        .call(Method::POST, "/v1/events")
        .json(&event)
        .send()
        .await
        .expect("an answer");
    let retry_after = answer.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_owned()));
    (answer.status(), retry_after)
}

async fn readiness(server: &Server) -> (StatusCode, Value) {
    let answer = server.call(Method::GET, "/readyz").send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn without_room_writes_are_refused_early_and_feeds_go_on() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 40).await;
    server.signal("TERM");
    assert!(server.wait().await.success());
    let no_disk_has_that = "1000000000000";
    let server = Server::start_in(dir.path(), &[("DATA__FREE_BYTES_MIN", no_disk_has_that)]).await;
    let (status, retry_after) = like(&server, "e1").await;
    assert_eq!((status.as_u16(), retry_after.as_deref()), (503, Some("1")));
    let feed = server.feed_ids("u", "n=10").await;
    assert_eq!(feed.len(), 10, "feeds go on");
    let mut socket = Socket::of(&server, "v").await;
    assert!(
        !socket.ask("first", 10).await["items"]
            .as_array()
            .expect("items")
            .is_empty()
    );
    socket
        .send(&json!({"type": "event", "id": "x", "event": "like", "item_id": "pets1", "event_id": "e2"}))
        .await;
    let refused = socket.until_matching(|message| message["type"] == "error").await;
    assert_eq!(refused["retryable"], true, "{refused}");
    let (status, body) = readiness(&server).await;
    assert_eq!(status, 200, "{body}");
    let named = body["degraded"][0].as_str().unwrap_or_default();
    assert!(named.contains("data.free_bytes_min"), "{body}");
}

#[tokio::test]
async fn a_deleted_data_directory_is_noticed_and_the_server_can_be_stopped() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("SERVER__SHUTDOWN_TIMEOUT_MS", "1000")]).await;
    server.put_catalogue(&["pets"], 40).await;
    assert_eq!(like(&server, "e1").await.0, 200);
    fs::remove_dir_all(dir.path().join("data")).expect("removed");
    // A retry of what was acknowledged before would be a duplicate: each of these is new.
    let tried = std::cell::Cell::new(0);
    eventually("nothing is acknowledged any more", async || {
        tried.set(tried.get() + 1);
        (like(&server, &format!("late-{}", tried.get())).await.0 == 503).then_some(())
    })
    .await;
    let (status, body) = readiness(&server).await;
    assert_eq!(status, 503, "{body}");
    assert!(
        body["detail"].as_str().unwrap_or_default().contains("not where it was"),
        "{body}"
    );
    assert_eq!(server.feed_ids("w", "n=5").await.len(), 5, "feeds go on");
    // It says that the last checkpoint failed; what matters is that it ends.
    server.signal("TERM");
    server.wait().await;
}

/// A server whose journal does not reach back to its first record.
async fn trimmed(dir: &Path) {
    let settings = [
        ("DATA__JOURNAL_KEEP_BYTES", "0"),
        ("DATA__CHECKPOINT_INTERVAL_MS", "3600000"),
    ];
    let mut server = Server::start_in(dir, &settings).await;
    server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&json!({"archive": {"flush_ms": 50}}))
        .send()
        .await
        .expect("an answer");
    server.put_catalogue(&["pets"], 40).await;
    assert_eq!(like(&server, "e1").await.0, 200);
    let context: serde_json::Map<String, Value> = (0..60)
        .map(|key| (format!("k{key}"), json!("x".repeat(4_000))))
        .collect();
    let large = json!([{"user_id": "big", "item_id": "pets1", "type": "view", "context": context}]);
    for _ in 0..300 {
        server.send(Method::POST, "/v1/events", &large).await;
    }
    let first = dir.join("data/journal/00000000000000000001.seg");
    eventually("the journal is trimmed", async || {
        let checkpoint = server.admin_call(Method::POST, "/v1/admin/checkpoint").send().await;
        assert_eq!(checkpoint.expect("an answer").status(), 200);
        (!first.exists()).then_some(())
    })
    .await;
    server.kill().await;
}

#[tokio::test]
async fn what_sled_left_is_no_damage_and_a_start_that_would_lose_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    trimmed(dir.path()).await;
    let store = dir.path().join("data/snapshots");
    fs::write(store.join("snap.00000000000000FF.generating"), b"").expect("left");
    let mut server = Server::start_in(dir.path(), &[]).await;
    assert_eq!(server.get("/v1/users/u").await["counts"]["like"], 1);
    server.kill().await;
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&store, &elsewhere).expect("moved");
    for _ in 0..2 {
        let mut command = swipeline();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ]);
        let output = command.arg(dir.path().join("data")).output().expect("the binary runs");
        assert!(!output.status.success());
        let said = stderr_of(&output);
        assert!(
            said.contains("--accept-loss") && said.contains("snapshot restore"),
            "{said}"
        );
    }
    let mut server = Server::start_in(dir.path(), &[("DATA__ACCEPT_LOSS", "true")]).await;
    assert_eq!(
        server
            .call(Method::GET, "/v1/items/pets1")
            .send()
            .await
            .expect("an answer")
            .status(),
        404
    );
    server.kill().await;
    fs::remove_dir_all(&store).expect("removed");
    fs::rename(&elsewhere, &store).expect("back");
    let server = Server::start_in(dir.path(), &[]).await;
    assert_eq!(server.get("/v1/users/u").await["counts"]["like"], 1);
}
