//! Running mean and spread per column, to bring inputs to one scale.

use serde::{Deserialize, Serialize};

/// Scaled inputs lie within this of 0.
const INPUT_MAX: f32 = 4.0;

/// Welford's running moments; what is missing is not counted and becomes 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    counts: Vec<f64>,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Scaler {
    /// Nothing seen.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            counts: vec![0.0; columns],
            means: vec![0.0; columns],
            squares: vec![0.0; columns],
        }
    }

    /// Counts a row.
    pub fn learn(&mut self, row: &[f32]) {
        for (column, value) in row
            .iter()
            .map(|&value| f64::from(value))
            .enumerate()
            .take(self.counts.len())
        {
            if value.is_finite() {
                self.counts[column] += 1.0;
                let before = value - self.means[column];
                self.means[column] += before / self.counts[column];
                self.squares[column] += before * (value - self.means[column]);
            }
        }
    }

    /// Writes the scaled row.
    pub fn scale(&self, row: &[f32], scaled: &mut [f32]) {
        for (column, (input, output)) in row.iter().zip(scaled.iter_mut()).enumerate() {
            let spread = (self.squares[column] / self.counts[column].max(1.0)).sqrt().max(1e-3);
            let value = ((f64::from(*input) - self.means[column]) / spread) as f32;
            *output = if value.is_finite() {
                value.clamp(-INPUT_MAX, INPUT_MAX)
            } else {
                0.0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_to_one_scale_and_missing_to_the_middle() {
        let mut scaler = Scaler::new(2);
        for value in 0..1_000 {
            scaler.learn(&[100.0 + (value % 11) as f32, f32::NAN]);
        }
        let mut scaled = [9.0; 2];
        scaler.scale(&[105.0, f32::NAN], &mut scaled);
        assert!(scaled[0].abs() < 0.01 && scaled[1] == 0.0, "{scaled:?}");
        scaler.scale(&[f32::MAX, f32::INFINITY], &mut scaled);
        assert_eq!(scaled, [INPUT_MAX, 0.0]);
    }
}
