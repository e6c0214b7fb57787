//! The graph on disk, in a directory that the caller names.
//!
//! Owns: the manifest that is written last and says of every file how long it is and what its checksum is. Must not hand
//! hnsw_rs a file that is not exactly what was written: on a short file it ends the process, on an altered one it panics or
//! asks for any amount of memory. Vectors are not taken from here; the graph is fitted to the rows that the caller has.
//!
//! A dump is complete or absent: files get a new name each time, the manifest replaces the old one by a rename, and only
//! then are the old files removed.

use std::any::Any;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use hnsw_rs::prelude::{AnnT, HnswIo};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

use super::VectorIndex;
use super::exact::ExactIndex;
use super::graph_state::ClampedCosine;
use super::hnsw::{HnswIndex, LoadedGraph};
use super::hnsw_params::{HnswError, HnswParams};
use super::manifest::{Manifest, SUFFIXES};

const MANIFEST: &str = "graph.manifest";
const MANIFEST_UNFINISHED: &str = "graph.manifest.tmp";
/// A manifest with the longest list of stranded rows stays far below this.
const MANIFEST_BYTES_MAX: u64 = 64 * 1_024;
const READ_BYTES: usize = 1 << 20;

/// Why a dump was not written or not read.
#[derive(Debug, Error)]
pub enum DumpError {
    /// A file could not be read or written.
    #[error("{file}: {error}")]
    Io {
        /// Name of the file within the directory.
        file: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// There is no manifest, so no dump was ever completed here.
    #[error("there is no dump of the graph")]
    Absent,
    /// The manifest is cut off, altered or of another version.
    #[error("the manifest of the graph's dump is not usable: {0}")]
    Manifest(&'static str),
    /// A file has another length than the manifest says.
    #[error("{file} has {found} bytes instead of {expected}")]
    Length {
        /// Name of the file.
        file: String,
        /// Length in the manifest.
        expected: u64,
        /// Length on disk.
        found: u64,
    },
    /// A file has the right length and other contents than were written.
    #[error("{file} is damaged: its checksum does not match")]
    Checksum {
        /// Name of the file.
        file: String,
    },
    /// A graph without points cannot be written.
    #[error("the graph has no points to write")]
    Empty,
    /// The dump was made with other settings, so the graph has to be built anew.
    #[error("the graph was built with m = {m}, ef_construction = {ef_construction}")]
    OtherSettings {
        /// Links of a point in the dump.
        m: usize,
        /// Width of the beam with which it was built.
        ef_construction: usize,
    },
    /// hnsw_rs refused or panicked although the files are what was written.
    #[error("the graph library failed: {0}")]
    Library(String),
    /// The loaded graph does not fit the rows.
    #[error(transparent)]
    Graph(#[from] HnswError),
}

/// Writes the graph of `index` into `directory`, which is made when it does not exist. Searches go on meanwhile,
/// insertions wait.
///
/// # Errors
/// [`DumpError`]; an earlier dump in the directory then stays what it was.
pub fn dump_hnsw(index: &HnswIndex, directory: &Path) -> Result<(), DumpError> {
    fs::create_dir_all(directory).map_err(io_error("the directory"))?;
    let still = index.hold_still();
    let points = still.graph.get_nb_point();
    if points == 0 {
        return Err(DumpError::Empty);
    }
    let generation = read_manifest(directory)
        .map_or(0, |earlier| earlier.generation)
        .wrapping_add(1);
    let name = base_name(generation);
    let written = catch_unwind(AssertUnwindSafe(|| still.graph.file_dump(directory, &name)));
    match written {
        Ok(Ok(written_name)) if written_name == name => {}
        Ok(Ok(other)) => return Err(DumpError::Library(format!("the dump was written as {other}"))),
        Ok(Err(error)) => return Err(DumpError::Library(error.to_string())),
        Err(panic) => return Err(DumpError::Library(panic_text(&*panic))),
    }
    let mut files = [(0, 0); 2];
    for (file, suffix) in files.iter_mut().zip(SUFFIXES) {
        let file_name = format!("{name}.{suffix}");
        File::open(directory.join(&file_name))
            .and_then(|file| file.sync_all())
            .map_err(io_error(&file_name))?;
        *file = measure(directory, &file_name)?;
    }
    let params = index.params();
    let manifest = Manifest {
        generation,
        dimension: index.dim(),
        points,
        built_points: still.built_points,
        m: params.m,
        ef_construction: params.ef_construction,
        stranded: still.stranded,
        files,
    };
    write_manifest(directory, &manifest)?;
    remove_other_generations(directory, &name);
    Ok(())
}

/// Reads a dump and fits the graph to `rows`: points whose row was removed or has another vector by now become tombstones,
/// rows that the graph lacks are inserted. `params` must name the settings of the build; the search width is free.
///
/// hnsw_rs ties a loaded graph to its loader for life, so about a hundred bytes a call are never freed.
///
/// # Errors
/// [`DumpError`] says what is wrong; the caller then lets the exact scan serve and builds the graph anew.
pub fn load_hnsw(directory: &Path, rows: Arc<ExactIndex>, params: HnswParams) -> Result<HnswIndex, DumpError> {
    let manifest = read_manifest(directory)?;
    let (m, ef_construction) = (manifest.m, manifest.ef_construction);
    if (m, ef_construction) != (params.m, params.ef_construction) {
        return Err(DumpError::OtherSettings { m, ef_construction });
    }
    if manifest.dimension != rows.dim() {
        return Err(HnswError::WrongDimension {
            expected: manifest.dimension,
            found: rows.dim(),
        }
        .into());
    }
    let name = base_name(manifest.generation);
    for ((length, checksum), suffix) in manifest.files.into_iter().zip(SUFFIXES) {
        let file = format!("{name}.{suffix}");
        let (found_length, found_checksum) = measure(directory, &file)?;
        if found_length != length {
            return Err(DumpError::Length {
                file,
                expected: length,
                found: found_length,
            });
        }
        if found_checksum != checksum {
            return Err(DumpError::Checksum { file });
        }
    }
    let loader: &'static HnswIo = Box::leak(Box::new(HnswIo::new(directory, &name)));
    let loaded = catch_unwind(AssertUnwindSafe(|| loader.load_hnsw_with_dist(ClampedCosine)));
    let mut graph = match loaded {
        Ok(Ok(graph)) => graph,
        Ok(Err(error)) => return Err(DumpError::Library(error.to_string())),
        Err(panic) => return Err(DumpError::Library(panic_text(&*panic))),
    };
    if graph.get_nb_point() != manifest.points {
        return Err(DumpError::Manifest(
            "it names another number of points than the graph has",
        ));
    }
    // A load sets this, a build does not.
    graph.set_extend_candidates(false);
    let loaded = LoadedGraph {
        graph,
        built_points: manifest.built_points,
        stranded: manifest.stranded,
    };
    Ok(HnswIndex::adopt(loaded, rows, params)?)
}

fn base_name(generation: u64) -> String {
    format!("graph-{generation}")
}

/// Length and xxh3 of a file.
fn measure(directory: &Path, file_name: &str) -> Result<(u64, u64), DumpError> {
    let mut file = File::open(directory.join(file_name)).map_err(io_error(file_name))?;
    let (mut length, mut hasher) = (0_u64, Xxh3Default::new());
    let mut bytes = vec![0; READ_BYTES];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok((length, hasher.digest())),
            Ok(count) => {
                length += count as u64;
                hasher.update(&bytes[..count]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(file_name)(error)),
        }
    }
}

fn write_manifest(directory: &Path, manifest: &Manifest) -> Result<(), DumpError> {
    let unfinished = directory.join(MANIFEST_UNFINISHED);
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(manifest.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, directory.join(MANIFEST))?;
        File::open(directory)?.sync_all()
    };
    write().map_err(io_error(MANIFEST))
}

fn read_manifest(directory: &Path) -> Result<Manifest, DumpError> {
    let file = File::open(directory.join(MANIFEST)).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            DumpError::Absent
        } else {
            io_error(MANIFEST)(error)
        }
    })?;
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(io_error(MANIFEST))?;
    let text = String::from_utf8(bytes).map_err(|_| DumpError::Manifest("it is not text"))?;
    Manifest::from_text(&text).map_err(DumpError::Manifest)
}

/// Removes what earlier and interrupted dumps left. A file that cannot be removed does no harm: no manifest names it.
fn remove_other_generations(directory: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        let Some((base, suffix)) = file_name.split_once('.') else {
            continue;
        };
        if base.starts_with("graph-") && base != name && SUFFIXES.contains(&suffix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn io_error(file: &str) -> impl FnOnce(std::io::Error) -> DumpError + use<> {
    let file = file.to_owned();
    move |error| DumpError::Io { file, error }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests;
