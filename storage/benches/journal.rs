//! What an append costs and how many records a second get from append to commit, on the disk of this machine.

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use swipeline_storage::journal::{Durability, EmbeddedJournal, Journal, JournalOptions, MemoryJournal, NewRecord, Seq};
use swipeline_storage::partition::Partition;

/// About the size of an encoded event.
const PAYLOAD_BYTES: usize = 160;
const RECORDS_PER_ROUND: u64 = 10_000;

fn record(payload: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: 1,
        version: 1,
        partition: Partition(7),
        payload,
    }
}

fn open(dir: &Path, durability: Durability) -> EmbeddedJournal {
    let options = JournalOptions {
        durability,
        ..JournalOptions::default()
    };
    EmbeddedJournal::open(dir, options).expect("journal opens").0
}

/// Appends a round and waits until its last record is committed.
fn append_and_commit(journal: &dyn Journal, waiter: &tokio::runtime::Runtime, payload: &[u8], records: u64) -> Seq {
    let mut last = Seq::ZERO;
    for _ in 0..records {
        last = journal.append(record(payload)).expect("journal accepts");
    }
    waiter.block_on(journal.wait_committed(last)).expect("journal commits");
    // Keeps the disk from filling up.
    journal.trim(last).expect("journal trims");
    last
}

fn journal_benchmarks(criterion: &mut Criterion) {
    let waiter = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("runtime starts");
    let payload = vec![0xA5u8; PAYLOAD_BYTES];
    for (name, durability) in [("process", Durability::Process), ("fsync", Durability::Fsync)] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let journal = open(dir.path(), durability);
        let mut group = criterion.benchmark_group(format!("journal_{name}"));
        group.throughput(Throughput::Elements(RECORDS_PER_ROUND));
        group.bench_function("append_commit_10k", |bencher| {
            bencher.iter(|| append_and_commit(&journal, &waiter, black_box(&payload), RECORDS_PER_ROUND));
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function("append_wait_one", |bencher| {
            bencher.iter(|| append_and_commit(&journal, &waiter, black_box(&payload), 1));
        });
        group.finish();
    }
    append_benchmark(criterion, &payload);
    read_benchmark(criterion, &payload);
}

/// The call alone, without waiting for the commit.
fn append_benchmark(criterion: &mut Criterion, payload: &[u8]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let journal = open(dir.path(), Durability::Process);
    criterion.bench_function("journal_append_call", |bencher| {
        bencher.iter_batched(
            || {
                let committed = journal.flush().expect("journal flushes");
                journal.trim(committed).expect("journal trims");
            },
            |()| {
                for _ in 0..1_000 {
                    black_box(journal.append(record(black_box(payload))).expect("journal accepts"));
                }
            },
            BatchSize::PerIteration,
        );
    });
    let memory = MemoryJournal::default();
    criterion.bench_function("journal_append_call_memory", |bencher| {
        bencher.iter_batched(
            || memory.trim(Seq(u64::MAX)).expect("journal trims"),
            |_| {
                for _ in 0..1_000 {
                    black_box(memory.append(record(black_box(payload))).expect("journal accepts"));
                }
            },
            BatchSize::PerIteration,
        );
    });
}

/// Recovery speed: reading 100 000 records back.
fn read_benchmark(criterion: &mut Criterion, payload: &[u8]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let journal = open(dir.path(), Durability::Process);
    for _ in 0..100_000 {
        journal.append(record(payload)).expect("journal accepts");
    }
    journal.flush().expect("journal flushes");
    let mut group = criterion.benchmark_group("journal_read");
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(20);
    group.bench_function("read_100k", |bencher| {
        bencher.iter(|| journal.read_from(Seq::ZERO).expect("journal is read").count());
    });
    group.finish();
}

criterion_group!(benches, journal_benchmarks);
criterion_main!(benches);
