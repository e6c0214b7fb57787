//! Running rates of outcomes per item or per viewer, smoothed towards the average of all.

use rustc_hash::FxHashMap;

use crate::eval::shown::OUTCOME_COUNT;

/// As many average impressions are added to every count.
const PRIOR_IMPRESSIONS: f32 = 20.0;

/// How often each outcome came, for each key and for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    of_key: FxHashMap<u32, Counts>,
    total: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    outcomes: [f32; OUTCOME_COUNT],
    impressions: f32,
}

impl Counts {
    fn add(&mut self, labels: &[bool; OUTCOME_COUNT]) {
        self.impressions += 1.0;
        for (count, label) in self.outcomes.iter_mut().zip(labels) {
            *count += f32::from(u8::from(*label));
        }
    }
}

impl Rates {
    /// Counts what came of an impression.
    pub(crate) fn learn(&mut self, key: u32, labels: &[bool; OUTCOME_COUNT]) {
        self.of_key.entry(key).or_default().add(labels);
        self.total.add(labels);
    }

    /// The smoothed rates of a key.
    pub(crate) fn of(&self, key: u32) -> [f32; OUTCOME_COUNT] {
        let counts = self.of_key.get(&key).copied().unwrap_or_default();
        std::array::from_fn(|outcome| {
            // One in two of two impressions that never were: a rate is never 0 or 1.
            let average = (self.total.outcomes[outcome] + 1.0) / (self.total.impressions + 2.0);
            (counts.outcomes[outcome] + PRIOR_IMPRESSIONS * average) / (counts.impressions + PRIOR_IMPRESSIONS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_drawn_towards_the_average_of_all() {
        let mut rates = Rates::default();
        assert_eq!(rates.of(1), [0.5; OUTCOME_COUNT]);
        for n in 0..98 {
            rates.learn(n % 2, &[n % 2 == 0, false, true, false]);
        }
        // 49 of 98, plus 1 of 2: the average is .5.
        let [long_view, like, click, _] = rates.of(0);
        assert!((long_view - (49.0 + 10.0) / 69.0).abs() < 1e-6);
        assert!(like < 0.01 && click > 0.99);
        assert_eq!(rates.of(7)[0], 0.5);
    }
}
