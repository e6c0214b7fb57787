//! A table by row that many threads read and fill while it grows, without moving what is in it.
//!
//! Owns chunked, lazy allocation. Must not know what a cell holds; a cell brings its own synchronisation.

use std::sync::OnceLock;

/// Cells per chunk; a chunk is allocated whole when the first of its cells is needed.
pub(crate) const CHUNK_CELLS: usize = 1_024;

/// A fixed table of chunks, each made once, on first use. A cell never moves, so that a reference to it needs no lock.
pub(crate) struct ChunkTable<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default> ChunkTable<T> {
    /// Room for the cells `0..cells_max`, rounded up to whole chunks: 16 bytes per [`CHUNK_CELLS`] cells until used.
    pub(crate) fn new(cells_max: usize) -> Self {
        Self {
            chunks: (0..cells_max.div_ceil(CHUNK_CELLS)).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The cell, if its chunk has been made.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_CELLS)?.get()?.get(index % CHUNK_CELLS)
    }

    /// The cell, its chunk made when need be; `None` beyond the table's end.
    pub(crate) fn get_or_make(&self, index: usize) -> Option<&T> {
        let chunk = self.chunks.get(index / CHUNK_CELLS)?;
        chunk
            .get_or_init(|| (0..CHUNK_CELLS).map(|_| T::default()).collect())
            .get(index % CHUNK_CELLS)
    }

    /// Number of chunks, made or not.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The cells of a chunk, if it has been made.
    pub(crate) fn chunk(&self, index: usize) -> Option<&[T]> {
        self.chunks.get(index)?.get().map(|cells| &**cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn cells_are_made_on_first_use_and_end_where_the_table_ends() {
        let table: ChunkTable<AtomicU32> = ChunkTable::new(CHUNK_CELLS + 1);
        assert_eq!(table.chunk_count(), 2);
        assert!(table.get(3).is_none() && table.chunk(0).is_none());
        table.get_or_make(3).expect("inside").store(7, Ordering::Relaxed);
        assert_eq!(table.get(3).map(|cell| cell.load(Ordering::Relaxed)), Some(7));
        assert_eq!(table.get(4).map(|cell| cell.load(Ordering::Relaxed)), Some(0));
        assert!(table.chunk(1).is_none());
        assert!(table.get_or_make(2 * CHUNK_CELLS).is_none() && table.get(usize::MAX).is_none());
    }
}
