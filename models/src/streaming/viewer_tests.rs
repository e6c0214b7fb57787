//! Tests of a viewer's state: its bounds, its session, its snapshot.

use proptest::prelude::*;

use super::*;

fn shown(item: u64, tags: &[u64], at_ms: i64) -> Impression<'_> {
    Impression {
        at_ms,
        item,
        author: item,
        tags,
        surface: item % 30,
        duration_ms: (item as u32 % 100) * 1_000,
        uploaded_at_ms: None,
        item_attributes: &[],
        viewer_attributes: &[],
    }
}

const SKIPPED: LaneRow = [0.0, 0.0, 0.0, 1.0, 0.0, 0.1];
const LIKED: LaneRow = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0];

#[test]
fn a_pause_begins_a_session_and_a_like_ends_the_skips() {
    let mut viewer = ViewerFeatures::default();
    viewer.learn(&shown(1, &[], 1_000), &SKIPPED, &[0.5; LANE_COUNT]);
    viewer.learn(&shown(2, &[], 2_000), &SKIPPED, &[0.5; LANE_COUNT]);
    assert_eq!(
        (viewer.session_start_ms, viewer.session_length, viewer.skip_streak),
        (1_000, 2, 2)
    );
    let later = 2_001 + SESSION_GAP_MS;
    viewer.learn(&shown(3, &[], later), &LIKED, &[0.5; LANE_COUNT]);
    assert_eq!(
        (viewer.session_start_ms, viewer.session_length, viewer.skip_streak),
        (later, 1, 0)
    );
    assert_eq!((viewer.long_streak, viewer.liked_at_ms), (1, later));
}

#[test]
fn a_skip_is_no_view() {
    let mut viewer = ViewerFeatures::default();
    viewer.learn(&shown(1, &[5], 1_000), &SKIPPED, &[0.5; LANE_COUNT]);
    viewer.learn(&shown(2, &[5], 2_000), &LIKED, &[0.5; LANE_COUNT]);
    assert_eq!(
        (viewer.shown.count, viewer.viewed.count, viewer.viewed.liked),
        (2.0, 1.0, 1.0)
    );
    let tag = viewer.tags.get(5).expect("the tag was seen");
    assert_eq!((tag.shown.count, tag.viewed.count), (2.0, 1.0));
}

#[test]
fn the_averages_forget_at_their_horizons() {
    let mut viewer = ViewerFeatures::default();
    (0..30).for_each(|item| viewer.learn(&shown(item, &[], item as i64), &LIKED, &[0.5; LANE_COUNT]));
    (0..3).for_each(|item| viewer.learn(&shown(item, &[], 100), &SKIPPED, &[0.5; LANE_COUNT]));
    let likes: Vec<f32> = (0..HORIZONS.len())
        .map(|horizon| viewer.average(horizon, &[0.0; LANE_COUNT])[Lane::Like as usize])
        .collect();
    assert!(
        likes[0] < 0.2 && likes[0] < likes[1] && likes[1] < likes[2] && likes[2] > 0.7,
        "{likes:?}"
    );
}

#[test]
fn a_snapshot_comes_back() {
    let mut viewer = ViewerFeatures::default();
    (0..50).for_each(|item| viewer.learn(&shown(item, &[item, 3], item as i64), &LIKED, &[0.5; LANE_COUNT]));
    let bytes = rmp_serde::to_vec(&viewer).expect("the state is plain data");
    let back: ViewerFeatures = rmp_serde::from_slice(&bytes).expect("what was written is read");
    assert_eq!(rmp_serde::to_vec(&back).expect("the state is plain data"), bytes);
}

proptest! {
    #[test]
    fn never_beyond_its_bound(items in prop::collection::vec(1_u64..100_000, 0..400)) {
        let mut viewer = ViewerFeatures::default();
        for (index, &item) in items.iter().enumerate() {
            let tags = [item, item ^ 1, item ^ 2, item ^ 3, item ^ 4];
            viewer.learn(&shown(item, &tags, index as i64 * 1_000), &LIKED, &[0.5; LANE_COUNT]);
            viewer.warm(&shown(item ^ 0xFFFF, &tags, 0), true, false);
        }
        prop_assert!(viewer.memory_bytes() <= ViewerFeatures::memory_bytes_max());
        prop_assert!(viewer.recent().count() <= VIEWER_RECENT_MAX);
    }
}
