//! Strangers: what one costs, that many keep within the budget, and that their rows go.

use super::testing::{eventually, items, like, request};
use super::*;
use crate::service::expire;

async fn engine_with(config: EngineConfig) -> Engine {
    let engine = Engine::start(config).await.expect("an engine in memory");
    engine.upsert_items(items()).await.expect("taken");
    engine
}

fn stranger(number: usize) -> UserId {
    UserId::new(&format!("stranger-{number}")).expect("an id")
}

#[test]
fn of_many_strangers_only_the_last_ones_hold_candidates() {
    actix::System::new().block_on(async {
        let engine = engine_with(EngineConfig::default()).await;
        const STRANGERS: usize = 1_500;
        for number in 0..STRANGERS {
            assert_eq!(
                engine
                    .feed(request(&stranger(number)))
                    .await
                    .expect("a feed")
                    .items
                    .len(),
                5
            );
        }
        let holders = || {
            let holds = |number: &usize| {
                let (_, activity) = engine
                    .shared
                    .sessions
                    .get(&engine.shared, &stranger(*number))
                    .expect("active");
                activity.holds_pool.load(Ordering::Relaxed)
            };
            (0..STRANGERS).filter(holds).count()
        };
        eventually("the first ones have let go", || holders() == 1_024).await;
        let each = engine.shared.sessions.budget().bytes() / STRANGERS;
        assert!(each < 40_000, "{each} bytes a stranger");
        // One who says something, and comes back, is a viewer like any other.
        let viewer = stranger(0);
        engine.ingest(vec![like(&viewer, "v39")]).await.expect("taken");
        assert!(!engine.feed(request(&viewer)).await.expect("a feed").items.is_empty());
    });
}

#[test]
fn sessions_keep_within_their_budget_and_nobody_in_use_is_put_to_sleep() {
    actix::System::new().block_on(async {
        let bytes_max = 2 << 20;
        let engine = engine_with(EngineConfig {
            sessions_bytes_max: bytes_max,
            ..EngineConfig::default()
        })
        .await;
        let fan = UserId::new("fan").expect("an id");
        let outbox = engine.outbox();
        let _socket = engine.connect(&fan, Hello::default(), outbox).await.expect("a socket");
        let (mut served, mut refused) = (0, 0);
        for number in 0..2_000 {
            match engine.feed(request(&stranger(number))).await {
                Ok(_) => served += 1,
                Err(EngineError::Overloaded { .. }) => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
            // Those who are on their way are no more than what one session may hold.
            let bytes = engine.shared.sessions.budget().bytes();
            assert!(bytes < bytes_max + 200_000, "{bytes}");
        }
        assert!(served > 1_000, "{served} served, {refused} refused");
        assert!(engine.shared.sessions.is_active(&fan));
    });
}

#[test]
fn rows_of_viewers_who_only_looked_go_and_others_stay() {
    actix::System::new().block_on(async {
        let engine = engine_with(EngineConfig::default()).await;
        let (looked, liked) = (stranger(1), stranger(2));
        for user in [&looked, &liked] {
            engine.feed(request(user)).await.expect("a feed");
        }
        engine.ingest(vec![like(&liked, "v39")]).await.expect("taken");
        assert_eq!(
            expire(&engine.shared, -1_000).expect("no trouble"),
            0,
            "both are active"
        );
        engine.shared.sessions.sweep(-1_000);
        eventually("both sleep", || engine.shared.sessions.len() == 0).await;
        engine.checkpoint().await.expect("written");
        assert_eq!(
            expire(&engine.shared, 60_000).expect("no trouble"),
            0,
            "it is too early"
        );
        assert_eq!(expire(&engine.shared, -1_000).expect("no trouble"), 1);
        assert!(engine.profile(&looked).await.expect("an answer").is_none());
        assert_eq!(
            engine
                .profile(&liked)
                .await
                .expect("an answer")
                .map(|profile| profile.counts["like"]),
            Some(1)
        );
    });
}
