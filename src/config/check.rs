//! Which values make sense. Reports all that do not.

use swipeline_models::event::Signal;
use swipeline_models::item::EMBEDDING_DIM_MAX;
use tracing_subscriber::EnvFilter;

use super::{ConfigError, Settings};
use crate::authority::{Network, parse_authority};
use crate::gorse::rules::Expression;

/// The most threads of one kind.
const THREADS_MAX: usize = 1_024;
/// The most bytes that a body limit may allow: 1 GiB.
const BODY_BYTES_LIMIT: usize = 1 << 30;
/// The most bytes of all bodies that a limit may allow: 64 GiB.
const BODIES_BYTES_LIMIT: usize = 64 << 30;
/// The fastest rate that a body may be asked to keep, in bytes per second: 100 MiB.
const BODY_RATE_MAX: u64 = 100 << 20;
/// The most bytes of journal that may be kept: 1 TiB.
const JOURNAL_BYTES_LIMIT: u64 = 1 << 40;
/// A smaller served log would forget faster than it could be trained from: 1 MiB.
const SERVED_LOG_BYTES_MIN: u64 = 1 << 20;
/// The longest duration: one day.
const DURATION_MS_MAX: u64 = 86_400_000;
/// Less memory for sessions would refuse viewers who are there: 16 MiB.
const SESSIONS_BYTES_MIN: usize = 16 << 20;
/// The longest time that strangers are remembered: ten years.
const TTL_MS_MAX: u64 = 3_650 * DURATION_MS_MAX;
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
    checks.between("server.body_timeout_ms", server.body_timeout_ms, 100, DURATION_MS_MAX);
    checks.between(
        "server.body_bytes_per_s_min",
        server.body_bytes_per_s_min,
        0,
        BODY_RATE_MAX,
    );
    checks.between(
        "server.bodies_bytes_max",
        server.bodies_bytes_max,
        server.body_bytes_max,
        BODIES_BYTES_LIMIT,
    );
    for host in &server.hosts {
        if host != "*" && parse_authority(host).is_none() {
            checks.fail("server.hosts", format!("{host:?} is not a name such as feed.example"));
        }
    }
    checks.origins("server.allowed_origins", &server.allowed_origins);
    for proxy in &server.trusted_proxies {
        if Network::parse(proxy).is_none() {
            checks.fail(
                "server.trusted_proxies",
                format!("{proxy:?} is not an address or a network such as 10.0.0.0/8"),
            );
        }
    }
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
    checks.origins("ws.allowed_origins", &ws.allowed_origins);
    let gorse = &settings.gorse;
    for (key, list) in [
        ("gorse.positive_feedback_types", &gorse.positive_feedback_types),
        ("gorse.read_feedback_types", &gorse.read_feedback_types),
        ("gorse.negative_feedback_types", &gorse.negative_feedback_types),
    ] {
        for problem in list.iter().filter_map(|text| Expression::parse(text).err()) {
            checks.fail(key, problem);
        }
    }
    for (place, webhook) in settings.webhooks.iter().enumerate() {
        let is_address = webhook
            .url
            .parse::<reqwest::Url>()
            .is_ok_and(|url| url.scheme() == "http");
        if !is_address {
            let detail = format!(
                "must be an address such as http://127.0.0.1:9000/hook, is {:?}; TLS is for a proxy",
                webhook.url
            );
            checks.fail(&format!("webhooks[{place}].url"), detail);
        }
        let is_known = |kind: &&String| *kind == "events" || Signal::from_name(kind).is_some();
        if let Some(kind) = webhook.kinds.iter().find(|kind| !is_known(kind)) {
            let known = Signal::ALL.map(Signal::name).join(", ");
            checks.fail(
                &format!("webhooks[{place}].kinds"),
                format!("{kind:?} is none of events, {known}"),
            );
        }
    }
    checks.between("gorse.feedback_max", gorse.feedback_max, 1, 1_000_000_000);
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
    checks.between(
        "sessions.bytes_max",
        settings.sessions.bytes_max,
        SESSIONS_BYTES_MIN,
        usize::MAX,
    );
    checks.between(
        "sessions.stranger_ttl_ms",
        settings.sessions.stranger_ttl_ms,
        0,
        TTL_MS_MAX,
    );
    checks.between("sessions.arbiters", settings.sessions.arbiters, 1, THREADS_MAX);
    checks.between("index.dimension", settings.index.dimension, 0, EMBEDDING_DIM_MAX);
    checks.between("index.exact_items_max", settings.index.exact_items_max, 0, 100_000_000);
    check_auth(settings, &mut checks);
    let limits = &settings.limits;
    checks.between("limits.global_per_s", limits.global_per_s, 0, RATE_MAX);
    checks.between("limits.ip_per_s", limits.ip_per_s, 0, RATE_MAX);
    checks.between("limits.remote_ip_per_s", limits.remote_ip_per_s, 0, RATE_MAX);
    checks.between("limits.ip_in_flight", limits.ip_in_flight, 0, RATE_MAX);
    checks.between("limits.user_in_flight", limits.user_in_flight, 0, RATE_MAX);
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
    if let Some(secret) = &auth.jwt_secret
        && let Err(detail) = crate::auth::check_secret(secret)
    {
        let from_file = auth.jwt_secret_file.is_some();
        let key = if from_file {
            "auth.jwt_secret_file"
        } else {
            "auth.jwt_secret"
        };
        checks.fail(key, detail);
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

    fn origins(&mut self, key: &str, origins: &[String]) {
        for origin in origins
            .iter()
            .filter(|origin| *origin != "*" && !origin.contains("://"))
        {
            self.fail(key, format!("{origin:?} is not an origin such as https://app.example"));
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
