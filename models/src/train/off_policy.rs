//! Off-policy estimates: what a policy would earn, from a log that another policy wrote.
//!
//! Owns the estimators and their intervals; knows neither models nor slates. Each logged draw has a reward, the
//! probability p with which it was drawn, and the probability π with which the new policy would draw it. With weights
//! w = min(π / p, the highest weight allowed):
//! - IPS = mean of w·r (Horvitz and Thompson 1952): unbiased when p is right, positive wherever π is, and no weight is
//!   clipped; noisy.
//! - SNIPS = Σ w·r / Σ w (Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual learning"):
//!   consistent, within the range of the rewards, far less noisy, and blind to a constant added to all rewards.
//! - Effective sample size = (Σ w)² / Σ w² (Kish 1965): so many draws of the new policy itself would be worth as much.

/// A weight above this is cut to it by default: one lucky draw may not decide. Costs a bias towards the logged policy.
pub const WEIGHT_MAX_DEFAULT: f64 = 20.0;
/// Half the width of a 95 % interval in standard errors.
const NORMAL_QUANTILE: f64 = 1.959_964;

/// One draw of the policy that wrote the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedDraw {
    /// What came of it.
    pub reward: f64,
    /// With which probability it was drawn, in (0, 1].
    pub logged: f64,
    /// With which probability the new policy would have drawn it.
    pub target: f64,
}

/// A mean with its 95 % interval (normal approximation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a policy would earn per draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OffPolicyEstimate {
    /// Draws of the log.
    pub draws: usize,
    /// Draws whose weight was cut.
    pub clipped: usize,
    /// Inverse propensity score.
    pub ips: Interval,
    /// Self-normalised inverse propensity score.
    pub snips: Interval,
    /// So many draws of the new policy itself would be worth as much.
    pub effective_sample_size: f64,
}

impl Interval {
    fn around(value: f64, variance: f64) -> Interval {
        let half = NORMAL_QUANTILE * variance.max(0.0).sqrt();
        Interval {
            value,
            low: value - half,
            high: value + half,
        }
    }
}

/// Estimates what the new policy earns per draw. `None` when no draw speaks for it: there are none, or the new policy
/// would make none of them. Draws without a positive finite propensity are left out.
#[must_use]
pub fn estimate(draws: &[LoggedDraw], weight_max: f64) -> Option<OffPolicyEstimate> {
    let usable = |draw: &&LoggedDraw| {
        draw.logged > 0.0
            && [draw.logged, draw.target, draw.reward]
                .iter()
                .all(|value| value.is_finite())
    };
    let mut clipped = 0;
    let mut weighted = Vec::with_capacity(draws.len());
    for draw in draws.iter().filter(usable) {
        let weight = draw.target / draw.logged;
        clipped += usize::from(weight > weight_max);
        weighted.push((weight.min(weight_max), draw.reward));
    }
    let count = weighted.len() as f64;
    let sum_of = |value: &dyn Fn(f64, f64) -> f64| weighted.iter().map(|(w, r)| value(*w, *r)).sum::<f64>();
    let (weights, squares) = (sum_of(&|w, _| w), sum_of(&|w, _| w * w));
    if weights <= 0.0 {
        return None;
    }
    let ips = sum_of(&|w, r| w * r) / count;
    let snips = sum_of(&|w, r| w * r) / weights;
    let ips_variance = sum_of(&|w, r| (w * r - ips).powi(2)) / (count - 1.0).max(1.0) / count;
    // The delta method for a ratio of means (Owen, "Monte Carlo theory, methods and examples", 9.2).
    let snips_variance = sum_of(&|w, r| (w * (r - snips)).powi(2)) / (weights * weights);
    Some(OffPolicyEstimate {
        draws: weighted.len(),
        clipped,
        ips: Interval::around(ips, ips_variance),
        snips: Interval::around(snips, snips_variance),
        effective_sample_size: weights * weights / squares,
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    const ITEMS: usize = 8;

    /// A softmax over affinities.
    fn softmax(scores: [f64; ITEMS]) -> [f64; ITEMS] {
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        scores.map(|score| score.exp() / sum)
    }

    fn draw(probabilities: &[f64; ITEMS], random: &mut Xoshiro256PlusPlus) -> usize {
        let mut left = random.random::<f64>();
        let chosen = probabilities.iter().position(|probability| {
            left -= probability;
            left < 0.0
        });
        chosen.unwrap_or(ITEMS - 1)
    }

    /// Viewers of two kinds with opposite tastes. The log's policy prefers what both dislike, the new one serves each
    /// kind its own taste. Returns the draws, and the true value of the new policy.
    fn simulated(count: usize, seed: u64) -> (Vec<LoggedDraw>, f64) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let like_rate = |kind: usize, item: usize| 0.05 + 0.1 * ((item + kind * ITEMS / 2) % ITEMS) as f64;
        let logging = [0, 1].map(|kind| softmax(std::array::from_fn(|item| -1.5 * like_rate(kind, item))));
        let target = [0, 1].map(|kind| softmax(std::array::from_fn(|item| 4.0 * like_rate(kind, item))));
        let value = |kind: usize| -> f64 { (0..ITEMS).map(|item| target[kind][item] * like_rate(kind, item)).sum() };
        let mut draws = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = random.random_range(0..2);
            let item = draw(&logging[kind], &mut random);
            draws.push(LoggedDraw {
                reward: f64::from(u8::from(random.random::<f64>() < like_rate(kind, item))),
                logged: logging[kind][item],
                target: target[kind][item],
            });
        }
        (draws, (value(0) + value(1)) / 2.0)
    }

    fn covers(interval: Interval, truth: f64) -> bool {
        interval.low <= truth && truth <= interval.high
    }

    #[test]
    fn intervals_cover_the_truth_and_the_naive_mean_does_not() {
        let (mut ips_covered, mut snips_covered, mut naive_covered) = (0, 0, 0);
        for seed in 0..100 {
            let (draws, truth) = simulated(3_000, seed);
            let found = estimate(&draws, f64::INFINITY).expect("weights");
            ips_covered += usize::from(covers(found.ips, truth));
            snips_covered += usize::from(covers(found.snips, truth));
            let unweighted: Vec<LoggedDraw> = draws
                .iter()
                .map(|draw| LoggedDraw {
                    target: draw.logged,
                    ..*draw
                })
                .collect();
            let naive = estimate(&unweighted, f64::INFINITY).expect("weights");
            naive_covered += usize::from(covers(naive.ips, truth));
        }
        // 95 of 100 are expected of each; 88 or fewer happen once in 500 times.
        assert!(
            ips_covered > 88 && snips_covered > 88,
            "{ips_covered} and {snips_covered} of 100"
        );
        assert_eq!(naive_covered, 0);
    }

    #[test]
    fn the_effective_size_is_that_of_equal_weights_at_most() {
        let (draws, _) = simulated(2_000, 7);
        let found = estimate(&draws, f64::INFINITY).expect("weights");
        assert!(
            found.effective_sample_size < 1_700.0 && found.effective_sample_size > 200.0,
            "{found:?}"
        );
        let same: Vec<LoggedDraw> = draws
            .iter()
            .map(|draw| LoggedDraw {
                target: draw.logged,
                ..*draw
            })
            .collect();
        let same = estimate(&same, f64::INFINITY).expect("weights");
        assert!((same.effective_sample_size - 2_000.0).abs() < 1e-6 && same.clipped == 0);
        assert!((same.ips.value - same.snips.value).abs() < 1e-12);
    }

    #[test]
    fn clipping_cuts_heavy_weights_and_is_told() {
        let (mut draws, _) = simulated(500, 9);
        draws.push(LoggedDraw {
            reward: 1.0,
            logged: 1e-6,
            target: 1.0,
        });
        let free = estimate(&draws, f64::INFINITY).expect("weights");
        let cut = estimate(&draws, WEIGHT_MAX_DEFAULT).expect("weights");
        assert!(free.ips.value > 1_000.0 && free.effective_sample_size < 1.1);
        assert!(
            cut.clipped == 1 && cut.ips.value < 1.0 && cut.effective_sample_size > 100.0,
            "{cut:?}"
        );
    }

    #[test]
    fn without_support_there_is_no_estimate() {
        assert_eq!(estimate(&[], WEIGHT_MAX_DEFAULT), None);
        let elsewhere = LoggedDraw {
            reward: 1.0,
            logged: 0.5,
            target: 0.0,
        };
        assert_eq!(estimate(&[elsewhere; 9], WEIGHT_MAX_DEFAULT), None);
        let impossible = LoggedDraw {
            reward: 1.0,
            logged: 0.0,
            target: 1.0,
        };
        assert_eq!(estimate(&[impossible; 9], WEIGHT_MAX_DEFAULT), None);
    }
}
