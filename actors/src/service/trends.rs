//! Keeps item readings and trending lists warm: one tick for all items instead of a timer per actor.

use std::time::Duration;

use crate::shared::SharedRef;

/// Ticks until the engine drains. The interval is read anew every time, so that a change of params holds at once.
pub(crate) async fn run_trends(shared: SharedRef) {
    while !shared.is_draining() {
        let refresh_ms = shared.world.params.load().popularity.refresh_ms;
        tokio::time::sleep(Duration::from_millis(u64::try_from(refresh_ms).unwrap_or(1))).await;
        let inside = shared.clone();
        // Making the lists takes milliseconds: not on a thread that serves.
        let made = tokio::task::spawn_blocking(move || {
            inside.items.tick(&inside);
            inside.items.refresh_trending(&inside.world);
        });
        if let Err(error) = made.await {
            tracing::error!(%error, "the trending lists could not be made");
        }
    }
}
