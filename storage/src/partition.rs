//! Partitions: the fixed split of all keys that one day is spread over nodes. Owns the hash, nothing else;
//! who owns a partition is the business of [`crate::ownership`].

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// How many partitions there are. Written into every journal record, so it can never change for a data directory.
pub const PARTITION_COUNT: usize = 256;

/// One of the [`PARTITION_COUNT`] shares of the key space (0 to 255).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u8);

impl Partition {
    /// Every partition, in ascending order.
    pub fn all() -> impl Iterator<Item = Partition> {
        (0..=u8::MAX).map(Partition)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// The partition of a key (a user id for events): `xxh3_64(key) % 256`.
pub fn partition_of(key: &str) -> Partition {
    // The remainder of a division by 256 is the lowest byte.
    Partition(xxh3_64(key.as_bytes()).to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_is_the_hash_modulo_256() {
        for key in ["", "u1", "viewer-42", "ユーザー"] {
            let expected = xxh3_64(key.as_bytes()) % 256;
            assert_eq!(u64::from(partition_of(key).0), expected, "key {key:?}");
        }
    }

    /// Journals on disk carry these numbers: a change of the hash would orphan them.
    #[test]
    fn known_keys_keep_their_partition() {
        // xxh3_64("") with seed 0 is 0x2D06800538D394C2, from the reference implementation.
        assert_eq!(partition_of(""), Partition(0xC2));
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0u32; PARTITION_COUNT];
        for number in 0..256_000 {
            counts[usize::from(partition_of(&format!("user-{number}")).0)] += 1;
        }
        let smallest = counts.iter().min().copied().unwrap_or(0);
        let largest = counts.iter().max().copied().unwrap_or(0);
        assert!(
            smallest > 800 && largest < 1_200,
            "expected about 1000 each, got {smallest}..{largest}"
        );
        assert_eq!(Partition::all().count(), PARTITION_COUNT);
    }
}
