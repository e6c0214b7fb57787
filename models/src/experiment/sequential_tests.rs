//! Simulated experiments: no more false alarms than promised however often one looks, and planted effects are found.
//!
//! Viewers come one after the other, come back, and differ from each other; every look goes over the same sums and the
//! same report code as a running server.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::effect::Counts;

const LOOKS: usize = 40;
const VISITS_PER_LOOK: usize = 50;
const IMPRESSIONS: u32 = 8;

/// Runs an experiment and looks `LOOKS` times. Returns whether any look called the difference established, by the
/// sequential test and by the test for one look.
fn any_alarm(random: &mut Xoshiro256PlusPlus, lift: f64) -> (bool, bool) {
    let mut viewers: Vec<(usize, u8, UnitLedger)> = Vec::new();
    let mut arms = [ArmSums::default(); 2];
    let mut alarms = (false, false);
    for _ in 0..LOOKS {
        for _ in 0..VISITS_PER_LOOK {
            // Six visits of ten are somebody's first.
            let viewer = if viewers.is_empty() || random.random::<u8>() < 154 {
                let arm = usize::from(random.random::<bool>());
                // Rates from 5 % to 30 %: some viewers like six times as much as others.
                let rate = 13.0 + 64.0 * f64::from(random.random::<u8>()) / 255.0;
                let rate = if arm == 1 { rate * (1.0 + lift) } else { rate };
                viewers.push((arm, rate as u8, UnitLedger::default()));
                viewers.len() - 1
            } else {
                random.random_range(0..viewers.len())
            };
            let (arm, rate, ledger) = &mut viewers[viewer];
            let likes = random
                .random::<u64>()
                .to_le_bytes()
                .iter()
                .filter(|draw| **draw < *rate)
                .count();
            let counts = Counts {
                impressions: IMPRESSIONS,
                likes: likes as u32,
                ..Counts::default()
            };
            let (before, after) = ledger.add(1, &UnitTotals::of(&counts));
            arms[*arm].change(&before, &after);
        }
        if arms.iter().any(|arm| arm.users < 50) {
            continue;
        }
        let [control, variant] = arms.map(|arm| arm.pair(Metric::LikeRate).estimate().expect("viewers"));
        let (difference, variance) = variant.difference(&control);
        let tau = 0.1 * (variant.ratio + control.ratio) / 2.0;
        alarms.0 |= sequential(difference, variance, tau, 0.05).p_value <= 0.05;
        alarms.1 |= variant.p_value(&control) <= 0.05;
    }
    alarms
}

#[test]
fn peeking_at_a_thousand_experiments_without_effect_stays_within_alpha() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_261);
    let mut alarms = (0, 0);
    for _ in 0..1_000 {
        let (sequential, one_look) = any_alarm(&mut random, 0.0);
        alarms.0 += u32::from(sequential);
        alarms.1 += u32::from(one_look);
    }
    println!(
        "false alarms in 1 000: {} sequential, {} by looking {LOOKS} times at a test for one look",
        alarms.0, alarms.1
    );
    assert!(alarms.0 <= 50, "{} false alarms", alarms.0);
    assert!(alarms.1 > 100, "the simulation must be able to fail: {}", alarms.1);
}

#[test]
fn a_planted_effect_is_found() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_262);
    let found = (0..100).filter(|_| any_alarm(&mut random, 0.25).0).count();
    println!("a lift of 25 % is established in {found} of 100");
    assert!(found >= 90, "{found} of 100");
}
