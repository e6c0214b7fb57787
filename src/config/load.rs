//! The layers of the configuration: defaults < TOML file < environment < flags.
//!
//! Every problem of every layer is collected, so that all of them are reported at once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};

use super::reader::Reader;
use super::{Settings, check};

/// What the names of environment variables start with.
pub(super) const ENV_PREFIX: &str = "SWIPELINE";
/// What stands between section and key in the name of an environment variable.
pub(super) const ENV_SEPARATOR: &str = "__";

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file; none when not given.
    pub file: Option<PathBuf>,
    /// The environment; variables that do not start with `SWIPELINE__` do not count.
    pub environment: HashMap<String, String>,
    /// Flags, by the key that they set.
    pub flags: BTreeMap<&'static str, String>,
}

impl Sources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: BTreeMap<&'static str, String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.to_uppercase().starts_with("SWIPELINE__"))
            .collect();
        Self {
            file,
            environment,
            flags,
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, such as `server.listen`.
    pub key: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the configuration has {} error(s):", self.0.len())?;
        for error in &self.0 {
            write!(formatter, "\n  {}: {}", error.key, error.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

pub(super) fn load(sources: &Sources) -> Result<Settings, ConfigErrors> {
    let file = match &sources.file {
        Some(path) => Some(read_file(path)?),
        None => None,
    };
    let mut reader = Reader::new(merge(file.as_deref(), sources)?);
    let mut settings = Settings::default();
    reader.read_all(&mut settings);
    reader.report_unknown();
    if let Some(text) = &file {
        reader.report_secrets_in_file(text);
    }
    reader.read_secret_files(&mut settings);
    let mut errors = reader.errors;
    check::check(&settings, &mut errors);
    if errors.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigErrors(errors))
    }
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    std::fs::read_to_string(path).map_err(|error| {
        ConfigErrors(vec![ConfigError {
            key: "--config".to_owned(),
            detail: format!("cannot read {}: {error}", path.display()),
        }])
    })
}

fn merge(file: Option<&str>, sources: &Sources) -> Result<Config, ConfigErrors> {
    let mut builder = Config::builder();
    if let Some(text) = file {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    builder = builder.add_source(
        Environment::with_prefix(ENV_PREFIX)
            .prefix_separator(ENV_SEPARATOR)
            .separator(ENV_SEPARATOR)
            .source(Some(sources.environment.clone())),
    );
    let malformed = |error: config::ConfigError| {
        let path = sources
            .file
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string());
        ConfigErrors(vec![ConfigError {
            key: "--config".to_owned(),
            detail: format!("{path}: {error}"),
        }])
    };
    for (key, value) in &sources.flags {
        builder = builder.set_override(*key, value.as_str()).map_err(malformed)?;
    }
    builder.build().map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn load_from(toml: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, String> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("swipeline.toml");
        std::fs::write(&path, toml).expect("file");
        let sources = Sources {
            file: Some(path),
            environment: environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        };
        Settings::load(&sources).map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        assert_eq!(Settings::load(&Sources::default()), Ok(Settings::default()));
    }

    #[test]
    fn a_later_layer_wins() {
        let toml = "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 3\nmax_in_flight = 7\n";
        let environment = [
            ("SWIPELINE__SERVER__LISTEN", "127.0.0.1:2"),
            ("SWIPELINE__SERVER__WORKERS", "4"),
        ];
        let settings = load_from(toml, &environment, &[("server.listen", "127.0.0.1:3")]).expect("valid");
        assert_eq!(settings.server.listen, "127.0.0.1:3");
        assert_eq!(settings.server.workers, 4);
        assert_eq!(settings.server.max_in_flight, 7);
    }

    #[test]
    fn every_error_is_reported_with_its_key() {
        let toml = "[server]\nlisten = \"nowhere\"\nworkers = \"many\"\nlisten_addres = \"x\"\n[sesions]\nmax = 1\n[authh]\n\
                    [data]\ndurability = \"maybe\"\n[index]\ndimension = -3\n[log]\nlevel = \"=[\"\n";
        let environment = [
            ("SWIPELINE__LIMITS__IP_PER_SECOND", "5"),
            ("SWIPELINE__SERVER__MAX_IN_FLIGHT", "0"),
        ];
        let text = load_from(toml, &environment, &[]).expect_err("bad");
        for key in [
            "server.listen:",
            "server.workers:",
            "server.listen_addres:",
            "sesions.max:",
            "authh:",
            "data.durability:",
            "index.dimension:",
            "log.level:",
            "limits.ip_per_second:",
            "server.max_in_flight:",
        ] {
            assert!(text.contains(&format!("\n  {key}")), "{key} is missing in {text}");
        }
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_never_printed() {
        let text = load_from("[auth]\njwt_secret = \"topsecret\"\n", &[], &[]).expect_err("bad");
        assert!(
            text.contains("auth.jwt_secret") && text.contains("SWIPELINE__AUTH__JWT_SECRET"),
            "{text}"
        );
        let environment = [
            ("SWIPELINE__AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("SWIPELINE__AUTH__API_KEYS", "a-key, b-key"),
        ];
        let settings = load_from("", &environment, &[]).expect("valid");
        assert_eq!(
            settings.auth.jwt_secret.as_ref().map(Secret::expose),
            Some("0123456789abcdef0123456789abcdef")
        );
        assert_eq!(settings.auth.api_keys.len(), 2);
        let shown = settings.to_toml().expect("TOML");
        assert!(
            !shown.contains("0123456789") && !shown.contains("a-key") && shown.contains("***"),
            "{shown}"
        );
    }

    #[test]
    fn a_short_secret_is_refused_and_not_printed() {
        let text = load_from("", &[("SWIPELINE__AUTH__JWT_SECRET", "topsecret")], &[]).expect_err("bad");
        assert!(
            text.contains("auth.jwt_secret: must have at least 32 bytes, has 9"),
            "{text}"
        );
        assert!(!text.contains("topsecret"), "{text}");
    }

    #[test]
    fn secrets_come_from_files() {
        let dir = tempfile::tempdir().expect("temp dir");
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "hush-hush-hush-hush-hush-hush-hush\n").expect("file");
        let keys = dir.path().join("keys");
        std::fs::write(&keys, "# back ends\nkey-1\n\nkey-2\n").expect("file");
        let environment = [
            ("SWIPELINE__AUTH__JWT_SECRET_FILE", secret.to_str().expect("UTF-8")),
            ("SWIPELINE__AUTH__API_KEYS_FILE", keys.to_str().expect("UTF-8")),
        ];
        let settings = load_from("", &environment, &[]).expect("valid");
        assert_eq!(
            settings.auth.jwt_secret.as_ref().map(Secret::expose),
            Some("hush-hush-hush-hush-hush-hush-hush")
        );
        assert_eq!(settings.auth.api_keys, vec![Secret::new("key-1"), Secret::new("key-2")]);
        let missing = [("SWIPELINE__AUTH__JWT_SECRET_FILE", "/nowhere/at/all")];
        assert!(
            load_from("", &missing, &[])
                .expect_err("bad")
                .contains("auth.jwt_secret_file")
        );
    }

    #[test]
    fn broken_toml_names_the_file_and_the_line() {
        let text = load_from("[server\nlisten = 1", &[], &[]).expect_err("bad");
        assert!(text.contains("swipeline.toml") && text.contains("line 1"), "{text}");
    }
}
