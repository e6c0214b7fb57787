//! The archive of what has happened: accepted events and served slates, warm in files that are appended to, cold in Parquet
//! files.
//!
//! Owns the two tiers, the way from one to the other, erasure in both, and that every entry is in exactly one of them
//! whenever the process dies: an entry leaves the warm tier only after the file that holds it is named by the manifest,
//! and what a crash left in both is cleared at the next opening. Entries are bytes to it, rows are cells; what they
//! mean is the caller's. The hot tier is the caller's too: for events the journal behind [`WarmTier::cursor`].
//!
//! ```text
//! warm/                      what is young (see [`WarmTier`])
//! archive/MANIFEST.json      every cold file, with what it holds
//! archive/FORGET.json        whom the archive still has to forget
//! archive/events/*.parquet   one or more per interval of acceptance
//! archive/slates/*.parquet
//! ```

mod adopt;
mod chunk;
mod cold;
mod forget;
mod manifest;
mod warm;
mod warm_file;
mod warm_sled;

use std::io;
use std::path::PathBuf;

use crate::data_dir::DataDir;
use crate::journal::Seq;
use crate::snapshot::SnapshotError;
use crate::table::TableError;

pub use cold::{ColdTier, PartWriter};
pub use forget::{ForgetList, Forgotten};
pub use manifest::ColdFile;
pub use warm::{Bucket, WarmEntry, WarmTier};

/// What is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveKind {
    /// Accepted events.
    Events,
    /// Served slates.
    Slates,
}

impl ArchiveKind {
    /// Both.
    pub const ALL: [ArchiveKind; 2] = [ArchiveKind::Events, ArchiveKind::Slates];

    /// The name of its folder and table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ArchiveKind::Events => "events",
            ArchiveKind::Slates => "slates",
        }
    }
}

/// Why the archive refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The warm tier of an earlier version, or the journal, could not be read.
    #[error(transparent)]
    Warm(#[from] SnapshotError),
    /// A cold file could not be read or written.
    #[error("archive file {path}: {source}")]
    Table {
        /// Which.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// Another file of the archive could not be used.
    #[error("archive file {path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody knows any more who has to be forgotten.
    #[error(
        "{path} is damaged ({detail}): it names the users whom the archive still has to forget. Ways out: restore a backup, or \
         move the file away and delete those users again (`DELETE /v1/users/<id>` is harmless for users that are gone)"
    )]
    BadForgetList {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Too many users wait to be forgotten.
    #[error("{0} users wait to be forgotten; try again later")]
    ForgetListFull(usize),
}

impl ArchiveError {
    fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    fn table(path: impl Into<PathBuf>, source: impl Into<TableError>) -> Self {
        Self::Table {
            path: path.into(),
            source: source.into(),
        }
    }
}

/// The open archive.
pub struct Archive {
    /// What is young.
    pub warm: WarmTier,
    /// What is old.
    pub cold: ColdTier,
    /// Whom it has to forget.
    pub forget: ForgetList,
}

impl Archive {
    /// Opens (or makes) the archive of a data directory and clears what a crash left behind: unfinished files, and warm
    /// entries that a file holds already. Files that no manifest names are adopted.
    ///
    /// # Errors
    /// When a part cannot be used.
    pub fn open(dir: &DataDir, now_ms: i64) -> Result<Self, ArchiveError> {
        let warm = WarmTier::open(&dir.warm(), now_ms)?;
        let cold = ColdTier::open(&dir.archive(), now_ms)?;
        let forget = ForgetList::open(&dir.archive())?;
        warm.raise_lost_cursor(Seq(cold.batch_last_of(ArchiveKind::Events)));
        let archive = Self { warm, cold, forget };
        for kind in ArchiveKind::ALL {
            for bucket in archive.warm.buckets(kind) {
                if let Some(batch) = archive.cold.batch_last(kind, bucket.start_ms) {
                    archive.warm.remove(kind, bucket.start_ms, batch)?;
                }
            }
        }
        Ok(archive)
    }
}

#[cfg(test)]
mod tests;
