//! Whom the archive still has to forget: a small file that survives a crash between a deletion and its last rewritten
//! file. Owns the list; must not erase anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::ArchiveError;
use crate::files::write_atomically;

const FORGET_FILE: &str = "FORGET.json";
/// More may not wait at a time; a deletion beyond that is refused.
const WAITING_MAX: usize = 10_000;

/// Somebody whom the archive has to forget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Who.
    pub user: String,
    /// Everything in the journal up to here is about the user who went; later records are about whoever came back.
    pub up_to_seq: u64,
    /// When, milliseconds since 1970: what was served until then goes.
    pub at_ms: i64,
}

/// Those who wait to be forgotten.
pub struct ForgetList {
    path: PathBuf,
    waiting: Mutex<Vec<Forgotten>>,
}

impl ForgetList {
    /// Reads the list of the archive in `dir`.
    ///
    /// # Errors
    /// When the file cannot be read: then nobody knows who has to be forgotten.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let path = dir.join(FORGET_FILE);
        let waiting = match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content).map_err(|error| ArchiveError::BadForgetList {
                path: path.clone(),
                detail: error.to_string(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(ArchiveError::io(path, error)),
        };
        Ok(Self {
            path,
            waiting: Mutex::new(waiting),
        })
    }

    /// Adds somebody, durably.
    ///
    /// # Errors
    /// `ForgetListFull`, or the file cannot be written.
    pub fn add(&self, forgotten: Forgotten) -> Result<(), ArchiveError> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            return Err(ArchiveError::ForgetListFull(waiting.len()));
        }
        let mut changed = waiting.clone();
        changed.push(forgotten);
        self.store(&mut waiting, changed)
    }

    /// Takes those out who are forgotten, durably.
    ///
    /// # Errors
    /// The file cannot be written; they wait on then, which does no harm.
    pub fn done(&self, forgotten: &[Forgotten]) -> Result<(), ArchiveError> {
        let mut waiting = self.waiting.lock();
        let changed = waiting.iter().filter(|one| !forgotten.contains(one)).cloned().collect();
        self.store(&mut waiting, changed)
    }

    /// Who waits, in the order in which they came.
    #[must_use]
    pub fn waiting(&self) -> Vec<Forgotten> {
        self.waiting.lock().clone()
    }

    fn store(&self, waiting: &mut Vec<Forgotten>, changed: Vec<Forgotten>) -> Result<(), ArchiveError> {
        let content =
            serde_json::to_vec(&changed).map_err(|error| ArchiveError::io(&self.path, io::Error::from(error)))?;
        write_atomically(&self.path, &content).map_err(|error| ArchiveError::io(&self.path, error))?;
        *waiting = changed;
        Ok(())
    }
}
