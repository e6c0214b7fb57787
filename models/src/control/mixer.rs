//! Mixers: how what several channels name becomes one list, and which channel stands for which mixer.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::Mixer;
use crate::ids::Row;
use crate::params::MixRule;
use crate::popularity::{ScoredRow, keep_best};
use crate::recall::{CHANNEL_COUNT, Channel, ChannelSet, MIXERS_MAX};
use crate::wire::Name;

/// What the worst candidate of a source counts beside the best, so that being named always counts.
const WORST_NAMED: f32 = 0.05;

/// Which channel stands for which mixer. A mixer keeps its channel while the process lives, so that what was counted for
/// it stays its own; only when more names have come up than there are channels one that is out of use is given away.
#[derive(Debug, Default)]
pub struct MixerNames {
    names: Mutex<[Option<String>; MIXERS_MAX]>,
    version: AtomicU64,
}

impl MixerNames {
    /// The channels of mixers of these names, in their order; at most [`MIXERS_MAX`] of them.
    pub fn channels_of(&self, wanted: &[&str]) -> Vec<Channel> {
        let mut names = self.names.lock();
        let mut channels = Vec::with_capacity(wanted.len());
        for name in wanted.iter().take(MIXERS_MAX) {
            let is_it = |known: &Option<String>| known.as_deref() == Some(*name);
            let is_free = |known: &Option<String>| known.as_deref().is_none_or(|known| !wanted.contains(&known));
            let place = names
                .iter()
                .position(is_it)
                .or_else(|| names.iter().position(Option::is_none))
                .or_else(|| names.iter().position(is_free));
            let Some(place) = place else { continue };
            if !is_it(&names[place]) {
                names[place] = Some((*name).to_owned());
                self.version.fetch_add(1, Ordering::Release);
            }
            channels.push(Channel::MIXERS[place]);
        }
        channels
    }

    /// What a channel is called: a mixer as its operator named it.
    #[must_use]
    pub fn name(&self, channel: Channel) -> Name {
        let given = channel.mixer().and_then(|mixer| self.names.lock()[mixer].clone());
        given.map_or(Cow::Borrowed(channel.name()), Cow::Owned)
    }

    /// The channel of that name, mixers among them.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<Channel> {
        let mixer = self
            .names
            .lock()
            .iter()
            .position(|known| known.as_deref() == Some(name));
        mixer
            .map(|mixer| Channel::MIXERS[mixer])
            .or_else(|| Channel::of_name(name))
    }

    /// The channels with a name: all but those that stand for no mixer.
    pub fn channels(&self) -> impl Iterator<Item = Channel> {
        let is_taken: [bool; MIXERS_MAX] = std::array::from_fn(|mixer| self.names.lock()[mixer].is_some());
        Channel::ALL
            .into_iter()
            .filter(move |channel| channel.mixer().is_none_or(|mixer| is_taken[mixer]))
    }

    /// Moves with every name that is given.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// What channels named in one recall, for the mixers that combine them; memory that a thread keeps.
#[derive(Debug, Default)]
pub struct MixScratch {
    named: [Vec<ScoredRow>; CHANNEL_COUNT],
    rows: FxHashMap<Row, (f32, u32)>,
}

impl MixScratch {
    /// Forgets the last recall.
    pub fn clear(&mut self) {
        self.named.iter_mut().for_each(Vec::clear);
    }

    /// Takes what a channel named, best first.
    pub fn take(&mut self, channel: Channel, named: &[ScoredRow]) {
        let known = &mut self.named[channel.number()];
        known.clear();
        known.extend_from_slice(named);
    }

    /// What a mixer makes of it, best first.
    pub fn mix(&mut self, mixer: &Mixer, quota: usize, out: &mut Vec<ScoredRow>) {
        let Self { named, rows } = self;
        rows.clear();
        // A channel that is named twice counts once; the params refuse it anyway.
        let mut seen = ChannelSet::default();
        for (source, weight) in &mixer.sources {
            if seen.contains(*source) {
                continue;
            }
            seen = seen.with(ChannelSet::of(*source));
            let list = &named[source.number()];
            let scale = Scale::of(list);
            for (place, candidate) in list.iter().enumerate() {
                // 1 for the first of a list, falling to 0 behind the last.
                let by_place = 1.0 - place as f32 / list.len() as f32;
                let (score, count) = rows.entry(candidate.row).or_insert((0.0, 0));
                *count += 1;
                match mixer.rule {
                    MixRule::Union => *score = score.max(by_place),
                    MixRule::Intersection => *score += by_place,
                    MixRule::Weighted => *score += weight * scale.apply(candidate.score),
                    // Lists of different lengths take turns place by place, the sources in their order.
                    MixRule::Interleave => *score = score.max(1.0 / (1.0 + place as f32)),
                }
            }
        }
        let wanted = match mixer.rule {
            MixRule::Intersection => seen.len(),
            MixRule::Union | MixRule::Weighted | MixRule::Interleave => 1,
        };
        out.extend(
            rows.iter()
                .filter(|(_, (_, count))| *count >= wanted)
                .map(|(row, (score, _))| ScoredRow {
                    row: *row,
                    score: *score,
                }),
        );
        // The map has no order of its own that could be relied on.
        out.sort_unstable_by_key(|candidate| candidate.row);
        keep_best(out, quota);
    }
}

/// Brings the scores of one list to 0..1.
struct Scale {
    lowest: f32,
    range: f32,
}

impl Scale {
    fn of(list: &[ScoredRow]) -> Self {
        let finite = list
            .iter()
            .map(|candidate| candidate.score)
            .filter(|score| score.is_finite());
        let (lowest, highest) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(lowest, highest), score| {
            (lowest.min(score), highest.max(score))
        });
        Self {
            lowest,
            range: highest - lowest,
        }
    }

    fn apply(&self, score: f32) -> f32 {
        let scaled = (score - self.lowest) / self.range;
        if scaled.is_finite() {
            scaled.max(WORST_NAMED)
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(rule: MixRule, quota: usize) -> Vec<Row> {
        let mut scratch = MixScratch::default();
        let list = |rows: &[(Row, f32)]| -> Vec<ScoredRow> {
            rows.iter()
                .map(|(row, score)| ScoredRow {
                    row: *row,
                    score: *score,
                })
                .collect()
        };
        scratch.take(Channel::Hot, &list(&[(1, 100.0), (2, 60.0), (3, 20.0), (4, 0.0)]));
        scratch.take(Channel::Tags, &list(&[(3, 0.9), (1, 0.3), (9, 0.1)]));
        let mixer = Mixer {
            channel: Channel::Mixer1,
            sources: [(Channel::Hot, 1.0), (Channel::Tags, 3.0)].into_iter().collect(),
            rule,
        };
        let mut out = Vec::new();
        scratch.mix(&mixer, quota, &mut out);
        out.iter().map(|candidate| candidate.row).collect()
    }

    #[test]
    fn every_rule_combines_in_its_own_way() {
        let mut union = mixed(MixRule::Union, 10);
        assert_eq!(union[2], 2, "the best place in either list decides");
        union.sort_unstable();
        assert_eq!(union, [1, 2, 3, 4, 9]);
        let mut both = mixed(MixRule::Intersection, 10);
        both.sort_unstable();
        assert_eq!(both, [1, 3]);
        assert_eq!(mixed(MixRule::Weighted, 2), [3, 1]);
        let mut first = mixed(MixRule::Interleave, 2);
        first.sort_unstable();
        assert_eq!(first, [1, 3], "the first of each");
    }

    #[test]
    fn a_name_keeps_its_channel_until_it_must_give_way() {
        let names = MixerNames::default();
        assert_eq!(names.channels_of(&["b", "c"]), [Channel::Mixer1, Channel::Mixer2]);
        assert_eq!(names.channels_of(&["a", "c"]), [Channel::Mixer3, Channel::Mixer2]);
        let version = names.version();
        assert_eq!(names.channels_of(&["b"]), [Channel::Mixer1]);
        assert_eq!((names.version(), names.name(Channel::Mixer1).as_ref()), (version, "b"));
        names.channels_of(&["d"]);
        assert_eq!(names.channels_of(&["d", "e"]), [Channel::Mixer4, Channel::Mixer1]);
        assert_eq!((names.channel("b"), names.channel("e")), (None, Some(Channel::Mixer1)));
        assert_eq!(names.name(Channel::Hot), "hot");
        assert_eq!(names.channels().count(), CHANNEL_COUNT);
    }
}
