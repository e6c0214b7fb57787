//! From a candidate to its feature row.
//!
//! Everything that is the same for all candidates of a request is computed once in [`FeatureContext`]; a row then costs
//! four dot products and a few look-ups, and no allocation.

use rustc_hash::FxHashMap;

use super::schema::{FEATURE_COUNT, Feature, NEUTRAL_ROW, bound_row};
use crate::catalogue::{CatalogueSnapshot, Entry, NO_WORD};
use crate::event::Signal;
use crate::ids::{Row, Word};
use crate::index::dot_f32;
use crate::params::Params;
use crate::pipeline::Taste;
use crate::popularity::{Board, BoardEntry, PopularWindow, TrendingLists};
use crate::recall::{ChannelSet, Evidence};
use crate::session::{Affinities, SessionState, squash};
use crate::time::TimestampMs;

/// Popularity is 0 for an item so many halvings below the leader.
const POPULARITY_HALVINGS: f32 = 12.0;
/// So many impressions make half of an item's popularity believed.
const POPULARITY_PRIOR_IMPRESSIONS: f32 = 10.0;
/// ln(1 + x) is scaled to 1 where it has these values: at 100 000 impressions, 600 seconds, 10 000 events.
const IMPRESSIONS_LN_SCALE: f32 = 11.512_935;
const DURATION_S_LN_SCALE: f32 = 6.398_595;
const EVENTS_LN_SCALE: f32 = 9.210_44;
/// The channels that models know; what an operator adds does not count, so that a rule leaves predictions alone.
const MODEL_CHANNEL_COUNT: f32 = 12.0;
/// Views of prior belief behind a viewer's own rates.
const USER_PRIOR_VIEWS: f32 = 10.0;

/// Affinities of one kind as a map, for many look-ups in one request.
#[derive(Debug, Default)]
pub struct WordWeights {
    weights: FxHashMap<Word, f32>,
}

impl WordWeights {
    /// Takes the weights of one viewer; memory is reused.
    pub fn load(&mut self, affinities: &Affinities) {
        self.weights.clear();
        self.weights.extend(affinities.iter());
    }

    /// Adds what is known otherwise.
    pub fn add(&mut self, words: impl Iterator<Item = (Word, f32)>) {
        for (word, weight) in words {
            *self.weights.entry(word).or_default() += weight;
        }
    }

    /// The weight of several words together, squashed to -1..1.
    #[must_use]
    pub fn of(&self, words: &[Word]) -> f32 {
        if self.weights.is_empty() {
            return 0.0;
        }
        squash(words.iter().filter_map(|word| self.weights.get(word)).sum())
    }
}

/// What is the same for all candidates of a request.
pub struct FeatureContext<'a> {
    /// The catalogue.
    pub snapshot: &'a CatalogueSnapshot,
    /// How items do.
    pub board: &'a Board,
    /// How an item does of which nothing is known.
    pub prior: &'a BoardEntry,
    /// The viewer.
    pub session: &'a SessionState,
    /// The viewer's taste.
    pub taste: &'a Taste,
    /// The viewer's short-term weights by tag and category.
    pub short_words: (&'a WordWeights, &'a WordWeights),
    /// The same in the long run.
    pub long_words: (&'a WordWeights, &'a WordWeights),
    /// Where the viewer is for this request.
    pub region: Option<Word>,
    /// When.
    pub now: TimestampMs,
    /// The numbers in force.
    pub params: &'a Params,
    /// When the trending lists were made, and the leader's popularity then (binary logarithm).
    pub leader: (TimestampMs, f32),
    /// The viewer's own columns, which are the same in every row.
    pub user_columns: [f32; 4],
}

impl FeatureContext<'_> {
    /// The leader of the trending lists.
    #[must_use]
    pub fn leader_of(lists: &TrendingLists) -> (TimestampMs, f32) {
        let leader = lists
            .top(PopularWindow::AllTime, None, None)
            .first()
            .map_or(f32::NAN, |leader| leader.score);
        (lists.made_at(), leader)
    }

    /// The viewer's own columns: like rate, skip rate, watch ratio, events.
    #[must_use]
    pub fn user_columns_of(session: &SessionState) -> [f32; 4] {
        let count = |signal: Signal| session.counts[signal as usize] as f32;
        let shown = (session.shown as f32).max(count(Signal::Like) + count(Signal::Skip));
        let rate = |signal: Signal, prior: Feature| {
            (count(signal) + prior.neutral() * USER_PRIOR_VIEWS) / (shown + USER_PRIOR_VIEWS)
        };
        [
            rate(Signal::Like, Feature::UserLikeRate),
            rate(Signal::Skip, Feature::UserSkipRate),
            session.watch_ratio,
            log_scaled(session.signals() as f32, EVENTS_LN_SCALE),
        ]
    }

    /// Appends the candidate's row to `rows`. A row for an item that is gone is neutral.
    pub fn extract(&self, row: Row, channels: ChannelSet, evidence: &Evidence, rows: &mut Vec<f32>) {
        let mut neutral = NEUTRAL_ROW;
        let columns = &mut neutral;
        let Some(entry) = self.snapshot.entry(row) else {
            rows.extend_from_slice(columns);
            return;
        };
        self.interest_columns(row, columns);
        self.affinity_columns(entry, columns);
        self.item_columns(row, entry, columns);
        let mut set = |feature: Feature, value: f32| columns[feature.index()] = value;
        set(Feature::ChannelEmbedding, evidence[0]);
        set(Feature::ChannelItemItem, evidence[1]);
        set(Feature::ChannelSessionKnn, evidence[2]);
        set(Feature::ChannelTags, evidence[3]);
        set(Feature::ChannelHot, evidence[4]);
        set(
            Feature::ChannelCount,
            channels.without(ChannelSet::BY_OPERATOR).len() as f32 / MODEL_CHANNEL_COUNT,
        );
        let [like_rate, skip_rate, watch_ratio, events] = self.user_columns;
        set(Feature::UserLikeRate, like_rate);
        set(Feature::UserSkipRate, skip_rate);
        set(Feature::UserWatchRatio, watch_ratio);
        set(Feature::UserEventsLog, events);
        bound_row(columns);
        rows.extend_from_slice(columns);
    }

    fn interest_columns(&self, row: Row, columns: &mut [f32; FEATURE_COUNT]) {
        let Some(vector) = self.snapshot.vector(row) else {
            return;
        };
        let taste = self.taste;
        let cosine = |known: bool, direction: &[f32]| {
            if known && direction.len() == vector.len() {
                dot_f32(direction, vector)
            } else {
                0.0
            }
        };
        columns[Feature::ShortCosine.index()] = cosine(taste.has_short, &taste.short);
        columns[Feature::LongCosine.index()] = cosine(taste.has_long, &taste.long);
        columns[Feature::NegativeSimilarity.index()] = cosine(taste.has_negative, &taste.negative);
        let last = taste.last_item.and_then(|last| self.snapshot.vector(last));
        columns[Feature::LastItemSimilarity.index()] = last.map_or(0.0, |last| cosine(true, last));
    }

    fn affinity_columns(&self, entry: &Entry, columns: &mut [f32; FEATURE_COUNT]) {
        let mut set = |feature: Feature, value: f32| columns[feature.index()] = value;
        set(Feature::TagAffinityShort, self.short_words.0.of(&entry.tags));
        set(Feature::CategoryAffinityShort, self.short_words.1.of(&entry.categories));
        set(Feature::TagAffinityLong, self.long_words.0.of(&entry.tags));
        set(Feature::CategoryAffinityLong, self.long_words.1.of(&entry.categories));
        if entry.author != NO_WORD {
            set(
                Feature::AuthorAffinityShort,
                self.session.short.authors.of(&[entry.author]),
            );
            set(
                Feature::AuthorAffinityLong,
                self.session.long.authors.of(&[entry.author]),
            );
            set(
                Feature::FollowsAuthor,
                f32::from(u8::from(self.session.is_following(entry.author))),
            );
        }
    }

    fn item_columns(&self, row: Row, entry: &Entry, columns: &mut [f32; FEATURE_COUNT]) {
        let board = self.board.read_or(row, self.prior);
        let impressions = board.impressions as f32;
        let age_ms = self.now.since(entry.created_at).max(0);
        let cold_start = &self.params.cold_start;
        let is_new = age_ms < cold_start.new_item_age_ms_max && impressions < cold_start.new_item_impressions as f32;
        let mut set = |feature: Feature, value: f32| columns[feature.index()] = value;
        set(Feature::ItemLikeRate, board.like_rate);
        set(Feature::ItemSkipRate, board.skip_rate);
        set(Feature::ItemCompletionRate, board.completion_rate);
        set(Feature::ItemShareRate, board.share_rate);
        set(Feature::Popularity, self.popularity(&board));
        set(Feature::Trend, board.trend);
        set(Feature::ImpressionsLog, log_scaled(impressions, IMPRESSIONS_LN_SCALE));
        set(
            Feature::Freshness,
            freshness(age_ms, self.params.rerank.freshness_tau_ms),
        );
        set(Feature::IsNew, f32::from(u8::from(is_new)));
        if entry.duration_ms > 0 {
            set(
                Feature::DurationLog,
                log_scaled(entry.duration_ms as f32 / 1_000.0, DURATION_S_LN_SCALE),
            );
        }
        set(
            Feature::RegionMatch,
            f32::from(u8::from(entry.is_in_region(self.region))),
        );
    }

    /// Popularity beside the leader's, on a logarithmic scale; both fade alike, so it means the same at any moment.
    fn popularity(&self, board: &BoardEntry) -> f32 {
        let (made_at, leader) = self.leader;
        if board.popularity.is_none() || !leader.is_finite() {
            return 0.0;
        }
        let behind = leader - board.popularity.log2_at(made_at, self.params.popularity.half_life_ms) as f32;
        let impressions = board.impressions as f32;
        let belief = impressions / (impressions + POPULARITY_PRIOR_IMPRESSIONS);
        (1.0 - behind / POPULARITY_HALVINGS).clamp(0.0, 1.0) * belief
    }
}

/// exp(-age / tau).
#[must_use]
pub(crate) fn freshness(age_ms: i64, tau_ms: i64) -> f32 {
    (-(age_ms.max(0) as f64) / tau_ms.max(1) as f64).exp() as f32
}

/// ln(1 + x) over its value at the scale, cut at 1.
fn log_scaled(value: f32, ln_scale: f32) -> f32 {
    (value.max(0.0).ln_1p() / ln_scale).min(1.0)
}
