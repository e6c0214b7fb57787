//! Which viewer swipes at which instant.
//!
//! Owns the arrival processes. An endless plan needs no memory: it is an iterator.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::profile::RateProfile;
use crate::behaviour::{exponential, seeded};

/// Swipes per burst.
const BURST_LEN: u32 = 25;

/// How swipes follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
}

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
        }
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
        let at = Duration::from_secs_f64(self.profile.instant_of(self.count)?);
        let session = if self.arrivals == Arrivals::Uniform {
            let session = self.next_session;
            self.next_session = (session + 1) % self.sessions;
            session
        } else {
            self.rng.random_range(0..self.sessions)
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
