//! Keeps the table of new items that are owed impressions up to date, once a second beside the requests.

use std::time::Duration;

use swipeline_models::popularity::BoardEntry;

use crate::clock;
use crate::shared::{Shared, SharedRef};

/// How often the table is made again. What a request may give follows from the board at once; the table only says which
/// items are looked at.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Refreshes until the engine drains.
pub(crate) async fn run_new_items(shared: SharedRef) {
    while !shared.is_draining() {
        tokio::time::sleep(REFRESH_INTERVAL).await;
        let inside = shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || refresh_new_items(&inside)).await {
            tracing::error!(%error, "the table of new items could not be made");
        }
    }
}

/// Makes the table again, and counts.
pub(crate) fn refresh_new_items(shared: &Shared) {
    let world = &shared.world;
    let params = world.params.load();
    let usual_skip_rate = world.trending.load().usual_skip_rate(&params.popularity);
    let prior = BoardEntry::prior(&params.popularity);
    let snapshot = world.catalogue.load();
    let counts = world.new_items.refresh(
        &snapshot,
        &world.board,
        &prior,
        usual_skip_rate,
        &params.cold_start,
        clock::now(),
    );
    metrics::gauge!("swipeline_new_items", "state" => "pacing").set(counts.pacing as f64);
    metrics::gauge!("swipeline_new_items", "state" => "late").set(counts.late as f64);
    metrics::counter!("swipeline_new_items_ended_total", "state" => "done").increment(counts.done as u64);
    metrics::counter!("swipeline_new_items_ended_total", "state" => "stopped").increment(counts.stopped as u64);
}
