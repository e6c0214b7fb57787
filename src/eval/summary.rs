//! What was measured of one method: numbers, their intervals, and the same per slice.
//!
//! Owns the shapes that report and table are made of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tune::Tuned;

/// Metrics by name over some cases.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Measured {
    /// The values.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// The 95 % intervals.
    pub(crate) intervals: BTreeMap<String, [f64; 2]>,
}

impl Measured {
    /// Adds a metric; what could not be measured (no case, one class only) is left out.
    pub(crate) fn put(&mut self, name: impl Into<String>, value: f64, interval: [f64; 2]) {
        if !value.is_finite() {
            return;
        }
        let name = name.into();
        if interval.iter().all(|end| end.is_finite()) {
            self.intervals.insert(name.clone(), interval);
        }
        self.metrics.insert(name, value);
    }
}

/// A part of the cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Slice {
    /// Its name.
    pub(crate) slice: String,
    /// How many cases it has.
    pub(crate) cases: usize,
    /// What was measured on it.
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// What the lists looked like, apart from whether they hit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ListQuality {
    /// The share of the catalogue that was in the first ten of any list.
    #[serde(rename = "coverage@10")]
    pub(crate) coverage: f64,
    /// Mean -log2 of the share of the history's events that a shown item has.
    #[serde(rename = "novelty@10")]
    pub(crate) novelty: f64,
    /// Mean over pairs of a list of 1 - the Jaccard index of their categories; only where items have categories.
    #[serde(rename = "diversity@10", skip_serializing_if = "Option::is_none")]
    pub(crate) diversity: Option<f64>,
    /// Shown items that the viewer had already had, or that stood twice in a list; must be 0.
    #[serde(rename = "repeats@10")]
    pub(crate) repeats: u64,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// The method.
    pub(crate) method: String,
    /// Over all cases.
    #[serde(flatten)]
    pub(crate) measured: Measured,
    /// Mean processor time of an answer, in microseconds.
    pub(crate) cpu_us_per_request: f64,
    /// What the lists looked like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lists: Option<ListQuality>,
    /// The same per slice.
    pub(crate) slices: Vec<Slice>,
    /// What was tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tuned: Option<Tuned>,
    /// Median processor time of an answer, in microseconds; for the terminal.
    #[serde(skip)]
    pub(crate) cpu_us_median: f64,
}

/// The whole evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The protocol.
    pub(crate) protocol: String,
    /// The files.
    pub(crate) data: String,
    /// The seed of all randomness.
    pub(crate) seed: u64,
    /// How many questions were asked.
    pub(crate) cases: usize,
    /// One per method.
    pub(crate) rows: Vec<Row>,
}

/// Mean and median of the cost of answers.
pub(crate) fn mean_and_median(mut costs_us: Vec<f64>) -> (f64, f64) {
    if costs_us.is_empty() {
        return (0.0, 0.0);
    }
    costs_us.sort_by(f64::total_cmp);
    let mean = costs_us.iter().sum::<f64>() / costs_us.len() as f64;
    (mean, costs_us[costs_us.len() / 2])
}

/// The limits of the terciles of `counts`: the highest count of the first and of the second third.
pub(crate) fn terciles(mut counts: Vec<u32>) -> [u32; 2] {
    counts.sort_unstable();
    let at = |third: usize| {
        let place = (counts.len() * third / 3).saturating_sub(1);
        counts.get(place).copied().unwrap_or(0)
    };
    [at(1), at(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terciles_cut_into_thirds() {
        assert_eq!(terciles((1..=9).collect()), [3, 6]);
        assert_eq!(terciles(vec![]), [0, 0]);
        assert_eq!(mean_and_median(vec![1.0, 9.0, 2.0]), (4.0, 2.0));
    }

    #[test]
    fn what_could_not_be_measured_is_left_out() {
        let mut measured = Measured::default();
        measured.put("a", f64::NAN, [0.0, 1.0]);
        measured.put("b", 0.5, [f64::NAN, f64::NAN]);
        assert_eq!(measured.metrics.len(), 1);
        assert!(measured.intervals.is_empty());
    }
}
