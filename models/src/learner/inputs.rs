//! The dense inputs: the feature row brought to one scale, the two scores beside it, and the channels.
//!
//! Owns their order, scale and names. A neutral feature is 0. Must not know weights.

use crate::features::schema::{FEATURE_COUNT, Feature, NEUTRAL_ROW};
use crate::recall::{CHANNEL_COUNT, Channel, ChannelSet};

/// Places of the inputs that are not features.
pub(super) const PRE_RANK: usize = FEATURE_COUNT;
pub(super) const COLLABORATIVE: usize = FEATURE_COUNT + 1;
const CHANNELS: usize = FEATURE_COUNT + 2;

/// Dense inputs of a candidate.
pub(super) const INPUT_COUNT: usize = CHANNELS + CHANNEL_COUNT;

/// One candidate's.
pub(super) type Inputs = [f32; INPUT_COUNT];

/// The pre-rank score (0 to 1) of an average candidate.
const PRE_RANK_NEUTRAL: f32 = 0.5;
const PRE_RANK_SCALE: f32 = 2.0;
/// The collaborative score is ln(1 + blend): 0 without evidence, about 3 with much.
const COLLABORATIVE_SCALE: f32 = 0.5;
/// No scaled input is further from 0.
const INPUT_MAX: f32 = 4.0;

/// What an input is made of a value: scale · (value - neutral).
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) neutral: f32,
    pub(super) scale: f32,
}

/// The scale of the inputs that are not channels.
pub(super) fn scale_of(input: usize) -> Scale {
    match Feature::ALL.get(input) {
        Some(feature) => {
            let (low, high) = feature.range();
            Scale {
                neutral: NEUTRAL_ROW[input],
                scale: 2.0 / (high - low),
            }
        }
        None if input == PRE_RANK => Scale {
            neutral: PRE_RANK_NEUTRAL,
            scale: PRE_RANK_SCALE,
        },
        None => Scale {
            neutral: 0.0,
            scale: COLLABORATIVE_SCALE,
        },
    }
}

/// The place of a channel's input.
pub(super) const fn channel_input(channel: Channel) -> usize {
    CHANNELS + channel.number()
}

/// The inputs of a candidate; what is not finite is neutral.
pub(super) fn inputs(
    features: &[f32; FEATURE_COUNT],
    pre_rank: f32,
    collaborative: f32,
    channels: ChannelSet,
) -> Inputs {
    let mut inputs = [0.0; INPUT_COUNT];
    for (place, input) in inputs.iter_mut().enumerate().take(CHANNELS) {
        let value = match features.get(place) {
            Some(value) => *value,
            None if place == PRE_RANK => pre_rank,
            None => collaborative,
        };
        let Scale { neutral, scale } = scale_of(place);
        let scaled = (value - neutral) * scale;
        *input = if scaled.is_finite() {
            scaled.clamp(-INPUT_MAX, INPUT_MAX)
        } else {
            0.0
        };
    }
    for channel in channels.iter() {
        inputs[channel_input(channel)] = 1.0;
    }
    inputs
}

/// The name of an input in explanations.
pub(super) fn input_name(input: usize) -> String {
    match Feature::ALL.get(input) {
        Some(feature) => format!("feature:{}", feature.name()),
        None if input == PRE_RANK => "pre_rank".to_owned(),
        None if input == COLLABORATIVE => "collaborative".to_owned(),
        None => Channel::ALL
            .get(input - CHANNELS)
            .map_or_else(String::new, |channel| format!("channel:{}", channel.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutral_is_nothing_and_wild_values_are_bounded() {
        assert_eq!(
            inputs(&NEUTRAL_ROW, 0.5, 0.0, ChannelSet::default()),
            [0.0; INPUT_COUNT]
        );
        let wild = inputs(
            &[f32::NAN; FEATURE_COUNT],
            f32::INFINITY,
            1e30,
            ChannelSet::of(Channel::Hot),
        );
        assert!(wild.iter().all(|value| value.is_finite() && value.abs() <= INPUT_MAX));
        assert_eq!(wild[channel_input(Channel::Hot)], 1.0);
    }

    #[test]
    fn every_input_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = (0..INPUT_COUNT).map(input_name).collect();
        assert_eq!(names.len(), INPUT_COUNT);
        assert!(names.contains("channel:linear") && names.contains("feature:short_cosine"));
    }
}
