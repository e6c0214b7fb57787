//! What a session tells the online learner: each item as it was served, with what came of it.
//!
//! Owns when a slate is taken down and when outcomes are handed over. Runs on the path of a swipe: for the slate's items
//! only, no encoding, no waiting. What waits is bounded per session and given back when the session rests.

use swipeline_models::catalogue::CatalogueSnapshot;
use swipeline_models::event::Event;
use swipeline_models::ids::Row;
use swipeline_models::learner::{ServedRow, ViewerKeys};
use swipeline_models::pipeline::{Degraded, Query, Scratch, Slate};
use swipeline_models::session::SessionState;

use super::actor::SessionActor;

/// Takes down by what a slate was ranked, while the scratch memory still holds it. Empty when nobody learns, and when
/// another than the serving model ranked: its predictions are not what is corrected.
pub(super) fn rows_served(
    state: &SessionState,
    query: &Query<'_>,
    slate: &Slate,
    snapshot: &CatalogueSnapshot,
    scratch: &Scratch,
) -> Vec<ServedRow> {
    let is_by_another = slate.degraded == Some(Degraded::LinearRanker) || !query.params.rank.model.is_empty();
    if !query.params.learner.enabled || is_by_another {
        return Vec::new();
    }
    let viewer = ViewerKeys::of(state, query.context.device, query.now);
    let served = slate.items.iter().enumerate();
    served
        .filter_map(|(position, item)| {
            let ranked = scratch.ranked_by(item.row)?;
            Some(ServedRow::new(&viewer, snapshot.entry(item.row)?, &ranked, position))
        })
        .collect()
}

impl SessionActor {
    /// Waits for what comes of a slate.
    pub(super) fn await_outcomes(&mut self, rows: Vec<ServedRow>) {
        if rows.is_empty() {
            return;
        }
        let mut over = Vec::new();
        self.pending.serve(rows, false, &mut over);
        self.shared.learner.offer(over);
    }

    /// Takes what the viewer did. All of it before anything is over: the events of one message may be in any order.
    pub(super) fn note_outcomes(&mut self, counted: &[(Event, Row)]) {
        if self.pending.is_empty() {
            return;
        }
        let mut here = None;
        for (event, _) in counted {
            let hash = event.item.hash64();
            if self.pending.note(hash, event.signal, event.watch_ms) {
                here = Some(hash);
            }
        }
        let Some(here) = here else { return };
        let mut over = Vec::new();
        self.pending.move_to(here, &mut over);
        self.shared.learner.offer(over);
    }

    /// The viewer is gone or rests: gives the memory back.
    pub(super) fn finish_outcomes(&mut self) {
        let mut over = Vec::new();
        self.pending.finish(&mut over);
        self.shared.learner.offer(over);
    }
}
