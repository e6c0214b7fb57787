//! Viewers at their own pace, over TCP: what `swipeline demo` runs.

use swipeline_loadtest::client::{FleetConfig, Proto, run_viewers};
use tokio::sync::watch;

use crate::dummy::{Dummy, DummyConfig};

#[tokio::test]
async fn viewers_swipe_by_themselves_until_they_are_stopped() {
    let dummy = Dummy::new(DummyConfig {
        items: 500,
        ..DummyConfig::default()
    });
    let config = FleetConfig {
        url: dummy.listen().await,
        viewers: 4,
        seed: 3,
        speed: 1_000.0,
        user_prefix: "demo-".to_owned(),
        proto: Proto::Msgpack,
    };
    let (stop, stopped) = watch::channel(false);
    let viewers = tokio::spawn(run_viewers(config, stopped));
    dummy
        .events()
        .wait_for(|count| *count >= 60)
        .await
        .expect("the server is there");
    stop.send_replace(true);
    let stats = viewers.await.expect("no panic").expect("an address");
    assert_eq!((stats.errors, stats.repeats), (0, 0));
    assert!(stats.swipes > 20 && stats.shown > stats.swipes, "{stats:?}");
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused() {
    let config = FleetConfig {
        url: "wss://127.0.0.1/".to_owned(),
        viewers: 1,
        seed: 3,
        speed: 1.0,
        user_prefix: "demo-".to_owned(),
        proto: Proto::Json,
    };
    let (_stop, stopped) = watch::channel(false);
    assert!(run_viewers(config, stopped).await.is_err());
}
