//! The archive from outside: its rows are the accepted events, also across crashes under load; other programs read its
//! files; nobody who was deleted is left in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::run;
use crate::harness::{Server, eventually, problem};

/// Intervals of a fifth of a second that become files at once: everything that takes weeks happens within the test.
fn in_a_hurry() -> Value {
    json!({"archive": {"flush_ms": 20, "file_ms": 200, "warm_ms": 0}})
}

async fn admin(server: &Server, method: Method, path: &str, body: &Value) -> Value {
    let answer = server
        .admin_call(method, path)
        .json(body)
        .send()
        .await
        .expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn roll(server: &Server) -> Value {
    admin(server, Method::POST, "/v1/admin/archive/roll", &Value::Null).await
}

async fn status(server: &Server) -> Value {
    let answer = server.admin_call(Method::GET, "/v1/admin/archive").send().await;
    answer.expect("an answer").json().await.expect("JSON")
}

async fn stop(mut server: Server) {
    server.signal("TERM");
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.errors());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What `swipeline export` writes, line by line.
fn export(dir: &Path, entity: &str) -> Vec<Value> {
    let out = dir.join(format!("{entity}.jsonl"));
    let done = run(&[
        "export",
        entity,
        "--data-dir",
        text(&dir.join("data")),
        "--out",
        text(&out),
    ]);
    assert_eq!(done.code, 0, "{done:?}");
    let content = std::fs::read_to_string(&out).expect("exported");
    content
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn event(user: usize, id: &str) -> Value {
    json!({"event_id": id, "user_id": format!("user-{user}"), "item_id": format!("pets{}", id.len() % 7),
           "type": "like"})
}

/// Sends events with ids of their own as fast as they are accepted until it is told to stop or the server dies; returns
/// all that it tried to send.
async fn send_until(
    call: impl Fn() -> reqwest::RequestBuilder,
    writer: usize,
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
) -> Vec<Value> {
    let mut sent = Vec::new();
    for number in 0.. {
        let batch: Vec<Value> = (0..3)
            .map(|part| event(writer, &format!("w{writer}-{number}-{part}")))
            .collect();
        sent.extend(batch.clone());
        match call().json(&batch).send().await {
            Ok(answer) if answer.status() == 200 => acked.fetch_add(batch.len(), Ordering::Relaxed),
            Ok(_) | Err(_) => break,
        };
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    sent
}

#[tokio::test]
async fn after_crashes_under_load_the_rows_are_the_accepted_events() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "200")]).await;
    server.put_catalogue(&["pets"], 10).await;
    admin(&server, Method::PATCH, "/v1/admin/params", &in_a_hurry()).await;
    let mut sent: Vec<Value> = Vec::new();
    let mut acked_before_crashes = 0;
    for round in 0..3 {
        let acked = Arc::new(AtomicUsize::new(0));
        let never = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let url = format!("http://{}/v1/events", server.public);
                let client = reqwest::Client::new();
                let (never, acked) = (never.clone(), acked.clone());
                tokio::spawn(send_until(move || client.post(&url), round * 4 + writer, never, acked))
            })
            .collect();
        // Files are made while the load goes on: the crash comes between all of it.
        eventually("files are made under load", async || {
            let files = status(&server).await["events"]["cold_files"].as_u64();
            (files > Some(3 * round as u64 + 2) && acked.load(Ordering::Relaxed) > 60).then_some(())
        })
        .await;
        server.kill().await;
        for writer in writers {
            sent.extend(writer.await.expect("a writer"));
        }
        acked_before_crashes += acked.load(Ordering::Relaxed);
        server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "200")]).await;
    }
    // What was accepted before is a duplicate now; what was not is accepted: then all have been, once.
    let (mut accepted, mut duplicates) = (0, 0);
    for page in sent.chunks(500) {
        let reply = server.send(Method::POST, "/v1/events", &json!(page)).await;
        accepted += reply["accepted"].as_u64().expect("a count");
        duplicates += reply["duplicates"].as_u64().expect("a count");
    }
    assert_eq!((accepted + duplicates) as usize, sent.len());
    assert!(
        duplicates as usize >= acked_before_crashes,
        "an acknowledged event was lost"
    );
    let rolled = roll(&server).await;
    assert_eq!(
        rolled["events"]["cold_rows"].as_u64(),
        Some(sent.len() as u64),
        "{rolled}"
    );
    assert_eq!(rolled["events"]["warm_records"], 0, "{rolled}");
    stop(server).await;
    let ids = |rows: &[Value]| rows.iter().map(|row| row["event_id"].to_string()).collect::<Vec<_>>();
    let rows = export(dir.path(), "events");
    assert_eq!(rows.len(), sent.len(), "each row once");
    let unique = |rows: &[Value]| ids(rows).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(unique(&rows), unique(&sent));
}

#[tokio::test]
async fn a_forgotten_user_is_in_no_file_and_in_no_export() {
    let dir = tempfile::tempdir().expect("temp dir");
    let gone = "user-that-asked-to-be-forgotten";
    let server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 30).await;
    let act = async |user: &str, round: usize| {
        let events: Vec<Value> = (0..5)
            .map(|number| {
                json!({"user_id": user, "item_id": format!("pets{number}"), "type": "view",
                                  "event_id": format!("{user}-{round}-{number}")})
            })
            .collect();
        server.send(Method::POST, "/v1/events", &json!(events)).await;
        server.serve(&format!("/v1/users/{user}/feed?n=5")).await;
    };
    for user in [gone, "stays"] {
        act(user, 0).await;
    }
    roll(&server).await;
    admin(
        &server,
        Method::PATCH,
        "/v1/admin/params",
        &json!({"archive": {"flush_ms": 20}}),
    )
    .await;
    for user in [gone, "stays"] {
        act(user, 1).await;
    }
    eventually("rows get warm", async || {
        (status(&server).await["events"]["warm_records"] == 2).then_some(())
    })
    .await;
    let path = format!("/v1/users/{gone}");
    let deleted = server.call(Method::DELETE, &path).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    eventually("the archive forgets", async || {
        (status(&server).await["waiting_to_forget"] == 0).then_some(())
    })
    .await;
    stop(server).await;
    let kept = (export(dir.path(), "events"), export(dir.path(), "slates"));
    assert_eq!((kept.0.len(), kept.1.len()), (10, 10));
    assert!(kept.0.iter().chain(&kept.1).all(|row| row["user_id"] == "stays"));
    let mut files = Vec::new();
    files_below(&dir.path().join("data"), &mut files);
    let holding: Vec<&PathBuf> = files.iter().filter(|path| holds(path, gone)).collect();
    assert!(files.len() > 8 && holding.is_empty(), "{holding:?}");
}

fn files_below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn holds(path: &Path, needle: &str) -> bool {
    let bytes = std::fs::read(path).expect("bytes");
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn an_export_in_parquet_is_imported_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 20).await;
    server
        .send(
            Method::PUT,
            "/v1/users/user-1",
            &json!({"region": "de", "tags": ["cat"]}),
        )
        .await;
    let events: Vec<Value> = (0..20).map(|number| event(number % 3, &format!("e{number}"))).collect();
    server.send(Method::POST, "/v1/events", &json!(events[..12])).await;
    roll(&server).await;
    server.send(Method::POST, "/v1/events", &json!(events[12..])).await;
    stop(server).await;
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    for (entity, rows) in [("items", 20), ("users", 3), ("events", 20)] {
        let out = dir.path().join(format!("{entity}.parquet"));
        let format = ["--format", "parquet", "--data-dir"];
        let done = run(&[
            "export",
            entity,
            format[0],
            format[1],
            format[2],
            text(&data),
            "--out",
            text(&out),
        ]);
        assert!(
            done.code == 0 && done.err.contains(&format!("exported {rows} {entity}")),
            "{done:?}"
        );
        let done = run(&["import", entity, text(&out), "--data-dir", text(&copy)]);
        assert!(
            done.code == 0 && done.out.contains(&format!("imported {rows} {entity}")),
            "{done:?}"
        );
    }
    for entity in ["items", "users", "events"] {
        let sorted = |dir: &Path| {
            let out = dir.with_extension(entity);
            let done = run(&["export", entity, "--data-dir", text(dir), "--out", text(&out)]);
            assert_eq!(done.code, 0, "{done:?}");
            let content = std::fs::read_to_string(&out).expect("exported");
            content.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(sorted(&copy), sorted(&data), "{entity}");
    }
}

#[tokio::test]
async fn an_archive_that_is_switched_off_says_so() {
    let server = Server::start().await;
    let off = json!({"archive": {"enabled": false}});
    admin(&server, Method::PATCH, "/v1/admin/params", &off).await;
    let answer = server.admin_call(Method::POST, "/v1/admin/archive/roll").send().await;
    problem(answer.expect("an answer"), 409).await;
    assert_eq!(status(&server).await["enabled"], false);
    let bad = json!({"archive": {"slates_percent": 101, "file_ms": 0}});
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(&bad)
        .send()
        .await;
    let problem = problem(answer.expect("an answer"), 422).await;
    let text = problem.to_string();
    assert!(
        text.contains("archive.slates_percent") && text.contains("archive.file_ms"),
        "{text}"
    );
}

/// A Python with pyarrow: the one that `tests/run.sh` prepares, or the system's where it has it.
fn python_with_pyarrow() -> Option<String> {
    let python = std::env::var("SWIPELINE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let tried = Command::new(&python).args(["-c", "import pyarrow.parquet"]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} has no pyarrow (bash tests/run.sh installs it, or set SWIPELINE_TEST_PYTHON)");
    None
}

const READ_WITH_PYARROW: &str = r#"
import json, sys
import pyarrow.parquet as parquet
events, slates = (parquet.ParquetFile(path) for path in sys.argv[1:3])
notes = {key.decode(): value.decode() for key, value in events.metadata.metadata.items()}
table = events.read()
rows = table.to_pylist()
slate_rows = slates.read().to_pylist()
slate_notes = {key.decode(): value.decode() for key, value in slates.metadata.metadata.items()}
print(json.dumps({
    "table": notes["swipeline.table"], "version": notes["swipeline.schema_version"],
    "compression": events.metadata.row_group(0).column(0).compression,
    "at_type": str(table.schema.field("at").type),
    "ids": [row["event_id"] for row in rows], "types": sorted({row["type"] for row in rows}),
    "at": [int(row["at"].timestamp() * 1000) for row in rows],
    "contexts": [row["context"] for row in rows],
    "slate_items": len(slate_rows),
    "features": [len(row["features"]) for row in slate_rows],
    "feature_names": len(slate_notes["swipeline.feature_names"].split(",")),
    "channels": all(isinstance(row["channels"], list) and row["channels"] for row in slate_rows),
}))
"#;

#[tokio::test]
async fn pyarrow_reads_the_cold_files() {
    let Some(python) = python_with_pyarrow() else { return };
    let dir = tempfile::tempdir().expect("temp dir");
    let server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 30).await;
    // So long that the end of an interval does not fall into this test.
    let week = json!({"archive": {"file_ms": 7 * 24 * 3_600_000}});
    admin(&server, Method::PATCH, "/v1/admin/params", &week).await;
    let at = 1_750_000_000_123_i64;
    let events: Vec<Value> = (0..50)
        .map(|number| {
            json!({"event_id": format!("e{number}"), "user_id": "u", "item_id": "pets1", "type": "view",
                              "at": at + number, "watch_ms": 900, "context": {"screen": "home"}})
        })
        .collect();
    server.send(Method::POST, "/v1/events", &json!(events)).await;
    let feed = server.serve("/v1/users/u/feed?n=7").await;
    let served = feed["items"].as_array().expect("items").len();
    roll(&server).await;
    let only_file = |kind: &str| {
        let mut files = Vec::new();
        files_below(&dir.path().join("data/archive").join(kind), &mut files);
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    };
    let output = Command::new(python)
        .args(["-c", READ_WITH_PYARROW])
        .args([only_file("events"), only_file("slates")])
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&read["table"], &read["version"], &read["compression"]),
        (&json!("events"), &json!("1"), &json!("ZSTD"))
    );
    assert_eq!(read["at_type"], "timestamp[ms, tz=UTC]");
    let expected: Vec<String> = (0..50).map(|number| format!("e{number}")).collect();
    assert_eq!(read["ids"], json!(expected));
    assert_eq!((&read["types"], &read["at"][49]), (&json!(["view"]), &json!(at + 49)));
    assert_eq!(read["contexts"][0], r#"{"screen":"home"}"#);
    assert_eq!(read["slate_items"], served);
    let width = read["feature_names"].as_u64();
    assert!(
        read["features"]
            .as_array()
            .expect("widths")
            .iter()
            .all(|found| found.as_u64() == width),
        "{read}"
    );
    assert_eq!(read["channels"], true);
}
