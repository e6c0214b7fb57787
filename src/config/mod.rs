//! The configuration: what can be set, what holds when nothing is said, and which values make sense.
//!
//! Owns: the sections, their defaults, the layers (defaults < file < environment < flags) and the checks. Must not start
//! anything. Numbers that an operator turns while the server runs are not here but in the `params` document.

mod check;
mod load;
mod memory;
mod reader;
mod secrets;
mod template;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gorse::rules::FeedbackRules;

pub use load::{ConfigError, ConfigErrors, Sources};
pub use secrets::Secret;
pub use template::template;

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Settings {
    /// Listeners and their bounds.
    pub server: ServerSettings,
    /// WebSocket connections.
    pub ws: WsSettings,
    /// Where and how durably state is kept.
    pub data: DataSettings,
    /// Active sessions.
    pub sessions: SessionSettings,
    /// The embedding index.
    pub index: IndexSettings,
    /// Who may come in.
    pub auth: AuthSettings,
    /// Rates per second; 0 switches a limit off.
    pub limits: LimitSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The ranking model.
    pub model: ModelSettings,
    /// The door for gorse's clients.
    pub gorse: GorseSettings,
    /// Where accepted events are posted to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSettings>,
}

/// `[server]`: listeners and their bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerSettings {
    /// The public address, `host:port`; port 0 lets the system choose.
    pub listen: String,
    /// The address for operators: metrics, parameters, model. Keep it away from the internet.
    pub admin_listen: String,
    /// Threads that serve connections.
    pub workers: usize,
    /// The most connections at a time.
    pub max_connections: usize,
    /// The most REST calls in work at a time; more are answered 503.
    pub max_in_flight: usize,
    /// The most bytes of a body.
    pub body_bytes_max: usize,
    /// How long a connection may take to send a request's head, in milliseconds; a body must make headway in that time.
    pub request_timeout_ms: u64,
    /// How long a whole body may take, in milliseconds.
    pub body_timeout_ms: u64,
    /// A body that comes slower than so many bytes per second for `request_timeout_ms` is given up.
    pub body_bytes_per_s_min: u64,
    /// The most bytes of all bodies that are in memory at a time.
    pub bodies_bytes_max: usize,
    /// How long an idle connection is kept, in milliseconds.
    pub keep_alive_ms: u64,
    /// How long a shutdown waits for calls and sockets, in milliseconds.
    pub shutdown_timeout_ms: u64,
    /// Names that the server is called by, beside addresses and loopback names; `*` allows all.
    pub hosts: Vec<String>,
    /// Origins of pages that may call the public listener (CORS); `*` allows all.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed: addresses, or networks such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
    /// Whether the server may listen on a public address without keys.
    pub insecure_open: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin_listen: "127.0.0.1:8081".to_owned(),
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            max_connections: 50_000,
            max_in_flight: 1_024,
            body_bytes_max: 8 * 1024 * 1024,
            request_timeout_ms: 10_000,
            body_timeout_ms: 60_000,
            body_bytes_per_s_min: 1_024,
            bodies_bytes_max: 256 * 1024 * 1024,
            keep_alive_ms: 75_000,
            shutdown_timeout_ms: 10_000,
            hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            insecure_open: false,
        }
    }
}

/// `[ws]`: WebSocket connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WsSettings {
    /// How often the server pings a socket, in milliseconds; two unanswered pings close it.
    pub ping_ms: u64,
    /// How long a socket without a token may take to say `hello`, in milliseconds.
    pub hello_timeout_ms: u64,
    /// How long one write to a socket may take, in milliseconds; a slower reader is closed.
    pub write_timeout_ms: u64,
    /// After so many bad messages in a row a socket is closed.
    pub errors_max: u32,
    /// Origins that may open a socket beside `server.allowed_origins`, the server's own host and loopback; `*` allows all.
    pub allowed_origins: Vec<String>,
}

impl Default for WsSettings {
    fn default() -> Self {
        Self {
            ping_ms: 25_000,
            hello_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            errors_max: 16,
            allowed_origins: Vec::new(),
        }
    }
}

/// Whether an acknowledged event also survives power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives the death of the process at any moment.
    Process,
    /// Survives power loss as well.
    Fsync,
}

/// Default of [`DataSettings::free_bytes_min`]: room for a checkpoint and for the store's own files.
pub const FREE_BYTES_MIN_DEFAULT: u64 = 16 * 1024 * 1024;

/// `[data]`: where and how durably state is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataSettings {
    /// The data directory; made when it does not exist.
    pub dir: PathBuf,
    /// `process` or `fsync`.
    pub durability: Durability,
    /// The time between two checkpoints, in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Up to so many bytes the journal is kept although checkpoints include it, for export and for a second opinion.
    pub journal_keep_bytes: u64,
    /// For so many of 100 viewers, what they are served is logged with its feature rows, for training; 0: nobody.
    pub served_log_percent: u8,
    /// The most bytes of that log; the oldest part goes.
    pub served_log_bytes_max: u64,
    /// With less free space on the disk of the data directory writes are refused; feeds go on.
    pub free_bytes_min: u64,
    /// Starts although neither snapshots nor journal say how everything was.
    pub accept_loss: bool,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./swipeline-data"),
            durability: Durability::Process,
            checkpoint_interval_ms: 30_000,
            journal_keep_bytes: 512 * 1024 * 1024,
            served_log_percent: 0,
            served_log_bytes_max: 1024 * 1024 * 1024,
            free_bytes_min: FREE_BYTES_MIN_DEFAULT,
            accept_loss: false,
        }
    }
}

/// `[sessions]`: active sessions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionSettings {
    /// A session without sockets and requests for so long is put to sleep, in milliseconds.
    pub idle_ms: u64,
    /// The most active sessions.
    pub max: usize,
    /// The most bytes that active sessions hold together, about.
    pub bytes_max: usize,
    /// Viewers of whom nothing is known but what they were shown are forgotten after so long, in milliseconds; 0: never.
    pub stranger_ttl_ms: u64,
    /// Threads that sessions are spread over.
    pub arbiters: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle_ms: 120_000,
            max: 1_000_000,
            bytes_max: memory::machine_bytes() / 2,
            stranger_ttl_ms: 30 * 86_400_000,
            arbiters: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// `[index]`: the embedding index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexSettings {
    /// The embedding dimension of the data directory; fixed by the first embedding when 0.
    pub dimension: usize,
    /// Up to so many items the exact scan serves, above it the graph index does.
    pub exact_items_max: usize,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            dimension: 0,
            exact_items_max: 2_000_000,
        }
    }
}

/// `[auth]`: who may come in. Without any key everybody may (anonymous mode).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuthSettings {
    /// The shared secret of viewers' tokens (HS256, HS384, HS512); from the environment only.
    pub jwt_secret: Option<Secret>,
    /// A file with the shared secret.
    pub jwt_secret_file: Option<PathBuf>,
    /// A PEM file with the public key of viewers' tokens (RSA, EC or Ed25519).
    pub jwt_public_key_file: Option<PathBuf>,
    /// Tokens must come from this issuer (`iss`).
    pub issuer: Option<String>,
    /// Tokens must be meant for this audience (`aud`).
    pub audience: Option<String>,
    /// Keys of back ends that may do everything on the public listener; from the environment only, split by commas.
    pub api_keys: Vec<Secret>,
    /// A file with such keys, one a line.
    pub api_keys_file: Option<PathBuf>,
    /// Keys that the admin listener asks for; from the environment only, split by commas.
    pub admin_keys: Vec<Secret>,
    /// A file with such keys, one a line.
    pub admin_keys_file: Option<PathBuf>,
    /// The text of `jwt_public_key_file`, once read.
    #[serde(skip)]
    pub jwt_public_key: Option<String>,
}

impl AuthSettings {
    /// Whether nobody has to say who they are.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.jwt_secret.is_none() && self.jwt_public_key.is_none() && self.api_keys.is_empty()
    }
}

/// `[limits]`: rates per second; 0 switches a limit off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitSettings {
    /// REST calls and new sockets of everybody together.
    pub global_per_s: u32,
    /// REST calls and new sockets of one address.
    pub ip_per_s: u32,
    /// The same of one address that is not this machine's own, where `ip_per_s` is off.
    pub remote_ip_per_s: u32,
    /// REST calls for one user, and new sockets of one user.
    pub user_per_s: u32,
    /// REST calls with one API key.
    pub key_per_s: u32,
    /// REST calls of one address at a time, those included whose bodies are still coming.
    pub ip_in_flight: u32,
    /// The same with one viewer's token.
    pub user_in_flight: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            global_per_s: 0,
            ip_per_s: 0,
            remote_ip_per_s: 1_000,
            user_per_s: 1_000,
            key_per_s: 0,
            ip_in_flight: 2_048,
            user_in_flight: 64,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`: what is logged, and how. Logs go to standard error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,swipeline=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// `[model]`: the ranking model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModelSettings {
    /// An ONNX file to rank with instead of the bundled model.
    pub path: Option<PathBuf>,
}

/// `[gorse]`: the door for gorse's clients, `/api/...` on the public listener.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GorseSettings {
    /// Whether it is open.
    pub enabled: bool,
    /// The key that clients send as `X-API-Key`; without one nobody needs any. From the environment only.
    pub api_key: Option<Secret>,
    /// A file with that key.
    pub api_key_file: Option<PathBuf>,
    /// Feedback that is a like: types, each perhaps with a bound on the value (`star>=4`).
    pub positive_feedback_types: Vec<String>,
    /// Feedback that says that something was seen.
    pub read_feedback_types: Vec<String>,
    /// Feedback that is a dislike.
    pub negative_feedback_types: Vec<String>,
    /// The most feedbacks that are kept.
    pub feedback_max: usize,
}

impl Default for GorseSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            api_key: None,
            api_key_file: None,
            positive_feedback_types: Vec::new(),
            read_feedback_types: vec!["read".to_owned()],
            negative_feedback_types: Vec::new(),
            feedback_max: 5_000_000,
        }
    }
}

impl GorseSettings {
    /// What feedback means.
    pub(crate) fn rules(&self) -> anyhow::Result<FeedbackRules> {
        FeedbackRules::parse(
            &self.positive_feedback_types,
            &self.read_feedback_types,
            &self.negative_feedback_types,
        )
        .map_err(anyhow::Error::msg)
    }
}

/// `[[webhooks]]`: an address that accepted events are posted to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address, `http://...`.
    pub url: String,
    /// The types of events; `events`, or none named, for all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What bodies are signed with.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// A file with it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// Every unknown key and every impossible value, each by its name.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        load::load(sources)
    }

    /// The effective settings as TOML; secrets are masked.
    ///
    /// # Errors
    /// When a value has no TOML form (a path that is not UTF-8).
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
