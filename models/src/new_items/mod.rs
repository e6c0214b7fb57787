//! New items and the impressions that they are guaranteed.
//!
//! Owns: which items are owed impressions (a bounded table, made again every second beside the requests), the pace at
//! which they get them (`progress`), and which of them a request gives a slot. Impressions are counted where all are, in
//! the items' statistics on the board, so that a restart forgets nothing. Must not rank: a slot that is owed is given.

mod pending;
mod progress;

pub use progress::{Progress, ProgressState};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use self::pending::Pending;
use crate::catalogue::CatalogueSnapshot;
use crate::ids::Row;
use crate::params::ColdStartParams;
use crate::pipeline::{Taste, cosine};
use crate::popularity::{Board, BoardEntry, ScoredRow};
use crate::recall::Admission;
use crate::time::{MINUTE_MS, TimestampMs};

/// The most items that are guaranteed impressions at a time; of more, those that lag furthest behind.
pub const NEW_ITEMS_MAX: usize = 10_000;
/// So many of the table a request looks at: the first half those that lag most, the others wherever chance points, so
/// that with many new items each viewer is offered others.
const LOOKED_AT_MAX: usize = 64;
/// How near a viewer's taste a new item must be while there is time to wait for such viewers.
const FIT_COSINE: f32 = 0.4;
/// A slot counts as given for this share of the time to the deadline, within the limits behind it.
const PENDING_SHARE: i64 = 20;
const PENDING_MS_MIN: i64 = 100;
const PENDING_MS_MAX: i64 = MINUTE_MS;

/// How many new items stand where; what a refresh found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewItemCounts {
    /// Along their pace.
    pub pacing: usize,
    /// Past the deadline.
    pub late: usize,
    /// Had all of their impressions since the refresh before.
    pub done: usize,
    /// Given up since the refresh before.
    pub stopped: usize,
}

/// The items that are owed impressions, the furthest behind first.
#[derive(Debug, Default)]
struct Table {
    rows: Vec<Row>,
    /// What the catalogue's version was.
    version: u64,
    /// `None` before the first refresh.
    usual_skip_rate: Option<f32>,
}

/// New items. Any thread may ask at any time.
#[derive(Default)]
pub struct NewItems {
    table: ArcSwap<Table>,
    pending: Pending,
    /// Rows put since the last refresh; bounded like the table.
    noted: Mutex<Vec<Row>>,
}

/// An item that a request shall show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Owed {
    /// Which.
    pub(crate) row: Row,
    /// Whether it may stand first: it fits the viewer, or there is no time left to wait.
    pub(crate) may_lead: bool,
}

/// What a request looks at when it chooses.
pub(crate) struct Ask<'a> {
    /// What may be shown.
    pub(crate) admission: &'a Admission<'a>,
    /// How items do.
    pub(crate) board: &'a Board,
    /// How an item does of which nothing is known.
    pub(crate) prior: &'a BoardEntry,
    /// Whom it must fit.
    pub(crate) taste: &'a Taste,
    /// The numbers.
    pub(crate) params: &'a ColdStartParams,
    /// When.
    pub(crate) now: TimestampMs,
    /// Where chance points.
    pub(crate) chance: u64,
}

impl NewItems {
    /// Items were put: the next refresh looks at them, wherever they stand in the catalogue.
    pub fn note(&self, rows: impl Iterator<Item = Row>) {
        let mut noted = self.noted.lock();
        let room = NEW_ITEMS_MAX.saturating_sub(noted.len());
        noted.extend(rows.take(room));
    }

    /// Makes the table again: from the one before, from what was put since, and the first time from the whole catalogue.
    pub fn refresh(
        &self,
        snapshot: &CatalogueSnapshot,
        board: &Board,
        prior: &BoardEntry,
        usual_skip_rate: f32,
        params: &ColdStartParams,
        now: TimestampMs,
    ) -> NewItemCounts {
        let before = self.table.load();
        let noted = std::mem::take(&mut *self.noted.lock());
        let mut known = before.rows.clone();
        known.sort_unstable();
        let mut rows = known.clone();
        rows.extend(noted.into_iter().chain(snapshot.changed_since(before.version)));
        rows.extend(snapshot.latest(None));
        if before.usual_skip_rate.is_none() {
            rows.extend(snapshot.iter().map(|(row, _)| row));
        }
        // In the order in which they lie in memory, and each once.
        rows.sort_unstable();
        rows.dedup();
        let was_open = |row: &Row| usize::from(known.binary_search(row).is_ok());
        let mut counts = NewItemCounts::default();
        let mut open: Vec<ScoredRow> = Vec::new();
        for row in rows {
            let Some(entry) = snapshot.entry(row).filter(|entry| !entry.hidden) else {
                continue;
            };
            let shown = board.read_or(row, prior);
            let Some(progress) = Progress::of(entry.created_at, &shown, usual_skip_rate, params, now) else {
                continue;
            };
            match progress.state {
                ProgressState::Pacing => counts.pacing += 1,
                ProgressState::Late => counts.late += 1,
                // Only what was in the table has just come to its end.
                ProgressState::Done => counts.done += was_open(&row),
                ProgressState::Stopped => counts.stopped += was_open(&row),
            }
            if progress.is_open() {
                let score = progress.owed() as f32 / progress.target.max(1) as f32;
                open.push(ScoredRow { row, score });
            }
        }
        crate::popularity::keep_best(&mut open, NEW_ITEMS_MAX);
        self.table.store(std::sync::Arc::new(Table {
            rows: open.iter().map(|one| one.row).collect(),
            version: snapshot.version(),
            usual_skip_rate: Some(usual_skip_rate),
        }));
        counts
    }

    /// How far an item has come; `None` when it is not new, or nothing is guaranteed.
    #[must_use]
    pub fn progress(
        &self,
        created_at: TimestampMs,
        entry: &BoardEntry,
        params: &ColdStartParams,
        prior: &BoardEntry,
        now: TimestampMs,
    ) -> Option<Progress> {
        let usual = self.table.load().usual_skip_rate.unwrap_or(prior.skip_rate);
        Progress::of(created_at, entry, usual, params, now)
    }

    /// The item that is owed a slot of this viewer's feed, and is not in `taken`. Fitting viewers come first; the less
    /// time is left, the less an item has to fit. The slot counts as given at once, so that not every session gives it.
    pub(crate) fn choose(&self, ask: &Ask<'_>, taken: &[Owed]) -> Option<Owed> {
        let table = self.table.load();
        let usual = table.usual_skip_rate.unwrap_or(ask.prior.skip_rate);
        let period_ms = (ask.params.new_item_deadline_ms / PENDING_SHARE).clamp(PENDING_MS_MIN, PENDING_MS_MAX);
        let mut best: Option<(f32, Owed)> = None;
        let fresh = ask.admission.snapshot.changed_since(table.version);
        for row in fresh.chain(looked_at(&table.rows, ask.chance)) {
            if taken.iter().any(|known| known.row == row) {
                continue;
            }
            if ask.admission.check(row).is_err() {
                continue;
            }
            let Some(entry) = ask.admission.snapshot.entry(row) else {
                continue;
            };
            let shown = ask.board.read_or(row, ask.prior);
            let Some(progress) = Progress::of(entry.created_at, &shown, usual, ask.params, ask.now) else {
                continue;
            };
            let given = self.pending.count(row, period_ms, ask.now);
            if !progress.is_open() || progress.owed() <= given {
                continue;
            }
            let vector = ask.admission.snapshot.vector(row).filter(|_| ask.taste.has_blended);
            let likeness = vector.map_or(0.0, |vector| cosine(&ask.taste.blended, vector));
            let pressure = progress.pressure();
            if likeness < FIT_COSINE - (1.0 + FIT_COSINE) * pressure {
                continue;
            }
            let missing = (progress.owed() - given) as f32 / progress.target.max(1) as f32;
            let score = likeness + missing + pressure;
            if best.is_none_or(|(known, _)| score > known) {
                let may_lead = likeness >= FIT_COSINE || pressure >= 1.0;
                best = Some((score, Owed { row, may_lead }));
            }
        }
        let (_, owed) = best?;
        self.pending.note(owed.row, period_ms, ask.now);
        Some(owed)
    }
}

/// The rows of a table that one request looks at.
fn looked_at(rows: &[Row], chance: u64) -> impl Iterator<Item = Row> + '_ {
    let (first, others) = rows.split_at(rows.len().min(LOOKED_AT_MAX / 2));
    let start = if others.is_empty() {
        0
    } else {
        (chance % others.len() as u64) as usize
    };
    let around = others[start..].iter().chain(&others[..start]);
    first.iter().chain(around.take(LOOKED_AT_MAX / 2)).copied()
}

#[cfg(test)]
mod tests;
