//! What a scenario lets happen, at its instants.
//!
//! Owns the timeline of a run. Must not know how a model is exchanged or a server restarted (that is `outside`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::RunConfig;
use super::outside::{Outside, beside};
use super::scenario::Happening;
use crate::client::{Control, Shared};

/// Lets the time of a run pass.
pub(super) struct Guide<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) happenings: &'a [(Duration, Happening)],
    pub(super) start: Instant,
    pub(super) control: &'a watch::Sender<Control>,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) outside: Option<&'a Outside>,
}

impl Guide<'_> {
    /// Lets it pass, with what has to happen; ends early when it is told to. What goes on beside the viewers (a
    /// restart, a crowd) is waited for, so that its end is measured.
    pub(super) async fn pass(&self, mut stop: watch::Receiver<bool>, halt: &AtomicBool) {
        let mut beside: Vec<JoinHandle<()>> = Vec::new();
        let pass = async {
            for (after, what) in self.happenings {
                sleep_until(self.start + *after).await;
                beside.extend(self.happen(*what));
            }
            sleep_until(self.start + self.config.duration).await;
        };
        let stopped = tokio::select! {
            () = pass => false,
            // An error means that nobody is left who could say stop: that is a stop.
            _ = stop.wait_for(|stopping| *stopping) => true,
        };
        halt.store(true, Ordering::Release);
        for work in beside {
            if stopped {
                work.abort();
            }
            // Its own errors are counted where they happen; an abort is wanted.
            let _ = work.await;
        }
    }

    fn happen(&self, what: Happening) -> Option<JoinHandle<()>> {
        let recorder = &self.shared.recorder;
        if what == Happening::Storm {
            self.control.send_modify(|control| control.storm += 1);
            return None;
        }
        if what == Happening::Hit
            && let Some(hit) = &self.shared.hit
        {
            hit.begin(Instant::now());
        }
        let outside = self.outside?.clone();
        let shared = Arc::clone(&self.shared.recorder);
        match what {
            Happening::Storm => None,
            Happening::ModelSwap => {
                let work = async move { outside.swap_model(&shared).await };
                Some(beside(recorder, "model_swap", work))
            }
            Happening::Restart => {
                let work = async move { outside.restart(&shared).await };
                Some(beside(recorder, "restart", work))
            }
            Happening::Hit => {
                let item = self.shared.hit.as_ref()?.item_id.clone();
                let (prefix, rate) = (self.config.user_prefix.clone(), self.config.rate);
                let end = self.start + self.config.duration;
                let work = async move { outside.crowd(&shared, &item, &prefix, rate, end).await };
                Some(beside(recorder, "crowd", work))
            }
        }
    }
}
