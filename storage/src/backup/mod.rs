//! Backups: a directory with a copy of the journal's segments, a logical dump of every snapshot tree, the index dumps and
//! the archive's files, and a manifest with lengths and checksums. Works on a running server and on a stopped data
//! directory. Must not change what it copies.
//!
//! The trees are dumped before the journal is copied, and nothing is trimmed in between: the journal of a backup always
//! reaches from behind every dumped snapshot to a moment after the last of them.

mod dump;
mod manifest;

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use manifest::{BackupWriter, Manifest, TreeEntry, copy_hashed, files_below};

pub use manifest::BACKUP_FORMAT;

use crate::data_dir::{DataDir, DataDirError, DataDirOptions};
use crate::files::{remove_dir_if_there, sync_dir};
use crate::journal::{EmbeddedJournal, Journal, JournalError, count_segment};
use crate::ownership::{EmbeddedOwnership, OwnershipError};
use crate::snapshot::{SledOptions, SledStore, SnapshotError, SnapshotStore, Tree};
use crate::storage::{Storage, StorageError, StorageOptions};

/// A file of the vector index or archive that is only being written has this ending and is left out.
const UNFINISHED_EXTENSION: &str = "tmp";

/// What backups of before December 2026 hold of the warm archive, which was a database then.
const WARM_TREES: [Tree; 3] = [Tree::Meta, Tree::ArchiveEvents, Tree::ArchiveSlates];

/// Why a backup could not be made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Storage in memory has no files.
    #[error("storage in memory cannot be backed up")]
    InMemory,
    /// The place for a new backup, or the directory to restore into, has content.
    #[error("{0} exists and is not empty")]
    TargetNotEmpty(PathBuf),
    /// There is no manifest.
    #[error("{0} is not a backup: it has no manifest")]
    NotABackup(PathBuf),
    /// The backup was made by a newer program.
    #[error("backup {path} has format {found}; this program supports up to {supported}")]
    NewerVersion {
        /// The backup.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one known.
        supported: u32,
    },
    /// A file of the backup is not what it was.
    #[error("backup file {path}: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The snapshot store failed.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The epoch cannot be written.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
}

impl BackupError {
    fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// When it was made, milliseconds since 1970.
    pub created_at_ms: i64,
    /// Files, without the manifest.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Intact records in the journal.
    pub journal_records: u64,
    /// Damaged stretches in the journal: they were in the original already.
    pub journal_damaged: u64,
    /// Entries of all snapshot trees.
    pub snapshot_entries: u64,
    /// Damaged snapshots that were left out; known only when the backup is made.
    pub snapshots_damaged: u64,
}

/// Backs up an open storage into the new directory `out`. The caller makes its actors write their snapshots before, if
/// the backup is to be fresh; it is right either way. The caller keeps the archive still meanwhile. `now_ms` is noted in the manifest.
///
/// # Errors
/// `TargetNotEmpty`, `InMemory`, or what went wrong with a part. A backup that fails leaves `<out>.partial` at most.
pub fn create(storage: &Storage, out: &Path, now_ms: i64) -> Result<BackupReport, BackupError> {
    let (Some(journal), Some(dir)) = (&storage.embedded_journal, &storage.dir) else {
        return Err(BackupError::InMemory);
    };
    refuse_content(out)?;
    let partial = with_suffix(out, "partial");
    remove_dir_if_there(&partial).map_err(|error| BackupError::io(&partial, error))?;
    fs::create_dir_all(&partial).map_err(|error| BackupError::io(&partial, error))?;
    let mut writer = BackupWriter::new(&partial);
    let mut snapshots_damaged = 0;
    let paused = journal.pause_maintenance();
    let trees = copy_trees(&*storage.snapshots, &mut writer, &mut snapshots_damaged)?;
    journal.flush()?;
    for span in journal.spans(&paused) {
        // Only the committed part: the commit thread goes on writing behind it.
        writer.add(&format!("journal/{}", span.file_name()), |target| {
            let file = File::open(&span.path).map_err(|error| BackupError::io(&span.path, error))?;
            io::copy(&mut file.take(span.bytes), target).map_err(|error| BackupError::io(&span.path, error))
        })?;
    }
    drop(paused);
    copy_folder("blobs", &dir.blobs(), &mut writer)?;
    copy_folder("index", &dir.index(), &mut writer)?;
    copy_folder("archive", &dir.archive(), &mut writer)?;
    copy_folder("warm", &dir.warm(), &mut writer)?;
    let files = writer.files;
    let created_by = DataDirOptions::default().created_by;
    let epoch = storage.ownership.epoch();
    Manifest {
        format: BACKUP_FORMAT,
        created_by,
        created_at_ms: now_ms,
        epoch,
        files,
        trees,
    }
    .write(&partial)?;
    fs::rename(&partial, out).map_err(|error| BackupError::io(out, error))?;
    out.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or(Ok(()), sync_dir)
        .map_err(|error| BackupError::io(out, error))?;
    // What was written is read back: a backup that cannot be read is none.
    Ok(BackupReport {
        snapshots_damaged,
        ..verify(out)?
    })
}

/// Backs up the data directory of a stopped server.
///
/// # Errors
/// As [`create`], and when the directory cannot be opened (a running server keeps it locked).
pub fn create_from_dir(data_dir: &Path, out: &Path, options: &StorageOptions) -> Result<BackupReport, BackupError> {
    if !data_dir.join("VERSION").exists() {
        // Opening would create it.
        return Err(BackupError::io(
            data_dir,
            io::Error::new(io::ErrorKind::NotFound, "no data directory here"),
        ));
    }
    refuse_content(out)?;
    let storage = Storage::open(data_dir, options)?;
    let report = create(&storage, out, options.now_ms)?;
    storage.close()?;
    Ok(report)
}

/// Reads a backup as a whole and checks every byte of it.
///
/// # Errors
/// `NotABackup`, `NewerVersion`, `Damaged` with the first bad file, `Io`.
pub fn verify(backup: &Path) -> Result<BackupReport, BackupError> {
    let manifest = Manifest::read(backup)?;
    let bytes = manifest.check_files(backup)?;
    let mut report = BackupReport {
        created_at_ms: manifest.created_at_ms,
        files: manifest.files.len() as u64,
        bytes,
        ..BackupReport::default()
    };
    for file in manifest.files.iter().filter(|file| file.path.starts_with("journal/")) {
        let path = backup.join(&file.path);
        let (records, damaged) = count_segment(&fs::read(&path).map_err(|error| BackupError::io(&path, error))?);
        report.journal_records += records;
        report.journal_damaged += damaged;
    }
    for entry in &manifest.trees {
        let (_, path) = tree_of(backup, entry)?;
        let counted = File::open(&path).and_then(|file| dump::count_entries(&mut BufReader::new(file)));
        if counted.map_err(|error| BackupError::io(&path, error))? != entry.entries {
            return Err(BackupError::Damaged {
                path,
                detail: "has another number of entries".to_owned(),
            });
        }
        report.snapshot_entries += entry.entries;
    }
    Ok(report)
}

/// Verifies a backup and makes a data directory out of it. A restore that dies half way leaves a directory that the
/// server refuses.
///
/// # Errors
/// As [`verify`]; `TargetNotEmpty` when `data_dir` has content; otherwise what went wrong with a part.
pub fn restore(backup: &Path, data_dir: &Path) -> Result<BackupReport, BackupError> {
    refuse_content(data_dir)?;
    let report = verify(backup)?;
    let manifest = Manifest::read(backup)?;
    let dir = DataDir::start(data_dir)?;
    for file in &manifest.files {
        let folders = ["journal/", "blobs/", "index/", "archive/", "warm/"];
        if folders.iter().any(|folder| file.path.starts_with(folder)) && !is_warm_dump(&file.path) {
            copy_file(&backup.join(&file.path), &dir.path().join(&file.path))?;
        }
    }
    let (store, _) = SledStore::open(&dir.snapshots(), SledOptions::default(), manifest.created_at_ms)?;
    for entry in &manifest.trees {
        let (tree, path) = tree_of(backup, entry)?;
        let file = File::open(&path).map_err(|error| BackupError::io(&path, error))?;
        dump::read_tree(&store, tree, &mut BufReader::new(file))?;
    }
    store.flush()?;
    drop(store);
    restore_warm(backup, &manifest, &dir)?;
    // Opens once what will be opened: recovery must be content with it.
    let (journal, _) = EmbeddedJournal::open(&dir.journal(), StorageOptions::default().journal)?;
    journal.shutdown()?;
    EmbeddedOwnership::inherit(&dir, manifest.epoch)?;
    dir.finish(&DataDirOptions {
        created_by: manifest.created_by,
    })?;
    Ok(report)
}

/// Whether this file of a backup is a dump of the database that the warm archive was once.
fn is_warm_dump(path: &str) -> bool {
    WARM_TREES.iter().any(|tree| path == warm_path(*tree))
}

/// Puts back what an earlier version's backup holds of the warm archive; the archive takes it over when it is opened.
fn restore_warm(backup: &Path, manifest: &Manifest, dir: &DataDir) -> Result<(), BackupError> {
    if !manifest.files.iter().any(|file| is_warm_dump(&file.path)) {
        return Ok(());
    }
    let (store, _) = SledStore::open(&dir.warm(), SledOptions::default(), manifest.created_at_ms)?;
    for tree in WARM_TREES {
        let name = warm_path(tree);
        if manifest.files.iter().any(|file| file.path == name) {
            let path = backup.join(&name);
            let file = File::open(&path).map_err(|error| BackupError::io(&path, error))?;
            dump::read_tree(&store, tree, &mut BufReader::new(file))?;
        }
    }
    Ok(store.flush()?)
}

fn copy_trees(
    store: &dyn SnapshotStore,
    writer: &mut BackupWriter<'_>,
    damaged: &mut u64,
) -> Result<Vec<TreeEntry>, BackupError> {
    let mut trees = Vec::new();
    for tree in Tree::ALL {
        let visited = writer.add(&dump_path(tree), |target| dump::write_tree(store, tree, target))?;
        *damaged += visited.damaged_total;
        trees.push(TreeEntry {
            tree: tree.name().to_owned(),
            entries: visited.visited,
        });
    }
    Ok(trees)
}

fn warm_path(tree: Tree) -> String {
    format!("warm/{}.dump", tree.name())
}

fn dump_path(tree: Tree) -> String {
    format!("snapshots/{}.dump", tree.name())
}

fn tree_of(backup: &Path, entry: &TreeEntry) -> Result<(Tree, PathBuf), BackupError> {
    let unknown = || BackupError::Damaged {
        path: backup.to_path_buf(),
        detail: format!("unknown tree {}", entry.tree),
    };
    let tree = Tree::by_name(&entry.tree).ok_or_else(unknown)?;
    Ok((tree, backup.join(dump_path(tree))))
}

fn copy_folder(name: &str, source: &Path, writer: &mut BackupWriter<'_>) -> Result<(), BackupError> {
    if !source.exists() {
        // Made with the first file in it.
        return Ok(());
    }
    for path in files_below(source)? {
        let relative = path.strip_prefix(source).unwrap_or(&path);
        let Some(relative) = relative
            .to_str()
            .filter(|_| path.extension().is_none_or(|end| end != UNFINISHED_EXTENSION))
        else {
            continue;
        };
        writer.add(&format!("{name}/{relative}"), |target| {
            copy_hashed(&path, target).map_err(|error| BackupError::io(&path, error))
        })?;
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path) -> Result<(), BackupError> {
    let copied = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        let mut file = File::create_new(target)?;
        copy_hashed(source, &mut file)?;
        file.sync_all()
    });
    copied.map_err(|error| BackupError::io(target, error))
}

/// A place that is missing or empty is fine.
fn refuse_content(path: &Path) -> Result<(), BackupError> {
    let harmless = |name: &str| name == "lost+found" || name.starts_with('.');
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.find(|entry| {
            !entry
                .as_ref()
                .is_ok_and(|entry| harmless(&entry.file_name().to_string_lossy()))
        }) {
            Some(_) => Err(BackupError::TargetNotEmpty(path.to_path_buf())),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(BackupError::TargetNotEmpty(path.to_path_buf()))
        }
        Err(error) => Err(BackupError::io(path, error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    path.with_file_name(format!("{name}.{suffix}"))
}

#[cfg(test)]
mod tests;
