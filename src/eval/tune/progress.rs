//! How far a search for hyper-parameters is.
//!
//! Owns the words on standard error: a bar on a terminal, otherwise a line at the beginning and then one in five seconds.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal: as long from one line to the next.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// A search under way.
pub(super) struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
    trials: Cell<usize>,
    best: Cell<Option<f64>>,
    said_at: Cell<Option<Instant>>,
}

impl Progress {
    /// A search that may make so many trials begins.
    pub(super) fn start(name: &'static str, trials_max: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:40} {bar:30} {pos}/{len} trials  {elapsed}");
            // A template that does not parse would be a fault of this file; the default style serves as well.
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(trials_max as u64).with_style(style).with_message(name)
        });
        Self {
            name,
            bar,
            trials: Cell::new(0),
            best: Cell::new(None),
            said_at: Cell::new(None),
        }
    }

    /// So many more trials were made.
    pub(super) fn tick(&self, trials: usize) {
        self.trials.set(self.trials.get() + trials);
        match &self.bar {
            Some(bar) => bar.inc(trials as u64),
            None if self.said_at.get().is_none_or(|at| at.elapsed() >= BETWEEN_LINES) => {
                eprintln!("{} after {} trials", self.words(), self.trials.get());
                self.said_at.set(Some(Instant::now()));
            }
            None => {}
        }
    }

    /// The best mean gain so far.
    pub(super) fn best(&self, best: f64) {
        self.best.set(Some(best));
        if let Some(bar) = &self.bar {
            bar.set_message(self.words());
        }
    }

    /// It is over.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn words(&self) -> String {
        let best = self
            .best
            .get()
            .map_or(String::new(), |best| format!(", best {best:.4}"));
        format!("{}: tuning{best}", self.name)
    }
}
