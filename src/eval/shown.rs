//! Logs of impressions: what was shown, what came of it, and what is known of videos and viewers.
//!
//! Owns the types and the walk through moments of equal time. What was shown and what came of it are two types, so that
//! a prediction cannot look at its own outcome.

/// How many outcomes are predicted.
pub(crate) const OUTCOME_COUNT: usize = 4;
/// The names of the outcomes, in the order of all predictions.
pub(crate) const OUTCOME_NAMES: [&str; OUTCOME_COUNT] = ["long_view", "is_like", "is_click", "skip"];
/// A video played shorter than this was skipped.
pub(crate) const SKIP_PLAY_MS_MAX: i64 = 3_000;

/// An impression at the moment it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The viewer, a row of [`FeedCatalogue::user_ids`].
    pub(crate) user: u32,
    /// The video, a row of [`FeedCatalogue::item_ids`].
    pub(crate) item: u32,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The day by the log's own calendar, as `yyyymmdd`.
    pub(crate) day: u32,
    /// The hour of that day by the log's own calendar, 0 to 23.
    pub(crate) hour: u8,
    /// The part of the app in which it was shown.
    pub(crate) tab: u32,
    /// The video's length in milliseconds as the impression's row has it, 0 where it is not known.
    pub(crate) duration_ms: i64,
}

/// What came of an impression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// In the order of [`OUTCOME_NAMES`].
    pub(crate) labels: [bool; OUTCOME_COUNT],
    /// How long it was played, in milliseconds.
    pub(crate) play_time_ms: i64,
    /// The viewer followed the author.
    pub(crate) is_follow: bool,
    /// The viewer commented.
    pub(crate) is_comment: bool,
    /// The viewer shared it.
    pub(crate) is_forward: bool,
    /// The viewer wants less of it.
    pub(crate) is_hate: bool,
    /// How long the viewer stayed on the author's page, in milliseconds.
    pub(crate) profile_stay_ms: i64,
    /// How long the viewer stayed in the comments, in milliseconds.
    pub(crate) comment_stay_ms: i64,
}

/// What the files say about a video; no statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VideoFacts {
    /// Number of the author, dense from 0; `None` when it is not known.
    pub(crate) author: Option<u32>,
    /// Numbers of the tags as the file has them.
    pub(crate) tags: Vec<u32>,
    /// Number of the kind of video (`NORMAL`, `AD`), dense from 0.
    pub(crate) video_type: u32,
    /// Number of the way it was uploaded, dense from 0.
    pub(crate) upload_type: u32,
    /// Number of the music, dense from 0.
    pub(crate) music: Option<u32>,
    /// First instant of the day it was uploaded (UTC), in milliseconds since 1970.
    pub(crate) uploaded_at_ms: Option<i64>,
    /// Its length in milliseconds.
    pub(crate) duration_ms: Option<i64>,
}

/// The videos and viewers of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FeedCatalogue {
    /// The original ids of the viewers.
    pub(crate) user_ids: Vec<String>,
    /// The original ids of the videos, those of histories and of the items file included.
    pub(crate) item_ids: Vec<String>,
    /// One per video.
    pub(crate) videos: Vec<VideoFacts>,
    /// One per viewer: the numbers of what the file says about it (a number is one value of one column), dense from 0.
    /// Empty without a file.
    pub(crate) viewers: Vec<Vec<u32>>,
}

/// What a viewer watched before the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WatchHistory {
    /// The viewer.
    pub(crate) user: u32,
    /// The time of the last of them, in milliseconds since 1970.
    pub(crate) last_at_ms: i64,
    /// Videos in the order they were watched, oldest first.
    pub(crate) watched: Vec<u32>,
    /// Those that were liked, in the same order.
    pub(crate) liked: Vec<u32>,
    /// Those that were watched long, in the same order.
    pub(crate) long_watched: Vec<u32>,
}

/// A log of impressions, ordered by (time, user id, item id).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImpressionLog {
    /// The videos and viewers.
    pub(crate) catalogue: FeedCatalogue,
    /// What viewers watched before it.
    pub(crate) watched_before: Vec<WatchHistory>,
    /// The impressions.
    pub(crate) impressions: Vec<(Shown, Outcome)>,
}

/// Impressions of equal time, one slice after the other: what may be learned only together.
pub(crate) fn moments(events: &[(Shown, Outcome)]) -> impl Iterator<Item = &[(Shown, Outcome)]> {
    events.chunk_by(|(left, _), (right, _)| left.at_ms == right.at_ms)
}
