//! One slate as it stands in the served log.
//!
//! Owns its fields and its encoding: a version byte, then MessagePack with field names, so that fields can be added.

use serde::{Deserialize, Serialize};
use swipeline_models::features::schema::FEATURE_COUNT;
use swipeline_models::rank::ObjectiveRow;
use swipeline_models::recall::ChannelSet;
use swipeline_models::wire::FeedContextDto;

use crate::records::{decode_bytes, encode_named};

const VERSION: u8 = 1;
const BYTES_PER_VALUE: usize = 4;

/// A slate that was served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServedSlateRecord {
    /// To whom.
    pub user: String,
    /// Under which request id.
    pub request: String,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// The newest journal record of the viewer that the feature rows reflect: only what has a higher number can be an
    /// outcome.
    pub sequence: u64,
    /// In which situation it was asked for: ranking context.
    #[serde(default)]
    pub context: FeedContextDto,
    /// The experiment's variant.
    pub variant: String,
    /// The fingerprint of the model that ranked it.
    pub model: String,
    /// The fingerprint of the feature schema.
    pub schema: u64,
    /// The items, from position 0.
    pub items: Vec<ServedItemRecord>,
    /// The items' feature rows one after the other, little-endian float32.
    #[serde(with = "bytes")]
    pub feature_bytes: Vec<u8>,
}

/// An item of a slate that was served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServedItemRecord {
    /// Which.
    pub id: String,
    /// Its length; 0 when it has none.
    pub duration_ms: u32,
    /// The channels that named it.
    pub channels: ChannelSet,
    /// The score that placed it.
    pub score: f32,
    /// The pre-rank score.
    pub pre_rank: f32,
    /// What the collaborative channels said together, a term of the fused score.
    #[serde(default)]
    pub collaborative: f32,
    /// With which probability chance drew it, where chance did.
    pub propensity: Option<f32>,
    /// What the model predicted.
    pub predicted: ObjectiveRow,
}

impl ServedSlateRecord {
    /// Takes the feature rows, one per item.
    #[must_use]
    pub fn with_features(mut self, rows: &[[f32; FEATURE_COUNT]]) -> Self {
        self.feature_bytes = rows
            .as_flattened()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self
    }

    /// The feature row of the item at a position.
    #[must_use]
    pub fn features(&self, position: usize) -> Option<[f32; FEATURE_COUNT]> {
        let rows = self.feature_bytes.as_chunks::<BYTES_PER_VALUE>().0;
        let row = rows.as_chunks::<FEATURE_COUNT>().0.get(position)?;
        Some(row.map(f32::from_le_bytes))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = vec![VERSION];
        payload.extend_from_slice(&encode_named(self));
        payload
    }

    /// `None` when it was written by a newer program, or not by this one.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (VERSION, body) = payload.split_first().map(|(version, body)| (*version, body))? else {
            return None;
        };
        decode_bytes(body).ok()
    }
}

impl Default for ServedSlateRecord {
    fn default() -> Self {
        Self {
            user: String::new(),
            request: String::new(),
            at: 0,
            sequence: 0,
            context: FeedContextDto::default(),
            variant: swipeline_models::experiment::VARIANT_DEFAULT.to_owned(),
            model: String::new(),
            schema: swipeline_models::features::schema::schema_fingerprint(),
            items: Vec::new(),
            feature_bytes: Vec::new(),
        }
    }
}

/// Bytes as MessagePack's binary type, not as a list of numbers.
mod bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::recall::Channel;

    #[test]
    fn a_slate_comes_back_and_garbage_does_not() {
        let item = |id: &str, propensity: Option<f32>| ServedItemRecord {
            id: id.to_owned(),
            duration_ms: 12_000,
            channels: ChannelSet::of(Channel::Hot),
            score: 0.25,
            pre_rank: 0.5,
            collaborative: 0.75,
            propensity,
            predicted: [0.1, 0.2, 0.3, 0.4, 0.5],
        };
        let slate = ServedSlateRecord {
            user: "u1".to_owned(),
            request: "r1".to_owned(),
            at: 1_700_000_000_000,
            sequence: 7,
            items: vec![item("a", None), item("b", Some(0.02))],
            ..ServedSlateRecord::default()
        };
        let slate = slate.with_features(&[[0.5; FEATURE_COUNT], [-0.25; FEATURE_COUNT]]);
        let payload = slate.encode();
        assert!(payload.len() < 700, "{} bytes for two items", payload.len());
        let back = ServedSlateRecord::decode(&payload).expect("decodes");
        assert_eq!(back, slate);
        assert_eq!(
            (back.features(1), back.features(2)),
            (Some([-0.25; FEATURE_COUNT]), None)
        );
        assert_eq!(ServedSlateRecord::decode(&payload[..payload.len() - 1]), None);
        assert_eq!(ServedSlateRecord::decode(&[9, 1, 2]), None);
        assert_eq!(ServedSlateRecord::decode(&[]), None);
    }
}
