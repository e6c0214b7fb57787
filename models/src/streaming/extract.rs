//! From an impression and the two states to one row of numbers.
//!
//! Owns the schema: the columns are named where they are computed, so a name cannot drift from its value. Allocates
//! nothing; learns nothing. Unknown is NaN (or the parent's rate, where a rate has a parent).

use super::outcome::{Impression, LABEL_COUNT, Lane, LaneRow};
use super::rates::{RateCell, combine, logit};
use super::shared::{ITEM_HALF_LIVES_MS, ItemState, KeyKind, Levels, StreamingFeatures, hour_of_day};
use super::viewer::{Affinity, HORIZONS, VIEWER_HALF_LIFE_MS, ViewCell, ViewerFeatures};

/// Impressions (or views) of belief in a parent's rate; results are flat within a factor of two around these.
const USER_STRENGTH: f32 = 6.0;
const AFFINITY_STRENGTH: f32 = 6.0;
const VIEW_STRENGTH: f32 = 10.0;
const ATTRIBUTE_STRENGTH: f32 = 100.0;
const HOUR_STRENGTH: f32 = 200.0;
const LIFT_STRENGTH: f32 = 3.0;
const ITEM_LATELY_STRENGTH: f32 = 10.0;

/// Receives columns in their fixed order.
trait ColumnSink {
    /// Takes one column: what it is of, which part, its value.
    fn put(&mut self, group: &'static str, part: &'static str, value: f32);
}

/// Fills a caller's slice.
struct RowSink<'a> {
    row: &'a mut [f32],
    next: usize,
}

impl ColumnSink for RowSink<'_> {
    fn put(&mut self, _group: &'static str, _part: &'static str, value: f32) {
        if let Some(cell) = self.row.get_mut(self.next) {
            *cell = value;
        }
        self.next += 1;
    }
}

struct NameSink(Vec<String>);

impl ColumnSink for NameSink {
    fn put(&mut self, group: &'static str, part: &'static str, _value: f32) {
        self.0.push(format!("{group}.{part}"));
    }
}

/// Names of all columns, in order.
#[must_use]
pub fn column_names() -> Vec<String> {
    let mut names = NameSink(Vec::new());
    let impression = Impression {
        at_ms: 1,
        item: 1,
        author: 0,
        tags: &[],
        surface: 0,
        duration_ms: 0,
        uploaded_at_ms: None,
        item_attributes: &[],
        viewer_attributes: &[],
    };
    emit(
        &StreamingFeatures::default(),
        &ViewerFeatures::default(),
        &impression,
        &mut names,
    );
    names.0
}

/// What the levels lead to expect: for the viewer's lift (item and surface known), for the item's (viewer and surface).
#[must_use]
pub fn expectations(
    shared: &StreamingFeatures,
    viewer: &ViewerFeatures,
    impression: &Impression<'_>,
) -> (LaneRow, LaneRow) {
    let levels = shared.levels(impression);
    let viewer_rates = viewer.shown.shrunk(&levels.global, USER_STRENGTH);
    let of_item = combine(&levels.item, &levels.surface, &levels.global);
    let of_viewer = combine(&viewer_rates, &levels.surface_bucket, &levels.global);
    (of_item, of_viewer)
}

/// Writes the row; `row` has [`column_names`]`().len()` cells.
pub fn extract(shared: &StreamingFeatures, viewer: &ViewerFeatures, impression: &Impression<'_>, row: &mut [f32]) {
    emit(shared, viewer, impression, &mut RowSink { row, next: 0 });
}

fn emit(shared: &StreamingFeatures, viewer: &ViewerFeatures, impression: &Impression<'_>, sink: &mut impl ColumnSink) {
    let levels = shared.levels(impression);
    let user = viewer.shown.shrunk(&levels.global, USER_STRENGTH);
    emit_context(shared, impression, &levels, sink);
    emit_item(shared, impression, &levels, sink);
    emit_viewer(shared, viewer, impression, &levels, &user, sink);
    emit_affinities(shared, viewer, impression, &levels, &user, sink);
    emit_session(viewer, impression, sink);
    emit_attributes(shared, impression, &levels, sink);
    emit_factors(shared, viewer, impression, sink);
}

fn rates(sink: &mut impl ColumnSink, group: &'static str, rates: &LaneRow) {
    sink.put(group, "long", logit(rates[0]));
    sink.put(group, "like", logit(rates[1]));
    sink.put(group, "click", logit(rates[2]));
    sink.put(group, "skip", logit(rates[3]));
}

fn view_rates(sink: &mut impl ColumnSink, group: &'static str, viewed: &ViewCell, parent: [f32; 2]) {
    let [long, like] = viewed.shrunk(parent, VIEW_STRENGTH);
    sink.put(group, "view_long", logit(long));
    sink.put(group, "view_like", logit(like));
    sink.put(group, "views", viewed.count.ln_1p());
}

fn since(from_ms: i64, at_ms: i64) -> f32 {
    if from_ms == 0 {
        f32::NAN
    } else {
        (at_ms.saturating_sub(from_ms).max(0) as f32 / 1_000.0).ln_1p()
    }
}

fn emit_context(shared: &StreamingFeatures, impression: &Impression<'_>, levels: &Levels, sink: &mut impl ColumnSink) {
    rates(sink, "global", &levels.global);
    rates(sink, "surface", &levels.surface);
    rates(sink, "bucket", &levels.bucket);
    rates(sink, "surface_bucket", &levels.surface_bucket);
    let hour = hour_of_day(impression.at_ms);
    rates(
        sink,
        "hour",
        &shared
            .key(KeyKind::Hour, hour)
            .shown
            .shrunk(&levels.global, HOUR_STRENGTH),
    );
    sink.put("hour", "number", hour as f32);
    let duration = if impression.duration_ms == 0 {
        f32::NAN
    } else {
        (impression.duration_ms as f32 / 1_000.0).ln_1p()
    };
    sink.put("duration", "log", duration);
}

fn emit_item(shared: &StreamingFeatures, impression: &Impression<'_>, levels: &Levels, sink: &mut impl ColumnSink) {
    let unknown = ItemState::default();
    let item = shared.item(impression.item).unwrap_or(&unknown);
    rates(sink, "tag", &levels.tag);
    rates(sink, "author", &levels.author);
    rates(sink, "item", &levels.item);
    rates(sink, "item_surface", &levels.item_surface);
    sink.put("item", "watch_ratio", levels.item[Lane::WatchRatio as usize]);
    sink.put("item", "engaged", levels.item[Lane::Engaged as usize]);
    sink.put("item", "shown", item.shown.count.ln_1p());
    let [hours, days] = [0, 1].map(|index| item.lately[index].read(impression.at_ms, ITEM_HALF_LIVES_MS[index]));
    rates(sink, "item_hours", &hours.shrunk(&levels.item, ITEM_LATELY_STRENGTH));
    rates(sink, "item_days", &days.shrunk(&levels.item, ITEM_LATELY_STRENGTH));
    sink.put("item_hours", "shown", hours.count.ln_1p());
    let lift = item.lift.log_lift(LIFT_STRENGTH);
    put_labels(sink, "item_lift", &lift);
    let parent = shared.view_rates();
    let author = shared
        .key(KeyKind::Author, impression.author)
        .viewed
        .shrunk(parent, VIEW_STRENGTH);
    view_rates(sink, "item", &item.viewed, author);
    let tag = impression.tags.first().map_or(0, |&tag| tag);
    view_rates(sink, "tag", &shared.key(KeyKind::Tag, tag).viewed, parent);
    sink.put("item", "since_first", since(item.first_at_ms, impression.at_ms));
    sink.put("item", "since_last", since(item.last_at_ms, impression.at_ms));
    let age = impression.uploaded_at_ms.map_or(f32::NAN, |uploaded_at_ms| {
        since(uploaded_at_ms.max(1), impression.at_ms)
    });
    sink.put("item", "age", age);
    sink.put("item", "tags", impression.tags.len() as f32);
}

fn put_labels(sink: &mut impl ColumnSink, group: &'static str, values: &[f32; LABEL_COUNT]) {
    for (part, value) in ["long", "like", "click", "skip"].into_iter().zip(values) {
        sink.put(group, part, *value);
    }
}

fn emit_viewer(
    shared: &StreamingFeatures,
    viewer: &ViewerFeatures,
    impression: &Impression<'_>,
    levels: &Levels,
    user: &LaneRow,
    sink: &mut impl ColumnSink,
) {
    rates(sink, "user", user);
    sink.put("user", "watch_ratio", user[Lane::WatchRatio as usize]);
    sink.put("user", "engaged", user[Lane::Engaged as usize]);
    sink.put("user", "shown", viewer.shown.count.ln_1p());
    view_rates(sink, "user", &viewer.viewed, shared.view_rates());
    put_labels(sink, "user_lift", &viewer.lift.log_lift(LIFT_STRENGTH));
    let lately = viewer.lately.read(impression.at_ms, VIEWER_HALF_LIFE_MS);
    rates(sink, "user_lately", &lately.shrunk(user, USER_STRENGTH));
    sink.put("user_lately", "shown", lately.count.ln_1p());
    for (horizon, group) in (0..HORIZONS.len()).zip(["last_2", "last_6", "last_20"]) {
        rates(sink, group, &viewer.average(horizon, &levels.global));
    }
    rates(
        sink,
        "user_item_surface",
        &combine(user, &levels.item_surface, &levels.global),
    );
}

fn emit_affinities(
    shared: &StreamingFeatures,
    viewer: &ViewerFeatures,
    impression: &Impression<'_>,
    levels: &Levels,
    user: &LaneRow,
    sink: &mut impl ColumnSink,
) {
    let nothing = Affinity::default();
    let view_parent = viewer.viewed.shrunk(shared.view_rates(), VIEW_STRENGTH);
    let surface = viewer.surfaces.get(impression.surface).unwrap_or(&nothing);
    rates(
        sink,
        "user_surface",
        &surface
            .shown
            .shrunk(&combine(user, &levels.surface, &levels.global), AFFINITY_STRENGTH),
    );
    sink.put("user_surface", "shown", surface.shown.count.ln_1p());
    let bucket = smoothed_bucket(viewer, impression.duration_bucket());
    rates(
        sink,
        "user_bucket",
        &bucket
            .shown
            .shrunk(&combine(user, &levels.bucket, &levels.global), AFFINITY_STRENGTH),
    );
    sink.put("user_bucket", "shown", bucket.shown.count.ln_1p());
    view_rates(sink, "user_bucket", &bucket.viewed, view_parent);
    let tag = tag_affinity(viewer, impression);
    rates(
        sink,
        "user_tag",
        &tag.shown
            .shrunk(&combine(user, &levels.tag, &levels.global), AFFINITY_STRENGTH),
    );
    sink.put("user_tag", "shown", tag.shown.count.ln_1p());
    view_rates(sink, "user_tag", &tag.viewed, view_parent);
    sink.put(
        "user_tag",
        "view_share",
        tag.viewed.count / (viewer.viewed.count + VIEW_STRENGTH),
    );
    sink.put(
        "user_tag",
        "shown_share",
        tag.shown.count / (viewer.shown.count + VIEW_STRENGTH),
    );
    let author = viewer.authors.get(impression.author).unwrap_or(&nothing);
    rates(
        sink,
        "user_author",
        &author
            .shown
            .shrunk(&combine(user, &levels.author, &levels.global), AFFINITY_STRENGTH),
    );
    view_rates(sink, "user_author", &author.viewed, view_parent);
    sink.put("user_author", "shown", author.shown.count);
}

/// The bucket with half of its neighbours, since viewers do not know the borders.
fn smoothed_bucket(viewer: &ViewerFeatures, bucket: usize) -> Affinity {
    let mut sum = *viewer.bucket(bucket);
    let neighbours = [
        bucket.checked_sub(1).filter(|&left| left > 0),
        (bucket > 0).then_some(bucket + 1),
    ];
    for neighbour in neighbours
        .into_iter()
        .flatten()
        .filter(|&index| index < super::outcome::DURATION_BUCKETS)
    {
        add_affinity(&mut sum, viewer.bucket(neighbour), 0.5);
    }
    sum
}

/// All counted tags together, each in equal parts.
fn tag_affinity(viewer: &ViewerFeatures, impression: &Impression<'_>) -> Affinity {
    let mut sum = Affinity::default();
    let tags = impression.counted_tags().count().max(1) as f32;
    for affinity in impression.counted_tags().filter_map(|tag| viewer.tags.get(tag)) {
        add_affinity(&mut sum, affinity, 1.0 / tags);
    }
    sum
}

fn add_affinity(sum: &mut Affinity, other: &Affinity, weight: f32) {
    let mut scaled: RateCell = other.shown;
    scaled.scale(weight);
    sum.shown.count += scaled.count;
    for (total, value) in sum.shown.sums.iter_mut().zip(scaled.sums) {
        *total += value;
    }
    sum.viewed.count += other.viewed.count * weight;
    sum.viewed.long += other.viewed.long * weight;
    sum.viewed.liked += other.viewed.liked * weight;
}

fn emit_session(viewer: &ViewerFeatures, impression: &Impression<'_>, sink: &mut impl ColumnSink) {
    sink.put("session", "since_last", since(viewer.last_at_ms, impression.at_ms));
    sink.put(
        "session",
        "since_start",
        since(viewer.session_start_ms, impression.at_ms),
    );
    sink.put("session", "length", (viewer.session_length as f32).ln_1p());
    sink.put("session", "skip_streak", viewer.skip_streak as f32);
    sink.put("session", "long_streak", viewer.long_streak as f32);
    sink.put("session", "since_like", since(viewer.liked_at_ms, impression.at_ms));
    sink.put(
        "session",
        "last_watch_ratio",
        viewer.last_outcome[Lane::WatchRatio as usize],
    );
    let same_tag = impression.tags.first().is_some_and(|&tag| tag == viewer.last_tag);
    sink.put("session", "same_tag", f32::from(u8::from(same_tag)));
    let before = viewer.recent().position(|recent| recent.item == impression.item);
    sink.put("repeat", "ago", before.map_or(f32::NAN, |ago| ago as f32));
    let outcome = viewer.recent().find(|recent| recent.item == impression.item);
    sink.put(
        "repeat",
        "long",
        outcome.map_or(f32::NAN, |recent| f32::from(u8::from(recent.long))),
    );
}

fn emit_attributes(
    shared: &StreamingFeatures,
    impression: &Impression<'_>,
    levels: &Levels,
    sink: &mut impl ColumnSink,
) {
    let mut totals = [[0.0_f32; LABEL_COUNT]; 2];
    let mut add = |side: usize, kind: KeyKind, attribute: u64| {
        let shrunk = shared
            .key(kind, attribute)
            .shown
            .shrunk(&levels.global, ATTRIBUTE_STRENGTH);
        for label in 0..LABEL_COUNT {
            totals[side][label] += logit(shrunk[label]) - logit(levels.global[label]);
        }
    };
    impression
        .known_item_attributes()
        .for_each(|attribute| add(0, KeyKind::ItemAttribute, attribute));
    impression
        .known_viewer_attributes()
        .for_each(|attribute| add(1, KeyKind::ViewerAttribute, attribute));
    put_labels(sink, "item_attributes", &totals[0]);
    put_labels(sink, "viewer_attributes", &totals[1]);
}

fn emit_factors(
    shared: &StreamingFeatures,
    viewer: &ViewerFeatures,
    impression: &Impression<'_>,
    sink: &mut impl ColumnSink,
) {
    let unknown = ItemState::default();
    let item = shared.item(impression.item).unwrap_or(&unknown);
    for (lane, part) in ["long", "like", "click", "skip"].into_iter().enumerate() {
        let (viewer, item) = (&viewer.factors[lane], &item.factors[lane]);
        let both = viewer.interaction(item);
        sink.put("factor_both", part, both);
        sink.put("factor_viewer", part, viewer.bias);
        sink.put("factor_item", part, item.bias);
        sink.put("factor_all", part, viewer.bias + item.bias + both);
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
