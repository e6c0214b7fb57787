//! Tests of the search on spaces whose best point is known.

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

fn each_of_its_viewer(gains: impl Iterator<Item = f32>) -> Vec<Gain> {
    let gains = (0..).zip(gains);
    gains.map(|(viewer, gain)| Gain { viewer, gain }).collect()
}

fn searched(space: &Space, score: &Score<'_>) -> Found {
    let search = Search {
        space,
        budget: BUDGET,
        score,
        best: &|_| {},
    };
    search.run(space.origin(), 5).expect("a search")
}

/// Gains that fall with the distance from a hidden best point, the more cases the surer.
fn search(noise: f32, seed: u64) -> (Space, Found) {
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    let hidden: Vec<usize> = space.knobs().iter().map(|knob| knob.values.len() / 3).collect();
    let found = {
        let score = |points: &[Point], cases: usize| {
            let score_one = |point: &Point| -> Vec<Gain> {
                // No two knobs are worth the same, so that no two steps cancel out.
                let distance: f32 = (0..hidden.len())
                    .map(|knob| (1.0 + knob as f32 / 100.0) * space.step(point, knob).abs_diff(hidden[knob]) as f32)
                    .sum();
                let mut random = Xoshiro256PlusPlus::seed_from_u64((distance * 1_000.0) as u64);
                let gains = (0..cases).map(|_| 1.0 - 0.01 * distance + noise * random.random_range(-1.0..1.0_f32));
                each_of_its_viewer(gains)
            };
            Ok(points.iter().map(score_one).collect())
        };
        let search = Search {
            space: &space,
            budget: BUDGET,
            score: &score,
            best: &|_| {},
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
    let nothing = |cases: usize| each_of_its_viewer(std::iter::repeat_n(0.5, cases));
    let found = searched(&space, &|points, cases| {
        Ok(points.iter().map(|_| nothing(cases)).collect())
    });
    assert_eq!((&found.point, found.verdict), (&space.origin(), Verdict::NothingBetter));
    assert_eq!(found.before, found.after);
}

#[test]
fn few_cases_and_few_viewers_try_nothing() {
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    for (cases, viewers) in [(0, 1), (1, 1), (99, 99), (200, 9)] {
        let gains = |point: &Point| -> Vec<Gain> {
            let gain = if *point == space.origin() { 0.1 } else { 0.9 };
            (0..cases)
                .map(|n| Gain {
                    viewer: n % viewers,
                    gain,
                })
                .collect()
        };
        let found = searched(&space, &|points, _| Ok(points.iter().map(gains).collect()));
        assert_eq!((found.verdict, found.trials), (Verdict::TooFew, 1), "{cases} {viewers}");
        assert_eq!(found.point, space.origin());
    }
}

#[test]
fn a_lucky_trial_is_not_believed() {
    // Whatever is turned wins three cases and loses two: ahead, but by less than its standard error.
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    let gains = |point: &Point, cases: usize| -> Vec<Gain> {
        let is_origin = *point == space.origin();
        each_of_its_viewer((0..cases).map(|case| match case {
            _ if is_origin => 0.5,
            0..3 => 1.0,
            3..5 => 0.0,
            _ => 0.5,
        }))
    };
    let found = searched(&space, &|points, cases| {
        Ok(points.iter().map(|point| gains(point, cases)).collect())
    });
    assert_eq!(found.point, space.origin());
}

#[test]
fn what_does_not_gain_on_the_viewers_kept_back_is_taken_back() {
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    let gains = |point: &Point, cases: usize| -> Vec<Gain> {
        let is_origin = *point == space.origin();
        let gain = |viewer: u32| match (is_origin, Part::Choosing.takes(viewer)) {
            (true, _) => 0.5,
            (false, true) => 0.9,
            (false, false) => 0.4,
        };
        each_of_its_viewer((0..cases as u32).map(gain))
    };
    let found = searched(&space, &|points, cases| {
        Ok(points.iter().map(|point| gains(point, cases)).collect())
    });
    assert_eq!((&found.point, found.verdict), (&space.origin(), Verdict::NotConfirmed));
    assert_eq!(found.before, found.after);
}

/// Every setting is worth the same, and luck decides: a search must find no more than luck.
#[test]
fn pure_luck_is_believed_in_few_logs_only() {
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    let lucky = |seed: u64| {
        let gains = |point: &Point, cases: usize| -> Vec<Gain> {
            let steps = point.0.iter().map(|step| step.map_or(0, |step| step as u64 + 1));
            let seed = steps.fold(seed, |hash, step| hash.wrapping_mul(31).wrapping_add(step));
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            each_of_its_viewer((0..cases).map(|_| random.random_range(0.0..1.0_f32)))
        };
        let found = searched(&space, &|points, cases| {
            Ok(points.iter().map(|point| gains(point, cases)).collect())
        });
        found.verdict == Verdict::Confirmed
    };
    let believed = (0..40).filter(|seed| lucky(*seed)).count();
    assert!(believed <= 28, "{believed} of 40");
}

#[test]
fn knobs_of_what_is_not_in_use_are_left_alone() {
    let space = Space::new(defaults(), NEXT_ITEM.iter().copied());
    let idle: Vec<usize> = space.groups().concat();
    assert!(!idle.is_empty());
    let tried = std::cell::RefCell::new(Vec::new());
    let gains = |point: &Point, cases: usize| -> Vec<Gain> {
        tried.borrow_mut().push(point.clone());
        let distance: usize = (0..space.knobs().len())
            .filter(|knob| !idle.contains(knob))
            .map(|knob| space.step(point, knob))
            .sum();
        each_of_its_viewer((0..cases).map(|_| 1.0 / (1.0 + distance as f32)))
    };
    let found = searched(&space, &|points, cases| {
        Ok(points.iter().map(|point| gains(point, cases)).collect())
    });
    assert_eq!(found.verdict, Verdict::Confirmed);
    let turning = |point: &&Point| idle.iter().any(|knob| point.0[*knob].is_some());
    assert_eq!(tried.borrow().iter().filter(turning).count(), space.groups().len());
}
