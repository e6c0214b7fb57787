//! What is kept for a short time instead of being made again, beside the requests.
//!
//! Owns the bounded cache and the keys and stamps of the lists that everybody shares. A stamp names everything that a
//! list was made from; a list with another stamp is not used. What is made per viewer is kept by the session instead.

use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use swipeline_models::ids::{Row, Word};
use swipeline_models::popularity::PopularWindow;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ScoredItemsReply;

/// How many lists of similar items are kept: 8 bytes an item.
const SIMILAR_LISTS_MAX: usize = 8_192;
/// How many popular lists are kept: with their items' cards, some hundred bytes an item.
const POPULAR_LISTS_MAX: usize = 512;

/// Rows with their scores, the most like first.
type SimilarRows = Arc<[(Row, f32)]>;

/// The lists that everybody shares.
pub(crate) struct Caches {
    /// Rows and scores by item and length.
    pub(crate) similar: BoundedCache<(Row, usize), SimilarStamp, SimilarRows>,
    /// Whole replies.
    pub(crate) popular: BoundedCache<PopularKey, PopularStamp, Arc<ScoredItemsReply>>,
}

/// What a list of similar items was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimilarStamp {
    pub(crate) catalogue_version: u64,
    pub(crate) params_version: u64,
    /// When the item was last liked together with another.
    pub(crate) engaged_at: Option<TimestampMs>,
}

/// Which popular list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PopularKey {
    pub(crate) window: PopularWindow,
    pub(crate) category: Option<Word>,
    pub(crate) region: Option<Word>,
    pub(crate) n: usize,
}

/// What a popular list was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PopularStamp {
    pub(crate) catalogue_version: u64,
    /// When the trending lists were made, and where they stand in memory: two makings may share the millisecond.
    pub(crate) made_at: TimestampMs,
    pub(crate) address: usize,
    /// How many viral items were put into them since: patched lists may stand where others stood before.
    pub(crate) patches: u64,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            similar: BoundedCache::new("similar", SIMILAR_LISTS_MAX),
            popular: BoundedCache::new("popular", POPULAR_LISTS_MAX),
        }
    }
}

/// A cache of bounded size in two generations: when the young one is half of the bound it becomes the old one, and what
/// was the old one goes. What is asked for again in time is young again. No list of uses to keep, one lock, one look-up.
pub(crate) struct BoundedCache<K, S, V> {
    name: &'static str,
    entries_max: usize,
    generations: Mutex<[FxHashMap<K, Kept<S, V>>; 2]>,
}

#[derive(Clone)]
struct Kept<S, V> {
    stamp: S,
    made_at: TimestampMs,
    value: V,
}

impl<K: Hash + Eq + Copy, S: PartialEq + Copy, V: Clone> BoundedCache<K, S, V> {
    fn new(name: &'static str, entries_max: usize) -> Self {
        Self {
            name,
            entries_max: entries_max.max(2),
            generations: Mutex::new([FxHashMap::default(), FxHashMap::default()]),
        }
    }

    /// The value of that key when it was made from the same, less than `kept_ms` ago; otherwise `make` makes it, without
    /// holding the lock. 0 keeps nothing.
    pub(crate) fn get_or_make(&self, key: K, stamp: S, now: TimestampMs, kept_ms: i64, make: impl FnOnce() -> V) -> V {
        if kept_ms <= 0 {
            return make();
        }
        if let Some(value) = self.get(&key, &stamp, now, kept_ms) {
            count_hit(self.name, true);
            return value;
        }
        count_hit(self.name, false);
        let value = make();
        let kept = Kept {
            stamp,
            made_at: now,
            value: value.clone(),
        };
        self.keep(key, kept);
        value
    }

    fn get(&self, key: &K, stamp: &S, now: TimestampMs, kept_ms: i64) -> Option<V> {
        let mut generations = self.generations.lock();
        let is_good = |kept: &Kept<S, V>| kept.stamp == *stamp && (0..kept_ms).contains(&now.since(kept.made_at));
        if let Some(kept) = generations[0].get(key) {
            return is_good(kept).then(|| kept.value.clone());
        }
        let kept = generations[1].remove(key).filter(is_good)?;
        let value = kept.value.clone();
        drop(generations);
        self.keep(*key, kept);
        Some(value)
    }

    fn keep(&self, key: K, kept: Kept<S, V>) {
        let mut generations = self.generations.lock();
        if generations[0].len() >= self.entries_max / 2 {
            generations.swap(0, 1);
            generations[0].clear();
        }
        generations[0].insert(key, kept);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.generations.lock().iter().map(FxHashMap::len).sum()
    }
}

/// Counts a request that a cache answered, or did not.
pub(crate) fn count_hit(cache: &'static str, is_hit: bool) {
    if is_hit {
        metrics::counter!("swipeline_cache_hits_total", "cache" => cache).increment(1);
    } else {
        metrics::counter!("swipeline_cache_misses_total", "cache" => cache).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(1_000_000);

    #[test]
    fn a_value_is_made_again_when_its_stamp_or_its_time_has_passed() {
        let cache: BoundedCache<u32, u64, u64> = BoundedCache::new("test", 10);
        let ask = |stamp: u64, at: i64, fresh: u64| cache.get_or_make(7, stamp, NOW.plus_ms(at), 100, || fresh);
        assert_eq!(ask(1, 0, 11), 11);
        assert_eq!(ask(1, 99, 12), 11);
        assert_eq!(ask(2, 99, 13), 13, "made from something else");
        assert_eq!(ask(2, 198, 14), 13);
        assert_eq!(ask(2, 199, 15), 15, "too old");
        assert_eq!(ask(2, 150, 16), 16, "from the future");
        assert_eq!(cache.get_or_make(7, 2, NOW, 0, || 17), 17, "switched off");
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_no_key_gets_the_value_of_another(
            keys in proptest::collection::vec(0u32..60, 1..400),
            entries_max in 2usize..40,
        ) {
            let cache: BoundedCache<u32, (), u32> = BoundedCache::new("test", entries_max);
            for key in keys {
                let value = cache.get_or_make(key, (), NOW, 1_000, || key * 3);
                prop_assert_eq!(value, key * 3);
                prop_assert!(cache.len() <= entries_max);
            }
        }

        #[test]
        fn what_is_asked_for_all_the_time_stays(others in proptest::collection::vec(1u32..1_000, 1..300)) {
            let cache: BoundedCache<u32, (), u32> = BoundedCache::new("test", 8);
            cache.get_or_make(0, (), NOW, 1_000, || 1);
            for other in others {
                cache.get_or_make(other, (), NOW, 1_000, || 1);
                prop_assert_eq!(cache.get_or_make(0, (), NOW, 1_000, || 2), 1);
            }
        }
    }
}
