//! What an operator does to a running server: backups, exports, trying params out.

use std::fs;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::admin::admin;
use crate::harness::{Server, item_ids, problem, run, stderr_of};

#[tokio::test]
async fn a_running_server_is_backed_up_and_exported() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let like = json!([{"user_id": "u", "item_id": "pets1", "type": "like"}]);
    server.send(Method::POST, "/v1/events", &like).await;
    let made = admin(&server, Method::POST, "/v1/admin/snapshots", Some(&json!({}))).await;
    let name = made["name"].as_str().expect("a name");
    let listed = admin(&server, Method::GET, "/v1/admin/snapshots", None).await;
    assert_eq!(listed["snapshots"], json!([made]));
    let path = format!("/v1/admin/snapshots/{name}");
    let archive = server.admin_call(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(archive.headers()["content-type"], "application/x-tar");
    assert!(archive.bytes().await.expect("a body").len() > 1_000);
    assert_eq!(
        server
            .admin_call(Method::DELETE, &path)
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    for method in [Method::GET, Method::DELETE] {
        problem(server.admin_call(method, &path).send().await.expect("an answer"), 404).await;
    }
    problem(
        server
            .admin_call(Method::GET, "/v1/admin/snapshots/..%2Fdata")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;

    let folder = TempDir::new().expect("a folder");
    let (out, url) = (folder.path().join("backup"), format!("http://{}", server.admin));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let of = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        tokio::task::spawn_blocking(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let created = of(&["snapshot", "create", "--url", &url, "--out", &text(&out)])
        .await
        .expect("it runs");
    assert!(created.status.success(), "{}", stderr_of(&created));
    let data = folder.path().join("data");
    let restored = of(&["snapshot", "restore", &text(&out), "--data-dir", &text(&data)])
        .await
        .expect("it runs");
    assert!(restored.status.success(), "{}", stderr_of(&restored));
    let listed = admin(&server, Method::GET, "/v1/admin/snapshots", None).await;
    assert_eq!(listed["snapshots"], json!([]), "a backup that was fetched is not kept");
    for (kind, rows) in [("items", 20), ("users", 1), ("events", 1)] {
        let file = folder.path().join(format!("{kind}.jsonl"));
        let exported = of(&["export", kind, "--url", &url, "--out", &text(&file)])
            .await
            .expect("it runs");
        assert!(exported.status.success(), "{}", stderr_of(&exported));
        assert_eq!(
            fs::read_to_string(&file).expect("a file").lines().count(),
            rows,
            "{kind}"
        );
    }
    problem(
        server
            .admin_call(Method::GET, "/v1/admin/export/cats")
            .send()
            .await
            .expect("an answer"),
        404,
    )
    .await;

    let again = TempDir::new().expect("a folder");
    fs::rename(&data, again.path().join("data")).expect("moved");
    let copy = Server::start_in(again.path(), &[]).await;
    assert_eq!(copy.get("/v1/users/u").await["counts"]["like"], 1);
}

#[tokio::test]
async fn params_are_described_and_tried_out() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 20).await;
    let schema = admin(&server, Method::GET, "/v1/admin/params/schema", None).await;
    let keys = schema["keys"].as_array().expect("keys");
    let share = keys
        .iter()
        .find(|key| key["key"] == "rerank.exploration_share")
        .expect("a key");
    assert_eq!(
        (&share["type"], &share["min"], &share["max"]),
        (&json!("number"), &json!(0.0), &json!(1.0))
    );
    assert!(
        share["text"].as_str().is_some_and(|text| text.len() > 10) && share["default"].is_number(),
        "{share}"
    );

    let before = admin(&server, Method::GET, "/v1/admin/params", None).await;
    let patch = json!({"boosts": [{"name": "no-pets", "target": {"category": "pets"}, "share": -1.0}]});
    let tried = admin(
        &server,
        Method::PATCH,
        "/v1/admin/params?dry_run=true&user_id=u&n=10",
        Some(&patch),
    )
    .await;
    assert!(
        tried["dry_run"] == true && tried["changes"].as_array().is_some_and(|changes| !changes.is_empty()),
        "{tried}"
    );
    let feed = item_ids(&tried["feed"]);
    assert!(
        feed.len() == 10 && feed.iter().all(|id| id.starts_with("food")),
        "{feed:?}"
    );
    let after = admin(&server, Method::GET, "/v1/admin/params", None).await;
    assert_eq!(before, after);
    assert_eq!(
        server.feed_ids("u", "n=40").await.len(),
        40,
        "nothing of a try counts as shown"
    );
    let bad = json!({"channels": {"hot": {"quota": -1}, "tags": {"quota": -1}}, "rerank": {"exploration_share": 2}});
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params?dry_run=true")
        .json(&bad)
        .send()
        .await;
    let refused = problem(answer.expect("an answer"), 422).await;
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(3), "{refused}");
}

#[tokio::test]
async fn metrics_say_what_they_are_and_which_build_this_is() {
    let server = Server::start().await;
    let page = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let page = page.text().await.expect("a body");
    assert!(page.contains("swipeline_build_info{version="), "{page}");
    let mut helped = std::collections::BTreeSet::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped.insert(help.split(' ').next().unwrap_or_default().to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let name = kind.split(' ').next().unwrap_or_default();
            assert!(helped.contains(name), "{name} has no HELP");
        }
    }
    assert!(
        page.contains("swipeline_events_total 0"),
        "counters are there from the start"
    );
}
