//! The warm tier: entries in plain files that are only appended to, one per kind and interval of acceptance, each fsynced
//! before its entries count. Owns which entry goes into which file, and the cursor; the bytes are [`WarmFile`]'s.
//!
//! ```text
//! warm/CURSOR                 everything in the journal up to here has been taken
//! warm/events/<start ms>.log  one per interval
//! warm/slates/<start ms>.log
//! ```
//! Within a file entries are in chunks by batch and partition: a batch is what one call of [`WarmTier::put`] wrote, and
//! batches grow, so sorting by batch gives back the order in which entries came; by partition, forgetting a user reads
//! 1/256.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::warm_file::WarmFile;
use super::{ArchiveError, ArchiveKind, chunk, warm_sled};
use crate::files::{remove_unfinished, write_atomically};
use crate::journal::Seq;
use crate::partition::Partition;

const CURSOR_FILE: &str = "CURSOR";
const EXTENSION: &str = "log";

/// An entry on its way into the warm tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmEntry<'a> {
    /// Its number: grows from entry to entry of its kind.
    pub seq: u64,
    /// The partition of whom it is about.
    pub partition: Partition,
    /// The start of its interval, milliseconds since 1970; not negative.
    pub bucket_ms: i64,
    /// What it is.
    pub payload: Cow<'a, [u8]>,
}

/// An interval in the warm tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its start, milliseconds since 1970.
    pub start_ms: i64,
    /// How many entries it holds.
    pub entries: u64,
    /// How many bytes.
    pub bytes: u64,
}

type Files = BTreeMap<(ArchiveKind, i64), WarmFile>;

/// The warm tier.
pub struct WarmTier {
    dir: PathBuf,
    /// Held while the disk is written.
    files: Mutex<Files>,
    /// What can be said without waiting for the disk.
    summary: Mutex<Summary>,
}

#[derive(Default)]
struct Summary {
    cursor: Seq,
    is_cursor_lost: bool,
    buckets: BTreeMap<(ArchiveKind, i64), Bucket>,
}

impl WarmTier {
    /// Opens the tier in `dir` (made when missing). What an earlier version kept there in a database is taken over.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn open(dir: &Path, now_ms: i64) -> Result<Self, ArchiveError> {
        for kind in ArchiveKind::ALL {
            let folder = dir.join(kind.name());
            fs::create_dir_all(&folder).map_err(|error| ArchiveError::io(&folder, error))?;
            remove_unfinished(&folder).map_err(|error| ArchiveError::io(&folder, error))?;
        }
        remove_unfinished(dir).map_err(|error| ArchiveError::io(dir, error))?;
        let tier = Self {
            dir: dir.to_path_buf(),
            files: Mutex::default(),
            summary: Mutex::default(),
        };
        if warm_sled::is_there(dir) {
            if !dir.join(CURSOR_FILE).exists() {
                tier.clear()?;
                let cursor = warm_sled::take_over(dir, now_ms, &tier)?;
                tier.write_cursor(cursor)?;
            }
            warm_sled::remove(dir).map_err(|error| ArchiveError::io(dir, error))?;
        }
        tier.read()?;
        Ok(tier)
    }

    /// Reads what the files hold.
    fn read(&self) -> Result<(), ArchiveError> {
        let mut files = Files::new();
        let mut last = Seq::ZERO;
        for kind in ArchiveKind::ALL {
            for (start_ms, path) in listed(&self.dir.join(kind.name()))? {
                match WarmFile::open(path.clone()) {
                    Ok(file) => files.insert((kind, start_ms), file),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        tracing::error!(path = %path.display(), %error, "this file of the warm archive is left alone");
                        continue;
                    }
                    Err(error) => return Err(ArchiveError::io(path, error)),
                };
            }
        }
        let path = self.dir.join(CURSOR_FILE);
        let cursor = match fs::read(&path) {
            Ok(content) => parse_cursor(&content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ArchiveError::io(path, error)),
        };
        if cursor.is_none() {
            last = last_event(&files).map_err(|error| ArchiveError::io(&self.dir, error))?;
            if last > Seq::ZERO {
                tracing::error!(path = %path.display(), up_to = last.0, "the cursor of the archive is gone; it goes on behind its last event");
            }
        }
        let mut summary = self.summary.lock();
        summary.cursor = cursor.unwrap_or(last);
        summary.is_cursor_lost = cursor.is_none();
        for (place, file) in &files {
            summary.note(*place, file);
        }
        drop(summary);
        *self.files.lock() = files;
        Ok(())
    }

    /// Removes all files: a taking over that died half way begins anew.
    fn clear(&self) -> Result<(), ArchiveError> {
        for kind in ArchiveKind::ALL {
            for (_, path) in listed(&self.dir.join(kind.name()))? {
                fs::remove_file(&path).map_err(|error| ArchiveError::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// Everything in the journal up to here has been taken.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.summary.lock().cursor
    }

    /// Raises the cursor, if it was lost and is told by the entries only.
    pub(super) fn raise_lost_cursor(&self, cursor: Seq) {
        let mut summary = self.summary.lock();
        if summary.is_cursor_lost {
            summary.cursor = summary.cursor.max(cursor);
        }
    }

    /// Takes entries durably, and with them the place in the journal up to which nothing is missing. Called again with
    /// the same `batch` after a crash it replaces what it wrote. Entries come in the order of their numbers; `batch`
    /// grows from call to call.
    ///
    /// # Errors
    /// When a file cannot be written; what was taken is taken again by the next call then.
    pub fn put(
        &self,
        kind: ArchiveKind,
        batch: u64,
        entries: &[WarmEntry<'_>],
        cursor: Option<Seq>,
    ) -> Result<(), ArchiveError> {
        let mut sizes: BTreeMap<(i64, u8), usize> = BTreeMap::new();
        for entry in entries {
            *sizes.entry((entry.bucket_ms, entry.partition.0)).or_default() += chunk::entry_bytes(&entry.payload);
        }
        let mut chunks: BTreeMap<i64, BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
        for ((bucket_ms, partition), bytes) in sizes {
            let of_bucket = chunks.entry(bucket_ms).or_default();
            of_bucket.insert(partition, Vec::with_capacity(bytes));
        }
        for entry in entries {
            let of_bucket = chunks.entry(entry.bucket_ms).or_default();
            chunk::push(
                of_bucket.entry(entry.partition.0).or_default(),
                entry.seq,
                &entry.payload,
            );
        }
        for (bucket_ms, chunks) in chunks {
            self.append(kind, bucket_ms, batch, &chunks)?;
        }
        cursor.map_or(Ok(()), |cursor| self.write_cursor(cursor))
    }

    /// Appends chunks of one interval, durably.
    pub(super) fn append(
        &self,
        kind: ArchiveKind,
        start_ms: i64,
        batch: u64,
        chunks: &BTreeMap<u8, Vec<u8>>,
    ) -> Result<(), ArchiveError> {
        let path = self.dir.join(kind.name()).join(format!("{start_ms}.{EXTENSION}"));
        let mut files = self.files.lock();
        let file = files
            .entry((kind, start_ms))
            .or_insert_with(|| WarmFile::new(path.clone()));
        let appended = file.append(batch, chunks);
        self.summary.lock().note((kind, start_ms), file);
        appended.map_err(|error| ArchiveError::io(path, error))
    }

    fn write_cursor(&self, cursor: Seq) -> Result<(), ArchiveError> {
        let path = self.dir.join(CURSOR_FILE);
        write_atomically(&path, render_cursor(cursor).as_bytes()).map_err(|error| ArchiveError::io(path, error))?;
        self.summary.lock().cursor = cursor;
        Ok(())
    }

    /// The intervals that hold something, oldest first.
    #[must_use]
    pub fn buckets(&self, kind: ArchiveKind) -> Vec<Bucket> {
        let summary = self.summary.lock();
        let of_kind = summary.buckets.range((kind, i64::MIN)..=(kind, i64::MAX));
        of_kind.map(|(_, bucket)| *bucket).collect()
    }

    /// The batches of an interval, oldest first.
    #[must_use]
    pub fn batches(&self, kind: ArchiveKind, start_ms: i64) -> Vec<u64> {
        let files = self.files.lock();
        let file = files.get(&(kind, start_ms));
        file.map(|file| file.batches().collect()).unwrap_or_default()
    }

    /// The entries of some batches of an interval: batch by batch, each in the order of its numbers.
    ///
    /// # Errors
    /// When the file cannot be read; damaged chunks are reported and left out.
    pub fn entries(
        &self,
        kind: ArchiveKind,
        start_ms: i64,
        batches: &[u64],
    ) -> Result<Vec<(u64, Vec<u8>)>, ArchiveError> {
        let files = self.files.lock();
        let file = files.get(&(kind, start_ms));
        let entries = file.map_or(Ok(Vec::new()), |file| file.entries(batches));
        entries.map_err(|error| ArchiveError::io(&self.dir, error))
    }

    /// Removes the batches of an interval up to `batch`, from the disk too.
    ///
    /// # Errors
    /// When the file cannot be written; call again then.
    pub fn remove(&self, kind: ArchiveKind, start_ms: i64, batch: u64) -> Result<(), ArchiveError> {
        let mut files = self.files.lock();
        let Some(file) = files.get_mut(&(kind, start_ms)) else {
            return Ok(());
        };
        let is_empty = file.remove(batch).map_err(|error| ArchiveError::io(&self.dir, error))?;
        let mut summary = self.summary.lock();
        if is_empty {
            files.remove(&(kind, start_ms));
            summary.buckets.remove(&(kind, start_ms));
        } else {
            summary.note((kind, start_ms), file);
        }
        Ok(())
    }

    /// Removes the entries of a partition that match, from the disk too, and returns how many those were.
    ///
    /// # Errors
    /// When a file cannot be read or written; call again then.
    pub fn erase(
        &self,
        kind: ArchiveKind,
        partition: Partition,
        matches: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, ArchiveError> {
        let mut erased = 0;
        for bucket in self.buckets(kind) {
            let mut files = self.files.lock();
            let Some(file) = files.get_mut(&(kind, bucket.start_ms)) else {
                continue;
            };
            let gone = file.erase(partition.0, matches);
            self.summary.lock().note((kind, bucket.start_ms), file);
            erased += gone.map_err(|error| ArchiveError::io(&self.dir, error))?;
        }
        Ok(erased)
    }
}

impl Summary {
    fn note(&mut self, place: (ArchiveKind, i64), file: &WarmFile) {
        let (entries, bytes) = file.totals();
        if file.batches().next().is_none() {
            self.buckets.remove(&place);
            return;
        }
        let bucket = Bucket {
            start_ms: place.1,
            entries,
            bytes,
        };
        self.buckets.insert(place, bucket);
    }
}

/// Files of a folder by the start of their intervals. Others are left alone.
fn listed(folder: &Path) -> Result<Vec<(i64, PathBuf)>, ArchiveError> {
    let at = |error| ArchiveError::io(folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let start_ms = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(start_ms) = start_ms
            && path.extension().is_some_and(|end| end == EXTENSION)
        {
            found.push((start_ms, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The highest number of an event in the files.
fn last_event(files: &Files) -> io::Result<Seq> {
    let mut last = 0;
    for file in files.range((ArchiveKind::Events, i64::MIN)..=(ArchiveKind::Events, i64::MAX)) {
        let newest: Vec<u64> = file.1.batches().last().into_iter().collect();
        last = file
            .1
            .entries(&newest)?
            .iter()
            .map(|(seq, _)| *seq)
            .fold(last, u64::max);
    }
    Ok(Seq(last))
}

/// The number and its checksum.
fn render_cursor(cursor: Seq) -> String {
    format!("{cursor} {:08x}\n", crc32fast::hash(&cursor.0.to_le_bytes()))
}

fn parse_cursor(content: &[u8]) -> Option<Seq> {
    let text = std::str::from_utf8(content).ok()?;
    let cursor = Seq(text.split_once(' ')?.0.parse().ok()?);
    (render_cursor(cursor) == text).then_some(cursor)
}
