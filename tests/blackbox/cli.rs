//! The small commands from outside: `health`, `token`, `recommend`, `inspect`, `snapshot`. And how tests run commands.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Server, swipeline};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Done {
    run_with_input(arguments, b"")
}

/// Runs a command with something on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Done {
    let mut command = swipeline();
    command.args(arguments);
    finish(command, input)
}

fn finish(mut command: Command, input: &[u8]) -> Done {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program starts");
    // A command that does not read its input has closed it: that is no fault.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("the program ends");
    Done {
        code: output.status.code().expect("ends by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The address of a server as the commands take it.
pub(crate) fn url(server: &Server) -> String {
    format!("http://{}", server.public)
}

/// A server with three items and a user who likes pets; its data directory is `<folder>/data`.
async fn server_with_pets(folder: &Path) -> Server {
    let server = Server::start_in(folder, &[]).await;
    let load = |entity: &str, text: &str| {
        let arguments = ["import", entity, "-", "--format", "csv", "--url", &url(&server)];
        let done = run_with_input(&arguments, text.as_bytes());
        assert!(done.code == 0 && !done.out.contains("rejected"), "{done:?}");
    };
    load(
        "items",
        "id,title,categories,tags\nv1,Cats,pets,cat\nv2,Dogs,pets,dog\nv3,Cars,cars,car\n",
    );
    load("events", "user_id,item_id,type\nu1,v1,like\n");
    server
}

#[tokio::test]
async fn health_is_an_exit_code() {
    let mut server = Server::start().await;
    let url = url(&server);
    assert_eq!(run(&["health", "--url", &url]).out, "ready\n");
    server.signal("TERM");
    assert!(server.wait().await.success());
    let gone = run(&["health", "--url", &url]);
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("not ready"), "{gone:?}");
    assert_eq!(run(&["health", "--url", "nonsense"]).code, 1);
    let waited = std::time::Instant::now();
    assert_eq!(run(&["health", "--url", &url, "--wait", "500ms"]).code, 1);
    assert!(waited.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(run(&["health", "--wait", "soon"]).code, 2);
}

#[tokio::test]
async fn health_waits_for_a_server_that_starts() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let waits = std::thread::spawn(move || run(&["health", "--url", &url, "--wait", "30s"]));
    let dir = tempfile::tempdir().expect("temp dir");
    let mut serve = swipeline();
    serve.args([
        "serve",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    let mut server = serve
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let waited = waits.join().expect("an end");
    server.kill().expect("a process");
    server.wait().expect("its end");
    assert_eq!((waited.code, waited.out.as_str()), (0, "ready\n"), "{waited:?}");
}

#[tokio::test]
async fn recommend_and_inspect_tell_what_the_server_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_with_pets(folder.path()).await;
    let ask = |arguments: &[&str]| run(&[arguments, &["--url", &url(&server)]].concat());
    let feed = ask(&["recommend", "--user", "u1", "--explain"]);
    assert_eq!(feed.code, 0, "{feed:?}");
    assert!(feed.out.contains("Dogs") && feed.out.contains("recalled"), "{feed:?}");
    let json = ask(&["recommend", "--user", "u1", "-n", "2", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(
        json["items"].as_array().map(Vec::len),
        Some(2),
        "a look does not count as shown: {json}"
    );
    let user = ask(&["inspect", "user", "u1"]);
    assert!(
        user.code == 0 && user.out.contains("like 1") && user.out.contains("v1"),
        "{user:?}"
    );
    let item = ask(&["inspect", "item", "v1"]);
    assert!(
        item.code == 0 && item.out.contains("Cats") && item.out.contains("similar item"),
        "{item:?}"
    );
    let unknown = ask(&["inspect", "item", "none/../x"]);
    assert!(unknown.code == 1 && unknown.err.contains("404"), "{unknown:?}");
    assert_eq!(ask(&["recommend", "--user", "u1", "-n", "501"]).code, 2);
}

#[tokio::test]
async fn a_token_needs_a_key_and_opens_the_users_own_data() {
    const NAME: &str = "SWIPELINE__AUTH__JWT_SECRET";
    const SECRET: &str = "a secret of at least thirty-two bytes, for tests";
    let without = run(&["token", "new", "--user", "u1"]);
    assert!(without.code == 1 && without.err.contains(NAME), "{without:?}");
    assert_eq!(run(&["token", "new", "--user", "u1", "--ttl", "soon"]).code, 2);
    let mut issue = swipeline();
    issue
        .args(["token", "new", "--user", "u1", "--ttl", "5m"])
        .env(NAME, SECRET);
    let issued = finish(issue, b"");
    assert_eq!(issued.code, 0, "{issued:?}");
    let server = Server::start_with(&[("AUTH__JWT_SECRET", SECRET)]).await;
    let ask = |user: &str, token: Option<&str>| {
        let mut ask = swipeline();
        ask.args(["recommend", "--user", user, "--json", "--url", &url(&server)]);
        ask.envs(token.map(|token| ("SWIPELINE_API_KEY", token)));
        finish(ask, b"")
    };
    assert_eq!(ask("u1", Some(issued.out.trim())).code, 0);
    assert!(ask("u2", Some(issued.out.trim())).err.contains("403"));
    assert!(ask("u1", None).err.contains("401"));
}

#[tokio::test]
async fn a_snapshot_is_made_checked_and_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (data, backup, restored) = (path("data"), path("backup"), path("restored"));
    let mut server = server_with_pets(folder.path()).await;
    server.signal("TERM");
    assert!(server.wait().await.success());
    let made = run(&["snapshot", "create", "--data-dir", &data, "--out", &backup]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(run(&["snapshot", "verify", &backup]).code, 0);
    assert_eq!(
        run(&["snapshot", "create", "--data-dir", &data, "--out", &backup]).code,
        1,
        "is never overwritten"
    );
    assert_eq!(run(&["snapshot", "restore", &backup, "--data-dir", &restored]).code, 0);
    let exported = run(&["export", "items", "--out", "-", "--data-dir", &restored]);
    assert_eq!(exported.out.lines().count(), 3, "{exported:?}");
    damage_one_file(Path::new(&backup));
    let damaged = run(&["snapshot", "verify", &backup]);
    assert!(damaged.code == 1 && damaged.err.contains("backup"), "{damaged:?}");
    assert_eq!(
        run(&["snapshot", "verify", &data]).code,
        1,
        "a data directory is no backup"
    );
}

/// Flips the last byte of the largest file.
fn damage_one_file(backup: &Path) {
    let mut folders = vec![backup.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    let size = |path: &std::path::PathBuf| path.metadata().expect("a file").len();
    let largest = files.into_iter().max_by_key(size).expect("a backup has files");
    let mut bytes = std::fs::read(&largest).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 0xff;
    std::fs::write(&largest, bytes).expect("writable");
}
