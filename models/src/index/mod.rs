//! The embedding index: which items lie nearest to an interest vector, asked with the exposure test inside the search.
//!
//! Owns: unit vectors by catalogue row, the exact int8 scan, the hnsw graph beside it, their encodings, and the choice
//! between the two. Must not: know items, users or filters (a caller's `admit` closure is all it sees), read a clock, or
//! decide on threads; only `dump` touches files, in a directory that the caller names.

mod block;
mod choose;
mod codec;
mod dump;
mod exact;
mod graph_state;
mod hnsw;
mod hnsw_params;
mod manifest;
mod search;
mod simd;
#[cfg(test)]
mod testing;
mod vector;
mod writer;

pub use choose::{EXACT_ITEMS_MAX_DEFAULT, EmbeddingIndex, EmbeddingIndexWriter, GraphBuild, IndexParams, IndexUpdate};
pub use codec::{CodecError, decode, encode};
pub use dump::{DumpError, dump_hnsw, load_hnsw};
pub use exact::ExactIndex;
pub use hnsw::{BuildThreads, HnswIndex};
pub use hnsw_params::{HnswError, HnswParams};
pub use search::SearchScratch;
pub use simd::dot_f32;
pub use vector::{DIMENSION_MAX, ROWS_MAX, VectorError, normalise};
pub use writer::{ExactIndexWriter, VectorChange};

/// One item found near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Dense catalogue row of the item.
    pub row: u32,
    /// Inner product of the two unit vectors, that is their cosine, about -1 to 1.
    pub score: f32,
}

/// What recall asks of any index of unit vectors. All methods may be called from several threads at once.
pub trait VectorIndex: Send + Sync {
    /// Number of components of every vector.
    fn dim(&self) -> usize;

    /// Number of rows that hold a vector now.
    fn len(&self) -> usize;

    /// Whether no row holds a vector.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts into `out` the `k` rows with the highest cosine to `query` among those that `admit` lets through, best
    /// first, equal scores by the smaller row. Whenever `k` live rows are admitted, `k` are returned.
    ///
    /// `query` need not be normalised; one of the wrong length, of zero length or with a component that is not finite
    /// has no neighbours and leaves `out` empty. `admit` is asked only for rows that would otherwise enter the answer; it
    /// must be a pure test, because it may be asked about one row more than once.
    fn search(
        &self,
        query: &[f32],
        k: usize,
        admit: &mut dyn FnMut(u32) -> bool,
        scratch: &mut SearchScratch,
        out: &mut Vec<Neighbour>,
    );
}
