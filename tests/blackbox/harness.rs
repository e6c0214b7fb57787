//! Starts and stops the real server, and speaks HTTP to it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every wait ends after so long, and the test fails.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a poll waits before it looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The binary under test, without the environment of whoever runs the tests.
pub(crate) fn swipeline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swipeline"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SWIPELINE") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    swipeline().args(args).output().expect("the binary runs")
}

/// What a process said on standard error.
pub(crate) fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// `127.0.0.1:port` of the public listener.
    pub(crate) public: String,
    /// `127.0.0.1:port` of the admin listener.
    pub(crate) admin: String,
    client: Client,
    errors: PathBuf,
    /// Deleted with the server, unless the test keeps the directory itself.
    _dir: Option<TempDir>,
}

impl Server {
    /// A server with an empty data directory of its own.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with settings from the environment, such as `("WS__PING_MS", "100")`.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut server = Self::start_in(dir.path(), settings).await;
        server._dir = Some(dir);
        server
    }

    /// A server on a directory that outlives it.
    pub(crate) async fn start_in(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let server = Self::spawn(dir, settings);
        server.wait_until_ready().await;
        server
    }

    fn spawn(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let errors = dir.join("stderr.log");
        let mut command = swipeline();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ]);
        command.arg(dir.join("data"));
        for (name, value) in settings {
            command.env(format!("SWIPELINE__{name}"), value);
        }
        command
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("a file for errors"));
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let said = || std::fs::read_to_string(&errors).unwrap_or_default();
        let (public, admin) = addresses(&line).unwrap_or_else(|| panic!("no addresses in {line:?}; {}", said()));
        Self {
            child,
            public,
            admin,
            client: Client::new(),
            errors,
            _dir: None,
        }
    }

    async fn wait_until_ready(&self) {
        eventually("the server is ready", async || {
            let answer = self.client.get(format!("http://{}/readyz", self.public)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// A call to the public listener.
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.public))
    }

    /// A call to the admin listener.
    pub(crate) fn admin_call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.admin))
    }

    /// GET that must answer 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call(Method::GET, path).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// A feed that is served and counts as shown.
    pub(crate) async fn serve(&self, path: &str) -> Value {
        self.send(Method::POST, path, &json!({})).await
    }

    /// POST or PUT of JSON that must answer 200.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.call(method, path).json(body).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Puts items `<category><0..count>` of each category; none may be rejected.
    pub(crate) async fn put_catalogue(&self, categories: &[&str], count: usize) {
        let items: Vec<Value> = categories
            .iter()
            .flat_map(|category| (0..count).map(move |number| (category, number)))
            .map(|(category, number)| {
                json!({"id": format!("{category}{number}"), "title": format!("{category} number {number}"),
                       "author_id": format!("{category}-author{}", number % 7), "categories": [category],
                       "tags": [format!("{category}-tag{}", number % 5)]})
            })
            .collect();
        let total = items.len();
        let reply = self.send(Method::POST, "/v1/items", &Value::Array(items)).await;
        assert_eq!(reply, json!({"upserted": total, "rejected": []}));
    }

    /// The ids of a feed over REST that counts as shown unless the query says otherwise.
    pub(crate) async fn feed_ids(&self, user: &str, query: &str) -> Vec<String> {
        item_ids(&self.serve(&format!("/v1/users/{user}/feed?{query}")).await)
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([format!("-{name}"), pid])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end of the process.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a status") {
                return status;
            }
            assert!(began.elapsed() < WAIT_MAX, "the server does not end");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Kills the process as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.wait().await;
    }

    /// What the server wrote to standard error so far.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn addresses(line: &str) -> Option<(String, String)> {
    let (public, admin) = line
        .trim()
        .strip_prefix("listening on http://")?
        .split_once(" (admin http://")?;
    Some((public.to_owned(), admin.strip_suffix(')')?.to_owned()))
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "it does not happen that {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The item ids of a feed or a list.
pub(crate) fn item_ids(document: &Value) -> Vec<String> {
    let items = document["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["item_id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Checks that an answer is a problem document of this status, and returns it.
pub(crate) async fn problem(answer: Response, status: u16) -> Value {
    let (given, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    assert_eq!(given, status, "{text}");
    assert_eq!(headers["content-type"], "application/problem+json", "{text}");
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], status, "{text}");
    for field in ["type", "title", "detail"] {
        assert!(
            problem[field].as_str().is_some_and(|value| !value.is_empty()),
            "{field} is missing in {text}"
        );
    }
    if status == 429 || status == 503 {
        assert!(headers.contains_key("retry-after"), "{headers:?}");
    }
    problem
}
