//! Everything that is counted of one item, and the reading that is published of it.
//!
//! Owns: windows, regions, lifetime counters and decayed popularity of one item, and their snapshot form. Must not know
//! who counts or where the reading goes; the snapshot's version is its keeper's business.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::burst::Burst;
use super::counts::{Counter, Counts};
use super::forward_decay::{DecayStamp, ForwardDecay};
use super::regions::{REGIONS_MAX, RegionReading, Regions};
use super::scoring::{self, PRIOR_SHARE_RATE, counter_of, showings, smoothed_rate, weight_tenths};
use super::voices::Voices;
use super::windows::{WINDOW_COUNT, WindowSpan, Windows};
use crate::event::Signal;
use crate::ids::Word;
use crate::params::{PopularityParams, ViralParams};
use crate::time::TimestampMs;

/// One thing that somebody did with the item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemSignal {
    /// What.
    pub signal: Signal,
    /// When it happened.
    pub at: TimestampMs,
    /// How long the item was watched, in milliseconds; 0 when not said.
    pub watch_ms: u32,
    /// The viewer's region, if known.
    pub region: Option<Word>,
    /// Whose: the low half of the user id's hash. `None` where nobody knows; such a signal always counts.
    pub viewer: Option<u32>,
}

/// The statistics of one item. Recording takes well under a microsecond and allocates only for a new slot or region.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ItemStats {
    /// The sequence number of the last journal record that is included; set by whoever records.
    pub last_sequence: u64,
    windows: Windows,
    regions: Regions,
    lifetime: Counts,
    decayed: ForwardDecay,
    /// Until when the item counts as viral. Missing in what was written before there was such a thing.
    #[serde(default)]
    viral_until: TimestampMs,
    /// Whose signals counted lately. Missing in what was written before one viewer was one voice.
    #[serde(default)]
    voices: Voices,
}

/// What is published of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemReading {
    /// Decayed popularity: the engagement of all time, fading with `half_life_ms`.
    pub popularity: DecayStamp,
    /// Smoothed likes per showing, 0..=1.
    pub like_rate: f32,
    /// Smoothed skips, dislikes and reports per showing, 0..=1.
    pub skip_rate: f32,
    /// Smoothed completions per showing, 0..=1.
    pub completion_rate: f32,
    /// Smoothed shares per showing, 0..=1.
    pub share_rate: f32,
    /// How often it was shown in its life (an engagement without an impression is a showing too).
    pub impressions: u32,
    /// How many of those were skips, dislikes and reports.
    pub rejections: u32,
    /// The scores of the windows, the shortest first (formula: module `scoring`).
    pub window_scores: [f32; WINDOW_COUNT],
    /// 0 fading, 0.5 steady, 1 rising.
    pub trend: f32,
    /// Whether its rate has lately risen far above its own baseline (formula: module `burst`).
    pub is_viral: bool,
    /// The same by region.
    pub regions: SmallVec<[RegionReading; REGIONS_MAX]>,
}

impl ItemReading {
    /// Whether a trending list of any window could name the item.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.window_scores.iter().any(|score| *score > 0.0)
    }
}

impl ItemStats {
    /// Takes one signal in. It may be late or out of order; one from after `now` counts as of `now`. One viewer is one
    /// voice: the same again within `viewer_repeat_ms` changes nothing but the time watched.
    pub fn record(&mut self, signal: &ItemSignal, now: TimestampMs, params: &PopularityParams) {
        let at = signal.at.min(now);
        let Some(counter) = counter_of(signal.signal) else {
            let likes = self.lifetime.get(Counter::Likes);
            let takes_back = |viewer| self.voices.takes_back(viewer, Counter::Likes, likes, at);
            if signal.viewer.is_none_or(takes_back) {
                self.unlike(signal.region, now);
            }
            return;
        };
        let period_ms = params.viewer_repeat_ms;
        let speaks = |viewer| self.voices.speaks(viewer, counter, at, period_ms);
        if !signal.viewer.is_none_or(speaks) {
            self.windows.add_watch_ms(signal.watch_ms, at, now);
            self.lifetime.watch(signal.watch_ms);
            return;
        }
        let tenths = weight_tenths(counter);
        self.windows.add(counter, signal.watch_ms, at, now);
        self.lifetime.add(counter, signal.watch_ms);
        self.decayed.add(f64::from(tenths) / 10.0, at, params.half_life_ms);
        if let Some(region) = signal.region {
            self.regions.add(region, tenths, at, now, params.half_life_ms);
        }
    }

    /// Takes one like back; nothing happens when there is none. Which like it was is not known: counters lose the
    /// newest one, decayed popularity loses what an average like has left in it.
    fn unlike(&mut self, region: Option<Word>, now: TimestampMs) {
        let gains_before = scoring::gains(&self.lifetime);
        if !self.lifetime.take_back(Counter::Likes) {
            return;
        }
        let tenths = weight_tenths(Counter::Likes);
        let share = f64::from(tenths) / 10.0 / f64::from(gains_before);
        self.windows.take_back(Counter::Likes, now);
        self.decayed.take_back_share(share);
        if let Some(region) = region {
            self.regions.take_back(region, tenths, share, now);
        }
    }

    /// Looks whether the item's last minute stands out from its own baseline; if so the item counts as viral for a
    /// while from `now` on. Returns whether it does stand out.
    pub fn detect_burst(&mut self, now: TimestampMs, params: &ViralParams) -> bool {
        let stands_out = params.enabled && Burst::of(&self.windows, now, params).is_viral(params);
        if stands_out {
            self.viral_until = now.plus_ms(params.hold_ms);
        }
        stands_out
    }

    /// Whether the item counts as viral.
    #[must_use]
    pub fn is_viral(&self, now: TimestampMs) -> bool {
        self.viral_until > now
    }

    /// Whether nothing has happened in any window: whoever keeps the item in memory may write it down and let it go.
    #[must_use]
    pub fn windows_empty(&self, now: TimestampMs) -> bool {
        self.windows.is_empty(now) && self.regions.windows_empty(now)
    }

    /// Frees the slots that have left their windows; readings are the same with and without.
    pub fn expire(&mut self, now: TimestampMs) {
        self.windows.expire(now);
        self.regions.expire(now);
        self.voices.expire(now);
    }

    /// Everything that ever happened.
    #[must_use]
    pub fn lifetime(&self) -> &Counts {
        &self.lifetime
    }

    /// What happened in one window.
    #[must_use]
    pub fn counts(&self, span: WindowSpan, now: TimestampMs) -> Counts {
        self.windows.counts(span, now)
    }

    /// What happened in the newest slots of one window.
    #[must_use]
    pub fn newest_counts(&self, (span, slots): (WindowSpan, u32), now: TimestampMs) -> Counts {
        self.windows.newest_counts(span, now, slots)
    }

    /// What the item would score in a window of those slots, as [`ItemReading::window_scores`] are made.
    #[must_use]
    pub fn score_of(&self, newest: (WindowSpan, u32), now: TimestampMs, params: &PopularityParams) -> f32 {
        let counts = self.newest_counts(newest, now);
        scoring::engagement(&counts) * scoring::quality(&counts, params)
    }

    /// All that is published of the item as of `now`.
    #[must_use]
    pub fn reading(&self, now: TimestampMs, params: &PopularityParams) -> ItemReading {
        let counts = WindowSpan::ALL.map(|span| self.windows.counts(span, now));
        let engagement = counts.each_ref().map(scoring::engagement);
        let quality = counts.each_ref().map(|counts| scoring::quality(counts, params));
        let shown = showings(&self.lifetime);
        let rate = |count: u32, prior: f32| smoothed_rate(count, shown, prior, params.prior_impressions);
        let scores = |engagement: [f32; WINDOW_COUNT]| std::array::from_fn(|span| engagement[span] * quality[span]);
        let mut regions = SmallVec::new();
        self.regions
            .for_each(now, params.half_life_ms, |region, engagement, popularity| {
                regions.push(RegionReading {
                    region,
                    window_scores: scores(engagement),
                    popularity,
                });
            });
        ItemReading {
            popularity: self.decayed.stamp(params.half_life_ms),
            like_rate: rate(self.lifetime.get(Counter::Likes), params.prior_like_rate),
            skip_rate: rate(scoring::rejections(&self.lifetime), params.prior_skip_rate),
            completion_rate: rate(self.lifetime.get(Counter::Completions), params.prior_completion_rate),
            share_rate: rate(self.lifetime.get(Counter::Shares), PRIOR_SHARE_RATE),
            impressions: shown,
            rejections: scoring::rejections(&self.lifetime),
            window_scores: scores(engagement),
            trend: scoring::trend(
                engagement[WindowSpan::FiveMinutes as usize],
                engagement[WindowSpan::Day as usize],
            ),
            is_viral: self.is_viral(now),
            regions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn record(stats: &mut ItemStats, signal: Signal, ago_ms: i64, region: Option<Word>) {
        let signal = ItemSignal {
            signal,
            at: NOW.plus_ms(-ago_ms),
            watch_ms: 2_000,
            region,
            viewer: None,
        };
        stats.record(&signal, NOW, &PopularityParams::default());
    }

    fn reading(stats: &ItemStats) -> ItemReading {
        stats.reading(NOW, &PopularityParams::default())
    }

    #[test]
    fn nobody_has_seen_it_reads_as_the_priors() {
        let params = PopularityParams::default();
        let empty = reading(&ItemStats::default());
        assert_eq!(
            (empty.like_rate, empty.skip_rate),
            (params.prior_like_rate, params.prior_skip_rate)
        );
        assert_eq!(
            (empty.impressions, empty.window_scores, empty.trend),
            (0, [0.0; 4], 0.3)
        );
        assert!(empty.popularity.is_none() && !empty.is_active());
        assert!(ItemStats::default().windows_empty(NOW));
    }

    #[test]
    fn likes_raise_and_skips_lower() {
        let mut stats = ItemStats::default();
        for viewer in 0..40 {
            record(&mut stats, Signal::Impression, MINUTE_MS, None);
            record(
                &mut stats,
                if viewer < 30 { Signal::Like } else { Signal::Skip },
                MINUTE_MS,
                None,
            );
        }
        let read = reading(&stats);
        assert_eq!(read.impressions, 40);
        assert!((read.like_rate - 31.0 / 60.0).abs() < 1e-6 && (read.skip_rate - 17.0 / 60.0).abs() < 1e-6);
        assert!(read.window_scores.iter().all(|score| *score > 10.0) && read.trend > 0.9);
        assert!((read.popularity.value_at(NOW, PopularityParams::default().half_life_ms) - 27.0).abs() < 0.1);
    }

    #[test]
    fn an_unlike_undoes_a_like_and_never_more() {
        let mut stats = ItemStats::default();
        record(&mut stats, Signal::View, 2 * HOUR_MS, Some(3));
        let before = reading(&stats);
        record(&mut stats, Signal::Like, HOUR_MS, Some(3));
        assert!(reading(&stats).window_scores[3] > before.window_scores[3]);
        for _ in 0..3 {
            record(&mut stats, Signal::Unlike, 0, Some(3));
            let after = reading(&stats);
            assert_eq!(after.window_scores[2..], before.window_scores[2..]);
            assert_eq!(after.like_rate, before.like_rate);
            let half_life_ms = PopularityParams::default().half_life_ms;
            let (left, expected) = (after.popularity.value_at(NOW, half_life_ms), 0.2);
            assert!((left - expected).abs() < 0.01, "{left}");
        }
    }

    #[test]
    fn a_region_has_its_own_volume_and_the_items_quality() {
        let mut stats = ItemStats::default();
        for viewer in 0..9 {
            record(&mut stats, Signal::Like, MINUTE_MS, Some(viewer % 3 % 2));
        }
        let read = reading(&stats);
        let score = |word: Word| {
            read.regions
                .iter()
                .find(|region| region.region == word)
                .expect("read")
                .window_scores
        };
        assert!((score(0)[1] - 2.0 * score(1)[1]).abs() < 1e-4);
        assert!((score(0)[1] + score(1)[1] - read.window_scores[1]).abs() < 1e-4);
    }

    #[test]
    fn windows_run_empty_after_a_week_and_popularity_stays() {
        let mut stats = ItemStats::default();
        record(&mut stats, Signal::Share, 0, Some(1));
        let later = NOW.plus_ms(8 * DAY_MS);
        assert!(!stats.windows_empty(NOW) && stats.windows_empty(later));
        stats.expire(later);
        let read = stats.reading(later, &PopularityParams::default());
        assert_eq!(read.window_scores, [0.0; 4]);
        assert!(
            read.popularity
                .value_at(later, PopularityParams::default().half_life_ms)
                > 0.1
        );
    }

    #[test]
    fn what_was_written_before_there_were_viral_items_is_read() {
        let mut stats = ItemStats::default();
        record(&mut stats, Signal::Like, 0, Some(1));
        let before = (
            stats.last_sequence,
            &stats.windows,
            &stats.regions,
            stats.lifetime,
            stats.decayed,
        );
        let bytes = rmp_serde::to_vec(&before).expect("encodes");
        assert_eq!(rmp_serde::from_slice::<ItemStats>(&bytes).expect("decodes"), stats);
    }

    #[test]
    fn one_viewer_is_one_voice() {
        let params = PopularityParams::default();
        let (mut by_one, mut by_many) = (ItemStats::default(), ItemStats::default());
        let likes = |stats: &mut ItemStats, viewer: u32, signal: Signal| {
            let signal = ItemSignal {
                signal,
                at: NOW,
                watch_ms: 1_000,
                region: Some(1),
                viewer: Some(viewer),
            };
            stats.record(&signal, NOW, &params);
        };
        (0..40).for_each(|_| likes(&mut by_one, 7, Signal::Like));
        (0..12).for_each(|viewer| likes(&mut by_many, viewer, Signal::Like));
        assert!(!by_one.detect_burst(NOW, &params.viral) && by_many.detect_burst(NOW, &params.viral));
        assert_eq!((reading(&by_one).impressions, reading(&by_many).impressions), (1, 12));
        assert_eq!(
            by_one.counts(WindowSpan::Hour, NOW).watch_ms(),
            40_000,
            "time watched is time watched"
        );
        likes(&mut by_one, 8, Signal::Unlike);
        assert_eq!(by_one.lifetime().get(Counter::Likes), 1, "another's like");
        (0..3).for_each(|_| likes(&mut by_many, 3, Signal::Unlike));
        assert_eq!(by_many.lifetime().get(Counter::Likes), 11);
        likes(&mut by_one, 7, Signal::Unlike);
        assert!(!reading(&by_one).is_active());
    }

    proptest! {
        #[test]
        fn any_history_survives_the_snapshot_and_reads_finite(
            signals in prop::collection::vec((0..12_u8, 0..9 * DAY_MS, prop::option::of(0..12_u32)), 0..80),
        ) {
            let mut stats = ItemStats { last_sequence: 77, ..ItemStats::default() };
            for (number, ago_ms, region) in signals {
                record(&mut stats, Signal::from_number(number).expect("a signal"), ago_ms, region);
            }
            let bytes = rmp_serde::to_vec(&stats).expect("encodes");
            let restored: ItemStats = rmp_serde::from_slice(&bytes).expect("decodes");
            prop_assert_eq!(&restored, &stats);
            let read = reading(&restored);
            for rate in [read.like_rate, read.skip_rate, read.completion_rate, read.share_rate, read.trend] {
                prop_assert!((0.0..=1.0).contains(&rate));
            }
            prop_assert!(read.window_scores.iter().all(|score| score.is_finite() && *score >= 0.0));
            prop_assert!(read.regions.len() <= REGIONS_MAX);
        }
    }
}
