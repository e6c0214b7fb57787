//! Keeps item readings and trending lists warm: one tick for all items instead of a timer per actor, and viral items put
//! into the lists at once.
//!
//! The lists are never made on a request. They are made again as often as a stated share of one core pays for (69 ms for
//! 100 000 active items), and at least every `popularity.refresh_ms`. An item actor that sees a burst does not wait for
//! that: the item is put into the finished lists, which costs microseconds.

use std::time::Duration;

use swipeline_models::params::PopularityParams;
use tokio::time::Instant;

use crate::shared::SharedRef;

/// However cheap they are, the lists are not made more often.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How often a part of the item actors publishes again.
const TICK_INTERVAL: Duration = Duration::from_secs(2);

/// Ticks until the engine drains. The interval is read anew every time, so that a change of params holds at once.
pub(crate) async fn run_trends(shared: SharedRef) {
    let (mut took, mut ticked_at) = (Duration::ZERO, Instant::now());
    while !shared.is_draining() {
        list_bursts_until_due(&shared, Instant::now(), took).await;
        let is_tick_due = ticked_at.elapsed() >= TICK_INTERVAL;
        if is_tick_due {
            ticked_at = Instant::now();
        }
        let inside = shared.clone();
        // Making the lists takes milliseconds: not on a thread that serves.
        let made = tokio::task::spawn_blocking(move || {
            if is_tick_due {
                inside.items.tick(&inside);
            }
            let began = Instant::now();
            inside.items.refresh_trending(&inside.world);
            began.elapsed()
        });
        match made.await {
            Ok(elapsed) => took = elapsed,
            Err(error) => tracing::error!(%error, "the trending lists could not be made"),
        }
    }
}

/// Waits until the lists are due again; meanwhile puts items that turn viral into them as they are reported. One after
/// the other with the making of all lists, so that neither undoes the other.
async fn list_bursts_until_due(shared: &SharedRef, made_at: Instant, took: Duration) {
    loop {
        let params = shared.world.params.load().popularity;
        tokio::select! {
            () = tokio::time::sleep_until(made_at + interval(&params, took)) => return,
            () = shared.items.burst_reported() => {}
        }
        let inside = shared.clone();
        let listed = tokio::task::spawn_blocking(move || inside.items.list_bursts(&inside.world));
        if let Err(error) = listed.await {
            tracing::error!(%error, "viral items could not be listed");
        }
        let pause_ms = params.viral.refresh_ms_min;
        tokio::time::sleep(Duration::from_millis(u64::try_from(pause_ms).unwrap_or(1))).await;
    }
}

/// How long the lists hold when making them takes `took`.
fn interval(params: &PopularityParams, took: Duration) -> Duration {
    let longest = Duration::from_millis(u64::try_from(params.refresh_ms).unwrap_or(1));
    if params.refresh_cpu_share <= 0.0 {
        return longest;
    }
    let affordable = took.as_secs_f32() / params.refresh_cpu_share;
    let affordable = Duration::try_from_secs_f32(affordable).unwrap_or(longest);
    affordable.max(REFRESH_INTERVAL_MIN).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_made_as_often_as_their_share_of_a_core_pays_for() {
        let interval_of = |refresh_ms: i64, share: f32, took_ms: u64| {
            let params = PopularityParams {
                refresh_ms,
                refresh_cpu_share: share,
                ..PopularityParams::default()
            };
            interval(&params, Duration::from_millis(took_ms)).as_millis()
        };
        assert_eq!(interval_of(15_000, 0.01, 0), 1_000);
        assert!((6_899..=6_901).contains(&interval_of(15_000, 0.01, 69)));
        assert_eq!(interval_of(15_000, 0.01, 700), 15_000);
        assert_eq!(interval_of(15_000, 0.0, 0), 15_000, "never sooner");
        assert_eq!(
            interval_of(200, 0.01, 0),
            200,
            "an operator who wants it sooner gets it"
        );
    }
}
