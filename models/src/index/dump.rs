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
mod tests {
    use tempfile::TempDir;

    use super::super::testing::{self, admit_all};
    use super::super::{BuildThreads, ExactIndexWriter};
    use super::*;

    fn built() -> (Vec<Vec<f32>>, HnswIndex) {
        let data = testing::clustered(1_200, 8, 10, 0.6, 67);
        let index = HnswIndex::build(testing::exact(&data), HnswParams::default(), BuildThreads::One);
        (data, index.expect("settings in range"))
    }

    fn dumped() -> (Vec<Vec<f32>>, HnswIndex, TempDir) {
        let (data, index) = built();
        let directory = tempfile::tempdir().expect("a temporary directory");
        dump_hnsw(&index, directory.path()).expect("a writable directory");
        (data, index, directory)
    }

    fn answer(index: &HnswIndex, query: &[f32]) -> Vec<super::super::Neighbour> {
        let (mut scratch, mut out) = Default::default();
        index.search(query, 50, &mut admit_all, &mut scratch, &mut out);
        out
    }

    fn load(directory: &TempDir, index: &HnswIndex) -> Result<HnswIndex, DumpError> {
        load_hnsw(directory.path(), index.rows(), index.params())
    }

    fn files(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).expect("a readable directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_loaded_graph_answers_like_the_dumped_one_and_can_be_dumped_again() {
        let (data, index, directory) = dumped();
        let loaded = load(&directory, &index).expect("a sound dump");
        assert_eq!(
            (loaded.len(), loaded.tombstones(), loaded.stranded()),
            (1_200, 0, index.stranded())
        );
        for row in (0..1_200).step_by(100) {
            assert_eq!(answer(&loaded, &data[row]), answer(&index, &data[row]));
        }
        dump_hnsw(&loaded, directory.path()).expect("a writable directory");
        assert_eq!(files(&directory), ["graph-2.hnsw.data", "graph-2.hnsw.graph", MANIFEST]);
        assert_eq!(load(&directory, &index).expect("a sound dump").len(), 1_200);
    }

    #[test]
    fn a_dump_that_is_a_little_behind_is_fitted_to_the_rows() {
        let (mut data, index, directory) = dumped();
        let mut writer = ExactIndexWriter::from(ExactIndex::clone(&index.rows()));
        assert!(writer.remove(3));
        data[4] = data[4].iter().map(|component| -component).collect();
        data.push(data[5].iter().rev().copied().collect());
        for row in [4, 1_200] {
            writer.upsert(row as u32, &data[row]).expect("a valid vector");
        }
        let loaded = load_hnsw(directory.path(), writer.publish(), index.params()).expect("a sound dump");
        assert_eq!((loaded.len(), loaded.tombstones()), (1_200, 2));
        assert_eq!(answer(&loaded, &data[4])[0].row, 4);
        assert_eq!(answer(&loaded, &data[1_200])[0].row, 1_200);
        assert!(answer(&loaded, &data[3]).iter().all(|found| found.row != 3));
    }

    #[test]
    fn a_dump_of_other_rows_settings_or_dimensions_is_refused() {
        let (_, index, directory) = dumped();
        let other = |rows, dimension| testing::exact(&testing::clustered(rows, dimension, 10, 0.6, 71));
        let fit = |rows, params| load_hnsw(directory.path(), rows, params).expect_err("it does not fit");
        let behind = fit(other(1_200, 8), index.params());
        assert!(
            matches!(behind, DumpError::Graph(HnswError::TooFarBehind { missing: 1_200, .. })),
            "{behind}"
        );
        let dimension = fit(other(10, 9), index.params());
        assert!(
            matches!(dimension, DumpError::Graph(HnswError::WrongDimension { .. })),
            "{dimension}"
        );
        let settings = fit(index.rows(), HnswParams { m: 8, ..index.params() });
        assert!(matches!(settings, DumpError::OtherSettings { m: 16, .. }), "{settings}");
    }

    #[test]
    fn every_truncated_or_altered_file_is_refused_before_the_library_reads_it() {
        let (_, index, directory) = dumped();
        for file in files(&directory) {
            let path = directory.path().join(&file);
            let sound = fs::read(&path).expect("a readable file");
            for length in [0, 1, sound.len() / 3, sound.len() - 1] {
                fs::write(&path, &sound[..length]).expect("a writable file");
                let error = load(&directory, &index).expect_err("it is truncated");
                assert!(
                    matches!(error, DumpError::Length { .. } | DumpError::Manifest(_)),
                    "{file}: {error}"
                );
            }
            for position in (0..40).map(|part| part * (sound.len() - 1) / 39) {
                let mut altered = sound.clone();
                altered[position] ^= 1 << (position % 7);
                fs::write(&path, &altered).expect("a writable file");
                let error = load(&directory, &index).expect_err("a bit is flipped");
                assert!(
                    matches!(error, DumpError::Checksum { .. } | DumpError::Manifest(_)),
                    "{file}: {error}"
                );
            }
            fs::remove_file(&path).expect("a removable file");
            let error = load(&directory, &index).expect_err("a file is gone");
            assert!(
                matches!(error, DumpError::Absent | DumpError::Io { .. }),
                "{file}: {error}"
            );
            fs::write(&path, &sound).expect("a writable file");
        }
        assert_eq!(load(&directory, &index).expect("whole again").len(), 1_200);
    }

    #[test]
    fn an_empty_graph_or_an_unwritable_place_is_an_error() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = Arc::new(ExactIndex::new(4).expect("a supported dimension"));
        let empty = HnswIndex::build(rows, HnswParams::default(), BuildThreads::One).expect("settings in range");
        assert!(matches!(dump_hnsw(&empty, directory.path()), Err(DumpError::Empty)));
        assert!(matches!(load(&directory, &empty), Err(DumpError::Absent)));
        let (_, index) = built();
        let file = directory.path().join("a file");
        fs::write(&file, b"").expect("a writable directory");
        assert!(matches!(dump_hnsw(&index, &file), Err(DumpError::Io { .. })));
    }
}
