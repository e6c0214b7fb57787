//! Reads the merged layers key by key, so that one bad value does not hide the next.

use std::collections::BTreeSet;

use config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::load::{ConfigError, ENV_PREFIX, ENV_SEPARATOR};
use super::{Durability, LogFormat, Secret, Settings, secrets};

/// Keys that may come from the environment only.
const SECRET_KEYS: [&str; 4] = ["auth.jwt_secret", "auth.api_keys", "auth.admin_keys", "gorse.api_key"];

/// Reads key by key, so that one bad value does not hide the next.
pub(super) struct Reader {
    config: Config,
    pub(super) errors: Vec<ConfigError>,
    known: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            errors: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// Lays what the layers say over the defaults.
    pub(super) fn read_all(&mut self, settings: &mut Settings) {
        let server = &mut settings.server;
        self.value("server.listen", &mut server.listen);
        self.value("server.admin_listen", &mut server.admin_listen);
        self.value("server.workers", &mut server.workers);
        self.value("server.max_connections", &mut server.max_connections);
        self.value("server.max_in_flight", &mut server.max_in_flight);
        self.value("server.body_bytes_max", &mut server.body_bytes_max);
        self.value("server.request_timeout_ms", &mut server.request_timeout_ms);
        self.value("server.body_timeout_ms", &mut server.body_timeout_ms);
        self.value("server.body_bytes_per_s_min", &mut server.body_bytes_per_s_min);
        self.value("server.bodies_bytes_max", &mut server.bodies_bytes_max);
        self.value("server.keep_alive_ms", &mut server.keep_alive_ms);
        self.value("server.shutdown_timeout_ms", &mut server.shutdown_timeout_ms);
        self.list("server.hosts", &mut server.hosts);
        self.list("server.allowed_origins", &mut server.allowed_origins);
        self.list("server.trusted_proxies", &mut server.trusted_proxies);
        self.value("server.insecure_open", &mut server.insecure_open);
        let ws = &mut settings.ws;
        self.value("ws.ping_ms", &mut ws.ping_ms);
        self.value("ws.hello_timeout_ms", &mut ws.hello_timeout_ms);
        self.value("ws.write_timeout_ms", &mut ws.write_timeout_ms);
        self.value("ws.errors_max", &mut ws.errors_max);
        self.list("ws.allowed_origins", &mut ws.allowed_origins);
        self.value("data.dir", &mut settings.data.dir);
        self.choice(
            "data.durability",
            &mut settings.data.durability,
            &[("process", Durability::Process), ("fsync", Durability::Fsync)],
        );
        self.value("data.checkpoint_interval_ms", &mut settings.data.checkpoint_interval_ms);
        self.value("data.journal_keep_bytes", &mut settings.data.journal_keep_bytes);
        self.value("data.served_log_percent", &mut settings.data.served_log_percent);
        self.value("data.served_log_bytes_max", &mut settings.data.served_log_bytes_max);
        self.value("data.free_bytes_min", &mut settings.data.free_bytes_min);
        self.value("data.accept_loss", &mut settings.data.accept_loss);
        self.value("sessions.idle_ms", &mut settings.sessions.idle_ms);
        self.value("sessions.max", &mut settings.sessions.max);
        self.value("sessions.bytes_max", &mut settings.sessions.bytes_max);
        self.value("sessions.stranger_ttl_ms", &mut settings.sessions.stranger_ttl_ms);
        self.value("sessions.arbiters", &mut settings.sessions.arbiters);
        self.value("index.dimension", &mut settings.index.dimension);
        self.value("index.exact_items_max", &mut settings.index.exact_items_max);
        self.read_auth(settings);
        let limits = &mut settings.limits;
        self.value("limits.global_per_s", &mut limits.global_per_s);
        self.value("limits.ip_per_s", &mut limits.ip_per_s);
        self.value("limits.remote_ip_per_s", &mut limits.remote_ip_per_s);
        self.value("limits.user_per_s", &mut limits.user_per_s);
        self.value("limits.key_per_s", &mut limits.key_per_s);
        self.value("limits.ip_in_flight", &mut limits.ip_in_flight);
        self.value("limits.user_in_flight", &mut limits.user_in_flight);
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        self.choice("log.format", &mut settings.log.format, &formats);
        self.value("log.level", &mut settings.log.level);
        self.optional("model.path", &mut settings.model.path);
        self.read_gorse(settings);
        self.read_webhooks(settings);
    }

    /// A TOML array of tables or, from the environment, a JSON array.
    fn read_webhooks(&mut self, settings: &mut Settings) {
        let key = "webhooks";
        self.known.insert(key);
        let read = match self.config.get::<Value>(key).map(|value| value.kind) {
            Err(config::ConfigError::NotFound(_)) => return,
            Ok(ValueKind::String(text)) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            Ok(_) => self.config.get(key).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(webhooks) => settings.webhooks = webhooks,
            Err(detail) => self.report(key, detail),
        }
    }

    fn read_gorse(&mut self, settings: &mut Settings) {
        let gorse = &mut settings.gorse;
        self.value("gorse.enabled", &mut gorse.enabled);
        let mut key: Option<String> = None;
        self.optional("gorse.api_key", &mut key);
        // gorse takes an empty key for none.
        gorse.api_key = key.filter(|key| !key.is_empty()).map(Secret::new);
        self.optional("gorse.api_key_file", &mut gorse.api_key_file);
        self.list("gorse.positive_feedback_types", &mut gorse.positive_feedback_types);
        self.list("gorse.read_feedback_types", &mut gorse.read_feedback_types);
        self.list("gorse.negative_feedback_types", &mut gorse.negative_feedback_types);
        self.value("gorse.feedback_max", &mut gorse.feedback_max);
    }

    fn read_auth(&mut self, settings: &mut Settings) {
        let auth = &mut settings.auth;
        let mut secret: Option<String> = None;
        self.optional("auth.jwt_secret", &mut secret);
        auth.jwt_secret = secret.map(Secret::new);
        self.optional("auth.jwt_secret_file", &mut auth.jwt_secret_file);
        self.optional("auth.jwt_public_key_file", &mut auth.jwt_public_key_file);
        self.optional("auth.issuer", &mut auth.issuer);
        self.optional("auth.audience", &mut auth.audience);
        let mut keys = Vec::new();
        self.list("auth.api_keys", &mut keys);
        auth.api_keys = keys.drain(..).map(Secret::new).collect();
        self.optional("auth.api_keys_file", &mut auth.api_keys_file);
        self.list("auth.admin_keys", &mut keys);
        auth.admin_keys = keys.drain(..).map(Secret::new).collect();
        self.optional("auth.admin_keys_file", &mut auth.admin_keys_file);
    }

    /// Replaces the default by what a layer says.
    fn value<T: DeserializeOwned>(&mut self, key: &'static str, target: &mut T) {
        self.known.insert(key);
        match self.config.get::<T>(key) {
            Ok(value) => *target = value,
            Err(config::ConfigError::NotFound(_)) => {}
            Err(error) => self.report(key, error.to_string()),
        }
    }

    fn optional<T: DeserializeOwned>(&mut self, key: &'static str, target: &mut Option<T>) {
        self.known.insert(key);
        match self.config.get::<T>(key) {
            Ok(value) => *target = Some(value),
            Err(config::ConfigError::NotFound(_)) => {}
            Err(error) => self.report(key, error.to_string()),
        }
    }

    /// A list is a TOML array or, from the environment, texts split by commas.
    fn list(&mut self, key: &'static str, target: &mut Vec<String>) {
        self.known.insert(key);
        match self.config.get::<Value>(key).map(|value| value.kind) {
            Ok(ValueKind::String(text)) => {
                *target = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            Ok(_) => self.value(key, target),
            Err(config::ConfigError::NotFound(_)) => {}
            Err(error) => self.report(key, error.to_string()),
        }
    }

    fn choice<T: Copy>(&mut self, key: &'static str, target: &mut T, choices: &[(&str, T)]) {
        let mut text: Option<String> = None;
        self.optional(key, &mut text);
        let Some(text) = text else { return };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => *target = *value,
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                self.report(key, format!("must be one of {}, is {text:?}", names.join(", ")));
            }
        }
    }

    fn report(&mut self, key: &str, detail: impl Into<String>) {
        self.errors.push(ConfigError {
            key: key.to_owned(),
            detail: detail.into(),
        });
    }

    pub(super) fn report_unknown(&mut self) {
        let mut given = Vec::new();
        leaves("", &self.config.cache, &mut given);
        for (key, origin) in given {
            let is_known_section = key.ends_with('.') && self.known.iter().any(|known| known.starts_with(&key));
            if is_known_section || self.known.contains(key.as_str()) {
                continue;
            }
            let key = key.trim_end_matches('.');
            let section = key.split_once('.').map_or(key, |(section, _)| section);
            let prefix = format!("{section}.");
            let siblings: Vec<&str> = self
                .known
                .iter()
                .filter_map(|known| known.strip_prefix(&prefix))
                .collect();
            let hint = if siblings.is_empty() {
                let sections: BTreeSet<&str> = self
                    .known
                    .iter()
                    .filter_map(|known| Some(known.split_once('.')?.0))
                    .collect();
                format!(
                    "the sections are {}",
                    sections.into_iter().collect::<Vec<_>>().join(", ")
                )
            } else {
                format!("[{section}] has {}", siblings.join(", "))
            };
            let origin = origin.map_or_else(String::new, |origin| format!(" ({origin})"));
            self.report(key, format!("unknown key{origin}; {hint}"));
        }
    }

    pub(super) fn report_secrets_in_file(&mut self, text: &str) {
        let Ok(file) = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build()
        else {
            return;
        };
        for key in SECRET_KEYS {
            if file.get::<Value>(key).is_ok() {
                let variable = format!(
                    "{ENV_PREFIX}{ENV_SEPARATOR}{}",
                    key.replace('.', ENV_SEPARATOR).to_uppercase()
                );
                self.report(
                    key,
                    format!("a secret must not stand in the file; use {variable} or {key}_file"),
                );
            }
        }
    }

    pub(super) fn read_secret_files(&mut self, settings: &mut Settings) {
        let auth = &mut settings.auth;
        if let Some(path) = &auth.jwt_secret_file {
            match secrets::read_file(path) {
                Ok(_) if auth.jwt_secret.is_some() => {
                    self.report("auth.jwt_secret_file", "give either this or auth.jwt_secret, not both");
                }
                Ok(text) => auth.jwt_secret = Some(Secret::new(text)),
                Err(detail) => self.report("auth.jwt_secret_file", detail),
            }
        }
        for (place, webhook) in settings.webhooks.iter_mut().enumerate() {
            let Some(path) = &webhook.secret_file else { continue };
            let key = format!("webhooks[{place}].secret_file");
            match secrets::read_file(path) {
                Ok(_) if webhook.secret.is_some() => self.report(&key, "give either this or secret, not both"),
                Ok(text) => webhook.secret = Some(Secret::new(text)),
                Err(detail) => self.report(&key, detail),
            }
        }
        let gorse = &mut settings.gorse;
        if let Some(path) = &gorse.api_key_file {
            match secrets::read_file(path) {
                Ok(_) if gorse.api_key.is_some() => {
                    self.report("gorse.api_key_file", "give either this or gorse.api_key, not both");
                }
                Ok(text) => gorse.api_key = Some(Secret::new(text)),
                Err(detail) => self.report("gorse.api_key_file", detail),
            }
        }
        if let Some(path) = &auth.jwt_public_key_file {
            match secrets::read_file(path) {
                Ok(text) => auth.jwt_public_key = Some(text),
                Err(detail) => self.report("auth.jwt_public_key_file", detail),
            }
        }
        for (key, path, keys) in [
            ("auth.api_keys_file", &auth.api_keys_file, &mut auth.api_keys),
            ("auth.admin_keys_file", &auth.admin_keys_file, &mut auth.admin_keys),
        ] {
            match path.as_deref().map(secrets::read_keys) {
                Some(Ok(more)) => keys.extend(more),
                Some(Err(detail)) => self.errors.push(ConfigError {
                    key: key.to_owned(),
                    detail,
                }),
                None => {}
            }
        }
    }
}

/// All given keys with where they come from; an empty section is its name and a dot.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Option<String>)>) {
    if let ValueKind::Table(table) = &value.kind {
        if table.is_empty() && !path.is_empty() {
            found.push((format!("{path}."), value.origin().map(str::to_owned)));
        }
        for (key, value) in table {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            leaves(&path, value, found);
        }
        return;
    }
    found.push((path.to_owned(), value.origin().map(str::to_owned)));
}
