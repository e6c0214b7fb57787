//! A set of items as one bit each.
//!
//! Owns nothing but the bits; cheap to copy once per request.

/// A set over a catalogue of fixed size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ItemSet {
    words: Vec<u64>,
    item_count: usize,
}

impl ItemSet {
    /// The empty set over `item_count` items.
    pub(crate) fn empty(item_count: usize) -> Self {
        Self {
            words: vec![0; item_count.div_ceil(64)],
            item_count,
        }
    }

    /// All of `item_count` items.
    pub(crate) fn full(item_count: usize) -> Self {
        let mut set = Self::empty(item_count);
        (0..item_count as u32).for_each(|item| set.insert(item));
        set
    }

    /// How many items the catalogue has (not the set).
    pub(crate) fn item_count(&self) -> usize {
        self.item_count
    }

    /// Puts an item in.
    pub(crate) fn insert(&mut self, item: u32) {
        self.words[item as usize / 64] |= 1 << (item % 64);
    }

    /// Takes an item out.
    pub(crate) fn remove(&mut self, item: u32) {
        self.words[item as usize / 64] &= !(1 << (item % 64));
    }

    /// Whether the item is in it.
    pub(crate) fn contains(&self, item: u32) -> bool {
        self.words
            .get(item as usize / 64)
            .is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    /// How many items are in it.
    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Becomes a copy of `other` without allocating (both over the same catalogue).
    pub(crate) fn copy_from(&mut self, other: &ItemSet) {
        self.words.clone_from(&other.words);
        self.item_count = other.item_count;
    }

    /// The items in it, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(place, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(place as u32 * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_there_until_it_is_taken_out() {
        let mut set = ItemSet::empty(130);
        for item in [0, 63, 64, 129] {
            set.insert(item);
        }
        set.remove(63);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 129]);
        assert!(set.contains(129) && !set.contains(63) && !set.contains(5_000));
        assert_eq!((set.len(), set.item_count()), (3, 130));
        assert_eq!(ItemSet::full(70).len(), 70);
    }
}
