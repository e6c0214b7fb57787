//! How counts become rates, engagement, a window's score and a trend.
//!
//! Owns the weights and the formulas. Must not keep any state.
//!
//! - Engagement E = Σ weight · count, at least 0. Weights: share 1.5, favourite 1.2, like 1, comment 1, completion 0.6,
//!   view 0.2, skip -0.3, dislike or report -1. They are whole tenths inside, so that sums are exact in any order.
//! - Showings N: the smallest number of showings that explains the counts, `max(impressions, views, rejections + the
//!   most frequent of the approvals)`: an engagement that came without its impression counts as one, and no rate
//!   exceeds 1.
//! - Rate = (count + prior · n) / (N + n), the mean of the Beta posterior with n = `prior_impressions`.
//! - Score of a window = E · (E + ρ · n) / (N + n), with ρ the engagement that the prior rates expect of one showing:
//!   volume times the smoothed engagement per showing. One like of one view has all but no volume and a quality near ρ,
//!   so that it stays below an item that many have seen and liked; nothing but skips scores 0.
//! - Trend = (E₅ + 0.3) / (E₅ + E₂₄ · 5 / 1440 + 1): the share of the last five minutes in itself plus what an average
//!   five minutes of the last day hold. 0.3 of which nothing is known, near 0 fading, 0.5 steady, near 1 rising.

use super::counts::{Counter, Counts};
use super::windows::WindowSpan;
use crate::event::Signal;
use crate::params::PopularityParams;

/// The prior share rate.
pub const PRIOR_SHARE_RATE: f32 = 0.01;
/// The trend of an item of which nothing is known.
const TREND_NEUTRAL: f32 = 0.3;
/// So much engagement of prior belief stands behind a trend.
const TREND_PRIOR: f32 = 1.0;
/// Weights are kept in whole tenths.
const TENTHS: f32 = 10.0;
/// The least engagement that a showing is expected to bring, whatever the prior rates are.
const PRIOR_ENGAGEMENT_MIN: f32 = 0.01;

/// Which counter a signal raises; `None` for `unlike`, which takes one back.
pub(super) fn counter_of(signal: Signal) -> Option<Counter> {
    match signal {
        Signal::Impression => Some(Counter::Impressions),
        Signal::View => Some(Counter::Views),
        Signal::Like => Some(Counter::Likes),
        Signal::Unlike => None,
        Signal::Skip => Some(Counter::Skips),
        Signal::Share => Some(Counter::Shares),
        Signal::Comment => Some(Counter::Comments),
        Signal::Favorite | Signal::Follow => Some(Counter::Favorites),
        Signal::Complete => Some(Counter::Completions),
        Signal::Dislike | Signal::Report => Some(Counter::Dislikes),
    }
}

/// The weight of a counter in the engagement, in tenths.
pub(super) const fn weight_tenths(counter: Counter) -> i32 {
    match counter {
        Counter::Impressions => 0,
        Counter::Views => 2,
        Counter::Likes | Counter::Comments => 10,
        Counter::Skips => -3,
        Counter::Shares => 15,
        Counter::Completions => 6,
        Counter::Favorites => 12,
        Counter::Dislikes => -10,
    }
}

const COUNTERS: [Counter; 9] = [
    Counter::Impressions,
    Counter::Views,
    Counter::Likes,
    Counter::Skips,
    Counter::Shares,
    Counter::Completions,
    Counter::Comments,
    Counter::Favorites,
    Counter::Dislikes,
];

/// Engagement out of a sum of tenths: at least 0.
pub(super) fn engagement_of_tenths(tenths: i64) -> f32 {
    tenths.max(0) as f32 / TENTHS
}

/// E of the module's head.
pub(super) fn engagement(counts: &Counts) -> f32 {
    engagement_of_tenths(COUNTERS.iter().map(|&counter| tenths(counts, counter)).sum())
}

/// The positive part of the engagement.
pub(super) fn gains(counts: &Counts) -> f32 {
    engagement_of_tenths(COUNTERS.iter().map(|&counter| tenths(counts, counter).max(0)).sum())
}

fn tenths(counts: &Counts, counter: Counter) -> i64 {
    i64::from(weight_tenths(counter)) * i64::from(counts.get(counter))
}

/// N of the module's head.
pub(super) fn showings(counts: &Counts) -> u32 {
    let approvals = [
        Counter::Likes,
        Counter::Shares,
        Counter::Completions,
        Counter::Comments,
        Counter::Favorites,
    ];
    let approved = approvals
        .into_iter()
        .map(|counter| counts.get(counter))
        .max()
        .unwrap_or(0);
    let rejected = rejections(counts);
    counts
        .get(Counter::Impressions)
        .max(counts.get(Counter::Views))
        .max(rejected.saturating_add(approved))
}

/// Skips, dislikes and reports.
pub(super) fn rejections(counts: &Counts) -> u32 {
    counts.get(Counter::Skips).saturating_add(counts.get(Counter::Dislikes))
}

/// The smoothed rate of the module's head.
pub(super) fn smoothed_rate(count: u32, showings: u32, prior: f32, prior_n: f32) -> f32 {
    let weight = showings as f32 + prior_n;
    if weight > 0.0 {
        (count as f32 + prior * prior_n) / weight
    } else {
        prior
    }
}

/// The smoothed engagement per showing: the second factor of a window's score.
pub(super) fn quality(counts: &Counts, params: &PopularityParams) -> f32 {
    let expected = 0.2 + params.prior_like_rate + 0.6 * params.prior_completion_rate - 0.3 * params.prior_skip_rate;
    let weight = showings(counts) as f32 + params.prior_impressions;
    if weight <= 0.0 {
        return 0.0;
    }
    (engagement(counts) + expected.max(PRIOR_ENGAGEMENT_MIN) * params.prior_impressions) / weight
}

/// Trend of the module's head, from the engagement of five minutes and of a day.
pub(super) fn trend(five_minutes: f32, day: f32) -> f32 {
    let average = day * WindowSpan::FiveMinutes.length_ms() as f32 / WindowSpan::Day.length_ms() as f32;
    (five_minutes + TREND_NEUTRAL * TREND_PRIOR) / (five_minutes + average + TREND_PRIOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(numbers: &[(Counter, u32)]) -> Counts {
        let mut counts = Counts::default();
        for &(counter, number) in numbers {
            (0..number).for_each(|_| counts.add(counter, 0));
        }
        counts
    }

    fn score(numbers: &[(Counter, u32)]) -> f32 {
        let counts = counts(numbers);
        engagement(&counts) * quality(&counts, &PopularityParams::default())
    }

    #[test]
    fn one_like_of_one_view_does_not_top_the_list() {
        let one_like = score(&[(Counter::Impressions, 1), (Counter::Views, 1), (Counter::Likes, 1)]);
        let liked_by_many = score(&[(Counter::Impressions, 100), (Counter::Views, 90), (Counter::Likes, 10)]);
        let shown_only = score(&[(Counter::Impressions, 100), (Counter::Skips, 90)]);
        assert!(
            liked_by_many > 5.0 * one_like && one_like > shown_only,
            "{liked_by_many} {one_like} {shown_only}"
        );
        assert_eq!(shown_only, 0.0);
    }

    #[test]
    fn at_equal_likes_the_item_that_pleased_more_of_its_viewers_leads() {
        let few = score(&[(Counter::Impressions, 100), (Counter::Likes, 20)]);
        let many = score(&[(Counter::Impressions, 1_000), (Counter::Likes, 20)]);
        assert!(few > 3.0 * many);
    }

    #[test]
    fn likes_and_skips_without_impressions_are_showings() {
        let counts = counts(&[(Counter::Likes, 30), (Counter::Completions, 20), (Counter::Skips, 10)]);
        assert_eq!(showings(&counts), 40);
        assert_eq!(smoothed_rate(30, 40, 0.0, 0.0), 0.75);
    }

    #[test]
    fn the_trend_tells_rising_from_fading() {
        assert_eq!(trend(0.0, 0.0), TREND_NEUTRAL);
        assert!((trend(100.0, 28_800.0) - 0.5).abs() < 0.01);
        assert!(trend(0.0, 28_800.0) < 0.01 && trend(500.0, 500.0) > 0.95);
    }

    proptest! {
        #[test]
        fn no_rate_leaves_0_to_1(
            numbers in prop::array::uniform9(0..50_u32),
            prior in 0.0..1.0_f32,
            n in 0.0..50.0_f32,
        ) {
            let list: Vec<_> = COUNTERS.into_iter().zip(numbers).collect();
            let counts = counts(&list);
            for counter in [Counter::Likes, Counter::Shares, Counter::Completions, Counter::Views] {
                let rate = smoothed_rate(counts.get(counter), showings(&counts), prior, n);
                prop_assert!((0.0..=1.0).contains(&rate));
            }
            prop_assert!((0.0..=1.0).contains(&smoothed_rate(rejections(&counts), showings(&counts), prior, n)));
            prop_assert!(quality(&counts, &PopularityParams::default()).is_finite());
        }
    }
}
