//! A server process of its own for a chapter, and how an app speaks to it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every wait ends after so long.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long a poll waits before it looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How many items are put with one call.
const ITEMS_PER_CALL: usize = 500;

/// A running server on a scratch data directory; both go when it is dropped.
pub(crate) struct Stage {
    child: Child,
    public: String,
    admin: String,
    http: Client,
    /// Deleted with the server.
    folder: TempDir,
}

impl Stage {
    /// A server with its defaults.
    ///
    /// # Errors
    /// When the process does not start or does not get ready.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with settings from the environment, such as `("LIMITS__USER_PER_S", "5")`.
    ///
    /// # Errors
    /// When the process does not start or does not get ready.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("swipeline-selfcheck-")
            .tempdir()
            .context("no temporary directory")?;
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| (format!("SWIPELINE__{name}"), (*value).to_owned()))
            .collect();
        let (child, public, admin) = spawn(&folder, &settings)?;
        let stage = Self {
            child,
            public,
            admin,
            http: Client::new(),
            folder,
        };
        stage.wait_until_ready().await?;
        Ok(stage)
    }

    /// The server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        eventually("the server is ready", async || {
            let answer = self.http.get(format!("http://{}/readyz", self.public)).send().await;
            Ok(answer.is_ok_and(|answer| answer.status() == 200).then_some(()))
        })
        .await
    }

    /// GET on the public listener, which must be answered with success.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.call(Method::GET, path), path).await
    }

    /// A call with a JSON body on the public listener, which must be answered with success.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.call(method, path).json(body), path).await
    }

    /// A call on the admin listener, which must be answered with success.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut call = self
            .http
            .request(method.clone(), format!("http://{}{path}", self.admin))
            .header("x-changed-by", "selfcheck");
        if method != Method::GET {
            call = call.json(body);
        }
        answer(call, path).await
    }

    /// A call on the public listener.
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.public))
    }

    /// Changes some params. Returns the version that is in force now.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn patch_params(&self, patch: &Value) -> anyhow::Result<u64> {
        let document = self.admin(Method::PATCH, "/v1/admin/params", patch).await?;
        document["version"].as_u64().context("the params have no version")
    }

    /// Puts `count` items of each category, named `<category><number>`, by seven authors each.
    ///
    /// # Errors
    /// No answer, or an item that was rejected.
    pub(crate) async fn put_catalogue(&self, categories: &[&str], count: usize) -> anyhow::Result<()> {
        let item = |category: &str, number: usize| {
            json!({"id": format!("{category}{number}"), "title": format!("{category} number {number}"),
                   "author_id": format!("{category}-author{}", number % 7), "categories": [category],
                   "tags": [format!("{category}-tag{}", number % 5)], "duration_ms": 15_000})
        };
        let items: Vec<Value> = categories
            .iter()
            .flat_map(|category| (0..count).map(move |number| item(category, number)))
            .collect();
        for page in items.chunks(ITEMS_PER_CALL) {
            let reply = self.send(Method::POST, "/v1/items", &json!(page)).await?;
            ensure!(reply["upserted"] == page.len(), "items were rejected: {reply}");
        }
        Ok(())
    }

    /// Sends one signal of a user.
    ///
    /// # Errors
    /// No answer, or an event that was not accepted.
    pub(crate) async fn signal(&self, user: &str, kind: &str, item: &str) -> anyhow::Result<()> {
        let events = json!([{"user_id": user, "item_id": item, "type": kind}]);
        let reply = self.send(Method::POST, "/v1/events", &events).await?;
        ensure!(reply["accepted"] == 1, "the event was not accepted: {reply}");
        Ok(())
    }

    /// A feed that is served and counts as shown.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn serve(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::POST, path, &json!({})).await
    }

    /// A one-shot feed; what it shows does not count as shown, so that it can be asked again.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn look(&self, user: &str, query: &str) -> anyhow::Result<Value> {
        self.get(&format!("/v1/users/{user}/feed?impressions=explicit&{query}"))
            .await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir, settings: &[(String, String)]) -> anyhow::Result<(Child, String, String)> {
    let mut command = Command::new(std::env::current_exe().context("this program cannot be found")?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SWIPELINE") {
            command.env_remove(name);
        }
    }
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(folder.path().join("data"))
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .env("SWIPELINE__LOG__LEVEL", "error")
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("the server does not start")?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    match addresses(&line) {
        Some((public, admin)) => Ok((child, public, admin)),
        None => {
            // It has said why on standard error.
            let _ = child.kill();
            let _ = child.wait();
            bail!("the server does not say where it listens")
        }
    }
}

fn addresses(line: &str) -> Option<(String, String)> {
    let (public, admin) = line
        .trim()
        .strip_prefix("listening on http://")?
        .split_once(" (admin http://")?;
    Some((public.to_owned(), admin.strip_suffix(')')?.to_owned()))
}

async fn answer(call: RequestBuilder, path: &str) -> anyhow::Result<Value> {
    let answer = call.send().await.with_context(|| path.to_owned())?;
    let status = answer.status();
    let text = answer.text().await.with_context(|| path.to_owned())?;
    ensure!(status.is_success(), "{path} answers {status}: {text}");
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{path} answers {text:?}"))
}

/// Waits until `look` finds something.
///
/// # Errors
/// When it does not within [`WAIT_MAX`], or when looking fails.
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(began.elapsed() < WAIT_MAX, "it does not happen that {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The share of a feed that is of a category, 0 to 1; 0 for an empty feed.
pub(crate) fn share_of(feed: &Value, category: &str) -> f64 {
    let Some(items) = feed["items"].as_array().filter(|items| !items.is_empty()) else {
        return 0.0;
    };
    let is_of = |item: &&Value| {
        let categories = item["item"]["categories"].as_array();
        categories.is_some_and(|categories| categories.iter().any(|one| one == category))
    };
    items.iter().filter(is_of).count() as f64 / items.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_category_is_counted_by_item() {
        let feed = json!({"items": [{"item": {"categories": ["a", "b"]}}, {"item": {"categories": ["b"]}},
                                     {"item": {}}, {"item": {"categories": ["c"]}}]});
        assert_eq!(share_of(&feed, "b"), 0.5);
        assert_eq!(share_of(&feed, "d"), 0.0);
        assert_eq!(share_of(&json!({"items": []}), "a"), 0.0);
    }

    #[test]
    fn the_line_of_a_server_names_both_addresses() {
        let line = "listening on http://127.0.0.1:1 (admin http://127.0.0.1:2)\n";
        assert_eq!(
            addresses(line),
            Some(("127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()))
        );
        assert_eq!(addresses("error: no"), None);
    }
}
