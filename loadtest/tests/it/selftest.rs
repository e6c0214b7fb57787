//! The tester tested: through memory, with a paused clock, so that seconds take no time and nothing depends on the
//! machine.

use std::sync::Arc;
use std::time::Duration;

use swipeline_loadtest::behaviour::ViewerConfig;
use swipeline_loadtest::client::record::{Counter, Measurements, Metric, Recorder};
use swipeline_loadtest::client::{CallMix, ClientConfig, Connector, Endpoint, Proto, Yardstick};
use swipeline_loadtest::plan::Arrivals;
use swipeline_loadtest::run::{PreflightError, RunConfig, RunParts, Scenario, check_server, run};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::dummy::{Dummy, DummyConfig, MemoryConnector};

fn client() -> ClientConfig {
    ClientConfig::new(
        Endpoint::parse("ws://127.0.0.1:1/v1/stream").expect("an address"),
        Proto::Json,
    )
}

fn config(sessions: usize, rate: f64, seconds: u64) -> RunConfig {
    RunConfig {
        client: client(),
        sessions,
        rate,
        duration: Duration::from_secs(seconds),
        arrivals: Arrivals::Poisson,
        scenario: Scenario::Steady,
        seed: 7,
        user_prefix: "t-".to_owned(),
        viewers: ViewerConfig {
            // Viewers who never leave by themselves, unless a test is about that.
            session_median_swipes: 1e6,
            patience_median_skips: 1e6,
            ..ViewerConfig::default()
        },
        first_session: 0,
        mix: CallMix::default(),
        connections: 1,
        hit_item: None,
        clock_of_runtime: true,
    }
}

async fn run_against(dummy: &Arc<Dummy>, config: RunConfig) -> Measurements {
    let recorder = Arc::new(Recorder::new(Instant::now(), Duration::from_secs(1)));
    let yardstick = Arc::new(Yardstick::from_feeds(1));
    let connector: Arc<dyn Connector> = Arc::new(MemoryConnector {
        dummy: Arc::clone(dummy),
    });
    let (_keep, stop) = watch::channel(false);
    let parts = RunParts {
        yardstick: Some(yardstick),
        ..RunParts::new(connector, recorder, stop)
    };
    Box::pin(run(config, parts)).await.measured
}

fn dummy(items: usize) -> Arc<Dummy> {
    Dummy::new(DummyConfig {
        items,
        ..DummyConfig::default()
    })
}

fn p99_ms(measured: &Measurements, metric: Metric) -> u64 {
    measured.histogram(metric).value_at_quantile(0.99) / 1_000
}

fn assert_clean(measured: &Measurements) {
    assert_eq!(measured.errors, std::collections::BTreeMap::new());
    assert_eq!(measured.count(Counter::Repeats), 0);
    assert_eq!(measured.count(Counter::RepeatsPushed), 0);
}

/// Every planned swipe is accounted for.
fn assert_balanced(measured: &Measurements) {
    let planned = measured.count(Counter::Planned);
    assert_eq!(
        planned,
        measured.count(Counter::Sent) + measured.count(Counter::Away) + measured.dropped_count()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_in_the_corrected_latency_and_hides_in_the_uncorrected() {
    let stall = Some((Duration::from_millis(8_500), Duration::from_secs(2)));
    let dummy = Dummy::new(DummyConfig {
        items: 1_500,
        stall,
        repeats: false,
    });
    let measured = run_against(&dummy, config(10, 200.0, 20)).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    assert!(
        measured.count(Counter::Sent) > 3_500,
        "{}",
        measured.count(Counter::Sent)
    );
    assert!(
        p99_ms(&measured, Metric::EventToFeed) > 1_500,
        "{} ms",
        p99_ms(&measured, Metric::EventToFeed)
    );
    assert!(p99_ms(&measured, Metric::EventToFeedUncorrected) < 10);
    assert!(p99_ms(&measured, Metric::EventToAck) > 1_500);
    assert!(p99_ms(&measured, Metric::EventToAckUncorrected) < 10);
    assert!(
        p99_ms(&measured, Metric::TesterLag) < 10,
        "the stall is not blamed on the tester"
    );
    let points = measured.series.points();
    assert!(
        points[9].latency_us(0.99).is_none_or(|p99| p99 < 10_000),
        "nothing is answered during the stall"
    );
    assert!(
        points[10].latency_us(0.5).expect("answered") > 500_000,
        "it all comes after it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_steady_run_measures_everything_and_loses_nothing() {
    for proto in [Proto::Json, Proto::Msgpack] {
        let mut config = config(12, 60.0, 10);
        config.client.proto = proto;
        let measured = run_against(&dummy(800), config).await;
        assert_clean(&measured);
        assert_balanced(&measured);
        assert_eq!(measured.dropped_count(), 0);
        assert!(measured.count(Counter::Sent) > 500);
        assert_eq!(measured.histogram(Metric::Connect).len(), 12);
        assert_eq!(measured.histogram(Metric::FirstFeed).len(), 12);
        assert_eq!(
            measured.histogram(Metric::EventToAck).len(),
            measured.count(Counter::Sent)
        );
        assert!(measured.histogram(Metric::EventToFeed).len() * 2 > measured.count(Counter::Sent));
        assert!(
            !measured.histogram(Metric::RequestToFeed).is_empty(),
            "views alone run the queue low"
        );
        assert_eq!(measured.closes.get(&1000), Some(&12));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_run() {
    let first = run_against(&dummy(500), config(5, 20.0, 10)).await;
    let second = run_against(&dummy(500), config(5, 20.0, 10)).await;
    for counter in [
        Counter::Planned,
        Counter::Sent,
        Counter::Likes,
        Counter::Skips,
        Counter::Events,
        Counter::Shown,
    ] {
        assert_eq!(first.count(counter), second.count(counter), "{}", counter.name());
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_are_caught() {
    let dummy = Dummy::new(DummyConfig {
        items: 300,
        stall: None,
        repeats: true,
    });
    let measured = run_against(&dummy, config(3, 10.0, 10)).await;
    assert!(
        measured.count(Counter::Repeats) > 20,
        "{}",
        measured.count(Counter::Repeats)
    );
    assert!(measured.count(Counter::RepeatsPushed) >= measured.count(Counter::Repeats));
}

#[tokio::test(start_paused = true)]
async fn when_everything_was_shown_planned_swipes_are_dropped_and_say_why() {
    let measured = run_against(&dummy(15), config(2, 10.0, 20)).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    assert_eq!(
        measured.count(Counter::Shown),
        30,
        "every item once to each of the two viewers"
    );
    assert!(measured.count(Counter::DroppedNoItem) > 100);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_storm_repeats_nothing_and_resumes_everybody() {
    let mut config = config(20, 100.0, 10);
    config.scenario = Scenario::ReconnectStorm;
    let measured = run_against(&dummy(1_500), config).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    assert_eq!(measured.count(Counter::Reconnects), 20);
    assert_eq!(measured.count(Counter::Recovered), 20);
    assert_eq!(measured.histogram(Metric::Resume).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_day_has_a_night_and_loses_nothing() {
    let mut config = config(12, 50.0, 24);
    config.scenario = Scenario::Diurnal;
    let measured = run_against(&dummy(1_500), config).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    let points = measured.series.points();
    let sent = |hours: std::ops::Range<usize>| points[hours].iter().map(|point| point.sent).sum::<u64>();
    assert!(sent(19..22) > 3 * sent(2..5), "{} {}", sent(19..22), sent(2..5));
}

#[tokio::test(start_paused = true)]
async fn what_a_hit_changes_is_counted_from_its_instant() {
    let mut config = config(12, 60.0, 12);
    config.scenario = Scenario::Viral;
    config.hit_item = Some("v3".to_owned());
    let measured = run_against(&dummy(600), config).await;
    assert_clean(&measured);
    let (before, since) = (Counter::FeedsBeforeHit, Counter::FeedsSinceHit);
    assert!(measured.count(before) > 0 && measured.count(since) > measured.count(before));
    assert_eq!(
        measured.count(before) + measured.count(since),
        measured.count(Counter::Feeds),
        "every feed is one or the other"
    );
    assert!(measured.histogram(Metric::HitToFeed).len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn without_swipes_sockets_are_held_and_closed_in_order() {
    let measured = run_against(&dummy(100), config(10, 0.0, 60)).await;
    assert_clean(&measured);
    assert_eq!(
        (measured.count(Counter::Planned), measured.closes.get(&1000)),
        (0, Some(&10))
    );
}

#[tokio::test(start_paused = true)]
async fn in_a_cold_start_viewers_make_room_for_new_ones() {
    let mut config = config(10, 50.0, 20);
    config.scenario = Scenario::ColdStart;
    let measured = run_against(&dummy(500), config).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    assert!(
        measured.count(Counter::Connects) > 40,
        "{}",
        measured.count(Counter::Connects)
    );
    assert_eq!(measured.count(Counter::Reconnects), 0);
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_recognised_and_counted_on_both_sides() {
    let mut config = config(5, 50.0, 10);
    config.scenario = Scenario::Duplicates;
    let measured = run_against(&dummy(800), config).await;
    assert_clean(&measured);
    assert!(measured.count(Counter::DuplicatesSent) > 50);
    assert_eq!(
        measured.count(Counter::Duplicates),
        measured.count(Counter::DuplicatesSent)
    );
}

#[tokio::test(start_paused = true)]
async fn slow_readers_do_not_disturb_the_others() {
    let mut config = config(10, 50.0, 15);
    config.scenario = Scenario::SlowReaders;
    let measured = run_against(&dummy(800), config).await;
    assert_clean(&measured);
    assert_balanced(&measured);
    assert_eq!(measured.dropped_count(), 0);
    assert_eq!(
        measured.histogram(Metric::Connect).len(),
        9,
        "the tenth viewer's latencies are not measured"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_learns_is_told_from_a_random_feed_and_follows_a_change() {
    let mut config = config(20, 40.0, 60);
    config.viewers.changing_share = 0.5;
    let measured = run_against(&dummy(3_000), config).await;
    let total = measured.learning.total();
    let (expected, random) = (
        total.expected_rate().expect("shown"),
        total.random_rate().expect("drawn"),
    );
    assert!(expected > 1.3 * random, "{expected} against {random}");
    assert!(!measured.shifts.is_empty());
    let shown = measured
        .shifts
        .iter()
        .filter(|outcome| outcome.shown_after_swipes.is_some())
        .count();
    assert!(
        shown * 2 > measured.shifts.len(),
        "{shown} of {}",
        measured.shifts.len()
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_server_is_told_from_one_that_is_filled() {
    let check = async |items| {
        let connector: Arc<dyn Connector> = Arc::new(MemoryConnector { dummy: dummy(items) });
        Box::pin(check_server(&client(), &connector, "probe")).await
    };
    let facts = check(100).await.expect("has items");
    assert_eq!(facts.first_feed_items, 10);
    assert!(!facts.categories.is_empty());
    assert!(matches!(check(0).await, Err(PreflightError::EmptyCatalogue { .. })));
}
