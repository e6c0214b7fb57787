//! A test that may be looked at as often as one likes.
//!
//! The mixture sequential probability ratio test of Robbins, in the form for A/B tests of Johari, Koomen, Pekelis & Walsh
//! ("Always Valid Inference", Operations Research 2022): with the estimated difference d, its variance V and a normal
//! mixture N(0, τ²) over the effect, Λ = √(V/(V+τ²)) · exp(τ²d² / (2V(V+τ²))) is a martingale under no effect, so that by
//! Ville's inequality 1/Λ is a p-value at every look. Inverting the test gives the confidence sequence; for estimated
//! variances it is the asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2021), after Howard, Ramdas,
//! McAuliffe & Sekhon ("Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021).

/// What the test says now; every look at it is covered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequential {
    /// The always-valid p-value.
    pub p_value: f64,
    /// The lower end of the confidence sequence of the difference.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Tests a `difference` of the given `variance` against none. `tau` is the standard deviation of the mixture: about the
/// size of effects that are expected, and chosen without looking at the difference.
#[must_use]
pub fn sequential(difference: f64, variance: f64, tau: f64, alpha: f64) -> Sequential {
    let undecided = Sequential {
        p_value: 1.0,
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };
    if !(difference.is_finite() && variance > 0.0 && variance.is_finite() && tau > 0.0 && tau.is_finite()) {
        return undecided;
    }
    let (v, t) = (variance, tau * tau);
    let ln_lambda = 0.5 * (v / (v + t)).ln() + t * difference * difference / (2.0 * v * (v + t));
    let radius = (v * (v + t) / t * (((v + t) / v).ln() - 2.0 * alpha.ln())).sqrt();
    Sequential {
        p_value: (-ln_lambda).exp().min(1.0),
        low: difference - radius,
        high: difference + radius,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // By hand with V = 1, τ = 1: 1/Λ = √2 · exp(-d²/4); at d = 4: 1.41421 · e^-4 = 0.0259021.
        let test = sequential(4.0, 1.0, 1.0, 0.05);
        assert!((test.p_value - 0.025_902_1).abs() < 1e-6, "{}", test.p_value);
        // radius² = 2 · (ln 2 + 2 ln 20) = 13.36922, radius = 3.656395.
        assert!(
            (test.high - 7.656_395).abs() < 1e-5 && (test.low - 0.343_605).abs() < 1e-5,
            "{test:?}"
        );
        assert_eq!(sequential(0.0, 1.0, 1.0, 0.05).p_value, 1.0);
        assert_eq!(sequential(1.0, 0.0, 1.0, 0.05).p_value, 1.0);
    }

    #[test]
    fn the_interval_leaves_zero_out_exactly_when_the_p_value_is_below_alpha() {
        for step in 0..2_000 {
            let difference = f64::from(step) * 0.003;
            let test = sequential(difference, 0.7, 1.3, 0.05);
            assert_eq!(test.p_value <= 0.05, test.low >= 0.0, "{difference}: {test:?}");
        }
    }
}
