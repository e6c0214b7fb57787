//! Whose trending list it is, how many such places there are and how long a list of each is.
//!
//! Owns nothing but the key and its bounds. Must not know how a list is made.

use std::hash::{Hash, Hasher};

use crate::ids::Word;

/// The most categories with lists of their own.
pub const CATEGORY_LISTS_MAX: usize = 1_024;
/// The most regions with lists of their own.
pub const REGION_LISTS_MAX: usize = 256;
/// The most pairs of region and category with lists of their own.
pub const REGION_CATEGORY_LISTS_MAX: usize = 4_096;
/// The longest list of a category or of a region.
const NARROW_ITEMS_MAX: usize = 500;
/// The longest list of a region and category.
const NARROWEST_ITEMS_MAX: usize = 100;

/// Whose list it is; everybody's when both are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) region: Option<Word>,
    pub(super) category: Option<Word>,
}

impl Hash for Place {
    /// One word instead of the four that a derived hash would feed: places are looked up millions of times a build.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let number = |word: Option<Word>| word.map_or(0, |word| u64::from(word) + 1);
        hasher.write_u64((number(self.region) << 32) ^ number(self.category));
    }
}

/// Everybody's.
pub(super) const OVERALL: Place = Place {
    region: None,
    category: None,
};

/// The length of a place's lists when the overall ones have `list_items`.
pub(super) fn list_length(place: Place, list_items: usize) -> usize {
    match (place.region, place.category) {
        (None, None) => list_items,
        (None, Some(_)) | (Some(_), None) => list_items.min(NARROW_ITEMS_MAX),
        (Some(_), Some(_)) => list_items.min(NARROWEST_ITEMS_MAX),
    }
}
