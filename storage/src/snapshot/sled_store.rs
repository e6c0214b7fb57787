//! The snapshot store in sled. Owns every call into sled; must not let its panics or damaged values out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};

use super::set_aside::{
    clean, guarded, holds_store, into_snapshot_error, is_damage, is_lock_conflict, set_aside, set_aside_before,
};
use super::{
    EntryVisitor, SnapshotError, SnapshotOp, SnapshotOpenReport, SnapshotStore, Tree, VisitReport, flush_count, frame,
};
use crate::files::{remove_dir_if_there, sync_dir};
use crate::priority::give_way;

/// Default of [`SledOptions::cache_bytes`].
pub const CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// A batch is handed to sled in pieces, and is let write each of them before it gets the next one. Its seven threads write
/// segments of 512 KiB; when all of them wait for a lock that is held by somebody who waits for the file to be cut, which
/// is the eighth piece of work, nobody ever goes on (sled 0.34.7: the pool does not grow, because its count of idle threads
/// falls below 0). With a flush behind everything, one writer and no flush of its own it never did that; what stands still
/// all the same is replaced (see [`super::SupervisedStore`]).
const BATCH_OPS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// sled's threads may hold the lock for a moment after the previous owner in the same process has dropped it.
const LOCK_RETRIES_MAX: u32 = 100;
const LOCK_RETRY_MS: u64 = 20;
/// Clocks of file systems are coarse.
const MTIME_SLACK_MS: u64 = 2_000;

/// How to run a [`SledStore`].
#[derive(Clone, Copy, Debug)]
pub struct SledOptions {
    /// sled's page cache, bytes.
    pub cache_bytes: u64,
    /// Whether a new, empty store may take the place of one that cannot be read or is not there. Where the journal does
    /// not reach back to its first record, that would lose what only the store holds.
    pub may_be_empty: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES_DEFAULT,
            may_be_empty: true,
        }
    }
}

/// Named trees in one sled database.
#[derive(Debug)]
pub struct SledStore {
    path: PathBuf,
    options: SledOptions,
    /// Read by every call, written by `compact`, which replaces it; `None` when that went wrong half way.
    database: RwLock<Option<Database>>,
    /// Held while sled is given something: it keeps readers out meanwhile, and cannot be asked whether it does.
    writing: RwLock<()>,
    /// One flush at a time: the count beside the database must not go back.
    flushing: Mutex<()>,
    /// When the last flush began: blob files older than that are synced already.
    flushed_at: Mutex<Option<SystemTime>>,
}

#[derive(Debug)]
struct Database {
    trees: HashMap<Tree, sled::Tree>,
    db: sled::Db,
}

impl SledStore {
    /// Opens the store in `path`, after removing what sled itself left unfinished. A folder that sled cannot make sense of
    /// even so is renamed to `<path>.damaged-<now_ms>` and a new, empty store is made: what it held comes back from the
    /// journal as far as that reaches. Where [`SledOptions::may_be_empty`] forbids that, stores that were set aside
    /// earlier are tried again before it is refused.
    ///
    /// # Errors
    /// `Io` when the folder cannot be used (lock, rights, space), `Unreadable` when an empty store would be needed and must
    /// not be made: it is left alone then.
    pub fn open(path: &Path, options: SledOptions, now_ms: i64) -> Result<(Self, SnapshotOpenReport), SnapshotError> {
        let mut report = SnapshotOpenReport::default();
        let at_path = |source| SnapshotError::Io {
            path: path.to_path_buf(),
            source,
        };
        let from_sled = |error| into_snapshot_error(path, error);
        finish_compaction(path).map_err(at_path)?;
        if !holds_store(path) && !options.may_be_empty {
            report.taken_back = Some(take_back(path, options)?);
        }
        let database = match Database::open(path, options) {
            Ok(database) => database,
            Err(error) if is_damage(&error) && options.may_be_empty => {
                report.set_aside = Some(set_aside(path, error.to_string(), now_ms)?);
                Database::open(path, options).map_err(from_sled)?
            }
            Err(error) if is_damage(&error) => {
                return Err(SnapshotError::Unreadable {
                    path: path.to_path_buf(),
                    reason: error.to_string(),
                });
            }
            Err(error) => return Err(from_sled(error)),
        };
        report.lost_flushes = flush_count::lost(path, &database.db).map_err(from_sled)?;
        let database = RwLock::new(Some(database));
        Ok((
            Self {
                path: path.to_path_buf(),
                options,
                database,
                writing: RwLock::default(),
                flushing: Mutex::default(),
                flushed_at: Mutex::default(),
            },
            report,
        ))
    }

    /// Runs `work` on the database with panics turned into errors.
    fn with<T>(&self, work: impl FnOnce(&Database) -> sled::Result<T>) -> Result<T, SnapshotError> {
        self.on(self.database.read().as_ref(), work)
    }

    fn on<T>(
        &self,
        database: Option<&Database>,
        work: impl FnOnce(&Database) -> sled::Result<T>,
    ) -> Result<T, SnapshotError> {
        let Some(database) = database else {
            return Err(SnapshotError::Backend(
                "a compaction failed half way; restart to go on".to_owned(),
            ));
        };
        guarded(|| work(database)).map_err(|error| into_snapshot_error(&self.path, error))
    }

    /// sled writes large pages to files of their own and never syncs those.
    fn sync_blobs(&self) -> io::Result<()> {
        let began = SystemTime::now();
        let mut flushed_at = self.flushed_at.lock();
        let synced_before = flushed_at.and_then(|at| at.checked_sub(Duration::from_millis(MTIME_SLACK_MS)));
        let blobs = self.path.join("blobs");
        for entry in fs::read_dir(&blobs)? {
            let path = entry?.path();
            let synced = sync_blob(&path, synced_before);
            match synced {
                // sled's cleaner has replaced it by a newer one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        sync_dir(&blobs)?;
        *flushed_at = Some(began);
        Ok(())
    }
}

fn sync_blob(path: &Path, synced_before: Option<SystemTime>) -> io::Result<()> {
    let file = fs::File::open(path)?;
    let modified = file.metadata()?.modified()?;
    if synced_before.is_some_and(|before| modified < before) {
        Ok(())
    } else {
        file.sync_all()
    }
}

impl Database {
    fn open(path: &Path, options: SledOptions) -> sled::Result<Self> {
        clean(path)?;
        let mut retries = 0;
        let db = loop {
            match guarded(|| open_aside(path, options)) {
                Err(sled::Error::Io(error)) if is_lock_conflict(&error) && retries < LOCK_RETRIES_MAX => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(LOCK_RETRY_MS));
                }
                opened => break opened?,
            }
        };
        guarded(|| {
            let open_tree = |tree: Tree| Ok((tree, db.open_tree(tree.name())?));
            let trees = Tree::ALL
                .into_iter()
                .map(open_tree)
                .collect::<sled::Result<HashMap<_, _>>>()?;
            // Reads the way down to both ends of every tree: a database that opens is not yet one that reads.
            for tree in trees.values() {
                tree.first()?;
                tree.last()?;
            }
            Ok(Self { trees, db })
        })
    }

    fn config(path: &Path, options: SledOptions) -> sled::Config {
        // sled 0.34.7 has a `mode` setting but does not read it anywhere.
        sled::Config::new()
            .path(path)
            .cache_capacity(options.cache_bytes)
            // Never by itself: every piece is flushed, and a thread less can come into the way of another.
            .flush_every_ms(None)
    }

    /// The handle of a tree; all of them were opened together.
    fn tree(&self, tree: Tree) -> sled::Result<&sled::Tree> {
        self.trees
            .get(&tree)
            .ok_or_else(|| sled::Error::CollectionNotFound(tree.name().as_bytes().into()))
    }

    fn apply(&self, batch: Vec<SnapshotOp>, writing: &RwLock<()>) -> sled::Result<()> {
        let give = |piece: &mut BatchPiece| {
            let _writing = writing.write();
            piece.apply(self)
        };
        let mut piece = BatchPiece::default();
        for op in batch {
            let (tree, key) = op.target();
            if piece.is_full() || piece.tree.is_some_and(|of| of != tree) {
                give(&mut piece)?;
                self.db.flush()?;
            }
            piece.tree = Some(tree);
            piece.ops += 1;
            piece.bytes += key.len();
            match op {
                SnapshotOp::Put { key, value, .. } => {
                    let framed = frame::encode(&key, &value);
                    piece.bytes += framed.len();
                    piece.batch.insert(key, framed);
                }
                SnapshotOp::Delete { key, .. } => piece.batch.remove(key),
            }
        }
        give(&mut piece)?;
        self.db.flush().map(|_| ())
    }

    /// Copies every entry into `target`, frame and all.
    fn copy_into(&self, target: &Database) -> sled::Result<()> {
        for (tree, source) in &self.trees {
            let mut piece = BatchPiece {
                tree: Some(*tree),
                ..BatchPiece::default()
            };
            for entry in source.iter() {
                let (key, framed) = entry?;
                piece.ops += 1;
                piece.bytes += key.len() + framed.len();
                piece.batch.insert(key, framed);
                if piece.is_full() {
                    piece.apply(target)?;
                    target.db.flush()?;
                    piece.tree = Some(*tree);
                }
            }
            piece.apply(target)?;
        }
        target.db.flush().map(|_| ())
    }
}

/// Moves the newest of the stores that were set aside and open after all to `path`. Returns where it was.
fn take_back(path: &Path, options: SledOptions) -> Result<PathBuf, SnapshotError> {
    let at_path = |source| SnapshotError::Io {
        path: path.to_path_buf(),
        source,
    };
    for candidate in set_aside_before(path).map_err(at_path)? {
        match Database::open(&candidate, options) {
            // sled makes an empty store of what it cannot make sense of.
            Ok(database) if database.trees.values().all(|tree| tree.is_empty()) => {
                tracing::warn!(path = %candidate.display(), "a store that was set aside holds nothing");
                continue;
            }
            Ok(database) => drop(database),
            Err(error) => {
                tracing::warn!(%error, path = %candidate.display(), "a store that was set aside still does not open");
                continue;
            }
        }
        // Only an empty folder can be replaced; whatever is in it is somebody's.
        fs::remove_dir(path)
            .or_else(|error| {
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                if is_gone { Ok(()) } else { Err(error) }
            })
            .and_then(|()| fs::rename(&candidate, path))
            .and_then(|()| path.parent().map_or(Ok(()), sync_dir))
            .map_err(at_path)?;
        tracing::warn!(from = %candidate.display(), "a snapshot store that was set aside opens again and is used");
        return Ok(candidate);
    }
    Err(SnapshotError::Unreadable {
        path: path.to_path_buf(),
        reason: "there is none".to_owned(),
    })
}

/// Opens sled on a thread that gives way, so that the threads which it starts do as well: nobody who answers waits for
/// them.
fn open_aside(path: &Path, options: SledOptions) -> sled::Result<sled::Db> {
    let opened = std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            give_way();
            Database::config(path, options).open()
        });
        opening.join()
    });
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What stands in the frame that a read has found.
fn unframed(
    tree: Tree,
    key: &[u8],
    framed: Result<Option<sled::IVec>, SnapshotError>,
) -> Result<Option<Vec<u8>>, SnapshotError> {
    framed?
        .map(|framed| frame::decode(tree, key, &framed).map(<[u8]>::to_vec))
        .transpose()
}

/// Consecutive changes of one tree.
#[derive(Default)]
struct BatchPiece {
    tree: Option<Tree>,
    batch: sled::Batch,
    ops: usize,
    bytes: usize,
}

impl BatchPiece {
    fn is_full(&self) -> bool {
        self.ops >= BATCH_OPS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Hands the piece to sled and starts an empty one.
    fn apply(&mut self, database: &Database) -> sled::Result<()> {
        let piece = std::mem::take(self);
        match piece.tree {
            Some(tree) if piece.ops > 0 => database.tree(tree)?.apply_batch(piece.batch),
            Some(_) | None => Ok(()),
        }
    }
}

impl SnapshotStore for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        let framed = self.with(|database| database.tree(tree)?.get(key));
        unframed(tree, key, framed)
    }

    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
        let database = self.database.try_read()?;
        let _nobody_writes = self.writing.try_read()?;
        let framed = self.on(database.as_ref(), |database| database.tree(tree)?.get(key));
        Some(unframed(tree, key, framed))
    }

    fn apply(&self, batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        batch.iter().try_for_each(SnapshotOp::check)?;
        self.with(|database| database.apply(batch, &self.writing))
    }

    fn flush(&self) -> Result<(), SnapshotError> {
        let _one_at_a_time = self.flushing.lock();
        self.with(|database| {
            let count = flush_count::raise(&database.db)?;
            database.db.flush()?;
            self.sync_blobs()?;
            Ok(flush_count::note(&self.path, count)?)
        })
    }

    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError> {
        self.with(|database| {
            let mut report = VisitReport::default();
            for entry in database.tree(tree)?.range(from..) {
                let (key, framed) = entry?;
                let Ok(value) = frame::decode(tree, &key, &framed) else {
                    tracing::error!(tree = tree.name(), key = %key.escape_ascii(), "a damaged snapshot is skipped");
                    report.damage(&key);
                    continue;
                };
                report.visited += 1;
                if visit(&key, value).is_break() {
                    break;
                }
            }
            Ok(report)
        })
    }

    fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
        self.with(|database| Ok(database.tree(tree)?.len() as u64))
    }

    fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
        let _writing = self.writing.write();
        self.with(|database| database.tree(tree)?.clear())
    }

    fn size_on_disk(&self) -> Result<u64, SnapshotError> {
        self.with(|database| database.db.size_on_disk())
    }

    fn compact(&self) -> Result<u64, SnapshotError> {
        let at_path = |source| SnapshotError::Io {
            path: self.path.clone(),
            source,
        };
        let from_sled = |error| into_snapshot_error(&self.path, error);
        let mut slot = self.database.write();
        let Some(database) = slot.as_ref() else {
            return Err(SnapshotError::Backend(
                "a compaction failed half way; restart to go on".to_owned(),
            ));
        };
        let before_bytes = guarded(|| database.db.size_on_disk()).map_err(from_sled)?;
        let fresh_path = compaction_path(&self.path);
        remove_dir_if_there(&fresh_path).map_err(at_path)?;
        let fresh = Database::open(&fresh_path, self.options).map_err(from_sled)?;
        guarded(|| database.copy_into(&fresh)).map_err(from_sled)?;
        drop(fresh);
        // From here on the files change places: only a reopened database may be used.
        *slot = None;
        replace_dir(&fresh_path, &self.path).map_err(at_path)?;
        let database = Database::open(&self.path, self.options).map_err(from_sled)?;
        *self.flushed_at.lock() = None;
        let after_bytes = guarded(|| database.db.size_on_disk()).map_err(from_sled)?;
        *slot = Some(database);
        drop(slot);
        self.flush()?;
        Ok(before_bytes.saturating_sub(after_bytes))
    }
}

/// Where a compaction builds the new database.
fn compaction_path(path: &Path) -> PathBuf {
    path.with_extension("compacting")
}

/// Where a compaction puts the old one until the new one is in place.
fn outdated_path(path: &Path) -> PathBuf {
    path.with_extension("outdated")
}

fn replace_dir(fresh: &Path, path: &Path) -> io::Result<()> {
    let outdated = outdated_path(path);
    remove_dir_if_there(&outdated)?;
    fs::rename(path, &outdated)?;
    fs::rename(fresh, path)?;
    path.parent().map_or(Ok(()), sync_dir)?;
    remove_dir_if_there(&outdated)
}

/// Clears up after a compaction that died half way: the old database counts until the new one is in its place.
fn finish_compaction(path: &Path) -> io::Result<()> {
    let outdated = outdated_path(path);
    if !path.exists() && outdated.exists() {
        fs::rename(&outdated, path)?;
    }
    remove_dir_if_there(&outdated)?;
    remove_dir_if_there(&compaction_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_not_wait_is_told_that_somebody_writes() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, _) = SledStore::open(&dir.path().join("store"), SledOptions::default(), 0).expect("it opens");
        let put = SnapshotOp::Put {
            tree: Tree::Users,
            key: b"u1".to_vec(),
            value: b"one".to_vec(),
        };
        store.apply(vec![put]).expect("applied");
        let read = || store.try_get(Tree::Users, b"u1").map(|found| found.expect("read"));
        let found = Some(Some(b"one".to_vec()));
        assert_eq!(read(), found);
        let batch = store.writing.write();
        assert_eq!(read(), None);
        drop(batch);
        let compaction = store.database.write();
        assert_eq!(read(), None);
        drop(compaction);
        assert_eq!(read(), found);
    }
}
