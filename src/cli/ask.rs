//! What the commands that ask a running server share: the address, the credential, tables.
//!
//! Owns how an answer looks on a terminal. Must not know which question is asked.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};

use crate::transfer::rest::{CREDENTIAL_VARIABLE, RestError, RestServer};

/// A running server, for every command that asks one.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server; its key comes from SWIPELINE_API_KEY
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "SWIPELINE_URL")]
    url: String,
}

impl ServerArgs {
    /// The server.
    pub(super) fn server(&self) -> Result<RestServer, RestError> {
        RestServer::new(
            &self.url,
            std::env::var(CREDENTIAL_VARIABLE).ok().filter(|key| !key.is_empty()),
        )
    }
}

/// An empty table with a header.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// A text from the server, safe for a terminal: control characters would be obeyed by it.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|symbol| if symbol.is_control() { '\u{fffd}' } else { symbol })
        .collect()
}

/// Texts with commas between them.
pub(super) fn joined<T: AsRef<str>>(texts: &[T]) -> String {
    texts
        .iter()
        .map(|text| plain(text.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Prints an answer as it came, indented.
///
/// # Errors
/// The answer cannot be written as JSON.
pub(super) fn print_json(answer: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_would_obey_is_printed() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(joined(&["a", "é"]), "a, é");
    }
}
