//! What operators see of the recall channels, and what they decide by hand.

use swipeline_models::control::ByHand;
use swipeline_models::recall::Channel;

use super::*;

const NS_PER_US: f64 = 1_000.0;

impl Engine {
    /// All channels and mixers with their settings in force and what their breakers have seen.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let params = self.shared.params.current();
        let channels = params.params.channels.keys().chain(params.params.mixers.keys());
        channels.filter_map(|name| self.channel_status(name)).collect()
    }

    /// Opens, closes or resets the breaker of a channel by hand. Returns how the channel is now.
    ///
    /// # Errors
    /// `NotFound` when there is no channel of that name.
    pub fn decide_breaker(&self, name: &str, decision: ByHand) -> Result<ChannelStatus, EngineError> {
        let params = self.shared.params.current();
        let is_known = params.params.channels.contains_key(name) || params.params.mixers.contains_key(name);
        let world = &self.shared.world;
        let channel = world.mixers.channel(name).filter(|_| is_known);
        let channel = channel.ok_or_else(|| EngineError::NotFound(format!("channel {name}")))?;
        world
            .guards
            .decide(channel, decision, clock::now(), &params.params.breakers);
        self.channel_status(name)
            .ok_or_else(|| EngineError::NotFound(format!("channel {name}")))
    }

    fn channel_status(&self, name: &str) -> Option<ChannelStatus> {
        let world = &self.shared.world;
        let document = self.shared.params.current();
        let mixer = document.params.mixers.get(name);
        let settings = match mixer {
            Some(mixer) => mixer.as_channel(),
            None => document.params.channels.get(name)?.clone(),
        };
        let seen = world.guards.report(world.mixers.channel(name)?, clock::now());
        let micros = |ns: Option<u64>| ns.map(|ns| ns as f64 / NS_PER_US);
        Some(ChannelStatus {
            name: name.to_owned(),
            kind: if mixer.is_some() { "mixer" } else { "channel" },
            enabled: settings.enabled,
            quota: settings.quota,
            weight: settings.weight,
            min_share: settings.min_share,
            max_share: settings.max_share,
            min_interval_ms: settings.min_interval_ms,
            time_budget_us: settings.time_budget_us,
            sources: mixer.map(|mixer| mixer.sources.clone()).unwrap_or_default(),
            rule: mixer.map(|mixer| mixer.rule),
            breaker: seen.state.name(),
            held: seen.is_held,
            opened: seen.opened,
            calls: seen.calls,
            late: seen.late,
            failed: seen.failed,
            refused: seen.refused,
            p50_us: micros(seen.p50_ns),
            p99_us: micros(seen.p99_ns),
        })
    }

    /// Sets the gauges of the breakers: 0 closed, 1 half open, 2 open.
    pub(super) fn publish_breakers(&self) {
        let world = &self.shared.world;
        for channel in world.mixers.channels().filter(|channel| *channel != Channel::Backfill) {
            let state = world.guards.state(channel);
            metrics::gauge!("swipeline_channel_breaker_state", "channel" => world.mixers.name(channel))
                .set(f64::from(state as u8));
        }
    }
}
