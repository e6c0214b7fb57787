//! What a feed that is to be pushed should be like, and why.

use std::borrow::Cow;
use std::time::Instant;

use swipeline_models::wire::{CauseDto, FeedAsk, FeedMode, MessageId};

/// A feed that is to be pushed.
pub(super) struct PushWish {
    /// What it answers.
    pub(super) cause: CauseDto,
    /// What becomes of what the client holds.
    pub(super) mode: FeedMode,
    /// The client's name for its request.
    pub(super) id: Option<MessageId>,
    /// How many items; the default of the params without it.
    pub(super) n: Option<usize>,
    /// Items that the client does not want.
    pub(super) exclude: Vec<String>,
    /// When the event was received that it answers.
    pub(super) received_at: Option<Instant>,
}

impl PushWish {
    /// In the place of everything unseen.
    pub(super) fn replace(cause: CauseDto, received_at: Option<Instant>) -> Self {
        Self {
            cause,
            mode: FeedMode::ReplaceTail,
            id: None,
            n: None,
            exclude: Vec::new(),
            received_at,
        }
    }

    /// The same for no event.
    pub(super) fn because(kind: &'static str) -> Self {
        Self::replace(plain_cause(kind), None)
    }

    /// Behind everything that the client holds.
    pub(super) fn append(id: Option<MessageId>, ask: &FeedAsk) -> Self {
        let FeedAsk { n, exclude } = ask.clone();
        Self {
            cause: plain_cause("request"),
            mode: FeedMode::Append,
            id,
            n,
            exclude,
            received_at: None,
        }
    }
}

pub(super) fn plain_cause(kind: &'static str) -> CauseDto {
    CauseDto {
        kind: Cow::Borrowed(kind),
        item_id: None,
        event_id: None,
    }
}
