//! The binary: exit codes, messages, files.

use std::path::Path;
use std::process::{Command, Output};

use swipeline_loadtest::report::Report;

use crate::dummy::{Dummy, DummyConfig};

/// Runs the binary away from the runtime that serves it.
async fn tester(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swipeline-loadtest"));
    command.args(args);
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("starts")
}

async fn run_tester(url: &str, folder: &Path, more: &[&str]) -> Output {
    let folder = folder.to_str().expect("a readable path");
    let mut args = vec![
        "run",
        "--url",
        url,
        "--sessions",
        "5",
        "--rate",
        "100",
        "--duration",
        "600ms",
        "--no-floor",
        "--report",
        folder,
    ];
    args.extend(more);
    tester(&args).await
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_prints_its_table_writes_its_reports_and_can_be_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = Dummy::new(DummyConfig {
        items: 500,
        ..DummyConfig::default()
    })
    .listen()
    .await;
    let output = run_tester(
        &url,
        folder.path(),
        &["--threshold", "repeats==0", "--threshold", "errors==0"],
    )
    .await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    assert!(
        text.contains("event_to_feed") && text.contains("repeats shown 0"),
        "{text}"
    );
    let report = Report::read(folder.path()).expect("a report");
    assert!(report.swipes.sent > 10 && report.thresholds_met());
    assert!(folder.path().join("report.html").is_file());
    let path = folder.path().to_str().expect("a readable path");
    let output = tester(&["compare", path, path, "--tolerance", "0"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_from_several_addresses_report_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = Dummy::new(DummyConfig {
        items: 500,
        ..DummyConfig::default()
    })
    .listen()
    .await;
    let spread = [
        "--processes",
        "2",
        "--source",
        "127.0.0.1,127.0.0.2",
        "--threshold",
        "errors==0",
    ];
    let output = run_tester(&url, folder.path(), &spread).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report = Report::read(folder.path()).expect("a report");
    assert_eq!((report.settings.processes, report.ready_sessions), (2, 5));
    assert_eq!(report.counters["connects"], 5);
    assert_eq!(
        report.swipes.planned,
        report.swipes.sent + report.swipes.away + report.swipes.dropped
    );
    assert!(report.swipes.sent > 10 && report.latencies["event_to_feed"].count > 0);
    let in_series: u64 = report.series.points.iter().map(|point| point.sent).sum();
    assert!(
        in_series > 0 && in_series <= report.swipes.sent,
        "what trickles in after the plan is in no point"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_printed_and_written_beside_the_report() {
    let output = tester(&["schema"]).await;
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["title"], "swipeline-loadtest/1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_that_is_not_met_is_exit_code_three() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = Dummy::new(DummyConfig {
        items: 500,
        repeats: true,
        ..DummyConfig::default()
    })
    .listen()
    .await;
    let output = run_tester(
        &url,
        folder.path(),
        &["--proto", "msgpack", "--threshold", "repeats==0"],
    )
    .await;
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT MET"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = Dummy::new(DummyConfig::default()).listen().await;
    let output = run_tester(&empty, folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("nothing to show") && err(&output).contains("fill"),
        "{}",
        err(&output)
    );
    // Port 1 needs privileges that no test server has.
    let output = run_tester("ws://127.0.0.1:1/v1/stream", folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("no server answers at 127.0.0.1:1"),
        "{}",
        err(&output)
    );
    let output = run_tester("ws://192.0.2.1:8080/v1/stream", folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("--allow-remote"), "{}", err(&output));
    for wrong in [
        ["--threshold", "repeats"],
        ["--rate", "-1"],
        ["--scenario", "rolling-restart"],
        ["--scenario", "storm"],
        ["--mix", "feeds=1"],
        ["--source", "here"],
    ] {
        let output = run_tester(&empty, folder.path(), &wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", err(&output));
    }
    let other = folder.path().join("other.json");
    std::fs::write(&other, r#"{"schema":"swipeline-loadtest/0"}"#).expect("written");
    let baseline = ["--baseline", other.to_str().expect("a readable path")];
    let output = run_tester(&empty, folder.path(), &baseline).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("swipeline-loadtest/0"), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_floor_is_measured_against_a_child() {
    let output = tester(&["floor", "--sessions", "4", "--runs", "1", "--duration", "300ms"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    assert!(text.contains("µs of server CPU per swipe"), "{text}");
}
