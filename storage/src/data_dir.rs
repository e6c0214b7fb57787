//! The data directory: its layout, its lock, its version. Owns who may use it; must not know what the parts hold.
//!
//! ```text
//! LOCK         locked while a process uses the directory
//! VERSION      format of the directory and who created it (JSON)
//! EPOCH        how often it was opened (see crate::ownership)
//! journal/     segments of the event journal
//! snapshots/   the sled database (while a server runs also snapshots.000001/ and so on)
//! blobs/       models, named by their content
//! index/       dumps of the vector index
//! archive/     cold files of the archive (see crate::archive)
//! warm/        what is younger in it (see crate::archive::WarmTier)
//! served/      what was served, by which feature rows (made when the served log is on)
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{UNFINISHED_EXTENSION, remove_unfinished, write_atomically};

/// The format of the directory that this program writes, and the newest it reads.
pub const DATA_DIR_FORMAT: u32 = 1;

const LOCK_FILE: &str = "LOCK";
const VERSION_FILE: &str = "VERSION";
const EPOCH_FILE: &str = "EPOCH";
const PROBE_FILE: &str = "write-probe.tmp";
/// What a directory that is not ours yet may contain.
const HARMLESS_ENTRIES: [&str; 2] = [LOCK_FILE, "lost+found"];

/// How to open a [`DataDir`].
#[derive(Clone, Debug)]
pub struct DataDirOptions {
    /// Noted in a new directory, for whoever finds it: program and version.
    pub created_by: String,
}

impl Default for DataDirOptions {
    fn default() -> Self {
        Self {
            created_by: concat!("swipeline ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a directory cannot be used as a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// There is a file of this name.
    #[error("data directory {0} is not a directory")]
    NotADirectory(PathBuf),
    /// It has content and no version: it belongs to somebody else.
    #[error("directory {path} is not empty and not a data directory (it contains {found:?}, but no {VERSION_FILE})")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of its entries.
        found: String,
    },
    /// A newer program has written it.
    #[error("data directory {path} has format {found}; this program supports up to {supported}")]
    NewerVersion {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one known.
        supported: u32,
    },
    /// Its version cannot be read.
    #[error(
        "the version file {path} of the data directory is damaged: {detail}. If the directory is whole otherwise, delete \
         the file; or restore a backup (`swipeline snapshot restore`)"
    )]
    BadVersion {
        /// The version file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The file system is mounted read-only.
    #[error("data directory {0} is on a read-only file system")]
    ReadOnly(PathBuf),
    /// The rights are missing.
    #[error("data directory {0} is not writable for this user")]
    NotWritable(PathBuf),
    /// Something else about a file (no space, I/O error).
    #[error("data directory, {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDirError {
    /// The error that a failure of the file system means for `path`.
    fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let kind = source.kind();
        if kind == io::ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly(path)
        } else if kind == io::ErrorKind::PermissionDenied {
            Self::NotWritable(path)
        } else if matches!(kind, io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) {
            Self::NotADirectory(path)
        } else {
            Self::Io { path, source }
        }
    }
}

/// A locked data directory; the lock is given back when this is dropped (or the process dies).
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    created: bool,
    lock: File,
}

/// The content of the version file.
#[derive(Debug, Serialize, Deserialize)]
struct VersionFile {
    format: u32,
    created_by: String,
}

impl DataDir {
    /// Creates the directory when it is missing, locks it, checks its version and that it can be written.
    ///
    /// # Errors
    /// One per reason; see [`DataDirError`].
    pub fn open(path: &Path, options: &DataDirOptions) -> Result<Self, DataDirError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DataDirError::from_io(&path, source)
        };
        fs::create_dir_all(path).map_err(at(path))?;
        let lock = lock(path)?;
        let version_path = path.join(VERSION_FILE);
        let created = match fs::read(&version_path) {
            Ok(content) => match check_version(path, &version_path, &content) {
                Err(DataDirError::BadVersion { detail, .. }) if holds_all_parts(path) => {
                    rebuild_version(&version_path, options, &detail).map_err(at(path))?;
                    false
                }
                checked => checked.map(|()| false)?,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && holds_all_parts(path) => {
                rebuild_version(&version_path, options, "it is missing").map_err(at(path))?;
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(path)?;
                write_version(&version_path, options).map_err(at(path))?;
                true
            }
            Err(error) => {
                return Err(DataDirError::Io {
                    path: version_path,
                    source: error,
                });
            }
        };
        probe(path).map_err(at(path))?;
        remove_unfinished(path).map_err(at(path))?;
        let data_dir = Self {
            path: path.to_path_buf(),
            created,
            lock,
        };
        data_dir.create_parts()?;
        Ok(data_dir)
    }

    /// Starts a directory that is no data directory before [`DataDir::finish`]: what dies half way is refused by `open`.
    pub(crate) fn start(path: &Path) -> Result<Self, DataDirError> {
        fs::create_dir_all(path).map_err(|source| DataDirError::from_io(path, source))?;
        let lock = lock(path)?;
        refuse_foreign(path)?;
        let data_dir = Self {
            path: path.to_path_buf(),
            created: true,
            lock,
        };
        data_dir.create_parts()?;
        Ok(data_dir)
    }

    /// Turns what [`DataDir::start`] began into a data directory.
    pub(crate) fn finish(&self, options: &DataDirOptions) -> Result<(), DataDirError> {
        write_version(&self.path.join(VERSION_FILE), options)
            .map_err(|source| DataDirError::from_io(&self.path, source))
    }

    fn create_parts(&self) -> Result<(), DataDirError> {
        for part in [self.journal(), self.snapshots(), self.index(), self.archive()] {
            fs::create_dir_all(&part).map_err(|source| DataDirError::from_io(&part, source))?;
        }
        Ok(())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the directory is still the one that was locked: what is written into one that was deleted is nowhere.
    ///
    /// # Errors
    /// What is wrong, in words.
    #[cfg(unix)]
    pub(crate) fn is_in_place(&self) -> Result<(), String> {
        use std::os::unix::fs::MetadataExt;
        let unknown = |what: &str, error: &io::Error| format!("{what}: {error}");
        let held = self.lock.metadata().map_err(|error| unknown("the lock", &error))?;
        let found = fs::metadata(self.path.join(LOCK_FILE)).map_err(|error| unknown(LOCK_FILE, &error))?;
        if (held.dev(), held.ino()) != (found.dev(), found.ino()) {
            return Err("another directory has its name".to_owned());
        }
        fs::metadata(self.journal()).map_err(|error| unknown("journal", &error))?;
        Ok(())
    }

    /// Elsewhere an open directory cannot be deleted.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn is_in_place(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether this call of open has made it.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Segments of the event journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The snapshot store.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Large values that records and snapshots name.
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// Dumps of the vector index.
    pub fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// Cold files of the archive.
    pub fn archive(&self) -> PathBuf {
        self.path.join("archive")
    }

    /// The database of the archive's warm tier.
    pub fn warm(&self) -> PathBuf {
        self.path.join("warm")
    }

    /// What was served, for training.
    pub fn served(&self) -> PathBuf {
        self.path.join("served")
    }

    pub(crate) fn epoch_file(&self) -> PathBuf {
        self.path.join(EPOCH_FILE)
    }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let lock_path = path.join(LOCK_FILE);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path);
    let file = opened.map_err(|source| DataDirError::from_io(path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(DataDirError::Io {
            path: lock_path,
            source,
        }),
    }
}

fn write_version(version_path: &Path, options: &DataDirOptions) -> io::Result<()> {
    let version = VersionFile {
        format: DATA_DIR_FORMAT,
        created_by: options.created_by.clone(),
    };
    write_atomically(
        version_path,
        &serde_json::to_vec_pretty(&version).map_err(io::Error::from)?,
    )
}

/// Whether everything is there that a data directory gets with its first start, the version left out. What a restore that
/// died half way has left has no epoch.
fn holds_all_parts(path: &Path) -> bool {
    let holds_segment = |journal: PathBuf| {
        fs::read_dir(journal).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "seg")))
        })
    };
    path.join(EPOCH_FILE).is_file() && path.join("snapshots").is_dir() && holds_segment(path.join("journal"))
}

fn rebuild_version(version_path: &Path, options: &DataDirOptions, detail: &str) -> io::Result<()> {
    tracing::error!(
        path = %version_path.display(),
        detail,
        "the version file of the data directory cannot be read; everything else is there, so it is written again"
    );
    write_version(version_path, options)
}

fn check_version(path: &Path, version_path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    let damaged = |detail| DataDirError::BadVersion {
        path: version_path.to_path_buf(),
        detail,
    };
    let version: VersionFile = serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))?;
    match version.format {
        0 => Err(damaged("format 0 never existed".to_owned())),
        1..=DATA_DIR_FORMAT => Ok(()),
        found => Err(DataDirError::NewerVersion {
            path: path.to_path_buf(),
            found,
            supported: DATA_DIR_FORMAT,
        }),
    }
}

/// Somebody's home must not be filled because of a slip of the keyboard.
fn refuse_foreign(path: &Path) -> Result<(), DataDirError> {
    let at_path = |source| DataDirError::from_io(path, source);
    for entry in fs::read_dir(path).map_err(at_path)? {
        let found = entry.map_err(at_path)?.file_name().to_string_lossy().into_owned();
        let is_unfinished = Path::new(&found)
            .extension()
            .is_some_and(|end| end == UNFINISHED_EXTENSION);
        if !found.starts_with('.') && !is_unfinished && !HARMLESS_ENTRIES.contains(&found.as_str()) {
            return Err(DataDirError::Foreign {
                path: path.to_path_buf(),
                found,
            });
        }
    }
    Ok(())
}

/// Rights that can be read say less than a write that succeeds: root ignores them, file systems add their own.
fn probe(path: &Path) -> io::Result<()> {
    let probe_path = path.join(PROBE_FILE);
    let mut file = File::create(&probe_path)?;
    file.write_all(b"probe")?;
    file.sync_all()?;
    fs::remove_file(&probe_path)
}

#[cfg(test)]
mod tests;
