//! The writing side of the exact index: collects changes and publishes snapshots.
//!
//! Owns the one working copy. Must not be shared: one writer per index, readers hold the published snapshots.

use std::sync::Arc;

use super::VectorIndex;
use super::exact::ExactIndex;
use super::vector::{ROWS_MAX, VectorError, normalise};

/// One change of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorChange {
    /// The row gets this vector, of any length above zero; it replaces the one it had.
    Upsert {
        /// Dense catalogue row.
        row: u32,
        /// Its embedding, not necessarily normalised.
        vector: Vec<f32>,
    },
    /// The row loses its vector; nothing happens when it has none.
    Remove {
        /// Dense catalogue row.
        row: u32,
    },
}

/// Makes the snapshots of an [`ExactIndex`]. A published snapshot never changes; the first change of a block after a
/// publication copies that block, all others stay shared.
#[derive(Debug)]
pub struct ExactIndexWriter {
    working: ExactIndex,
    unit: Vec<f32>,
}

impl ExactIndexWriter {
    /// A writer for an index without rows.
    ///
    /// # Errors
    /// [`VectorError::DimensionUnsupported`] when no index can have this dimension.
    pub fn new(dimension: usize) -> Result<Self, VectorError> {
        ExactIndex::new(dimension).map(Self::from)
    }

    /// Gives a row a vector, normalised.
    ///
    /// # Errors
    /// [`VectorError`] when the vector or the row is not acceptable; the row then keeps what it had.
    pub fn upsert(&mut self, row: u32, vector: &[f32]) -> Result<(), VectorError> {
        if row >= ROWS_MAX {
            return Err(VectorError::RowOutOfRange(row));
        }
        normalise(vector, &mut self.unit)?;
        // An unchanged vector must not copy its block, nor be inserted again into a graph.
        if self.working.vector(row) != Some(self.unit.as_slice()) {
            self.working.set(row, &self.unit);
        }
        Ok(())
    }

    /// Takes the vector of a row away; false when there was none.
    pub fn remove(&mut self, row: u32) -> bool {
        self.working.clear(row)
    }

    /// Applies a batch in order and publishes the result. Refused changes are skipped; each comes back with its position
    /// in the batch and the reason.
    pub fn apply(
        &mut self,
        batch: impl IntoIterator<Item = VectorChange>,
    ) -> (Arc<ExactIndex>, Vec<(usize, VectorError)>) {
        let mut rejected = Vec::new();
        for (position, change) in batch.into_iter().enumerate() {
            match change {
                VectorChange::Upsert { row, vector } => {
                    if let Err(error) = self.upsert(row, &vector) {
                        rejected.push((position, error));
                    }
                }
                VectorChange::Remove { row } => {
                    self.remove(row);
                }
            }
        }
        (self.publish(), rejected)
    }

    /// A snapshot of everything up to now.
    pub fn publish(&self) -> Arc<ExactIndex> {
        Arc::new(self.working.clone())
    }

    /// The working copy, to read what the next snapshot will hold.
    pub fn current(&self) -> &ExactIndex {
        &self.working
    }
}

impl From<ExactIndex> for ExactIndexWriter {
    fn from(working: ExactIndex) -> Self {
        let unit = vec![0.0; working.dim()];
        Self { working, unit }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Barrier;

    use arc_swap::ArcSwap;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::SearchScratch;
    use super::super::testing::{self, admit_all};
    use super::*;

    fn upsert(row: u32, vector: &[f32]) -> VectorChange {
        VectorChange::Upsert {
            row,
            vector: vector.to_vec(),
        }
    }

    #[test]
    fn refused_changes_name_their_position_and_leave_the_row_as_it_was() {
        let mut writer = ExactIndexWriter::new(2).expect("a supported dimension");
        let batch = [
            upsert(0, &[2.0, 0.0]),
            upsert(0, &[0.0, 0.0]),
            upsert(1, &[f32::NAN, 1.0]),
            upsert(2, &[1.0]),
            upsert(ROWS_MAX, &[1.0, 0.0]),
            VectorChange::Remove { row: 77 },
            upsert(3, &[0.0, 5.0]),
        ];
        let (index, rejected) = writer.apply(batch);
        let reasons = [
            (1, VectorError::ZeroVector),
            (2, VectorError::NotFinite { component: 0 }),
            (3, VectorError::WrongDimension { expected: 2, found: 1 }),
            (4, VectorError::RowOutOfRange(ROWS_MAX)),
        ];
        assert_eq!(rejected, reasons);
        assert_eq!(index.rows().map(|(row, _)| row).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(index.vector(0), Some(&[1.0, 0.0][..]));
    }

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let mut writer = ExactIndexWriter::new(2).expect("a supported dimension");
        let (first, _) = writer.apply([upsert(0, &[1.0, 0.0]), upsert(5_000, &[0.0, 1.0])]);
        let (second, _) = writer.apply([VectorChange::Remove { row: 0 }, upsert(5_000, &[1.0, 0.0])]);
        assert_eq!((first.len(), second.len()), (2, 1));
        assert_eq!(first.vector(5_000), Some(&[0.0, 1.0][..]));
        assert_eq!(second.vector(5_000), Some(&[1.0, 0.0][..]));
        assert_eq!(first.changed_rows(&second), [0, 5_000]);
        assert_eq!(second.changed_rows(&second), [0_u32; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_sequence_of_changes_equals_a_map(
            changes in vec((0_u32..3_000, prop::option::of(vec(-2.0_f32..2.0, 5))), 1..300),
            query in vec(-1.0_f32..1.0, 5),
            k in 1_usize..50,
        ) {
            let mut writer = ExactIndexWriter::new(5).expect("a supported dimension");
            let mut model = BTreeMap::new();
            for (row, vector) in &changes {
                match vector {
                    None => prop_assert_eq!(writer.remove(*row), model.remove(row).is_some()),
                    Some(vector) => {
                        let mut unit = [0.0; 5];
                        prop_assert_eq!(writer.upsert(*row, vector), normalise(vector, &mut unit));
                        if vector.iter().any(|&value| value != 0.0) {
                            model.insert(*row, unit.to_vec());
                        }
                    }
                }
            }
            let index = writer.publish();
            let found: Vec<(u32, Vec<f32>)> = index.rows().map(|(row, unit)| (row, unit.to_vec())).collect();
            prop_assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(index.len(), model.len());

            let mut unit_query = [0.0; 5];
            prop_assume!(normalise(&query, &mut unit_query).is_ok());
            let mut scores: Vec<f32> = model.values().map(|unit| super::super::dot_f32(unit, &unit_query)).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            scores.truncate(k);
            let (mut scratch, mut out) = Default::default();
            index.search(&query, k, &mut admit_all, &mut scratch, &mut out);
            prop_assert_eq!(out.iter().map(|found| found.score).collect::<Vec<_>>(), scores);
        }
    }

    #[test]
    fn readers_see_whole_batches_while_a_writer_works() {
        const BATCHES: u32 = 40;
        let data = testing::clustered(2_100, 8, 10, 0.6, 3);
        let mut writer = ExactIndexWriter::new(8).expect("a supported dimension");
        let published = ArcSwap::from(writer.publish());
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut scratch = SearchScratch::default();
                    let mut out = Vec::new();
                    start.wait();
                    loop {
                        let index = published.load_full();
                        index.search(&data[0], 3_000, &mut admit_all, &mut scratch, &mut out);
                        assert_eq!(out.len(), index.len());
                        // Every batch fills one row range for all of its rows, so a torn batch would show.
                        assert_eq!(index.len() % 50, 0);
                        if index.len() == 50 * BATCHES as usize {
                            break;
                        }
                    }
                });
            }
            start.wait();
            for batch in 0..BATCHES {
                let rows = batch * 50..(batch + 1) * 50;
                let (index, rejected) = writer.apply(rows.map(|row| upsert(row, &data[row as usize])));
                assert!(rejected.is_empty());
                published.store(index);
            }
        });
    }
}
