//! Does it learn? How much viewers like what they get, against a random and a popular feed for the same viewers.
//!
//! Owns sums and rates. Must not know how a probability comes about.

use serde::{Deserialize, Serialize};

/// How many swipes of a viewer's life make one point of the curve.
pub const SWIPES_PER_POINT: u32 = 5;
/// The most points of the curve; later swipes count for the last.
const POINTS_MAX: usize = 100;

/// Sums over items shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningPoint {
    /// Items shown.
    pub shown: u64,
    /// Of these liked.
    pub liked: u64,
    /// Sum of the probabilities of a like, by the viewer's hidden taste.
    pub expected: f64,
    /// The same for random items, shown to the same viewers at the same time; over `yardsticks` draws.
    pub random: f64,
    /// The same for popular items.
    pub popular: f64,
    /// How many random draws there were.
    pub random_draws: u64,
    /// How many popular draws there were.
    pub popular_draws: u64,
}

impl LearningPoint {
    /// Adds another point.
    pub fn absorb(&mut self, other: &LearningPoint) {
        self.shown += other.shown;
        self.liked += other.liked;
        self.expected += other.expected;
        self.random += other.random;
        self.popular += other.popular;
        self.random_draws += other.random_draws;
        self.popular_draws += other.popular_draws;
    }

    /// Likes per item shown, as they were drawn.
    #[must_use]
    pub fn like_rate(&self) -> Option<f64> {
        (self.shown > 0).then(|| self.liked as f64 / self.shown as f64)
    }

    /// Likes per item shown, as expected.
    #[must_use]
    pub fn expected_rate(&self) -> Option<f64> {
        (self.shown > 0).then(|| self.expected / self.shown as f64)
    }

    /// Likes per item of a random feed, as expected.
    #[must_use]
    pub fn random_rate(&self) -> Option<f64> {
        (self.random_draws > 0).then(|| self.random / self.random_draws as f64)
    }

    /// Likes per item of a popularity feed, as expected.
    #[must_use]
    pub fn popular_rate(&self) -> Option<f64> {
        (self.popular_draws > 0).then(|| self.popular / self.popular_draws as f64)
    }
}

/// Points by how many items a viewer has reacted to in its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningCurve {
    points: Vec<LearningPoint>,
}

impl LearningCurve {
    /// Adds what one viewer thought after `viewer_swipes` items.
    pub fn add(&mut self, point: &LearningPoint, viewer_swipes: u32) {
        let place = ((viewer_swipes / SWIPES_PER_POINT) as usize).min(POINTS_MAX - 1);
        if place >= self.points.len() {
            self.points.resize(place + 1, LearningPoint::default());
        }
        self.points[place].absorb(point);
    }

    /// Adds another curve.
    pub fn absorb(&mut self, other: &LearningCurve) {
        let len = self.points.len().max(other.points.len()).min(POINTS_MAX);
        self.points.resize(len, LearningPoint::default());
        for (point, more) in self.points.iter_mut().zip(&other.points) {
            point.absorb(more);
        }
    }

    /// The points; each stands for [`SWIPES_PER_POINT`] swipes.
    #[must_use]
    pub fn points(&self) -> &[LearningPoint] {
        &self.points
    }

    /// Everything in one point.
    #[must_use]
    pub fn total(&self) -> LearningPoint {
        let mut total = LearningPoint::default();
        self.points.iter().for_each(|point| total.absorb(point));
        total
    }
}

/// What became of one viewer's sudden change of taste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftOutcome {
    /// After how many swipes the new favourite's share of a pushed feed passed the mark; `None` when it never did.
    pub shown_after_swipes: Option<u32>,
    /// How many swipes the viewer made after the change.
    pub swipes_after: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_sums_over_counts() {
        let mut curve = LearningCurve::default();
        let point = LearningPoint {
            shown: 2,
            liked: 1,
            expected: 0.6,
            random: 0.4,
            popular: 0.0,
            random_draws: 4,
            popular_draws: 0,
        };
        curve.add(&point, 0);
        curve.add(&point, 4);
        curve.add(&point, 5);
        curve.add(&point, 1_000_000);
        assert_eq!(
            (curve.points()[0].shown, curve.points()[1].shown, curve.points().len()),
            (4, 2, POINTS_MAX)
        );
        let total = curve.total();
        assert_eq!((total.like_rate(), total.popular_rate()), (Some(0.5), None));
        assert!((total.expected_rate().expect("shown") - 0.3).abs() < 1e-9);
        assert!((total.random_rate().expect("drawn") - 0.1).abs() < 1e-9);
    }
}
