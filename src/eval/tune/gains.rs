//! What the questions of a trial gained, and when one setting is believed to be better than another.
//!
//! Owns the comparison. All trials are asked the same questions, so two are compared question by question; the standard
//! error is one between viewers, because the questions of one viewer say much the same.
//!
//! A third of the viewers choose nothing: dozens of settings were tried on the others, and the luckiest of them would win.
//! What was chosen is believed only when it gains on that third, too.

use std::collections::BTreeMap;

use crate::eval::protocol::next_like::splitmix64;

/// One viewer of so many is kept back to confirm the choice.
const CONFIRMING_VIEWER_OF: u64 = 3;
/// Fewer questions than this choose nothing,
pub(super) const CASES_MIN: usize = 100;
/// nor do those of fewer viewers.
pub(super) const VIEWERS_MIN: usize = 10;

/// What one question gained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gain {
    /// Who was asked for (in session logs: the session).
    pub(crate) viewer: u32,
    /// How much.
    pub(crate) gain: f32,
}

/// Which viewers' questions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that choose.
    Choosing,
    /// Those that were kept back.
    Confirming,
    /// Everybody's.
    All,
}

impl Part {
    pub(super) fn takes(self, viewer: u32) -> bool {
        let is_kept_back = splitmix64(u64::from(viewer)).is_multiple_of(CONFIRMING_VIEWER_OF);
        match self {
            Part::Choosing => !is_kept_back,
            Part::Confirming => is_kept_back,
            Part::All => true,
        }
    }
}

/// What one setting gains over another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    /// The mean over the questions that both were asked; 0 when there are none.
    pub(super) mean: f64,
    /// Its standard error between viewers; infinite when there are fewer than two.
    pub(super) error: f64,
}

/// The mean gain of a part's questions; 0 when there are none.
pub(super) fn mean(gains: &[Gain], part: Part) -> f64 {
    let taken = gains.iter().filter(|one| part.takes(one.viewer));
    let (sum, count) = taken.fold((0.0, 0_usize), |(sum, count), one| {
        (sum + f64::from(one.gain), count + 1)
    });
    sum / count.max(1) as f64
}

/// How many viewers were asked for.
pub(super) fn viewer_count(gains: &[Gain]) -> usize {
    let viewers: std::collections::BTreeSet<u32> = gains.iter().map(|one| one.viewer).collect();
    viewers.len()
}

/// What `gains` are above `others`; of two trials of different length the questions that both were asked.
pub(super) fn compare(gains: &[Gain], others: &[Gain], part: Part) -> Difference {
    let mut viewers: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let both = gains.iter().zip(others).filter(|(one, _)| part.takes(one.viewer));
    for (one, other) in both {
        let (sum, count) = viewers.entry(one.viewer).or_default();
        *sum += f64::from(one.gain) - f64::from(other.gain);
        *count += 1.0;
    }
    let count: f64 = viewers.values().map(|(_, count)| count).sum();
    if count == 0.0 {
        return Difference {
            mean: 0.0,
            error: f64::INFINITY,
        };
    }
    let mean = viewers.values().map(|(sum, _)| sum).sum::<f64>() / count;
    if viewers.len() < 2 {
        return Difference {
            mean,
            error: f64::INFINITY,
        };
    }
    // The variance of a ratio estimator over clusters (W. Cochran, "Sampling Techniques", 1977, section 9A).
    let squares: f64 = viewers.values().map(|(sum, count)| (sum - mean * count).powi(2)).sum();
    let clusters = viewers.len() as f64;
    Difference {
        mean,
        error: (squares * clusters / (clusters - 1.0)).sqrt() / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(of: &[(u32, f32)]) -> Vec<Gain> {
        of.iter()
            .map(|(viewer, gain)| Gain {
                viewer: *viewer,
                gain: *gain,
            })
            .collect()
    }

    #[test]
    fn a_third_of_the_viewers_is_kept_back() {
        let kept = (0..3_000).filter(|viewer| Part::Confirming.takes(*viewer)).count();
        assert!((900..1_100).contains(&kept), "{kept}");
        assert!((0..3_000).all(|viewer| Part::Confirming.takes(viewer) != Part::Choosing.takes(viewer)));
    }

    #[test]
    fn nothing_and_one_viewer_say_nothing() {
        assert_eq!(compare(&[], &[], Part::All).mean, 0.0);
        assert_eq!(mean(&[], Part::All).to_string(), "0");
        let one = compare(&gains(&[(1, 1.0), (1, 0.5)]), &gains(&[(1, 0.0), (1, 0.0)]), Part::All);
        assert_eq!((one.mean, one.error), (0.75, f64::INFINITY));
        assert_eq!(viewer_count(&gains(&[(1, 1.0), (1, 0.5), (2, 0.0)])), 2);
    }

    #[test]
    fn questions_of_one_viewer_are_no_independent_witnesses() {
        let zero = |viewers: u32, each: u32| -> Vec<Gain> {
            (0..viewers * each)
                .map(|n| Gain {
                    viewer: n / each,
                    gain: 0.0,
                })
                .collect()
        };
        // Half of the viewers gain 1, the others lose .5.
        let split = |viewers: u32, each: u32| -> Vec<Gain> {
            let gain = |viewer: u32| if viewer.is_multiple_of(2) { 1.0 } else { -0.5 };
            (0..viewers * each)
                .map(|n| Gain {
                    viewer: n / each,
                    gain: gain(n / each),
                })
                .collect()
        };
        let many = compare(&split(1_000, 1), &zero(1_000, 1), Part::All);
        let few = compare(&split(10, 100), &zero(10, 100), Part::All);
        assert!((many.mean - 0.25).abs() < 1e-9 && (few.mean - 0.25).abs() < 1e-9);
        assert!((many.error - 0.75 / 1_000_f64.sqrt()).abs() < 1e-4, "{many:?}");
        assert!((few.error - 0.75 / 9_f64.sqrt()).abs() < 1e-4, "{few:?}");
    }
}
