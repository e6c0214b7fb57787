//! Pre-ranking: a cheap order of the pool that decides which candidates the model sees.
//!
//! score = Σ channel weight · standardised channel score + cosine of the blended taste + category affinity, squashed to
//! 0..1 so that it can join the fusion beside probabilities. Beside it stands what the collaborative channels say
//! together: ln(1 + Σ channel weight · score / root mean square), without a bound, times how far it can be trusted: with
//! d positive events per item of the catalogue d² / (d² + 5²). Who was liked together by two viewers out of a hundred
//! thousand items says nothing, and would stand beside taste and content as if it did.

use super::Taste;
use super::taste::cosine;
use crate::catalogue::CatalogueSnapshot;
use crate::control::Control;
use crate::features::WordWeights;
use crate::params::{Params, QueryProfile};
use crate::popularity::{ScoredRow, keep_best};
use crate::recall::{Admission, BLEND_COUNT, CHANNEL_COUNT, Channel, Pool, evidence_place};

/// The weight of the cosine with the blended taste.
const TASTE_WEIGHT: f32 = 2.0;
/// The weight of the affinity to the item's categories.
const CATEGORY_WEIGHT: f32 = 1.5;
/// With so many positive events per item the collaborative channels are trusted by half.
const EVENTS_PER_ITEM_HALF: f32 = 5.0;
/// Scores are divided by this before they are squashed, so that 0..1 is used well.
const SQUASH_SCALE: f32 = 2.0;

/// What the cheap score of a candidate is made of.
pub(super) struct PreRanker<'a> {
    pool: &'a Pool,
    snapshot: &'a CatalogueSnapshot,
    taste: &'a Taste,
    categories: &'a WordWeights,
    channel_weights: [f32; CHANNEL_COUNT],
    blend_weights: [f32; BLEND_COUNT],
    collaborative_weight: f32,
    trust: f32,
}

impl<'a> PreRanker<'a> {
    /// Scores the candidates of a pool for a viewer.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one of the things that the score is made of"
    )]
    pub(super) fn new(
        pool: &'a Pool,
        snapshot: &'a CatalogueSnapshot,
        taste: &'a Taste,
        categories: &'a WordWeights,
        params: &Params,
        control: &Control,
        profile: &QueryProfile,
        positive_events: u64,
    ) -> Self {
        let channel_weights = Channel::ALL.map(|channel| control.settings(channel).weight);
        let of = |channel: Channel| channel_weights[channel.number()];
        let blend_weights = [
            of(Channel::ItemItem) * profile.item_weight,
            of(Channel::SessionKnn),
            of(Channel::Linear) * profile.linear_weight,
        ];
        Self {
            blend_weights,
            trust: trust(positive_events, snapshot.len()),
            collaborative_weight: params.fusion.collaborative,
            pool,
            snapshot,
            taste,
            categories,
            channel_weights,
        }
    }

    /// Puts the places of the best `count` candidates into `order` (`row` is the place in the pool), best first, with
    /// their score. What the request leaves out is left out.
    pub(super) fn order(&self, admission: &Admission<'_>, count: usize, order: &mut Vec<ScoredRow>) {
        order.clear();
        self.snapshot.fetch(&self.pool.rows);
        let hashes = self.pool.hashes.iter().enumerate();
        let usable = hashes
            .filter(|(_, hash)| !admission.excludes(**hash))
            .map(|(place, _)| place);
        order.extend(usable.map(|place| ScoredRow {
            row: place as u32,
            score: self.raw_score(place),
        }));
        keep_best(order, count);
        // The squash keeps the order, so only the best pay for it.
        order
            .iter_mut()
            .for_each(|ordered| ordered.score = squash(ordered.score));
    }

    /// The score of one candidate, 0..1.
    pub(super) fn score(&self, place: usize) -> f32 {
        squash(self.raw_score(place))
    }

    /// What the collaborative channels say together about one candidate: 0 where they say nothing, in the hundreds
    /// nowhere.
    pub(super) fn collaborative(&self, place: usize) -> f32 {
        let scores = self.pool.blend[place].iter().zip(self.blend_weights);
        let together = scores.map(|(score, weight)| score * weight).sum::<f32>();
        if together == 0.0 {
            return 0.0;
        }
        self.trust * together.ln_1p()
    }

    fn raw_score(&self, place: usize) -> f32 {
        let row = self.pool.rows[place];
        let evidence = &self.pool.evidence[place];
        let strength = |channel| evidence_place(channel).map_or(1.0, |column| evidence[column]);
        let mut score = self.collaborative_weight * self.collaborative(place);
        score += self.pool.channels[place]
            .iter()
            .map(|channel| self.channel_weights[channel.number()] * strength(channel))
            .sum::<f32>();
        if self.taste.has_blended
            && let Some(vector) = self.snapshot.vector(row)
        {
            score += TASTE_WEIGHT * cosine(&self.taste.blended, vector);
        }
        if let Some(entry) = self.snapshot.entry(row) {
            score += CATEGORY_WEIGHT * self.categories.of(&entry.categories);
        }
        score
    }
}

/// How far the collaborative channels can be trusted, 0 to 1.
fn trust(positive_events: u64, items: usize) -> f32 {
    let squared = (positive_events as f32 / items.max(1) as f32).powi(2);
    squared / (squared + EVENTS_PER_ITEM_HALF * EVENTS_PER_ITEM_HALF)
}

fn squash(score: f32) -> f32 {
    1.0 / (1.0 + (-score / SQUASH_SCALE).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_grows_with_what_has_been_seen_of_each_item() {
        assert_eq!(trust(0, 100_000), 0.0);
        assert!(
            trust(5_000, 100_000) < 0.001,
            "a few thousand likes in a large catalogue"
        );
        assert!((trust(500, 100) - 0.5).abs() < 1e-6);
        assert!(trust(5_000, 100) > 0.98);
        assert_eq!(trust(0, 0), 0.0);
    }
}
