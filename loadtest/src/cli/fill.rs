//! `swipeline-loadtest fill`.

use std::io::IsTerminal;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig};
use swipeline_loadtest::client::Endpoint;
use swipeline_loadtest::fill;
use swipeline_models::time::TimestampMs;

use super::arguments::FillArgs;
use super::{Verdict, run::REMOTE_REFUSED};

/// The oldest item is so many days old.
const CATALOGUE_DAYS: u32 = 14;

pub(crate) async fn fill(args: FillArgs) -> anyhow::Result<Verdict> {
    let endpoint = match Endpoint::parse_http(&args.url) {
        Ok(endpoint) => endpoint,
        Err(error) => return Ok(Verdict::WrongUsage(error.to_string())),
    };
    if !endpoint.is_loopback() && !args.allow_remote {
        return Ok(Verdict::WrongUsage(format!("{} {REMOTE_REFUSED}", endpoint.host)));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let catalogue = Catalogue::new(CatalogueConfig {
        items: args.items as usize,
        dim: args.dim.map(usize::from),
        seed: args.seed,
        now: TimestampMs(i64::try_from(now.as_millis()).context("the clock is out of bounds")?),
        days: CATALOGUE_DAYS,
    })?;
    let is_terminal = std::io::stderr().is_terminal();
    let started = Instant::now();
    let items_bar = bar(u64::from(args.items), is_terminal);
    let totals = fill::fill(&endpoint.rest_root(), &catalogue, |done| {
        items_bar.set_position(done as u64)
    })
    .await?;
    items_bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64().max(1e-3);
    println!(
        "{} items in {seconds:.1} s ({:.0}/s)",
        totals.upserted,
        totals.upserted as f64 / seconds
    );
    if let Some(first) = totals.first_rejection {
        anyhow::bail!(
            "{} items were rejected, the first one: {} ({})",
            totals.rejected,
            first.detail,
            first.code
        );
    }
    if args.history > 0 {
        let history_bar = bar(u64::from(args.history), is_terminal);
        let progress = |done: usize| history_bar.set_position(done as u64);
        let history = fill::fill_history(&endpoint.rest_root(), &catalogue, args.history as usize, progress).await?;
        history_bar.finish_and_clear();
        println!(
            "{} events of history taken, {} known before, {} rejected",
            history.accepted, history.duplicates, history.rejected
        );
    }
    Ok(Verdict::Ok)
}

/// A progress bar that is invisible where there is no terminal.
fn bar(total: u64, is_terminal: bool) -> ProgressBar {
    let target = if is_terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos}/{len} {msg}");
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
