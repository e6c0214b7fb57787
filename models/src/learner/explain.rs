//! Why an objective was corrected, for `explain=true`.

use super::correct::Applied;
use super::guard::Level;
use super::inputs::{COLLABORATIVE, INPUT_COUNT, PRE_RANK, channel_input, input_name, inputs, scale_of};
use super::lanes::{LANES, Lanes, log_odds, padded};
use super::sample::RankedBy;
use super::slots::SlotKind;
use crate::catalogue::Entry;
use crate::features::schema::FEATURE_COUNT;
use crate::rank::{Objective, ObjectiveRow};
use crate::recall::Channel;
use crate::wire::{CorrectionDto, CorrectionTermDto};

/// The most terms that are named.
const TERMS_MAX: usize = 6;
/// Terms nearer to 0 are not named.
const TERM_MIN: f32 = 1e-3;

/// Explains the objectives of a candidate that are served by more than the model: what the model said, what is served,
/// and the largest terms between. `factors` are the changes of the fusion weights.
#[must_use]
pub fn explain_candidate(
    applied: &Applied,
    entry: &Entry,
    ranked: &RankedBy<'_>,
    served: &ObjectiveRow,
) -> Vec<(Objective, CorrectionDto)> {
    let published = &applied.published;
    let (odds, served_odds) = (log_odds(padded(ranked.predicted)), log_odds(padded(served)));
    let terms = residual_terms(applied, entry, ranked);
    Objective::ALL
        .into_iter()
        .map(|objective| (objective, objective.index(), published.levels[objective.index()]))
        .filter(|(_, _, level)| *level > Level::Model)
        .map(|(objective, lane, level)| {
            let calibration = published.scale[lane] * odds[lane] + published.bias[lane];
            let mut named = vec![("calibration".to_owned(), calibration)];
            if level == Level::Corrected {
                named.extend(terms.iter().map(|(name, lanes)| (name.clone(), lanes[lane])));
            }
            let dto = CorrectionDto {
                scored_by: level.name().into(),
                model: ranked.predicted[lane],
                served: served[lane],
                correction: served_odds[lane] - odds[lane],
                weight_factor: applied.factors[lane],
                terms: largest(named),
            };
            (objective, dto)
        })
        .collect()
}

fn largest(mut named: Vec<(String, f32)>) -> Vec<CorrectionTermDto> {
    named.retain(|(_, value)| value.abs() >= TERM_MIN);
    named.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()).then_with(|| one.0.cmp(&other.0)));
    named.truncate(TERMS_MAX);
    let dto = |(name, value)| CorrectionTermDto { name, value };
    named.into_iter().map(dto).collect()
}

/// The terms of the residual by name.
fn residual_terms(applied: &Applied, entry: &Entry, ranked: &RankedBy<'_>) -> Vec<(String, Lanes)> {
    let published = &applied.published;
    let values = inputs(ranked.features, ranked.pre_rank, ranked.collaborative, ranked.channels);
    let weights = |input: usize| -> (Lanes, f32) {
        let folded = match input {
            PRE_RANK => published.pre_rank,
            COLLABORATIVE => published.collaborative,
            feature if feature < FEATURE_COUNT => published.features[feature],
            channel => {
                let named = Channel::ALL.into_iter().find(|one| channel_input(*one) == channel);
                return (named.map_or([0.0; LANES], |one| published.channels[one.number()]), 1.0);
            }
        };
        (folded, scale_of(input).scale)
    };
    let mut terms: Vec<(String, Lanes)> = (0..INPUT_COUNT)
        .filter(|input| values[*input] != 0.0)
        .map(|input| {
            let (folded, scale) = weights(input);
            (input_name(input), folded.map(|weight| weight / scale * values[input]))
        })
        .collect();
    terms.push((SlotKind::Position.name().to_owned(), published.reference));
    let slots = applied.viewer.slots(entry, ranked.features);
    for (kind, slot) in SlotKind::ROW.into_iter().zip(slots) {
        terms.push((cross_name(kind, entry), *published.pages.read(slot)));
    }
    terms
}

fn cross_name(kind: SlotKind, entry: &Entry) -> String {
    let author = || entry.item.author.as_ref().map_or("-", |author| author.as_str());
    let category = || entry.item.categories.first().map_or("-", String::as_str);
    match kind {
        SlotKind::Item => format!("{}:{}", kind.name(), entry.item.id.as_str()),
        SlotKind::Author | SlotKind::UserAuthor | SlotKind::AuthorAffinity => format!("{}:{}", kind.name(), author()),
        SlotKind::Category | SlotKind::UserCategory | SlotKind::HourCategory => {
            format!("{}:{}", kind.name(), category())
        }
        SlotKind::TagOverlap | SlotKind::DeviceDuration | SlotKind::Position => kind.name().to_owned(),
    }
}
