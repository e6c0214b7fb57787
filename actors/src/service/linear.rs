//! The linear model of all sessions: fitted anew beside everything else when enough has happened.

use std::time::{Duration, Instant};

use crate::shared::{Shared, SharedRef};

/// How often it is looked whether a fit is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Fits the model when it is due until the engine drains.
pub(crate) async fn run_linear_fits(shared: SharedRef) {
    while !shared.is_draining() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let inside = shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || fit_if_due(&inside)).await {
            tracing::error!(%error, "the linear model could not be fitted; the one before serves");
        }
    }
}

fn fit_if_due(shared: &Shared) {
    let world = &shared.world;
    let params = world.params.load().collaborative;
    // Where short sessions rule, nobody asks the model.
    if world.profiles.current(&params).linear_weight <= 0.0 || !world.linear.is_due(&params) {
        return;
    }
    let started = Instant::now();
    match world.linear.refit(&world.session_knn, &params, 1) {
        Ok(items) => tracing::info!(
            items,
            took_s = started.elapsed().as_secs_f32(),
            "a new linear model serves"
        ),
        Err(error) => tracing::error!(%error, "the linear model could not be fitted; the one before serves"),
    }
}
