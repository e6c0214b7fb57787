//! The state of one viewer and how events change it.

use std::collections::VecDeque;

use super::{Behaviour, Exposure, Given, Habits, Interest, LearnedFusion, RecentHashes, Served, Stray, Windows};
use crate::catalogue::{Entry, NO_WORD, Vocabularies};
use crate::collaborative::SessionKey;
use crate::event::{Event, SIGNAL_COUNT, Signal};
use crate::experiment::UnitLedger;
use crate::ids::{Row, UserId, Word};
use crate::params::{InterestFusion, Params};
use crate::time::TimestampMs;
use crate::user::{USER_FOLLOWS_MAX, User};

/// How many actions are remembered one by one.
pub const RECENT_ACTIONS_MAX: usize = 200;
/// How many event ids are remembered; a retry later than so many further events counts again.
pub const EVENT_IDS_MAX: usize = 10_000;
/// The playing time that is assumed of an item without one, in milliseconds.
const DURATION_MS_ASSUMED: u32 = 15_000;
/// The weight of a new watch ratio in the viewer's running average.
const WATCH_RATIO_STEP: f32 = 0.1;

/// One thing that the viewer did lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentAction {
    /// With which item.
    pub row: Row,
    /// What.
    pub signal: Signal,
    /// When.
    pub at: TimestampMs,
    /// What it says about the interest; negative means: less of this.
    pub weight: f32,
}

/// What an event did to the state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Applied {
    /// What the signal says about the interest.
    pub weight: f32,
    /// Whether the item counts as shown only since this event.
    pub newly_shown: bool,
    /// Whether it reports once more what was reported as shown before; it counts nowhere then.
    pub repeats_showing: bool,
    /// Whether it came too late for the windows.
    pub is_late: bool,
    /// How many labels it earned or prolonged.
    pub labels_earned: usize,
}

/// Everything known about one viewer.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Who.
    pub user: UserId,
    /// What the outside said about the viewer, if it said anything.
    pub described: Option<Box<User>>,
    /// The viewer's region as a word.
    pub region: Option<Word>,
    /// Tags given at registration, as words.
    pub registered_tags: Vec<Word>,
    /// Followed authors as sorted words.
    pub follows: Vec<Word>,
    /// Blocked authors as sorted words.
    pub blocks: Vec<Word>,
    /// Interest now.
    pub short: Interest,
    /// Interest in the long run.
    pub long: Interest,
    /// What the viewer did lately, the oldest first.
    pub recent: VecDeque<RecentAction>,
    /// What the viewer has been shown.
    pub exposure: Exposure,
    /// Hashes of items that were acted on before anything reported them as shown, the oldest first.
    pub unreported: VecDeque<u64>,
    /// The last behaviour and the labels it has earned; nothing while no pattern took an event.
    pub behaviour: Option<Box<Behaviour>>,
    /// Counts of the last day's signals in event time; nothing while nothing was counted.
    pub windows: Option<Box<Windows>>,
    /// When and how long the viewer watches; nothing while nothing is known.
    pub habits: Option<Box<Habits>>,
    /// What was held back of stray signals; see [`crate::params::DriftParams`].
    pub strays: Vec<Stray>,
    /// The weights of the two horizons where they are learned.
    pub fusion: Option<Box<LearnedFusion>>,
    /// The long-term tags that the outside has given.
    pub given: Option<Box<Given>>,
    /// The ids of the events that counted lately.
    pub event_ids: RecentHashes,
    /// How many events of each signal counted.
    pub counts: [u64; SIGNAL_COUNT],
    /// How many items the viewer has been shown.
    pub shown: u64,
    /// Running average of the watch ratio.
    pub watch_ratio: f32,
    /// The number of the last feed.
    pub feed_seq: u64,
    /// What was sent and may be reported as seen; the newest of it is stored.
    pub served: Served,
    /// The viewer's running session in the index of sessions; not stored.
    pub knn_session: Option<SessionKey>,
    /// The viewer's row in the index of like viewers.
    pub knn_user: Option<SessionKey>,
    /// What the viewer did under the variants of experiments.
    pub units: UnitLedger,
    /// When anything of the viewer was counted last.
    pub visit_at: TimestampMs,
    /// The last journal record that is contained.
    pub journal_sequence: u64,
    /// When the viewer was last heard of, by the server's clock.
    pub active_at: TimestampMs,
}

impl SessionState {
    /// A viewer of whom nothing is known.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            described: None,
            region: None,
            registered_tags: Vec::new(),
            follows: Vec::new(),
            blocks: Vec::new(),
            short: Interest::default(),
            long: Interest::default(),
            recent: VecDeque::new(),
            exposure: Exposure::default(),
            unreported: VecDeque::new(),
            behaviour: None,
            windows: None,
            habits: None,
            strays: Vec::new(),
            fusion: None,
            given: None,
            event_ids: RecentHashes::new(EVENT_IDS_MAX),
            counts: [0; SIGNAL_COUNT],
            shown: 0,
            watch_ratio: 0.5,
            feed_seq: 0,
            served: Served::default(),
            knn_session: None,
            knn_user: None,
            units: UnitLedger::default(),
            visit_at: TimestampMs::default(),
            journal_sequence: 0,
            active_at: TimestampMs::default(),
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.described.is_some() || self.shown > 0 || self.counts.iter().any(|count| *count > 0)
    }

    /// Whether an event of that id has counted already.
    #[must_use]
    pub fn is_duplicate(&self, event: &Event) -> bool {
        event
            .event_id
            .as_ref()
            .is_some_and(|id| self.event_ids.contains(id.hash64()))
    }

    /// Lets an event count. The caller has checked [`SessionState::is_duplicate`].
    pub fn apply(
        &mut self,
        event: &Event,
        row: Row,
        entry: &Entry,
        vector: Option<&[f32]>,
        params: &Params,
    ) -> Applied {
        if let Some(id) = &event.event_id {
            self.event_ids.insert(id.hash64());
        }
        let newly_shown = if event.signal == Signal::Impression {
            let was_shown = self.exposure.contains(entry.hash);
            if !self.report_shown(entry.hash, params) {
                return Applied {
                    weight: 0.0,
                    newly_shown: false,
                    repeats_showing: true,
                    is_late: false,
                    labels_earned: 0,
                };
            }
            !was_shown
        } else {
            self.show_by_action(entry.hash, params)
        };
        self.counts[event.signal as usize] += 1;
        let weight = signal_weight(event, entry, params);
        let interest = &params.interest;
        if interest.fusion == InterestFusion::Learned
            && weight != 0.0
            && let Some(vector) = vector
        {
            self.learn_fusion(weight > 0.0, vector, interest);
        }
        let believed = self.guarded(weight, entry, event.at, interest);
        let step_decay = if event.signal == Signal::Impression {
            1.0
        } else {
            interest.short_step_decay
        };
        self.short.add(
            entry,
            vector,
            believed,
            event.at,
            interest.short_half_life_ms,
            step_decay,
        );
        self.long
            .add(entry, vector, believed, event.at, interest.long_half_life_ms, 1.0);
        if let Some(watch_ms) = event.watch_ms {
            let ratio = watch_ratio(watch_ms, entry.duration_ms);
            self.watch_ratio += WATCH_RATIO_STEP * (ratio - self.watch_ratio);
        }
        if event.signal == Signal::Follow {
            self.follow(entry.author);
        }
        if event.signal != Signal::Impression {
            self.remember(RecentAction {
                row,
                signal: event.signal,
                at: event.at,
                weight: believed,
            });
        }
        Applied {
            weight,
            newly_shown,
            repeats_showing: false,
            is_late: false,
            labels_earned: 0,
        }
    }

    /// Lets an item count as shown. Returns whether it did not before.
    pub fn show(&mut self, hash: u64, params: &Params) -> bool {
        let newly_shown = self.exposure.insert(hash, &params.exposure);
        self.shown += u64::from(newly_shown);
        newly_shown
    }

    /// Takes what the outside says about the viewer.
    pub fn describe(&mut self, user: User, words: &Vocabularies) {
        self.region = user.region.as_deref().and_then(|region| words.regions.intern(region));
        self.registered_tags = user.tags.iter().filter_map(|tag| words.tags.intern(tag)).collect();
        // Who names the authors means all of them; who names none may not know about those followed by events.
        if let Some(authors) = &user.follows {
            self.follows.clear();
            for author in authors
                .iter()
                .filter_map(|author| words.authors.intern(author.as_str()))
            {
                self.follow(author);
            }
        }
        self.blocks = user
            .blocks
            .iter()
            .filter_map(|author| words.authors.intern(author.as_str()))
            .collect();
        self.blocks.sort_unstable();
        self.blocks.dedup();
        self.given = Given::of(&user, words).map(Box::new);
        self.described = Some(Box::new(user));
    }

    /// Whether the viewer follows an author.
    #[must_use]
    pub fn is_following(&self, author: Word) -> bool {
        author != NO_WORD && self.follows.binary_search(&author).is_ok()
    }

    /// How many signals (everything but impressions) have counted.
    #[must_use]
    pub fn signals(&self) -> u64 {
        self.counts.iter().skip(1).sum()
    }

    /// The last positive items, the newest first, each once; what was taken back since is left out.
    pub fn recent_positive(&self, count: usize, out: &mut Vec<RecentAction>) {
        self.last_positive_of(self.recent.len(), count, out);
    }

    /// What [`recent_positive`](Self::recent_positive) was right before an action that is remembered; nothing when it is
    /// not remembered any more.
    pub fn recent_positive_before(&self, event: &Event, row: Row, count: usize, out: &mut Vec<RecentAction>) {
        let is_it = |action: &RecentAction| action.row == row && action.signal == event.signal && action.at == event.at;
        let place = self.recent.iter().rposition(is_it).unwrap_or(0);
        self.last_positive_of(place, count, out);
    }

    fn last_positive_of(&self, end: usize, count: usize, out: &mut Vec<RecentAction>) {
        out.clear();
        for action in self.positive(end) {
            if out.len() >= count {
                break;
            }
            if out.iter().all(|known| known.row != action.row) {
                out.push(*action);
            }
        }
    }

    /// The newest positive action that was not taken back.
    #[must_use]
    pub fn last_positive(&self) -> Option<&RecentAction> {
        self.positive(self.recent.len()).next()
    }

    /// Positive actions among the first `end` that are remembered, the newest first, without those that an unlike, a
    /// dislike or a report among them took back since.
    fn positive(&self, end: usize) -> impl Iterator<Item = &RecentAction> {
        let takes_back = |later: &RecentAction| {
            matches!(later.signal, Signal::Unlike | Signal::Dislike | Signal::Report) && later.weight <= 0.0
        };
        self.recent
            .range(..end)
            .enumerate()
            .rev()
            .filter(|(_, action)| action.weight > 0.0)
            .filter_map(move |(place, action)| {
                let mut since = self.recent.range(place + 1..end);
                let is_taken_back = since.any(|later| later.row == action.row && takes_back(later));
                (!is_taken_back).then_some(action)
            })
    }

    fn follow(&mut self, author: Word) {
        if author == NO_WORD || self.follows.len() >= USER_FOLLOWS_MAX {
            return;
        }
        if let Err(place) = self.follows.binary_search(&author) {
            self.follows.insert(place, author);
        }
    }

    /// Puts an action in its place by its own time: a late one stands before what came after it.
    fn remember(&mut self, action: RecentAction) {
        let place = self
            .recent
            .iter()
            .rposition(|known| known.at <= action.at)
            .map_or(0, |before| before + 1);
        self.recent.insert(place, action);
        if self.recent.len() > RECENT_ACTIONS_MAX {
            self.recent.pop_front();
        }
    }
}

/// What a signal says about the interest; a view counts by how much of the item was watched.
#[must_use]
pub fn signal_weight(event: &Event, entry: &Entry, params: &Params) -> f32 {
    let weight = params.interest.signals.of(event.signal);
    if event.signal != Signal::View {
        return weight;
    }
    let neutral = params.interest.view_neutral_ratio.clamp(0.0, 0.99);
    // A view without a watch time says only that the item was looked at: a third of a full view.
    let Some(watch_ms) = event.watch_ms else {
        return weight / 3.0;
    };
    let ratio = watch_ratio(watch_ms, entry.duration_ms);
    weight * ((ratio - neutral) / (1.0 - neutral)).max(-1.0)
}

/// The share of an item that was watched, 0 to 1.
#[must_use]
pub(super) fn watch_ratio(watch_ms: u32, duration_ms: u32) -> f32 {
    let duration_ms = if duration_ms == 0 {
        DURATION_MS_ASSUMED
    } else {
        duration_ms
    };
    (watch_ms as f32 / duration_ms as f32).clamp(0.0, 1.0)
}
