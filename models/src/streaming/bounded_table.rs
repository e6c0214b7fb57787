//! A table that never grows beyond its bound.
//!
//! Owns eviction: a key belongs to one set of eight slots; a full set gives up the slot that was touched longest ago.
//! Deterministic: the same calls leave the same table. Must not know what it holds.

use serde::{Deserialize, Serialize};

/// Slots per set.
const WAYS: usize = 8;

/// A set-associative map from hashed ids (never 0) to small values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BoundedTable<V> {
    slots: Vec<Option<Slot<V>>>,
    sets: usize,
    clock: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slot<V> {
    key: u64,
    touched: u64,
    value: V,
}

impl<V: Default + Clone> BoundedTable<V> {
    /// A table of at most `entries_max` values, rounded up to whole sets.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        let sets = entries_max.div_ceil(WAYS).next_power_of_two();
        Self {
            slots: vec![None; sets * WAYS],
            sets,
            clock: 0,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&V> {
        let start = self.set_start(key);
        self.slots[start..start + WAYS]
            .iter()
            .flatten()
            .find(|slot| slot.key == key)
            .map(|slot| &slot.value)
    }

    /// The value of a key, made when it is new; may evict another.
    pub fn entry(&mut self, key: u64) -> &mut V {
        self.clock += 1;
        let start = self.set_start(key);
        let set = &mut self.slots[start..start + WAYS];
        let way = match set
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|slot| slot.key == key))
        {
            Some(way) => way,
            None => oldest_way(set),
        };
        let clock = self.clock;
        let slot = set[way].get_or_insert_with(|| Slot {
            key,
            touched: clock,
            value: V::default(),
        });
        if slot.key != key {
            slot.key = key;
            slot.value = V::default();
        }
        slot.touched = clock;
        &mut slot.value
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bound in values.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the slots.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<Option<Slot<V>>>()
    }

    fn set_start(&self, key: u64) -> usize {
        (mix(key) as usize & (self.sets - 1)) * WAYS
    }
}

/// A free slot, otherwise the one touched longest ago.
fn oldest_way<V>(set: &[Option<Slot<V>>]) -> usize {
    set.iter()
        .enumerate()
        .min_by_key(|(_, slot)| slot.as_ref().map_or(0, |slot| slot.touched))
        .map_or(0, |(way, _)| way)
}

/// Scrambles an id (splitmix64's finaliser).
#[must_use]
pub fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One key for two ids, never 0.
#[must_use]
pub fn cross(one: u64, other: u64) -> u64 {
    mix(one ^ mix(other).rotate_left(17)) | 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_one_untouched_for_longest_gives_way() {
        let mut table: BoundedTable<u32> = BoundedTable::new(WAYS);
        (1..=WAYS as u64).for_each(|key| *table.entry(key) = key as u32);
        *table.entry(1) += 100;
        *table.entry(77) = 77;
        assert_eq!(
            (table.get(1), table.get(2), table.get(77)),
            (Some(&101), None, Some(&77))
        );
        assert_eq!((table.len(), table.capacity()), (WAYS, WAYS));
    }

    #[test]
    fn crosses_depend_on_order_and_are_never_zero() {
        assert_ne!(cross(1, 2), cross(2, 1));
        assert_ne!(cross(0, 0), 0);
    }

    proptest! {
        #[test]
        fn never_beyond_its_bound_and_the_last_is_always_there(keys in prop::collection::vec(1_u64..200, 1..300)) {
            let mut table: BoundedTable<u64> = BoundedTable::new(32);
            for &key in &keys {
                *table.entry(key) = key;
                prop_assert_eq!(table.get(key), Some(&key));
            }
            prop_assert!(table.len() <= table.capacity());
            prop_assert!((1..200).all(|key| table.get(key).is_none_or(|&value| value == key)), "no value under another's key");
        }
    }
}
