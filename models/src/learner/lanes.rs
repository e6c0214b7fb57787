//! Eight numbers at a time: the objectives of a candidate, side by side, padded to what vector units take.
//!
//! Owns the arithmetic of probabilities on such rows. Exponential and logarithm are polynomials without branches or
//! calls, so that the compiler turns each function into a few vector operations; their relative error is below 2e-6, and
//! `exp(0)` is exactly 1, so that a correction of nothing changes nothing.

use crate::rank::OBJECTIVE_COUNT;

/// Numbers in a row; the objectives come first, the others are 0.
pub const LANES: usize = 8;

/// A number per objective.
pub type Lanes = [f32; LANES];

/// Probabilities are taken to lie at least so far from 0 and 1.
pub(super) const PROBABILITY_MIN: f32 = 1e-5;
/// No log-odds are further from 0 than this.
pub(super) const LOG_ODDS_MAX: f32 = 12.0;

const _: () = assert!(OBJECTIVE_COUNT <= LANES);

/// 1.5 · 2²³: added and taken away again, it rounds to the nearest integer, which then stands in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
const ROUNDING_BITS: u32 = 0x4B40_0000;

/// e^x for -80 <= x <= 80.
#[inline(always)]
pub(super) fn exp(x: Lanes) -> Lanes {
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        let binary = x[lane] * std::f32::consts::LOG2_E;
        let rounded = binary + ROUNDING;
        let fraction = binary - (rounded - ROUNDING);
        // 2^f on [-1/2, 1/2]: the Taylor series in f · ln 2.
        let f = fraction * std::f32::consts::LN_2;
        let series = 1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0)))));
        let exponent = rounded.to_bits().wrapping_sub(ROUNDING_BITS) << 23;
        out[lane] = f32::from_bits(series.to_bits().wrapping_add(exponent));
    }
    out
}

/// ln x for normal positive x.
#[inline(always)]
pub(super) fn ln(x: Lanes) -> Lanes {
    /// Bits of √½: mantissas come to lie between √½ and √2.
    const SQRT_HALF_BITS: u32 = 0x3F35_04F3;
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        let bits = x[lane].to_bits();
        let exponent = (bits.wrapping_sub(SQRT_HALF_BITS) as i32) >> 23;
        let mantissa = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32));
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let square = s * s;
        let series = 2.0 * s * (1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0))));
        out[lane] = exponent as f32 * std::f32::consts::LN_2 + series;
    }
    out
}

/// Log-odds of probabilities; what is not a number is taken as very unlikely.
#[inline(always)]
pub(super) fn log_odds(probabilities: Lanes) -> Lanes {
    let mut odds = [0.0; LANES];
    for lane in 0..LANES {
        // `max` first: it takes the number where the other is none, which `clamp` would hand on.
        let probability = probabilities[lane].max(PROBABILITY_MIN);
        let probability = probability.min(1.0 - PROBABILITY_MIN);
        odds[lane] = probability / (1.0 - probability);
    }
    ln(odds)
}

/// Probabilities whose log-odds are moved by `by`: p·e^by / (1 - p + p·e^by). Moved by 0 they are what they were.
#[inline(always)]
pub(super) fn moved(probabilities: Lanes, by: Lanes) -> Lanes {
    let factor = exp(by);
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        let probability = probabilities[lane];
        out[lane] = probability * factor[lane] / (1.0 - probability + probability * factor[lane]);
    }
    out
}

/// The objectives of a row, padded.
#[inline(always)]
pub(super) fn padded(row: &[f32; OBJECTIVE_COUNT]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..OBJECTIVE_COUNT].copy_from_slice(row);
    lanes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_added_changes_nothing() {
        let row = [0.0, 1e-7, 0.2, 0.5, 0.9, 1.0, 0.3, 0.7];
        assert_eq!(exp([0.0; LANES]), [1.0; LANES]);
        assert_eq!(moved(row, [0.0; LANES]), row);
    }

    proptest! {
        #[test]
        fn the_polynomials_are_close(x in -30.0_f32..30.0, y in 1e-6_f32..1e6) {
            prop_assert!((exp([x; LANES])[0] / x.exp() - 1.0).abs() < 1e-5, "{} {}", exp([x; LANES])[0], x.exp());
            prop_assert!((ln([y; LANES])[3] - y.ln()).abs() < 2e-6 * y.ln().abs().max(1.0));
        }

        #[test]
        fn probabilities_stay_probabilities(p in any::<f32>(), q in 0.0_f32..=1.0, by in -12.0_f32..12.0) {
            prop_assert!(log_odds([p; LANES]).iter().all(|odds| odds.is_finite() && odds.abs() < LOG_ODDS_MAX));
            let out = moved([q; LANES], [by; LANES])[0];
            prop_assert!((0.0..=1.000_001).contains(&out), "{q} by {by}: {out}");
            if (0.01..0.99).contains(&q) {
                let expected = crate::rank::objectives::sigmoid((q / (1.0 - q)).ln() + by);
                prop_assert!((out - expected).abs() < 1e-5, "{q} by {by}: {out} {expected}");
            }
        }
    }
}
