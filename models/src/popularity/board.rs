//! The board that rankers read: every item's latest reading, without a lock.
//!
//! Owns the layout and the memory order. Must not compute anything: it shows what was published.
//!
//! Each field is an atomic of its own. A reader that meets a writer may see some fields of the new reading and some of
//! the one before; each field by itself is always one that was published. Rankers do not mind: both were true a moment
//! ago. Popularity is published as a [`DecayStamp`], in the log domain of forward decay, so that a row nobody touches
//! any more fades on the board by itself and rows compare at any moment.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::chunk_table::ChunkTable;
use super::forward_decay::DecayStamp;
use super::item_stats::{ItemReading, ItemStats};
use super::windows::WINDOW_COUNT;
use crate::ids::Row;
use crate::params::PopularityParams;
use crate::time::TimestampMs;

/// The most rows of a board: 16 M. The empty table takes 256 KiB, each 1 024 rows in use 64 KiB more.
pub const BOARD_ROWS_MAX: usize = 1 << 24;

/// In place of a popularity: nothing has been published. No stamp looks like this (a NaN in the last minute of time).
const UNPUBLISHED: u64 = u64::MAX;

/// The row lies beyond [`BOARD_ROWS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("row {0} is beyond the board's {BOARD_ROWS_MAX} rows")]
pub struct BoardFull(pub Row);

/// What the board shows of an item; the fields are those of [`ItemReading`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // each field is the one of its name in ItemReading
pub struct BoardEntry {
    pub popularity: DecayStamp,
    pub like_rate: f32,
    pub skip_rate: f32,
    pub completion_rate: f32,
    pub share_rate: f32,
    pub impressions: u32,
    pub rejections: u32,
    pub window_scores: [f32; WINDOW_COUNT],
    pub trend: f32,
}

impl BoardEntry {
    /// The entry of an item that nobody has seen. Make it once per request, not once per row.
    #[must_use]
    pub fn prior(params: &PopularityParams) -> Self {
        Self::from(&ItemStats::default().reading(TimestampMs(0), params))
    }
}

impl From<&ItemReading> for BoardEntry {
    fn from(reading: &ItemReading) -> Self {
        Self {
            popularity: reading.popularity,
            like_rate: reading.like_rate,
            skip_rate: reading.skip_rate,
            completion_rate: reading.completion_rate,
            share_rate: reading.share_rate,
            impressions: reading.impressions,
            rejections: reading.rejections,
            window_scores: reading.window_scores,
            trend: reading.trend,
        }
    }
}

/// One row of the board: 56 bytes, in a cache line of its own.
#[repr(align(64))]
struct Cell {
    popularity: AtomicU64,
    rates: [AtomicU32; 4],
    impressions: AtomicU32,
    rejections: AtomicU32,
    window_scores: [AtomicU32; WINDOW_COUNT],
    trend: AtomicU32,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            popularity: AtomicU64::new(UNPUBLISHED),
            rates: Default::default(),
            impressions: AtomicU32::default(),
            rejections: AtomicU32::default(),
            window_scores: Default::default(),
            trend: AtomicU32::default(),
        }
    }
}

/// The board. Shared by all threads; grows in chunks of 1 024 rows that never move.
pub struct Board {
    cells: ChunkTable<Cell>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            cells: ChunkTable::new(BOARD_ROWS_MAX),
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// Shows `reading` for `row` from now on.
    ///
    /// # Errors
    /// When the row lies beyond the board.
    pub fn publish(&self, row: Row, reading: &ItemReading) -> Result<(), BoardFull> {
        let cell = self.cells.get_or_make(row as usize).ok_or(BoardFull(row))?;
        let store = |atomic: &AtomicU32, number: f32| atomic.store(number.to_bits(), Ordering::Relaxed);
        let rates = [
            reading.like_rate,
            reading.skip_rate,
            reading.completion_rate,
            reading.share_rate,
        ];
        for (atomic, rate) in cell.rates.iter().zip(rates) {
            store(atomic, rate);
        }
        for (atomic, score) in cell.window_scores.iter().zip(reading.window_scores) {
            store(atomic, score);
        }
        store(&cell.trend, reading.trend);
        cell.impressions.store(reading.impressions, Ordering::Relaxed);
        cell.rejections.store(reading.rejections, Ordering::Relaxed);
        // Last and with release: whoever sees a popularity sees no zeros of a fresh cell beside it.
        cell.popularity.store(reading.popularity.to_bits(), Ordering::Release);
        Ok(())
    }

    /// What is shown for `row`; `prior` when nothing has been published.
    #[must_use]
    pub fn read_or(&self, row: Row, prior: &BoardEntry) -> BoardEntry {
        self.read(row).unwrap_or(*prior)
    }

    /// What is shown for `row`; `None` when nothing has been published.
    #[must_use]
    pub fn read(&self, row: Row) -> Option<BoardEntry> {
        let cell = self.cells.get(row as usize)?;
        let popularity = cell.popularity.load(Ordering::Acquire);
        if popularity == UNPUBLISHED {
            return None;
        }
        let load = |atomic: &AtomicU32| f32::from_bits(atomic.load(Ordering::Relaxed));
        Some(BoardEntry {
            popularity: DecayStamp::from_bits(popularity),
            like_rate: load(&cell.rates[0]),
            skip_rate: load(&cell.rates[1]),
            completion_rate: load(&cell.rates[2]),
            share_rate: load(&cell.rates[3]),
            impressions: cell.impressions.load(Ordering::Relaxed),
            rejections: cell.rejections.load(Ordering::Relaxed),
            window_scores: cell.window_scores.each_ref().map(load),
            trend: load(&cell.trend),
        })
    }

    /// The like rate and the skip rate that are shown for `row`; `None` when nothing has been published.
    #[must_use]
    pub fn like_and_skip_rate(&self, row: Row) -> Option<(f32, f32)> {
        let cell = self.cells.get(row as usize)?;
        let rate = |place: usize| f32::from_bits(cell.rates[place].load(Ordering::Relaxed));
        (cell.popularity.load(Ordering::Acquire) != UNPUBLISHED).then(|| (rate(0), rate(1)))
    }

    /// Brings what is shown for these rows into the caches: a loop that only loads waits for many rows at a time.
    pub fn fetch(&self, rows: &[Row]) {
        let cells = rows.iter().filter_map(|row| self.cells.get(*row as usize));
        let read = |seen, cell: &Cell| seen ^ cell.popularity.load(Ordering::Relaxed);
        std::hint::black_box(cells.fold(0, read));
    }

    /// Shows nothing for `row` any more.
    pub fn clear(&self, row: Row) {
        if let Some(cell) = self.cells.get(row as usize) {
            cell.popularity.store(UNPUBLISHED, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::popularity::forward_decay::ForwardDecay;
    use crate::time::DAY_MS;
    use std::sync::atomic::AtomicBool;

    /// A reading in which every field is made of one number, so that a torn field shows.
    fn reading(number: u32) -> ItemReading {
        let fraction = number as f32;
        let mut popularity = ForwardDecay::default();
        popularity.add(f64::from(number) + 1.0, TimestampMs(i64::from(number) * 60_000), DAY_MS);
        ItemReading {
            popularity: popularity.stamp(DAY_MS),
            like_rate: fraction,
            skip_rate: fraction + 0.25,
            completion_rate: fraction + 0.5,
            share_rate: fraction + 0.75,
            impressions: number,
            rejections: number,
            window_scores: [fraction, fraction * 2.0, fraction * 3.0, fraction * 4.0],
            trend: fraction + 0.125,
            is_viral: false,
            regions: smallvec::SmallVec::new(),
        }
    }

    #[test]
    fn a_row_reads_as_published_and_as_the_prior_before_and_after() {
        let board = Board::default();
        let prior = BoardEntry::prior(&PopularityParams::default());
        for row in [0, 5_000, BOARD_ROWS_MAX as Row - 1] {
            assert_eq!(board.read_or(row, &prior), prior);
            board.publish(row, &reading(row % 99)).expect("inside");
            assert_eq!(board.read(row), Some(BoardEntry::from(&reading(row % 99))));
            board.clear(row);
            assert_eq!(board.read(row), None);
        }
        assert_eq!(
            board.publish(BOARD_ROWS_MAX as Row, &reading(1)),
            Err(BoardFull(BOARD_ROWS_MAX as Row))
        );
        assert_eq!(board.read(Row::MAX), None);
    }

    #[test]
    fn no_field_tears_under_concurrent_writers() {
        const ROWS: Row = 3_000;
        let (board, done) = (Board::default(), AtomicBool::new(false));
        let whole = |entry: &BoardEntry| {
            let is_number = |value: f32| value.fract() == 0.0 && (0.0..500.0).contains(&value);
            let minute = entry.popularity.to_bits() as u32;
            is_number(entry.like_rate)
                && is_number(entry.skip_rate - 0.25)
                && is_number(entry.completion_rate - 0.5)
                && is_number(entry.trend - 0.125)
                && is_number(entry.window_scores[3] / 4.0)
                && entry.impressions < 500
                && entry.popularity == reading(minute).popularity
        };
        std::thread::scope(|scope| {
            let writers = [1_u32, 7].map(|step| {
                let board = &board;
                scope.spawn(move || {
                    for round in 0..10 * ROWS {
                        let row = round.wrapping_mul(step) % ROWS;
                        board.publish(row, &reading(round * step % 500)).expect("inside");
                        if round % 11 == 0 {
                            board.clear(row);
                        }
                    }
                })
            });
            let readers = [0, 1].map(|_| {
                let (board, done) = (&board, &done);
                scope.spawn(move || {
                    let mut read = 0_u64;
                    while !done.load(Ordering::Acquire) || read == 0 {
                        for entry in (0..ROWS).filter_map(|row| board.read(row)) {
                            assert!(whole(&entry), "{entry:?}");
                            read += 1;
                        }
                    }
                })
            });
            for writer in writers {
                writer.join().expect("writes");
            }
            done.store(true, Ordering::Release);
            for reader in readers {
                reader.join().expect("reads whole fields");
            }
        });
    }
}
