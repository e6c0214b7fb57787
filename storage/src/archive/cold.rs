//! The cold tier: Parquet files that are written once, named by the manifest, and only ever replaced as a whole.
//!
//! A file is written under a temporary name, synced, renamed, and then put on the manifest, which counts. A file that the
//! manifest does not name is adopted (see [`super::adopt`]) or left alone; only unfinished ones of our own are deleted.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::adopt::{self, NOTE_BATCH_LAST, NOTE_START_MS};
use super::manifest::{ColdFile, Manifest};
use super::{ArchiveError, ArchiveKind};
use crate::files::{UNFINISHED_EXTENSION, sync_dir};
use crate::table::{Cell, Table, TableError, TableReader, TableWriter, holds, may_hold};

pub(super) const EXTENSION: &str = "parquet";

/// The cold tier.
pub struct ColdTier {
    dir: PathBuf,
    manifest: Mutex<Manifest>,
}

/// A cold file in the making. Dropped without [`PartWriter::finish`] it leaves a temporary file at most.
pub struct PartWriter<'a> {
    tier: &'a ColdTier,
    kind: ArchiveKind,
    start_ms: i64,
    file: String,
    output: File,
    writer: TableWriter,
    at_first_ms: i64,
    at_last_ms: i64,
}

impl ColdTier {
    /// Opens the tier in `dir`: removes what was not finished and adopts what the manifest does not name, all of it when
    /// there is no manifest or it is damaged.
    ///
    /// # Errors
    /// When the folder or the manifest cannot be used.
    pub fn open(dir: &Path, now_ms: i64) -> Result<Self, ArchiveError> {
        let mut manifest = Manifest::read(dir, now_ms)?;
        let mut has_changed = false;
        for kind in ArchiveKind::ALL {
            let folder = dir.join(kind.name());
            fs::create_dir_all(&folder).map_err(|error| ArchiveError::io(&folder, error))?;
            has_changed |= adopt::settle(&folder, kind, &mut manifest)?;
        }
        if has_changed {
            manifest.write(dir)?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            manifest: Mutex::new(manifest),
        })
    }

    /// Every file, by kind and interval, those of one interval in the order in which they were written.
    #[must_use]
    pub fn files(&self) -> Vec<ColdFile> {
        let mut files = self.manifest.lock().files.clone();
        // Stable: a file that was rewritten kept its place in the list.
        files.sort_by_key(|file| (file.kind, file.start_ms));
        files
    }

    /// Where a file is.
    #[must_use]
    pub fn path(&self, file: &ColdFile) -> PathBuf {
        self.dir.join(file.kind.name()).join(&file.file)
    }

    /// The last batch of an interval that is in a file.
    #[must_use]
    pub fn batch_last(&self, kind: ArchiveKind, start_ms: i64) -> Option<u64> {
        let manifest = self.manifest.lock();
        let of_interval = manifest
            .files
            .iter()
            .filter(|file| file.kind == kind && file.start_ms == start_ms);
        of_interval.map(|file| file.batch_last).max()
    }

    /// The highest number of a batch that is in a file.
    #[must_use]
    pub fn batch_last_of(&self, kind: ArchiveKind) -> u64 {
        let manifest = self.manifest.lock();
        let of_kind = manifest.files.iter().filter(|file| file.kind == kind);
        of_kind.map(|file| file.batch_last).max().unwrap_or(0)
    }

    /// Starts a file for an interval.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, kind: ArchiveKind, start_ms: i64, table: &Table) -> Result<PartWriter<'_>, ArchiveError> {
        let mut manifest = self.manifest.lock();
        manifest.next_number += 1;
        let file = format!("{}-{:06}.{EXTENSION}", label(start_ms), manifest.next_number);
        drop(manifest);
        let path = self
            .dir
            .join(kind.name())
            .join(&file)
            .with_extension(UNFINISHED_EXTENSION);
        let at_path = |error: TableError| ArchiveError::table(&path, error);
        let output = File::create(&path).map_err(|error| ArchiveError::io(&path, error))?;
        let to_sync = output.try_clone().map_err(|error| ArchiveError::io(&path, error))?;
        let writer = TableWriter::new(Box::new(BufWriter::new(output)), table).map_err(at_path)?;
        Ok(PartWriter {
            tier: self,
            kind,
            start_ms,
            file,
            output: to_sync,
            writer,
            at_first_ms: i64::MAX,
            at_last_ms: i64::MIN,
        })
    }

    /// Rewrites every file that holds rows of `user` (in column `user_id`) without those of them that match. Returns how
    /// many went. Files that cannot hold the user are told by their Bloom filters and not read.
    ///
    /// # Errors
    /// When a file cannot be read or written; what is done is done, call again for the rest.
    pub fn erase(
        &self,
        user: &str,
        now_ms: i64,
        matches: &dyn Fn(&ColdFile, &Table, &[Cell]) -> bool,
    ) -> Result<u64, ArchiveError> {
        let mut erased = 0;
        for file in self.files() {
            let path = self.path(&file);
            let at_path = |error: TableError| ArchiveError::table(&path, error);
            if !may_hold(&path, USER_COLUMN, user).map_err(at_path)?
                || !holds(&path, USER_COLUMN, user).map_err(at_path)?
            {
                continue;
            }
            erased += self.rewrite(&file, now_ms, &|table, row| matches(&file, table, row))?;
        }
        Ok(erased)
    }

    fn rewrite(
        &self,
        old: &ColdFile,
        now_ms: i64,
        goes: &dyn Fn(&Table, &[Cell]) -> bool,
    ) -> Result<u64, ArchiveError> {
        let path = self.path(old);
        let at_path = |error: TableError| ArchiveError::table(&path, error);
        let mut reader = TableReader::open(&path).map_err(at_path)?;
        let mut table = reader.table().clone();
        table
            .notes
            .retain(|(key, _)| key != NOTE_START_MS && key != NOTE_BATCH_LAST);
        // The reader does not tell which columns have a filter; the one that matters is known.
        for column in table.columns.iter_mut().filter(|column| column.name == USER_COLUMN) {
            column.has_bloom_filter = true;
        }
        let mut part = self.begin(old.kind, old.start_ms, &table)?;
        let mut erased = 0;
        while let Some(row) = reader.next_cells(&table.columns) {
            let row = row.map_err(at_path)?;
            if goes(&table, &row) {
                erased += 1;
            } else {
                part.write(row, None)?;
            }
        }
        if erased == 0 {
            return Ok(0);
        }
        part.at_first_ms = old.at_first_ms;
        part.at_last_ms = old.at_last_ms;
        part.replace(old, now_ms)?;
        Ok(erased)
    }

    /// Deletes the files whose interval began before `before_ms`, and the oldest ones until no more than `bytes_max`
    /// are left. Returns how many went.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn retain(&self, before_ms: i64, bytes_max: u64) -> Result<usize, ArchiveError> {
        let mut by_age = self.files();
        by_age.sort_by_key(|file| file.start_ms);
        let mut bytes: u64 = by_age.iter().map(|file| file.bytes).sum();
        let gone: Vec<ColdFile> = by_age
            .into_iter()
            .take_while(|file| {
                let goes = file.start_ms < before_ms || bytes > bytes_max;
                bytes -= if goes { file.bytes } else { 0 };
                goes
            })
            .collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut manifest = self.manifest.lock();
        manifest.files.retain(|file| !gone.contains(file));
        manifest.write(&self.dir)?;
        drop(manifest);
        for file in &gone {
            let path = self.path(file);
            // What stays is adopted at the next opening, and goes then.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an outdated archive file could not be deleted");
            }
        }
        Ok(gone.len())
    }
}

/// The column by which rows are known to be about somebody.
const USER_COLUMN: &str = "user_id";

impl PartWriter<'_> {
    /// Writes a row that speaks of the time `at_ms`.
    ///
    /// # Errors
    /// When it does not fit the table or cannot be written.
    pub fn write(&mut self, row: Vec<Cell>, at_ms: Option<i64>) -> Result<(), ArchiveError> {
        if let Some(at_ms) = at_ms {
            self.at_first_ms = self.at_first_ms.min(at_ms);
            self.at_last_ms = self.at_last_ms.max(at_ms);
        }
        self.writer
            .write(row)
            .map_err(|error| ArchiveError::table(&self.file, error))
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.writer.rows()
    }

    /// Puts the file on the manifest, durably: from here on it counts. A file without rows is noted in none; then its
    /// batches may be removed all the same.
    ///
    /// # Errors
    /// When it cannot be written; it does not count then.
    pub fn finish(self, batch_last: u64, now_ms: i64) -> Result<Option<ColdFile>, ArchiveError> {
        let tier = self.tier;
        let Some(file) = self.close(batch_last, now_ms)? else {
            return Ok(None);
        };
        let mut manifest = tier.manifest.lock();
        manifest.files.push(file.clone());
        let written = manifest.write(&tier.dir);
        if written.is_err() {
            manifest.files.pop();
        }
        written.map(|()| Some(file))
    }

    /// Takes the place of `old`, or just removes it when no row is left.
    fn replace(self, old: &ColdFile, now_ms: i64) -> Result<(), ArchiveError> {
        let tier = self.tier;
        let fresh = self.close(old.batch_last, now_ms)?;
        let mut manifest = tier.manifest.lock();
        let before = manifest.files.clone();
        match (manifest.files.iter_mut().find(|file| *file == old), fresh) {
            (Some(place), Some(fresh)) => *place = fresh,
            (Some(_) | None, _) => manifest.files.retain(|file| file != old),
        }
        if let Err(error) = manifest.write(&tier.dir) {
            manifest.files = before;
            return Err(error);
        }
        drop(manifest);
        let path = tier.path(old);
        fs::remove_file(&path).map_err(|error| ArchiveError::io(path, error))
    }

    fn close(self, batch_last: u64, now_ms: i64) -> Result<Option<ColdFile>, ArchiveError> {
        let folder = self.tier.dir.join(self.kind.name());
        let path = folder.join(&self.file);
        let unfinished = path.with_extension(UNFINISHED_EXTENSION);
        let rows = self
            .writer
            .finish_with(&[
                (NOTE_START_MS, self.start_ms.to_string()),
                (NOTE_BATCH_LAST, batch_last.to_string()),
            ])
            .map_err(|error| ArchiveError::table(&unfinished, error))?;
        let at_path = |error| ArchiveError::io(&path, error);
        if rows == 0 {
            fs::remove_file(&unfinished).map_err(at_path)?;
            return Ok(None);
        }
        self.output.sync_all().map_err(at_path)?;
        fs::rename(&unfinished, &path)
            .and_then(|()| sync_dir(&folder))
            .map_err(at_path)?;
        Ok(Some(ColdFile {
            kind: self.kind,
            start_ms: self.start_ms,
            rows,
            bytes: self.output.metadata().map_err(at_path)?.len(),
            batch_last,
            at_first_ms: self.at_first_ms,
            at_last_ms: self.at_last_ms,
            written_ms: now_ms,
            file: self.file,
        }))
    }
}

/// `20260131T120000Z`: sorts like time, and is allowed in file names everywhere.
pub(super) fn label(start_ms: i64) -> String {
    Timestamp::from_millisecond(start_ms).map_or_else(
        |_| start_ms.to_string(),
        |time| time.strftime("%Y%m%dT%H%M%SZ").to_string(),
    )
}
