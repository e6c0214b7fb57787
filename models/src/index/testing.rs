//! Seeded data and the brute-force yardstick for the tests of this folder.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{ExactIndex, ExactIndexWriter, SearchScratch, VectorIndex, dot_f32, normalise};

/// Unit vectors around random centres. `spread` is the deviation within a cluster relative to the centres' own; a large
/// one gives even data, a small one crowds of near-duplicates.
pub(super) fn clustered(rows: usize, dimension: usize, clusters: usize, spread: f32, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    // The sum of four uniform numbers is near enough to a normal one.
    let mut normal = move || (0..4).map(|_| random.random_range(-1.0_f32..1.0)).sum::<f32>();
    let centres: Vec<Vec<f32>> = (0..clusters)
        .map(|_| (0..dimension).map(|_| normal()).collect())
        .collect();
    (0..rows)
        .map(|row| {
            let raw: Vec<f32> = centres[row * 31 % clusters]
                .iter()
                .map(|centre| centre + spread * normal())
                .collect();
            let mut unit = vec![0.0; dimension];
            normalise(&raw, &mut unit).expect("random vectors have a direction");
            unit
        })
        .collect()
}

/// An exact index with `data[row]` as the vector of each row.
pub(super) fn exact(data: &[Vec<f32>]) -> Arc<ExactIndex> {
    let mut writer = ExactIndexWriter::new(data[0].len()).expect("a supported dimension");
    for (row, vector) in data.iter().enumerate() {
        writer.upsert(row as u32, vector).expect("a valid vector");
    }
    writer.publish()
}

pub(super) fn admit_all(_row: u32) -> bool {
    true
}

/// The `k` nearest admitted rows, by scoring all of them.
pub(super) fn brute_force(data: &[Vec<f32>], query: &[f32], k: usize, admit: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let mut scored: Vec<(f32, u32)> = (0..data.len() as u32)
        .filter(|&row| admit(row))
        .map(|row| (dot_f32(&data[row as usize], query), row))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(k);
    scored.into_iter().map(|(_, row)| row).collect()
}

/// Share of the true `k` nearest that the index finds for one query; also checks length and order of the answer.
pub(super) fn recall_of(
    index: &dyn VectorIndex,
    data: &[Vec<f32>],
    query: &[f32],
    k: usize,
    admit: &dyn Fn(u32) -> bool,
) -> f64 {
    let expected = brute_force(data, query, k, admit);
    let mut out = Vec::new();
    index.search(query, k, &mut |row| admit(row), &mut SearchScratch::default(), &mut out);
    assert_eq!(out.len(), expected.len(), "k rows are admissible, so k come back");
    assert!(out.is_sorted_by(|a, b| a.score > b.score || (a.score == b.score && a.row < b.row)));
    assert!(out.iter().all(|found| admit(found.row)));
    let hits = expected
        .iter()
        .filter(|&&row| out.iter().any(|found| found.row == row))
        .count();
    hits as f64 / expected.len() as f64
}

/// Mean of [`recall_of`] over queries that lie between two items each, as an interest does.
pub(super) fn recall(
    index: &dyn VectorIndex,
    data: &[Vec<f32>],
    k: usize,
    queries: usize,
    admit: &dyn Fn(u32) -> bool,
) -> f64 {
    let total: f64 = (0..queries)
        .map(|query| {
            let (a, b) = (&data[query * 97 % data.len()], &data[(query * 389 + 5) % data.len()]);
            let between: Vec<f32> = a.iter().zip(b).map(|(a, b)| 0.8 * a + 0.2 * b).collect();
            recall_of(index, data, &between, k, admit)
        })
        .sum();
    total / queries as f64
}
