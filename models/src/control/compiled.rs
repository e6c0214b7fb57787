//! The params about channels, mixers and boosts, compiled once per document.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::rules::Rule;
use crate::params::{ChannelParams, MixRule, Params};
use crate::recall::{CHANNEL_COUNT, Channel, ChannelSet};
use crate::world::World;

const NS_PER_US: u64 = 1_000;

/// The settings of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChannelSettings {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// How many candidates it may name by itself.
    pub quota: usize,
    /// How many candidates mixers want of it.
    pub mixers_quota: usize,
    /// The weight in the pre-ranking.
    pub weight: f32,
    /// At least this share of every feed.
    pub min_share: f32,
    /// At most this share of every feed.
    pub max_share: f32,
    /// How long a session waits before it asks again.
    pub min_interval_ms: i64,
    /// The time budget of a call.
    pub time_budget_ns: u64,
}

/// A channel that combines others.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixer {
    /// The channel that stands for it.
    pub channel: Channel,
    /// What it combines, with weights.
    pub sources: SmallVec<[(Channel, f32); 4]>,
    /// How.
    pub rule: MixRule,
}

/// The params about channels, mixers and boosts, compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// By [`Channel::number`].
    pub channels: [ChannelSettings; CHANNEL_COUNT],
    /// The mixers that are on.
    pub mixers: Vec<Mixer>,
    /// The channels that some mixer combines.
    pub mixed: ChannelSet,
    /// The channels whose share of a feed is limited, and those that are sure of one.
    pub shared: ChannelSet,
    /// The boost and bury rules that are on.
    pub rules: Vec<Rule>,
    /// Stands for the three sections: pools that were filled under another one are filled again.
    pub recall_key: u64,
}

impl Control {
    /// Compiles the sections of a document. Words of rules get a number now, so that items that come later are met too.
    #[must_use]
    pub fn compile(params: &Params, world: &World) -> Self {
        let mut control = Self {
            channels: [ChannelSettings::default(); CHANNEL_COUNT],
            mixers: Vec::new(),
            mixed: ChannelSet::default(),
            shared: ChannelSet::default(),
            rules: params
                .boosts
                .iter()
                .filter(|boost| boost.enabled)
                .map(|boost| Rule::compile(boost, world.catalogue.words()))
                .collect(),
            recall_key: recall_key(params),
        };
        // What has no settings of its own takes part without limits.
        control.channels[Channel::Backfill.number()].max_share = 1.0;
        for (name, settings) in &params.channels {
            if let Some(channel) = Channel::of_name(name) {
                control.channels[channel.number()] = ChannelSettings::from(settings);
            }
        }
        control.compile_mixers(params, world);
        for channel in Channel::ALL {
            let settings = control.channels[channel.number()];
            if settings.enabled && (settings.min_share > 0.0 || settings.max_share < 1.0) {
                control.shared = control.shared.with(ChannelSet::of(channel));
            }
        }
        control
    }

    /// The settings of a channel.
    #[must_use]
    pub fn settings(&self, channel: Channel) -> &ChannelSettings {
        &self.channels[channel.number()]
    }

    fn compile_mixers(&mut self, params: &Params, world: &World) {
        let names: Vec<&str> = params.mixers.keys().map(String::as_str).collect();
        for (channel, mixer) in world.mixers.channels_of(&names).into_iter().zip(params.mixers.values()) {
            self.channels[channel.number()] = ChannelSettings::from(&mixer.as_channel());
            if !mixer.enabled || mixer.quota == 0 {
                continue;
            }
            let sources = mixer.sources.iter().filter_map(|source| {
                let weight = mixer.weights.get(source).copied().unwrap_or(1.0);
                Some((Channel::of_name(source)?, weight))
            });
            let sources: SmallVec<[(Channel, f32); 4]> = sources.collect();
            for (source, _) in &sources {
                let wanted = &mut self.channels[source.number()].mixers_quota;
                *wanted = (*wanted).max(mixer.quota as usize);
                self.mixed = self.mixed.with(ChannelSet::of(*source));
            }
            self.mixers.push(Mixer {
                channel,
                sources,
                rule: mixer.rule,
            });
        }
    }
}

impl From<&ChannelParams> for ChannelSettings {
    fn from(params: &ChannelParams) -> Self {
        Self {
            enabled: params.enabled,
            quota: params.quota as usize,
            mixers_quota: 0,
            weight: params.weight,
            min_share: params.min_share,
            max_share: params.max_share,
            min_interval_ms: params.min_interval_ms,
            time_budget_ns: u64::from(params.time_budget_us) * NS_PER_US,
        }
    }
}

fn recall_key(params: &Params) -> u64 {
    let sections = (&params.channels, &params.mixers, &params.boosts);
    xxh3_64(&serde_json::to_vec(&sections).unwrap_or_default())
}

/// A place for the compiled form beside the document that it was made of: made on first use, not copied with the
/// document (a copy is made to be changed), and no part of what documents are compared by.
#[derive(Debug, Default)]
pub struct CompiledControl(OnceLock<Arc<Control>>);

impl CompiledControl {
    /// The compiled form of the document that this belongs to.
    pub fn of(&self, params: &Params, world: &World) -> &Control {
        self.0.get_or_init(|| Arc::new(Control::compile(params, world)))
    }
}

impl Clone for CompiledControl {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for CompiledControl {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::parse;
    use serde_json::json;

    fn compiled(world: &World, document: serde_json::Value) -> Control {
        Control::compile(&parse(document).expect("valid"), world)
    }

    #[test]
    fn names_become_numbers_and_mixers_keep_theirs() {
        let world = World::new(None, Default::default()).expect("a world");
        let plain = compiled(&world, json!({}));
        assert!(plain.shared.is_empty() && plain.mixers.is_empty() && plain.rules.is_empty());
        assert_eq!(plain.settings(Channel::Hot).time_budget_ns, 50_000_000);
        let b = json!({"b": {"sources": ["hot", "tags"], "quota": 90, "weights": {"tags": 0.5}}});
        let first = compiled(&world, json!({"mixers": b, "channels": {"hot": {"max_share": 0.5}}}));
        assert_eq!(first.mixers[0].channel, Channel::Mixer1);
        assert_eq!(
            first.mixers[0].sources.as_slice(),
            [(Channel::Hot, 1.0), (Channel::Tags, 0.5)]
        );
        assert_eq!(
            (
                first.settings(Channel::Hot).quota,
                first.settings(Channel::Hot).mixers_quota
            ),
            (60, 90)
        );
        assert!(first.shared == ChannelSet::of(Channel::Hot) && first.recall_key != plain.recall_key);
        // Another mixer that comes before it by name does not take its number.
        let both = compiled(&world, json!({"mixers": {"a": {"sources": ["fresh"]}, "b": b["b"]}}));
        let of = |name: &str| {
            both.mixers
                .iter()
                .find(|mixer| world.mixers.name(mixer.channel) == name)
        };
        assert_eq!(of("b").expect("b").channel, Channel::Mixer1);
        assert_eq!(of("a").expect("a").channel, Channel::Mixer2);
    }

    #[test]
    fn a_copy_of_the_document_is_compiled_anew() {
        let world = World::new(None, Default::default()).expect("a world");
        let mut params = Params::default();
        assert_eq!(params.control(&world).settings(Channel::Hot).quota, 60);
        params = params.clone();
        params.channels.get_mut("hot").expect("hot").quota = 7;
        assert_eq!(params.control(&world).settings(Channel::Hot).quota, 7);
    }
}
