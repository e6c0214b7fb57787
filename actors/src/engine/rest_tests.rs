//! What an idle session lets go of, and that it answers all the same.

use std::sync::atomic::Ordering;

use super::testing::{items, request};
use super::*;

#[test]
fn an_idle_session_lets_go_of_its_candidates_and_answers_all_the_same() {
    actix::System::new().block_on(async {
        let engine = Engine::start(EngineConfig::default())
            .await
            .expect("an engine in memory");
        engine.upsert_items(items()).await.expect("taken");
        let user = UserId::new("u1").expect("an id");
        let first = engine.feed(request(&user)).await.expect("a feed");
        let (_, activity) = engine.shared.sessions.get(&engine.shared, &user).expect("active");
        engine.shared.sessions.rest(60_000);
        assert!(activity.holds_pool.load(Ordering::Relaxed), "it is not idle");

        // Idle since a moment in the future: every session is.
        engine.shared.sessions.rest(-1_000);
        assert!(!activity.holds_pool.load(Ordering::Relaxed));
        let second = engine.feed(request(&user)).await.expect("a feed");
        assert!(activity.holds_pool.load(Ordering::Relaxed));
        assert_eq!((first.items.len(), second.items.len()), (5, 5));
        let again = |id: &str| first.items.iter().any(|item| item.item_id == id);
        assert!(!second.items.iter().any(|item| again(&item.item_id)), "nothing twice");
    });
}
