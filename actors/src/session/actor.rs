//! The actor of one viewer: owns the state, orders what happens to it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use swipeline_models::ids::UserId;
use swipeline_models::learner::PendingOutcomes;
use swipeline_models::pipeline::{PrivateQueue, Scratch};
use swipeline_models::recall::Pool;
use swipeline_models::session::{RateBudget, SessionState, features_of, profile_of};
use swipeline_models::wire::{UserDto, UserProfileDto};

use super::messages::*;
use super::overloaded::KeptProfile;
use super::pages::Pages;
use super::registry::Activity;
use super::sent::number_anew;
use super::sockets::Sockets;
use super::store::stored_session;
use super::variant::VariantCache;
use crate::api::EngineError;
use crate::clock;
use crate::effects::Tag;
use crate::outbox::CloseReason;
use crate::records::JournalEntry;
use crate::shared::{SharedRef, journal_error};

/// How many messages wait for one session; beyond that it is overloaded.
const MAILBOX_MESSAGES_MAX: usize = 256;

thread_local! {
    /// One per arbiter: sessions of a thread run one after the other.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The actor of one viewer.
pub(crate) struct SessionActor {
    pub(super) shared: SharedRef,
    pub(super) state: SessionState,
    pub(super) pool: Pool,
    /// What was served and has not become anything yet; not stored.
    pub(super) pending: PendingOutcomes,
    /// The variants under whose params the pool was filled.
    pub(super) pool_tag: Tag,
    /// What the last ranking left.
    pub(super) queue: PrivateQueue,
    /// Feeds that were looked at.
    pub(super) pages: Pages,
    pub(super) sockets: Sockets,
    pub(super) settings: SessionSettings,
    pub(super) variant_cache: VariantCache,
    pub(super) rate: RateBudget,
    pub(super) activity: Arc<Activity>,
    /// Whether the store has to be waited for first: it may hold a session of this viewer.
    awaits_store: bool,
}

/// What the clients of a session wished for with `hello`.
#[derive(Default)]
pub(super) struct SessionSettings {
    /// How many items a pushed feed has.
    pub(super) n: Option<usize>,
    /// A feed is appended by itself when fewer unseen items are left.
    pub(super) low_water: Option<usize>,
    /// Where the viewer is; overrides the profile.
    pub(super) region: Option<String>,
    /// On what; overrides the profile.
    pub(super) device: Option<String>,
    /// By which kind of network.
    pub(super) network: Option<String>,
    /// Where in the app.
    pub(super) scene: Option<String>,
    /// Whether the last feed found nothing.
    pub(super) is_exhausted: bool,
    /// The variants that a client wished to be served under.
    pub(super) variant: Option<String>,
}

impl SessionActor {
    /// The session as it was when it was last written down. When the store is busy it is read once the actor runs.
    pub(super) fn restore(shared: SharedRef, user: &UserId, activity: Arc<Activity>) -> Self {
        let stored = shared.session_rows.now(&shared, user);
        let awaits_store = stored.is_none();
        let mut state = stored.unwrap_or_else(|| SessionState::new(user.clone()));
        number_anew(&shared, &mut state);
        metrics::counter!("swipeline_sessions_started_total").increment(1);
        Self {
            shared,
            state,
            pool: Pool::default(),
            pending: PendingOutcomes::default(),
            pool_tag: 0,
            queue: PrivateQueue::default(),
            pages: Pages::default(),
            sockets: Sockets::default(),
            settings: SessionSettings::default(),
            variant_cache: VariantCache::default(),
            rate: RateBudget::default(),
            activity,
            awaits_store,
        }
    }

    /// Lends the thread's scratch memory.
    pub(super) fn with_scratch<T>(use_it: impl FnOnce(&mut Scratch) -> T) -> T {
        SCRATCH.with_borrow_mut(use_it)
    }

    /// Notes that the viewer was heard of.
    pub(super) fn touch(&mut self) {
        self.state.active_at = clock::now();
        self.activity.at_ms.store(clock::monotonic_ms(), Ordering::Relaxed);
    }

    /// Appends to the journal and returns the number. While other messages wait for this thread, their records gather for
    /// one write of the commit thread; a record that comes alone is written here.
    pub(super) fn append(&self, entry: &JournalEntry) -> Result<u64, EngineError> {
        let journal = &*self.shared.storage.journal;
        let appended = if self.activity.others_wait() {
            entry.append(journal)
        } else {
            entry.append_at_once(journal)
        };
        Ok(appended.map_err(|error| journal_error(&error))?.0)
    }

    /// Notes that the state holds more than the snapshots, though nothing new of the viewer.
    pub(super) fn mark_unsaved(&mut self, sequence: u64) {
        self.state.journal_sequence = self.state.journal_sequence.max(sequence);
        self.activity.is_dirty.store(true, Ordering::Release);
    }

    /// Notes that more is known of the viewer than the snapshots hold.
    pub(super) fn mark_dirty(&mut self, sequence: u64) {
        self.mark_unsaved(sequence);
        self.activity.changes.fetch_add(1, Ordering::Release);
        self.weigh();
    }

    /// Whether nobody knows what the viewer likes, and none of the viewer's sockets is open.
    pub(super) fn is_stranger(&self) -> bool {
        self.sockets.is_empty() && self.state.signals() == 0
    }

    /// Gives candidates back, which is most of what an idle session holds.
    fn let_go(&mut self) {
        self.pool = Pool::default();
        self.finish_outcomes();
        self.queue = PrivateQueue::default();
        self.activity.holds_pool.store(false, Ordering::Relaxed);
        self.weigh();
    }

    /// Says how much memory the session holds.
    pub(super) fn weigh(&self) {
        let held = self.state.memory_bytes() + self.pool.memory_bytes() + self.queue.memory_bytes();
        self.activity.weight.set(held);
    }

    fn is_dirty(&self) -> bool {
        self.activity.is_dirty.load(Ordering::Acquire)
    }

    /// Puts the state on its way into the store, unless what is on its way holds all of it. Returns whether it does.
    fn write_down(&self) -> bool {
        if !self.is_dirty() {
            return true;
        }
        let is_taken = self.shared.session_rows.put(&self.shared, &self.state);
        if is_taken {
            self.activity.is_dirty.store(false, Ordering::Release);
        }
        is_taken
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_MESSAGES_MAX);
        if !self.awaits_store {
            return;
        }
        let user = self.state.user.clone();
        let read = self.shared.read_beside(move |shared| stored_session(shared, &user));
        // Messages wait for it in the mailbox; other sessions of the thread do not.
        context.wait(read.into_actor(self).map(|state, actor, context| match state {
            Some(mut state) => {
                number_anew(&actor.shared, &mut state);
                actor.state = state;
            }
            // Whoever asks finds it gone and asks once more.
            None => context.stop(),
        }));
    }
}

impl Drop for SessionActor {
    /// Also runs when a handler panicked: the sockets reconnect and find the session as it was acknowledged.
    fn drop(&mut self) {
        self.sockets.close_all(&CloseReason::SessionLost);
        self.activity.sockets.store(0, Ordering::Relaxed);
        self.activity.weight.end();
    }
}

impl Handler<GetProfile> for SessionActor {
    type Result = Option<Arc<UserProfileDto>>;

    fn handle(&mut self, ask: GetProfile, _context: &mut Self::Context) -> Self::Result {
        if !self.state.is_known() {
            return None;
        }
        let now = clock::now();
        let catalogue = self.shared.world.catalogue.load();
        let words = self.shared.world.catalogue.words();
        let mut profile = profile_of(&self.state, &catalogue, words, now);
        if ask.features {
            let row = ask.item.and_then(|item| self.shared.world.catalogue.row(item.as_str()));
            let entry = row.and_then(|row| catalogue.entry(row));
            let entry = entry.map(|entry| &**entry);
            profile.features = Some(features_of(&self.state, entry, &self.params(), words, now));
        }
        let profile = Arc::new(profile);
        if !ask.features {
            *self.activity.profile.lock() = Some(KeptProfile {
                changes: self.activity.changes.load(Ordering::Acquire),
                catalogue_version: catalogue.version(),
                made_at: now,
                profile: profile.clone(),
            });
        }
        Some(profile)
    }
}

impl Handler<Describe> for SessionActor {
    type Result = Result<u64, EngineError>;

    fn handle(&mut self, Describe { user }: Describe, _context: &mut Self::Context) -> Self::Result {
        self.touch();
        let entry = JournalEntry::User(Box::new(UserDto::from(&user)));
        let shared = self.shared.clone();
        let _entered = shared.gate.enter();
        let sequence = self.append(&entry)?;
        self.state.describe(user, self.shared.world.catalogue.words());
        self.pool.clear();
        self.pool.state = Default::default();
        self.queue.clear();
        self.mark_dirty(sequence);
        Ok(sequence)
    }
}

impl Handler<Forget> for SessionActor {
    type Result = bool;

    fn handle(&mut self, _forget: Forget, context: &mut Self::Context) -> Self::Result {
        let was_known = self.state.is_known();
        if let Some(key) = self.state.knn_session {
            self.shared.world.session_knn.remove(key);
        }
        if let Some(key) = self.state.knn_user {
            self.shared.world.similar_users.remove(key);
        }
        self.sockets.close_all(&CloseReason::UserDeleted);
        // A socket that is being closed may hold on to what the registry knew for a moment more.
        *self.activity.profile.lock() = None;
        self.state = SessionState::new(self.state.user.clone());
        self.pages.clear();
        self.pending = PendingOutcomes::default();
        self.activity.is_dirty.store(false, Ordering::Release);
        self.shared.sessions.remove(&self.state.user, &context.address());
        context.stop();
        was_known
    }
}

impl Handler<Snapshot> for SessionActor {
    type Result = bool;

    /// Put on its way here and not by whoever asks, so that rows of one session reach the store in the order of its states.
    fn handle(&mut self, _snapshot: Snapshot, _context: &mut Self::Context) -> Self::Result {
        self.write_down()
    }
}

impl Handler<Rest> for SessionActor {
    type Result = ();

    /// A pool of that age is filled anew before it is used, and it is most of what an idle session holds.
    fn handle(&mut self, Rest { pool_age_ms }: Rest, _context: &mut Self::Context) {
        self.state.rest(clock::now(), &self.params());
        if self.activity.idle_ms() > pool_age_ms {
            self.let_go();
        } else {
            self.activity.holds_pool.store(true, Ordering::Relaxed);
        }
    }
}

impl Handler<Shrink> for SessionActor {
    type Result = ();

    fn handle(&mut self, _shrink: Shrink, _context: &mut Self::Context) {
        if self.is_stranger() {
            self.let_go();
        }
    }
}

impl Handler<Passivate> for SessionActor {
    type Result = ();

    fn handle(&mut self, wanted: Passivate, context: &mut Self::Context) {
        let idle_ms = self.activity.idle_ms();
        let is_used = !self.sockets.is_empty() || self.activity.in_flight.load(Ordering::Relaxed) > 0;
        if is_used || idle_ms < wanted.idle_ms {
            return;
        }
        if (self.is_dirty() && self.shared.session_rows.is_full()) || !self.write_down() {
            return;
        }
        self.finish_outcomes();
        metrics::counter!("swipeline_sessions_passivated_total").increment(1);
        self.shared.sessions.remove(&self.state.user, &context.address());
        context.stop();
    }
}
