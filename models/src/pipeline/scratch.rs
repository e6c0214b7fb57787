//! The memory that a thread reuses from request to request.

use super::Taste;
use crate::features::WordWeights;
use crate::features::schema::FEATURE_COUNT;
use crate::ids::Row;
use crate::learner::{Applied, RankedBy};
use crate::popularity::ScoredRow;
use crate::rank::{FusionWeights, ObjectiveRow, RankScratch};
use crate::recall::{ChannelSet, Evidence, RecallScratch};
use crate::rerank::RerankScratch;
use crate::session::held;

/// Candidates as columns: place i of every column belongs to the same candidate.
#[derive(Default)]
pub struct Candidates {
    /// Which items.
    pub rows: Vec<Row>,
    /// The channels that named each.
    pub channels: Vec<ChannelSet>,
    /// With which evidence.
    pub evidence: Vec<Evidence>,
    /// What the collaborative channels say together, ln(1 + blend).
    pub collaborative: Vec<f32>,
    /// The cheap score, 0..1.
    pub pre_rank: Vec<f32>,
    /// Feature rows, one after the other.
    pub features: Vec<f32>,
    /// Predicted objectives, corrected where the learner may.
    pub objectives: Vec<ObjectiveRow>,
    /// What the model predicted, where it was corrected; empty when nothing was.
    pub predicted: Vec<ObjectiveRow>,
    /// The correction, if one was made.
    pub correction: Option<Applied>,
    /// The weights of the fused score.
    pub fusion: FusionWeights,
    /// The fused score.
    pub fused: Vec<f32>,
    /// The fused score with what boost rules add; empty while none does.
    pub boosted: Vec<f32>,
}

impl Scratch {
    /// By what the last run ranked an item; `None` when it ranked no such item.
    #[must_use]
    pub fn ranked_by(&self, row: Row) -> Option<RankedBy<'_>> {
        let place = self.candidates.rows.iter().position(|candidate| *candidate == row)?;
        self.candidates.ranked_by(place)
    }

    /// The feature row and the pre-rank score by which the last run ranked an item; `None` when it ranked no such item.
    #[must_use]
    pub fn ranked(&self, row: Row) -> Option<(&[f32; FEATURE_COUNT], f32, f32)> {
        let candidates = &self.candidates;
        let place = candidates.rows.iter().position(|candidate| *candidate == row)?;
        let features = candidates.features.as_chunks::<FEATURE_COUNT>().0.get(place)?;
        let (pre_rank, collaborative) = (candidates.pre_rank.get(place)?, candidates.collaborative.get(place)?);
        Some((features, *pre_rank, *collaborative))
    }
}

impl Candidates {
    /// How many bytes the columns hold.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        held(&self.rows)
            + held(&self.channels)
            + held(&self.evidence)
            + held(&self.collaborative)
            + held(&self.pre_rank)
            + held(&self.features)
            + held(&self.objectives)
            + held(&self.predicted)
            + held(&self.fused)
            + held(&self.boosted)
    }

    /// What a candidate was ranked by.
    #[must_use]
    pub fn ranked_by(&self, place: usize) -> Option<RankedBy<'_>> {
        Some(RankedBy {
            features: self.features.as_chunks::<FEATURE_COUNT>().0.get(place)?,
            pre_rank: *self.pre_rank.get(place)?,
            collaborative: *self.collaborative.get(place)?,
            channels: *self.channels.get(place)?,
            predicted: self.predicted.get(place).or_else(|| self.objectives.get(place))?,
        })
    }

    /// Adds a candidate of other columns, with everything that it was ranked by.
    pub(super) fn take_from(&mut self, other: &Candidates, place: usize) {
        self.push(
            other.rows[place],
            other.channels[place],
            other.evidence[place],
            other.pre_rank[place],
            other.collaborative[place],
        );
        if let Some(row) = other.features.as_chunks::<FEATURE_COUNT>().0.get(place) {
            self.features.extend_from_slice(row);
        }
        self.objectives.extend(other.objectives.get(place));
        self.predicted.extend(other.predicted.get(place));
        self.fused.extend(other.fused.get(place));
    }

    /// Forgets all candidates.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.channels.clear();
        self.evidence.clear();
        self.collaborative.clear();
        self.pre_rank.clear();
        self.features.clear();
        self.objectives.clear();
        self.predicted.clear();
        self.correction = None;
        self.fused.clear();
        self.boosted.clear();
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The memory that a thread reuses from request to request. Carries no meaning between requests.
#[derive(Default)]
pub struct Scratch {
    pub(crate) recall: RecallScratch,
    pub(crate) taste: Taste,
    pub(crate) named: Vec<ScoredRow>,
    pub(crate) order: Vec<ScoredRow>,
    pub(crate) candidates: Candidates,
    pub(crate) rank: RankScratch,
    pub(crate) rerank: RerankScratch,
    pub(crate) short_tags: WordWeights,
    pub(crate) short_categories: WordWeights,
    pub(crate) long_tags: WordWeights,
    pub(crate) long_categories: WordWeights,
}
