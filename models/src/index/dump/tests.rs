//! Dumps that come back, fall behind, or were damaged.

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
