//! Running rates of outcomes per item or per viewer, smoothed towards the rate of the part of the app (the tab), and that
//! towards the average of all.

use rustc_hash::FxHashMap;

use crate::eval::shown::OUTCOME_COUNT;

/// As many average impressions are added to every count.
const PRIOR_IMPRESSIONS: f32 = 20.0;

/// How often each outcome came, for each key in each tab, for each tab, and for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    of_key: FxHashMap<(u32, u32), Counts>,
    of_tab: FxHashMap<u32, Counts>,
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

    fn smoothed(&self, prior: [f32; OUTCOME_COUNT]) -> [f32; OUTCOME_COUNT] {
        std::array::from_fn(|outcome| {
            (self.outcomes[outcome] + PRIOR_IMPRESSIONS * prior[outcome]) / (self.impressions + PRIOR_IMPRESSIONS)
        })
    }
}

impl Rates {
    /// Counts what came of an impression.
    pub(crate) fn learn(&mut self, key: u32, tab: u32, labels: &[bool; OUTCOME_COUNT]) {
        self.of_key.entry((key, tab)).or_default().add(labels);
        self.of_tab.entry(tab).or_default().add(labels);
        self.total.add(labels);
    }

    /// The smoothed rates of a key in a tab.
    pub(crate) fn of(&self, key: u32, tab: u32) -> [f32; OUTCOME_COUNT] {
        let counts = self.of_key.get(&(key, tab)).copied().unwrap_or_default();
        counts.smoothed(self.of_tab(tab))
    }

    /// The smoothed rates of a tab.
    pub(crate) fn of_tab(&self, tab: u32) -> [f32; OUTCOME_COUNT] {
        // One in two of two impressions that never were: a rate is never 0 or 1.
        let average = self
            .total
            .outcomes
            .map(|count| (count + 1.0) / (self.total.impressions + 2.0));
        let counts = self.of_tab.get(&tab).copied().unwrap_or_default();
        counts.smoothed(average)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_drawn_towards_its_tab_and_that_towards_the_average() {
        let mut rates = Rates::default();
        assert_eq!(rates.of(1, 0), [0.5; OUTCOME_COUNT]);
        for n in 0..98 {
            rates.learn(n % 2, 0, &[n % 2 == 0, false, true, false]);
        }
        // 49 of 98, plus 1 of 2: the average is .5, and so is the tab's.
        let [long_view, like, click, _] = rates.of(0, 0);
        assert!((long_view - (49.0 + 10.0) / 69.0).abs() < 1e-6);
        assert!(like < 0.01 && click > 0.99);
        assert_eq!(rates.of(7, 0)[0], 0.5);
        for _ in 0..30 {
            rates.learn(9, 3, &[true; OUTCOME_COUNT]);
        }
        let all = (49.0 + 30.0 + 1.0) / 130.0;
        assert!((rates.of(7, 3)[0] - (30.0 + 20.0 * all) / 50.0).abs() < 1e-6);
    }
}
