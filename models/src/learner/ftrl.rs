//! The weights as they are learned: FTRL-proximal with a learning rate per coordinate (McMahan et al. 2013, algorithm 1).
//!
//! Owns the accumulators (z, n) of every input and cross and the weights that follow from them. A weight that has learned
//! nothing is 0. Must not know labels or log-odds, only gradients.

use super::inputs::{INPUT_COUNT, Inputs};
use super::lanes::{LANES, Lanes};
use super::slots::SLOT_SPACE;
use super::weights::{PAGE_COUNT, PAGE_SLOTS, Pages};
use crate::params::LearnerParams;
use crate::rank::{OBJECTIVE_COUNT, ObjectiveRow};

/// z and n of one input or cross, per objective.
pub(super) type Cell = [[f32; OBJECTIVE_COUNT]; 2];

/// Accumulators and weights.
#[derive(Debug, Clone)]
pub(super) struct Ftrl {
    inputs: [Cell; INPUT_COUNT],
    pub(super) input_weights: [Lanes; INPUT_COUNT],
    cells: Vec<Cell>,
    pub(super) pages: Pages,
    /// Pages whose cells have changed since they were last taken.
    changed: Vec<bool>,
}

impl Default for Ftrl {
    fn default() -> Self {
        Self {
            inputs: [[[0.0; OBJECTIVE_COUNT]; 2]; INPUT_COUNT],
            input_weights: [[0.0; LANES]; INPUT_COUNT],
            // Zeroed memory that the system hands out page by page, as crosses come up.
            cells: vec![[[0.0; OBJECTIVE_COUNT]; 2]; SLOT_SPACE],
            pages: Pages::default(),
            changed: vec![false; PAGE_COUNT],
        }
    }
}

impl Ftrl {
    /// What inputs and crosses add up to.
    pub(super) fn sum(&self, inputs: &Inputs, slots: &[u32]) -> Lanes {
        let mut sum = [0.0; LANES];
        let dense = self.input_weights.iter().zip(inputs.iter().copied());
        let crosses = slots.iter().map(|slot| (self.pages.read(*slot), 1.0));
        for (weights, value) in dense.chain(crosses) {
            for lane in 0..LANES {
                sum[lane] += weights[lane] * value;
            }
        }
        sum
    }

    /// One step against the gradients of the log-odds.
    pub(super) fn learn(&mut self, inputs: &Inputs, slots: &[u32], gradients: &ObjectiveRow, params: &LearnerParams) {
        for (place, value) in inputs.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            step(
                &mut self.inputs[place],
                &mut self.input_weights[place],
                *value,
                gradients,
                params,
            );
        }
        for slot in slots {
            let place = *slot as usize % SLOT_SPACE;
            step(&mut self.cells[place], self.pages.write(*slot), 1.0, gradients, params);
            self.changed[place / PAGE_SLOTS] = true;
        }
    }

    /// Makes all weights anew, for other params.
    pub(super) fn reweigh(&mut self, params: &LearnerParams) {
        for (cell, weights) in self.inputs.iter().zip(&mut self.input_weights) {
            *weights = weights_of(cell, params);
        }
        for (place, cell) in self.cells.iter().enumerate() {
            if *cell != Cell::default() {
                *self.pages.write(place as u32) = weights_of(cell, params);
            }
        }
    }

    /// The cells of the dense inputs.
    pub(super) fn input_cells(&self) -> &[Cell] {
        &self.inputs
    }

    /// Takes the pages that have changed since they were last taken.
    pub(super) fn take_changed(&mut self) -> Vec<usize> {
        let changed: Vec<usize> = (0..PAGE_COUNT).filter(|page| self.changed[*page]).collect();
        self.changed.fill(false);
        changed
    }

    /// Lets all pages be taken again.
    pub(super) fn mark_all_changed(&mut self) {
        self.changed.fill(true);
    }

    /// The cells of a page.
    pub(super) fn page_cells(&self, page: usize) -> &[Cell] {
        &self.cells[page * PAGE_SLOTS..(page + 1) * PAGE_SLOTS]
    }

    /// Puts the cell of a dense input.
    pub(super) fn put_input(&mut self, input: usize, cell: Cell, params: &LearnerParams) {
        self.inputs[input] = cell;
        self.input_weights[input] = weights_of(&cell, params);
    }

    /// Puts the cell of a cross.
    pub(super) fn put_cell(&mut self, slot: u32, cell: Cell, params: &LearnerParams) {
        self.cells[slot as usize % SLOT_SPACE] = cell;
        *self.pages.write(slot) = weights_of(&cell, params);
    }

    /// Crosses with any weight.
    pub(super) fn crosses(&self) -> usize {
        self.cells.iter().filter(|cell| **cell != Cell::default()).count()
    }
}

fn step(cell: &mut Cell, weights: &mut Lanes, value: f32, gradients: &ObjectiveRow, params: &LearnerParams) {
    let [z, n] = cell;
    for objective in 0..OBJECTIVE_COUNT {
        let gradient = gradients[objective] * value;
        let squares = n[objective] + gradient * gradient;
        let sigma = (squares.sqrt() - n[objective].sqrt()) / params.learning_rate;
        z[objective] += gradient - sigma * weights[objective];
        n[objective] = squares;
    }
    *weights = weights_of(cell, params);
}

/// The weights that follow from the accumulators.
fn weights_of([z, n]: &Cell, params: &LearnerParams) -> Lanes {
    let mut weights = [0.0; LANES];
    for objective in 0..OBJECTIVE_COUNT {
        let beyond = (z[objective].abs() - params.l1).max(0.0);
        let curvature = (params.beta + n[objective].sqrt()) / params.learning_rate + params.l2;
        weights[objective] = -z[objective].signum() * beyond / curvature;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_that_of_the_paper() {
        let params = LearnerParams {
            learning_rate: 0.1,
            beta: 1.0,
            l1: 0.0,
            l2: 1.0,
            ..LearnerParams::default()
        };
        let (mut cell, mut weights) = (Cell::default(), [0.0; LANES]);
        step(&mut cell, &mut weights, 2.0, &[0.25, 0.0, 0.0, 0.0, 0.0], &params);
        // g = 0.5, n = 0.25, z = 0.5 (the weight was 0), w = -0.5 / ((1 + 0.5) / 0.1 + 1).
        assert_eq!((cell[0][0], cell[1][0]), (0.5, 0.25));
        assert!((weights[0] + 0.5 / 16.0).abs() < 1e-7 && weights[1..].iter().all(|weight| *weight == 0.0));
        let before = weights[0];
        step(&mut cell, &mut weights, 2.0, &[0.25, 0.0, 0.0, 0.0, 0.0], &params);
        let sigma = (0.5_f32.sqrt() - 0.5) / 0.1;
        assert!((cell[0][0] - (1.0 - sigma * before)).abs() < 1e-6, "{cell:?}");
    }

    #[test]
    fn a_published_page_is_not_written_to() {
        let (mut ftrl, params) = (Ftrl::default(), LearnerParams::default());
        let published = ftrl.pages.clone();
        ftrl.learn(&[0.0; INPUT_COUNT], &[7, 8, 9], &[0.3; OBJECTIVE_COUNT], &params);
        assert_eq!(*published.read(7), [0.0; LANES]);
        assert!(ftrl.pages.read(7)[0] < 0.0);
        assert_eq!(ftrl.pages.differing(&published), 1);
        assert_eq!((ftrl.take_changed(), ftrl.take_changed()), (vec![0], vec![]));
    }

    #[test]
    fn other_params_make_other_weights_of_the_same_experience() {
        let (mut ftrl, params) = (Ftrl::default(), LearnerParams::default());
        ftrl.learn(&[1.0; INPUT_COUNT], &[7], &[0.3; OBJECTIVE_COUNT], &params);
        let before = (ftrl.input_weights[0], *ftrl.pages.read(7));
        ftrl.reweigh(&LearnerParams {
            l2: params.l2 * 100.0,
            ..params
        });
        assert!(ftrl.input_weights[0][0].abs() < before.0[0].abs() && ftrl.pages.read(7)[0].abs() < before.1[0].abs());
        ftrl.reweigh(&params);
        assert_eq!((ftrl.input_weights[0], *ftrl.pages.read(7)), before);
    }
}
