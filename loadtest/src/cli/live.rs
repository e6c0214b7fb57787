//! What is shown while a run goes on: a view on a terminal, a line every five seconds otherwise.
//!
//! Owns when it is drawn and that the terminal is left as it was found. What it looks like is in `view`.

use std::io::{IsTerminal, Stderr, stderr};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::{Terminal, TerminalOptions, Viewport};
use swipeline_loadtest::client::record::Glance;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::view::{VIEW_ROWS, View};

/// How often the view is drawn.
const VIEW_EVERY: Duration = Duration::from_millis(500);
/// How often a line is printed.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is known of a run before it begins.
#[derive(Debug, Clone)]
pub(crate) struct LiveFacts {
    pub(crate) title: String,
    pub(crate) expected: u64,
    pub(crate) duration: Duration,
}

/// Shows a run until it ends.
#[derive(Debug)]
pub(crate) struct Live {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Live {
    /// Begins to show what `glance` gives.
    pub(crate) fn start(facts: LiveFacts, glance: impl Fn() -> Glance + Send + 'static) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            match terminal() {
                Some(terminal) => draw(terminal, facts, glance, stopped).await,
                None => print_lines(facts, glance, stopped).await,
            }
        });
        Self { stop, task }
    }

    /// Ends it and cleans up.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        // A view that broke is no reason to lose the run.
        let _ = self.task.await;
    }
}

/// A few rows of the terminal below the cursor; nothing when there is no terminal, or it does not say where its cursor
/// is.
fn terminal() -> Option<Terminal<CrosstermBackend<Stderr>>> {
    if !stderr().is_terminal() || !std::io::stdin().is_terminal() {
        return None;
    }
    let options = TerminalOptions {
        viewport: Viewport::Inline(VIEW_ROWS),
    };
    Terminal::with_options(CrosstermBackend::new(stderr()), options).ok()
}

async fn draw(
    mut terminal: Terminal<CrosstermBackend<Stderr>>,
    facts: LiveFacts,
    glance: impl Fn() -> Glance,
    mut stopped: watch::Receiver<bool>,
) {
    let mut view = View::new(facts);
    let mut ticks = interval(VIEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            now = ticks.tick() => {
                view.look(glance(), now);
                if terminal.draw(|frame| view.draw(frame)).is_err() {
                    break;
                }
            }
            _ = stopped.wait_for(|stopping| *stopping) => break,
        }
    }
    // The table follows where the view was. A terminal that is gone by now needs no tidying.
    let top = terminal.get_frame().area().as_position();
    let _ = terminal.clear();
    let _ = terminal.set_cursor_position(top);
    let _ = terminal.show_cursor();
}

async fn print_lines(facts: LiveFacts, glance: impl Fn() -> Glance, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(LINE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    loop {
        tokio::select! {
            now = ticks.tick() => {
                let seconds = now.saturating_duration_since(started).as_secs();
                // The first tick comes at once, before there is anything to show.
                if seconds > 0 {
                    eprintln!("{seconds:>4} s  {}", line(&glance(), facts.expected));
                }
            }
            _ = stopped.wait_for(|stopping| *stopping) => return,
        }
    }
}

fn line(now: &Glance, expected: u64) -> String {
    format!(
        "sent {}/{expected}  p50 {:.2} ms  p99 {:.2} ms  feeds {}  likes {:.1} %  dropped {}  errors {}  repeats {}",
        now.sent,
        now.p50_us as f64 / 1e3,
        now.p99_us as f64 / 1e3,
        now.feeds,
        like_percent(now),
        now.dropped,
        now.errors,
        now.repeats
    )
}

/// Likes per 100 items shown.
pub(crate) fn like_percent(now: &Glance) -> f64 {
    if now.shown == 0 {
        return 0.0;
    }
    100.0 * now.likes as f64 / now.shown as f64
}
