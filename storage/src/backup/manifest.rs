//! The manifest of a backup: every file with its length and checksum, and a checksum of itself. Owns reading, writing
//! and checking it; must not know what the files hold.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::BackupError;

/// The format of backups that this program writes, and the newest it reads.
pub const BACKUP_FORMAT: u32 = 1;

const MANIFEST_FILE: &str = "manifest.json";
const CHECKSUM_FILE: &str = "manifest.xxh3";
/// A manifest above this is not read; one entry takes about 100 bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
const COPY_BUFFER_BYTES: usize = 256 * 1024;

/// What a backup consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) created_by: String,
    pub(super) created_at_ms: i64,
    /// Epoch of the run that made it.
    pub(super) epoch: u64,
    pub(super) files: Vec<FileEntry>,
    pub(super) trees: Vec<TreeEntry>,
}

/// One file, by its path relative to the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// XXH3-64, hexadecimal.
    pub(super) xxh3: String,
}

/// How many entries the dump of a tree holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeEntry {
    pub(super) tree: String,
    pub(super) entries: u64,
}

impl Manifest {
    pub(super) fn write(&self, backup: &Path) -> Result<(), BackupError> {
        let content = serde_json::to_vec_pretty(self).map_err(|error| BackupError::io(backup, error.into()))?;
        let mut hasher = Xxh3::new();
        hasher.update(&content);
        let checksum = hex(hasher.digest());
        for (name, bytes) in [
            (MANIFEST_FILE, content.as_slice()),
            (CHECKSUM_FILE, checksum.as_bytes()),
        ] {
            let path = backup.join(name);
            let written = File::create(&path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
            written.map_err(|error| BackupError::io(&path, error))?;
        }
        Ok(())
    }

    pub(super) fn read(backup: &Path) -> Result<Self, BackupError> {
        let damaged = |detail: String| BackupError::Damaged {
            path: backup.join(MANIFEST_FILE),
            detail,
        };
        let content = read_part(backup, MANIFEST_FILE)?;
        let mut hasher = Xxh3::new();
        hasher.update(&content);
        if read_part(backup, CHECKSUM_FILE)? != hex(hasher.digest()).as_bytes() {
            return Err(damaged("checksum does not match".to_owned()));
        }
        let manifest: Self = serde_json::from_slice(&content).map_err(|error| damaged(error.to_string()))?;
        if manifest.format > BACKUP_FORMAT {
            let path = backup.to_path_buf();
            return Err(BackupError::NewerVersion {
                path,
                found: manifest.format,
                supported: BACKUP_FORMAT,
            });
        }
        // A manifest from elsewhere must not make a restore write outside of its directory.
        let leaves = |file: &&FileEntry| !is_inside(Path::new(&file.path));
        match manifest.files.iter().find(leaves) {
            Some(file) => Err(damaged(format!("path {:?} leaves the backup", file.path))),
            None => Ok(manifest),
        }
    }

    /// Every file is there with the right content, and no other. Returns the bytes.
    pub(super) fn check_files(&self, backup: &Path) -> Result<u64, BackupError> {
        let mut bytes = 0;
        for expected in &self.files {
            let path = backup.join(&expected.path);
            let damaged = |detail: String| BackupError::Damaged {
                path: path.clone(),
                detail,
            };
            let found = match copy_hashed(&path, &mut io::sink()) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("is missing".to_owned())),
                Err(error) => return Err(BackupError::io(&path, error)),
            };
            if found.0 != expected.bytes {
                return Err(damaged(format!("has {} bytes instead of {}", found.0, expected.bytes)));
            }
            if hex(found.1) != expected.xxh3 {
                return Err(damaged("checksum does not match".to_owned()));
            }
            bytes += found.0;
        }
        let known: BTreeSet<PathBuf> = self.files.iter().map(|file| backup.join(&file.path)).collect();
        let own = [backup.join(MANIFEST_FILE), backup.join(CHECKSUM_FILE)];
        let stranger = files_below(backup)?
            .into_iter()
            .find(|path| !known.contains(path) && !own.contains(path));
        match stranger {
            Some(path) => Err(BackupError::Damaged {
                path,
                detail: "does not belong to the backup".to_owned(),
            }),
            None => Ok(bytes),
        }
    }
}

fn read_part(backup: &Path, name: &str) -> Result<Vec<u8>, BackupError> {
    let path = backup.join(name);
    let mut content = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut content));
    match read {
        Ok(_) => Ok(content),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(BackupError::NotABackup(backup.to_path_buf()))
        }
        Err(error) => Err(BackupError::io(&path, error)),
    }
}

/// Adds files to a backup under construction and notes them.
pub(super) struct BackupWriter<'a> {
    backup: &'a Path,
    pub(super) files: Vec<FileEntry>,
}

impl<'a> BackupWriter<'a> {
    pub(super) fn new(backup: &'a Path) -> Self {
        Self {
            backup,
            files: Vec::new(),
        }
    }

    /// Makes the file `path` (relative to the backup) out of what `fill` writes.
    pub(super) fn add<T>(
        &mut self,
        path: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<T, BackupError>,
    ) -> Result<T, BackupError> {
        let target = self.backup.join(path);
        let at_target = |error| BackupError::io(&target, error);
        target.parent().map_or(Ok(()), fs::create_dir_all).map_err(at_target)?;
        let file = File::create_new(&target).map_err(at_target)?;
        let mut writer = HashingWriter {
            inner: BufWriter::new(file),
            hasher: Xxh3::new(),
            bytes: 0,
        };
        let filled = fill(&mut writer)?;
        let file = writer
            .inner
            .into_inner()
            .map_err(|error| at_target(error.into_error()))?;
        file.sync_all().map_err(at_target)?;
        self.files.push(FileEntry {
            path: path.to_owned(),
            bytes: writer.bytes,
            xxh3: hex(writer.hasher.digest()),
        });
        Ok(filled)
    }
}

struct HashingWriter<W> {
    inner: W,
    hasher: Xxh3,
    bytes: u64,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Copies a file and returns its length and checksum.
pub(super) fn copy_hashed(path: &Path, target: &mut dyn Write) -> io::Result<(u64, u64)> {
    let mut source = BufReader::with_capacity(COPY_BUFFER_BYTES, File::open(path)?);
    let mut hashed = HashingWriter {
        inner: target,
        hasher: Xxh3::new(),
        bytes: 0,
    };
    io::copy(&mut source, &mut hashed)?;
    Ok((hashed.bytes, hashed.hasher.digest()))
}

/// All regular files below `dir`, in a stable order; links are not followed.
pub(super) fn files_below(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).map_err(|error| BackupError::io(&dir, error))? {
            let entry = entry.map_err(|error| BackupError::io(&dir, error))?;
            let kind = entry.file_type().map_err(|error| BackupError::io(&dir, error))?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_inside(path: &Path) -> bool {
    let mut components = path.components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

fn hex(checksum: u64) -> String {
    format!("{checksum:016x}")
}
