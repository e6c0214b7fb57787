//! The ladder on a running engine: what is measured is what happens.

use std::time::Instant;

use serde_json::json;
use swipeline_models::degradation::{Measure, Reason};

use super::testing::{WAIT_MAX, eventually, request};
use super::*;

#[test]
fn a_thread_that_is_stuck_is_noticed_while_it_is_and_forgiven_afterwards() {
    actix::System::new().block_on(async {
        let config = EngineConfig {
            arbiters: 2,
            ..EngineConfig::default()
        };
        let engine = Engine::start(config).await.expect("an engine in memory");
        let times = json!({"degradation": {"worse_after_ms": 50, "dwell_ms": 50}});
        engine
            .patch_params(times, ParamsEdit::by("test"))
            .await
            .expect("good params");
        let (shared, inside) = (engine.shared.clone(), engine.shared.clone());
        let stuck = async move {
            // Without a pause: nothing else runs on this thread until the ladder has seen it.
            let began = Instant::now();
            while inside.overload.level() < Level::LinearRanker && began.elapsed() < WAIT_MAX {
                std::thread::yield_now();
            }
        };
        assert!(shared.arbiters[0].spawn(stuck));
        eventually("the level falls", || shared.overload.level() >= Level::LinearRanker).await;
        eventually("it rises again", || shared.overload.level() == Level::Full).await;
        let report = engine.degradation();
        assert_eq!(report.reason, Some(Reason::Calm));
        let is_lag = |reason: &Reason| {
            matches!(
                reason,
                Reason::Load {
                    measure: Measure::LagMs,
                    ..
                }
            )
        };
        assert!(
            report.transitions.iter().any(|change| is_lag(&change.reason)),
            "{report:?}"
        );
        assert_eq!(report.arbiters.len(), 2);
    });
}

#[test]
fn calls_in_work_count_until_they_are_answered() {
    actix::System::new().block_on(async {
        let engine = Engine::start(EngineConfig::default())
            .await
            .expect("an engine in memory");
        let times = json!({"degradation": {"worse_after_ms": 50, "dwell_ms": 50}});
        engine
            .patch_params(times, ParamsEdit::by("test"))
            .await
            .expect("good params");
        let calls: Vec<_> = (0..800).map(|_| engine.shared.overload.enter_call()).collect();
        let level = || engine.shared.overload.level();
        eventually("feeds are refused", || level() == Level::Refused).await;
        let user = UserId::new("u").expect("an id");
        let request = request(&user);
        let refused = engine.feed(request.clone()).await.expect_err("refused");
        assert_eq!(refused.retry_after_ms(), Some(1_000));
        assert!(engine.profile(&user).await.expect("an answer").is_none());
        drop(calls);
        eventually("there are feeds again", || level() == Level::Full).await;
        engine.feed(request).await.expect("a feed");
        eventually("nothing waits", || {
            let load = engine.degradation().load;
            (load.queue, load.in_flight) == (0, 0)
        })
        .await;
    });
}
