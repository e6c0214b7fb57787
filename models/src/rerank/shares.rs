//! Shares of a slate: how many slots a group of candidates has at least and at most.
//!
//! A share holds for every beginning of a slate and not only for the whole: a viewer whose feed is replaced with every
//! swipe sees no more than its beginning. Where a group's slots lie is moved by chance, so that a small share also comes
//! first at times. Must not reorder anything by itself: it says which candidates a slot may take.

use smallvec::SmallVec;

/// The most groups of one slate: one bit each.
pub const SHARE_GROUPS_MAX: usize = 64;

/// How many of the slots belong to a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareLimit {
    /// At least so many, while there are candidates.
    pub min: usize,
    /// At most so many, also when slots stay empty.
    pub max: usize,
    /// Moves the group's slots, 0 to 1.
    pub phase: f32,
}

impl ShareLimit {
    /// A group's slots of `n` by its shares: so many as are not less than the minimum and not more than the maximum.
    #[must_use]
    pub fn of(n: usize, min_share: f32, max_share: f32, phase: f32) -> Self {
        // A share of 0.3 is not quite 3 of 10 in binary.
        let max = ((n as f32 * max_share + 1e-3).floor() as usize).min(n);
        let min = (n as f32 * min_share - 1e-3).ceil().max(0.0) as usize;
        Self {
            min: min.min(max),
            max,
            phase,
        }
    }

    /// How much of `whole` falls on the first `slots` of `n`.
    fn part(&self, whole: usize, slots: usize, n: usize) -> usize {
        let part = whole as f32 * slots as f32 / n.max(1) as f32 + self.phase;
        (part.floor() as usize).min(whole)
    }
}

/// The groups of a slate, their limits and how far they are filled.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// Which groups each candidate belongs to, one bit per group; empty when there are no groups.
    pub groups: Vec<u64>,
    /// The limits, by the bit's place.
    pub limits: SmallVec<[ShareLimit; 4]>,
    filled: SmallVec<[usize; 4]>,
    n: usize,
}

/// Which candidates a slot may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Only of these groups, unless it is 0.
    pub(super) any_of: u64,
    /// None of these groups.
    pub(super) none_of: u64,
}

impl Wanted {
    /// Whether a candidate of these groups may be taken.
    pub(super) fn admits(self, groups: u64) -> bool {
        groups & self.none_of == 0 && (self.any_of == 0 || groups & self.any_of != 0)
    }
}

impl Shares {
    /// Whether there are no groups.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Forgets groups and limits; memory is kept.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.limits.clear();
    }

    /// Begins a slate of `n` slots.
    pub(super) fn begin(&mut self, n: usize) {
        self.n = n;
        self.filled.clear();
        self.filled.resize(self.limits.len(), 0);
    }

    /// What a slot wants, the best wish first: what is due, then what is not ahead of its share, then whatever is not full.
    pub(super) fn wishes(&self, slot: usize) -> SmallVec<[Wanted; 3]> {
        let mut wishes = SmallVec::new();
        if self.is_empty() {
            wishes.push(Wanted { any_of: 0, none_of: 0 });
            return wishes;
        }
        let (mut due, mut ahead, mut full, mut owed) = (0, 0, 0, 0);
        let mut owing = 0;
        for (place, (limit, filled)) in self.limits.iter().zip(&self.filled).enumerate() {
            let bit = 1_u64 << place;
            owed += limit.min.saturating_sub(*filled);
            if *filled < limit.min {
                owing |= bit;
            }
            if *filled < limit.part(limit.min, slot + 1, self.n) {
                due |= bit;
            }
            if *filled >= limit.max {
                full |= bit;
            } else if limit.max < self.n && *filled >= limit.part(limit.max, slot + 1, self.n) {
                ahead |= bit;
            }
        }
        // From here on every slot is spoken for.
        if owed >= self.n - slot {
            due |= owing;
        }
        if due != 0 {
            wishes.push(Wanted {
                any_of: due,
                none_of: full,
            });
        }
        wishes.push(Wanted {
            any_of: 0,
            none_of: full | ahead,
        });
        if ahead != 0 {
            wishes.push(Wanted {
                any_of: 0,
                none_of: full,
            });
        }
        wishes
    }

    /// Whether a candidate may stand on the slate at all, as far as it is filled.
    pub(super) fn has_room_for(&self, place: usize) -> bool {
        let groups = self.groups_of(place);
        let is_full =
            |(bit, (limit, filled)): (usize, (&ShareLimit, &usize))| groups >> bit & 1 == 1 && *filled >= limit.max;
        !self.limits.iter().zip(&self.filled).enumerate().any(is_full)
    }

    /// Lets a candidate have a slot.
    pub(super) fn fill(&mut self, place: usize) {
        let groups = self.groups_of(place);
        for (bit, filled) in self.filled.iter_mut().enumerate() {
            *filled += (groups >> bit & 1) as usize;
        }
    }

    /// The groups of a candidate.
    #[must_use]
    pub fn groups_of(&self, place: usize) -> u64 {
        self.groups.get(place).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fills a slate with the first candidate that each slot admits.
    fn filled(groups: Vec<u64>, limits: &[ShareLimit], n: usize) -> Vec<u64> {
        let mut shares = Shares {
            groups,
            limits: limits.iter().copied().collect(),
            ..Shares::default()
        };
        shares.begin(n);
        let mut taken = vec![false; shares.groups.len()];
        let mut slate = Vec::new();
        for slot in 0..n {
            let place = shares.wishes(slot).into_iter().find_map(|wanted| {
                (0..taken.len()).find(|place| !taken[*place] && wanted.admits(shares.groups[*place]))
            });
            let Some(place) = place else { break };
            assert!(shares.has_room_for(place));
            taken[place] = true;
            shares.fill(place);
            slate.push(shares.groups[place]);
        }
        slate
    }

    #[test]
    fn a_minimum_is_spread_over_the_slate_and_a_maximum_too() {
        let groups = [vec![0; 20], vec![1; 20]].concat();
        let slate = filled(groups, &[ShareLimit::of(10, 0.3, 1.0, 0.0)], 10);
        assert_eq!(slate, [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
        let groups = [vec![1; 20], vec![0; 20]].concat();
        let slate = filled(groups.clone(), &[ShareLimit::of(10, 0.0, 0.2, 0.5)], 10);
        assert_eq!(slate, [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(filled(groups, &[ShareLimit::of(10, 0.0, 0.05, 0.9)], 10), [0; 10]);
        assert_eq!(
            filled(vec![1; 20], &[ShareLimit::of(10, 0.0, 0.2, 0.0)], 10),
            [1, 1],
            "never more"
        );
    }

    #[test]
    fn shares_become_slots_on_the_safe_side() {
        let slots = |n, min, max| {
            let limit = ShareLimit::of(n, min, max, 0.0);
            (limit.min, limit.max)
        };
        assert_eq!(slots(10, 0.3, 0.7), (3, 7));
        assert_eq!(slots(10, 0.25, 0.55), (3, 5));
        assert_eq!(slots(7, 0.0, 1.0), (0, 7));
        assert_eq!(slots(10, 0.25, 0.25), (2, 2), "a maximum is never broken");
        assert_eq!(slots(500, 1.0, 1.0), (500, 500));
    }

    proptest! {
        #[test]
        fn maximums_always_hold_and_minimums_while_they_can(
            groups in proptest::collection::vec(0u64..8, 0..60),
            shares in proptest::collection::vec((0.0f32..0.33, 0.33f32..1.0, 0.0f32..1.0), 3),
            n in 1usize..20,
        ) {
            let limits: Vec<ShareLimit> =
                shares.iter().map(|(min, max, phase)| ShareLimit::of(n, *min, *max, *phase)).collect();
            let slate = filled(groups.clone(), &limits, n);
            let count = |slate: &[u64], bit: usize| slate.iter().filter(|groups| **groups >> bit & 1 == 1).count();
            for (bit, limit) in limits.iter().enumerate() {
                prop_assert!(count(&slate, bit) <= limit.max);
                // Candidates of one group alone, and enough of them, cannot be kept out by another group's maximum.
                let alone = groups.iter().filter(|groups| **groups == 1 << bit).count();
                let total: usize = limits.iter().map(|limit| limit.min).sum();
                if alone >= limit.min && total <= n && slate.len() == n {
                    prop_assert!(count(&slate, bit) >= limit.min, "{slate:?} {limits:?}");
                }
            }
            if groups.iter().filter(|groups| **groups == 0).count() >= n {
                prop_assert_eq!(slate.len(), n);
            }
        }
    }
}
