//! 95 % intervals by resampling viewers.
//!
//! Owns the resampling. Viewers are drawn, not cases: what one viewer does is not independent. Seeded; the same cases give
//! the same intervals.

use super::protocol::next_like::splitmix64;

/// How many resamples are drawn.
pub(crate) const RESAMPLES: usize = 1_000;
/// The share of resamples left out at each end.
const TAIL: f64 = 0.025;

/// A stream of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Begins at a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let random = splitmix64(self.0);
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(random) * bound as u128) >> 64) as usize
    }

    /// Puts a slice into a random order.
    pub(crate) fn shuffle<T>(&mut self, slice: &mut [T]) {
        for end in (1..slice.len()).rev() {
            slice.swap(end, self.below(end + 1));
        }
    }
}

/// One viewer's part of metrics that are quotients of sums: per metric (sum, weight).
pub(crate) type Sums = Vec<(f64, f64)>;

/// The quotients over all viewers; NaN where nothing weighs.
pub(crate) fn quotients<'a>(viewers: impl Iterator<Item = &'a Sums>, metrics: usize) -> Vec<f64> {
    let mut total = vec![(0.0, 0.0); metrics];
    for viewer in viewers {
        for (sum, part) in total.iter_mut().zip(viewer) {
            sum.0 += part.0;
            sum.1 += part.1;
        }
    }
    total.into_iter().map(|(sum, weight)| sum / weight).collect()
}

/// The interval of each quotient.
pub(crate) fn quotient_intervals(viewers: &[Sums], metrics: usize, seed: u64) -> Vec<[f64; 2]> {
    let mut draws = Draws::new(seed);
    let mut resampled: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); metrics];
    for _ in 0..RESAMPLES {
        let drawn = (0..viewers.len()).map(|_| &viewers[draws.below(viewers.len())]);
        let values = quotients(drawn, metrics);
        resampled
            .iter_mut()
            .zip(values)
            .for_each(|(all, value)| all.push(value));
    }
    resampled.into_iter().map(interval).collect()
}

/// How often each of `viewers` is drawn, resample by resample.
pub(crate) fn resampled_counts(viewers: usize, seed: u64) -> impl Iterator<Item = Vec<u32>> {
    let mut draws = Draws::new(seed);
    (0..RESAMPLES).map(move |_| {
        let mut counts = vec![0; viewers];
        (0..viewers).for_each(|_| counts[draws.below(viewers)] += 1);
        counts
    })
}

/// The middle 95 % of resampled values; values that are no numbers (nothing to measure in a resample) are left out.
pub(crate) fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let tail = (values.len() as f64 * TAIL) as usize;
    match values.get(tail..values.len() - tail) {
        Some([only]) => [*only, *only],
        Some([low, .., high]) => [*low, *high],
        Some([]) | None => [f64::NAN, f64::NAN],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_near_the_normal_one_and_repeats() {
        // 400 viewers, half 0 and half 1: the standard error of the mean is .025.
        let viewers: Vec<Sums> = (0..400).map(|n| vec![(f64::from(n % 2), 1.0)]).collect();
        let intervals = quotient_intervals(&viewers, 1, 7);
        let [low, high] = intervals[0];
        assert!(
            (low - 0.451).abs() < 0.008 && (high - 0.549).abs() < 0.008,
            "{low} {high}"
        );
        assert_eq!(intervals, quotient_intervals(&viewers, 1, 7));
        assert_ne!(intervals, quotient_intervals(&viewers, 1, 8));
    }

    #[test]
    fn quotients_weigh_viewers_by_their_cases() {
        let viewers = [vec![(3.0, 3.0), (0.0, 0.0)], vec![(0.0, 1.0), (0.0, 0.0)]];
        let values = quotients(viewers.iter(), 2);
        assert_eq!(values[0], 0.75);
        assert!(values[1].is_nan());
        assert!(quotient_intervals(&[], 1, 1)[0][0].is_nan());
    }

    #[test]
    fn the_middle_of_resamples_is_taken() {
        assert_eq!(interval((0..1_000).map(f64::from).collect()), [25.0, 974.0]);
        assert_eq!(interval(vec![2.0, f64::NAN]), [2.0, 2.0]);
    }

    #[test]
    fn a_shuffle_keeps_what_is_there() {
        let mut numbers: Vec<u32> = (0..50).collect();
        Draws::new(3).shuffle(&mut numbers);
        assert_ne!(numbers, (0..50).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
}
