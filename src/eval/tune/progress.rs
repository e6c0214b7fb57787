//! How far a search for hyper-parameters is.
//!
//! Owns the words on standard error.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a search is: a bar on a terminal, a line now and then otherwise.
pub(super) struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
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
        Self { name, bar }
    }

    /// So many trials were made.
    pub(super) fn say(&self, trials: usize, best: f64) {
        let words = format!("{}: tuning, best {best:.4}", self.name);
        match &self.bar {
            Some(bar) => {
                bar.set_message(words);
                bar.set_position(trials as u64);
            }
            None => eprintln!("{words} after {trials} trials"),
        }
    }

    /// It is over.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
