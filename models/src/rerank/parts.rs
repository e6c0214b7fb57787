//! Parts of a slate that are owed slots: so many of one kind, so many of another, whatever the scores say.
//!
//! Owns the sharing of slots between parts and the moment at which a part must have the next slot. A candidate that
//! comes onto the slate by its score counts for its part too, so that nothing is forced that is there anyway: as long as
//! there are more slots left than owed, scores decide.

use crate::recall::Channel;

/// A part of a slate.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which kind of candidates.
    pub channel: Channel,
    /// The candidates' places; all of them may be shown.
    pub places: Vec<usize>,
    /// Whether they are to be taken in this order, instead of by their scores.
    pub keeps_order: bool,
    /// How many slots it has been given.
    planned: usize,
    /// How many of those are still to be filled.
    owed: usize,
}

impl Part {
    /// A part that is owed nothing yet.
    #[must_use]
    pub fn new(channel: Channel, places: Vec<usize>, keeps_order: bool) -> Self {
        Self {
            channel,
            places,
            keeps_order,
            planned: 0,
            owed: 0,
        }
    }

    /// How many slots are still to be filled.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.owed
    }
}

/// Gives `slots` to parts by their weights, none more than it has candidates; what one cannot use the others get.
pub fn share_slots(parts: &mut [Part], weights: &[f32], slots: usize) {
    for _ in 0..slots {
        // The method of highest averages (D'Hondt), one slot at a time.
        let has_room = |(number, part): &(usize, &mut Part)| {
            part.planned < part.places.len() && weights.get(*number).is_some_and(|weight| *weight > 0.0)
        };
        let claim = |number: usize, part: &Part| weights[number] / (part.planned + 1) as f32;
        let next = parts.iter_mut().enumerate().filter(has_room).reduce(|best, other| {
            if claim(other.0, other.1) > claim(best.0, best.1) {
                other
            } else {
                best
            }
        });
        let Some((_, part)) = next else { return };
        part.planned += 1;
        part.owed += 1;
    }
}

/// The part that must have the next of `slots_left` slots, with its candidate, if one must: the first that is not taken,
/// or the one that `best_of` finds best. A part without candidates is owed nothing any more.
pub(super) fn next_owed(
    parts: &mut [Part],
    slots_left: usize,
    taken: &[bool],
    best_of: impl Fn(&[usize]) -> Option<usize>,
) -> Option<(Channel, usize)> {
    while let Some(number) = forced(parts, slots_left) {
        let part = &mut parts[number];
        let place = if part.keeps_order {
            part.places.iter().copied().find(|place| !taken[*place])
        } else {
            best_of(&part.places)
        };
        if let Some(place) = place {
            return Some((part.channel, place));
        }
        part.owed = 0;
    }
    None
}

/// The part that must have the next of `slots_left` slots, if one must: the one that has least of its own, the first of
/// equals.
fn forced(parts: &[Part], slots_left: usize) -> Option<usize> {
    let owed: usize = parts.iter().map(|part| part.owed).sum();
    if owed == 0 || owed < slots_left {
        return None;
    }
    let missing = |part: &Part| part.owed as f32 / part.planned.max(1) as f32;
    let open = parts.iter().enumerate().filter(|(_, part)| part.owed > 0);
    let most = open.reduce(|best, other| {
        if missing(other.1) > missing(best.1) {
            other
        } else {
            best
        }
    });
    most.map(|(number, _)| number)
}

/// A candidate has a slot: it counts for the first part that is owed one like it.
pub(super) fn note_taken(parts: &mut [Part], place: usize) {
    let mut open = parts.iter_mut().filter(|part| part.owed > 0);
    if let Some(part) = open.find(|part| part.places.contains(&place)) {
        part.owed -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(sizes: &[usize]) -> Vec<Part> {
        let channels = [Channel::ColdStart, Channel::Hot, Channel::Tags];
        let part = |(number, size): (usize, &usize)| {
            let places = (100 * number..100 * number + size).collect();
            Part::new(channels[number], places, number == 0)
        };
        sizes.iter().enumerate().map(part).collect()
    }

    fn shares(sizes: &[usize], slots: usize) -> Vec<usize> {
        let mut parts = parts(sizes);
        share_slots(&mut parts, &[0.4, 0.3, 0.3], slots);
        parts.iter().map(Part::owed).collect()
    }

    #[test]
    fn slots_go_by_weight_and_what_one_cannot_use_the_others_get() {
        assert_eq!(shares(&[20, 20, 20], 10), [4, 3, 3]);
        assert_eq!(shares(&[20, 20, 20], 1), [1, 0, 0]);
        assert_eq!(shares(&[2, 20, 20], 10), [2, 4, 4]);
        assert_eq!(shares(&[0, 20, 0], 10), [0, 10, 0]);
        assert_eq!(shares(&[1, 2, 3], 10), [1, 2, 3]);
    }

    #[test]
    fn nothing_is_forced_while_there_is_room_and_parts_alternate_when_there_is_none() {
        let mut parts = parts(&[20, 20, 20]);
        share_slots(&mut parts, &[0.4, 0.3, 0.3], 4);
        assert_eq!(forced(&parts, 5), None);
        note_taken(&mut parts, 105);
        assert_eq!(forced(&parts, 4), None, "it came by itself");
        let mut order = Vec::new();
        for slots_left in (1..=3).rev() {
            let number = forced(&parts, slots_left).expect("owed");
            order.push(number);
            let place = parts[number].places[slots_left];
            note_taken(&mut parts, place);
        }
        assert_eq!(order, [0, 2, 0]);
        assert_eq!(forced(&parts, 0), None);
    }

    proptest! {
        #[test]
        fn all_that_can_be_used_is_given(sizes in prop::collection::vec(0..9_usize, 3), slots in 0..30_usize) {
            let given = shares(&sizes, slots);
            prop_assert_eq!(given.iter().sum::<usize>(), slots.min(sizes.iter().sum()));
            prop_assert!(given.iter().zip(&sizes).all(|(given, size)| given <= size));
        }
    }
}
