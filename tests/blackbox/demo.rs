//! `swipeline demo` from outside: it comes up with a page, a catalogue and viewers, and goes away without a trace.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::cli::run;
use crate::harness::{eventually, swipeline};

/// A running demo; killed when dropped.
struct Demo {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Demo {
    /// Starts a demo that keeps its files in `folder`, and waits for its first line.
    fn start(arguments: &[&str], folder: &Path) -> Demo {
        let mut command = swipeline();
        command
            .args(["demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(arguments);
        command
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut demo = Demo {
            child,
            out,
            url: String::new(),
        };
        let line = demo.next_line();
        let url = line
            .strip_prefix("listening on ")
            .and_then(|rest| rest.split_whitespace().next());
        demo.url = url
            .unwrap_or_else(|| panic!("unexpected first line {line:?}"))
            .to_owned();
        demo
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("readable");
        line
    }

    /// Asks it to stop and waits until it has; returns what it still said.
    fn stop(&mut self) -> (ExitStatus, String) {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(asked.success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("readable");
        (self.child.wait().expect("ends"), rest)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Already gone: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

#[tokio::test]
async fn the_demo_has_a_page_videos_and_viewers() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(&["--items", "300", "--viewers", "4", "--seed", "3"], temporary.path());
    let line = demo.next_line();
    assert!(
        line.contains("300 videos, 4 viewers, seed 3") && line.contains(&demo.url),
        "{line}"
    );

    let (status, page) = get(&format!("{}/", demo.url)).await;
    assert_eq!(status, 200);
    assert!(page.contains("<html"), "{page}");
    let feed = run(&["recommend", "--user", "somebody-new", "--json", "--url", &demo.url]);
    let feed: serde_json::Value = serde_json::from_str(&feed.out).expect("JSON");
    assert_eq!(feed["items"].as_array().map(Vec::len), Some(10), "{feed}");

    let stats_url = format!("{}/v1/stats?window=5m", demo.url);
    eventually("the viewers watch something", async || {
        let (_, stats) = get(&stats_url).await;
        let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
        stats["total"]["views"].as_u64().filter(|views| *views > 0)
    })
    .await;
    let (status, rest) = demo.stop();
    assert!(status.success(), "{status} {rest}");
    assert!(rest.contains("(0 twice)") && rest.contains("swiped"), "{rest}");
    assert_eq!(
        std::fs::read_dir(temporary.path()).expect("a folder").count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn the_demo_does_not_run_with_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "a-key-that-is-long-enough-for-anybody\n").expect("written");
    let config = folder.path().join("swipeline.toml");
    std::fs::write(&config, format!("[auth]\napi_keys_file = {:?}\n", keys)).expect("written");
    let refused = run(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().expect("text"),
    ]);
    assert!(refused.code == 1 && refused.err.contains("[auth]"), "{refused:?}");
}
