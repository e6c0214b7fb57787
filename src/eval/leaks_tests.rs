//! The leak check catches planted leaks, and only those.

use super::*;
use crate::eval::item_set::ItemSet;
use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, ImpressionHistory, NextItemRequest};
use crate::eval::methods::{IMPRESSION, NEXT_ITEM};
use crate::eval::shown::{FeedCatalogue, OUTCOME_COUNT, Shown, VideoFacts};
use crate::eval::testing::{event, log_of};

const EFFORT: Effort = Effort { threads: 2, seed: 5 };

/// 40 viewers walk through 30 items, every third like a 3.
fn walks() -> SplitLog {
    let mut draws = Draws::new(11);
    let events: Vec<Interaction> = (0..1_200_u32)
        .map(|n| {
            event(
                n % 40,
                draws.below(30) as u32,
                i64::from(n),
                [5.0, 4.0, 3.0][n as usize % 3],
            )
        })
        .collect();
    let (history, stream) = events.split_at(800);
    SplitLog {
        catalogue: log_of(&events).catalogue,
        history: history.to_vec(),
        stream: stream.to_vec(),
    }
}

fn check(setup: NextItemSetup, make: &dyn Fn(&SplitLog) -> Box<dyn NextItemMethod>) -> Found {
    let replay =
        |log: &SplitLog, method: &mut dyn NextItemMethod, observe: &mut Observe<'_>| setup.replay(log, method, observe);
    check_next_item(&walks(), &setup, &replay, EFFORT, make).expect("a check")
}

#[test]
fn no_built_in_method_leaks_in_any_protocol() {
    let sessions = NextItemSetup::Sessions {
        online: true,
        cases_max: usize::MAX,
    };
    for setup in [NextItemSetup::NextLike, NextItemSetup::LeaveLast, sessions] {
        for (name, make) in NEXT_ITEM {
            let found = check(setup, &|_| make());
            assert!(found.compared > 20, "{name}: {found:?}");
            assert_eq!(found.leaked, 0, "{name} in {setup:?}");
        }
    }
}

/// Holds the whole log and knows what comes next.
struct Peeker {
    stream: Vec<Interaction>,
}

impl NextItemMethod for Peeker {
    fn name(&self) -> &str {
        "peeker"
    }

    fn fit(&mut self, _history: &History<'_>) -> Result<()> {
        Ok(())
    }

    fn learn(&mut self, _event: &Interaction) {}

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        let next = self
            .stream
            .iter()
            .find(|event| event.user == request.user && event.at_ms >= request.now_ms);
        if let Some(next) = next {
            scores[next.item as usize] = 1.0;
        }
    }
}

#[test]
fn a_method_that_holds_the_future_is_caught() {
    let found = check(NextItemSetup::NextLike, &|log| {
        Box::new(Peeker {
            stream: log.stream.clone(),
        })
    });
    assert!(found.leaked > 0, "{found:?}");
}

#[test]
fn statistics_over_the_whole_log_are_caught() {
    struct TotalCounts(Vec<f32>);
    impl NextItemMethod for TotalCounts {
        fn name(&self) -> &str {
            "total-counts"
        }
        fn fit(&mut self, _history: &History<'_>) -> Result<()> {
            Ok(())
        }
        fn learn(&mut self, _event: &Interaction) {}
        fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
            answer.scores(request.candidates.item_count()).copy_from_slice(&self.0);
        }
    }
    let found = check(NextItemSetup::NextLike, &|log| {
        let mut counts = vec![0.0; log.catalogue.item_count()];
        log.history
            .iter()
            .chain(&log.stream)
            .for_each(|event| counts[event.item as usize] += 1.0);
        Box::new(TotalCounts(counts))
    });
    assert_eq!(found.leaked, found.compared);
}

#[test]
fn a_harness_that_learns_before_it_asks_is_caught() {
    let leaky = |log: &SplitLog, method: &mut dyn NextItemMethod, observe: &mut Observe<'_>| {
        let candidates = ItemSet::full(log.catalogue.item_count());
        let mut answer = Answer::default();
        for (known, event) in log.stream.iter().enumerate() {
            method.learn(event);
            let context = vec![*event; known + 1];
            let request = NextItemRequest {
                user: event.user,
                now_ms: event.at_ms,
                context: &context,
                candidates: &candidates,
                places: 20,
            };
            method.rank(&request, &mut answer);
            let case = crate::eval::protocol::Case {
                request: &request,
                answer: &answer,
                target: event.item,
                is_cold: false,
                target_events: 0,
                known,
                cpu_us: 0.0,
            };
            if !observe(&case) {
                return Ok(());
            }
        }
        Ok(())
    };
    let (_, popular) = NEXT_ITEM[0];
    let found = check_next_item(&walks(), &NextItemSetup::NextLike, &leaky, EFFORT, &|_| popular()).expect("a check");
    assert_eq!(
        found.leaked, 1,
        "the answer at the border knows what it was asked for: {found:?}"
    );
}

/// Two days of 300 impressions each, three of them at a time.
fn impressions() -> ImpressionLog {
    let mut draws = Draws::new(3);
    let rows = (0..600_u32).map(|n| {
        let shown = Shown {
            user: n % 20,
            item: draws.below(15) as u32,
            at_ms: i64::from(n / 3),
            day: 20_220_428 + n / 300,
            hour: 0,
            tab: 1,
            duration_ms: 1_000,
        };
        let outcome = Outcome {
            labels: std::array::from_fn(|_| draws.below(2) == 0),
            ..Outcome::default()
        };
        (shown, outcome)
    });
    let ids = |count: u32| (0..count).map(|id| id.to_string()).collect();
    ImpressionLog {
        impressions: rows.collect(),
        catalogue: FeedCatalogue {
            user_ids: ids(20),
            item_ids: ids(15),
            videos: vec![VideoFacts::default(); 15],
            viewers: Vec::new(),
        },
        watched_before: Vec::new(),
    }
}

#[test]
fn no_built_in_impression_method_leaks() {
    for (name, make) in IMPRESSION {
        let found = check_impressions(&impressions(), 20_220_429, EFFORT, &|_| make()).expect("a check");
        assert!(found.compared > 100, "{name}: {found:?}");
        assert_eq!(found.leaked, 0, "{name}");
    }
}

#[test]
fn a_feature_that_is_the_outcome_is_caught() {
    struct Cheat(Vec<(Shown, Outcome)>);
    impl ImpressionMethod for Cheat {
        fn name(&self) -> &str {
            "cheat"
        }
        fn fit(&mut self, _history: &ImpressionHistory<'_>) -> Result<()> {
            Ok(())
        }
        fn start_day(&mut self) {}
        fn predict(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
            let own = self.0.iter().find(|(other, _)| other == shown);
            own.map_or([0.5; OUTCOME_COUNT], |(_, outcome)| {
                outcome.labels.map(|label| f32::from(u8::from(label)))
            })
        }
        fn predict_frozen(&mut self, _shown: &Shown) -> [f32; OUTCOME_COUNT] {
            [0.5; OUTCOME_COUNT]
        }
        fn learn(&mut self, _shown: &Shown, _outcome: &Outcome) {}
    }
    let found = check_impressions(&impressions(), 20_220_429, EFFORT, &|log| {
        Box::new(Cheat(log.impressions.clone()))
    });
    assert!(found.expect("a check").leaked > 0);
}
