//! What the collaborative channels cost: item-item neighbours and VMIS-kNN over 100 k items with a long tail, reading
//! and learning; and how long making the trending lists of 100 k active items takes.
//!
//! `cargo bench -p swipeline-models --bench collaborative`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_models::collaborative::{CoVisits, KnnScratch, RecentItem, RecentScratch, SessionKey, SessionKnn};
use swipeline_models::event::Signal;
use swipeline_models::ids::Row;
use swipeline_models::params::Params;
use swipeline_models::popularity::{ItemReading, ItemSignal, ItemStats, TrendingBuilder};
use swipeline_models::time::{DAY_MS, SECOND_MS, TimestampMs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ITEMS: u32 = 100_000;
const SESSIONS: usize = 200_000;
const SESSION_LENGTH: usize = 8;
const RECENT: usize = 10;
const LIMIT: usize = 100;
const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

/// Items of one session: one taste (a thousand items next to each other), a long tail inside it.
fn session(random: &mut Xoshiro256PlusPlus, length: usize) -> Vec<Row> {
    let taste = random.random_range(0..ITEMS / 1_000) * 1_000;
    (0..length)
        .map(|_| taste + (random.random_range(0.0_f64..1.0).powi(3) * 1_000.0) as u32)
        .collect()
}

fn recent_items(rows: &[Row]) -> Vec<RecentItem> {
    rows.iter()
        .zip(0..)
        .map(|(&row, second)| RecentItem {
            row,
            at: NOW.plus_ms(second * SECOND_MS),
            weight: 1.0,
        })
        .collect()
}

fn collaborative(criterion: &mut Criterion) {
    let params = Params::default().collaborative;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let (visits, index) = (CoVisits::default(), SessionKnn::default());
    for _ in 0..SESSIONS {
        let items = recent_items(&session(&mut random, SESSION_LENGTH));
        let mut key: Option<SessionKey> = None;
        for (number, item) in items.iter().enumerate() {
            visits.record(item.row, &items[..number], item.at, 1.0, &params);
            key = Some(index.extend(key, item.row, item.at, 1.0, &params));
        }
    }
    let viewers: Vec<Vec<Row>> = (0..512).map(|_| session(&mut random, RECENT)).collect();
    let mut viewer = viewers.iter().cycle();
    let mut next = move || viewer.next().map_or(&[][..], Vec::as_slice);

    let mut out = Vec::new();
    criterion.bench_function("co_visits_neighbours", |bencher| {
        bencher.iter(|| visits.neighbours(black_box(next()[0]), NOW, &params, &mut out));
    });
    let mut recent_scratch = RecentScratch::default();
    for (name, profile) in [("narrow", &params.narrow), ("wide", &params.wide)] {
        criterion.bench_function(&format!("co_visits_score_from_recent/{name}"), |bencher| {
            bencher.iter(|| {
                let recent = recent_items(next());
                visits.score_from_recent(
                    &recent,
                    profile,
                    NOW,
                    &params,
                    Some(LIMIT),
                    &mut recent_scratch,
                    &mut out,
                );
                black_box(out.len())
            });
        });
    }
    criterion.bench_function("co_visits_record", |bencher| {
        bencher.iter_batched(
            || recent_items(next()),
            |items| visits.record(items[RECENT - 1].row, &items[..RECENT - 1], NOW, 1.0, &params),
            BatchSize::SmallInput,
        );
    });
    let mut knn_scratch = KnnScratch::default();
    for (name, profile) in [("narrow", &params.narrow), ("wide", &params.wide)] {
        criterion.bench_function(&format!("session_knn_recommend/{name}"), |bencher| {
            bencher.iter(|| {
                let recent = recent_items(black_box(next()));
                index.recommend(&recent, None, profile, &params, Some(LIMIT), &mut knn_scratch, &mut out);
                black_box(out.len())
            });
        });
    }
    criterion.bench_function("session_knn_extend_8", |bencher| {
        bencher.iter(|| {
            let mut key = None;
            for &row in &next()[..SESSION_LENGTH] {
                key = Some(index.extend(key, row, NOW, 1.0, &params));
            }
            black_box(key)
        });
    });
}

fn trending(criterion: &mut Criterion) {
    let params = Params::default().popularity;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
    let mut readings: Vec<([u32; 2], ItemReading)> = Vec::new();
    for _ in 0..ITEMS {
        let mut stats = ItemStats::default();
        for _ in 0..random.random_range(1..12) {
            let ago_ms = (random.random_range(0.0_f64..1.0).powi(4) * (7 * DAY_MS) as f64) as i64;
            let signal = if random.random_range(0..3) == 0 {
                Signal::Like
            } else {
                Signal::View
            };
            let region = Some(random.random_range(0..10));
            stats.record(
                &ItemSignal {
                    signal,
                    at: NOW.plus_ms(-ago_ms),
                    watch_ms: 5_000,
                    region,
                    viewer: None,
                },
                NOW,
                &params,
            );
        }
        readings.push((
            [random.random_range(0..100), random.random_range(100..120)],
            stats.reading(NOW, &params),
        ));
    }
    criterion.bench_function("trending_lists_of_100k_items", |bencher| {
        bencher.iter(|| {
            let mut builder = TrendingBuilder::new(NOW, &params);
            for ((categories, reading), row) in readings.iter().zip(0..) {
                builder.add(row, categories, reading);
            }
            black_box(builder.build())
        });
    });
    let mut stats = ItemStats::default();
    let signal = ItemSignal {
        signal: Signal::Like,
        at: NOW,
        watch_ms: 0,
        region: Some(1),
        viewer: None,
    };
    criterion.bench_function("item_stats_record_and_read", |bencher| {
        bencher.iter(|| {
            stats.record(black_box(&signal), NOW, &params);
            black_box(stats.reading(NOW, &params))
        });
    });
}

criterion_group!(benches, collaborative, trending);
criterion_main!(benches);
