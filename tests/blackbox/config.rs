//! Configuration, ports and data directories that cannot be used.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Server, run, stderr_of, swipeline};

/// Runs `serve` on free ports with this data directory; it must fail.
fn serve_fails(data_dir: &Path) -> String {
    serve_fails_as(swipeline(), data_dir)
}

fn serve_fails_as(mut command: Command, data_dir: &Path) -> String {
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(data_dir);
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr_of(&output));
    stderr_of(&output)
}

#[test]
fn every_error_of_every_layer_is_reported_at_once() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("swipeline.toml");
    let toml = "[server]\nlisten = \"nowhere\"\nlisen = \"x\"\n[data]\ndurability = \"perhaps\"\n[sesions]\nmax = 5\n\
                [auth]\njwt_secret = \"in the file\"\n";
    std::fs::write(&file, toml).expect("a file");
    let mut command = swipeline();
    command.args(["config", "check", "--config"]).arg(&file);
    command
        .env("SWIPELINE__SERVER__WORKERS", "0")
        .env("SWIPELINE__LOG__LEVLE", "info");
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr_of(&output);
    for key in [
        "server.listen:",
        "server.lisen:",
        "data.durability:",
        "sesions.max:",
        "auth.jwt_secret:",
        "server.workers:",
        "log.levle:",
    ] {
        assert!(text.contains(key), "{key} is missing in {text}");
    }
    assert!(!text.contains("in the file\""), "the secret was printed: {text}");
    let output = swipeline()
        .args(["serve", "--config"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn init_writes_what_check_takes_and_show_prints() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("swipeline.toml");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(run(&["config", "init", path]).status.code(), Some(0));
    assert_eq!(
        run(&["config", "init", path]).status.code(),
        Some(1),
        "a file was overwritten"
    );
    assert_eq!(run(&["config", "init", "--force", path]).status.code(), Some(0));
    assert_eq!(run(&["config", "check", "--config", path]).status.code(), Some(0));
    let mut command = swipeline();
    command
        .args(["config", "show", "--config", path])
        .env("SWIPELINE__AUTH__JWT_SECRET", "hush-hush-hush-hush-hush-hush-hush");
    let output = command
        .env("SWIPELINE__SESSIONS__MAX", "77")
        .output()
        .expect("the binary runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("max = 77") && shown.contains("***") && !shown.contains("hush-hush"),
        "{shown}"
    );
    let missing = run(&["config", "check", "--config", "/nowhere/at/all.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr_of(&missing).contains("/nowhere/at/all.toml"));
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for flags in [
        ["--listen", address.as_str(), "--admin-listen", "127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--admin-listen", address.as_str()],
    ] {
        let mut command = swipeline();
        command.arg("serve").args(flags).arg("--data-dir").arg(dir.path());
        let output = command.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(1));
        let text = stderr_of(&output);
        assert!(text.contains(&address) && text.contains("in use"), "{text}");
    }
}

#[tokio::test]
async fn a_data_directory_in_use_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let server = Server::start_in(dir.path(), &[]).await;
    let text = serve_fails(&dir.path().join("data"));
    assert!(text.contains("data") && text.contains("in use"), "{text}");
    assert_eq!(server.get("/livez").await["status"], "ok");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("a-file");
    std::fs::write(&file, "not a directory").expect("a file");
    let inside = file.join("data");
    let text = serve_fails(&inside);
    assert!(text.contains(inside.to_str().expect("UTF-8")), "{text}");
}

#[tokio::test]
async fn a_data_directory_of_a_newer_version_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 3).await;
    server.signal("TERM");
    assert!(server.wait().await.success());
    let data = dir.path().join("data");
    let version = data.join("VERSION");
    let written = std::fs::read_to_string(&version).expect("a version file");
    std::fs::write(&version, r#"{"format": 999, "created_by": "swipeline 99.0"}"#).expect("writable");
    let text = serve_fails(&data);
    assert!(
        text.contains(data.to_str().expect("UTF-8")) && text.contains("999"),
        "{text}"
    );
    // The older program has changed nothing: the newer one finds what it left.
    std::fs::write(&version, written).expect("writable");
    let server = Server::start_in(dir.path(), &[]).await;
    assert_eq!(server.get("/v1/items/pets1").await["id"], "pets1");
}

#[test]
fn a_data_directory_that_is_read_only_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).expect("rights");
    // Rights do not count for a superuser who has all capabilities: without them they do.
    let is_ignored = std::fs::write(data.join("probe"), "x").is_ok();
    let command = if is_ignored {
        std::fs::remove_file(data.join("probe")).expect("removable");
        let mut command = Command::new("setpriv");
        let program = swipeline().get_program().to_owned();
        command
            .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
            .arg(program);
        command
    } else {
        swipeline()
    };
    let text = serve_fails_as(command, &data);
    assert!(
        text.contains(data.to_str().expect("UTF-8")) && text.contains("not writable"),
        "{text}"
    );
}
