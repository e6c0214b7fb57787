//! Most popular items: counts over all events, or over a window of the last ones.

use std::collections::VecDeque;

/// Counts events per item.
#[derive(Debug, Clone, Default)]
pub struct Popularity {
    counts: Vec<u32>,
    window: VecDeque<Option<u32>>,
    window_events: Option<usize>,
}

impl Popularity {
    /// Counts the last `window_events` events; all of them with `None`.
    #[must_use]
    pub fn new(window_events: Option<usize>) -> Self {
        Self {
            counts: Vec::new(),
            window: VecDeque::new(),
            window_events,
        }
    }

    /// Counts an event about `item`; one that speaks for no item (`None`) only moves the window on.
    pub fn learn(&mut self, item: Option<u32>) {
        if let Some(item) = item {
            let place = item as usize;
            if place >= self.counts.len() {
                self.counts.resize(place + 1, 0);
            }
            self.counts[place] += 1;
        }
        let Some(window_events) = self.window_events else {
            return;
        };
        self.window.push_back(item);
        if self.window.len() > window_events
            && let Some(Some(oldest)) = self.window.pop_front()
        {
            self.counts[oldest as usize] -= 1;
        }
    }

    /// The events of `item` that count.
    #[must_use]
    pub fn count(&self, item: u32) -> u32 {
        self.counts.get(item as usize).copied().unwrap_or(0)
    }

    /// Writes the count of every item into `scores`, which has one entry per item.
    pub fn scores_into(&self, scores: &mut [f32]) {
        for (score, count) in scores.iter_mut().zip(&self.counts) {
            *score = *count as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_and_all_time_does_not() {
        let mut all_time = Popularity::new(None);
        let mut window = Popularity::new(Some(3));
        for item in [Some(3), Some(3), Some(1), None, Some(3)] {
            all_time.learn(item);
            window.learn(item);
        }
        assert_eq!((all_time.count(3), all_time.count(1), all_time.count(9)), (3, 1, 0));
        let mut scores = vec![0.0; 5];
        window.scores_into(&mut scores);
        assert_eq!(scores, [0.0, 1.0, 0.0, 1.0, 0.0]);
    }
}
