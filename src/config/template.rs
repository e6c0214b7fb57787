//! The commented file that `swipeline config init` writes.

use super::{AuthSettings, Settings};

/// What stands above each key, in the order of the sections.
const NOTES: [(&str, &str); 62] = [
    (
        "server.listen",
        "Public address: REST, WebSocket, documentation. Port 0 lets the system choose.",
    ),
    (
        "server.admin_listen",
        "For operators: metrics, parameters, model. Keep it away from the internet.",
    ),
    (
        "server.workers",
        "Threads that serve connections; one per core when left out.",
    ),
    ("server.max_connections", "The most connections at a time."),
    (
        "server.max_in_flight",
        "The most REST calls in work at a time; more are answered 503.",
    ),
    (
        "server.body_bytes_max",
        "The most bytes of a body; more are answered 413.",
    ),
    (
        "server.request_timeout_ms",
        "How long a connection may take to send a request's head; a body must make headway in that time.",
    ),
    ("server.body_timeout_ms", "How long a whole body may take."),
    (
        "server.body_bytes_per_s_min",
        "A body that comes slower than this for request_timeout_ms is given up (408).",
    ),
    (
        "server.bodies_bytes_max",
        "The most bytes of all bodies in memory at a time; more are answered 503.",
    ),
    ("server.keep_alive_ms", "How long an idle connection is kept."),
    (
        "server.shutdown_timeout_ms",
        "How long a shutdown waits for calls and sockets.",
    ),
    (
        "server.hosts",
        "Names that the server is called by, such as [\"feed.example\"]; checked without keys, or when given.",
    ),
    (
        "server.allowed_origins",
        "Origins of pages that may call the API (CORS), such as [\"https://app.example\"]; \"*\" allows all.",
    ),
    (
        "server.trusted_proxies",
        "Proxies whose X-Forwarded-For is believed, such as [\"10.0.0.0/8\"].",
    ),
    (
        "server.insecure_open",
        "Whether the server may listen on a public address without keys (--insecure-open).",
    ),
    (
        "ws.ping_ms",
        "How often a socket is pinged; two unanswered pings close it.",
    ),
    (
        "ws.hello_timeout_ms",
        "How long a socket without a token may take to say hello.",
    ),
    (
        "ws.write_timeout_ms",
        "How long one write may take before the reader counts as too slow.",
    ),
    (
        "ws.errors_max",
        "After so many bad messages in a row a socket is closed.",
    ),
    (
        "ws.allowed_origins",
        "More origins that may open sockets, beside server.allowed_origins, the own host and loopback.",
    ),
    ("data.dir", "The data directory; made when it does not exist."),
    (
        "data.durability",
        "process: an acknowledged event survives kill -9. fsync: power loss as well.",
    ),
    ("data.checkpoint_interval_ms", "The time between two checkpoints."),
    (
        "data.journal_keep_bytes",
        "Up to so many bytes the journal is kept although checkpoints include it (for export).",
    ),
    (
        "data.served_log_percent",
        "For so many of 100 viewers, what they are served is logged for training; 0: nobody.",
    ),
    (
        "data.served_log_bytes_max",
        "The most bytes of that log; the oldest part goes.",
    ),
    (
        "data.free_bytes_min",
        "With less free space on the disk writes are refused, for feeds to go on; 0: never.",
    ),
    (
        "data.accept_loss",
        "For one start: go on although neither snapshots nor journal say how everything was.",
    ),
    (
        "sessions.idle_ms",
        "A session without sockets and requests for so long is put to sleep.",
    ),
    ("sessions.max", "The most active sessions."),
    (
        "sessions.bytes_max",
        "The most bytes that active sessions hold; half of the machine's memory when left out.",
    ),
    (
        "sessions.stranger_ttl_ms",
        "Viewers who only looked are forgotten after so long; 0: never.",
    ),
    (
        "sessions.arbiters",
        "Threads that sessions are spread over; one per core when left out.",
    ),
    (
        "index.dimension",
        "The embedding dimension; 0: fixed by the first embedding.",
    ),
    (
        "index.exact_items_max",
        "Up to so many items the exact scan serves, above it the graph index.",
    ),
    (
        "auth.jwt_secret",
        "Shared secret of viewers' tokens. Only from SWIPELINE__AUTH__JWT_SECRET or:",
    ),
    ("auth.jwt_secret_file", "A file with the shared secret."),
    (
        "auth.jwt_public_key_file",
        "A PEM file with the public key of viewers' tokens.",
    ),
    ("auth.issuer", "Tokens must come from this issuer."),
    ("auth.audience", "Tokens must be meant for this audience."),
    (
        "auth.api_keys",
        "Keys of back ends. Only from SWIPELINE__AUTH__API_KEYS (split by commas) or:",
    ),
    ("auth.api_keys_file", "A file with keys of back ends, one a line."),
    (
        "auth.admin_keys",
        "Keys for the admin listener. Only from SWIPELINE__AUTH__ADMIN_KEYS or:",
    ),
    (
        "auth.admin_keys_file",
        "A file with keys for the admin listener, one a line.",
    ),
    (
        "limits.global_per_s",
        "REST calls and new sockets of everybody together, per second; 0: no limit.",
    ),
    ("limits.ip_per_s", "The same of one address; 0: no limit."),
    (
        "limits.remote_ip_per_s",
        "The same of one address that is not loopback, where ip_per_s is 0.",
    ),
    (
        "limits.user_per_s",
        "REST calls for one user and new sockets of one user, per second; 0: no limit.",
    ),
    (
        "limits.key_per_s",
        "REST calls with one API key, per second; 0: no limit.",
    ),
    (
        "limits.ip_in_flight",
        "REST calls of one address at a time, with those whose bodies still come; 0: no limit.",
    ),
    (
        "limits.user_in_flight",
        "The same with one viewer's token; 0: no limit.",
    ),
    ("log.format", "text or json."),
    (
        "log.level",
        "error, warn, info, debug, trace, or a filter such as \"info,swipeline=debug\".",
    ),
    ("model.path", "An ONNX file to rank with instead of the bundled model."),
    (
        "gorse.enabled",
        "Whether gorse's clients are served: /api/... on the public listener.",
    ),
    (
        "gorse.api_key",
        "The key that they send as X-API-Key; from the environment only: SWIPELINE__GORSE__API_KEY",
    ),
    ("gorse.api_key_file", "A file with that key."),
    (
        "gorse.positive_feedback_types",
        "Feedback that is a like, such as [\"star>=4\", \"like\"].",
    ),
    (
        "gorse.read_feedback_types",
        "Feedback that says that something was seen.",
    ),
    (
        "gorse.negative_feedback_types",
        "Feedback that is a dislike, such as [\"star<3\"].",
    ),
    (
        "gorse.feedback_max",
        "The most feedbacks that are kept, in memory and in the data directory; more are refused.",
    ),
];

/// Keys whose default depends on the machine; shown, but commented out.
const MACHINE_KEYS: [&str; 3] = ["server.workers", "sessions.arbiters", "sessions.bytes_max"];

/// The defaults as a TOML file with a comment on every key.
#[must_use]
pub fn template() -> String {
    let defaults = toml::Value::try_from(Settings {
        auth: AuthSettings::default(),
        ..Settings::default()
    })
    .unwrap_or_else(|_| toml::Value::Table(toml::Table::new()));
    let mut text = String::from(
        "# Swipeline configuration. Every key may also come from the environment: SWIPELINE__SECTION__KEY.\n\
         # Times are in milliseconds. Check a file with: swipeline config check --config FILE\n",
    );
    let mut open_section = "";
    for (key, note) in NOTES {
        let Some((section, name)) = key.split_once('.') else {
            continue;
        };
        if section != open_section {
            text.push_str(&format!("\n[{section}]\n"));
            open_section = section;
        }
        text.push_str(&format!("# {note}\n"));
        let value = defaults.get(section).and_then(|section| section.get(name));
        let secret = ["jwt_secret", "api_keys", "admin_keys", "api_key"].contains(&name);
        match value {
            _ if secret => {}
            Some(value) if MACHINE_KEYS.contains(&key) => text.push_str(&format!("# {name} = {value}\n")),
            Some(value) => text.push_str(&format!("{name} = {value}\n")),
            None => text.push_str(&format!("# {name} = \"...\"\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_template_is_valid_and_says_the_defaults() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("swipeline.toml");
        std::fs::write(&path, template()).expect("file");
        let settings = Settings::load(&Sources {
            file: Some(path),
            ..Sources::default()
        });
        assert_eq!(settings, Ok(Settings::default()));
    }

    #[test]
    fn the_template_and_the_manual_name_every_key() {
        let manual = include_str!("../../docs/configuration.md");
        let defaults = toml::Value::try_from(Settings::default()).expect("TOML");
        let sections = defaults.as_table().expect("a table");
        for (section, keys) in sections {
            for name in keys.as_table().expect("a section").keys() {
                let key = format!("{section}.{name}");
                assert!(NOTES.iter().any(|(known, _)| *known == key), "{key} has no note");
            }
        }
        for (key, _) in NOTES {
            assert!(
                manual.contains(&format!("`{key}`")),
                "{key} is missing in docs/configuration.md"
            );
        }
    }
}
