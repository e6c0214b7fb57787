//! Do the variants have the viewers that their weights promise? If not, something loses viewers of one variant, and no
//! other number of the experiment can be trusted.
//!
//! Pearson's chi-square for one look (Fabijan et al., "Diagnosing Sample Ratio Mismatch", KDD 2019), and beside it the
//! multinomial test of Lindon & Malek ("Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022), which stays
//! valid however often it is looked at.

use super::math::{chi_square_tail, ln_gamma};

/// Below this p-value the viewers do not fit the weights: the usual, strict limit.
const ALARM_BELOW: f64 = 0.001;
/// How strongly the alternative of the sequential test believes in the weights.
const CONCENTRATION: f64 = 100.0;

/// How the viewers fit the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Pearson's statistic.
    pub chi_square: f64,
    /// Its degrees of freedom.
    pub degrees: usize,
    /// Its p-value, for one look.
    pub p_value: f64,
    /// The p-value that stays valid over many looks.
    pub sequential_p_value: f64,
    /// Whether something is wrong: the p-value that stays valid is below 0.001.
    pub is_alarm: bool,
}

/// Compares numbers of viewers with weights, variant by variant. Variants of weight 0 are left out. `None` when fewer
/// than two are left or there are no viewers.
#[must_use]
pub fn sample_ratio(arms: &[(f64, f64)]) -> Option<SampleRatio> {
    let arms: Vec<(f64, f64)> = arms.iter().copied().filter(|(_, weight)| *weight > 0.0).collect();
    let viewers: f64 = arms.iter().map(|(users, _)| users).sum();
    let weight: f64 = arms.iter().map(|(_, weight)| weight).sum();
    if arms.len() < 2 || viewers <= 0.0 {
        return None;
    }
    let chi_square = arms
        .iter()
        .map(|(users, of_weight)| {
            let expected = viewers * of_weight / weight;
            (users - expected) * (users - expected) / expected
        })
        .sum();
    let degrees = arms.len() - 1;
    let p_value = chi_square_tail(chi_square, degrees);
    let sequential_p_value = multinomial_p_value(&arms, viewers, weight);
    Some(SampleRatio {
        chi_square,
        degrees,
        p_value,
        sequential_p_value,
        is_alarm: sequential_p_value < ALARM_BELOW,
    })
}

/// 1 over the Bayes factor of a Dirichlet alternative around the weights.
fn multinomial_p_value(arms: &[(f64, f64)], viewers: f64, weight: f64) -> f64 {
    let per_arm = arms.iter().map(|(users, of_weight)| {
        let share = of_weight / weight;
        let prior = CONCENTRATION * share;
        ln_gamma(prior + users) - ln_gamma(prior) - users * share.ln()
    });
    let ln_factor = ln_gamma(CONCENTRATION) - ln_gamma(CONCENTRATION + viewers) + per_arm.sum::<f64>();
    (-ln_factor).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn known_values() {
        // R: chisq.test(c(520, 480)): X² = 1.6, p = 0.2059; chisq.test(c(90, 60, 50), p = c(.5, .25, .25)): X² = 3, p = 0.2231.
        let fine = sample_ratio(&[(520.0, 1.0), (480.0, 1.0)]).expect("a test");
        assert!((fine.chi_square - 1.6).abs() < 1e-12 && (fine.p_value - 0.205_903_2).abs() < 1e-6 && !fine.is_alarm);
        let three = sample_ratio(&[(90.0, 2.0), (60.0, 1.0), (50.0, 1.0)]).expect("a test");
        assert!(
            (three.chi_square - 3.0).abs() < 1e-12 && (three.p_value - 0.223_130_2).abs() < 1e-6,
            "{three:?}"
        );
        assert_eq!(three.degrees, 2);
        assert!(
            sample_ratio(&[(5_500.0, 1.0), (4_500.0, 1.0)])
                .expect("a test")
                .is_alarm
        );
        assert!(sample_ratio(&[(5.0, 1.0), (0.0, 0.0)]).is_none() && sample_ratio(&[(0.0, 1.0), (0.0, 1.0)]).is_none());
    }

    #[test]
    fn looking_at_every_hundredth_viewer_raises_no_false_alarm() {
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(11);
        let mut alarms = 0;
        for _ in 0..300 {
            let mut viewers = [0.0; 2];
            let mut is_alarm = false;
            for number in 1..=3_000 {
                viewers[usize::from(random.random::<bool>())] += 1.0;
                if number % 100 == 0 {
                    let test = sample_ratio(&[(viewers[0], 1.0), (viewers[1], 1.0)]).expect("a test");
                    is_alarm |= test.sequential_p_value < 0.05;
                }
            }
            alarms += u32::from(is_alarm);
        }
        assert!(alarms <= 15, "{alarms} of 300 at 5 %");
    }
}
