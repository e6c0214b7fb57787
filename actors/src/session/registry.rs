//! Which users have a session actor, and how to reach it.
//!
//! Owns: starting on first contact, starting again after an actor died, passivation of idle ones, and the bound on
//! active sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, MailboxError, Message};
use dashmap::{DashMap, DashSet};
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use swipeline_models::ids::UserId;
use swipeline_models::wire::UserProfileDto;

use super::actor::SessionActor;
use super::memory::{Budget, Strangers, Weight};
use super::messages::{MakeUp, Passivate, Rest, Snapshot};
use super::overloaded::KeptProfile;
use crate::api::EngineError;
use crate::caches::count_hit;
use crate::clock;
use crate::overload::ArbiterLoad;
use crate::shared::SharedRef;

/// How many sessions are asked for their snapshots at a time.
const SNAPSHOTS_AT_A_TIME: usize = 64;

/// A session that is active.
pub(crate) struct ActiveSession {
    addr: Addr<SessionActor>,
    activity: Arc<Activity>,
}

/// What the registry may know about a session without asking it.
#[derive(Default)]
pub(crate) struct Activity {
    /// When it was last heard of, in milliseconds of the monotonic clock.
    pub(crate) at_ms: AtomicI64,
    /// How many sockets it has.
    pub(crate) sockets: AtomicUsize,
    /// Whether it holds something that the snapshots do not.
    pub(crate) is_dirty: AtomicBool,
    /// Whether it holds candidates.
    pub(crate) holds_pool: AtomicBool,
    /// How many messages are on their way to it.
    pub(crate) in_flight: AtomicUsize,
    /// How often what is known of the viewer has changed.
    pub(crate) changes: AtomicU64,
    /// The profile that was made last.
    pub(crate) profile: Mutex<Option<KeptProfile>>,
    /// Whether it was refused a feed for its sockets that it is still owed.
    pub(crate) is_owed_feed: AtomicBool,
    /// Whether it is among the viewers without a signal who hold candidates.
    pub(super) is_listed_stranger: AtomicBool,
    /// What it holds of the memory of all sessions.
    pub(super) weight: Weight,
    /// The load of its arbiter.
    load: Arc<ArbiterLoad>,
}

impl Activity {
    /// A session on an arbiter.
    fn on(load: Arc<ArbiterLoad>, budget: Arc<Budget>) -> Self {
        let mut activity = Self::default();
        activity.load = load;
        activity.weight = Weight::of(budget);
        activity
    }

    /// For how long it was not heard of, in milliseconds.
    pub(crate) fn idle_ms(&self) -> i64 {
        clock::monotonic_ms().saturating_sub(self.at_ms.load(Ordering::Relaxed))
    }

    /// A message is on its way to the session. Returns how many were before.
    pub(crate) fn enter(&self) -> usize {
        self.load.enter();
        self.in_flight.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether messages wait for the session's arbiter beside the one that it may be handling.
    pub(crate) fn others_wait(&self) -> bool {
        self.load.waiting() > 1
    }

    /// A message was handled, or will not be.
    pub(crate) fn leave(&self) {
        self.load.leave();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Activity {
    /// What was on its way to a session that ended will not be handled.
    fn drop(&mut self) {
        self.load.leave_all(self.in_flight.load(Ordering::Relaxed));
    }
}

/// The active sessions.
#[derive(Default)]
pub(crate) struct Registry {
    active: DashMap<UserId, ActiveSession, FxBuildHasher>,
    /// Users who are being forgotten: nobody may bring their session back meanwhile.
    forgetting: DashSet<UserId, FxBuildHasher>,
    /// What all sessions hold.
    budget: Arc<Budget>,
    /// Viewers without a signal who hold candidates.
    pub(super) strangers: Strangers,
}

impl Registry {
    /// How many sessions are active.
    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    /// How many sockets all sessions have, and how many messages are on their way to sessions.
    pub(crate) fn sockets_and_in_flight(&self) -> (usize, usize) {
        self.active.iter().fold((0, 0), |(sockets, in_flight), session| {
            let activity = &session.activity;
            (
                sockets + activity.sockets.load(Ordering::Relaxed),
                in_flight + activity.in_flight.load(Ordering::Relaxed),
            )
        })
    }

    /// The user's session, started if it is not active.
    pub(crate) fn get(
        &self,
        shared: &SharedRef,
        user: &UserId,
    ) -> Result<(Addr<SessionActor>, Arc<Activity>), EngineError> {
        if let Some(session) = self.active.get(user) {
            return Ok((session.addr.clone(), session.activity.clone()));
        }
        if shared.is_draining() {
            return Err(EngineError::Unavailable("shutting down".to_owned()));
        }
        if self.forgetting.contains(user) {
            return Err(EngineError::Overloaded { retry_after_ms: 200 });
        }
        let is_full = self.active.len() >= shared.config.sessions_max;
        if self.budget.is_spent(shared.config.sessions_bytes_max) || is_full {
            return Err(EngineError::Overloaded { retry_after_ms: 1_000 });
        }
        let start = || start(shared, user, self.budget.clone());
        let session = self.active.entry(user.clone()).or_insert_with(start);
        Ok((session.addr.clone(), session.activity.clone()))
    }

    /// Asks the user's session. When its actor has just stopped or died, a new one is started from the snapshot and
    /// asked once more.
    pub(crate) async fn ask<M>(
        &self,
        shared: &SharedRef,
        user: &UserId,
        message: impl Fn() -> M,
    ) -> Result<M::Result, EngineError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        SessionActor: Handler<M>,
        <SessionActor as Actor>::Context: ToEnvelope<SessionActor, M>,
    {
        for _ in 0..2 {
            let (addr, activity) = self.get(shared, user)?;
            let on_its_way = OnItsWay::to(&activity);
            let answer = addr.send(message()).await;
            drop(on_its_way);
            match answer {
                Ok(answer) => return Ok(answer),
                Err(MailboxError::Closed | MailboxError::Timeout) => self.remove(user, &addr),
            }
        }
        metrics::counter!("swipeline_sessions_lost_total").increment(1);
        Err(EngineError::Unavailable("the session could not be started".to_owned()))
    }

    /// Takes a session that has stopped out; one that was started in its place stays.
    pub(crate) fn remove(&self, user: &UserId, addr: &Addr<SessionActor>) {
        self.active.remove_if(user, |_, session| session.addr == *addr);
    }

    /// Keeps the user's session from coming back until the guard is dropped.
    pub(crate) fn forget(&self, user: &UserId) -> ForgetGuard<'_> {
        self.forgetting.insert(user.clone());
        ForgetGuard {
            registry: self,
            user: user.clone(),
        }
    }

    /// The user's session, if it is active.
    pub(crate) fn active(&self, user: &UserId) -> Option<Addr<SessionActor>> {
        self.active.get(user).map(|session| session.addr.clone())
    }

    /// All active sessions.
    pub(crate) fn all(&self) -> Vec<Addr<SessionActor>> {
        self.active.iter().map(|session| session.addr.clone()).collect()
    }

    /// Whether the user's session is active.
    pub(crate) fn is_active(&self, user: &UserId) -> bool {
        self.active.contains_key(user)
    }

    /// What all sessions hold.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Puts those to sleep that were not heard of for the longest time, until enough is given back. Returns how many were
    /// asked to.
    pub(crate) fn relieve(&self, bytes_max: usize) -> usize {
        let surplus = self.budget.surplus(bytes_max);
        if surplus == 0 {
            return 0;
        }
        let is_unused = |activity: &Activity| {
            activity.sockets.load(Ordering::Relaxed) == 0 && activity.in_flight.load(Ordering::Relaxed) == 0
        };
        let mut unused: Vec<(i64, usize, Addr<SessionActor>)> = self
            .active
            .iter()
            .filter(|session| is_unused(&session.activity))
            .map(|session| {
                let at = session.activity.at_ms.load(Ordering::Relaxed);
                (at, session.activity.weight.bytes(), session.addr.clone())
            })
            .collect();
        unused.sort_unstable_by_key(|(at, _, _)| *at);
        let (mut given_back, mut asked) = (0, 0);
        for (_, bytes, addr) in unused {
            if given_back >= surplus {
                break;
            }
            given_back += bytes;
            asked += 1;
            // A session with a full mailbox is not idle.
            let _ = addr.try_send(Passivate { idle_ms: 0 });
        }
        asked
    }

    /// Asks sessions that nobody uses to stop.
    pub(crate) fn sweep(&self, idle_ms: i64) {
        let idle: Vec<Addr<SessionActor>> = self
            .active
            .iter()
            .filter(|session| {
                session.activity.idle_ms() > idle_ms && session.activity.sockets.load(Ordering::Relaxed) == 0
            })
            .map(|session| session.addr.clone())
            .collect();
        for addr in idle {
            // A session with a full mailbox is not idle.
            let _ = addr.try_send(Passivate { idle_ms });
        }
    }

    /// Tells sessions that have done nothing for as long as a pool serves to let go of theirs.
    pub(crate) fn rest(&self, pool_age_ms: i64) {
        for session in &self.active {
            let activity = &session.activity;
            let is_idle = activity.idle_ms() > pool_age_ms;
            if is_idle && activity.holds_pool.swap(false, Ordering::Relaxed) {
                // A session with a full mailbox is not idle.
                let _ = session.addr.try_send(Rest { pool_age_ms });
            }
        }
    }

    /// The profile that the user's session made last, when nothing has changed since and it is young.
    pub(crate) fn kept_profile(&self, shared: &SharedRef, user: &UserId) -> Option<Arc<UserProfileDto>> {
        let kept_ms = shared.world.params.load().caches.profile_ms;
        if kept_ms == 0 {
            return None;
        }
        let version = shared.world.catalogue.load().version();
        let kept = self.active.get(user).and_then(|session| {
            let changes = session.activity.changes.load(Ordering::Acquire);
            let kept = session.activity.profile.lock();
            let good = kept.as_ref().filter(|kept| kept.holds(changes, version, kept_ms));
            good.map(|kept| kept.profile.clone())
        });
        count_hit("profile", kept.is_some());
        kept
    }

    /// Lets go of profiles that are too old to be used.
    pub(crate) fn forget_old_profiles(&self, kept_ms: i64) {
        let before = clock::now().plus_ms(-kept_ms);
        for session in &self.active {
            let mut kept = session.activity.profile.lock();
            if kept.as_ref().is_some_and(|kept| kept.made_at < before) {
                *kept = None;
            }
        }
    }

    /// Tells up to `count` sessions that were refused a feed to make one. Returns how many were told.
    pub(crate) fn make_up(&self, count: usize) -> usize {
        let mut told = 0;
        for session in &self.active {
            if told >= count {
                break;
            }
            if session.activity.is_owed_feed.swap(false, Ordering::Relaxed) {
                told += 1;
                // A session with a full mailbox is about to make feeds anyway.
                let _ = session.addr.try_send(MakeUp);
            }
        }
        told
    }

    /// Brings all sessions that have changed, and those on their way, into the store. Returns how many had changed.
    ///
    /// # Errors
    /// `Unavailable` when one could not be written.
    pub(crate) async fn write_all(&self, shared: &SharedRef) -> Result<u64, EngineError> {
        let dirty: Vec<Addr<SessionActor>> = self
            .active
            .iter()
            .filter(|session| session.activity.is_dirty.load(Ordering::Acquire))
            .map(|session| session.addr.clone())
            .collect();
        for batch in dirty.chunks(SNAPSHOTS_AT_A_TIME) {
            let answers = futures_util::future::join_all(batch.iter().map(|addr| addr.send(Snapshot))).await;
            // A session that has stopped meanwhile has written itself down; one that died is as the journal has it, and
            // the journal must then be kept.
            if answers
                .iter()
                .any(|answer| matches!(answer, Ok(false) | Err(MailboxError::Timeout)))
            {
                return Err(EngineError::Unavailable("a session could not be written".to_owned()));
            }
            write_rows(shared).await?;
        }
        write_rows(shared).await?;
        Ok(dirty.len() as u64)
    }
}

async fn write_rows(shared: &SharedRef) -> Result<(), EngineError> {
    let inside = shared.clone();
    let written = tokio::task::spawn_blocking(move || inside.session_rows.write(&inside)).await;
    let unwritten =
        |error: &dyn std::fmt::Display| EngineError::Unavailable(format!("the sessions were not written: {error}"));
    written
        .map_err(|error| unwritten(&error))?
        .map_err(|error| unwritten(&error))?;
    Ok(())
}

/// Counts a message until it is answered, also when whoever asked does not wait any longer.
struct OnItsWay<'a> {
    activity: &'a Activity,
}

impl<'a> OnItsWay<'a> {
    fn to(activity: &'a Activity) -> Self {
        activity.enter();
        Self { activity }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.activity.leave();
    }
}

/// See [`Registry::forget`].
pub(crate) struct ForgetGuard<'a> {
    registry: &'a Registry,
    user: UserId,
}

impl Drop for ForgetGuard<'_> {
    fn drop(&mut self) {
        self.registry.forgetting.remove(&self.user);
    }
}

fn start(shared: &SharedRef, user: &UserId, budget: Arc<Budget>) -> ActiveSession {
    let load = shared.overload.arbiter(shared.arbiter_number(user.hash64()));
    let activity = Arc::new(Activity::on(load, budget));
    activity.at_ms.store(clock::monotonic_ms(), Ordering::Relaxed);
    let (inside, inside_user, inside_activity) = (shared.clone(), user.clone(), activity.clone());
    let addr = SessionActor::start_in_arbiter(shared.arbiter(user.hash64()), move |_| {
        SessionActor::restore(inside, &inside_user, inside_activity)
    });
    ActiveSession { addr, activity }
}
