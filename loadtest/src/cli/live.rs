//! What is shown while a run goes on: a bar on a terminal, a line every five seconds otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use swipeline_loadtest::client::record::{Glance, Recorder};
use tokio::time::{MissedTickBehavior, interval};

/// How often the bar is drawn.
const BAR_EVERY: Duration = Duration::from_millis(500);
/// How often a line is printed.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the run until it is dropped.
pub(crate) async fn show(recorder: Arc<Recorder>, expected_swipes: u64) {
    let is_terminal = std::io::stderr().is_terminal();
    let bar = bar(expected_swipes, is_terminal);
    let every = if is_terminal { BAR_EVERY } else { LINE_EVERY };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, before there is anything to show.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = recorder.glance();
        let text = line(&now);
        if is_terminal {
            bar.set_position(now.sent.min(expected_swipes));
            bar.set_message(text);
        } else {
            eprintln!("sent {}/{expected_swipes}  {text}", now.sent);
        }
    }
}

/// A progress bar that is invisible where there is no terminal.
pub(crate) fn bar(total: u64, is_terminal: bool) -> ProgressBar {
    let target = if is_terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos}/{len} {msg}");
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn line(now: &Glance) -> String {
    let like_rate = if now.shown > 0 {
        100.0 * now.likes as f64 / now.shown as f64
    } else {
        0.0
    };
    format!(
        "p50 {:.2} ms  p99 {:.2} ms  feeds {}  likes {like_rate:.1} %  dropped {}  errors {}  repeats {}",
        now.p50_us as f64 / 1e3,
        now.p99_us as f64 / 1e3,
        now.feeds,
        now.dropped,
        now.errors,
        now.repeats
    )
}
