//! The state machine: load in, level out.
//!
//! Down one step at a time while the load keeps asking for it, up one step at a time after the load has been low for a
//! while: a hiccup costs nothing, a short burst a step or two, a long one everything, and nothing flaps. Pure: the caller brings time and load.

use serde::Serialize;

use super::Level;
use crate::params::{DegradationParams, StepThresholds};
use crate::time::TimestampMs;

/// What is measured of the load: the worst since the step before.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Load {
    /// How late the latest thread of sessions runs, in milliseconds.
    pub lag_ms: f64,
    /// How many messages wait for the sessions of one thread.
    pub queue: u32,
    /// How many calls are in work.
    pub in_flight: u32,
}

/// One measure of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// [`Load::lag_ms`].
    LagMs,
    /// [`Load::queue`].
    Queue,
    /// [`Load::in_flight`].
    InFlight,
}

/// Why a level was taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// A measure reached a threshold.
    Load {
        /// Which.
        measure: Measure,
        /// What was measured.
        value: f64,
        /// The threshold that it reached.
        threshold: u32,
    },
    /// The load has been low for long enough.
    Calm,
    /// The params say so.
    Forced,
    /// The params switch the ladder off.
    Disabled,
}

/// A change of the level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Transition {
    /// From.
    pub from: Level,
    /// To.
    pub to: Level,
    /// Why.
    pub reason: Reason,
}

/// The state machine.
#[derive(Debug, Clone)]
pub struct Ladder {
    level: Level,
    changed_at: Option<TimestampMs>,
    pressed_since: Option<TimestampMs>,
    calm_since: Option<TimestampMs>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            level: Level::Full,
            changed_at: None,
            pressed_since: None,
            calm_since: None,
        }
    }
}

impl Measure {
    /// All measures.
    pub const ALL: [Measure; 3] = [Measure::LagMs, Measure::Queue, Measure::InFlight];

    /// What was measured.
    #[must_use]
    pub fn of(self, load: &Load) -> f64 {
        match self {
            Measure::LagMs => load.lag_ms,
            Measure::Queue => f64::from(load.queue),
            Measure::InFlight => f64::from(load.in_flight),
        }
    }

    fn thresholds(self, params: &DegradationParams) -> &StepThresholds {
        match self {
            Measure::LagMs => &params.lag_ms,
            Measure::Queue => &params.queue,
            Measure::InFlight => &params.in_flight,
        }
    }
}

impl Ladder {
    /// The level that holds.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes a look at the load. Returns the change of the level, if it changes. `now` must not go back.
    pub fn step(&mut self, load: &Load, params: &DegradationParams, now: TimestampMs) -> Option<Transition> {
        if let Some(forced) = params.forced() {
            return self.change(forced, Reason::Forced, now);
        }
        if !params.enabled {
            return self.change(Level::Full, Reason::Disabled, now);
        }
        let since_change_ms = self.changed_at.map_or(i64::MAX, |at| now.since(at));
        if let Some((wanted, reason)) = asked_for(load, params, 1.0)
            && wanted > self.level
        {
            self.calm_since = None;
            let pressed_ms = now.since(*self.pressed_since.get_or_insert(now));
            if pressed_ms < params.worse_after_ms || since_change_ms < params.worse_after_ms {
                return None;
            }
            return self.change(self.level.worse(), reason, now);
        }
        self.pressed_since = None;
        let held = asked_for(load, params, f64::from(params.recover_share)).map_or(Level::Full, |(level, _)| level);
        if held >= self.level {
            self.calm_since = None;
            return None;
        }
        let calm_ms = now.since(*self.calm_since.get_or_insert(now));
        if calm_ms < params.dwell_ms || since_change_ms < params.dwell_ms {
            return None;
        }
        self.change(self.level.better(), Reason::Calm, now)
    }

    fn change(&mut self, to: Level, reason: Reason, now: TimestampMs) -> Option<Transition> {
        if to == self.level {
            return None;
        }
        let from = std::mem::replace(&mut self.level, to);
        self.changed_at = Some(now);
        self.calm_since = None;
        Some(Transition { from, to, reason })
    }
}

/// The worst level that a measure asks for, when a threshold counts as reached at `share` of it; `None` when none does.
fn asked_for(load: &Load, params: &DegradationParams, share: f64) -> Option<(Level, Reason)> {
    for level in Level::ALL.into_iter().rev() {
        for measure in Measure::ALL {
            let Some(threshold) = measure.thresholds(params).of(level) else {
                continue;
            };
            let value = measure.of(load);
            if value >= share * f64::from(threshold) {
                let reason = Reason::Load {
                    measure,
                    value,
                    threshold,
                };
                return Some((level, reason));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK_MS: i64 = 50;

    fn lag(lag_ms: f64) -> Load {
        Load {
            lag_ms,
            ..Load::default()
        }
    }

    /// Lets a load hold for a while; returns the levels that were walked through.
    fn hold(
        ladder: &mut Ladder,
        load: &Load,
        params: &DegradationParams,
        now: &mut TimestampMs,
        ms: i64,
    ) -> Vec<Level> {
        let mut walked = Vec::new();
        for _ in 0..ms / TICK_MS {
            *now = now.plus_ms(TICK_MS);
            walked.extend(ladder.step(load, params, *now).map(|transition| transition.to));
        }
        walked
    }

    #[test]
    fn a_long_overload_walks_down_step_by_step_and_calm_walks_up_again() {
        let params = DegradationParams::default();
        let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
        let down = hold(&mut ladder, &lag(5_000.0), &params, &mut now, 1_000);
        assert_eq!(down, Level::ALL[1..]);
        // Between the recovery threshold and the threshold it stays where it is.
        assert_eq!(hold(&mut ladder, &lag(1_200.0), &params, &mut now, 60_000), []);
        let mut up = Level::ALL[..5].to_vec();
        up.reverse();
        assert_eq!(hold(&mut ladder, &lag(0.0), &params, &mut now, 11_000), up);
    }

    #[test]
    fn every_measure_counts_and_says_so() {
        let params = DegradationParams::default();
        let loads = [
            (lag(100.0), Measure::LagMs),
            (
                Load {
                    queue: 600,
                    ..Load::default()
                },
                Measure::Queue,
            ),
            (
                Load {
                    in_flight: 300,
                    ..Load::default()
                },
                Measure::InFlight,
            ),
        ];
        for (load, expected) in loads {
            let mut ladder = Ladder::default();
            assert_eq!(ladder.step(&load, &params, TimestampMs(0)), None);
            let transition = ladder.step(&load, &params, TimestampMs(100)).expect("a step");
            assert_eq!((transition.from, transition.to), (Level::Full, Level::SmallerSet));
            assert!(matches!(transition.reason, Reason::Load { measure, .. } if measure == expected));
        }
        for too_little in [99.0, f64::NAN] {
            let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
            assert_eq!(hold(&mut ladder, &lag(too_little), &params, &mut now, 5_000), []);
        }
    }

    #[test]
    fn a_hiccup_costs_nothing() {
        let params = DegradationParams::default();
        let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
        for _ in 0..20 {
            assert_eq!(hold(&mut ladder, &lag(9_000.0), &params, &mut now, 100), []);
            assert_eq!(hold(&mut ladder, &lag(0.0), &params, &mut now, 50), []);
        }
    }

    #[test]
    fn a_forced_level_holds_at_once_and_the_load_decides_again_afterwards() {
        let mut params = DegradationParams {
            forced_level: Level::RegionHot.name().to_owned(),
            ..DegradationParams::default()
        };
        let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
        let forced = ladder.step(&lag(0.0), &params, now).expect("forced");
        assert_eq!((forced.to, forced.reason), (Level::RegionHot, Reason::Forced));
        assert_eq!(ladder.step(&lag(90_000.0), &params, now.plus_ms(500)), None);
        params.forced_level = "none".to_owned();
        now = now.plus_ms(500);
        let up = hold(&mut ladder, &lag(0.0), &params, &mut now, 9_000);
        assert_eq!(
            up,
            [Level::PrivateQueue, Level::LinearRanker, Level::SmallerSet, Level::Full]
        );
        params.enabled = false;
        assert_eq!(ladder.step(&lag(90_000.0), &params, now.plus_ms(50)), None);
    }

    fn any_load() -> impl Strategy<Value = Load> {
        (0.0..3_000.0f64, 0u32..12_000, 0u32..900).prop_map(|(lag_ms, queue, in_flight)| Load {
            lag_ms,
            queue,
            in_flight,
        })
    }

    proptest! {
        /// Whatever the load does: one step at a time, down not faster than told, up only after calm and dwell, and so
        /// no more than one change of direction back up within a dwell.
        #[test]
        fn steps_are_single_and_nothing_flaps(
            looks in proptest::collection::vec((any_load(), 1i64..400, 1u32..12), 1..120),
            dwell_ms in 200i64..3_000,
            worse_after_ms in 1i64..300,
            recover_share in 0.1f32..1.0,
        ) {
            let params = DegradationParams { dwell_ms, worse_after_ms, recover_share, ..DegradationParams::default() };
            let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
            let mut changed_at: Option<TimestampMs> = None;
            let (mut not_calm_at, mut not_pressed_at) = (TimestampMs(0), TimestampMs(0));
            for (load, gap_ms, times) in looks {
                for _ in 0..times {
                    now = now.plus_ms(gap_ms);
                    let before = ladder.level();
                    let recovered = asked_for(&load, &params, f64::from(recover_share)).map_or(Level::Full, |(level, _)| level);
                    let change = ladder.step(&load, &params, now);
                    prop_assert_eq!(change.map_or(before, |change| change.to), ladder.level());
                    if recovered >= before {
                        not_calm_at = now;
                    }
                    if asked_for(&load, &params, 1.0).is_none_or(|(level, _)| level <= before) {
                        not_pressed_at = now;
                    }
                    let Some(change) = change else { continue };
                    prop_assert_eq!(change.from, before);
                    let since_ms = changed_at.map_or(i64::MAX, |at| now.since(at));
                    if change.to > before {
                        prop_assert_eq!(change.to, before.worse());
                        prop_assert!(since_ms >= worse_after_ms);
                        prop_assert!(now.since(not_pressed_at) >= worse_after_ms);
                        let asked = asked_for(&load, &params, 1.0).expect("a load that asks for it").0;
                        prop_assert!(asked >= change.to);
                    } else {
                        prop_assert_eq!(change.to, before.better());
                        prop_assert!(since_ms >= dwell_ms);
                        prop_assert!(now.since(not_calm_at) >= dwell_ms);
                    }
                    changed_at = Some(now);
                }
            }
        }

        /// A load that stays leads to its level; no load leads to the top.
        #[test]
        fn a_steady_load_is_answered_by_its_level(load in any_load(), start in 0u8..6) {
            let params = DegradationParams { recover_share: 1.0, ..DegradationParams::default() };
            let forced = DegradationParams {
                forced_level: Level::numbered(start).name().to_owned(),
                ..DegradationParams { recover_share: 1.0, ..DegradationParams::default() }
            };
            let (mut ladder, mut now) = (Ladder::default(), TimestampMs(0));
            ladder.step(&load, &forced, now);
            hold(&mut ladder, &load, &params, &mut now, 15_000);
            let wanted = asked_for(&load, &params, 1.0).map_or(Level::Full, |(level, _)| level);
            prop_assert_eq!(ladder.level(), wanted);
            hold(&mut ladder, &Load::default(), &params, &mut now, 15_000);
            prop_assert_eq!(ladder.level(), Level::Full);
        }
    }
}
