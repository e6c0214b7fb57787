//! Exploration: a stated share of the slots goes to candidates drawn by chance, with the chance written down.
//!
//! The recorded propensity is what off-policy estimates (IPS, SNIPS) need: the probability with which the item was drawn
//! for its slot, given the candidates.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// One exploration slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExploreDraw {
    /// Which slot of the slate, from 0.
    pub slot: usize,
    /// Which candidate.
    pub place: usize,
    /// With which probability it was drawn.
    pub propensity: f32,
}

/// Draws exploration slots for a slate of `n`: on average `share · n` of them, never the first slot of a longer slate,
/// each filled by a uniform draw without replacement from `eligible` places.
#[must_use]
pub fn draw_exploration(
    n: usize,
    share: f32,
    eligible: &mut Vec<usize>,
    random: &mut Xoshiro256PlusPlus,
) -> Vec<ExploreDraw> {
    let wanted = n as f32 * share.clamp(0.0, 1.0);
    let mut count = wanted.floor() as usize;
    if random.random::<f32>() < wanted.fract() {
        count += 1;
    }
    let first_slot = usize::from(n > 1);
    let mut slots: Vec<usize> = (first_slot..n).collect();
    let mut draws = Vec::with_capacity(count);
    while draws.len() < count && !eligible.is_empty() && !slots.is_empty() {
        let slot = slots.swap_remove(random.random_range(0..slots.len()));
        let propensity = 1.0 / eligible.len() as f32;
        let place = eligible.swap_remove(random.random_range(0..eligible.len()));
        draws.push(ExploreDraw {
            slot,
            place,
            propensity,
        });
    }
    draws.sort_unstable_by_key(|draw| draw.slot);
    draws
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_share_of_slots_is_kept_on_average_and_draws_are_uniform() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut drawn = [0u32; 20];
        let mut total = 0;
        for _ in 0..20_000 {
            let mut eligible: Vec<usize> = (0..20).collect();
            for draw in draw_exploration(5, 0.1, &mut eligible, &mut random) {
                assert!(draw.slot > 0 && (draw.propensity - 0.05).abs() < 1e-6);
                drawn[draw.place] += 1;
                total += 1;
            }
        }
        assert!(
            (9_600..10_400).contains(&total),
            "{total} slots of 100 000, expected about 10 000"
        );
        assert!(drawn.iter().all(|count| (420..580).contains(count)), "{drawn:?}");
    }
}
