//! A short load on the real server: the promises that hold for one viewer hold for many at once. Nothing here depends on
//! how fast the machine is: no latency is checked, only what must never happen.

use std::sync::Arc;
use std::time::Duration;

use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig, ViewerConfig};
use swipeline_loadtest::client::record::{Counter, Measurements, Metric, Recorder};
use swipeline_loadtest::client::{CallMix, ClientConfig, Connector, Endpoint, Proto, TcpConnector, Yardstick};
use swipeline_loadtest::fill::fill;
use swipeline_loadtest::plan::Arrivals;
use swipeline_loadtest::run::{RunConfig, RunOutcome, RunParts, Scenario, ServerProbe, run};
use swipeline_models::time::TimestampMs;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::harness::Server;

const ITEMS: usize = 2_000;
const SESSIONS: usize = 20;
const DURATION: Duration = Duration::from_secs(5);

async fn filled() -> Server {
    let server = Server::start().await;
    let catalogue = Catalogue::new(CatalogueConfig {
        items: ITEMS,
        dim: Some(16),
        seed: 1,
        now: TimestampMs(1_790_000_000_000),
        days: 7,
    });
    let catalogue = catalogue.expect("a possible catalogue");
    let totals = fill(&format!("http://{}", server.public), &catalogue, |_| {}).await;
    assert_eq!(totals.expect("filled").upserted, ITEMS);
    server
}

async fn load(server: &Server, scenario: Scenario, proto: Proto) -> RunOutcome {
    let endpoint = Endpoint::parse(&format!("ws://{}/v1/stream", server.public)).expect("an address");
    let connector: Arc<dyn Connector> = Arc::new(TcpConnector::new(endpoint.clone()));
    let recorder = Arc::new(Recorder::new(Instant::now(), Duration::from_secs(1)));
    let (_keep, stop) = watch::channel(false);
    let config = RunConfig {
        client: ClientConfig::new(endpoint, proto),
        sessions: SESSIONS,
        first_session: 0,
        rate: 40.0,
        duration: DURATION,
        arrivals: Arrivals::Poisson,
        scenario,
        seed: 3,
        user_prefix: format!("{scenario}-"),
        viewers: ViewerConfig::default(),
        mix: CallMix::default(),
        connections: 4,
        hit_item: None,
        clock_of_runtime: false,
    };
    let parts = RunParts {
        yardstick: Some(Arc::new(Yardstick::from_feeds(1))),
        probe: Some(ServerProbe {
            http: reqwest::Client::new(),
            metrics_url: format!("http://{}/metrics", server.admin),
            pid: None,
        }),
        ..RunParts::new(connector, recorder, stop)
    };
    Box::pin(run(config, parts)).await
}

/// No repeats, no errors, and every planned swipe is accounted for.
fn assert_promises(measured: &Measurements) {
    assert_eq!(measured.errors, std::collections::BTreeMap::new());
    assert_eq!(
        (measured.count(Counter::Repeats), measured.count(Counter::RepeatsPushed)),
        (0, 0)
    );
    assert_eq!(measured.dropped_count(), 0);
    assert!(measured.count(Counter::Planned) > 100);
    assert_eq!(
        measured.count(Counter::Planned),
        measured.count(Counter::Sent) + measured.count(Counter::Away)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_load_repeats_nothing_and_breaks_nothing() {
    let server = filled().await;
    let outcome = load(&server, Scenario::Steady, Proto::Json).await;
    assert_promises(&outcome.measured);
    let measured = &outcome.measured;
    assert_eq!(
        measured.histogram(Metric::EventToAck).len(),
        measured.count(Counter::Sent)
    );
    assert!(!measured.histogram(Metric::EventToFeed).is_empty());
    let usage = &outcome.server;
    assert!(
        usage.cpu_s.is_some_and(|cpu| cpu > 0.0),
        "the server tells its CPU time"
    );
    assert!(usage.rss_bytes.is_some_and(|rss| rss > 1e6), "and its memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_storm_repeats_nothing_and_resumes_everybody() {
    let server = filled().await;
    let measured = load(&server, Scenario::ReconnectStorm, Proto::Msgpack).await.measured;
    assert_promises(&measured);
    assert_eq!(measured.count(Counter::Reconnects), SESSIONS as u64);
    assert_eq!(measured.count(Counter::Recovered), SESSIONS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_calls_repeat_nothing_and_break_nothing() {
    let server = filled().await;
    let measured = load(&server, Scenario::OneShot, Proto::Json).await.measured;
    assert_promises(&measured);
    for metric in [Metric::RestFeed, Metric::RestEvents] {
        assert!(!measured.histogram(metric).is_empty(), "{}", metric.name());
    }
}
