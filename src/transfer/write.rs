//! Writing items, users and events as `jsonl` or Parquet.
//!
//! Owns that a file appears whole or not at all: rows go to a file beside the target, which takes its name at the end.
//! A name that ends in `.gz` is written as gzip (`jsonl` only: Parquet is compressed by itself).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use swipeline_storage::table::{Cell, Table, TableError, TableWriter};

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The file cannot be written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A row cannot be put into JSON.
    #[error("a row cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A row cannot be put into Parquet.
    #[error("a row cannot be written as Parquet: {0}")]
    Table(#[from] TableError),
}

enum Target {
    Stdout(BufWriter<std::io::Stdout>),
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Target {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Target::Stdout(writer) => writer,
            Target::Plain(writer) => writer,
            Target::Gzip(writer) => writer.as_mut(),
        }
    }
}

/// Writes one JSON object per line.
pub(crate) struct JsonlWriter {
    path: PathBuf,
    part: PathBuf,
    target: Target,
    rows: u64,
}

impl JsonlWriter {
    /// Opens `path` for writing; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn create(path: &Path) -> Result<Self, WriteError> {
        let part = part_of(path);
        let open = || {
            File::create(&part)
                .map(BufWriter::new)
                .map_err(|source| WriteError::Io {
                    path: part.clone(),
                    source,
                })
        };
        let target = if path.as_os_str() == "-" {
            Target::Stdout(BufWriter::new(std::io::stdout()))
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            Target::Gzip(Box::new(GzEncoder::new(open()?, Compression::default())))
        } else {
            Target::Plain(open()?)
        };
        Ok(Self {
            path: path.to_owned(),
            part,
            target,
            rows: 0,
        })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// The row cannot be put into JSON, or the file cannot be written.
    pub(crate) fn write<T: Serialize>(&mut self, row: &T) -> Result<(), WriteError> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.target.writer().write_all(&line).map_err(|source| WriteError::Io {
            path: self.path.clone(),
            source,
        })?;
        self.rows += 1;
        Ok(())
    }

    /// Puts everything on the disk under its final name and returns the number of rows.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub(crate) fn finish(self) -> Result<u64, WriteError> {
        let Self {
            path,
            part,
            target,
            rows,
        } = self;
        let failed = |source| WriteError::Io {
            path: path.clone(),
            source,
        };
        let buffered = match target {
            Target::Stdout(mut writer) => {
                writer.flush().map_err(failed)?;
                return Ok(rows);
            }
            Target::Plain(writer) => writer,
            Target::Gzip(encoder) => encoder.finish().map_err(failed)?,
        };
        let file = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&part, &path).map_err(failed)?;
        Ok(rows)
    }
}

/// Where rows go until all of them are written.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

/// Writes a Parquet file.
pub(crate) struct ParquetWriter {
    path: PathBuf,
    /// The file under its first name, to sync it; `None` for standard output.
    file: Option<(PathBuf, File)>,
    writer: TableWriter,
}

impl ParquetWriter {
    /// Opens `path` for rows of `table`; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn create(path: &Path, table: &Table) -> Result<Self, WriteError> {
        let (file, output): (_, Box<dyn Write + Send>) = if path.as_os_str() == "-" {
            (None, Box::new(BufWriter::new(std::io::stdout())))
        } else {
            let part = part_of(path);
            let opened = File::create(&part).and_then(|file| Ok((file.try_clone()?, file)));
            let (to_sync, file) = opened.map_err(|source| WriteError::Io {
                path: part.clone(),
                source,
            })?;
            (Some((part, to_sync)), Box::new(BufWriter::new(file)))
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            writer: TableWriter::new(output, table)?,
        })
    }

    /// Writes one row: a cell per column.
    ///
    /// # Errors
    /// The row does not fit the table, or the file cannot be written.
    pub(crate) fn write(&mut self, row: Vec<Cell>) -> Result<(), WriteError> {
        Ok(self.writer.write(row)?)
    }

    /// Puts everything on the disk under its final name and returns the number of rows.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub(crate) fn finish(self) -> Result<u64, WriteError> {
        let rows = self.writer.finish()?;
        if let Some((part, file)) = self.file {
            let renamed = file.sync_all().and_then(|()| std::fs::rename(&part, &self.path));
            renamed.map_err(|source| WriteError::Io {
                path: self.path,
                source,
            })?;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_takes_its_name_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let mut writer = JsonlWriter::create(&path).expect("created");
        writer.write(&serde_json::json!({"id": "v1"})).expect("written");
        assert!(!path.exists());
        assert_eq!(writer.finish().expect("finished"), 1);
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"id\":\"v1\"}\n");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_target_that_cannot_be_written_is_named() {
        let error = JsonlWriter::create(Path::new("/nowhere/out.jsonl"))
            .err()
            .expect("cannot be created");
        assert!(error.to_string().contains("/nowhere/out.jsonl"), "{error}");
    }
}
