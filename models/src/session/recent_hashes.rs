//! The exact memory of the last N hashes: what was shown last, which event ids came last.

use std::collections::VecDeque;

/// Remembers the last `capacity` distinct hashes exactly. Costs 16 bytes a hash, nothing while empty.
#[derive(Debug, Clone, Default)]
pub struct RecentHashes {
    /// In the order of arrival, the oldest first.
    order: VecDeque<u64>,
    /// The same, sorted, for the membership test.
    sorted: Vec<u64>,
    capacity: usize,
}

impl RecentHashes {
    /// An empty memory of `capacity` hashes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            ..Self::default()
        }
    }

    /// A memory with these hashes, the oldest first; of too many the newest stay.
    #[must_use]
    pub fn restore(capacity: usize, hashes: &[u64]) -> Self {
        let mut memory = Self::new(capacity);
        for hash in hashes {
            memory.insert(*hash);
        }
        memory
    }

    /// Whether the hash is remembered.
    #[must_use]
    pub fn contains(&self, hash: u64) -> bool {
        self.sorted.binary_search(&hash).is_ok()
    }

    /// Remembers a hash. Returns the one that is forgotten for it; a hash that is remembered already changes nothing.
    pub fn insert(&mut self, hash: u64) -> Option<u64> {
        let Err(place) = self.sorted.binary_search(&hash) else {
            return None;
        };
        self.sorted.insert(place, hash);
        self.order.push_back(hash);
        if self.order.len() <= self.capacity {
            return None;
        }
        let oldest = self.order.pop_front()?;
        if let Ok(place) = self.sorted.binary_search(&oldest) {
            self.sorted.remove(place);
        }
        Some(oldest)
    }

    /// How many bytes the memory holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.order.capacity() + self.sorted.capacity()) * size_of::<u64>()
    }

    /// The hashes, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.order.iter().copied()
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_naive_memory(hashes in proptest::collection::vec(0u64..40, 0..200), capacity in 1usize..20) {
            let mut memory = RecentHashes::new(capacity);
            let mut naive: VecDeque<u64> = VecDeque::new();
            for hash in hashes {
                let mut forgotten = None;
                if !naive.contains(&hash) {
                    naive.push_back(hash);
                    if naive.len() > capacity {
                        forgotten = naive.pop_front();
                    }
                }
                prop_assert_eq!(memory.insert(hash), forgotten);
                prop_assert!((0..40).all(|value| memory.contains(value) == naive.contains(&value)));
                prop_assert!(memory.iter().eq(naive.iter().copied()));
            }
        }
    }
}
