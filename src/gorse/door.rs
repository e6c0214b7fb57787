//! What the calls of gorse's clients share: the key, the rules, the book of feedbacks.
//!
//! Owns who may come in. Must not know the routes.

use std::path::Path;
use std::sync::OnceLock;

use actix_web::http::header::HeaderMap;

use super::ledger::{Ledger, LedgerError};
use super::rules::FeedbackRules;
use crate::auth::find_key;
use crate::config::{GorseSettings, Secret};

/// The folder of the feedbacks in a data directory.
const FOLDER: &str = "gorse";
/// The header with a client's key.
const KEY_HEADER: &str = "x-api-key";

/// The open door.
pub(crate) struct Door {
    key: Option<Secret>,
    /// What feedback means.
    pub(super) rules: FeedbackRules,
    feedback_max: usize,
    /// Empty while the engine recovers.
    ledger: OnceLock<Ledger>,
}

impl Door {
    /// A door as the settings say; `None` when it is to stay closed. The rules have been checked with the configuration.
    pub(crate) fn of(settings: &GorseSettings) -> Option<Self> {
        settings.enabled.then(|| Self {
            key: settings.api_key.clone(),
            rules: settings.rules().unwrap_or_default(),
            feedback_max: settings.feedback_max,
            ledger: OnceLock::new(),
        })
    }

    /// Opens the book of feedbacks; the data directory must be this process's own by now.
    ///
    /// # Errors
    /// Its file cannot be read or written.
    pub(crate) fn open(&self, data_dir: &Path, is_synced: bool) -> Result<(), LedgerError> {
        let ledger = Ledger::open(&data_dir.join(FOLDER), is_synced, self.feedback_max)?;
        // A second opening would be of the same file; the first one stays.
        let _ = self.ledger.set(ledger);
        Ok(())
    }

    /// The book, once it is open.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.get()
    }

    /// Whether a caller has the key, if there is one.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.key else { return true };
        let given = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
        find_key(std::slice::from_ref(key), given.unwrap_or_default()).is_some()
    }
}
