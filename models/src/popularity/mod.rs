//! Popularity: what all viewers together do with an item, by window, by region and decayed over time.
//!
//! Owns: one item's statistics, the lock-free board on which they are published, and the trending lists made from them.
//! Must not: know viewers or items beyond rows and words, read a clock, or decide when something is published.

mod board;
mod burst;
mod chunk_table;
mod counts;
mod forward_decay;
mod item_stats;
mod popular_window;
mod regions;
mod scored_row;
mod scoring;
mod top_list;
mod trending;
mod trending_patch;
mod trending_place;
mod voices;
mod windows;

pub use board::{BOARD_ROWS_MAX, Board, BoardEntry, BoardFull};
pub(crate) use chunk_table::{CHUNK_CELLS, ChunkTable};
pub use counts::{Counter, Counts};
pub(crate) use forward_decay::halvings;
pub use forward_decay::{DecayStamp, ForwardDecay};
pub use item_stats::{ItemReading, ItemSignal, ItemStats};
pub use popular_window::PopularWindow;
pub use regions::{REGIONS_MAX, RegionReading};
pub use scored_row::{ScoredRow, keep_best};
pub(crate) use scored_row::{keep_best_admitted, keep_best_or_all};
pub use scoring::PRIOR_SHARE_RATE;
pub use trending::{TrendingBuilder, TrendingLists};
pub use trending_place::{CATEGORY_LISTS_MAX, REGION_CATEGORY_LISTS_MAX, REGION_LISTS_MAX};
pub use windows::{WINDOW_COUNT, WindowSpan, Windows};
