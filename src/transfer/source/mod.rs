//! Inputs: files, folders, members of zip archives and standard input; plain, gzip or zstd.
//!
//! Owns how a path becomes byte streams and how many bytes have been read. Must not know what the bytes mean.

mod packed;
mod zipped;

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::zipped::Member;
use super::{Entity, Format, OpenError};

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
    /// A file in a zip archive.
    Zipped(Member),
}

impl InputFile {
    /// The path to name in messages; `-` for standard input.
    pub(crate) fn path(&self) -> &Path {
        match self {
            InputFile::Stdin => Path::new("-"),
            InputFile::Path(path) => path,
            InputFile::Zipped(member) => &member.shown,
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
            InputFile::Zipped(member) => Some(member.bytes_packed),
        }
    }

    /// Whether its rows come as somebody writes them, and must not wait for each other.
    pub(crate) fn is_live(&self) -> bool {
        *self == InputFile::Stdin
    }

    /// Opens it; gzip and zstd are seen by their first bytes and taken off.
    pub(crate) fn open(&self, bytes_read: &BytesRead) -> Result<Box<dyn BufRead + Send>, OpenError> {
        let failed = |source| OpenError::Io {
            path: self.path().to_owned(),
            source,
        };
        let raw: Box<dyn Read + Send> = match self {
            InputFile::Stdin => Box::new(std::io::stdin()),
            InputFile::Path(path) => Box::new(File::open(path).map_err(failed)?),
            // What is read of the archive is counted below the inflater, so the progress goes by packed bytes as well.
            InputFile::Zipped(member) => {
                let packed = Counting {
                    inner: member.packed().map_err(failed)?,
                    bytes_read: bytes_read.clone(),
                };
                return packed::unpack(member.unpacked(packed)).map_err(failed);
            }
        };
        packed::unpack(Box::new(Counting {
            inner: raw,
            bytes_read: bytes_read.clone(),
        }))
        .map_err(failed)
    }
}

/// The inputs behind the given paths: files as they are, folders and zip archives as the files in them that are `entity`
/// in `format` (by name, sorted), `-` as standard input.
///
/// # Errors
/// A path does not exist, or a folder has no such file.
pub(crate) fn expand(paths: &[PathBuf], entity: Entity, format: Format) -> Result<Vec<InputFile>, OpenError> {
    let mut inputs = Vec::new();
    for path in paths {
        let failed = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        if path.as_os_str() == "-" {
            inputs.push(InputFile::Stdin);
        } else if std::fs::metadata(path).map_err(failed)?.is_dir() {
            inputs.extend(folder(path, entity, format)?);
        } else if zipped::is_zip(path).map_err(failed)? {
            inputs.extend(archive(path, entity, format)?);
        } else {
            inputs.push(InputFile::Path(path.clone()));
        }
    }
    Ok(inputs)
}

/// The files of a folder. What Spark calls a file is a folder, too: of parts, with marks and checksums beside them.
fn folder(path: &Path, entity: Entity, format: Format) -> Result<Vec<InputFile>, OpenError> {
    let failed = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let (mut found, mut parts) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let candidate = entry.map_err(failed)?.path();
        let name = plain_name(&candidate);
        if belongs(&name, entity, format) {
            found.push(candidate);
        } else if is_part(&name, format) && std::fs::metadata(&candidate).map_err(failed)?.len() > 0 {
            parts.push(candidate);
        }
    }
    // A folder of parts holds nothing else, whatever it is called.
    let mut files = if found.is_empty() { parts } else { found };
    if files.is_empty() {
        return Err(nothing_in(path, entity, format));
    }
    files.sort();
    let mut inputs = Vec::new();
    for file in files {
        if file.is_dir() {
            inputs.extend(folder(&file, entity, format)?);
        } else if zipped::is_zip(&file).map_err(failed)? {
            inputs.extend(archive(&file, entity, format)?);
        } else {
            inputs.push(InputFile::Path(file));
        }
    }
    Ok(inputs)
}

/// The files of a zip archive; its only file may have any name.
fn archive(path: &Path, entity: Entity, format: Format) -> Result<Vec<InputFile>, OpenError> {
    let mut members = zipped::members(path).map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    if members.len() > 1 {
        members.retain(|member| belongs(&plain_name(&member.shown), entity, format));
        members.sort_by(|one, other| one.shown.cmp(&other.shown));
    }
    if members.is_empty() {
        return Err(nothing_in(path, entity, format));
    }
    Ok(members.into_iter().map(InputFile::Zipped).collect())
}

fn nothing_in(path: &Path, entity: Entity, format: Format) -> OpenError {
    OpenError::EmptyFolder {
        path: path.to_owned(),
        entity,
        looked_for: names(entity, format),
    }
}

/// What Spark, Hive and BigQuery call the parts of one file.
fn is_part(name: &str, format: Format) -> bool {
    let ends: &[&str] = match format {
        Format::Jsonl => &[".json", ".jsonl", ".ndjson"],
        Format::Csv => &[".csv", ".tsv"],
        Format::Parquet => &[".parquet"],
        Format::Movielens
        | Format::Kuairand
        | Format::Gorse
        | Format::Retailrocket
        | Format::Yoochoose
        | Format::Lastfm
        | Format::Amazon => &[],
    };
    name.starts_with("part-") && ends.iter().any(|end| name.ends_with(end))
}

/// The file's name in lower case without a trailing `.gz`, `.zst` or `.zip`.
pub(super) fn plain_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let packed = [".gz", ".zst", ".zip"];
    let plain = packed.iter().find_map(|end| name.strip_suffix(end));
    plain.map_or(name.clone(), str::to_owned)
}

/// The names by which a folder's files are known, for people. [`belongs`] is the rule itself.
fn names(entity: Entity, format: Format) -> &'static str {
    match (format, entity) {
        (Format::Jsonl, Entity::Items) => "items*.jsonl, items*.ndjson",
        (Format::Jsonl, Entity::Users) => "users*.jsonl, users*.ndjson",
        (Format::Jsonl, Entity::Events) => "events*.jsonl, events*.ndjson",
        (Format::Csv, Entity::Items) => "items*.csv, items*.tsv",
        (Format::Csv, Entity::Users) => "users*.csv, users*.tsv",
        (Format::Csv, Entity::Events) => "events*.csv, events*.tsv",
        (Format::Parquet, Entity::Items) => "items*.parquet",
        (Format::Parquet, Entity::Users) => "users*.parquet",
        (Format::Parquet, Entity::Events) => "events*.parquet, *Z-*.parquet",
        (Format::Movielens, Entity::Items) => "*.item, movies.dat, movies.csv, movie.csv",
        (Format::Movielens, Entity::Users) => "*.user, users.dat",
        (Format::Movielens, Entity::Events) => "*.inter, u.data, ratings.dat, ratings.csv, rating.csv",
        (Format::Kuairand, Entity::Items) => "video_features_basic*.csv",
        (Format::Kuairand, Entity::Users) => "user_features*.csv",
        (Format::Kuairand, Entity::Events) => "log_*.csv",
        (Format::Gorse, Entity::Items) => "items*.jsonl, items*.json",
        (Format::Gorse, Entity::Users) => "users*.jsonl, users*.json",
        (Format::Gorse, Entity::Events) => "feedback*.jsonl, feedback*.json",
        (Format::Retailrocket, Entity::Items) => "item_properties*.csv",
        (Format::Retailrocket, Entity::Events) => "events.csv",
        (Format::Yoochoose, Entity::Events) => "yoochoose-clicks*.dat, yoochoose-buys*.dat, yoochoose-test*.dat",
        (Format::Lastfm, Entity::Items | Entity::Events) => "userid-timestamp-*.tsv",
        (Format::Lastfm, Entity::Users) => "userid-profile.tsv",
        (Format::Amazon, Entity::Items) => "meta_*.json, meta_*.jsonl",
        (Format::Amazon, Entity::Events) => "reviews_*.json, ratings*.csv, *.ratings.csv, *_5.json, *review*.jsonl",
        (Format::Retailrocket | Format::Amazon, Entity::Users) | (Format::Yoochoose, Entity::Users | Entity::Items) => {
            "nothing: the data set has no such files"
        }
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
    fn a_folder_of_spark_is_its_parts_wherever_it_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        let spark = folder.path().join("events.parquet");
        std::fs::create_dir(&spark).expect("made");
        for name in [
            "part-00001-x.snappy.parquet",
            "part-00000-x.snappy.parquet",
            "_SUCCESS",
            ".part-00000-x.snappy.parquet.crc",
        ] {
            std::fs::write(spark.join(name), "x").expect("written");
        }
        std::fs::write(spark.join("part-00002-x.snappy.parquet"), "").expect("written");
        for path in [&spark, &folder.path().to_owned()] {
            let found = expand(std::slice::from_ref(path), Entity::Events, Format::Parquet).expect("found");
            let names: Vec<_> = found.iter().map(|input| plain_name(input.path())).collect();
            assert_eq!(names, ["part-00000-x.snappy.parquet", "part-00001-x.snappy.parquet"]);
        }
        assert!(expand(&[spark], Entity::Events, Format::Csv).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = expand(&[PathBuf::from("/nowhere/x.jsonl")], Entity::Items, Format::Jsonl).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/x.jsonl"), "{error}");
    }
}
