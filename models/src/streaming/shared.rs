//! What the features know about items, authors, tags, surfaces and their crosses: shared by all viewers.
//!
//! Owns the bounded tables and their updates. Must not know viewers.

use serde::{Deserialize, Serialize};

use super::bounded_table::{BoundedTable, cross};
use super::factors::Factor;
use super::outcome::{Impression, LANE_COUNT, Lane, LaneRow, TAGS_MAX};
use super::rates::{DecayedCell, LiftCell, RateCell, combine};
use super::viewer::ViewCell;

/// Items known at once by default; beyond it the item untouched for longest is forgotten.
pub const ITEMS_MAX: usize = 1 << 16;
/// Other keys known at once by default: authors, tags, surfaces, attributes and crosses.
pub const KEYS_MAX: usize = 1 << 17;
/// Half-lives of an item's forgetting counts.
pub const ITEM_HALF_LIVES_MS: [f32; 2] = [6.0 * 3_600_000.0, 36.0 * 3_600_000.0];
/// Half-life of the rates over everything.
const GLOBAL_HALF_LIFE_MS: f32 = 72.0 * 3_600_000.0;
/// Impressions of belief in a parent, by how much of the parent's spread a level usually explains.
const COARSE_STRENGTH: f32 = 50.0;
const FINE_STRENGTH: f32 = 15.0;
/// The rates before anything was seen.
const NEUTRAL: LaneRow = [0.5; LANE_COUNT];

/// One item.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ItemState {
    /// All impressions.
    pub shown: RateCell,
    /// Impressions, forgetting by [`ITEM_HALF_LIVES_MS`].
    pub lately: [DecayedCell; 2],
    /// Outcomes over expectation.
    pub lift: LiftCell,
    /// Views.
    pub viewed: ViewCell,
    /// Factors per predicted lane.
    pub factors: [Factor; 4],
    /// First and last impression; 0 is never.
    pub first_at_ms: i64,
    /// Last impression.
    pub last_at_ms: i64,
}

/// Any other key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct KeyState {
    /// Impressions.
    pub shown: RateCell,
    /// Views.
    pub viewed: ViewCell,
}

/// What kind of key an id is; kinds never collide.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub enum KeyKind {
    /// A surface.
    Surface = 1,
    /// A duration bucket.
    Bucket,
    /// Surface × duration bucket.
    SurfaceBucket,
    /// A tag.
    Tag,
    /// An author.
    Author,
    /// Item × surface.
    ItemSurface,
    /// An item attribute (column × value).
    ItemAttribute,
    /// A viewer attribute (column × value).
    ViewerAttribute,
    /// Hour of the day.
    Hour,
}

/// Rates of the levels an impression belongs to, each shrunk towards its parent.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    /// Everything.
    pub global: LaneRow,
    /// The surface.
    pub surface: LaneRow,
    /// The duration bucket.
    pub bucket: LaneRow,
    /// Surface × duration.
    pub surface_bucket: LaneRow,
    /// The tags, averaged.
    pub tag: LaneRow,
    /// The author.
    pub author: LaneRow,
    /// The item.
    pub item: LaneRow,
    /// The item on this surface.
    pub item_surface: LaneRow,
}

/// The shared state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamingFeatures {
    global: DecayedCell,
    viewed: ViewCell,
    items: BoundedTable<ItemState>,
    keys: BoundedTable<KeyState>,
}

impl Default for StreamingFeatures {
    fn default() -> Self {
        Self::with_capacity(ITEMS_MAX, KEYS_MAX)
    }
}

impl StreamingFeatures {
    /// Nothing known yet, with room for so many items and other keys; the room is taken at once.
    #[must_use]
    pub fn with_capacity(items_max: usize, keys_max: usize) -> Self {
        Self {
            global: DecayedCell::default(),
            viewed: ViewCell::default(),
            items: BoundedTable::new(items_max),
            keys: BoundedTable::new(keys_max),
        }
    }

    /// Learns a view from a history without impressions.
    pub fn warm(&mut self, impression: &Impression<'_>, long: bool, liked: bool) {
        self.viewed.add(long, liked);
        self.items.entry(impression.item).viewed.add(long, liked);
        self.for_view_keys(impression, |state| state.viewed.add(long, liked));
    }

    /// Learns an outcome; `expected` is what the viewer and surface alone led to expect.
    pub fn learn(&mut self, impression: &Impression<'_>, outcome: &LaneRow, expected: &LaneRow) {
        self.global.add(outcome, impression.at_ms, GLOBAL_HALF_LIFE_MS);
        let item = self.items.entry(impression.item);
        item.shown.add(outcome);
        for (cell, half_life_ms) in item.lately.iter_mut().zip(ITEM_HALF_LIVES_MS) {
            cell.add(outcome, impression.at_ms, half_life_ms);
        }
        item.lift.add(outcome, expected);
        if item.first_at_ms == 0 {
            item.first_at_ms = impression.at_ms;
        }
        item.last_at_ms = impression.at_ms;
        self.for_shown_keys(impression, |state| state.shown.add(outcome));
        if outcome[Lane::Click as usize] > 0.5 {
            let (long, liked) = (
                outcome[Lane::LongView as usize] > 0.5,
                outcome[Lane::Like as usize] > 0.5,
            );
            self.warm(impression, long, liked);
        }
    }

    /// The item, if known.
    #[must_use]
    pub fn item(&self, item: u64) -> Option<&ItemState> {
        self.items.get(item)
    }

    /// The item, made when new.
    pub(super) fn item_mut(&mut self, item: u64) -> &mut ItemState {
        self.items.entry(item)
    }

    /// Any other key, if known.
    #[must_use]
    pub fn key(&self, kind: KeyKind, id: u64) -> KeyState {
        self.keys.get(cross(id, kind as u64)).copied().unwrap_or_default()
    }

    /// Long and like rate of any view.
    #[must_use]
    pub fn view_rates(&self) -> [f32; 2] {
        self.viewed.shrunk([0.5, 0.5], 1.0)
    }

    /// Everything's rates now.
    #[must_use]
    pub fn global(&self, at_ms: i64) -> LaneRow {
        self.global.read(at_ms, GLOBAL_HALF_LIFE_MS).shrunk(&NEUTRAL, 1.0)
    }

    /// The levels of an impression.
    #[must_use]
    pub fn levels(&self, impression: &Impression<'_>) -> Levels {
        let global = self.global(impression.at_ms);
        let bucket_id = impression.duration_bucket() as u64;
        let rates = |kind, id, parent: &LaneRow, strength| self.key(kind, id).shown.shrunk(parent, strength);
        let surface = rates(KeyKind::Surface, impression.surface, &global, COARSE_STRENGTH);
        let bucket = rates(KeyKind::Bucket, bucket_id, &global, COARSE_STRENGTH);
        let surface_bucket = rates(
            KeyKind::SurfaceBucket,
            cross(impression.surface, bucket_id),
            &combine(&surface, &bucket, &global),
            COARSE_STRENGTH,
        );
        let tag = mean_rows(
            impression
                .counted_tags()
                .map(|tag| rates(KeyKind::Tag, tag, &global, COARSE_STRENGTH)),
            &global,
        );
        let content = combine(&tag, &bucket, &global);
        let author = if impression.author == 0 {
            content
        } else {
            rates(KeyKind::Author, impression.author, &content, FINE_STRENGTH)
        };
        let item = self
            .item(impression.item)
            .map_or(author, |item| item.shown.shrunk(&author, FINE_STRENGTH));
        let item_surface = rates(
            KeyKind::ItemSurface,
            cross(impression.item, impression.surface),
            &combine(&item, &surface, &global),
            FINE_STRENGTH,
        );
        Levels {
            global,
            surface,
            bucket,
            surface_bucket,
            tag,
            author,
            item,
            item_surface,
        }
    }

    /// Bytes of the tables, which are allocated at once and never grow.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.items.memory_bytes() + self.keys.memory_bytes()
    }

    fn for_view_keys(&mut self, impression: &Impression<'_>, mut act: impl FnMut(&mut KeyState)) {
        for tag in impression.counted_tags() {
            act(self.keys.entry(cross(tag, KeyKind::Tag as u64)));
        }
        if impression.author != 0 {
            act(self.keys.entry(cross(impression.author, KeyKind::Author as u64)));
        }
    }

    fn for_shown_keys(&mut self, impression: &Impression<'_>, mut act: impl FnMut(&mut KeyState)) {
        let bucket = impression.duration_bucket() as u64;
        let mut touch = |kind: KeyKind, id: u64| act(self.keys.entry(cross(id, kind as u64)));
        touch(KeyKind::Surface, impression.surface);
        touch(KeyKind::Bucket, bucket);
        touch(KeyKind::SurfaceBucket, cross(impression.surface, bucket));
        for tag in impression.counted_tags() {
            touch(KeyKind::Tag, tag);
        }
        if impression.author != 0 {
            touch(KeyKind::Author, impression.author);
        }
        touch(KeyKind::ItemSurface, cross(impression.item, impression.surface));
        touch(KeyKind::Hour, hour_of_day(impression.at_ms));
        for attribute in impression.known_item_attributes() {
            touch(KeyKind::ItemAttribute, attribute);
        }
        for attribute in impression.known_viewer_attributes() {
            touch(KeyKind::ViewerAttribute, attribute);
        }
    }
}

/// Hour of the day in UTC; only its periodicity matters.
#[must_use]
pub fn hour_of_day(at_ms: i64) -> u64 {
    (at_ms.div_euclid(3_600_000)).rem_euclid(24) as u64
}

fn mean_rows(rows: impl Iterator<Item = LaneRow>, fallback: &LaneRow) -> LaneRow {
    let (mut sum, mut count) = ([0.0; LANE_COUNT], 0.0);
    for row in rows.take(TAGS_MAX) {
        count += 1.0;
        for (total, value) in sum.iter_mut().zip(row) {
            *total += value;
        }
    }
    if count == 0.0 {
        *fallback
    } else {
        sum.map(|total| total / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(item: u64, surface: u64) -> Impression<'static> {
        Impression {
            at_ms: 1_000,
            item,
            author: 9,
            tags: &[4],
            surface,
            duration_ms: 10_000,
            uploaded_at_ms: None,
            item_attributes: &[],
            viewer_attributes: &[],
        }
    }

    #[test]
    fn an_unknown_item_is_believed_to_be_like_its_author() {
        let mut shared = StreamingFeatures::default();
        for _ in 0..200 {
            shared.learn(&shown(1, 1), &[1.0; LANE_COUNT], &[0.5; LANE_COUNT]);
            let other = Impression {
                author: 8,
                tags: &[5],
                ..shown(2, 1)
            };
            shared.learn(&other, &[0.0; LANE_COUNT], &[0.5; LANE_COUNT]);
        }
        let (fresh, known) = (shared.levels(&shown(3, 1)), shared.levels(&shown(1, 1)));
        assert!(fresh.item[0] > 0.8, "by a good author: {}", fresh.item[0]);
        assert!(known.item[0] > fresh.item[0]);
        assert!((fresh.global[0] - 0.5).abs() < 0.01);
    }

    #[test]
    fn nothing_known_is_neutral() {
        let levels = StreamingFeatures::default().levels(&shown(1, 1));
        assert!(levels.item_surface.iter().all(|rate| (rate - 0.5).abs() < 1e-4));
    }

    #[test]
    fn surfaces_are_kept_apart() {
        let mut shared = StreamingFeatures::default();
        for _ in 0..300 {
            shared.learn(&shown(1, 1), &[1.0; LANE_COUNT], &[0.5; LANE_COUNT]);
            shared.learn(&shown(1, 2), &[0.0; LANE_COUNT], &[0.5; LANE_COUNT]);
        }
        assert!(shared.levels(&shown(1, 1)).item_surface[0] > 0.9);
        assert!(shared.levels(&shown(1, 2)).item_surface[0] < 0.1);
        assert_eq!(shared.item(1).map(|item| item.shown.count), Some(600.0));
    }

    #[test]
    fn hours_are_of_the_day() {
        assert_eq!(
            (hour_of_day(0), hour_of_day(25 * 3_600_000), hour_of_day(-1)),
            (0, 1, 23)
        );
    }
}
