//! What one nearest-neighbour search costs: the exact scan against the graph, with and without the thousand nearest items
//! excluded, as they are for a viewer who has seen them.
//!
//! `cargo bench -p swipeline-models --bench vector_index`; building the larger graph takes minutes.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_models::index::{
    BuildThreads, ExactIndex, ExactIndexWriter, HnswIndex, HnswParams, SearchScratch, VectorIndex,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIMENSION: usize = 64;
const QUERIES: usize = 32;

/// Unit-free vectors in clusters of about 100 items, as a catalogue of videos has them.
fn vectors(rows: usize) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(rows as u64);
    let mut normal = move || (0..4).map(|_| random.random_range(-1.0_f32..1.0)).sum::<f32>();
    let clusters = (rows / 100).max(1);
    let centres: Vec<f32> = (0..clusters * DIMENSION).map(|_| normal()).collect();
    let mut vectors = Vec::with_capacity(rows * DIMENSION);
    for row in 0..rows {
        let cluster = row * 31 % clusters;
        vectors.extend((0..DIMENSION).map(|component| centres[cluster * DIMENSION + component] + 0.6 * normal()));
    }
    vectors
}

fn exact(vectors: &[f32]) -> Arc<ExactIndex> {
    let mut writer = ExactIndexWriter::new(DIMENSION).expect("a supported dimension");
    for (row, vector) in vectors.chunks(DIMENSION).enumerate() {
        writer.upsert(row as u32, vector).expect("a valid vector");
    }
    writer.publish()
}

/// Queries between two items each, as an interest lies, with the thousand nearest rows of each.
fn queries(vectors: &[f32], index: &ExactIndex) -> Vec<(Vec<f32>, HashSet<u32>)> {
    let rows = vectors.len() / DIMENSION;
    let (mut scratch, mut out) = (SearchScratch::default(), Vec::new());
    (0..QUERIES)
        .map(|query| {
            let (a, b) = (query * 9_973 % rows, (query * 7_919 + 5) % rows);
            let between =
                |component: usize| 0.8 * vectors[a * DIMENSION + component] + 0.2 * vectors[b * DIMENSION + component];
            let query: Vec<f32> = (0..DIMENSION).map(between).collect();
            index.search(&query, 1_000, &mut |_| true, &mut scratch, &mut out);
            (query, out.iter().map(|found| found.row).collect())
        })
        .collect()
}

fn measure(criterion: &mut Criterion, name: &str, index: &dyn VectorIndex, queries: &[(Vec<f32>, HashSet<u32>)]) {
    let (mut scratch, mut out) = (SearchScratch::default(), Vec::new());
    for k in [100, 300] {
        for excluded in [false, true] {
            let label = format!("{name}/k{k}/{}", if excluded { "1000_excluded" } else { "all" });
            let mut next = 0;
            criterion.bench_function(&label, |bencher| {
                bencher.iter(|| {
                    let (query, nearest) = &queries[next % QUERIES];
                    next += 1;
                    let mut admit = |row: u32| !excluded || !nearest.contains(&row);
                    index.search(black_box(query), k, &mut admit, &mut scratch, &mut out);
                    assert_eq!(out.len(), k);
                });
            });
        }
    }
}

fn bench_exact(criterion: &mut Criterion) {
    for (name, rows) in [("exact/10k", 10_000), ("exact/100k", 100_000), ("exact/1m", 1_000_000)] {
        let vectors = vectors(rows);
        let index = exact(&vectors);
        measure(criterion, name, &*index, &queries(&vectors, &index));
    }
}

fn bench_hnsw(criterion: &mut Criterion) {
    for (name, rows) in [("hnsw/10k", 10_000), ("hnsw/100k", 100_000)] {
        let vectors = vectors(rows);
        let rows = exact(&vectors);
        let index = HnswIndex::build(Arc::clone(&rows), HnswParams::default(), BuildThreads::All);
        measure(
            criterion,
            name,
            &index.expect("settings in range"),
            &queries(&vectors, &rows),
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(3));
    targets = bench_exact, bench_hnsw
}
criterion_main!(benches);
