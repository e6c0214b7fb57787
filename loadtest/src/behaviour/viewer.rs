//! How a viewer reacts to what it is shown.
//!
//! Owns the behaviour model: from the match of taste and item to watch time, like, skip, share, follow and leaving.
//! Must not know where the item came from.

use rand::{Rng, RngExt};
use swipeline_models::event::Signal;
use swipeline_models::time::{DAY_MS, TimestampMs};
use swipeline_models::wire::ItemDto;

use super::catalogue::item_quality;
use super::draw::{log_normal, normal, seeded, sigmoid, stable_hash};
use super::taste::Taste;
use super::viewer_config::ViewerConfig;

/// `P(like) = σ(LIKE_BIAS + LIKE_MATCH · match + LIKE_QUALITY · quality - LIKE_AGE · ln(1 + age in days))`: 4 % without a
/// match, about half at a full one, less for what is old.
const LIKE_BIAS: f64 = -3.2;
const LIKE_MATCH: f64 = 3.4;
const LIKE_QUALITY: f64 = 0.4;
const LIKE_AGE: f64 = 0.12;
/// `watch ratio = 1.15 · σ(WATCH_BIAS + WATCH_MATCH · match + WATCH_QUALITY · quality + WATCH_SIGMA · N(0, 1))`.
const WATCH_BIAS: f64 = -0.6;
const WATCH_MATCH: f64 = 2.6;
const WATCH_QUALITY: f64 = 0.3;
const WATCH_SIGMA: f64 = 0.8;
const WATCH_RATIO_MAX: f64 = 1.15;
/// Below this share of the duration the viewer has swiped the item away.
const SKIP_RATIO_MAX: f64 = 0.4;
/// From this share of the duration on the item was watched to the end.
const COMPLETE_RATIO_MIN: f64 = 0.9;
/// `P(dislike) = σ(DISLIKE_BIAS - DISLIKE_MATCH · match)`.
const DISLIKE_BIAS: f64 = -6.0;
const DISLIKE_MATCH: f64 = 2.5;
/// How often a like goes along with something stronger.
const SHARE_GIVEN_LIKE: f64 = 0.12;
const FAVORITE_GIVEN_LIKE: f64 = 0.15;
const FOLLOW_GIVEN_LIKE: f64 = 0.06;
const COMMENT_GIVEN_LIKE: f64 = 0.05;
/// How often a hit is liked and shared by whoever is shown it.
const LIKE_OF_HIT: f64 = 0.9;
const SHARE_OF_HIT: f64 = 0.3;
/// The duration of an item that does not tell it, in milliseconds.
const DURATION_MS_DEFAULT: i64 = 20_000;
/// The taste drifts one step after so many items.
const DRIFT_EVERY_SWIPES: u32 = 10;
/// The shortest and the longest session, in items.
const SESSION_LENGTH_MIN: f64 = 3.0;
const SESSION_LENGTH_MAX: f64 = 5_000.0;

/// What a viewer did with one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// For how long it was watched, in milliseconds.
    pub watch_ms: i64,
    /// The signals in the order in which they happen: `view` first, the strongest last.
    pub signals: Vec<Signal>,
    /// Whether the viewer has had enough after this item.
    pub leave: bool,
}

/// A sudden change of taste that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TasteChange {
    /// The new favourite category.
    pub category: String,
    /// How many items the viewer has reacted to since.
    pub swipes_since: u32,
}

/// One viewer.
#[derive(Debug, Clone)]
pub struct Viewer {
    config: ViewerConfig,
    taste: Taste,
    /// After how many items the taste changes suddenly; `None` for most.
    change_at: Option<u32>,
    changed: Option<TasteChange>,
    swipes: u32,
    session_swipes: u32,
    session_length: u32,
    annoyance: i32,
    patience: i32,
}

impl Viewer {
    /// Draws a viewer.
    #[must_use]
    pub fn new(config: ViewerConfig) -> Self {
        let mut rng = seeded(config.seed, "viewer", config.index);
        let salt = stable_hash(config.seed, &format!("salt of {}", config.index));
        let taste = Taste::draw(salt, &config.categories, &mut rng);
        let (earliest, latest) = config.change_after_swipes;
        let changes = rng.random_bool(config.changing_share.clamp(0.0, 1.0));
        let change_at = changes.then(|| rng.random_range(earliest..=latest.max(earliest)));
        let mut viewer = Self {
            config,
            taste,
            change_at,
            changed: None,
            swipes: 0,
            session_swipes: 0,
            session_length: 0,
            annoyance: 0,
            patience: 0,
        };
        viewer.start_session(&mut rng);
        viewer
    }

    /// Begins a new session: a new length, fresh patience, the same taste.
    pub fn start_session(&mut self, rng: &mut impl Rng) {
        let length = log_normal(rng, self.config.session_median_swipes, 0.8);
        self.session_length = length.clamp(SESSION_LENGTH_MIN, SESSION_LENGTH_MAX) as u32;
        self.patience = log_normal(rng, self.config.patience_median_skips, 0.5).clamp(2.0, 1_000.0) as i32;
        self.session_swipes = 0;
        self.annoyance = 0;
    }

    /// Shows the viewer an item at the time `now`.
    pub fn react(&mut self, item: &ItemDto, rng: &mut impl Rng, now: TimestampMs) -> Reaction {
        let matching = self.taste.match_of(item);
        let quality = item_quality(&item.id);
        let liked = rng.random_bool(like_probability(matching, quality, age_days(item, now)));
        let logit = WATCH_BIAS + WATCH_MATCH * matching + WATCH_QUALITY * quality + WATCH_SIGMA * normal(rng);
        let ratio = WATCH_RATIO_MAX * sigmoid(logit);
        // Who likes an item has watched a part of it.
        let ratio = if liked { ratio.max(SKIP_RATIO_MAX) } else { ratio };
        let signals = self.signals(item, liked, ratio, matching, rng);
        self.remember(&signals, rng);
        let duration_ms = item
            .duration_ms
            .filter(|duration| *duration > 0)
            .unwrap_or(DURATION_MS_DEFAULT);
        Reaction {
            watch_ms: (ratio * duration_ms as f64) as i64,
            signals,
            leave: self.wants_to_leave(),
        }
    }

    /// Shows the viewer what everybody talks about: watched to the end whatever its taste, liked and shared more often.
    pub fn react_to_hit(&mut self, item: &ItemDto, rng: &mut impl Rng) -> Reaction {
        let mut signals = vec![Signal::View, Signal::Complete];
        if rng.random_bool(SHARE_OF_HIT) {
            signals.push(Signal::Share);
        }
        if rng.random_bool(LIKE_OF_HIT) {
            signals.push(Signal::Like);
        }
        self.remember(&signals, rng);
        Reaction {
            watch_ms: item.duration_ms.filter(|d| *d > 0).unwrap_or(DURATION_MS_DEFAULT),
            signals,
            leave: self.wants_to_leave(),
        }
    }

    /// How likely the viewer is to like an item, by its taste of this moment.
    #[must_use]
    pub fn like_probability(&self, item: &ItemDto, now: TimestampMs) -> f64 {
        like_probability(self.taste.match_of(item), item_quality(&item.id), age_days(item, now))
    }

    /// The viewer's taste of this moment.
    #[must_use]
    pub fn taste(&self) -> &Taste {
        &self.taste
    }

    /// The sudden change, once it has happened.
    #[must_use]
    pub fn taste_change(&self) -> Option<&TasteChange> {
        self.changed.as_ref()
    }

    /// How many items it has reacted to.
    #[must_use]
    pub fn swipes(&self) -> u32 {
        self.swipes
    }

    fn signals(&mut self, item: &ItemDto, liked: bool, ratio: f64, matching: f64, rng: &mut impl Rng) -> Vec<Signal> {
        let mut signals = vec![Signal::View];
        if ratio >= COMPLETE_RATIO_MIN {
            signals.push(Signal::Complete);
        }
        if liked {
            for (share, signal) in [
                (COMMENT_GIVEN_LIKE, Signal::Comment),
                (FAVORITE_GIVEN_LIKE, Signal::Favorite),
                (FOLLOW_GIVEN_LIKE, Signal::Follow),
                (SHARE_GIVEN_LIKE, Signal::Share),
            ] {
                if !rng.random_bool(share) {
                    continue;
                }
                if signal == Signal::Follow {
                    // Nobody can follow an author who is not named.
                    let Some(author) = &item.author_id else { continue };
                    self.taste.follow(author);
                }
                signals.push(signal);
            }
            signals.push(Signal::Like);
        } else if rng.random_bool(sigmoid(DISLIKE_BIAS - DISLIKE_MATCH * matching)) {
            signals.push(Signal::Dislike);
        } else if ratio < SKIP_RATIO_MAX {
            signals.push(Signal::Skip);
        }
        signals
    }

    fn remember(&mut self, signals: &[Signal], rng: &mut impl Rng) {
        self.swipes += 1;
        self.session_swipes += 1;
        if let Some(change) = &mut self.changed {
            change.swipes_since += 1;
        }
        let strongest = signals.last().copied().unwrap_or(Signal::View);
        if strongest == Signal::Like {
            self.annoyance = (self.annoyance - 2).max(0);
        } else if strongest.is_negative() {
            self.annoyance += 1;
        }
        if self.swipes.is_multiple_of(DRIFT_EVERY_SWIPES) {
            self.taste.drift(rng);
        }
        if self.change_at == Some(self.swipes) {
            self.changed = self.taste.change_suddenly(rng).map(|category| TasteChange {
                category,
                swipes_since: 0,
            });
        }
    }

    fn wants_to_leave(&self) -> bool {
        self.session_swipes >= self.session_length || self.annoyance > self.patience
    }
}

fn like_probability(matching: f64, quality: f64, age_days: f64) -> f64 {
    sigmoid(LIKE_BIAS + LIKE_MATCH * matching + LIKE_QUALITY * quality - LIKE_AGE * age_days.ln_1p())
}

fn age_days(item: &ItemDto, now: TimestampMs) -> f64 {
    let age_ms = item
        .created_at
        .map_or(0, |created_at| now.since(TimestampMs(created_at)));
    age_ms.max(0) as f64 / DAY_MS as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, CatalogueConfig};
    use super::*;
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(1_790_000_000_000);

    fn viewer(index: u64) -> Viewer {
        Viewer::new(ViewerConfig {
            index,
            ..ViewerConfig::default()
        })
    }

    fn items(count: usize) -> Vec<ItemDto> {
        let config = CatalogueConfig {
            items: count,
            dim: None,
            seed: 9,
            now: NOW,
            days: 7,
        };
        Catalogue::new(config)
            .expect("possible")
            .pages(count)
            .flatten()
            .collect()
    }

    fn react_to_all(viewer: &mut Viewer, items: &[ItemDto]) -> Vec<Reaction> {
        let mut rng = seeded(3, "reactions", 0);
        items.iter().map(|item| viewer.react(item, &mut rng, NOW)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_reactions() {
        let items = items(300);
        assert_eq!(
            react_to_all(&mut viewer(5), &items),
            react_to_all(&mut viewer(5), &items)
        );
        assert_ne!(
            react_to_all(&mut viewer(5), &items),
            react_to_all(&mut viewer(6), &items)
        );
    }

    #[test]
    fn a_viewer_likes_its_taste_more_often_and_watches_it_longer() {
        let items = items(3_000);
        let (mut good, mut bad) = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0));
        for index in 0..20 {
            let mut viewer = Viewer::new(ViewerConfig {
                index,
                changing_share: 0.0,
                ..ViewerConfig::default()
            });
            let mut rng = seeded(8, "reactions", index);
            for item in &items[..300] {
                let sums = if viewer.taste().match_of(item) > 0.3 {
                    &mut good
                } else {
                    &mut bad
                };
                let reaction = viewer.react(item, &mut rng, NOW);
                let ratio = reaction.watch_ms as f64 / item.duration_ms.expect("generated") as f64;
                let liked = f64::from(u8::from(reaction.signals.contains(&Signal::Like)));
                *sums = (sums.0 + 1.0, sums.1 + liked, sums.2 + ratio);
            }
        }
        assert!(good.1 / good.0 > 3.0 * bad.1 / bad.0, "likes {good:?} {bad:?}");
        assert!(good.2 / good.0 > bad.2 / bad.0 + 0.2, "watching {good:?} {bad:?}");
    }

    #[test]
    fn a_sudden_change_comes_at_its_swipe_and_counts_from_there() {
        let config = ViewerConfig {
            changing_share: 1.0,
            change_after_swipes: (5, 5),
            ..ViewerConfig::default()
        };
        let mut viewer = Viewer::new(config);
        let items = items(12);
        react_to_all(&mut viewer, &items[..4]);
        assert_eq!(viewer.taste_change(), None);
        react_to_all(&mut viewer, &items[4..8]);
        let change = viewer.taste_change().expect("has changed");
        assert_eq!(change.swipes_since, 3);
        assert!(viewer.taste().category(&change.category) > 0.8);
    }

    #[test]
    fn every_viewer_leaves_some_time() {
        let items = items(200);
        let mut lengths: Vec<usize> = (0..60)
            .map(|index| {
                let mut viewer = viewer(index);
                let mut rng = seeded(1, "leaving", index);
                let mut shown = 0;
                loop {
                    shown += 1;
                    if viewer.react(&items[shown % items.len()], &mut rng, NOW).leave {
                        return shown;
                    }
                }
            })
            .collect();
        lengths.sort_unstable();
        assert!(
            (15..=160).contains(&lengths[30]),
            "the median session has {} items",
            lengths[30]
        );
        assert!(lengths[0] < lengths[59], "sessions differ in length");
    }

    proptest! {
        #[test]
        fn a_reaction_makes_sense(seed: u64, index in 0..500_usize) {
            let config = CatalogueConfig { items: 500, dim: None, seed: 9, now: NOW, days: 7 };
            let item = Catalogue::new(config).expect("possible").item(index);
            let mut viewer = Viewer::new(ViewerConfig { seed, ..ViewerConfig::default() });
            let reaction = viewer.react(&item, &mut seeded(seed, "reaction", 0), NOW);
            let has = |signal| reaction.signals.contains(&signal);
            prop_assert_eq!(reaction.signals[0], Signal::View);
            prop_assert!(!(has(Signal::Like) && has(Signal::Skip)));
            prop_assert!(!(has(Signal::Complete) && has(Signal::Skip)));
            prop_assert!(has(Signal::Like) || !has(Signal::Share));
            prop_assert!(reaction.watch_ms >= 0);
            prop_assert!(reaction.watch_ms as f64 <= WATCH_RATIO_MAX * item.duration_ms.expect("generated") as f64);
            prop_assert!((0.0..=1.0).contains(&viewer.like_probability(&item, NOW)));
        }
    }
}
