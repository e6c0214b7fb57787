//! Inputs: files, folders and standard input, plain or gzip.
//!
//! Owns how a path becomes byte streams and how many bytes have been read. Must not know what the bytes mean.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::{Entity, Format, OpenError};

/// The first bytes of every gzip stream (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The size of the buffer in front of an input.
const BUFFER_BYTES: usize = 64 * 1024;

/// How many bytes have been read from all inputs (compressed, as they lie on the disk).
#[derive(Debug, Clone, Default)]
pub(crate) struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// Counts what was read past this file's own readers.
    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The number so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputFile {
    /// Standard input.
    Stdin,
    /// A file.
    Path(PathBuf),
}

impl InputFile {
    /// The path to name in messages; `-` for standard input.
    pub(crate) fn path(&self) -> &Path {
        match self {
            InputFile::Stdin => Path::new("-"),
            InputFile::Path(path) => path,
        }
    }

    /// Its size in bytes, where it has one.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            InputFile::Stdin => None,
            InputFile::Path(path) => std::fs::metadata(path)
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|meta| meta.len()),
        }
    }

    /// Opens it; gzip is seen by its first bytes and taken off.
    pub(crate) fn open(&self, bytes_read: &BytesRead) -> Result<Box<dyn BufRead + Send>, OpenError> {
        let failed = |source| OpenError::Io {
            path: self.path().to_owned(),
            source,
        };
        let raw: Box<dyn Read + Send> = match self {
            InputFile::Stdin => Box::new(std::io::stdin()),
            InputFile::Path(path) => Box::new(File::open(path).map_err(failed)?),
        };
        unzip(Box::new(Counting {
            inner: raw,
            bytes_read: bytes_read.clone(),
        }))
        .map_err(failed)
    }
}

/// The inputs behind the given paths: files as they are, folders as the files in them that are `entity` in `format`
/// (by name, sorted), `-` as standard input.
///
/// # Errors
/// A path does not exist, or a folder has no such file.
pub(crate) fn expand(paths: &[PathBuf], entity: Entity, format: Format) -> Result<Vec<InputFile>, OpenError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(InputFile::Stdin);
            continue;
        }
        let failed = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            inputs.push(InputFile::Path(path.clone()));
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let candidate = entry.map_err(failed)?.path();
            if candidate.is_file() && belongs(&plain_name(&candidate), entity, format) {
                found.push(candidate);
            }
        }
        if found.is_empty() {
            return Err(OpenError::EmptyFolder {
                path: path.clone(),
                entity,
                looked_for: names(entity, format),
            });
        }
        found.sort();
        inputs.extend(found.into_iter().map(InputFile::Path));
    }
    Ok(inputs)
}

/// The file's name in lower case without a trailing `.gz`.
pub(super) fn plain_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

/// The names by which a folder's files are known, for people. [`belongs`] is the rule itself.
fn names(entity: Entity, format: Format) -> &'static str {
    match (format, entity) {
        (Format::Jsonl, Entity::Items) => "items*.jsonl, items*.ndjson",
        (Format::Jsonl, Entity::Users) => "users*.jsonl, users*.ndjson",
        (Format::Jsonl, Entity::Events) => "events*.jsonl, events*.ndjson",
        (Format::Csv, Entity::Items) => "items*.csv",
        (Format::Csv, Entity::Users) => "users*.csv",
        (Format::Csv, Entity::Events) => "events*.csv",
        (Format::Parquet, Entity::Items) => "items*.parquet",
        (Format::Parquet, Entity::Users) => "users*.parquet",
        (Format::Parquet, Entity::Events) => "events*.parquet, *Z-*.parquet",
        (Format::Movielens, Entity::Items) => "*.item, movies.dat, movies.csv",
        (Format::Movielens, Entity::Users) => "*.user, users.dat",
        (Format::Movielens, Entity::Events) => "*.inter, u.data, ratings.dat, ratings.csv",
        (Format::Kuairand, Entity::Items) => "video_features_basic*.csv",
        (Format::Kuairand, Entity::Users) => "user_features*.csv",
        (Format::Kuairand, Entity::Events) => "log_*.csv",
    }
}

fn belongs(name: &str, entity: Entity, format: Format) -> bool {
    let patterns = names(entity, format).split(", ");
    let mut matching = patterns.filter(|pattern| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name == *pattern,
    });
    matching.next().is_some()
}

/// Takes gzip off when the stream starts with its magic bytes.
fn unzip(mut raw: Box<dyn Read + Send>) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    // A pipe may give its bytes one by one: `take` reads until both are there.
    raw.as_mut().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let zipped = head == GZIP_MAGIC;
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(raw));
    if zipped {
        return Ok(Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            MultiGzDecoder::new(whole),
        )));
    }
    Ok(Box::new(whole))
}

struct Counting {
    inner: Box<dyn Read + Send>,
    bytes_read: BytesRead,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes_read.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_the_files_of_the_entity_and_format() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "ml-100k.inter",
            "ml-100k.item",
            "u.data",
            "items.jsonl.gz",
            "items_2.jsonl",
            "log_1.csv.gz",
        ] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let check = |entity, format, expected: &[&str]| {
            let found = expand(&[folder.path().to_owned()], entity, format).expect("found");
            let names: Vec<_> = found
                .iter()
                .map(|input| input.path().file_name().expect("a name").to_string_lossy().into_owned())
                .collect();
            assert_eq!(names, expected);
        };
        check(Entity::Events, Format::Movielens, &["ml-100k.inter", "u.data"]);
        check(Entity::Items, Format::Movielens, &["ml-100k.item"]);
        check(Entity::Items, Format::Jsonl, &["items.jsonl.gz", "items_2.jsonl"]);
        check(Entity::Events, Format::Kuairand, &["log_1.csv.gz"]);
        let missing = expand(&[folder.path().to_owned()], Entity::Users, Format::Csv).expect_err("none there");
        assert!(missing.to_string().contains("users*.csv"), "{missing}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = expand(&[PathBuf::from("/nowhere/x.jsonl")], Entity::Items, Format::Jsonl).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/x.jsonl"), "{error}");
    }
}
