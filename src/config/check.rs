//! Which values make sense. Reports all that do not.

use swipeline_models::item::EMBEDDING_DIM_MAX;
use tracing_subscriber::EnvFilter;

use super::{ConfigError, Settings};

/// The most threads of one kind.
const THREADS_MAX: usize = 1_024;
/// The most bytes that a body limit may allow: 1 GiB.
const BODY_BYTES_LIMIT: usize = 1 << 30;
/// The most bytes of journal that may be kept: 1 TiB.
const JOURNAL_BYTES_LIMIT: u64 = 1 << 40;
/// A smaller served log would forget faster than it could be trained from: 1 MiB.
const SERVED_LOG_BYTES_MIN: u64 = 1 << 20;
/// The longest duration: one day.
const DURATION_MS_MAX: u64 = 86_400_000;
/// The fastest rate per second; above it a limit is not a limit.
const RATE_MAX: u32 = 10_000_000;

pub(super) fn check(settings: &Settings, errors: &mut Vec<ConfigError>) {
    let mut checks = Checks { errors };
    let server = &settings.server;
    checks.address("server.listen", &server.listen);
    checks.address("server.admin_listen", &server.admin_listen);
    if server.listen == server.admin_listen && !server.listen.ends_with(":0") {
        checks.fail(
            "server.admin_listen",
            format!("must differ from server.listen, both are {}", server.listen),
        );
    }
    checks.between("server.workers", server.workers, 1, THREADS_MAX);
    checks.between("server.max_connections", server.max_connections, 1, 10_000_000);
    checks.between("server.max_in_flight", server.max_in_flight, 1, 1_000_000);
    checks.between("server.body_bytes_max", server.body_bytes_max, 1_024, BODY_BYTES_LIMIT);
    checks.between(
        "server.request_timeout_ms",
        server.request_timeout_ms,
        100,
        DURATION_MS_MAX,
    );
    checks.between("server.keep_alive_ms", server.keep_alive_ms, 100, DURATION_MS_MAX);
    checks.between(
        "server.shutdown_timeout_ms",
        server.shutdown_timeout_ms,
        100,
        DURATION_MS_MAX,
    );
    let ws = &settings.ws;
    checks.between("ws.ping_ms", ws.ping_ms, 100, DURATION_MS_MAX);
    checks.between("ws.hello_timeout_ms", ws.hello_timeout_ms, 100, DURATION_MS_MAX);
    checks.between("ws.write_timeout_ms", ws.write_timeout_ms, 100, DURATION_MS_MAX);
    checks.between("ws.errors_max", ws.errors_max, 1, 1_000_000);
    for origin in &ws.allowed_origins {
        if origin != "*" && !origin.contains("://") {
            checks.fail(
                "ws.allowed_origins",
                format!("{origin:?} is not an origin such as https://app.example"),
            );
        }
    }
    if settings.data.dir.as_os_str().is_empty() {
        checks.fail("data.dir", "must not be empty");
    }
    checks.between(
        "data.checkpoint_interval_ms",
        settings.data.checkpoint_interval_ms,
        100,
        DURATION_MS_MAX,
    );
    checks.between(
        "data.journal_keep_bytes",
        settings.data.journal_keep_bytes,
        0,
        JOURNAL_BYTES_LIMIT,
    );
    let served_log = (settings.data.served_log_percent, settings.data.served_log_bytes_max);
    checks.between("data.served_log_percent", served_log.0, 0, 100);
    checks.between(
        "data.served_log_bytes_max",
        served_log.1,
        SERVED_LOG_BYTES_MIN,
        JOURNAL_BYTES_LIMIT,
    );
    checks.between(
        "data.free_bytes_min",
        settings.data.free_bytes_min,
        0,
        JOURNAL_BYTES_LIMIT,
    );
    checks.between("sessions.idle_ms", settings.sessions.idle_ms, 100, DURATION_MS_MAX);
    checks.between("sessions.max", settings.sessions.max, 1, 100_000_000);
    checks.between("sessions.arbiters", settings.sessions.arbiters, 1, THREADS_MAX);
    checks.between("index.dimension", settings.index.dimension, 0, EMBEDDING_DIM_MAX);
    checks.between("index.exact_items_max", settings.index.exact_items_max, 0, 100_000_000);
    check_auth(settings, &mut checks);
    let limits = &settings.limits;
    checks.between("limits.global_per_s", limits.global_per_s, 0, RATE_MAX);
    checks.between("limits.ip_per_s", limits.ip_per_s, 0, RATE_MAX);
    checks.between("limits.user_per_s", limits.user_per_s, 0, RATE_MAX);
    checks.between("limits.key_per_s", limits.key_per_s, 0, RATE_MAX);
    if let Err(error) = EnvFilter::try_new(&settings.log.level) {
        checks.fail(
            "log.level",
            format!("{:?} is not a log filter: {error}", settings.log.level),
        );
    }
    if let Some(path) = &settings.model.path
        && !path.is_file()
    {
        checks.fail("model.path", format!("{} is not a file", path.display()));
    }
}

fn check_auth(settings: &Settings, checks: &mut Checks<'_>) {
    let auth = &settings.auth;
    if auth
        .jwt_secret
        .as_ref()
        .is_some_and(|secret| secret.expose().is_empty())
    {
        checks.fail("auth.jwt_secret", "must not be empty");
    }
    if auth.jwt_secret.is_some() && auth.jwt_public_key.is_some() {
        checks.fail("auth.jwt_public_key_file", "give either this or a JWT secret, not both");
    }
    if let Some(pem) = &auth.jwt_public_key
        && let Err(detail) = crate::auth::check_public_key(pem)
    {
        checks.fail("auth.jwt_public_key_file", detail);
    }
    let has_key = auth.jwt_secret.is_some() || auth.jwt_public_key.is_some();
    for (key, value) in [("auth.issuer", &auth.issuer), ("auth.audience", &auth.audience)] {
        if value.is_some() && !has_key {
            checks.fail(
                key,
                "has no effect without auth.jwt_secret, auth.jwt_secret_file or auth.jwt_public_key_file",
            );
        }
    }
}

struct Checks<'a> {
    errors: &'a mut Vec<ConfigError>,
}

impl Checks<'_> {
    fn fail(&mut self, key: &str, detail: impl Into<String>) {
        self.errors.push(ConfigError {
            key: key.to_owned(),
            detail: detail.into(),
        });
    }

    fn between<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            self.fail(key, format!("must be between {low} and {high}, is {value}"));
        }
    }

    /// `host:port`; the host is resolved only when the server starts.
    fn address(&mut self, key: &str, address: &str) {
        let port = address
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            self.fail(key, format!("must be host:port such as 127.0.0.1:8080, is {address:?}"));
        }
    }
}
