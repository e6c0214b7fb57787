//! The search for a better point of a space: a few random ones, then one knob after the other.
//!
//! Owns the order of trials, when a point is given up early, and what is done when nothing can be said. Must not know what
//! is scored.
//!
//! Successive halving (K. Jamieson, A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
//! optimization", AISTATS 2016) in two rungs: a trial is asked a share of the cases first, and all of them only when it
//! is ahead. A gain counts only when its mean is above its standard error, and what was chosen must gain on the viewers
//! that were kept back, too ([`super::gains`]).

use std::cell::Cell;

use anyhow::Result;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::gains::{CASES_MIN, Gain, Part, VIEWERS_MIN, compare, mean, viewer_count};
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
    /// How many cases a whole trial has.
    pub(crate) cases: usize,
    /// Of how many viewers they are.
    pub(crate) viewers: usize,
    /// What became of the choice.
    pub(crate) verdict: Verdict,
}

/// What became of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It gained on the viewers that were kept back, too.
    Confirmed,
    /// Nothing gained anything.
    NothingBetter,
    /// What gained did not gain on the viewers that were kept back: the point that was begun with stays.
    NotConfirmed,
    /// Too few cases, or of too few viewers, to try anything.
    TooFew,
}

/// What each of some points gains in each of so many cases.
pub(crate) type Score<'a> = dyn Fn(&[Point], usize) -> Result<Vec<Vec<Gain>>> + 'a;

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
    /// Hears the best mean gain so far.
    pub(crate) best: &'a dyn Fn(f64),
}

#[derive(Clone)]
struct Best {
    point: Point,
    gains: Vec<Gain>,
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
        let start = Best {
            point: start,
            gains: gains.into_iter().next().unwrap_or_default(),
        };
        (self.best)(mean(&start.gains, Part::All));
        if start.gains.len() < CASES_MIN || viewer_count(&start.gains) < VIEWERS_MIN {
            return Ok(found(&start, &start, Verdict::TooFew, trials.get()));
        }
        let mut knobs = self.effective(&start, &trials)?;
        let mut best = start.clone();
        let drawn: Vec<Point> = (0..self.budget.random_trials)
            .map(|_| self.draw(&best.point, &knobs, &mut random))
            .collect();
        self.challenge(&mut best, drawn, RANDOM_KEPT, &trials)?;
        self.climb(&mut best, &mut knobs, &mut random, &trials)?;
        self.turn_back(&mut best, &trials)?;
        let gained = |part| compare(&best.gains, &start.gains, part).mean;
        let verdict = if best.point == start.point {
            Verdict::NothingBetter
        } else if gained(Part::Confirming) > 0.0 && gained(Part::All) > 0.0 {
            Verdict::Confirmed
        } else {
            best = start.clone();
            Verdict::NotConfirmed
        };
        Ok(found(&start, &best, verdict, trials.get()))
    }

    /// The knobs less the groups that change nothing when all of their knobs are turned a step.
    fn effective(&self, start: &Best, trials: &Cell<usize>) -> Result<Vec<usize>> {
        let groups = self.space.groups();
        let turned: Vec<Point> = groups
            .iter()
            .map(|group| {
                let turn = |point: Point, knob: &usize| {
                    let (step, steps) = (self.space.step(&point, *knob), self.space.knobs()[*knob].values.len());
                    with(
                        &point,
                        *knob,
                        if step + 1 < steps {
                            step + 1
                        } else {
                            step.saturating_sub(1)
                        },
                    )
                };
                group.iter().fold(start.point.clone(), turn)
            })
            .collect();
        let gains = self.gains(&turned, self.budget.cases_short, trials)?;
        let changes_nothing = |gains: &Vec<Gain>| gains.iter().zip(&start.gains).all(|(one, other)| one == other);
        let idle = groups
            .into_iter()
            .zip(&gains)
            .filter(|(_, gains)| changes_nothing(gains));
        let idle: Vec<usize> = idle.flat_map(|(group, _)| group).collect();
        let knobs = 0..self.space.knobs().len();
        Ok(knobs.filter(|knob| !idle.contains(knob)).collect())
    }

    /// Turns one knob after the other until none of them helps.
    fn climb(
        &self,
        best: &mut Best,
        knobs: &mut [usize],
        random: &mut Xoshiro256PlusPlus,
        trials: &Cell<usize>,
    ) -> Result<()> {
        loop {
            knobs.shuffle(random);
            let mut moved = false;
            for knob in knobs.iter() {
                if trials.get() >= self.budget.trials_max {
                    return Ok(());
                }
                moved |= self.turn(*knob, best, trials)?;
            }
            if !moved {
                return Ok(());
            }
        }
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
                if compare(&gains, &best.gains, Part::Choosing).mean >= 0.0 {
                    best.point = without.clone();
                    best.gains = gains;
                }
            }
        }
        (self.best)(mean(&best.gains, Part::All));
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
        let tried = short.into_iter().zip(points);
        let mut ahead: Vec<(f64, Best)> = tried
            .map(|(gains, point)| (compare(&gains, &best.gains, Part::Choosing).mean, Best { point, gains }))
            .filter(|(gain, _)| *gain > 0.0)
            .collect();
        ahead.sort_by(|left, right| right.0.total_cmp(&left.0));
        ahead.truncate(kept);
        let mut ahead: Vec<Best> = ahead.into_iter().map(|(_, one)| one).collect();
        // A log of few cases has been asked all of them by now.
        if self.budget.cases_short < best.gains.len() {
            let points: Vec<Point> = ahead.iter().map(|one| one.point.clone()).collect();
            let whole = self.gains(&points, self.budget.cases_whole, trials)?;
            ahead.iter_mut().zip(whole).for_each(|(one, gains)| one.gains = gains);
        }
        let mut is_better = false;
        for one in ahead {
            let gained = compare(&one.gains, &best.gains, Part::Choosing);
            if gained.mean > STANDARD_ERRORS_MIN * gained.error {
                *best = one;
                is_better = true;
            }
        }
        (self.best)(mean(&best.gains, Part::All));
        Ok(is_better)
    }

    fn gains(&self, points: &[Point], cases: usize, trials: &Cell<usize>) -> Result<Vec<Vec<Gain>>> {
        trials.set(trials.get() + points.len());
        if points.is_empty() {
            return Ok(Vec::new());
        }
        (self.score)(points, cases)
    }

    fn draw(&self, from: &Point, knobs: &[usize], random: &mut Xoshiro256PlusPlus) -> Point {
        let mut point = from.clone();
        for knob in knobs {
            if random.random_bool(RANDOM_TURN_SHARE) {
                point.0[*knob] = Some(random.random_range(0..self.space.knobs()[*knob].values.len()));
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

fn found(start: &Best, best: &Best, verdict: Verdict, trials: usize) -> Found {
    Found {
        point: best.point.clone(),
        before: mean(&start.gains, Part::All),
        after: mean(&best.gains, Part::All),
        trials,
        cases: start.gains.len(),
        viewers: viewer_count(&start.gains),
        verdict,
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
