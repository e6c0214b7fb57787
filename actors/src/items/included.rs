//! Which journal records an item's statistics include.
//!
//! Signals reach an item's actor in the order of its mailbox, not of their numbers: 105 may be counted before 103. So one
//! number is not enough: everything up to the last checkpoint's cut is included, and beyond it what is named.

use serde::{Deserialize, Serialize};

/// The numbers of included records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Included {
    /// All up to this one,
    upto: u64,
    /// and these: sorted, distinct, above `upto`.
    beyond: Vec<u64>,
}

impl Included {
    /// Everything up to a number.
    #[must_use]
    pub(crate) fn upto(upto: u64) -> Self {
        Self {
            upto,
            beyond: Vec::new(),
        }
    }

    /// Whether the record is included.
    #[must_use]
    pub(crate) fn holds(&self, sequence: u64) -> bool {
        sequence <= self.upto || self.beyond.binary_search(&sequence).is_ok()
    }

    /// The record is included from now on.
    pub(crate) fn add(&mut self, sequence: u64) {
        if sequence <= self.upto {
            return;
        }
        if let Err(place) = self.beyond.binary_search(&sequence) {
            self.beyond.insert(place, sequence);
        }
    }

    /// Everything up to `cut` is included: whoever says so knows that no signal up to it is still on its way.
    pub(crate) fn raise(&mut self, cut: u64) {
        self.upto = self.upto.max(cut);
        let upto = self.upto;
        self.beyond.retain(|sequence| *sequence > upto);
    }

    /// The highest number included.
    #[must_use]
    pub(crate) fn highest(&self) -> u64 {
        self.beyond.last().copied().unwrap_or(self.upto)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_that_it_stands_for(steps in prop::collection::vec((0..60_u64, any::<bool>()), 0..80)) {
            let (mut included, mut model) = (Included::default(), BTreeSet::from([0]));
            for (number, is_cut) in steps {
                if is_cut {
                    included.raise(number);
                    model.extend(0..=number);
                } else {
                    included.add(number);
                    model.insert(number);
                }
                prop_assert!(included.beyond.is_sorted() && included.beyond.first().is_none_or(|first| *first > included.upto));
                prop_assert_eq!(Some(&included.highest()), model.last());
                for asked in 0..62 {
                    prop_assert_eq!(included.holds(asked), model.contains(&asked), "{}", asked);
                }
            }
        }
    }
}
