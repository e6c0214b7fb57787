//! `swipeline import` and files as other programs write them: what they hold arrives, or is refused for what it is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;

use crate::cli::{Done, run, run_with_input, url};
use crate::harness::{Server, eventually, swipeline};

/// A data directory that has been given items `v0` to `v5`.
struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn with_items() -> Self {
        let data = Self::empty();
        let rows: String = (0..6)
            .map(|number| format!("v{number},clip {number},1600000000000\n"))
            .collect();
        let done = data.import(
            "items",
            "items.csv",
            format!("id,title,created_at\n{rows}").as_bytes(),
            &[],
        );
        assert_eq!(done.code, 0, "{done:?}");
        data
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    fn import(&self, entity: &str, name: &str, bytes: &[u8], more: &[&str]) -> Done {
        self.import_path(entity, &self.write(name, bytes), more)
    }

    fn import_path(&self, entity: &str, path: &Path, more: &[&str]) -> Done {
        let data = self.path("data");
        let mut arguments = vec!["import", entity, text(path), "--data-dir", text(&data)];
        arguments.extend(more);
        run(&arguments)
    }

    fn exported(&self, entity: &str) -> Vec<Value> {
        let (out, data) = (self.path("out.jsonl"), self.path("data"));
        let done = run(&["export", entity, "--out", text(&out), "--data-dir", text(&data)]);
        assert_eq!(done.code, 0, "{done:?}");
        let content = std::fs::read_to_string(out).expect("exported");
        content
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn times_are_never_silently_1970_or_midnight() {
    let data = Data::with_items();
    let content = "user_id,item_id,type,at\nu,v0,view,1655000000\nu,v1,view,2022-06-24 21:20:11\nu,v2,view,20220624\n\
                   u,v3,view,1655000000000\nu,v4,view,99999999999999\n";
    let done = data.import("events", "events.csv", content.as_bytes(), &[]);
    assert!(
        done.out.contains("imported 4 events") && done.out.contains("not_a_time: 1"),
        "{done:?}"
    );
    for note in [
        "note: 1 times read as seconds",
        "note: 1 times without a zone read as UTC",
        "note: 1 times read as dates",
    ] {
        assert!(done.out.contains(note), "{note}: {done:?}");
    }
    let mut at: Vec<i64> = data
        .exported("events")
        .iter()
        .filter_map(|event| event["at"].as_i64())
        .collect();
    at.sort_unstable();
    assert_eq!(
        at,
        [
            1_655_000_000_000,
            1_655_000_000_000,
            1_656_028_800_000,
            1_656_105_611_000
        ]
    );
}

#[test]
fn columns_are_mapped_ignored_and_numbered() {
    let data = Data::with_items();
    let content = "who;what;when;junk\nu1;v0;2022-06-24 23:20:11;x\n";
    let mapped = [
        "--map",
        "user_id=who",
        "--map",
        "item_id=what",
        "--map",
        "at=when",
        "--ignore",
        "junk",
    ];
    let more = [
        &mapped[..],
        &["--delimiter", ";", "--type", "like", "--zone", "Europe/Berlin"],
    ]
    .concat();
    let done = data.import("events", "a.csv", content.as_bytes(), &more);
    assert!(done.code == 0 && done.out.contains("imported 1 events"), "{done:?}");
    let numbered = [
        "--no-header",
        "--map",
        "user_id=1",
        "--map",
        "item_id=2",
        "--map",
        "at=4",
        "--type",
        "view",
        "--time-unit",
        "s",
    ];
    let done = data.import("events", "b.csv", b"u2,v1,5,1656105611\n", &numbered);
    assert!(done.code == 0 && done.out.contains("imported 1 events"), "{done:?}");
    let keyed = ["--map", "user_id=reader", "--map", "item_id=book", "--type", "favorite"];
    let done = data.import(
        "events",
        "c.jsonl",
        br#"{"reader":7,"book":"v2","at":1656105611000,"shelf":"x"}"#,
        &keyed,
    );
    assert!(
        done.out.contains("imported 1 events") && done.out.contains("unknown field `shelf`"),
        "{done:?}"
    );
    let events = data.exported("events");
    let said: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["user_id"].as_str().expect("a user"),
                event["type"].as_str().expect("a type"),
                event["at"].as_i64(),
            )
        })
        .collect();
    let at = Some(1_656_105_611_000);
    assert_eq!(said, [("u1", "like", at), ("u2", "view", at), ("7", "favorite", at)]);
}

#[test]
fn options_that_cannot_be_are_errors_that_name_them() {
    let data = Data::empty();
    let check = |entity: &str, more: &[&str], named: &str| {
        let done = data.import(entity, "a.csv", b"id\nv\n", more);
        assert_eq!(done.code, 2, "{more:?} {done:?}");
        assert!(done.err.contains(named), "{named}: {done:?}");
    };
    check("items", &["--type", "view"], "--type");
    check("items", &["--as-history"], "--as-history");
    check("items", &["--create-items"], "--create-items");
    check("events", &["--type", "love"], "--type");
    check("items", &["--map", "colour=id"], "colour");
    check("items", &["--map", "id"], "--map");
    check("items", &["--no-header"], "--no-header");
    check("items", &["--delimiter", "ab"], "--delimiter");
    check("items", &["--zone", "Middle/Earth"], "--zone");
    check("items", &["--time-unit", "weeks"], "--time-unit");
    check("items", &["--format", "jsonl", "--delimiter", ";"], "--delimiter");
    check("items", &["--format", "movielens", "--map", "id=x"], "--map");
    check("items", &["--map", "id=a", "--map", "id=b"], "--map id");
    check("items", &["--map", "id=a", "--ignore", "a"], "--ignore a");
    let done = data.import("items", "a.csv", b"id;title\nv;x\n", &[]);
    assert!(done.code == 1 && done.err.contains("--delimiter ';'"), "{done:?}");
    let done = data.import("items", "a.csv", b"id\nv\n", &["--map", "title=name"]);
    assert!(done.code == 1 && done.err.contains("no column `name`"), "{done:?}");
}

#[test]
fn items_are_made_of_events_on_request_and_history_stays_out_of_statistics() {
    let data = Data::with_items();
    let content =
        "user_id,item_id,type,at\nu,v0,like,1655000000000\nu,new,like,1655000001000\nu,new,view,1655000000500\n";
    let refused = data.import("events", "a.csv", content.as_bytes(), &["--dry-run"]);
    assert_eq!(refused.code, 0, "{refused:?}");
    let done = data.import(
        "events",
        "a.csv",
        content.as_bytes(),
        &["--create-items", "--as-history"],
    );
    assert!(done.code == 0 && done.out.contains("imported 3 events"), "{done:?}");
    assert!(
        done.out.contains("created 1 items") && !done.out.contains("rejected"),
        "{done:?}"
    );
    let items = data.exported("items");
    let made = items.iter().find(|item| item["id"] == "new").expect("it is there");
    assert_eq!(made["created_at"], 1_655_000_000_500_i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_given_history_and_items_of_events() {
    let server = Server::start().await;
    let content = "user_id,item_id,type\nu,v1,like\nu,v2,like\n";
    let to_server = ["--format", "csv", "--create-items", "--url", &url(&server)];
    let import = |more: &[&str]| {
        let arguments = [&["import", "events", "-"][..], &to_server, more].concat();
        run_with_input(&arguments, content.as_bytes())
    };
    let done = import(&["--as-history"]);
    assert!(done.code == 0 && done.out.contains("imported 2 events"), "{done:?}");
    assert!(done.out.contains("created 2 items"), "{done:?}");
    let stats = server.get("/v1/stats?window=1h").await;
    assert_eq!(
        stats["total"]["likes"], 0,
        "history does not count as what happens now: {stats}"
    );
    let profile: Value = server.get("/v1/users/u").await;
    assert_eq!(profile["counts"]["like"], 2, "but it is known: {profile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_from_standard_input_are_taken_as_they_come() {
    let server = Server::start().await;
    let items = run_with_input(
        &["import", "items", "-", "--format", "csv", "--url", &url(&server)],
        b"id\nv0\nv1\n",
    );
    assert_eq!(items.code, 0, "{items:?}");
    let mut child = swipeline()
        .args(["import", "events", "-", "--format", "jsonl", "--url", &url(&server)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    for (place, item) in ["v0", "v1"].into_iter().enumerate() {
        let line = format!("{{\"user_id\":\"u\",\"item_id\":\"{item}\",\"type\":\"like\"}}\n");
        input.write_all(line.as_bytes()).expect("written");
        input.flush().expect("flushed");
        // The next line is not there yet, and this one is known already.
        eventually("the line has arrived", async || {
            let answer = server.call(Method::GET, "/v1/users/u").send().await.ok()?;
            let profile: Value = answer.json().await.ok()?;
            (profile["counts"]["like"] == place as u64 + 1).then_some(())
        })
        .await;
    }
    drop(input);
    let output = child.wait_with_output().expect("the program ends");
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && out.contains("imported 2 events"), "{out}");
}

#[test]
fn packed_files_and_archives_are_read() {
    let data = Data::with_items();
    let rows = |item: &str| format!("user_id,item_id,type\nu,{item},like\n").into_bytes();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [
        ("x/events.csv", rows("v0")),
        ("x/items.csv", b"id\nother\n".to_vec()),
        ("readme.txt", Vec::new()),
    ] {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .expect("started");
        archive.write_all(&content).expect("written");
    }
    let archive = archive.finish().expect("finished").into_inner();
    let done = data.import("events", "all.zip", &archive, &["--format", "csv"]);
    assert!(done.code == 0 && done.out.contains("imported 1 events"), "{done:?}");
    let done = data.import("users", "all.zip", &archive, &["--format", "csv"]);
    assert!(done.code == 1 && done.err.contains("users*.csv"), "{done:?}");
    let torn = data.import(
        "events",
        "torn.zip",
        &archive[..archive.len() - 30],
        &["--format", "csv"],
    );
    assert_eq!(torn.code, 1, "{torn:?}");
    let packed = zstd::encode_all(&rows("v1")[..], 1).expect("packed");
    let done = data.import("events", "events.csv.zst", &packed, &[]);
    assert!(done.code == 0 && done.out.contains("imported 1 events"), "{done:?}");
}

#[test]
fn a_file_that_is_no_parquet_inside_is_exit_code_1() {
    let data = Data::empty();
    let done = data.import("items", "items.parquet", b"PAR1 this is none PAR1", &[]);
    assert_eq!(done.code, 1, "{done:?}");
}
