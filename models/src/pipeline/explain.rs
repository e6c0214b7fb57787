//! How one item's score came to be, for `explain=true`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::scratch::Candidates;
use crate::catalogue::CatalogueSnapshot;
use crate::control::MixerNames;
use crate::features::schema::{FEATURE_COUNT, Feature};
use crate::learner::explain_candidate;
use crate::rank::{FusionWeights, Objective};
use crate::recall::evidence_place;
use crate::rerank::{Pick, Rule};
use crate::wire::{CorrectionDto, ItemExplainDto, MoveDto, Name};

/// Explains a picked candidate.
#[must_use]
pub fn explain_item(
    pick: &Pick,
    candidates: &Candidates,
    snapshot: &CatalogueSnapshot,
    names: &MixerNames,
) -> ItemExplainDto {
    let place = pick.place;
    let objectives = Objective::ALL
        .into_iter()
        .map(|objective| (name(objective.name()), candidates.objectives[place][objective.index()]))
        .collect();
    let weights = FusionWeights::TERM_NAMES
        .into_iter()
        .map(name)
        .zip(candidates.fusion.values())
        .collect::<BTreeMap<_, _>>();
    let channel_scores = candidates.channels[place]
        .iter()
        .map(|channel| {
            let score = evidence_place(channel).map_or(1.0, |column| candidates.evidence[place][column]);
            (names.name(channel), score)
        })
        .collect();
    ItemExplainDto {
        objectives,
        weights,
        features: feature_groups(&candidates.features[place * FEATURE_COUNT..(place + 1) * FEATURE_COUNT]),
        channel_scores,
        pre_rank: candidates.pre_rank[place],
        collaborative: candidates.collaborative[place],
        fused: candidates.fused[place],
        moves: moves(
            pick,
            candidates.channels[place].contains(crate::recall::Channel::Backfill),
        ),
        learner: corrections(place, candidates, snapshot),
    }
}

fn corrections(place: usize, candidates: &Candidates, snapshot: &CatalogueSnapshot) -> BTreeMap<Name, CorrectionDto> {
    let entry = snapshot.entry(candidates.rows[place]);
    let (Some(applied), Some(entry), Some(ranked)) = (&candidates.correction, entry, candidates.ranked_by(place))
    else {
        return BTreeMap::new();
    };
    explain_candidate(applied, entry, &ranked, &candidates.objectives[place])
        .into_iter()
        .map(|(objective, correction)| (name(objective.name()), correction))
        .collect()
}

fn feature_groups(row: &[f32]) -> BTreeMap<Name, BTreeMap<Name, f32>> {
    let mut groups: BTreeMap<Name, BTreeMap<Name, f32>> = BTreeMap::new();
    for (feature, value) in Feature::ALL.into_iter().zip(row) {
        groups
            .entry(name(feature.group().name()))
            .or_default()
            .insert(name(feature.name()), *value);
    }
    groups
}

fn moves(pick: &Pick, is_backfill: bool) -> Vec<MoveDto> {
    let mut moves: Vec<MoveDto> = pick
        .moves
        .iter()
        .filter(|one| one.delta != 0.0)
        .map(|one| MoveDto {
            rule: name(one.rule.name()),
            delta: one.delta,
        })
        .collect();
    for (applies, rule) in [
        (pick.propensity.is_some(), Rule::Exploration),
        (is_backfill, Rule::Backfill),
    ] {
        if applies {
            moves.push(MoveDto {
                rule: name(rule.name()),
                delta: 0.0,
            });
        }
    }
    moves
}

fn name(text: &'static str) -> Name {
    Cow::Borrowed(text)
}
