//! The child's side: it says when it is ready, how it goes and what came out, and hears when to begin and to stop.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::interval;

use super::{Done, WORD_GO, WORD_STOP, Word};
use crate::client::record::{MeasurementsDto, Recorder};
use crate::run::RunOutcome;

/// How often a child says how it goes.
const GLANCE_EVERY: Duration = Duration::from_millis(500);

/// What a child waits for.
#[derive(Debug)]
pub struct Begin {
    /// For the run: says how many are ready, waits for the word to begin.
    pub gate: (oneshot::Sender<usize>, oneshot::Receiver<()>),
    /// For the run: ends it early.
    pub stop: watch::Receiver<bool>,
}

/// A child's words to its parent.
#[derive(Debug)]
pub struct Words {
    recorder: Arc<Recorder>,
}

impl Words {
    /// Listens on standard input and speaks on standard output, which nobody else may use.
    #[must_use]
    pub fn start(recorder: &Arc<Recorder>) -> (Words, Begin) {
        let (say_ready, ready) = oneshot::channel::<usize>();
        let (say_go, go) = oneshot::channel();
        let (say_stop, stop) = watch::channel(false);
        // A thread: a blocked read of standard input would keep a runtime from ending.
        std::thread::spawn(move || listen(say_go, &say_stop));
        let glances = Arc::clone(recorder);
        tokio::spawn(async move {
            let Ok(count) = ready.await else { return };
            say(&Word::Ready(count));
            let mut ticks = interval(GLANCE_EVERY);
            loop {
                ticks.tick().await;
                say(&Word::Glance(glances.glance()));
            }
        });
        let words = Words {
            recorder: Arc::clone(recorder),
        };
        (
            words,
            Begin {
                gate: (say_ready, go),
                stop,
            },
        )
    }

    /// Says what came out.
    pub fn finish(self, outcome: &RunOutcome) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        say(&Word::Glance(self.recorder.glance()));
        say(&Word::Done(Box::new(Done {
            measured: MeasurementsDto::from(&outcome.measured),
            planned: outcome.dispatch.planned,
            dropped: outcome.dispatch.dropped,
            lag_max_us: micros(outcome.dispatch.lag_max),
            took_us: micros(outcome.took),
            cpu_us: outcome.tester_cpu.map(micros),
        })));
    }
}

fn listen(say_go: oneshot::Sender<()>, say_stop: &watch::Sender<bool>) {
    let mut say_go = Some(say_go);
    for line in std::io::stdin().lock().lines() {
        match line.as_deref().map(str::trim) {
            Ok(WORD_GO) => {
                if let Some(say_go) = say_go.take() {
                    // The run may have failed already.
                    let _ = say_go.send(());
                }
            }
            Ok(WORD_STOP) | Err(_) => break,
            Ok(_) => {}
        }
    }
    // Also when the parent is gone: no child outlives it.
    say_stop.send_replace(true);
}

fn say(word: &Word) {
    let Ok(line) = serde_json::to_string(word) else { return };
    let mut out = std::io::stdout().lock();
    // A parent that is gone hears nothing; the end of standard input stops this process.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
