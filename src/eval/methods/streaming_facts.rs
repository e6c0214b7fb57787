//! From a log of impressions to what the streaming features count.
//!
//! Owns the mapping of numbers to ids (0 is "not known") and of outcomes to lanes. Knows no state and no model.

use swipeline_models::streaming::{Impression, LaneRow, WATCH_RATIO_MAX, cross};

use crate::eval::shown::{FeedCatalogue, Outcome, Shown, VideoFacts};

/// What is known of a video, as the features want it.
#[derive(Debug, Default)]
struct ItemFacts {
    author: u64,
    tags: Vec<u64>,
    duration_ms: u32,
    uploaded_at_ms: Option<i64>,
    attributes: Vec<u64>,
}

/// What is known of all videos and viewers.
#[derive(Debug, Default)]
pub(super) struct Facts {
    items: Vec<ItemFacts>,
    viewers: Vec<Vec<u64>>,
}

impl Facts {
    /// Takes what a catalogue says; no statistics are in it.
    pub(super) fn of(catalogue: &FeedCatalogue) -> Self {
        let attributes = |facts: &Vec<u32>| facts.iter().map(|fact| id(*fact)).collect();
        Self {
            items: catalogue.videos.iter().map(item_facts).collect(),
            viewers: catalogue.viewers.iter().map(attributes).collect(),
        }
    }

    /// An impression as the features see it.
    pub(super) fn impression(&self, shown: &Shown) -> Impression<'_> {
        let viewed = self.viewed(shown.user, shown.item);
        let duration_ms = u32::try_from(shown.duration_ms).unwrap_or(0);
        Impression {
            at_ms: shown.at_ms,
            surface: id(shown.tab),
            duration_ms: if duration_ms > 0 {
                duration_ms
            } else {
                viewed.duration_ms
            },
            ..viewed
        }
    }

    /// A view of which neither the time nor the part of the app is known.
    pub(super) fn viewed(&self, user: u32, item: u32) -> Impression<'_> {
        let facts = self.items.get(item as usize);
        Impression {
            at_ms: 0,
            item: id(item),
            author: facts.map_or(0, |facts| facts.author),
            tags: facts.map_or(&[], |facts| &facts.tags),
            surface: 0,
            duration_ms: facts.map_or(0, |facts| facts.duration_ms),
            uploaded_at_ms: facts.and_then(|facts| facts.uploaded_at_ms),
            item_attributes: facts.map_or(&[], |facts| &facts.attributes),
            viewer_attributes: self.viewers.get(user as usize).map_or(&[], Vec::as_slice),
        }
    }
}

/// What is counted of an outcome.
pub(super) fn lanes(shown: &Shown, outcome: &Outcome) -> LaneRow {
    let flag = |yes: bool| f32::from(u8::from(yes));
    let engaged = outcome.is_follow || outcome.is_comment || outcome.is_forward || outcome.profile_stay_ms > 0;
    let watch_ratio = if shown.duration_ms > 0 {
        (outcome.play_time_ms as f32 / shown.duration_ms as f32).min(WATCH_RATIO_MAX)
    } else {
        0.0
    };
    let [long_view, like, click, skip] = outcome.labels.map(flag);
    [long_view, like, click, skip, flag(engaged), watch_ratio]
}

/// Numbers begin at 0, which is "not known" among ids.
fn id(number: u32) -> u64 {
    u64::from(number) + 1
}

fn item_facts(video: &VideoFacts) -> ItemFacts {
    let columns = [Some(video.video_type), Some(video.upload_type), video.music];
    let attributes = columns.into_iter().enumerate().map(|(column, value)| {
        let value = value?;
        Some(cross(column as u64 + 1, id(value)))
    });
    ItemFacts {
        author: video.author.map_or(0, id),
        tags: video.tags.iter().map(|tag| id(*tag)).collect(),
        duration_ms: video.duration_ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or(0),
        uploaded_at_ms: video.uploaded_at_ms,
        attributes: attributes.map(Option::unwrap_or_default).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_does_not_say_is_taken_from_the_video_or_not_known() {
        let known = VideoFacts {
            author: Some(0),
            tags: vec![3],
            duration_ms: Some(9_000),
            music: None,
            ..VideoFacts::default()
        };
        let facts = Facts::of(&FeedCatalogue {
            videos: vec![known],
            viewers: vec![vec![4]],
            ..FeedCatalogue::default()
        });
        let shown = Shown {
            user: 0,
            item: 0,
            at_ms: 5,
            day: 20_220_425,
            hour: 0,
            tab: 0,
            duration_ms: 0,
        };
        let impression = facts.impression(&shown);
        assert_eq!(
            (impression.author, impression.tags, impression.surface),
            (1, &[4][..], 1)
        );
        assert_eq!((impression.duration_ms, impression.item_attributes[2]), (9_000, 0));
        assert_eq!(impression.viewer_attributes, [5]);
        let stranger = Shown {
            user: 7,
            item: 7,
            duration_ms: 4_000,
            ..shown
        };
        let impression = facts.impression(&stranger);
        assert_eq!((impression.author, impression.duration_ms), (0, 4_000));
        assert!(impression.viewer_attributes.is_empty());
        let outcome = Outcome {
            labels: [true, false, true, false],
            play_time_ms: 90_000,
            is_comment: true,
            ..Outcome::default()
        };
        assert_eq!(lanes(&stranger, &outcome), [1.0, 0.0, 1.0, 0.0, 1.0, WATCH_RATIO_MAX]);
        assert_eq!(lanes(&shown, &outcome)[5], 0.0);
    }
}
