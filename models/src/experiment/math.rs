//! The special functions that tests of significance need.
//!
//! Sources: Lanczos' approximation of ln Γ (g = 7, 9 terms); the regularised incomplete gamma function by series and by
//! Lentz' continued fraction (Press et al., Numerical Recipes, 3rd ed., 6.2); the normal quantile by Acklam's rational
//! approximation with one step of Halley's method.

use std::f64::consts::PI;

const LANCZOS_G: f64 = 7.0;
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];
const ITERATIONS_MAX: usize = 500;
const PRECISION: f64 = 1e-15;

/// ln Γ(x) for x > 0.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let terms = LANCZOS.iter().enumerate().skip(1);
    let sum = terms.fold(LANCZOS[0], |sum, (place, term)| sum + term / (x + place as f64));
    let t = x + LANCZOS_G + 0.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The upper tail of the chi-square distribution: the probability of `statistic` or more.
#[must_use]
pub fn chi_square_tail(statistic: f64, degrees: usize) -> f64 {
    if degrees == 0 || !statistic.is_finite() || statistic <= 0.0 {
        return if statistic.is_finite() || statistic.is_nan() {
            1.0
        } else {
            0.0
        };
    }
    upper_gamma(degrees as f64 / 2.0, statistic / 2.0)
}

/// The probability that a standard normal value lies as far from 0 as `z` or farther.
#[must_use]
pub fn normal_two_sided(z: f64) -> f64 {
    if z.is_nan() {
        return 1.0;
    }
    let half = z * z / 2.0;
    if half == 0.0 { 1.0 } else { upper_gamma(0.5, half) }
}

/// The standard normal quantile of `probability`, which must lie strictly between 0 and 1.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    let p = probability.clamp(1e-300, 1.0 - 1e-16);
    let x = acklam(p);
    let below = if x < 0.0 {
        normal_two_sided(x) / 2.0
    } else {
        1.0 - normal_two_sided(x) / 2.0
    };
    let error = (below - p) * (2.0 * PI).sqrt() * (x * x / 2.0).exp();
    x - error / (1.0 + x * error / 2.0)
}

fn acklam(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_4,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let horner = |terms: &[f64], x: f64| terms.iter().fold(0.0, |sum, term| sum * x + term);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p < 0.024_25 {
        tail(p)
    } else if p > 1.0 - 0.024_25 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

/// Q(a, x), the regularised upper incomplete gamma function, for a > 0 and x > 0.
fn upper_gamma(a: f64, x: f64) -> f64 {
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        return (1.0 - scale * series(a, x)).clamp(0.0, 1.0);
    }
    (scale * continued_fraction(a, x)).clamp(0.0, 1.0)
}

fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    for _ in 0..ITERATIONS_MAX {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term < sum * PRECISION {
            break;
        }
    }
    sum
}

fn continued_fraction(a: f64, x: f64) -> f64 {
    let tiny = f64::MIN_POSITIVE / PRECISION;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut value = d;
    for step in 1..=ITERATIONS_MAX {
        let factor = -(step as f64) * (step as f64 - a);
        b += 2.0;
        d = factor * d + b;
        d = 1.0 / if d.abs() < tiny { tiny } else { d };
        c = b + factor / c;
        c = if c.abs() < tiny { tiny } else { c };
        value *= d * c;
        if (d * c - 1.0).abs() < PRECISION {
            break;
        }
    }
    value
}

/// The normal distribution's point below which a share of `1 - alpha / 2` lies: the half width of an interval in
/// standard errors.
#[must_use]
pub(super) fn half_width(alpha: f64) -> f64 {
    normal_quantile(1.0 - alpha / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!(
            (value - expected).abs() <= 1e-10 * expected.abs().max(1e-3),
            "{value} is not {expected}"
        );
    }

    #[test]
    fn known_values() {
        // R: lgamma(c(0.3, 1, 10.5, 200)).
        close(ln_gamma(0.3), 1.095_797_994_818_077_2);
        assert!(ln_gamma(1.0).abs() < 1e-13);
        close(ln_gamma(10.5), 13.940_625_219_403_763);
        close(ln_gamma(200.0), 857.933_669_825_857_4);
        // R: pchisq(c(3.841458820694124, 10, 0.5), df = c(1, 4, 3), lower.tail = FALSE).
        close(chi_square_tail(3.841_458_820_694_124, 1), 0.05);
        close(chi_square_tail(10.0, 4), 0.040_427_681_994_512_8);
        close(chi_square_tail(0.5, 3), 0.918_891_411_654_676_3);
        assert_eq!((chi_square_tail(0.0, 3), chi_square_tail(f64::INFINITY, 1)), (1.0, 0.0));
        // R: 2 * pnorm(-c(1.96, 5)); erfc(1).
        close(normal_two_sided(1.96), 0.049_995_790_296_440_87);
        close(normal_two_sided(-5.0), 5.733_031_437_583_877e-7);
        close(normal_two_sided(std::f64::consts::SQRT_2), 0.157_299_207_050_285_13);
        // R: qnorm(c(0.975, 0.01, 0.5)).
        close(normal_quantile(0.975), 1.959_963_984_540_054);
        close(normal_quantile(0.01), -2.326_347_874_040_841);
        assert!(normal_quantile(0.5).abs() < 1e-12);
    }
}
