//! The list of cold files. Owns its format and that it changes as a whole; must not touch the files that it lists.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ArchiveError, ArchiveKind};
use crate::files::write_atomically;

const MANIFEST_FILE: &str = "MANIFEST.json";
/// The format that this program writes, and the newest it reads.
const FORMAT: u32 = 1;

/// A cold file and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdFile {
    /// What it holds.
    pub kind: ArchiveKind,
    /// Its name in the folder of its kind.
    pub file: String,
    /// The start of its interval, milliseconds since 1970.
    pub start_ms: i64,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The last warm batch of the interval that is in it or in an earlier file.
    pub batch_last: u64,
    /// The earliest time that one of its rows speaks of (`at`), milliseconds since 1970.
    pub at_first_ms: i64,
    /// The latest one.
    pub at_last_ms: i64,
    /// When it was written, milliseconds since 1970.
    pub written_ms: i64,
}

/// All cold files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The number of the next file; never used twice.
    pub(super) next_number: u64,
    pub(super) files: Vec<ColdFile>,
}

impl Manifest {
    /// Reads the manifest of the archive in `dir`; an empty one when there is none, or one that cannot be read: that one is
    /// kept beside, and every file says itself what it holds.
    pub(super) fn read(dir: &Path, now_ms: i64) -> Result<Self, ArchiveError> {
        let path = dir.join(MANIFEST_FILE);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(ArchiveError::io(path, error)),
        };
        let manifest: Self = match serde_json::from_slice(&content) {
            Ok(manifest) => manifest,
            Err(error) => {
                let kept = dir.join(format!("{MANIFEST_FILE}.damaged-{now_ms}"));
                fs::rename(&path, &kept).map_err(|error| ArchiveError::io(&path, error))?;
                tracing::error!(%error, kept = %kept.display(), "the archive's manifest is damaged and is made anew from its files");
                return Ok(Self::default());
            }
        };
        if manifest.format > FORMAT {
            let detail = format!("has format {}, this program knows up to {FORMAT}", manifest.format);
            return Err(ArchiveError::io(path, io::Error::other(detail)));
        }
        Ok(manifest)
    }

    /// Puts the manifest into the place of the old one, durably.
    pub(super) fn write(&mut self, dir: &Path) -> Result<(), ArchiveError> {
        self.format = FORMAT;
        let path = dir.join(MANIFEST_FILE);
        let content = serde_json::to_vec(self).map_err(|error| ArchiveError::io(&path, io::Error::from(error)))?;
        write_atomically(&path, &content).map_err(|error| ArchiveError::io(path, error))
    }
}
