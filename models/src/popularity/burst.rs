//! Bursts: whether an item's last minute stands out from the item's own baseline.
//!
//! Owns the formula. Must not keep any state: everything follows from the item's windows.
//!
//! Approvals (likes, shares, comments, favourites, follows, completions) of one minute are taken for a Poisson count with
//! the baseline as its mean, the point-by-point Poisson model of S. Hendrickson, J. Kolb, B. Lehman, J. Montague ("Trend
//! Detection in Social Data", Gnip/Twitter 2015; cf. J. Kleinberg, "Bursty and Hierarchical Structure in Streams", KDD
//! 2002). The square root makes the spread of such a count the same whatever its mean (F. J. Anscombe, "The
//! Transformation of Poisson, Binomial and Negative-Binomial Data", Biometrika 1948), so that one threshold serves
//! small and large items alike:
//!
//! z = 2 · (√c - √b)
//!
//! - c: the running minute, and of the minute before it the share that still lies within the last sixty seconds.
//! - b: approvals per minute in the last hour or in the last day, whichever is more, without the last five minutes (a
//!   burst must not raise its own baseline), and never below a floor: the first ten likes of a new item are no burst of
//!   infinite size.

use super::counts::{Counter, Counts};
use super::windows::{WindowSpan, Windows};
use crate::params::ViralParams;
use crate::time::{MINUTE_MS, TimestampMs};

/// What counts: whatever says that a viewer wants more of this. Views do not, because we choose ourselves what is viewed.
const APPROVALS: [Counter; 5] = [
    Counter::Likes,
    Counter::Shares,
    Counter::Comments,
    Counter::Favorites,
    Counter::Completions,
];

/// An item's last minute beside its baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Burst {
    /// Approvals in the last minute.
    last_minute: f32,
    /// How many of them a minute usually has.
    baseline: f32,
}

impl Burst {
    /// The last minute before `now`.
    pub(super) fn of(windows: &Windows, now: TimestampMs, params: &ViralParams) -> Self {
        let running = approvals(&windows.newest_counts(WindowSpan::FiveMinutes, now, 1));
        let with_previous = approvals(&windows.newest_counts(WindowSpan::FiveMinutes, now, 2));
        let into_minute = now.0.rem_euclid(MINUTE_MS) as f32 / MINUTE_MS as f32;
        let five_minutes = approvals(&windows.counts(WindowSpan::FiveMinutes, now));
        let per_minute = |span: WindowSpan| {
            let before = approvals(&windows.counts(span, now)).saturating_sub(five_minutes);
            let minutes = (span.length_ms() - WindowSpan::FiveMinutes.length_ms()) / MINUTE_MS;
            before as f32 / minutes as f32
        };
        let usual = per_minute(WindowSpan::Hour).max(per_minute(WindowSpan::Day));
        Self {
            last_minute: running as f32 + (1.0 - into_minute) * with_previous.saturating_sub(running) as f32,
            baseline: usual.max(params.baseline_per_minute_min),
        }
    }

    /// z of the module's head.
    pub(super) fn z(self) -> f32 {
        2.0 * (self.last_minute.sqrt() - self.baseline.sqrt())
    }

    /// Whether it stands out, and is more than a handful.
    pub(super) fn is_viral(self, params: &ViralParams) -> bool {
        self.last_minute >= params.events_min as f32 && self.z() >= params.z_min
    }
}

fn approvals(counts: &Counts) -> u32 {
    APPROVALS
        .iter()
        .fold(0, |sum: u32, counter| sum.saturating_add(counts.get(*counter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, HOUR_MS};

    /// Half a minute past the full one.
    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS + 30_000);

    fn windows(events: &[(i64, u32)]) -> Windows {
        let mut windows = Windows::default();
        for (ago_ms, count) in events {
            (0..*count).for_each(|_| windows.add(Counter::Likes, 0, NOW.plus_ms(-ago_ms), NOW));
        }
        windows
    }

    fn is_viral(windows: &Windows) -> bool {
        Burst::of(windows, NOW, &ViralParams::default()).is_viral(&ViralParams::default())
    }

    #[test]
    fn a_rise_stands_out_and_the_same_rate_as_ever_does_not() {
        // Sixty a minute for the whole last hour, then sixty again, then three times as many.
        let steady: Vec<(i64, u32)> = (1..60).map(|minute| (minute * MINUTE_MS, 60)).collect();
        let with_last = |count| windows(&[steady.clone(), vec![(1_000, count)]].concat());
        assert!(!is_viral(&with_last(30)), "as every half minute before");
        assert!(is_viral(&with_last(150)), "five times as many");
        assert!(!is_viral(&windows(&[(1_000, 5)])), "a handful is no burst");
        assert!(is_viral(&windows(&[(1_000, 30)])), "from nothing to thirty a minute");
        assert!(!is_viral(&windows(&[(2 * HOUR_MS, 500)])), "it is over");
    }

    #[test]
    fn the_baseline_is_the_items_own_and_a_burst_does_not_raise_it() {
        let before = windows(&[(2 * HOUR_MS, 1_435 * 4)]);
        assert_eq!(Burst::of(&before, NOW, &ViralParams::default()).baseline, 4.0);
        let during = windows(&[(2 * HOUR_MS, 1_435 * 4), (2 * MINUTE_MS, 900), (0, 900)]);
        assert_eq!(Burst::of(&during, NOW, &ViralParams::default()).baseline, 4.0);
        let nothing = Burst::of(&windows(&[]), NOW, &ViralParams::default());
        assert_eq!(nothing.baseline, ViralParams::default().baseline_per_minute_min);
    }

    #[test]
    fn of_the_minute_before_only_its_rest_counts() {
        let split = windows(&[(0, 10), (40_000, 10)]);
        assert_eq!(Burst::of(&split, NOW, &ViralParams::default()).last_minute, 15.0);
    }

    #[test]
    fn skips_and_views_make_nothing_viral() {
        let mut windows = Windows::default();
        for counter in [Counter::Skips, Counter::Views, Counter::Impressions, Counter::Dislikes] {
            (0..500).for_each(|_| windows.add(counter, 0, NOW, NOW));
        }
        assert!(!is_viral(&windows));
    }
}
