//! Feeds that were looked at without counting as shown: asked for again, the same; asked for what follows, the next.
//!
//! Owns what "the same" means: the same question while nothing was reported, nothing that decides a feed was changed, and
//! every item may still be shown. Bounded, in memory only: after a rest of the session a feed is made anew.

use std::collections::VecDeque;
use std::sync::Arc;

use swipeline_models::time::{MINUTE_MS, TimestampMs};
use swipeline_models::wire::FeedDto;

use super::actor::SessionActor;
use crate::api::FeedRequest;
use crate::clock;

/// How many feeds are remembered.
const PAGES_MAX: usize = 64;
/// How many items of them are remembered.
const ITEMS_MAX: usize = 4_096;
/// A feed is not given twice after so long: what is new shall come at last.
const KEPT_MS_MAX: i64 = 15 * MINUTE_MS;

/// What a feed was made from, beside the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageStamp {
    /// Everything that was reported of the viewer has moved this number.
    sequence: u64,
    params_version: u64,
    model_loaded_at: TimestampMs,
    variant: u16,
}

struct Page {
    request_id: String,
    /// Behind which feed it stands.
    after: Option<String>,
    /// Hashes of its items that did not count as shown.
    hashes: Vec<u64>,
    /// The answer as it was given, when it may be given again.
    kept: Option<Kept>,
}

struct Kept {
    request: FeedRequest,
    stamp: PageStamp,
    made_at: TimestampMs,
    feed: Arc<FeedDto>,
}

/// The feeds that were served last without a socket.
#[derive(Default)]
pub(super) struct Pages {
    pages: VecDeque<Page>,
    items: usize,
}

impl Pages {
    /// Remembers a feed: what it left open, and the answer when it may be given again.
    pub(super) fn push(
        &mut self,
        request_id: &str,
        after: Option<String>,
        hashes: Vec<u64>,
        again: Option<(FeedRequest, PageStamp, Arc<FeedDto>)>,
    ) {
        self.items += hashes.len();
        self.pages.push_back(Page {
            request_id: request_id.to_owned(),
            after,
            hashes,
            kept: again.map(|(request, stamp, feed)| Kept {
                request,
                stamp,
                made_at: clock::now(),
                feed,
            }),
        });
        while self.pages.len() > 1 && (self.pages.len() > PAGES_MAX || self.items > ITEMS_MAX) {
            if let Some(oldest) = self.pages.pop_front() {
                self.items -= oldest.hashes.len();
            }
        }
    }

    /// The answer to the same question, if what it was made from is the same.
    pub(super) fn again(&self, request: &FeedRequest, stamp: PageStamp, now: TimestampMs) -> Option<Arc<FeedDto>> {
        let mut kept = self.pages.iter().rev().filter_map(|page| page.kept.as_ref());
        let holds = |kept: &&Kept| {
            kept.stamp == stamp && (0..KEPT_MS_MAX).contains(&now.since(kept.made_at)) && kept.request == *request
        };
        kept.find(holds).map(|kept| kept.feed.clone())
    }

    /// Hashes of all items up to and with that feed which did not count as shown when they were served. `None`: the feed is
    /// not remembered.
    pub(super) fn up_to(&self, request_id: &str) -> Option<Vec<u64>> {
        let mut place = self.pages.iter().rposition(|page| page.request_id == request_id)?;
        let mut hashes = Vec::new();
        loop {
            let page = &self.pages[place];
            hashes.extend_from_slice(&page.hashes);
            // A feed stands behind an older one, so the walk ends.
            let before = page.after.as_deref().and_then(|after| {
                let mut older = self.pages.range(..place);
                older.position(|page| page.request_id == after)
            });
            let Some(before) = before else { return Some(hashes) };
            place = before;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl SessionActor {
    /// What a feed of now would be made from.
    pub(super) fn page_stamp(&self, variant: u16) -> PageStamp {
        PageStamp {
            sequence: self.state.journal_sequence,
            params_version: self.shared.params.current().version,
            model_loaded_at: self.shared.world.ranker.current().info().loaded_at,
            variant,
        }
    }

    /// The feed that was given to the same question, if it may be given again: none of its items was deleted or hidden.
    pub(super) fn page_again(&self, request: &FeedRequest, stamp: PageStamp) -> Option<Arc<FeedDto>> {
        let feed = self.pages.again(request, stamp, clock::now())?;
        let catalogue = &self.shared.world.catalogue;
        let snapshot = catalogue.load();
        let is_there = |id: &str| {
            let row = catalogue.row(id);
            row.and_then(|row| snapshot.entry(row))
                .is_some_and(|entry| !entry.hidden)
        };
        feed.items.iter().all(|item| is_there(&item.item_id)).then_some(feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(chain: &[(&str, Option<&str>, u64)]) -> Pages {
        let mut pages = Pages::default();
        for (id, after, hash) in chain {
            pages.push(id, after.map(str::to_owned), vec![*hash], None);
        }
        pages
    }

    #[test]
    fn what_follows_a_feed_leaves_out_all_that_stands_before_it() {
        let pages = pages(&[
            ("a", None, 1),
            ("other", None, 9),
            ("b", Some("a"), 2),
            ("c", Some("b"), 3),
        ]);
        assert_eq!(pages.up_to("c"), Some(vec![3, 2, 1]));
        assert_eq!(pages.up_to("a"), Some(vec![1]));
        assert_eq!(pages.up_to("x"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut pages = Pages::default();
        for number in 0..500_u64 {
            pages.push(&number.to_string(), None, vec![number; 100], None);
        }
        assert!(pages.items <= ITEMS_MAX && pages.pages.len() <= PAGES_MAX);
        assert!(pages.up_to("499").is_some() && pages.up_to("0").is_none());
    }
}
