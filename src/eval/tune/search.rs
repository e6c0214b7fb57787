//! The search for a better point of a space: a few random ones, then one knob after the other.
//!
//! Owns the order of trials, when a point is given up early, and when a gain is believed. Must not know what is scored.
//!
//! Successive halving (K. Jamieson, A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
//! optimization", AISTATS 2016) in two rungs: a trial is asked a share of the cases first, and all of them only when it
//! is ahead. All trials are asked the same cases, so two are compared case by case; a gain counts only when its mean is
//! above its standard error, for otherwise the luckiest of dozens of trials would win.

use std::cell::Cell;

use anyhow::Result;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::space::{Point, Space};

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Trials at most, short ones included; turning back what gains nothing comes on top.
    pub(crate) trials_max: usize,
    /// Of them random ones at the beginning.
    pub(crate) random_trials: usize,
    /// The cases of a short trial.
    pub(crate) cases_short: usize,
    /// The cases of a whole trial.
    pub(crate) cases_whole: usize,
}

/// What came out.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The best point that is believed in.
    pub(crate) point: Point,
    /// The mean gain of the point that was begun with, over the whole trial's cases.
    pub(crate) before: f64,
    /// That of the best one.
    pub(crate) after: f64,
    /// How many trials were made.
    pub(crate) trials: usize,
}

/// What each of some points gains in each of so many cases.
pub(crate) type Score<'a> = dyn Fn(&[Point], usize) -> Result<Vec<Vec<f32>>> + 'a;

/// The share of knobs that a random point turns.
const RANDOM_TURN_SHARE: f64 = 0.3;
/// Of the random trials so many go on to the second rung.
const RANDOM_KEPT: usize = 2;
/// A gain is believed from so many standard errors on.
const STANDARD_ERRORS_MIN: f64 = 1.0;

/// A search under way.
pub(crate) struct Search<'a> {
    /// What may be turned.
    pub(crate) space: &'a Space,
    /// How much is tried.
    pub(crate) budget: Budget,
    /// Scores points.
    pub(crate) score: &'a Score<'a>,
    /// Hears of every trial: how many so far, the best mean gain.
    pub(crate) progress: &'a dyn Fn(usize, f64),
}

struct Best {
    point: Point,
    gains: Vec<f32>,
}

impl Search<'_> {
    /// Searches from `start`.
    ///
    /// # Errors
    /// What scoring says.
    pub(crate) fn run(&self, start: Point, seed: u64) -> Result<Found> {
        let trials = Cell::new(0);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let gains = self.gains(std::slice::from_ref(&start), self.budget.cases_whole, &trials)?;
        let mut best = Best {
            point: start,
            gains: gains.into_iter().next().unwrap_or_default(),
        };
        let before = mean(&best.gains);
        (self.progress)(trials.get(), before);
        let drawn: Vec<Point> = (0..self.budget.random_trials)
            .map(|_| self.draw(&best.point, &mut random))
            .collect();
        self.challenge(&mut best, drawn, RANDOM_KEPT, &trials)?;
        let mut order: Vec<usize> = (0..self.space.knobs().len()).collect();
        loop {
            order.shuffle(&mut random);
            let mut moved = false;
            for knob in &order {
                if trials.get() >= self.budget.trials_max {
                    break;
                }
                moved |= self.turn(*knob, &mut best, &trials)?;
            }
            if !moved || trials.get() >= self.budget.trials_max {
                break;
            }
        }
        self.turn_back(&mut best, &trials)?;
        Ok(Found {
            after: mean(&best.gains),
            point: best.point,
            before,
            trials: trials.get(),
        })
    }

    /// Turns back what gains nothing: random trials turn much that does not matter.
    fn turn_back(&self, best: &mut Best, trials: &Cell<usize>) -> Result<()> {
        for knob in 0..self.space.knobs().len() {
            if best.point.0[knob].is_none() {
                continue;
            }
            let mut without = best.point.clone();
            without.0[knob] = None;
            let gains = self.gains(std::slice::from_ref(&without), self.budget.cases_whole, trials)?;
            for gains in gains {
                if compare(&gains, &best.gains).0 >= 0.0 {
                    best.point = without.clone();
                    best.gains = gains;
                }
            }
        }
        (self.progress)(trials.get(), mean(&best.gains));
        Ok(())
    }

    /// Turns one knob a step down or up, and on in that direction while it helps.
    fn turn(&self, knob: usize, best: &mut Best, trials: &Cell<usize>) -> Result<bool> {
        let (mut moved, mut directions) = (false, vec![-1_isize, 1]);
        loop {
            let from = self.space.step(&best.point, knob);
            let steps = directions
                .iter()
                .filter_map(|direction| from.checked_add_signed(*direction));
            let points: Vec<Point> = steps
                .filter(|step| *step < self.space.knobs()[knob].values.len())
                .map(|step| with(&best.point, knob, step))
                .collect();
            if points.is_empty() || trials.get() >= self.budget.trials_max {
                return Ok(moved);
            }
            if !self.challenge(best, points, 1, trials)? {
                return Ok(moved);
            }
            moved = true;
            let went = if self.space.step(&best.point, knob) > from {
                1
            } else {
                -1
            };
            directions = vec![went];
        }
    }

    /// Tries points against the best one; the most promising `kept` are asked all the cases. True when one of them is
    /// the best now.
    fn challenge(&self, best: &mut Best, points: Vec<Point>, kept: usize, trials: &Cell<usize>) -> Result<bool> {
        let short = self.gains(&points, self.budget.cases_short, trials)?;
        let mut ahead: Vec<(f64, Point)> = short
            .iter()
            .zip(points)
            .map(|(gains, point)| (compare(gains, &best.gains).0, point))
            .filter(|(gain, _)| *gain > 0.0)
            .collect();
        ahead.sort_by(|left, right| right.0.total_cmp(&left.0));
        ahead.truncate(kept);
        let points: Vec<Point> = ahead.into_iter().map(|(_, point)| point).collect();
        let whole = self.gains(&points, self.budget.cases_whole, trials)?;
        let mut is_better = false;
        for (gains, point) in whole.into_iter().zip(points) {
            let (gain, error) = compare(&gains, &best.gains);
            if gain > STANDARD_ERRORS_MIN * error {
                *best = Best { point, gains };
                is_better = true;
            }
        }
        (self.progress)(trials.get(), mean(&best.gains));
        Ok(is_better)
    }

    fn gains(&self, points: &[Point], cases: usize, trials: &Cell<usize>) -> Result<Vec<Vec<f32>>> {
        trials.set(trials.get() + points.len());
        if points.is_empty() {
            return Ok(Vec::new());
        }
        (self.score)(points, cases)
    }

    fn draw(&self, from: &Point, random: &mut Xoshiro256PlusPlus) -> Point {
        let mut point = from.clone();
        for (number, knob) in self.space.knobs().iter().enumerate() {
            if random.random_bool(RANDOM_TURN_SHARE) {
                point.0[number] = Some(random.random_range(0..knob.values.len()));
            }
        }
        point
    }
}

fn with(point: &Point, knob: usize, step: usize) -> Point {
    let mut turned = point.clone();
    turned.0[knob] = Some(step);
    turned
}

fn mean(gains: &[f32]) -> f64 {
    gains.iter().map(|gain| f64::from(*gain)).sum::<f64>() / gains.len().max(1) as f64
}

/// The mean of what one gains over the other in the cases that both were asked, and its standard error.
fn compare(gains: &[f32], others: &[f32]) -> (f64, f64) {
    let differences: Vec<f64> = gains
        .iter()
        .zip(others)
        .map(|(gain, other)| f64::from(*gain) - f64::from(*other))
        .collect();
    let count = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
    (mean, (variance / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::tune::space::NEXT_ITEM;
    use swipeline_models::params::Params;

    fn defaults() -> serde_json::Value {
        serde_json::to_value(Params::default()).expect("JSON")
    }

    const BUDGET: Budget = Budget {
        trials_max: 400,
        random_trials: 8,
        cases_short: 50,
        cases_whole: 200,
    };

    /// Gains that fall with the distance from a hidden best point, the more cases the surer.
    fn search(noise: f32, seed: u64) -> (Space, Found) {
        let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
        let hidden: Vec<usize> = space.knobs().iter().map(|knob| knob.values.len() / 3).collect();
        let found = {
            let score = |points: &[Point], cases: usize| {
                let score_one = |point: &Point| {
                    let distance: usize = (0..hidden.len())
                        .map(|knob| space.step(point, knob).abs_diff(hidden[knob]))
                        .sum();
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(distance as u64);
                    (0..cases)
                        .map(|_| 1.0 - 0.01 * distance as f32 + noise * random.random_range(-1.0..1.0_f32))
                        .collect()
                };
                Ok(points.iter().map(score_one).collect())
            };
            let search = Search {
                space: &space,
                budget: BUDGET,
                score: &score,
                progress: &|_, _| {},
            };
            search.run(space.origin(), seed).expect("a search")
        };
        (space, found)
    }

    #[test]
    fn it_finds_the_best_point_of_a_smooth_space_and_the_same_one_twice() {
        let (space, found) = search(0.0, 1);
        assert!((found.after - 1.0).abs() < 1e-6, "{found:?}");
        let hidden: Vec<usize> = space.knobs().iter().map(|knob| knob.values.len() / 3).collect();
        let steps: Vec<usize> = (0..hidden.len()).map(|knob| space.step(&found.point, knob)).collect();
        assert_eq!(steps, hidden);
        assert!(found.trials <= BUDGET.trials_max + hidden.len());
        assert_eq!(search(0.0, 1).1.point, found.point);
    }

    #[test]
    fn it_stays_where_it_is_when_nothing_makes_a_difference() {
        let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
        let score = |points: &[Point], cases: usize| Ok(points.iter().map(|_| vec![0.5; cases]).collect());
        let search = Search {
            space: &space,
            budget: BUDGET,
            score: &score,
            progress: &|_, _| {},
        };
        let found = search.run(space.origin(), 3).expect("a search");
        assert_eq!(found.point, space.origin());
        assert_eq!(found.before, found.after);
    }

    #[test]
    fn a_lucky_trial_is_not_believed() {
        // Whatever is turned wins three cases and loses two: ahead, but by less than its standard error.
        let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
        let score = |points: &[Point], cases: usize| {
            let score_one = |point: &Point| -> Vec<f32> {
                let turned = |case: usize| match case {
                    0..3 => 1.0,
                    3..5 => 0.0,
                    _ => 0.5,
                };
                let is_origin = *point == space.origin();
                (0..cases)
                    .map(|case| if is_origin { 0.5 } else { turned(case) })
                    .collect()
            };
            Ok(points.iter().map(score_one).collect())
        };
        let search = Search {
            space: &space,
            budget: BUDGET,
            score: &score,
            progress: &|_, _| {},
        };
        let found = search.run(space.origin(), 5).expect("a search");
        assert_eq!(found.point, space.origin());
    }
}
