//! Backups of the running engine, kept beside its data.
//!
//! Owns their names and where they lie: `backups/<name>` in the data directory, a name per moment.

use std::path::{Path, PathBuf};

use super::*;

/// The folder of the data directory.
const FOLDER: &str = "backups";
/// What names begin with; the time in milliseconds follows.
const PREFIX: &str = "snapshot-";
/// The most backups that are kept beside the data.
const BACKUPS_MAX: usize = 16;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Engine {
    /// Makes a backup of the running engine beside its data, and reads it back.
    ///
    /// # Errors
    /// `Conflict` in memory, or when there are too many; `Unavailable` with what went wrong.
    pub async fn create_backup(&self) -> Result<BackupInfo, EngineError> {
        let folder = self.backups_folder()?;
        let _one_at_a_time = self.shared.backups.lock().await;
        if self.backups().await?.len() >= BACKUPS_MAX {
            return Err(EngineError::Conflict(format!(
                "there are {BACKUPS_MAX} backups; delete one before"
            )));
        }
        let mut created_at = clock::now().0;
        // Two within a millisecond are told apart.
        while folder.join(name_of(created_at)).exists() {
            created_at += 1;
        }
        let unavailable = |error: std::io::Error| EngineError::Unavailable(error.to_string());
        tokio::fs::create_dir_all(&folder).await.map_err(unavailable)?;
        let path = folder.join(name_of(created_at));
        self.backup(path.clone()).await?;
        let read = tokio::task::spawn_blocking(move || info(&path));
        let read = read
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))?;
        read.ok_or_else(|| EngineError::Unavailable("the backup is gone".to_owned()))
    }

    /// The backups, the newest first.
    ///
    /// # Errors
    /// `Conflict` in memory, `Unavailable` when the folder cannot be read.
    pub async fn backups(&self) -> Result<Vec<BackupInfo>, EngineError> {
        let folder = self.backups_folder()?;
        let read = tokio::task::spawn_blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(EngineError::Unavailable(error.to_string())),
            };
            let mut backups: Vec<BackupInfo> = entries.flatten().filter_map(|entry| info(&entry.path())).collect();
            backups.sort_by_key(|backup| std::cmp::Reverse(backup.created_at));
            Ok(backups)
        });
        read.await
            .map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    /// Where a backup lies; `None` when there is none of that name.
    ///
    /// # Errors
    /// `Conflict` in memory.
    pub fn backup_path(&self, name: &str) -> Result<Option<PathBuf>, EngineError> {
        let is_name = made_at(name).is_some();
        let path = self.backups_folder()?.join(name);
        Ok(Some(path).filter(|path| is_name && path.is_dir()))
    }

    /// Deletes a backup. Returns whether there was one.
    ///
    /// # Errors
    /// `Conflict` in memory, `Unavailable` when it cannot be deleted.
    pub async fn delete_backup(&self, name: &str) -> Result<bool, EngineError> {
        let Some(path) = self.backup_path(name)? else {
            return Ok(false);
        };
        let deleted = tokio::fs::remove_dir_all(path).await;
        deleted.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        Ok(true)
    }

    fn backups_folder(&self) -> Result<PathBuf, EngineError> {
        let data_dir = self.shared.config.data_dir.as_deref();
        let in_memory = || EngineError::Conflict("an engine in memory has no backups".to_owned());
        Ok(data_dir.ok_or_else(in_memory)?.join(FOLDER))
    }
}

fn name_of(created_at: i64) -> String {
    format!("{PREFIX}{created_at}")
}

/// When the backup of that name was made; `None` for any other name.
fn made_at(name: &str) -> Option<i64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits
        .parse()
        .ok()
        .filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// What a folder holds; `None` for one that is no whole backup.
fn info(path: &Path) -> Option<BackupInfo> {
    let name = path.file_name()?.to_str()?.to_owned();
    let created_at = made_at(&name)?;
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let metadata = entry.metadata().ok()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += metadata.len();
            }
        }
    }
    Some(BackupInfo {
        name,
        created_at,
        files,
        bytes,
    })
}
