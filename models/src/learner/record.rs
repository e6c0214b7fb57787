//! The stored form of the learner, version 1: one header and the pages of crosses that have learned anything.
//!
//! Owns the layout and what makes a record acceptable. A header of another version or feature schema is refused as a
//! whole, a damaged page by itself; a learner never starts with numbers that learning could not have made.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::calibration::Calibration;
use super::ftrl::Cell;
use super::guard::Guard;
use super::inputs::INPUT_COUNT;
use super::model::Learner;
use super::weights::{PAGE_COUNT, PAGE_SLOTS};
use crate::features::schema::schema_fingerprint;
use crate::rank::OBJECTIVE_COUNT;

/// Version of this layout, of the hashing of crosses, and of the order of the inputs.
const VERSION: u32 = 1;
/// Bytes of a cross in a page: its place, and z and n of every objective.
const CELL_BYTES: usize = 2 + 2 * OBJECTIVE_COUNT * 4;

/// Why a record is not taken up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LearnerRecordError {
    /// Another layout, or weights of other features.
    #[error("the learner was stored for version {version} and feature schema {schema:016x}: it begins anew")]
    Other {
        /// Version of the record.
        version: u32,
        /// Feature schema of the record.
        schema: u64,
    },
    /// Numbers that are not finite, or a wrong size.
    #[error("{0} of the learner is not sound")]
    Unsound(&'static str),
}

/// Everything but the crosses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderRecord {
    version: u32,
    schema: u64,
    model: String,
    samples: u64,
    calibration: Calibration,
    guards: [Guard; OBJECTIVE_COUNT],
    inputs: Vec<Cell>,
}

impl Learner {
    /// The stored form of everything but the crosses.
    #[must_use]
    pub fn header(&self) -> HeaderRecord {
        HeaderRecord {
            version: VERSION,
            schema: schema_fingerprint(),
            model: self.model.clone(),
            samples: self.samples,
            calibration: self.calibration.clone(),
            guards: self.guards,
            inputs: self.ftrl.input_cells().to_vec(),
        }
    }

    /// The stored form of the pages that have changed since they were last taken.
    pub fn take_pages(&mut self) -> Vec<(u16, Vec<u8>)> {
        let changed = self.ftrl.take_changed();
        let record = |page: usize| (page as u16, page_bytes(self.ftrl.page_cells(page)));
        changed.into_iter().map(record).collect()
    }

    /// Lets the next [`Learner::take_pages`] take all of them.
    pub fn mark_all_changed(&mut self) {
        self.ftrl.mark_all_changed();
    }

    /// Takes up a header. Pages are taken up after it.
    ///
    /// # Errors
    /// When it is of another kind or not sound; nothing has changed then.
    pub fn restore(&mut self, header: HeaderRecord) -> Result<(), LearnerRecordError> {
        if header.version != VERSION || header.schema != schema_fingerprint() {
            return Err(LearnerRecordError::Other {
                version: header.version,
                schema: header.schema,
            });
        }
        let guards_are_sound = header.guards.iter().all(Guard::is_sound);
        let inputs_are_sound = header.inputs.len() == INPUT_COUNT && header.inputs.iter().all(is_sound);
        if !guards_are_sound || !inputs_are_sound || !header.calibration.is_sound() {
            return Err(LearnerRecordError::Unsound("the header"));
        }
        (self.model, self.samples) = (header.model, header.samples);
        (self.calibration, self.guards) = (header.calibration, header.guards);
        let params = self.params;
        for (input, cell) in header.inputs.into_iter().enumerate() {
            self.ftrl.put_input(input, cell, &params);
        }
        self.mark_fresh();
        Ok(())
    }

    /// Takes up a page of crosses.
    ///
    /// # Errors
    /// When it is not sound; nothing has changed then.
    pub fn restore_page(&mut self, page: u16, bytes: &[u8]) -> Result<(), LearnerRecordError> {
        let unsound = LearnerRecordError::Unsound("a page");
        let (records, rest) = bytes.as_chunks::<CELL_BYTES>();
        if usize::from(page) >= PAGE_COUNT || !rest.is_empty() {
            return Err(unsound);
        }
        let cells: Vec<(usize, Cell)> = records.iter().map(cell_of).collect();
        if !cells.iter().all(|(place, cell)| *place < PAGE_SLOTS && is_sound(cell)) {
            return Err(unsound);
        }
        let params = self.params;
        for (place, cell) in cells {
            let slot = usize::from(page) * PAGE_SLOTS + place;
            self.ftrl.put_cell(slot as u32, cell, &params);
        }
        self.mark_fresh();
        Ok(())
    }
}

fn is_sound([z, n]: &Cell) -> bool {
    z.iter().all(|value| value.is_finite()) && n.iter().all(|value| value.is_finite() && *value >= 0.0)
}

fn page_bytes(cells: &[Cell]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let learned = cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::default());
    for (place, cell) in learned {
        bytes.extend_from_slice(&(place as u16).to_le_bytes());
        cell.as_flattened()
            .iter()
            .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }
    bytes
}

fn cell_of(bytes: &[u8; CELL_BYTES]) -> (usize, Cell) {
    let place = u16::from_le_bytes([bytes[0], bytes[1]]);
    let value = |number: usize| {
        let start = 2 + number * 4;
        f32::from_le_bytes([bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]])
    };
    let row = |half: usize| std::array::from_fn(|objective| value(half * OBJECTIVE_COUNT + objective));
    (usize::from(place), [row(0), row(1)])
}
