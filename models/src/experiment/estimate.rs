//! Ratios of sums over viewers, with honest standard errors.
//!
//! Source: the delta method for ratio metrics with the viewer as the unit (Deng, Knoblich & Lu, "Applying the Delta
//! Method in Metric Analytics", KDD 2018): Var(ȳ/x̄) ≈ Var(y - R·x) / (n·x̄²).

use super::math::{half_width, normal_two_sided};

/// Fewer viewers have no standard error.
const VIEWERS_MIN: f64 = 2.0;

/// Sums over viewers of a numerator `y` and a denominator `x`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(missing_docs)] // named after what is summed
pub struct PairSums {
    /// How many viewers.
    pub n: f64,
    pub x: f64,
    pub y: f64,
    pub xx: f64,
    pub yy: f64,
    pub xy: f64,
}

/// A ratio and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatioEstimate {
    /// Σy / Σx.
    pub ratio: f64,
    /// The variance of the ratio over repetitions of the experiment.
    pub variance: f64,
    /// Over how many viewers.
    pub n: f64,
}

impl PairSums {
    /// The ratio; `None` while nothing divides or there are fewer than two viewers.
    #[must_use]
    pub fn estimate(&self) -> Option<RatioEstimate> {
        if self.n < VIEWERS_MIN || self.x <= 0.0 {
            return None;
        }
        let ratio = self.y / self.x;
        let mean = self.x / self.n;
        // The residuals y - R·x have the mean 0 by the choice of R.
        let residual = (self.yy - 2.0 * ratio * self.xy + ratio * ratio * self.xx).max(0.0) / (self.n - 1.0);
        Some(RatioEstimate {
            ratio,
            variance: residual / (self.n * mean * mean),
            n: self.n,
        })
    }
}

impl RatioEstimate {
    /// The interval that holds the true ratio with probability `1 - alpha`, for one look.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let half = half_width(alpha) * self.variance.sqrt();
        (self.ratio - half, self.ratio + half)
    }

    /// The difference to a control's ratio and its variance.
    #[must_use]
    pub fn difference(&self, control: &RatioEstimate) -> (f64, f64) {
        (self.ratio - control.ratio, self.variance + control.variance)
    }

    /// The two-sided p-value of no difference to the control, for one look.
    #[must_use]
    pub fn p_value(&self, control: &RatioEstimate) -> f64 {
        let (difference, variance) = self.difference(control);
        if variance <= 0.0 {
            return 1.0;
        }
        normal_two_sided(difference / variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(viewers: &[(f64, f64)]) -> PairSums {
        viewers.iter().fold(PairSums::default(), |sums, (x, y)| PairSums {
            n: sums.n + 1.0,
            x: sums.x + x,
            y: sums.y + y,
            xx: sums.xx + x * x,
            yy: sums.yy + y * y,
            xy: sums.xy + x * y,
        })
    }

    #[test]
    fn known_values() {
        // With one impression per viewer the delta method is the usual standard error of a mean: 3 of 10 likes,
        // sd² = 0.2333, variance 0.02333.
        let viewers: Vec<(f64, f64)> = (0..10).map(|number| (1.0, f64::from(u8::from(number < 3)))).collect();
        let estimate = sums(&viewers).estimate().expect("an estimate");
        assert!((estimate.ratio - 0.3).abs() < 1e-12 && (estimate.variance - 0.21 / 9.0).abs() < 1e-12);
        let (low, high) = estimate.interval(0.05);
        assert!(
            (low - 0.000_610_6).abs() < 1e-6 && (high - 0.599_389_4).abs() < 1e-6,
            "{low} {high}"
        );
        // By hand: R = 9/21, residuals 1/7·(-6+7·1..): (4,1), (10,6), (7,2): -5/7, 12/7, -1 → Σ = 218/49, /2 /(3·49).
        let estimate = sums(&[(4.0, 1.0), (10.0, 6.0), (7.0, 2.0)])
            .estimate()
            .expect("an estimate");
        assert!((estimate.variance - 218.0 / 49.0 / 2.0 / 147.0).abs() < 1e-12);
        assert!(sums(&[(1.0, 1.0)]).estimate().is_none() && sums(&[(0.0, 0.0), (0.0, 1.0)]).estimate().is_none());
    }

    #[test]
    fn a_viewer_with_many_impressions_is_still_one_viewer() {
        // All or nothing: 50 viewers like everything, 50 nothing, 100 impressions each. Counting impressions would
        // give a standard error of 0.005; the truth is 0.05.
        let viewers: Vec<(f64, f64)> = (0..100)
            .map(|number| (100.0, if number % 2 == 0 { 100.0 } else { 0.0 }))
            .collect();
        let estimate = sums(&viewers).estimate().expect("an estimate");
        assert!(
            (estimate.variance.sqrt() - 0.050_25).abs() < 1e-4,
            "{}",
            estimate.variance.sqrt()
        );
        assert_eq!(estimate.p_value(&estimate), 1.0);
    }
}
