//! One viewer and its sockets, one after the other.
//!
//! Owns the loop: when to read, when to swipe, when to leave, when to connect again. What is said is in `speak`, what is
//! heard in `listen`. Must not share state with other viewers, except what `Shared` offers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;

use super::connect::{BoxedTransport, OpenSocket, open};
use super::ledger::Ledger;
use super::line::{End, Line, SessionName};
use super::queue::LocalQueue;
use super::record::{Counter, Metric, ShiftOutcome};
use super::shared::{Control, Shared, Traits};
use crate::behaviour::{Reaction, Viewer, ViewerConfig, seeded};

/// The first pause before connecting again; doubles up to the last.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a server that said it would be back may be away.
const RESTART_MAX: Duration = Duration::from_secs(60);
/// The loop wakes at least so often.
const IDLE_WAKE: Duration = Duration::from_secs(30);
/// The shortest time that a viewer looks at an item.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// When a viewer swipes.
#[derive(Debug)]
pub enum Pace {
    /// At the instants of a plan.
    Planned(mpsc::Receiver<Instant>),
    /// When it has watched enough; this many times faster than real life.
    Natural {
        /// 1 is real life.
        speed: f64,
    },
}

/// One viewer with everything it remembers from socket to socket.
#[derive(Debug)]
pub struct ViewerTask {
    pub(super) shared: Arc<Shared>,
    pub(super) traits: Traits,
    viewer_config: ViewerConfig,
    user_prefix: String,
    pub(super) user_id: String,
    pub(super) viewer: Viewer,
    pub(super) rng: Xoshiro256PlusPlus,
    pub(super) queue: LocalQueue,
    pub(super) ledger: Ledger,
    /// What the viewer does about the item on the screen, and since when it is there.
    pub(super) reaction: Option<(Reaction, Instant)>,
    pub(super) name: Option<SessionName>,
    pub(super) shift_reported: bool,
    sessions: u64,
    was_ready: bool,
    control: watch::Receiver<Control>,
    storm_seen: u32,
    pace: Pace,
    plan_is_over: bool,
    /// Since when the viewer is able to swipe; `None` while it is not.
    pub(super) free_since: Option<Instant>,
    /// Whether the viewer has left by its own will and is not back yet.
    pub(super) is_away: bool,
    /// When it was back the last time; what was planned before that it never meant to do.
    pub(super) away_until: Option<Instant>,
    /// When everybody has to stop: the last moment for what is under way.
    stop_by: Option<Instant>,
    /// Until when a server that said it would be back may refuse to be connected to.
    back_by: Option<Instant>,
}

impl ViewerTask {
    /// A viewer that has not connected yet. Its user id is the prefix and its index.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        viewer_config: ViewerConfig,
        user_prefix: &str,
        traits: Traits,
        pace: Pace,
        control: watch::Receiver<Control>,
    ) -> Self {
        let rng = seeded(viewer_config.seed, "reactions", viewer_config.index);
        let storm_seen = control.borrow().storm;
        Self {
            shared,
            traits,
            user_prefix: user_prefix.to_owned(),
            user_id: format!("{user_prefix}{}", viewer_config.index),
            viewer: Viewer::new(viewer_config.clone()),
            viewer_config,
            rng,
            queue: LocalQueue::default(),
            ledger: Ledger::default(),
            reaction: None,
            name: None,
            shift_reported: false,
            sessions: 0,
            was_ready: false,
            control,
            storm_seen,
            pace,
            plan_is_over: false,
            free_since: None,
            is_away: false,
            away_until: None,
            stop_by: None,
            back_by: None,
        }
    }

    /// Lives until everybody has to stop, or until the server says "do not come back".
    pub async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut lost_at = None;
        while !self.control.borrow().stopping {
            let shared = Arc::clone(&self.shared);
            let config = &shared.config;
            match open(&shared.connector, &config.endpoint, config.proto, &self.user_id).await {
                Err(error) => {
                    if error.is_restart() && self.back_by.is_some_and(|by| Instant::now() < by) {
                        shared.recorder.add(Counter::RefusedInRestart, 1);
                    } else {
                        shared.recorder.error(error.code());
                    }
                    // From here on it is the server that keeps the viewer away.
                    self.is_away = false;
                    self.pause(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Ok(socket) => {
                    let end = Box::pin(self.live(socket, lost_at)).await;
                    lost_at = Some(Instant::now());
                    // A server that says goodbye like this will be back, and may be away for a while.
                    let says_back = matches!(end, End::Closed(1001 | 4000..=4499));
                    self.back_by = says_back.then(|| Instant::now() + RESTART_MAX);
                    match end {
                        End::Stopped => break,
                        End::Left => {
                            self.end_session();
                            lost_at = None;
                        }
                        End::Storm => backoff = BACKOFF_MIN,
                        End::Closed(code) if (4500..5000).contains(&code) => break,
                        End::Closed(_) | End::Broken(_) => {
                            self.pause(backoff).await;
                            backoff = (backoff * 2).min(BACKOFF_MAX);
                        }
                    }
                    if self.was_ready {
                        backoff = BACKOFF_MIN.max(backoff / 2);
                    }
                }
            }
        }
        self.finish();
    }

    /// From the upgrade to the end of one socket.
    async fn live(&mut self, socket: OpenSocket, lost_at: Option<Instant>) -> End {
        let recorder = Arc::clone(&self.shared.recorder);
        recorder.latency(Metric::Connect, socket.took, socket.upgraded_at);
        recorder.add(
            if lost_at.is_some() {
                Counter::Reconnects
            } else {
                Counter::Connects
            },
            1,
        );
        let mut line = Line {
            upgraded_at: socket.upgraded_at,
            lost_at,
            welcomed: false,
            fed: false,
            last_feed_at: None,
            last_seq: 0,
            leave_by: None,
            ask_after: socket.upgraded_at,
        };
        self.sessions += 1;
        self.free_since = None;
        // A storm that came while there was no socket is over.
        self.storm_seen = self.control.borrow_and_update().storm;
        let mut stream = socket.stream;
        let end = match self.greet(&mut stream, &line).await {
            Ok(()) => loop {
                if let Err(end) = self.turn(&mut stream, &mut line).await {
                    break end;
                }
            },
            Err(end) => end,
        };
        if matches!(end, End::Stopped | End::Left) {
            self.say_goodbye(&mut stream).await;
        } else {
            end.note(&recorder);
        }
        end
    }

    /// Waits for whatever comes first, and does what has to be done about it.
    async fn turn(&mut self, stream: &mut WebSocketStream<BoxedTransport>, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        self.check_end(line, now)?;
        let takes_plan = self.takes_plan(line, now);
        let wake_at = self.wake_at(line, now);
        tokio::select! {
            biased;
            changed = self.control.changed() => match changed {
                Ok(()) => self.obey(),
                Err(_) => Err(End::Stopped),
            },
            message = stream.next() => self.hear(stream, line, message).await,
            planned = next_planned(&mut self.pace), if takes_plan => match planned {
                Some(planned) => self.swipe_planned(stream, line, planned).await,
                // What is under way is still awaited; the signal to stop follows.
                None => {
                    self.plan_is_over = true;
                    Ok(())
                }
            },
            () = sleep_until(wake_at) => self.tick(stream, line).await,
        }
    }

    /// Whether a planned swipe can be taken: the viewer is free to swipe, or there is nothing to wait for.
    fn takes_plan(&mut self, line: &Line, now: Instant) -> bool {
        let on_air = line.fed && line.leave_by.is_none();
        let in_flight = self.ledger.swipes_in_flight();
        let can_swipe = on_air && self.queue.on_screen().is_some() && in_flight < self.shared.config.in_flight_max;
        self.free_since = if can_swipe { self.free_since.or(Some(now)) } else { None };
        let exhausted = on_air && self.queue.on_screen().is_none() && in_flight == 0 && !self.ledger.is_asking();
        matches!(self.pace, Pace::Planned(_)) && !self.plan_is_over && (can_swipe || exhausted)
    }

    fn wake_at(&self, line: &Line, now: Instant) -> Instant {
        let deadline = self.ledger.next_deadline(self.shared.config.answer_timeout);
        let swipe = self.natural_swipe_at(line);
        let ask = (line.fed && self.queue.on_screen().is_none() && line.ask_after > now).then_some(line.ask_after);
        [deadline, swipe, ask, line.leave_by, self.stop_by]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + IDLE_WAKE)
    }

    /// When the viewer swipes by itself.
    fn natural_swipe_at(&self, line: &Line) -> Option<Instant> {
        let Pace::Natural { speed } = self.pace else {
            return None;
        };
        if self.free_since.is_none() || line.leave_by.is_some() {
            return None;
        }
        let (reaction, shown_at) = self.reaction.as_ref()?;
        let look_s = reaction.watch_ms.max(0) as f64 / 1_000.0 / speed.max(0.001);
        Some(*shown_at + Duration::from_secs_f64(look_s.min(3_600.0)).max(LOOK_MIN))
    }

    /// Time has passed: give up what is late, swipe if it is time, ask if it is time.
    async fn tick(&mut self, stream: &mut WebSocketStream<BoxedTransport>, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        let expired = self.ledger.expire(now, self.shared.config.answer_timeout);
        let recorder = &self.shared.recorder;
        recorder.errors("timeout_feed", expired.feeds);
        recorder.errors("timeout_ack", expired.acks);
        recorder.errors("timeout_request", expired.asks);
        if !line.fed && now.saturating_duration_since(line.upgraded_at) >= self.shared.config.answer_timeout {
            return Err(End::Broken("timeout_first_feed"));
        }
        if let Some(at) = self.natural_swipe_at(line)
            && at <= now
        {
            self.shared.recorder.add_at(Counter::Planned, 1, now);
            self.swipe(stream, line, at).await?;
        }
        self.ask_if_low(stream, line).await
    }

    /// A signal came; that to stop is seen by `check_end`.
    fn obey(&mut self) -> Result<(), End> {
        let storm = self.control.borrow_and_update().storm;
        if storm == self.storm_seen {
            return Ok(());
        }
        self.storm_seen = storm;
        Err(End::Storm)
    }

    /// Whether the viewer may go now, if it wants to or has to. Who has to stop does what is planned already first.
    fn check_end(&mut self, line: &mut Line, now: Instant) -> Result<(), End> {
        let stopping = self.control.borrow().stopping;
        if stopping {
            let stop_by = *self.stop_by.get_or_insert(now + self.shared.config.answer_timeout);
            if now >= stop_by {
                return Err(End::Stopped);
            }
            let nothing_planned = self.plan_is_over || matches!(self.pace, Pace::Natural { .. });
            if nothing_planned && line.leave_by.is_none() {
                line.leave_by = Some(stop_by);
            }
        }
        match line.leave_by {
            Some(last_moment) if self.ledger.is_settled() || now >= last_moment => {
                Err(if stopping { End::Stopped } else { End::Left })
            }
            _ => Ok(()),
        }
    }

    /// Forgets or keeps what a viewer who left keeps; the next socket is a new session.
    fn end_session(&mut self) {
        self.name = None;
        if self.traits.new_user_per_session {
            self.report_shift();
            self.viewer_config.index += NEW_USER_STRIDE;
            self.viewer = Viewer::new(self.viewer_config.clone());
            self.user_id = format!("{}{}", self.user_prefix, self.viewer_config.index);
            self.queue = LocalQueue::default();
            self.ledger = Ledger::default();
            self.reaction = None;
            self.shift_reported = false;
        } else {
            self.viewer.start_session(&mut self.rng);
        }
    }

    /// Notes the first feed on this viewer's first socket.
    pub(super) fn note_ready(&mut self) {
        if !self.was_ready {
            self.was_ready = true;
            self.shared.note_ready();
        }
    }

    /// How many sockets the viewer has had.
    pub(super) fn is_first_session(&self) -> bool {
        self.sessions <= 1
    }

    /// Sleeps with some jitter, so that viewers do not come back in step; ends early when everybody has to stop.
    async fn pause(&mut self, about: Duration) {
        let until = Instant::now() + about.mul_f64(self.rng.random_range(0.5..1.5));
        while !self.control.borrow().stopping {
            tokio::select! {
                changed = self.control.changed() => if changed.is_err() { return },
                () = sleep_until(until) => return,
            }
        }
    }

    fn finish(&mut self) {
        self.report_shift();
        if let Pace::Planned(plan) = &mut self.pace {
            plan.close();
            let mut unsent = 0;
            while plan.try_recv().is_ok() {
                unsent += 1;
            }
            let reason = if self.is_away {
                Counter::Away
            } else {
                Counter::DroppedUnsent
            };
            self.shared.recorder.add_at(reason, unsent, Instant::now());
        }
    }

    /// A change of taste that never showed counts too.
    fn report_shift(&self) {
        if let Some(change) = self.viewer.taste_change()
            && !self.shift_reported
        {
            let outcome = ShiftOutcome {
                shown_after_swipes: None,
                swipes_after: change.swipes_since,
            };
            self.shared.recorder.shift(outcome);
        }
    }
}

/// The distance of a new user's index from the one who left, larger than any number of sessions.
const NEW_USER_STRIDE: u64 = 1_000_000;

async fn next_planned(pace: &mut Pace) -> Option<Instant> {
    match pace {
        Pace::Planned(plan) => plan.recv().await,
        Pace::Natural { .. } => std::future::pending().await,
    }
}
