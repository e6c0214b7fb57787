//! What the outside knows: what it sent, what was acknowledged, and what must therefore be true after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use swipeline_models::effect::{Filter, Question, StatsWindow};
use swipeline_models::event::Event;
use swipeline_models::ids::EventId;

use super::super::testing::like;
use super::super::*;
use super::{ITEMS, Rng, USERS, user};
use crate::items::stored_likes;

/// The item that comes and goes.
pub(super) const SPARE_ITEM: &str = "spare";

/// A like, named so that a retry is harmless.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SentEvent {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) id: String,
}

impl SentEvent {
    pub(super) fn event(&self) -> Event {
        Event {
            event_id: Some(EventId::new(&self.id).expect("an id")),
            ..like(&user(self.user), &format!("v{}", self.item))
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    sent: BTreeSet<SentEvent>,
    acknowledged: BTreeSet<SentEvent>,
    shown: BTreeMap<usize, BTreeSet<String>>,
    pub(super) params: Tried<u64>,
    /// Whether the spare item is there.
    pub(super) item: Tried<bool>,
}

/// A value that calls change one after the other.
#[derive(Debug, Default)]
pub(super) struct Tried<T> {
    /// What may be in force: what was acknowledged last, and what was tried since. Empty: anything.
    may_be: Vec<T>,
    is_trying: bool,
}

impl<T: Copy + PartialEq + std::fmt::Debug> Tried<T> {
    /// Whether the value may be tried now; nothing else is on its way then.
    pub(super) fn begin(&mut self, value: T) -> bool {
        if self.is_trying {
            return false;
        }
        self.is_trying = true;
        self.may_be.push(value);
        true
    }

    pub(super) fn end(&mut self, value: T, is_acknowledged: bool) {
        self.is_trying = false;
        if is_acknowledged {
            self.may_be = vec![value];
        }
    }

    /// Nothing is on its way after a crash, and `value` is what there is.
    fn check(&mut self, what: &str, value: T) {
        assert!(
            self.may_be.is_empty() || self.may_be.contains(&value),
            "{what}: {value:?}, expected one of {:?}",
            self.may_be
        );
        *self = Self {
            may_be: vec![value],
            is_trying: false,
        };
    }

    fn forget(&mut self) {
        self.may_be.clear();
    }
}

impl Oracle {
    pub(super) fn any_sent(&self, rng: &mut Rng) -> Option<SentEvent> {
        self.sent.iter().nth(rng.below(self.sent.len())).cloned()
    }

    pub(super) fn send(&mut self, events: &[SentEvent]) {
        self.sent.extend(events.iter().cloned());
    }

    pub(super) fn acknowledge<'a>(&mut self, events: impl Iterator<Item = &'a SentEvent>) {
        self.acknowledged.extend(events.cloned());
    }

    pub(super) fn shown(&mut self, viewer: usize, items: impl Iterator<Item = String>) {
        self.shown.entry(viewer).or_default().extend(items);
    }

    /// The power was lost, and an acknowledgement did not promise a sync.
    pub(super) fn may_have_lost_what_was_not_synced(&mut self) {
        self.acknowledged.clear();
        self.shown.clear();
        self.params.forget();
        self.item.forget();
    }
}

async fn likes_of(engine: &Engine, viewer: usize) -> u64 {
    let profile = engine.profile(&user(viewer)).await.expect("an answer");
    let counts = profile.map(|profile| profile.counts.clone()).unwrap_or_default();
    counts.get("like").copied().unwrap_or(0)
}

/// What must be true of an engine that has just recovered.
pub(super) async fn check(engine: &Engine, oracle: &Arc<Mutex<Oracle>>) {
    let (sent, acknowledged) = {
        let oracle = oracle.lock();
        (oracle.sent.clone(), oracle.acknowledged.clone())
    };
    for viewer in 0..USERS {
        let of = |events: &BTreeSet<SentEvent>| events.iter().filter(|event| event.user == viewer).count() as u64;
        let likes = likes_of(engine, viewer).await;
        let (least, most) = (of(&acknowledged), of(&sent));
        assert!(
            (least..=most).contains(&likes),
            "user {viewer} has {likes} likes: {least} were acknowledged, {most} sent"
        );
    }
    check_catalogue_and_params(engine, oracle);
    let shown = oracle.lock().shown.clone();
    for (viewer, shown) in shown {
        let mut request = super::super::testing::request(&user(viewer));
        (request.n, request.showing) = (ITEMS + 1, Showing::Explicit);
        let feed = engine.feed(request).await.expect("a feed, and soon");
        let again: Vec<&str> = feed.items.iter().map(|item| item.item_id.as_str()).collect();
        let again: Vec<&&str> = again.iter().filter(|id| shown.contains(**id)).collect();
        assert!(again.is_empty(), "user {viewer} is shown {again:?} again");
    }
    // Whoever got no answer asks again: each event counts once then, wherever it is counted.
    for event in &sent {
        let reply = engine.ingest(vec![event.event()]).await.expect("taken");
        assert_eq!(reply.accepted + reply.duplicates, 1, "{:?}", reply.rejected);
    }
    oracle.lock().acknowledge(sent.iter());
    for viewer in 0..USERS {
        let expected = sent.iter().filter(|event| event.user == viewer).count() as u64;
        assert_eq!(
            likes_of(engine, viewer).await,
            expected,
            "likes of user {viewer} after a retry of everything"
        );
    }
    let question = Question {
        window: StatsWindow::ONE_HOUR,
        filter: Filter::default(),
        group_by: Vec::new(),
        interval_ms: None,
    };
    let total = engine.shared.effects.answer(&question, clock::now()).total;
    assert_eq!(total.likes as usize, sent.len(), "likes in the effects");
    engine.checkpoint().await.expect("a checkpoint");
    for item in 0..ITEMS {
        let row = engine
            .shared
            .world
            .catalogue
            .row(&format!("v{item}"))
            .expect("it is there");
        // One user is one voice, however often the user likes it in a day.
        let of_item = sent.iter().filter(|event| event.item == item);
        let expected = of_item.map(|event| event.user).collect::<BTreeSet<usize>>().len();
        assert_eq!(
            stored_likes(&engine.shared, row) as usize,
            expected,
            "likes of item {item}"
        );
    }
}

/// Also what there is at first.
pub(super) fn check_catalogue_and_params(engine: &Engine, oracle: &Mutex<Oracle>) {
    let mut oracle = oracle.lock();
    oracle
        .params
        .check("params", engine.params().params.caches.similar_ms as u64);
    oracle.item.check("the spare item", engine.item(SPARE_ITEM).is_some());
    assert!(engine.item("v0").is_some(), "the catalogue is gone");
}
