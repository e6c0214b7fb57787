//! How far an import is: a bar on a terminal, one line every five seconds otherwise. Goes to standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const STYLE_WITH_LENGTH: &str = "{bar:40} {percent:>3} %  {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left";
const STYLE_WITHOUT_LENGTH: &str = "{spinner} {binary_bytes}  {msg}  {elapsed}";

/// Shows how far an import is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    bytes_total: Option<u64>,
    began: Instant,
    line_next: Instant,
}

impl Progress {
    /// Begins; `bytes_total` is the size of all inputs, where it is known.
    pub(crate) fn start(bytes_total: Option<u64>) -> Self {
        let began = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = bytes_total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = if bytes_total.is_some() {
                STYLE_WITH_LENGTH
            } else {
                STYLE_WITHOUT_LENGTH
            };
            // A template that does not parse would be a fault of this file; the default style serves as well.
            bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            bytes_total,
            began,
            line_next: began + LINE_INTERVAL,
        }
    }

    /// Says how far it is.
    pub(crate) fn update(&mut self, rows: u64, rejected: u64, bytes_read: u64) {
        let rows_per_s = rows as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let mut message = format!("{rows} rows, {rows_per_s:.0}/s");
        if rejected > 0 {
            message.push_str(&format!(", {rejected} rejected"));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(bytes_read);
            bar.set_message(message);
            return;
        }
        if Instant::now() < self.line_next {
            return;
        }
        self.line_next = Instant::now() + LINE_INTERVAL;
        let share = self.bytes_total.filter(|total| *total > 0);
        match share {
            Some(total) => eprintln!("{:.0} %, {message}", 100.0 * bytes_read as f64 / total as f64),
            None => eprintln!("{message}"),
        }
    }

    /// Takes the bar away and returns how long it took.
    pub(crate) fn finish(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.began.elapsed()
    }
}
