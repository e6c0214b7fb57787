//! What was acknowledged survives `kill -9` and a restart; what was seen does not come back.

use std::collections::HashSet;
use std::path::Path;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, eventually, item_ids, problem};
use crate::socket::Socket;

async fn restart(dir: &Path) -> Server {
    Server::start_in(dir, &[]).await
}

#[tokio::test]
async fn acknowledged_events_survive_kill_9() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "200")]).await;
    server.put_catalogue(&["pets", "food"], 150).await;
    let mut seen = HashSet::new();
    let mut liked = 0;
    for round in 0..3 {
        let mut socket = Socket::of(&server, "u").await;
        let feed = socket.ask("first", 10).await;
        socket
            .send(&json!({"type": "seen", "seq": feed["seq"], "upto": 2}))
            .await;
        seen.extend(item_ids(&feed).into_iter().take(3));
        for number in 0..10 {
            let item = format!("pets{}", round * 10 + number);
            let event_id = format!("r{round}-{number}");
            socket
                .send(&json!({"type": "event", "id": event_id, "event": "like", "item_id": item, "event_id": event_id}))
                .await;
            socket
                .until_matching(|message| message["type"] == "ack" && message["id"] == event_id.as_str())
                .await;
            seen.insert(item);
            liked += 1;
        }
        server.kill().await;
        server = restart(dir.path()).await;
        let profile = server.get("/v1/users/u").await;
        assert_eq!(profile["counts"]["like"], liked, "round {round}: {profile}");
        let rest = server.feed_ids("u", "n=300&impressions=explicit").await;
        let again: Vec<_> = rest.iter().filter(|id| seen.contains(*id)).collect();
        assert!(again.is_empty(), "round {round}: {again:?} came back");
        assert!(!rest.is_empty());
    }
    let again = json!([{"user_id": "u", "item_id": "pets0", "type": "like", "event_id": "r0-0"}]);
    let reply = server.send(Method::POST, "/v1/events", &again).await;
    assert_eq!(
        (&reply["accepted"], &reply["duplicates"]),
        (&json!(0), &json!(1)),
        "a duplicate counted after a restart"
    );
}

#[tokio::test]
async fn the_catalogue_users_and_parameters_survive_a_restart() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 40).await;
    let item = server
        .send(
            Method::PUT,
            "/v1/items/x",
            &json!({"title": "X", "embedding": [0.5, 0.25]}),
        )
        .await;
    server
        .call(Method::DELETE, "/v1/items/pets3")
        .send()
        .await
        .expect("an answer");
    server
        .send(Method::PUT, "/v1/items/pets4", &json!({"hidden": true}))
        .await;
    server.send(Method::PUT, "/v1/users/u", &json!({"region": "de"})).await;
    server
        .send(Method::PUT, "/v1/users/gone", &json!({"region": "fr"}))
        .await;
    server
        .call(Method::DELETE, "/v1/users/gone")
        .send()
        .await
        .expect("an answer");
    let patch = json!({"rerank": {"exploration_share": 0.2}});
    let patched = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&patch)
        .send()
        .await
        .expect("an answer");
    let patched: serde_json::Value = patched.json().await.expect("JSON");
    server.kill().await;
    let server = restart(dir.path()).await;
    assert_eq!(server.get("/v1/items/x").await, item);
    problem(
        server
            .call(Method::GET, "/v1/items/pets3")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    assert_eq!(server.get("/v1/users/u").await["region"], "de");
    problem(
        server
            .call(Method::GET, "/v1/users/gone")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    let feed = server.feed_ids("u", "n=100").await;
    assert_eq!(feed.len(), 39, "{feed:?}");
    assert!(!feed.contains(&"pets3".to_owned()) && !feed.contains(&"pets4".to_owned()));
    let params = server
        .admin_call(Method::GET, "/v1/admin/params")
        .send()
        .await
        .expect("an answer");
    let params: serde_json::Value = params.json().await.expect("JSON");
    assert_eq!(params["version"], patched["version"]);
    assert_eq!(params["params"], patched["params"]);
}

#[tokio::test]
async fn items_are_as_they_were_last_put_after_any_number_of_crashes() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    let title = |title: &str| json!({"title": title, "tags": [title]});
    server.put_catalogue(&["pets"], 5).await;
    checkpoint(&server).await;
    for words in ["first", "second", "first"] {
        server.send(Method::PUT, "/v1/items/pets1", &title(words)).await;
    }
    for path in ["/v1/items/pets2", "/v1/items/pets3"] {
        server.call(Method::DELETE, path).send().await.expect("an answer");
    }
    server.send(Method::PUT, "/v1/items/pets2", &title("again")).await;
    let mut expected = Vec::new();
    for item in ["pets0", "pets1", "pets2", "pets4"] {
        let path = format!("/v1/items/{item}");
        expected.push((server.get(&path).await, path));
    }
    // A crash before a checkpoint, one after a start that replayed, and one after the checkpoint that followed.
    for has_checkpoint in [false, false, true, false] {
        if has_checkpoint {
            checkpoint(&server).await;
        }
        server.kill().await;
        server = restart(dir.path()).await;
        for (item, path) in &expected {
            assert_eq!(&server.get(path).await, item);
        }
        let gone = server.call(Method::GET, "/v1/items/pets3").send().await;
        problem(gone.expect("an answer"), 404).await;
    }
}

async fn checkpoint(server: &Server) {
    let answer = server.admin_call(Method::POST, "/v1/admin/checkpoint").send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_forgotten_user_stays_forgotten_on_disk() {
    let dir = tempfile::tempdir().expect("temp dir");
    let name = "user-that-asked-to-be-forgotten";
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 10).await;
    let event = json!([{"user_id": name, "item_id": "pets1", "type": "like"}]);
    server.send(Method::POST, "/v1/events", &event).await;
    server
        .call(Method::DELETE, &format!("/v1/users/{name}"))
        .send()
        .await
        .expect("an answer");
    server.signal("TERM");
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.errors());
    let server = restart(dir.path()).await;
    problem(
        server
            .call(Method::GET, &format!("/v1/users/{name}"))
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;
    assert_eq!(
        server.feed_ids(name, "n=10").await.len(),
        10,
        "something was still remembered as seen"
    );
}

#[tokio::test]
async fn a_session_that_fell_asleep_wakes_up_with_its_memory() {
    let dir = tempfile::tempdir().expect("temp dir");
    let settings = [("SESSIONS__IDLE_MS", "100"), ("DATA__CHECKPOINT_INTERVAL_MS", "100")];
    let server = Server::start_in(dir.path(), &settings).await;
    server.put_catalogue(&["pets"], 30).await;
    let mut socket = Socket::of(&server, "u").await;
    socket.signal("like", "pets1", "e1").await;
    socket.send(&json!({"type": "bye"})).await;
    socket.until_closed().await;
    eventually("the session sleeps", async || {
        let metrics = server
            .admin_call(Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        let metrics = metrics.text().await.expect("text");
        metrics
            .lines()
            .any(|line| line == "swipeline_sessions_active 0")
            .then_some(())
    })
    .await;
    assert_eq!(server.get("/v1/users/u").await["counts"]["like"], 1);
    assert!(!server.feed_ids("u", "n=30").await.contains(&"pets1".to_owned()));
}
