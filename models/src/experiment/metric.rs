//! What an experiment is judged by: ratios of two sums over viewers.

use super::units::{COMPLETIONS, IMPRESSIONS, LIKES, SHARES, SKIPS, TAKEN_UP, VISITS, WATCH};

/// Number of [`Metric`]s.
pub const METRIC_COUNT: usize = 6;

/// A ratio of two sums over a variant's viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Metric {
    /// Items viewed or answered with any positive signal, per impression.
    Ctr = 0,
    /// Likes per impression.
    LikeRate = 1,
    /// Skips per impression.
    SkipRate = 2,
    /// Completions per impression.
    CompletionRate = 3,
    /// Shares per impression.
    ShareRate = 4,
    /// Seconds watched per session.
    WatchPerSession = 5,
}

impl Metric {
    /// All metrics in the order of their numbers.
    pub const ALL: [Metric; METRIC_COUNT] = [
        Metric::Ctr,
        Metric::LikeRate,
        Metric::SkipRate,
        Metric::CompletionRate,
        Metric::ShareRate,
        Metric::WatchPerSession,
    ];

    /// The name in params and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Ctr => "ctr",
            Metric::LikeRate => "like_rate",
            Metric::SkipRate => "skip_rate",
            Metric::CompletionRate => "completion_rate",
            Metric::ShareRate => "share_rate",
            Metric::WatchPerSession => "watch_time_per_session_s",
        }
    }

    /// The metric of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether less of it is better.
    #[must_use]
    pub const fn is_better_low(self) -> bool {
        matches!(self, Metric::SkipRate)
    }

    /// The numbers of the totals that are divided.
    pub(super) const fn numerator(self) -> usize {
        match self {
            Metric::Ctr => TAKEN_UP,
            Metric::LikeRate => LIKES,
            Metric::SkipRate => SKIPS,
            Metric::CompletionRate => COMPLETIONS,
            Metric::ShareRate => SHARES,
            Metric::WatchPerSession => WATCH,
        }
    }

    /// The number of the total that divides.
    pub(super) const fn denominator(self) -> usize {
        match self {
            Metric::Ctr | Metric::LikeRate | Metric::SkipRate | Metric::CompletionRate | Metric::ShareRate => {
                IMPRESSIONS
            }
            Metric::WatchPerSession => VISITS,
        }
    }
}
