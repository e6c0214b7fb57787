//! What a session tells the served log and the archive.
//!
//! Owns how a slate becomes a log entry. Runs on the path of a feed: n copies of a feature row and shared handles, no
//! encoding, no waiting; nothing at all for a viewer who is not logged.

use std::sync::Arc;

use swipeline_models::catalogue::CatalogueSnapshot;
use swipeline_models::ids::UserId;
use swipeline_models::pipeline::{Scratch, Slate, SlateItem};

use super::actor::SessionActor;
use super::situation::Situation;
use super::variant::ServedVariant;
use crate::clock;
use crate::served::{ServedSlate, ServedSlot};
use crate::shared::Shared;

/// Takes down by what a slate was ranked, while the scratch memory still holds it. `None` when it is not logged.
pub(super) fn slots_to_log(
    shared: &Shared,
    user: &UserId,
    slate: &Slate,
    snapshot: &CatalogueSnapshot,
    scratch: &Scratch,
) -> Option<Vec<ServedSlot>> {
    if !shared.served.is_for(user) && !shared.archive.takes_slates_of(shared, user) {
        return None;
    }
    let slot = |item: &SlateItem| {
        let (features, pre_rank, collaborative) = scratch.ranked(item.row)?;
        Some(ServedSlot {
            item: Arc::clone(&snapshot.entry(item.row)?.item),
            channels: item.channels,
            score: item.score,
            pre_rank,
            collaborative,
            propensity: item.propensity,
            predicted: item.objectives,
            features: *features,
        })
    };
    Some(slate.items.iter().filter_map(slot).collect())
}

impl SessionActor {
    /// Logs a slate under the request id that it goes out with. What happened up to now is what it was ranked by.
    pub(super) fn log_served(
        &self,
        slots: Option<Vec<ServedSlot>>,
        request: &str,
        sequence: u64,
        situation: Situation<'_>,
        variant: &ServedVariant,
    ) {
        let Some(slots) = slots.filter(|slots| !slots.is_empty()) else {
            return;
        };
        self.shared.served.push(ServedSlate {
            user: self.state.user.clone(),
            request: request.to_owned(),
            at: clock::now(),
            sequence,
            context: self.context_of(situation),
            variant: variant.label(),
            model: self
                .shared
                .world
                .ranker
                .info_of(&variant.viewer.params.rank.model)
                .fingerprint,
            slots,
            is_archived: self.shared.archive.takes_slates_of(&self.shared, &self.state.user),
        });
    }
}
