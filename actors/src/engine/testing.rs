//! What the tests of the engine share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use swipeline_models::event::Signal;
use swipeline_models::wire::ItemDto;

use super::*;

/// Every wait ends after so long.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < WAIT_MAX, "it does not happen that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Forty videos of one category.
pub(crate) fn items() -> Vec<Item> {
    let item = |number: usize| ItemDto {
        id: format!("v{number}"),
        categories: Some(vec!["music".to_owned()]),
        ..ItemDto::default()
    };
    (0..40)
        .map(|number| item(number).into_item(clock::now()).expect("a good item"))
        .collect()
}

/// A like, now.
pub(crate) fn like(user: &UserId, item: &str) -> Event {
    Event {
        event_id: None,
        user: user.clone(),
        item: ItemId::new(item).expect("an id"),
        signal: Signal::Like,
        at: clock::now(),
        watch_ms: None,
        position: None,
        request_id: None,
        context: BTreeMap::new(),
    }
}

/// Five items for a viewer.
pub(crate) fn request(user: &UserId) -> FeedRequest {
    FeedRequest::plain(user.clone(), 5)
}
