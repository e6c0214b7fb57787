//! What a swipe costs: from the event to the finished slate, by catalogue size, by stage and by what the pool saves.
//!
//! `cargo bench -p swipeline-models --bench swipe`; criterion's numbers are wall time, the table at the end is CPU time
//! of the thread. `SWIPE_BENCH_ITEMS=10000,100000` measures only those sizes; `SWIPE_BENCH_PARAMS=FILE` puts a params
//! document (JSON, what differs from the defaults) in force. The second table is the first with the caches of the core
//! emptied before every swipe, as a server finds them that has something else to do, or nothing, in between.

mod swipe_world;

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use rustix::time::{ClockId, clock_gettime};
use swipe_world::{NOW, apply, viewer_of, world_of};
use swipeline_models::event::Signal;
use swipeline_models::ids::Row;
use swipeline_models::pipeline::{Effort, Query, RecallCause, Refill, STAGE_COUNT, Scratch, Slate, Stage, run};
use swipeline_models::recall::{Channel, Pool};
use swipeline_models::session::SessionState;
use swipeline_models::world::World;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Viewers who swipe by turns, so that none finds the caches as the one before has left them.
const VIEWERS: u64 = 32;
/// Swipes per line of the table.
const SWIPES: usize = 640;
const FEED_ITEMS: usize = 10;
/// More than the first two levels of caches hold.
const CHILL_BYTES: usize = 8 * 1024 * 1024;

/// Which swipe is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    /// A first feed: every channel is asked.
    FullRecall,
    /// A like: the live channels are asked, the pool is kept.
    Like,
    /// A skip: the pool is kept.
    Skip,
}

impl Case {
    const ALL: [Case; 3] = [Case::FullRecall, Case::Like, Case::Skip];

    fn name(self) -> &'static str {
        match self {
            Case::FullRecall => "full_recall",
            Case::Like => "like",
            Case::Skip => "skip",
        }
    }

    fn refill(self) -> Refill {
        match self {
            Case::FullRecall => Refill::Full(RecallCause::First),
            Case::Like => Refill::Live,
            Case::Skip => Refill::None,
        }
    }
}

/// A viewer who has a feed in hand and is about to swipe.
#[derive(Clone)]
struct Ready {
    state: SessionState,
    pool: Pool,
    /// The item that the viewer looks at.
    row: Row,
}

/// Nanoseconds of CPU that this thread has used.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as u64
}

fn wall_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn slate(world: &World, ready: &mut Ready, seed: u64, scratch: &mut Scratch, clock: &dyn Fn() -> u64) -> Slate {
    let params = world.params.load();
    let query = Query {
        n: FEED_ITEMS,
        now: NOW,
        seed,
        region: None,
        context: Default::default(),
        excluded: &[],
        limits: Default::default(),
        params: &params,
        explain: false,
        effort: Effort::Full,
        clock,
    };
    run(world, &ready.state, &mut ready.pool, &query, scratch)
}

/// One swipe: the event, then the slate that answers it.
fn swipe(
    world: &World,
    case: Case,
    ready: &mut Ready,
    seed: u64,
    scratch: &mut Scratch,
    clock: &dyn Fn() -> u64,
) -> Slate {
    match case {
        Case::FullRecall => ready.pool.state.filled_at = None,
        Case::Like => apply(world, &mut ready.state, ready.row, Signal::Like, NOW),
        Case::Skip => apply(world, &mut ready.state, ready.row, Signal::Skip, NOW),
    }
    slate(world, ready, seed, scratch, clock)
}

/// Viewers with a feed in hand.
fn viewers(world: &World, items: usize, scratch: &mut Scratch) -> Vec<Ready> {
    (0..VIEWERS)
        .map(|number| {
            let state = viewer_of(world, items, number);
            let mut ready = Ready {
                state,
                pool: Pool::default(),
                row: 0,
            };
            let first = slate(world, &mut ready, number, scratch, &|| 0);
            let liked = first
                .items
                .iter()
                .find(|item| item.channels.contains(Channel::Embedding));
            ready.row = liked.or(first.items.first()).expect("a slate").row;
            ready
        })
        .collect()
}

/// Medians of one line of the table, in microseconds.
struct Line {
    items: usize,
    case: Case,
    event_us: f64,
    stage_us: [f64; STAGE_COUNT],
    channel_us: Vec<(&'static str, f64)>,
    total_us: f64,
    pool: usize,
    ranked: u32,
    /// Share of the swipes that the case's refill answered; the others needed a full recall and are left out.
    share: f64,
}

fn median_us(nanoseconds: impl Iterator<Item = u64>) -> f64 {
    let mut sorted: Vec<u64> = nanoseconds.collect();
    sorted.sort_unstable();
    sorted
        .get(sorted.len() / 2)
        .map_or(f64::NAN, |middle| *middle as f64 / 1_000.0)
}

/// How a measured swipe finds the caches of the core.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Caches {
    /// As the swipe before has left them.
    Warm,
    /// Without anything of the swipe before.
    Cold,
}

/// Drives what a swipe needs out of the caches of the core.
fn chill(memory: &mut [u8]) {
    /// Bytes of a cache line.
    const LINE: usize = 64;
    memory
        .iter_mut()
        .step_by(LINE)
        .for_each(|byte| *byte = byte.wrapping_add(1));
    black_box(memory);
}

/// Measures CPU time by stage.
fn measure(
    world: &World,
    items: usize,
    (case, caches): (Case, Caches),
    viewers: &[Ready],
    scratch: &mut Scratch,
) -> Line {
    let mut memory = vec![0; CHILL_BYTES];
    let mut runs: Vec<(u64, u64, Slate, usize)> = Vec::with_capacity(SWIPES);
    for number in 0..SWIPES {
        let mut ready = viewers[number % viewers.len()].clone();
        if caches == Caches::Cold {
            chill(&mut memory);
        }
        let started = thread_cpu_ns();
        let slate = swipe(world, case, &mut ready, number as u64, scratch, &thread_cpu_ns);
        let total = thread_cpu_ns() - started;
        assert_eq!(slate.items.len(), FEED_ITEMS);
        let event = total.saturating_sub(slate.report.stage_ns.iter().sum());
        runs.push((total, event, slate, ready.pool.len()));
    }
    runs.retain(|(_, _, slate, _)| slate.report.refill == case.refill());
    let report = |run: &(u64, u64, Slate, usize)| run.2.report.clone();
    let channel_us = Channel::ALL
        .into_iter()
        .map(|channel| {
            (
                channel.name(),
                median_us(runs.iter().map(|run| report(run).channels[channel.number()].took_ns)),
            )
        })
        .filter(|(_, us)| *us > 0.0)
        .collect();
    let middle = runs.len() / 2;
    Line {
        items,
        case,
        event_us: median_us(runs.iter().map(|run| run.1)),
        stage_us: Stage::ALL.map(|stage| median_us(runs.iter().map(|run| run.2.report.stage_ns[stage as usize]))),
        channel_us,
        total_us: median_us(runs.iter().map(|run| run.0)),
        pool: runs.get(middle).map_or(0, |run| run.3),
        ranked: runs.get(middle).map_or(0, |run| run.2.report.ranked),
        share: runs.len() as f64 / SWIPES as f64,
    }
}

fn print_table(caches: Caches, lines: &[Line]) {
    println!(
        "\nCPU per swipe by stage, {caches:?} caches, median of {SWIPES} swipes of {VIEWERS} viewers, in microseconds\n"
    );
    print!("{:>9} {:>12} {:>7}", "items", "swipe", "event");
    Stage::ALL.iter().for_each(|stage| print!(" {:>9}", stage.name()));
    println!(" {:>9} {:>6} {:>7} {:>6}", "total", "pool", "ranked", "share");
    for line in lines {
        print!("{:>9} {:>12} {:>7.1}", line.items, line.case.name(), line.event_us);
        line.stage_us.iter().for_each(|us| print!(" {us:>9.1}"));
        println!(
            " {:>9.1} {:>6} {:>7} {:>5.0}%",
            line.total_us,
            line.pool,
            line.ranked,
            100.0 * line.share
        );
    }
    println!("\nRecall by channel\n");
    for line in lines.iter().filter(|line| !line.channel_us.is_empty()) {
        let channels: Vec<String> = line
            .channel_us
            .iter()
            .map(|(name, us)| format!("{name} {us:.1}"))
            .collect();
        println!("{:>9} {:>12}  {}", line.items, line.case.name(), channels.join("  "));
    }
}

/// Puts the document that the environment names in force.
fn put_params(world: &World) {
    let Ok(path) = std::env::var("SWIPE_BENCH_PARAMS") else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("a readable document");
    let document = serde_json::from_str(&text).expect("JSON");
    let params = swipeline_models::params::parse(document).expect("valid params");
    world.set_params(std::sync::Arc::new(params));
}

fn sizes() -> Vec<usize> {
    let named = std::env::var("SWIPE_BENCH_ITEMS").ok();
    let parsed = named.map(|sizes| {
        sizes
            .split(',')
            .filter_map(|size| size.trim().parse().ok())
            .collect::<Vec<_>>()
    });
    match parsed.filter(|sizes| !sizes.is_empty()) {
        Some(sizes) => sizes,
        // Run as a test only the smallest world is built.
        None if std::env::args().any(|argument| argument == "--test") => SIZES[..1].to_vec(),
        None => SIZES.to_vec(),
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for items in sizes() {
        let started = wall_ns();
        let world = world_of(items);
        put_params(&world);
        println!("{items} items set up in {:.1} s", (wall_ns() - started) as f64 / 1e9);
        let mut scratch = Scratch::default();
        let viewers = viewers(&world, items, &mut scratch);
        for case in Case::ALL {
            let mut number = 0;
            criterion.bench_function(&format!("swipe/{}/{items}", case.name()), |bencher| {
                bencher.iter_batched_ref(
                    || {
                        number += 1;
                        viewers[number % viewers.len()].clone()
                    },
                    |ready| black_box(swipe(&world, case, ready, 7, &mut scratch, &|| 0)),
                    BatchSize::SmallInput,
                );
            });
            warm.push(measure(&world, items, (case, Caches::Warm), &viewers, &mut scratch));
            cold.push(measure(&world, items, (case, Caches::Cold), &viewers, &mut scratch));
        }
    }
    criterion.final_summary();
    print_table(Caches::Warm, &warm);
    print_table(Caches::Cold, &cold);
}
