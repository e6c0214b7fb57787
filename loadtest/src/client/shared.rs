//! What all viewers of a run have in common.
//!
//! Owns settings and the signals to all viewers. Must not own a viewer's state.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swipeline_models::time::TimestampMs;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::codec::Proto;
use super::connect::Connector;
use super::endpoint::Endpoint;
use super::record::Recorder;
use super::yardstick::Yardstick;

/// How viewers talk to the server.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Where it is.
    pub endpoint: Endpoint,
    /// In which form.
    pub proto: Proto,
    /// How many swipes of one viewer may wait for their feeds. With 1 a viewer waits for the fresh feed before it
    /// swipes on; what was planned meanwhile is late, and its latency counts from the plan.
    pub in_flight_max: usize,
    /// An answer that takes longer has failed.
    pub answer_timeout: Duration,
    /// Ask for more when so few items (or fewer) wait.
    pub low_water: usize,
    /// How many items a feed shall have; the server's default when absent.
    pub feed_n: Option<usize>,
    /// A changed taste shows when the new favourite has this share of a pushed feed, 0 to 1.
    pub shift_share: f64,
}

impl ClientConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(endpoint: Endpoint, proto: Proto) -> Self {
        Self {
            endpoint,
            proto,
            in_flight_max: 1,
            answer_timeout: Duration::from_secs(10),
            low_water: 2,
            feed_n: None,
            shift_share: 0.25,
        }
    }
}

/// What sets some viewers apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traits {
    /// This share of the messages of events is sent twice.
    pub duplicate_share: f64,
    /// This share of the messages of events carries a time in the past.
    pub late_share: f64,
    /// Whether a viewer who leaves is followed by somebody new instead of coming back.
    pub new_user_per_session: bool,
}

/// An item that becomes a hit: from then on nearly everybody who is shown it likes it.
#[derive(Debug)]
pub struct Hit {
    /// Which.
    pub item_id: String,
    begun: OnceLock<Instant>,
    in_a_feed: AtomicBool,
}

impl Hit {
    /// Not a hit yet.
    #[must_use]
    pub fn new(item_id: String) -> Self {
        Self {
            item_id,
            begun: OnceLock::new(),
            in_a_feed: AtomicBool::new(false),
        }
    }

    /// It begins.
    pub(crate) fn begin(&self, now: Instant) {
        self.begun.get_or_init(|| now);
    }

    /// Since when it is one.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    /// Whether this is the first feed that holds it since.
    pub(crate) fn is_first(&self) -> bool {
        !self.in_a_feed.swap(true, Ordering::AcqRel)
    }
}

/// A signal to all viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    /// Finish what is under way and leave.
    pub stopping: bool,
    /// Grows by one each time all sockets shall be dropped and opened again at once.
    pub storm: u32,
}

/// What all viewers of a run have in common.
pub struct Shared {
    /// How to talk.
    pub config: ClientConfig,
    /// Where bytes come from.
    pub connector: Arc<dyn Connector>,
    /// Where measurements go.
    pub recorder: Arc<Recorder>,
    /// What to compare feeds with; nothing when absent.
    pub yardstick: Option<Arc<Yardstick>>,
    /// The item that becomes a hit; none in most runs.
    pub hit: Option<Hit>,
    ready_count: AtomicUsize,
    ready: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Settings, transport, recorder and yardstick for a group of viewers.
    #[must_use]
    pub fn new(
        config: ClientConfig,
        connector: Arc<dyn Connector>,
        recorder: Arc<Recorder>,
        yardstick: Option<Arc<Yardstick>>,
    ) -> Self {
        Self {
            config,
            connector,
            recorder,
            yardstick,
            hit: None,
            ready_count: AtomicUsize::new(0),
            ready: Notify::new(),
        }
    }

    /// The same with an item that becomes a hit.
    #[must_use]
    pub fn with_hit(self, hit: Option<Hit>) -> Self {
        Self { hit, ..self }
    }

    /// A viewer has its first feed.
    pub(crate) fn note_ready(&self) {
        self.ready_count.fetch_add(1, Ordering::AcqRel);
        self.ready.notify_waiters();
    }

    /// Waits until `count` viewers have had their first feed, or until `deadline`; gives how many have.
    pub async fn wait_ready(&self, count: usize, deadline: Instant) -> usize {
        loop {
            let notified = self.ready.notified();
            let ready = self.ready_count.load(Ordering::Acquire);
            if ready >= count || tokio::time::timeout_at(deadline, notified).await.is_err() {
                return self.ready_count.load(Ordering::Acquire);
            }
        }
    }
}

/// The wall clock, for the ages of items and the times of events.
pub(crate) fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
