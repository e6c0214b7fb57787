//! Scoring: what the model predicts, what the learner makes of it, and the one score of both.
//!
//! Owns the order of the three. Must not compute features or reorder anything.

use super::scratch::Scratch;
use super::{Effort, Query};
use crate::catalogue::CatalogueSnapshot;
use crate::learner::{Columns, ViewerKeys, correct};
use crate::rank::{FusionWeights, ObjectiveRow, RankError, ScoredBy};
use crate::session::SessionState;
use crate::world::World;

/// Predicts the objectives of the candidates, corrects them, and fuses them.
pub(super) fn score(
    world: &World,
    session: &SessionState,
    snapshot: &CatalogueSnapshot,
    query: &Query<'_>,
    scratch: &mut Scratch,
) -> Result<ScoredBy, RankError> {
    let params = query.params;
    let candidates = &mut scratch.candidates;
    let count = candidates.rows.len();
    let is_linear = query.effort == Effort::LinearRanker;
    let (features, out) = (&candidates.features, &mut candidates.objectives);
    let scored_by = if is_linear {
        world.ranker.score_linear(features, count, out, &mut scratch.rank)
    } else {
        let model = &params.rank.model;
        world.ranker.score_by(model, features, count, out, &mut scratch.rank)
    };
    candidates.fusion = FusionWeights::from(params.fusion);
    // What was learned is about the serving model: neither the fallback nor a model of an experiment is corrected by it.
    let is_by_serving = matches!(scored_by, Ok(ScoredBy::Model)) && params.rank.model.is_empty();
    if is_by_serving && params.learner.correct {
        let published = world.learner.load();
        if published.is_active() {
            candidates.predicted.extend_from_slice(&candidates.objectives);
            let columns = Columns {
                rows: &candidates.rows,
                channels: &candidates.channels,
                features: &candidates.features,
                pre_rank: &candidates.pre_rank,
                collaborative: &candidates.collaborative,
            };
            let viewer = ViewerKeys::of(session, query.context.device, query.now);
            candidates.correction = correct(
                &published,
                &params.learner,
                viewer,
                snapshot,
                columns,
                &mut candidates.objectives,
            );
        }
    }
    if let Some(correction) = &candidates.correction {
        candidates.fusion = candidates.fusion.scaled(&correction.factors);
    }
    // Without any prediction the order of the pre-ranking is left.
    candidates.objectives.resize(count, ObjectiveRow::default());
    candidates.fused.clear();
    candidates.fused.resize(count, 0.0);
    candidates.fusion.fuse_into(
        &candidates.objectives,
        &candidates.pre_rank,
        &candidates.collaborative,
        &mut candidates.fused,
    );
    scored_by
}
