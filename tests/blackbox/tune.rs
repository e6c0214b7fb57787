//! From a log to what the server loads: `train params` and `train embeddings`, and `eval --tune` on logs that say little.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::{Done, run, url};
use crate::harness::{Server, item_ids};

const CATEGORIES: [&str; 2] = ["cats", "cars"];
const ITEMS_PER_CATEGORY: usize = 12;
const VIEWERS: usize = 120;
const LIKES: usize = 6;
const START_MS: i64 = 1_700_000_000_000;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn write(folder: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").expect("written");
    path
}

fn items() -> Vec<String> {
    let of = |category: &'static str| {
        (0..ITEMS_PER_CATEGORY)
            .map(move |number| json!({"id": format!("{category}{number}"), "title": format!("{category} {number}")}))
    };
    CATEGORIES
        .iter()
        .copied()
        .flat_map(of)
        .map(|item| item.to_string())
        .collect()
}

/// Viewers who come one after the other, skip something of one category and like six neighbours on the circle of the
/// other one's items.
fn events() -> Vec<String> {
    let event = |viewer: usize, step: usize, kind: &str, item: String| {
        let at = START_MS + (viewer * 100 + step) as i64 * 10_000;
        json!({"user_id": format!("u{viewer}"), "item_id": item, "type": kind, "at": at}).to_string()
    };
    let of = |viewer: usize| {
        let (loved, other) = (CATEGORIES[viewer % 2], CATEGORIES[(viewer + 1) % 2]);
        let liked = (0..LIKES).map(move |step| {
            let number = (viewer * 5 + step * (1 + viewer / 2 % 2)) % ITEMS_PER_CATEGORY;
            event(viewer, step + 1, "like", format!("{loved}{number}"))
        });
        let skipped = event(viewer, 0, "skip", format!("{other}{}", viewer % ITEMS_PER_CATEGORY));
        std::iter::once(skipped).chain(liked)
    };
    (0..VIEWERS).flat_map(of).collect()
}

struct Log {
    folder: tempfile::TempDir,
    items: PathBuf,
    events: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (items, events) = (
            write(folder.path(), "items.jsonl", &items()),
            write(folder.path(), "events.jsonl", &events()),
        );
        Self { folder, items, events }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `train WHAT` on this log, with more arguments.
    fn train(&self, what: &str, out: &Path, more: &[&str]) -> Done {
        let (items, events) = (text(&self.items), text(&self.events));
        let log = ["--format", "events", "--data", events, "--items", items];
        let arguments = ["train", what, "--threads", "1", "--out", text(out)];
        run(&[arguments.as_slice(), log.as_slice(), more].concat())
    }
}

/// Whether all of `part` is in `whole`; numbers may have been rounded to singles.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part))),
        (Value::Number(whole), Value::Number(part)) => {
            let single = |number: &serde_json::Number| number.as_f64().map(|number| number as f32);
            single(whole) == single(part)
        }
        _ => whole == part,
    }
}

#[tokio::test]
async fn params_chosen_on_a_log_come_into_force_in_a_running_server() {
    let log = Log::new();
    let (first, second) = (log.path("params.json"), log.path("again.json"));
    // What is chosen goes on from an operator's own document, and whatever of it is not turned stays.
    let own = json!({"fusion": {"collaborative": 0.6}, "rerank": {"exploration_share": 0.25}});
    let begin = write(log.folder.path(), "begin.json", &[own.to_string()]);
    let done = log.train("params", &first, &["--params", text(&begin)]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("swipeline: tuned in"), "{done:?}");
    assert!(done.out.contains(" questions, ndcg@10 "), "{done:?}");
    assert!(
        done.err.contains("swipeline: tuning after 1 trials"),
        "it says how far it is: {done:?}"
    );
    let again = log.train("params", &second, &["--params", text(&begin)]);
    assert_eq!(
        (again.code, &again.out.lines().next()),
        (0, &done.out.lines().next()),
        "{again:?}"
    );
    let document = std::fs::read(&first).expect("a document");
    assert!(
        document == std::fs::read(&second).expect("a document"),
        "twice the same"
    );

    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(document["rerank"], own["rerank"], "{document}");
    let server = Server::start().await;
    let call = server.admin_call(Method::PUT, "/v1/admin/params").json(&document);
    let answer = call.send().await.expect("an answer");
    let (status, said) = (answer.status(), answer.text().await.expect("a body"));
    assert_eq!(status, 200, "{said}");
    let got = server
        .admin_call(Method::GET, "/v1/admin/params")
        .send()
        .await
        .expect("an answer");
    let in_force: Value = got.json().await.expect("JSON");
    assert!(holds(&in_force["params"], &document), "{document} is not in {in_force}");
    let evaluated = run(&[
        "eval",
        "--format",
        "events",
        "--data",
        text(&log.events),
        "--params",
        text(&first),
        "--methods",
        "swipeline",
        "--threads",
        "1",
    ]);
    assert_eq!(evaluated.code, 0, "{evaluated:?}");
}

#[tokio::test]
async fn embeddings_learned_from_a_log_are_imported_and_say_what_is_alike() {
    let log = Log::new();
    let (first, second) = (log.path("embedded.jsonl"), log.path("later.jsonl"));
    let small = ["--dims", "8", "--iterations", "6"];
    let done = log.train("embeddings", &first, &small);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("24 items with 8 entries each"), "{done:?}");
    let bytes = std::fs::read(&first).expect("a file");
    assert_eq!(log.train("embeddings", &first, &small).code, 0);
    assert!(bytes == std::fs::read(&first).expect("a file"), "twice the same");
    let later = log.train(
        "embeddings",
        &second,
        &[small.as_slice(), &["--earlier", text(&first)]].concat(),
    );
    assert!(
        later.code == 0 && later.out.contains("24 went on from earlier vectors"),
        "{later:?}"
    );

    let server = Server::start().await;
    let imported = run(&["import", "items", text(&first), "--url", &url(&server)]);
    assert!(
        imported.code == 0 && imported.out.contains("imported 24 items"),
        "{imported:?}"
    );
    let item = server.get("/v1/items/cats3").await;
    assert_eq!(item["embedding"].as_array().map(Vec::len), Some(8), "{item}");
    assert_eq!(item["title"], "cats 3");
    let alike = item_ids(&server.get("/v1/items/cats3/similar?n=4").await);
    assert_eq!(alike.len(), 4);
    assert!(alike.iter().all(|id| id.starts_with("cats")), "{alike:?}");
}

#[test]
fn what_cannot_be_trained_on_is_said() {
    let log = Log::new();
    let out = log.path("out.json");
    let skips = write(
        log.folder.path(),
        "skips.jsonl",
        &[r#"{"user_id":"u","item_id":"i","type":"skip","at":1000}"#.to_owned()],
    );
    let ratings = write(
        log.folder.path(),
        "bad.inter",
        &["user_id:token\titem_id:token".to_owned(), "1\t2".to_owned()],
    );
    let (skips, ratings) = (text(&skips), text(&ratings));
    for (what, arguments, code, said) in [
        (
            "embeddings",
            vec!["--format", "events", "--data", skips],
            1,
            "no like in the log",
        ),
        (
            "params",
            vec!["--format", "movielens", "--data", ratings],
            1,
            "no column `timestamp`",
        ),
        (
            "params",
            vec!["--format", "events", "--data", "/nowhere/events.jsonl"],
            1,
            "/nowhere/events.jsonl",
        ),
        (
            "params",
            vec!["--format", "sessions", "--train", skips],
            2,
            "--format sessions needs --test FILE",
        ),
    ] {
        let done = run(&[&["train", what, "--out", text(&out)], arguments.as_slice()].concat());
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.err.contains(said), "{done:?}");
        assert!(!out.exists(), "{arguments:?}");
    }
}

#[test]
fn a_log_that_says_little_changes_nothing() {
    let log = Log::new();
    let head = "SessionId\tItemId\tTime".to_owned();
    // Extra columns, other order, CRLF, not in order of time: all as strangers' files are.
    let click = |session: usize, item: usize, time: usize| format!("{time}\tshop\t{item}\t{session}\r");
    let other_head = "Time\tSource\titemid\tsessionid\r".to_owned();
    let train: Vec<String> = (0..40).rev().map(|n| click(n / 4, n * 7 % 11, 1_000 + n)).collect();
    let train = write(log.folder.path(), "train.tsv", &[vec![other_head], train].concat());
    let test: Vec<String> = (0..9).map(|n| format!("{}\t{}\t{}", n / 3, n % 5, 2_000 + n)).collect();
    let test = write(log.folder.path(), "test.tsv", &[vec![head], test].concat());
    let report = log.path("report.json");
    let files = ["--train", text(&train), "--test", text(&test), "--online"];
    let arguments = [
        "eval",
        "--format",
        "sessions",
        "--tune",
        "--threads",
        "1",
        "--report",
        text(&report),
    ];
    let done = run(&[arguments.as_slice(), files.as_slice()].concat());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("swipeline: tuned in 1 trials"), "{done:?}");
    assert!(
        done.err
            .contains("everything stays as it was: the end of the training part has too few questions"),
        "{done:?}"
    );
    let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    let product = rows
        .iter()
        .find(|row| row["method"] == "swipeline")
        .expect("the product");
    assert_eq!(product["tuned"]["turned"], json!([]), "{product}");

    let out = log.path("params.json");
    let arguments = [
        "train",
        "params",
        "--format",
        "sessions",
        "--threads",
        "1",
        "--out",
        text(&out),
    ];
    let done = run(&[arguments.as_slice(), files.as_slice()].concat());
    assert!(
        done.code == 0 && done.out.contains("everything stays as it was"),
        "{done:?}"
    );
    assert_eq!(std::fs::read_to_string(&out).expect("written"), "{}\n");
}
