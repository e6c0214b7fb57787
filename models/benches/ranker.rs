//! CPU of the ranking stage: the bundled model through tract, the same network in plain Rust, the linear fallback, fusion.
//!
//! `cargo bench -p swipeline-models --bench ranker`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use swipeline_models::features::schema::{FEATURE_COUNT, Feature};
use swipeline_models::rank::mlp::{DenseLayer, MlpSpec};
use swipeline_models::rank::onnx::OnnxRanker;
use swipeline_models::rank::onnx_writer::write_onnx;
use swipeline_models::rank::prior::{bundled_ranker_bytes, prior_mlp};
use swipeline_models::rank::{FusionWeights, LinearRanker, OBJECTIVE_COUNT, RankScratch, Ranker};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Candidates of a slate, of a session's pool, of a full recall.
const BATCHES: [usize; 3] = [10, 200, 500];

/// Rows spread over the features' ranges (a Weyl sequence; no two columns in step).
fn feature_rows(n: usize) -> Vec<f32> {
    (0..n * FEATURE_COUNT)
        .map(|index| {
            let (low, high) = Feature::ALL[index % FEATURE_COUNT].range();
            low + (high - low) * ((index as f32 + 1.0) * 0.618_034).fract()
        })
        .collect()
}

/// A network of the shape that `swipeline train ranker` writes; its weights do not matter for the time.
fn trained_shape() -> MlpSpec {
    let layer = |rows: usize, cols: usize| DenseLayer {
        weights: (0..rows * cols)
            .map(|index| (index as f32 * 0.618_034).fract() * 0.2 - 0.1)
            .collect(),
        bias: vec![0.0; cols],
        rows,
        cols,
    };
    let layers = vec![layer(FEATURE_COUNT, 64), layer(64, 40), layer(40, OBJECTIVE_COUNT)];
    MlpSpec::new(layers, "bench").expect("the layers fit")
}

fn bench_rankers(criterion: &mut Criterion) {
    let onnx = OnnxRanker::load(bundled_ranker_bytes()).expect("the bundled model loads");
    let trained = OnnxRanker::load(&write_onnx(&trained_shape())).expect("it loads");
    let linear = LinearRanker::new();
    let plain = prior_mlp().expect("the tables fit");
    let mut group = criterion.benchmark_group("rank");
    for n in BATCHES {
        let rows = feature_rows(n);
        let mut scratch = RankScratch::new();
        group.throughput(Throughput::Elements(n as u64));
        let rankers: [(&str, &dyn Ranker); 3] = [("onnx", &onnx), ("onnx_trained", &trained), ("linear", &linear)];
        for (name, ranker) in rankers {
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new(name, n), |bencher| {
                bencher.iter(|| {
                    ranker
                        .score(black_box(&rows), n, &mut out, &mut scratch)
                        .expect("the rows are well-formed");
                    black_box(out.len())
                });
            });
        }
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("plain_forward", n), |bencher| {
            bencher.iter(|| {
                plain.forward(black_box(&rows), n, &mut out, &mut scratch);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn bench_fusion(criterion: &mut Criterion) {
    let weights = FusionWeights::default();
    let mut group = criterion.benchmark_group("fusion");
    for n in BATCHES {
        let objectives = vec![[0.25; OBJECTIVE_COUNT]; n];
        let pre_rank = vec![0.5; n];
        let mut scores = vec![0.0; n];
        group.bench_function(BenchmarkId::new("fuse_into", n), |bencher| {
            bencher.iter(|| {
                weights.fuse_into(
                    black_box(&objectives),
                    black_box(&pre_rank),
                    black_box(&pre_rank),
                    &mut scores,
                )
            });
        });
    }
    group.finish();
}

fn bench_load(criterion: &mut Criterion) {
    criterion.bench_function("load_and_warm_up", |bencher| {
        bencher.iter(|| OnnxRanker::load(black_box(bundled_ranker_bytes())).and_then(|mut ranker| ranker.warm_up()));
    });
}

criterion_group!(benches, bench_rankers, bench_fusion, bench_load);
criterion_main!(benches);
