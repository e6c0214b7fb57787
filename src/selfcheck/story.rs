//! What was observed, line by line.

use std::io::Write;
use std::time::Instant;

use super::Chapter;

/// Prints each observation as it is made and counts those that are not as promised.
#[derive(Default)]
pub(crate) struct Story {
    observations: usize,
    failures: usize,
}

impl Story {
    /// Walks through a chapter; what breaks it off is an observation too.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) async fn tell(&mut self, chapter: Chapter) -> anyhow::Result<()> {
        let began = Instant::now();
        print_line(&format!("== {}", chapter.name()))?;
        if let Err(error) = Box::pin(chapter.walk(self)).await {
            self.observe(
                false,
                "the chapter comes to its end",
                &format!("it broke off: {error:#}"),
            )?;
        }
        print_line(&format!("   {:.1} s", began.elapsed().as_secs_f64()))
    }

    /// One observation: whether it is as promised, what was promised, and what was seen.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn observe(&mut self, as_promised: bool, promise: &str, seen: &str) -> anyhow::Result<()> {
        self.observations += 1;
        self.failures += usize::from(!as_promised);
        let verdict = if as_promised { "ok    " } else { "FAILED" };
        print_line(&format!("{verdict} {promise}: {seen}"))
    }

    /// The last line.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        print_line(&format!("{} observations, {} failed", self.observations, self.failures))
    }

    /// How many observations were not as promised.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }
}

fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
