//! `swipeline-loadtest floor` and its child.

use swipeline_loadtest::floor::{self, FloorConfig, FloorRun, floor_frames};

use super::Verdict;
use super::arguments::{FloorArgs, FloorServerArgs};

pub(crate) async fn floor(args: FloorArgs) -> anyhow::Result<Verdict> {
    let config = FloorConfig {
        program: std::env::current_exe()?,
        proto: args.proto,
        feed_items: usize::from(args.feed_items),
        sessions: usize::from(args.sessions),
        duration: args.duration,
        workers: usize::from(args.workers),
        rate: args.rate,
    };
    let mut runs = Vec::with_capacity(usize::from(args.runs));
    println!(
        "{:>4}{:>12}{:>14}{:>14}{:>10}{:>10}",
        "run", "swipes/s", "server µs", "client µs", "p50 µs", "p99 µs"
    );
    for number in 1..=args.runs {
        let run = Box::pin(floor::measure(&config)).await?;
        println!(
            "{number:>4}{:>12.0}{:>14.2}{:>14.2}{:>10}{:>10}",
            run.per_second, run.server_cpu_us, run.client_cpu_us, run.p50_us, run.p99_us
        );
        runs.push(run);
    }
    let median = median_cpu_us(&mut runs);
    let [swipe, feed, ack] = runs.first().map_or([0; 3], |run| run.bytes);
    println!(
        "floor: {median:.2} µs of server CPU per swipe (median of {}; {} sockets, {}; swipe {swipe} B in, feed {feed} B and \
         ack {ack} B out)",
        args.runs, args.sessions, args.proto
    );
    Ok(Verdict::Ok)
}

fn median_cpu_us(runs: &mut [FloorRun]) -> f64 {
    runs.sort_by(|a, b| a.server_cpu_us.total_cmp(&b.server_cpu_us));
    let upper = runs.get(runs.len() / 2).map_or(0.0, |run| run.server_cpu_us);
    let lower = runs
        .get(runs.len().saturating_sub(1) / 2)
        .map_or(0.0, |run| run.server_cpu_us);
    f64::midpoint(lower, upper)
}

pub(crate) fn serve(args: &FloorServerArgs) -> anyhow::Result<Verdict> {
    let frames = floor_frames(args.proto, usize::from(args.feed_items))?;
    floor::serve(&frames, usize::from(args.workers))?;
    Ok(Verdict::Ok)
}
