//! What was sent down a session's sockets and not yet reported as seen.
//!
//! Owns what `seen {seq, upto}` means: a feed that was appended stands behind the one before it, a feed that replaced the
//! tail stands alone. Must not decide what counts as shown beyond that.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::Row;
use crate::recall::ChannelSet;
use crate::wire::FeedMode;

/// How many feeds are remembered.
pub(super) const FEEDS_MAX: usize = 64;
/// How many items of them are remembered: eight of the largest feeds.
pub(super) const ITEMS_MAX: usize = 4_096;
/// How many feeds and items of them a snapshot holds: what a client that comes back late may report.
const STORED_FEEDS_MAX: usize = 16;
const STORED_ITEMS_MAX: usize = 1_024;
/// Stands for the variant of an item when nobody knows any more under which it was served.
pub const VARIANT_UNKNOWN: u16 = u16::MAX;
/// How many items of feeds that were asked for without a socket are remembered.
const ONE_SHOT_ITEMS_MAX: usize = 256;

/// One item that was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServedItem {
    /// Which.
    pub row: Row,
    /// The hash of its id.
    pub hash: u64,
    /// The channels that had named it.
    pub channels: ChannelSet,
    /// Where it stood, as `effect::position_bucket` says.
    pub position: u8,
    /// Under which variants it was served, as whoever served it numbers them; 0 for none.
    pub variant: u16,
}

#[derive(Debug, Clone)]
struct ServedFeed {
    seq: u64,
    mode: FeedMode,
    items: Vec<ServedItem>,
}

/// A feed as a snapshot holds it; fields in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ServedFeedSnapshot {
    seq: u64,
    mode: FeedMode,
    items: Vec<(Row, u64, ChannelSet, u8)>,
}

/// The feeds sent last.
#[derive(Debug, Clone, Default)]
pub struct Served {
    feeds: VecDeque<ServedFeed>,
    items: usize,
    /// Items of feeds that were asked for one by one: no part of what a client holds, known only for what follows.
    one_shot: VecDeque<ServedItem>,
}

impl Served {
    /// Remembers a feed; the oldest feeds are forgotten for it.
    pub fn push(&mut self, seq: u64, mode: FeedMode, items: Vec<ServedItem>) {
        self.items += items.len();
        self.feeds.push_back(ServedFeed { seq, mode, items });
        while self.feeds.len() > 1 && (self.feeds.len() > FEEDS_MAX || self.items > ITEMS_MAX) {
            if let Some(oldest) = self.feeds.pop_front() {
                self.items -= oldest.items.len();
            }
        }
    }

    /// Remembers the items of a feed that was asked for without a socket.
    pub fn note_one_shot(&mut self, items: &[ServedItem]) {
        self.one_shot.extend(items);
        let surplus = self.one_shot.len().saturating_sub(ONE_SHOT_ITEMS_MAX);
        self.one_shot.drain(..surplus);
    }

    /// How many bytes the memory holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let feeds = self.feeds.iter().map(|feed| super::held(&feed.items)).sum::<usize>();
        feeds + self.feeds.capacity() * size_of::<ServedFeed>() + self.one_shot.capacity() * size_of::<ServedItem>()
    }

    /// The items that a viewer who was shown feed `seq` up to position `upto` (all of it when `None`) has passed. `None`
    /// when the feed is not remembered.
    #[must_use]
    pub fn passed(&self, seq: u64, upto: Option<u32>) -> Option<Vec<ServedItem>> {
        let place = self.feeds.iter().position(|feed| feed.seq == seq)?;
        let mut first = place;
        while first > 0 && self.feeds[first].mode == FeedMode::Append {
            first -= 1;
        }
        let shown = &self.feeds[place].items;
        let count = upto.map_or(shown.len(), |upto| (upto as usize).saturating_add(1).min(shown.len()));
        let before = self.feeds.range(first..place).flat_map(|feed| feed.items.iter());
        Some(before.chain(&shown[..count]).copied().collect())
    }

    /// The feeds sent last, as a snapshot holds them.
    #[must_use]
    pub(super) fn snapshot(&self) -> Vec<ServedFeedSnapshot> {
        let mut items = 0;
        let newest = self.feeds.iter().rev().take(STORED_FEEDS_MAX).take_while(|feed| {
            items += feed.items.len();
            items <= STORED_ITEMS_MAX
        });
        let stored = |feed: &ServedFeed| ServedFeedSnapshot {
            seq: feed.seq,
            mode: feed.mode,
            items: feed
                .items
                .iter()
                .map(|item| (item.row, item.hash, item.channels, item.position))
                .collect(),
        };
        let mut stored: Vec<ServedFeedSnapshot> = newest.map(stored).collect();
        stored.reverse();
        stored
    }

    /// Takes up the feeds of a snapshot, the oldest first.
    pub(super) fn restore(feeds: Vec<ServedFeedSnapshot>) -> Self {
        let mut served = Self::default();
        for feed in feeds {
            let item = |(row, hash, channels, position)| ServedItem {
                row,
                hash,
                channels,
                position,
                variant: VARIANT_UNKNOWN,
            };
            served.push(feed.seq, feed.mode, feed.items.into_iter().map(item).collect());
        }
        served
    }

    /// The items that a client may still hold unseen, in their order: the last feed that replaced the tail and all that
    /// were appended since.
    pub fn tail(&self) -> impl Iterator<Item = &ServedItem> {
        let first = self
            .feeds
            .iter()
            .rposition(|feed| feed.mode == FeedMode::ReplaceTail)
            .unwrap_or(0);
        self.feeds
            .range(first.min(self.feeds.len())..)
            .flat_map(|feed| feed.items.iter())
    }

    /// The item of that hash, if it was sent lately.
    #[must_use]
    pub fn find(&self, hash: u64) -> Option<&ServedItem> {
        self.feeds
            .iter()
            .rev()
            .flat_map(|feed| &feed.items)
            .find(|item| item.hash == hash)
            .or_else(|| self.one_shot.iter().rev().find(|item| item.hash == hash))
    }

    /// Forgets everything (nobody is connected any more).
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(rows: std::ops::Range<Row>) -> Vec<ServedItem> {
        rows.map(|row| ServedItem {
            row,
            hash: u64::from(row),
            channels: ChannelSet::default(),
            position: 0,
            variant: 0,
        })
        .collect()
    }

    fn rows(items: &[ServedItem]) -> Vec<Row> {
        items.iter().map(|item| item.row).collect()
    }

    #[test]
    fn an_appended_feed_was_passed_only_behind_the_one_before() {
        let mut served = Served::default();
        served.push(1, FeedMode::ReplaceTail, items(0..3));
        served.push(2, FeedMode::ReplaceTail, items(10..13));
        served.push(3, FeedMode::Append, items(20..23));
        let passed = |seq, upto| served.passed(seq, upto).map(|items| rows(&items));
        assert_eq!(passed(2, Some(1)), Some(vec![10, 11]));
        assert_eq!(passed(3, Some(0)), Some(vec![10, 11, 12, 20]));
        assert_eq!(passed(1, None), Some(vec![0, 1, 2]));
        assert_eq!(passed(3, Some(99)), Some(vec![10, 11, 12, 20, 21, 22]));
        assert_eq!(passed(9, None), None);
        let restored = Served::restore(served.snapshot());
        let again = restored.passed(3, Some(0)).map(|items| rows(&items));
        assert_eq!(again, passed(3, Some(0)), "a snapshot brings the feeds back");
        assert_eq!(restored.find(20).map(|item| item.variant), Some(VARIANT_UNKNOWN));
        assert_eq!(
            served.tail().map(|item| item.row).collect::<Vec<_>>(),
            [10, 11, 12, 20, 21, 22]
        );
    }

    #[test]
    fn what_was_asked_for_once_is_found_but_not_held_by_a_client() {
        let mut served = Served::default();
        served.note_one_shot(&items(0..5));
        assert_eq!(served.find(3).map(|item| item.row), Some(3));
        assert_eq!(served.tail().count(), 0);
        served.note_one_shot(&items(10..1_000));
        assert!(served.find(3).is_none() && served.find(999).is_some() && served.one_shot.len() == ONE_SHOT_ITEMS_MAX);
    }

    #[test]
    fn memory_is_bounded() {
        let mut served = Served::default();
        (0..100).for_each(|seq| served.push(seq, FeedMode::Append, items(0..500)));
        assert!(served.items <= ITEMS_MAX && served.feeds.len() <= FEEDS_MAX);
    }
}
