//! How the total rate moves over a run.
//!
//! Owns a course made of straight pieces and its inverse: at which instant a given number of swipes has been planned.

/// How busy the hours of a day are, from midnight to midnight: little at four, a peak at noon, the highest at nine in the
/// evening. Only the ratios count.
const DAY_CURVE: [f64; 25] = [
    0.9, 0.6, 0.4, 0.3, 0.25, 0.3, 0.45, 0.7, 0.85, 0.85, 0.9, 1.0, 1.15, 1.1, 1.0, 1.0, 1.05, 1.15, 1.3, 1.5, 1.7,
    1.8, 1.6, 1.2, 0.9,
];

/// A straight piece of the course.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    start_s: f64,
    end_s: f64,
    rate_start: f64,
    rate_end: f64,
    /// Swipes planned before this piece.
    before: f64,
}

impl Piece {
    fn swipes(&self) -> f64 {
        (self.end_s - self.start_s) * (self.rate_start + self.rate_end) / 2.0
    }

    /// The instant at which `count` swipes of this piece are planned: `count = r0·t + (r1 - r0)/(2·length)·t²` solved
    /// for t, in the form that is stable when the rate hardly changes.
    fn instant_of(&self, count: f64) -> f64 {
        let slope = (self.rate_end - self.rate_start) / (self.end_s - self.start_s);
        let root = (self.rate_start * self.rate_start + 2.0 * slope * count)
            .max(0.0)
            .sqrt();
        let denominator = self.rate_start + root;
        if denominator <= 0.0 {
            self.end_s
        } else {
            self.start_s + 2.0 * count / denominator
        }
    }
}

/// The total rate over the time of a run, in swipes per second.
#[derive(Debug, Clone, PartialEq)]
pub struct RateProfile {
    pieces: Vec<Piece>,
}

impl RateProfile {
    /// A course through `(second, rate)` points, the first at second 0, seconds not falling. Two points at the same
    /// second are a jump.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut before = 0.0;
        for pair in points.windows(2) {
            let [(start_s, rate_start), (end_s, rate_end)] = [pair[0], pair[1]];
            if end_s <= start_s {
                continue;
            }
            let piece = Piece {
                start_s,
                end_s,
                rate_start: rate_start.max(0.0),
                rate_end: rate_end.max(0.0),
                before,
            };
            before += piece.swipes();
            pieces.push(piece);
        }
        Self { pieces }
    }

    /// The same rate all the time.
    #[must_use]
    pub fn steady(rate: f64, duration_s: f64) -> Self {
        Self::through(&[(0.0, rate), (duration_s, rate)])
    }

    /// From nothing up to the rate.
    #[must_use]
    pub fn ramp(rate: f64, duration_s: f64) -> Self {
        Self::through(&[(0.0, 0.0), (duration_s, rate)])
    }

    /// The rate, with the middle tenth at `factor` times the rate.
    #[must_use]
    pub fn spike(rate: f64, duration_s: f64, factor: f64) -> Self {
        let (from, to) = (0.45 * duration_s, 0.55 * duration_s);
        Self::through(&[
            (0.0, rate),
            (from, rate),
            (from, factor * rate),
            (to, factor * rate),
            (to, rate),
            (duration_s, rate),
        ])
    }

    /// One day pressed into the duration; `rate` is its mean.
    #[must_use]
    pub fn day(rate: f64, duration_s: f64) -> Self {
        let hours = DAY_CURVE.len() - 1;
        let sum: f64 = DAY_CURVE.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).sum();
        let scale = rate * hours as f64 / sum;
        let points = DAY_CURVE.iter().enumerate();
        let points: Vec<(f64, f64)> = points
            .map(|(hour, height)| (duration_s * hour as f64 / hours as f64, scale * height))
            .collect();
        Self::through(&points)
    }

    /// How many swipes are planned until this second.
    #[must_use]
    pub fn count_until(&self, second: f64) -> f64 {
        let piece = |piece: &Piece| {
            let passed = (second.min(piece.end_s) - piece.start_s).max(0.0);
            let slope = (piece.rate_end - piece.rate_start) / (piece.end_s - piece.start_s);
            passed * (piece.rate_start + slope * passed / 2.0)
        };
        self.pieces.iter().map(piece).sum()
    }

    /// The last second of the course.
    #[must_use]
    pub fn end_s(&self) -> f64 {
        self.pieces.last().map_or(0.0, |piece| piece.end_s)
    }

    /// How many swipes the whole course plans.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.pieces.last().map_or(0.0, |piece| piece.before + piece.swipes())
    }

    /// The second at which `count` swipes are planned; `None` beyond the end.
    #[must_use]
    pub fn instant_of(&self, count: f64) -> Option<f64> {
        if count < 0.0 || count >= self.total() {
            return None;
        }
        let place = self
            .pieces
            .partition_point(|piece| piece.before <= count)
            .checked_sub(1)?;
        let piece = &self.pieces[place];
        Some(piece.instant_of(count - piece.before).clamp(piece.start_s, piece.end_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(profile: &RateProfile, count: f64, expected_s: Option<f64>) {
        match (profile.instant_of(count), expected_s) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9, "{found} {expected}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn instants_follow_the_rate() {
        let steady = RateProfile::steady(10.0, 5.0);
        check(&steady, 0.0, Some(0.0));
        check(&steady, 25.0, Some(2.5));
        check(&steady, 50.0, None);
        let ramp = RateProfile::ramp(10.0, 10.0);
        check(&ramp, 12.5, Some(5.0));
        let spike = RateProfile::spike(10.0, 100.0, 5.0);
        assert!((spike.total() - (900.0 + 500.0)).abs() < 1e-9);
        check(&spike, 450.0 + 250.0, Some(50.0));
        let day = RateProfile::day(10.0, 240.0);
        assert!((day.total() - 2_400.0).abs() < 1e-6);
        assert!(day.count_until(50.0) < 0.12 * day.total(), "the night is quiet");
        check(&RateProfile::through(&[]), 0.0, None);
        check(&RateProfile::steady(0.0, 5.0), 0.0, None);
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(rates in proptest::collection::vec(0.0..100.0_f64, 2..8), step in 0.01..3.0_f64) {
            let points: Vec<(f64, f64)> = rates.iter().enumerate().map(|(s, rate)| (s as f64, *rate)).collect();
            let profile = RateProfile::through(&points);
            let mut last = 0.0;
            let mut count = 0.0;
            while let Some(at) = profile.instant_of(count) {
                prop_assert!(at >= last && at <= points.len() as f64);
                prop_assert!((profile.count_until(at) - count).abs() < 1e-6 * (1.0 + count));
                last = at;
                count += step;
            }
            prop_assert!(count >= profile.total());
        }
    }
}
