//! Tests of the product's own impression method on small logs made here.

use swipeline_models::streaming::LABEL_NAMES;

use super::*;
use crate::eval::bootstrap::Draws;
use crate::eval::methods::item_rate::ItemRate;
use crate::eval::setup::Effort;
use crate::eval::shown::{FeedCatalogue, ImpressionLog, OUTCOME_NAMES, VideoFacts};
use crate::eval::shown_bench::ShownBench;

const TRAINING_DAY: u32 = 20_220_428;
const TEST_DAY: u32 = 20_220_429;
const VIEWERS: u32 = 60;
const VIDEOS: u32 = 40;
const EFFORT: Effort = Effort { threads: 1, seed: 5 };

fn shown(user: u32, item: u32, at_ms: i64, day: u32) -> Shown {
    Shown {
        user,
        item,
        at_ms,
        day,
        hour: 12,
        tab: 1,
        duration_ms: 10_000,
    }
}

fn outcome(likes_it: bool) -> Outcome {
    Outcome {
        labels: [likes_it, likes_it, likes_it, !likes_it],
        play_time_ms: if likes_it { 10_000 } else { 1_000 },
        ..Outcome::default()
    }
}

/// Every other viewer watches what is tagged 1, the rest what is tagged 0, seven times of eight; a video alone says
/// nothing.
fn tastes(training: i64, test: i64) -> ImpressionLog {
    let mut draws = Draws::new(9);
    let impressions = (0..training + test).map(|n| {
        let (user, item) = (
            draws.below(VIEWERS as usize) as u32,
            draws.below(VIDEOS as usize) as u32,
        );
        let follows_taste = draws.below(8) > 0;
        let day = if n < training { TRAINING_DAY } else { TEST_DAY };
        let likes_it = (user % 2 == item % 2) == follows_taste;
        (shown(user, item, n * 1_000, day), outcome(likes_it))
    });
    let ids = |count: u32| (0..count).map(|id| id.to_string()).collect();
    let video = |item: u32| VideoFacts {
        author: Some(item),
        tags: vec![item % 2],
        ..VideoFacts::default()
    };
    ImpressionLog {
        impressions: impressions.collect(),
        catalogue: FeedCatalogue {
            user_ids: ids(VIEWERS),
            item_ids: ids(VIDEOS),
            videos: (0..VIDEOS).map(video).collect(),
            viewers: Vec::new(),
        },
        watched_before: Vec::new(),
    }
}

fn whole() -> Streaming {
    Streaming::new("swipeline", Without::Nothing)
}

fn metric(log: &ImpressionLog, method: &mut dyn ImpressionMethod, name: &str) -> f64 {
    let bench = ShownBench::new(log, TEST_DAY, EFFORT);
    let (row, _) = bench
        .measure(method, false, || ())
        .expect("a method that can be fitted");
    row.measured.metrics[name]
}

#[test]
fn labels_and_outcomes_have_one_order() {
    assert_eq!(LABEL_NAMES, OUTCOME_NAMES);
}

#[test]
fn tastes_that_no_rate_shows_are_learned_live() {
    let log = tastes(1_500, 1_500);
    for name in ["auc.long_view", "auc.skip", "gauc_frozen.long_view"] {
        let item_rate = metric(&log, &mut ItemRate::default(), name);
        let own = metric(&log, &mut whole(), name);
        assert!(item_rate < 0.6, "{name} of the item rate: {item_rate}");
        assert!(own > 0.75, "{name}: {own}");
    }
    let without = metric(&log, &mut Streaming::new("-", Without::Viewer), "auc.long_view");
    assert!(without < 0.6, "blind to viewers it knows no taste: {without}");
}

#[test]
fn the_same_log_gives_the_same_numbers() {
    let log = tastes(600, 200);
    let predictions = || {
        let mut method = whole();
        let bench = ShownBench::new(&log, TEST_DAY, EFFORT);
        method.fit(&bench.history()).expect("a method that can be fitted");
        let test = log.impressions[600..].iter();
        let said = test.map(|(shown, outcome)| {
            let said = method.predict(shown);
            method.learn(shown, outcome);
            said.map(f32::to_bits)
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(predictions(), predictions());
}

#[test]
fn what_was_watched_before_the_log_is_known_to_it() {
    let mut log = tastes(1_500, 0);
    log.impressions.push((shown(0, 0, 2_000_000, TEST_DAY), outcome(true)));
    let mut newcomers = log.clone();
    newcomers
        .impressions
        .retain(|(shown, _)| shown.user > 1 || shown.day == TEST_DAY);
    newcomers.watched_before = vec![WatchHistory {
        user: 0,
        last_at_ms: -1,
        watched: (0..VIDEOS).step_by(2).collect(),
        liked: (0..VIDEOS).step_by(2).collect(),
        long_watched: (0..VIDEOS).step_by(2).collect(),
    }];
    let of = |without: Without| {
        let mut method = Streaming::new("-", without);
        let history = ShownBench::new(&newcomers, TEST_DAY, EFFORT).history();
        method.fit(&history).expect("a method that can be fitted");
        let tag_likes = column_names().iter().position(|name| name == "user_tag.view_like");
        method.serve(&shown(0, 2, 3_000_000, TEST_DAY), false).row[tag_likes.expect("the column exists")]
    };
    assert!(of(Without::Nothing) > of(Without::History) + 0.5);
}

#[test]
fn the_frozen_row_knows_the_viewer_of_midnight_only() {
    let log = tastes(300, 1);
    let mut method = whole();
    let history = ShownBench::new(&log, TEST_DAY, EFFORT).history();
    method.fit(&history).expect("a method that can be fitted");
    let known = column_names()
        .iter()
        .position(|name| name == "user.shown")
        .expect("the column exists");
    let next = shown(3, 1, 1_000_000, TEST_DAY);
    method.start_day();
    let at_midnight = method.serve(&next, false).row[known];
    (0..5).for_each(|n| method.learn(&shown(3, 1, 400_000 + n, TEST_DAY), &outcome(true)));
    assert!(method.serve(&next, false).row[known] > at_midnight);
    assert_eq!(method.serve(&next, true).row[known], at_midnight);
    method.start_day();
    assert!(
        method.serve(&next, true).row[known] > at_midnight,
        "a day later it is history"
    );
}

#[test]
fn an_ablation_hides_what_it_says() {
    let hidden = |without: Without| -> Vec<String> {
        let columns = column_names();
        columns.into_iter().filter(|column| without.hides(column)).collect()
    };
    assert!(hidden(Without::Nothing).is_empty());
    let affinity = hidden(Without::Affinity);
    assert!(affinity.contains(&"user_tag.like".to_owned()) && affinity.contains(&"user_author.like".to_owned()));
    assert!(!affinity.contains(&"user.like".to_owned()));
    let viewer = hidden(Without::Viewer);
    assert!(affinity.iter().all(|column| viewer.contains(column)));
    assert!(viewer.iter().all(|column| !column.starts_with("item")));
}
