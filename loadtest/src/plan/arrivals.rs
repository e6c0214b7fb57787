//! Which viewer swipes at which instant.
//!
//! Owns the arrival processes. An endless plan needs no memory: it is an iterator.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::profile::RateProfile;
use crate::behaviour::{exponential, seeded};

/// Swipes per burst.
const BURST_LEN: u32 = 25;

/// How swipes follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Independent of each other: gaps are exponential. What many people together do.
    #[default]
    Poisson,
    /// At equal gaps, viewers in turn.
    Uniform,
    /// 25 at the same instant, then nothing until the next burst.
    Burst,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Arrivals::Poisson => "poisson",
            Arrivals::Uniform => "uniform",
            Arrivals::Burst => "burst",
        })
    }
}

impl FromStr for Arrivals {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "poisson" => Ok(Arrivals::Poisson),
            "uniform" => Ok(Arrivals::Uniform),
            "burst" => Ok(Arrivals::Burst),
            other => Err(format!("{other:?} is not `poisson`, `uniform` or `burst`")),
        }
    }
}

/// One swipe of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSwipe {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// Which viewer, from 0.
    pub session: usize,
}

/// The swipes of a run in the order of their instants.
#[derive(Debug, Clone)]
pub struct Plan {
    arrivals: Arrivals,
    profile: RateProfile,
    sessions: usize,
    rng: Xoshiro256PlusPlus,
    /// Swipes planned so far, in the time of the process itself (1 per swipe on average).
    count: f64,
    place_in_burst: u32,
    next_session: usize,
    day_mix: bool,
}

/// The hours at which the three kinds of viewers are most active.
const PEAK_HOURS: [f64; 3] = [8.0, 14.0, 21.5];
/// How active a viewer is at its worst hour, against a mean of 1.
const ACTIVITY_MIN: f64 = 0.1;

impl Plan {
    /// A plan for so many viewers.
    #[must_use]
    pub fn new(arrivals: Arrivals, profile: RateProfile, sessions: usize, seed: u64) -> Self {
        let rng = seeded(seed, "plan", 0);
        Self {
            arrivals,
            profile,
            sessions: sessions.max(1),
            rng,
            count: 0.0,
            place_in_burst: 0,
            next_session: 0,
            day_mix: false,
        }
    }

    /// The same with the run as one day: every third viewer is active early, at noon or late. Uniform arrivals go round
    /// all viewers and know no hours.
    #[must_use]
    pub fn with_day_mix(self, day_mix: bool) -> Self {
        Self { day_mix, ..self }
    }

    /// How many swipes are planned until this instant, whether they were drawn or not.
    #[must_use]
    pub fn count_until(&self, at: Duration) -> u64 {
        self.profile.count_until(at.as_secs_f64()) as u64
    }

    /// Whose swipe it is at this second.
    fn draw_session(&mut self, at_s: f64) -> usize {
        let kinds = PEAK_HOURS.len();
        if !self.day_mix || self.sessions < kinds {
            return self.rng.random_range(0..self.sessions);
        }
        let hour = 24.0 * at_s / self.profile.end_s().max(1e-9);
        let activity = PEAK_HOURS.map(|peak| {
            let wave = ((hour - peak) / 24.0 * std::f64::consts::TAU).cos();
            1.0 + (1.0 - ACTIVITY_MIN) * wave
        });
        let mut mark = self.rng.random::<f64>() * activity.iter().sum::<f64>();
        let kind = activity
            .iter()
            .position(|share| {
                mark -= share;
                mark < 0.0
            })
            .unwrap_or(kinds - 1);
        // Kind k has the viewers k, k + 3, k + 6, ...
        let members = (self.sessions - kind).div_ceil(kinds);
        kind + kinds * self.rng.random_range(0..members)
    }
}

impl Iterator for Plan {
    type Item = PlannedSwipe;

    fn next(&mut self) -> Option<PlannedSwipe> {
        match self.arrivals {
            Arrivals::Poisson => self.count += exponential(&mut self.rng),
            Arrivals::Uniform => self.count += 1.0,
            Arrivals::Burst => {
                if self.place_in_burst == 0 {
                    self.count += f64::from(BURST_LEN);
                }
                self.place_in_burst = (self.place_in_burst + 1) % BURST_LEN;
            }
        }
        let at_s = self.profile.instant_of(self.count)?;
        let at = Duration::from_secs_f64(at_s);
        let session = if self.arrivals == Arrivals::Uniform {
            let session = self.next_session;
            self.next_session = (session + 1) % self.sessions;
            session
        } else {
            self.draw_session(at_s)
        };
        Some(PlannedSwipe { at, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arrivals: Arrivals) -> Vec<PlannedSwipe> {
        Plan::new(arrivals, RateProfile::steady(200.0, 50.0), 20, 11).collect()
    }

    #[test]
    fn every_process_keeps_the_rate_the_order_and_the_seed() {
        for arrivals in [Arrivals::Poisson, Arrivals::Uniform, Arrivals::Burst] {
            let swipes = plan(arrivals);
            assert!((9_600..=10_400).contains(&swipes.len()), "{arrivals}: {}", swipes.len());
            assert!(swipes.windows(2).all(|pair| pair[0].at <= pair[1].at));
            assert!(swipes.iter().all(|swipe| swipe.session < 20));
            assert_eq!(swipes, plan(arrivals));
            let of_one = swipes.iter().filter(|swipe| swipe.session == 7).count();
            assert!((380..=620).contains(&of_one), "{arrivals}: {of_one}");
        }
    }

    #[test]
    fn other_viewers_are_active_at_other_hours() {
        let plan = Plan::new(Arrivals::Poisson, RateProfile::day(200.0, 240.0), 20, 11).with_day_mix(true);
        let (mut early, mut late) = ([0_u32; 3], [0_u32; 3]);
        for swipe in plan {
            assert!(swipe.session < 20);
            let hours = if swipe.at < Duration::from_secs(100) {
                &mut early
            } else {
                &mut late
            };
            if swipe.at < Duration::from_secs(100) || swipe.at > Duration::from_secs(190) {
                hours[swipe.session % 3] += 1;
            }
        }
        assert!(early[0] > 2 * early[2] && late[2] > 2 * late[0], "{early:?} {late:?}");
    }

    #[test]
    fn gaps_are_what_the_process_says() {
        let gaps = |arrivals| -> Vec<f64> {
            plan(arrivals)
                .windows(2)
                .map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 200.0)
                .collect()
        };
        let poisson = gaps(Arrivals::Poisson);
        let long = poisson.iter().filter(|gap| **gap > 1.0).count() as f64 / poisson.len() as f64;
        assert!(
            (long - (-1.0_f64).exp()).abs() < 0.02,
            "P(gap > mean) = 1/e, found {long}"
        );
        assert!(gaps(Arrivals::Uniform).iter().all(|gap| (gap - 1.0).abs() < 1e-3));
        let together = gaps(Arrivals::Burst).iter().filter(|gap| **gap == 0.0).count();
        assert_eq!(together, plan(Arrivals::Burst).len() / 25 * 24);
    }
}
