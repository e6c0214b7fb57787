//! The frame around every stored value: version, checksum, bytes. Owns the detection of damaged values. Pure.
//!
//! ```text
//! frame = version u8 · crc32 u32 (little-endian, of key and value) · value
//! ```
//! The key is part of the checksum, so a value that ends up under another key is noticed as well.

use super::{SnapshotError, Tree};

const FRAME_VERSION: u8 = 1;
const FRAME_HEADER_BYTES: usize = 5;

pub(super) fn encode(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(FRAME_HEADER_BYTES + value.len());
    framed.push(FRAME_VERSION);
    framed.extend_from_slice(&checksum(key, value).to_le_bytes());
    framed.extend_from_slice(value);
    framed
}

/// The value inside a frame.
pub(super) fn decode<'a>(tree: Tree, key: &[u8], framed: &'a [u8]) -> Result<&'a [u8], SnapshotError> {
    let damaged = || SnapshotError::Damaged {
        tree,
        key: key.to_vec(),
    };
    let (header, value) = framed.split_at_checked(FRAME_HEADER_BYTES).ok_or_else(damaged)?;
    if header[1..] != checksum(key, value).to_le_bytes() {
        return Err(damaged());
    }
    match header[0] {
        FRAME_VERSION => Ok(value),
        version if version > FRAME_VERSION => Err(SnapshotError::NewerVersion {
            tree,
            key: key.to_vec(),
            version,
            supported: FRAME_VERSION,
        }),
        _ => Err(damaged()),
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back_and_flipped_bytes_are_noticed(
            key in prop::collection::vec(any::<u8>(), 0..20),
            value in prop::collection::vec(any::<u8>(), 0..60),
            flip in 1..=255u8,
        ) {
            let framed = encode(&key, &value);
            prop_assert_eq!(decode(Tree::Users, &key, &framed).expect("intact"), value.as_slice());
            for position in 0..framed.len() {
                let mut damaged = framed.clone();
                damaged[position] ^= flip;
                prop_assert!(decode(Tree::Users, &key, &damaged).is_err(), "flip at {}", position);
            }
            for cut in 0..FRAME_HEADER_BYTES {
                prop_assert!(decode(Tree::Users, &key, &framed[..cut]).is_err());
            }
        }
    }

    #[test]
    fn a_value_under_another_key_is_damaged() {
        let framed = encode(b"a", b"value");
        assert!(matches!(
            decode(Tree::Items, b"b", &framed),
            Err(SnapshotError::Damaged { .. })
        ));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut framed = encode(b"a", b"value");
        framed[0] = 2;
        let decoded = decode(Tree::Items, b"a", &framed);
        assert!(matches!(decoded, Err(SnapshotError::NewerVersion { version: 2, .. })));
    }
}
