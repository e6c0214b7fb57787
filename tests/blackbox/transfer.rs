//! `swipeline import` and `swipeline export` from outside: exit codes, summaries, round trips, real data.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::{run, run_with_input, url};
use crate::harness::Server;

const ITEMS: &str = concat!(
    "{\"id\":\"v1\",\"title\":\"Cats\",\"categories\":[\"pets\"],\"tags\":[\"cat\"],\"created_at\":1000,\"duration_ms\":21000}\n",
    "{\"id\":\"v2\",\"author_id\":\"a1\",\"created_at\":2000,\"attributes\":{\"lang\":\"de\",\"rank\":2.5}}\n",
);
const USERS: &str = "{\"id\":\"u1\",\"tags\":[\"cat\"],\"region\":\"de\",\"follows\":[\"a1\"]}\n{\"id\":\"u2\"}\n";
const EVENTS: &str = concat!(
    "{\"event_id\":\"e1\",\"user_id\":\"u1\",\"item_id\":\"v1\",\"type\":\"like\",\"at\":1700000000000}\n",
    "{\"event_id\":\"e2\",\"user_id\":\"u1\",\"item_id\":\"v2\",\"type\":\"view\",\"at\":1700000001000,\"watch_ms\":500}\n",
);

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

/// The lines of a file as JSON values, sorted: an export has no promised order of items and users.
fn rows(path: &Path) -> Vec<String> {
    let content = std::fs::read_to_string(path).expect("exported");
    let mut rows: Vec<String> = content.lines().map(canonical).collect();
    rows.sort();
    rows
}

fn canonical(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line)
        .expect("JSON")
        .to_string()
}

fn canonical_all(text: &str) -> Vec<String> {
    let mut rows: Vec<String> = text.lines().map(canonical).collect();
    rows.sort();
    rows
}

#[test]
fn what_is_imported_into_a_data_dir_is_exported_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for (entity, content) in [("items", ITEMS), ("users", USERS), ("events", EVENTS)] {
        let file = write(folder.path(), &format!("{entity}.jsonl"), content);
        let done = run(&["import", entity, text(&file), "--data-dir", text(&data)]);
        assert_eq!(
            (done.code, done.out.contains(&format!("imported 2 {entity}"))),
            (0, true),
            "{done:?}"
        );
    }
    for (entity, content) in [("items", ITEMS), ("users", USERS), ("events", EVENTS)] {
        let out = folder.path().join(format!("out-{entity}.jsonl"));
        let done = run(&["export", entity, "--out", text(&out), "--data-dir", text(&data)]);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(rows(&out), canonical_all(content), "{entity}");
    }
    let out = folder.path().join("late.jsonl");
    let since = ["--since", "2023-11-14T22:13:21Z"];
    let done = run(&[
        "export",
        "events",
        "--out",
        text(&out),
        "--data-dir",
        text(&data),
        since[0],
        since[1],
    ]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(rows(&out).len(), 1);
}

#[test]
fn events_that_were_imported_twice_count_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let items = write(folder.path(), "items.jsonl", ITEMS);
    let events = write(folder.path(), "events.jsonl", EVENTS);
    assert_eq!(
        run(&["import", "items", text(&items), "--data-dir", text(&data)]).code,
        0
    );
    assert!(
        run(&["import", "events", text(&events), "--data-dir", text(&data)])
            .out
            .contains("imported 2 events")
    );
    let again = run(&["import", "events", text(&events), "--data-dir", text(&data)]);
    assert!(
        again.out.contains("imported 0 events (2 more had been there before)"),
        "{again:?}"
    );
}

#[test]
fn bad_lines_are_counted_by_reason_or_end_the_import() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let content = "{\"id\":\"v1\"}\nnot json\n{\"id\":\"\"}\n{\"id\":\"v2\"}\n{\n";
    let file = write(folder.path(), "items.jsonl", content);
    let skipped = run(&["import", "items", text(&file), "--data-dir", text(&data)]);
    assert_eq!(skipped.code, 0, "{skipped:?}");
    assert!(skipped.out.contains("imported 2 items"), "{skipped:?}");
    assert!(
        skipped.out.contains("malformed_json: 2") && skipped.out.contains("line 2, 5)"),
        "{skipped:?}"
    );
    assert!(
        skipped.out.contains("id_empty: 1") && skipped.out.contains("line 3)"),
        "{skipped:?}"
    );
    let stopped = run(&[
        "import",
        "items",
        text(&file),
        "--data-dir",
        text(&data),
        "--on-error",
        "stop",
    ]);
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(
        stopped.out.contains("imported 1 items") && stopped.out.contains("line 2)"),
        "{stopped:?}"
    );
}

#[test]
fn an_event_on_an_unknown_item_is_rejected_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let items = write(folder.path(), "items.jsonl", ITEMS);
    assert_eq!(
        run(&["import", "items", text(&items), "--data-dir", text(&data)]).code,
        0
    );
    let events = "user_id,item_id,type\nu1,v1,like\nu1,nowhere,like\nu1,v2,skip\n";
    let file = write(folder.path(), "events.csv", events);
    let done = run(&["import", "events", text(&file), "--data-dir", text(&data)]);
    assert!(
        done.out.contains("imported 2 events") && done.out.contains("line 3)"),
        "{done:?}"
    );
}

#[test]
fn a_dry_run_checks_gzip_from_standard_input_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(b"1\t10\t4\t881250949\n1\t11\tx\t881250950\n")
        .expect("zips");
    let zipped = encoder.finish().expect("zips");
    let arguments = [
        "import",
        "events",
        "-",
        "--format",
        "movielens",
        "--data-dir",
        text(&data),
        "--dry-run",
    ];
    let done = run_with_input(&arguments, &zipped);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.out.contains("checked 1 events") && done.out.contains("- line 2)"),
        "{done:?}"
    );
    assert!(!data.exists());
}

#[test]
fn what_cannot_work_is_told_clearly() {
    let folder = tempfile::tempdir().expect("a folder");
    let ratings = write(folder.path(), "u.data", "1\t10\t4\t881250949\n");
    let data = text(folder.path());
    let check = |arguments: &[&str], code: i32, words: &str| {
        let done = run(arguments);
        assert_eq!(done.code, code, "{arguments:?} {done:?}");
        assert!(done.err.contains(words), "{arguments:?} {done:?}");
    };
    check(
        &["import", "items", text(&ratings), "--dry-run"],
        1,
        "use `import events`",
    );
    check(&["import", "items", "nowhere.jsonl", "--dry-run"], 1, "nowhere.jsonl");
    check(&["import", "items", "-", "--dry-run"], 1, "--format");
    check(
        &["import", "items", "nowhere.parquet", "--dry-run"],
        1,
        "nowhere.parquet",
    );
    check(
        &["import", "items", "-", "--format", "parquet", "--dry-run"],
        1,
        "standard input",
    );
    check(&["import", "cats", "x.jsonl"], 2, "cats");
    check(
        &[
            "import",
            "items",
            text(&ratings),
            "--url",
            "http://x",
            "--data-dir",
            data,
        ],
        2,
        "--data-dir",
    );
    check(
        &["export", "items", "--out", "x", "--url", "http://127.0.0.1:1"],
        1,
        "does not answer",
    );
    check(
        &["export", "items", "--out", "x", "--since", "2026-01-01"],
        2,
        "events and slates only",
    );
    check(
        &["export", "items", "--out", "x", "--data-dir", "nowhere"],
        1,
        "nowhere",
    );
}

#[tokio::test]
async fn a_data_dir_in_use_is_refused_and_its_server_takes_the_rows_over_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Server::start_in(folder.path(), &[]).await;
    let url = url(&server);
    let items = write(folder.path(), "items.jsonl", ITEMS);
    let refused = run(&["import", "items", text(&items), "--data-dir", text(&data)]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(text(&data)), "{refused:?}");
    for (entity, content) in [("items", ITEMS), ("users", USERS), ("events", EVENTS)] {
        let file = write(folder.path(), &format!("{entity}.jsonl"), content);
        let done = run(&["import", entity, text(&file), "--url", &url]);
        assert_eq!(
            (done.code, done.out.contains(&format!("imported 2 {entity}"))),
            (0, true),
            "{done:?}"
        );
    }
    let file = write(
        folder.path(),
        "more.jsonl",
        "{\"user_id\":\"u1\",\"item_id\":\"none\",\"type\":\"like\"}\n",
    );
    let done = run(&["import", "events", text(&file), "--url", &url]);
    assert!(
        done.out.contains("imported 0 events") && done.out.contains("line 1)"),
        "{done:?}"
    );
    let inspected = run(&["inspect", "item", "v2", "--json", "--url", &url]);
    let item: serde_json::Value = serde_json::from_str(&inspected.out).expect("JSON");
    assert_eq!(item["author_id"], "a1");
}

/// The development data beside the repository, where there is some.
fn kuairand() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kuairand-april");
    if folder.join("video_features_basic_pure.csv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: there is no KuaiRand data in {}", folder.display());
    None
}

#[test]
fn kuairand_is_read_without_a_reject() {
    let Some(source) = kuairand() else { return };
    for (entity, rows_min) in [("items", 7_000), ("users", 20_000), ("events", 150_000)] {
        let done = run(&["import", entity, text(&source), "--format", "kuairand", "--dry-run"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!done.out.contains("rejected"), "{done:?}");
        let count = done
            .out
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > rows_min), "{done:?}");
    }
}

#[test]
fn the_head_of_kuairand_goes_into_a_data_dir_and_comes_out_again() {
    const LOG_LINES: usize = 2_000;
    let Some(source) = kuairand() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let items = source.join("video_features_basic_pure.csv");
    let done = run(&["import", "items", text(&items), "--data-dir", text(&data)]);
    assert!(done.code == 0 && done.out.contains("imported 7583 items"), "{done:?}");
    let log = std::fs::File::open(source.join("log_standard_4_25_to_4_30_pure.csv.gz")).expect("the log");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(flate2::read::MultiGzDecoder::new(log)));
    let head: Vec<String> = lines.take(LOG_LINES).map(|line| line.expect("a line")).collect();
    let file = write(folder.path(), "log_head.csv", &head.join("\n"));
    let done = run(&["import", "events", text(&file), "--data-dir", text(&data)]);
    assert!(done.code == 0 && !done.out.contains("rejected"), "{done:?}");
    let imported = done
        .out
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<usize>().ok())
        .expect("a count");
    assert!(
        imported >= 2 * (LOG_LINES - 1),
        "every row is an impression and more: {done:?}"
    );
    let out = folder.path().join("out.jsonl.gz");
    let done = run(&["export", "events", "--out", text(&out), "--data-dir", text(&data)]);
    assert_eq!(done.code, 0, "{done:?}");
    let again = run(&["import", "events", text(&out), "--data-dir", text(&data)]);
    let expected = format!("imported 0 events ({imported} more had been there before)");
    assert!(
        again.out.contains(&expected) && !again.out.contains("rejected"),
        "{again:?}"
    );
}
