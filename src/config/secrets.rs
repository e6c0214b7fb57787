//! Secrets: values that must not be printed, and the files they come from.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

/// The most bytes of a secret's file.
const SECRET_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; only for comparing and signing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Reads a secret's file; line ends around the text are cut.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let length = std::fs::metadata(path)
        .map_err(|error| format!("cannot read {shown}: {error}"))?
        .len();
    if length > SECRET_FILE_BYTES_MAX {
        return Err(format!("{shown} has more than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = text.trim_matches(['\r', '\n']).to_owned();
    if text.trim().is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(text)
}

/// The keys of a file, one a line; empty lines and lines that start with `#` do not count.
pub(super) fn read_keys(path: &Path) -> Result<Vec<Secret>, String> {
    let keys: Vec<Secret> = read_file(path)?
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Secret::new)
        .collect();
    if keys.is_empty() {
        return Err(format!("{} has no keys", path.display()));
    }
    Ok(keys)
}
