//! How far a new item has come with its guaranteed impressions: the pace line, and when it is given up.
//!
//! Owns the formulas. Must not know viewers or slots.
//!
//! - Pace: of the target T a tenth is owed at once, the rest evenly until nine tenths of the time have passed, so that
//!   the last of them are not owed at the last moment: line = T · min(1, 0.1 + f), f the share of the time that has
//!   passed (budget pacing as in D. Agarwal, S. Ghosh, K. Wei, S. You, "Budget Pacing for Targeted Online Advertisements
//!   at LinkedIn", KDD 2014).
//! - Given up: when, after at least ten impressions, the lower end of the Wilson score interval of the item's skip rate
//!   (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927) lies above the
//!   catalogue's usual skip rate. With z = 3 an item as good as the others is given up wrongly about once in a thousand
//!   looks. An interval and not Thompson sampling: the target is a promise, so that chance must not break it.
//! - Pressure, 0 to 1: how little can be waited for viewers whom the item fits. It grows when half of the time has
//!   passed, and when a quarter of the target is missing to the pace without its first tenth.

use crate::params::ColdStartParams;
use crate::popularity::BoardEntry;
use crate::time::TimestampMs;

/// The share of the target that is owed at once.
const HEAD_START: f32 = 0.1;
/// So many impressions are the least to judge an item by.
const JUDGED_IMPRESSIONS_MIN: u32 = 10;
/// The share of the time after which pressure begins to grow, and until it is full.
const PRESSURE_FROM: f32 = 0.5;
const PRESSURE_UNTIL: f32 = 0.8;
/// The share of the target that, when it is missing, makes full pressure.
const PRESSURE_MISSING: f32 = 0.25;
/// What a whole number may be off by.
const ROUNDING: f32 = 1e-3;

/// Where a new item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressState {
    /// It gets impressions along its pace line.
    Pacing,
    /// It has had all of them.
    Done,
    /// It was given up: clearly more viewers skip it than is usual.
    Stopped,
    /// The deadline has passed; it still gets slots while it is new.
    Late,
}

impl ProgressState {
    /// The name on the wire and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ProgressState::Pacing => "pacing",
            ProgressState::Done => "done",
            ProgressState::Stopped => "stopped",
            ProgressState::Late => "late",
        }
    }
}

/// How far a new item has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// So many impressions are guaranteed.
    pub target: u32,
    /// So many it has had.
    pub shown: u32,
    /// Until when.
    pub deadline: TimestampMs,
    /// Where it stands.
    pub state: ProgressState,
    /// The share of the time that has passed, 0 to 1.
    elapsed_share: f32,
}

impl Progress {
    /// The progress of an item that was made at `created_at` and does as `entry` says. `None` when it is not new, or
    /// nothing is guaranteed.
    #[must_use]
    pub fn of(
        created_at: TimestampMs,
        entry: &BoardEntry,
        usual_skip_rate: f32,
        params: &ColdStartParams,
        now: TimestampMs,
    ) -> Option<Self> {
        let age_ms = now.since(created_at);
        if params.new_item_impressions == 0 || age_ms > params.new_item_age_ms_max {
            return None;
        }
        let (target, shown) = (params.new_item_impressions, entry.impressions);
        let state = if shown >= target {
            ProgressState::Done
        } else if is_clearly_bad(entry, usual_skip_rate, params.new_item_stop_z) {
            ProgressState::Stopped
        } else if age_ms > params.new_item_deadline_ms {
            ProgressState::Late
        } else {
            ProgressState::Pacing
        };
        Some(Self {
            target,
            shown,
            deadline: created_at.plus_ms(params.new_item_deadline_ms),
            state,
            elapsed_share: (age_ms as f32 / params.new_item_deadline_ms.max(1) as f32).clamp(0.0, 1.0),
        })
    }

    /// Whether it still gets slots.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ProgressState::Pacing | ProgressState::Late)
    }

    /// How many impressions are missing to the pace line.
    #[must_use]
    pub fn owed(&self) -> u32 {
        let line = self.target as f32 * (HEAD_START + self.elapsed_share).min(1.0);
        // A hair above a whole number is rounding, not an impression.
        ((line - ROUNDING).ceil() as u32)
            .min(self.target)
            .saturating_sub(self.shown)
    }

    /// Pressure of the module's head.
    #[must_use]
    pub fn pressure(&self) -> f32 {
        let by_time = (self.elapsed_share - PRESSURE_FROM) / (PRESSURE_UNTIL - PRESSURE_FROM);
        let missing = self.elapsed_share - self.shown as f32 / self.target.max(1) as f32;
        by_time.max(missing / PRESSURE_MISSING).clamp(0.0, 1.0)
    }
}

fn is_clearly_bad(entry: &BoardEntry, usual_skip_rate: f32, z: f32) -> bool {
    entry.impressions >= JUDGED_IMPRESSIONS_MIN
        && wilson_low(entry.rejections.min(entry.impressions), entry.impressions, z) > usual_skip_rate
}

/// The lower end of the Wilson score interval of `count` out of `total` (at least 1).
fn wilson_low(count: u32, total: u32, z: f32) -> f32 {
    let (n, p, zz) = (total as f32, count as f32 / total as f32, z * z);
    let spread = z * (p * (1.0 - p) / n + zz / (4.0 * n * n)).sqrt();
    (p + zz / (2.0 * n) - spread) / (1.0 + zz / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::PopularityParams;
    use crate::time::DAY_MS;
    use proptest::prelude::*;

    const MADE: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn entry(impressions: u32, rejections: u32) -> BoardEntry {
        BoardEntry {
            impressions,
            rejections,
            ..BoardEntry::prior(&PopularityParams::default())
        }
    }

    fn progress(impressions: u32, rejections: u32, elapsed_share: f64) -> Option<Progress> {
        let params = ColdStartParams::default();
        let now = MADE.plus_ms((elapsed_share * params.new_item_deadline_ms as f64) as i64);
        Progress::of(MADE, &entry(impressions, rejections), 0.35, &params, now)
    }

    #[test]
    fn the_pace_line_has_a_head_start_and_ends_before_the_deadline() {
        let owed = |shown, elapsed| progress(shown, 0, elapsed).expect("new").owed();
        assert_eq!(owed(0, 0.0), 5);
        assert_eq!(owed(5, 0.0), 0);
        assert_eq!(owed(5, 0.5), 25);
        assert_eq!((owed(0, 0.9), owed(49, 1.0), owed(70, 1.0)), (50, 1, 0));
    }

    #[test]
    fn each_state_is_reached() {
        let state = |shown, skips, elapsed| progress(shown, skips, elapsed).map(|progress| progress.state);
        assert_eq!(state(0, 0, 0.0), Some(ProgressState::Pacing));
        assert_eq!(state(50, 0, 0.1), Some(ProgressState::Done));
        assert_eq!(state(9, 9, 0.1), Some(ProgressState::Pacing), "too few to judge");
        assert_eq!(state(10, 10, 0.1), Some(ProgressState::Stopped));
        assert_eq!(state(40, 15, 0.1), Some(ProgressState::Pacing), "about as usual");
        assert_eq!(state(40, 15, 1.1), Some(ProgressState::Late));
        assert_eq!(state(0, 0, 3.1), None, "not new any more");
    }

    #[test]
    fn pressure_grows_with_time_and_with_what_is_missing() {
        let pressure = |shown, elapsed| progress(shown, 0, elapsed).expect("new").pressure();
        assert_eq!(pressure(0, 0.0), 0.0, "the head start presses nobody");
        assert_eq!(pressure(0, 0.25), 1.0);
        assert!((pressure(10, 0.3) - 0.4).abs() < 1e-3);
        assert_eq!((pressure(49, 0.5), pressure(49, 0.8)), (0.0, 1.0));
    }

    #[test]
    fn the_wilson_interval_is_that_of_the_book() {
        // 10 of 10 at z = 3: 1 / (1 + 9 / 10); 0 of 10: 0.
        assert!((wilson_low(10, 10, 3.0) - 1.0 / 1.9).abs() < 1e-6);
        assert!(wilson_low(0, 10, 3.0).abs() < 1e-6);
        // Newcombe 1998, table I: 81 of 263 at 95 %: 0.2553.
        assert!((wilson_low(81, 263, 1.96) - 0.2553).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn never_more_is_owed_than_the_target(shown in 0..200_u32, skips in 0..200_u32, elapsed in -1.0..4.0_f64) {
            if let Some(progress) = progress(shown, skips.min(shown), elapsed) {
                prop_assert!(progress.owed() + progress.shown <= progress.target.max(progress.shown));
                prop_assert!((0.0..=1.0).contains(&progress.pressure()));
                prop_assert_eq!(progress.is_open(), shown < 50 && progress.state != ProgressState::Stopped);
            }
        }
    }
}
