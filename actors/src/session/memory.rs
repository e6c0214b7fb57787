//! The memory of all sessions: a budget in bytes, and the pools of strangers.
//!
//! Owns what all sessions hold together, as each of them says, and which viewers without a signal hold candidates: a few,
//! the last ones. Must not stop anybody: the registry does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::actor::SessionActor;
use super::messages::Shrink;
use super::registry::Activity;

/// What an active session costs beside what it holds: its actor, its mailbox, its place in the registry, in bytes.
const ACTIVE_BYTES: usize = 4_096;
/// So many viewers of whom no signal is known may hold candidates; most of them never ask again.
const STRANGERS_MAX: usize = 1_024;
/// From this share of the budget on, in hundredths, sessions that nobody uses are put to sleep early ...
const PRESSURE_PERCENT: usize = 90;
/// ... until this share is left.
const RELIEF_PERCENT: usize = 75;

/// What one session holds of the budget, as long as it lives.
#[derive(Default)]
pub(crate) struct Weight {
    bytes: AtomicUsize,
    budget: Arc<Budget>,
}

/// What all sessions hold together.
#[derive(Default)]
pub(crate) struct Budget {
    bytes: AtomicUsize,
    pressed: Notify,
}

impl Budget {
    /// How many bytes all sessions hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing is left; asks for relief when little is.
    pub(super) fn is_spent(&self, bytes_max: usize) -> bool {
        let bytes = self.bytes();
        if bytes >= bytes_max / 100 * PRESSURE_PERCENT {
            self.pressed.notify_one();
        }
        bytes >= bytes_max
    }

    /// Waits until relief is asked for.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// How many bytes should be given back.
    pub(super) fn surplus(&self, bytes_max: usize) -> usize {
        self.bytes().saturating_sub(bytes_max / 100 * RELIEF_PERCENT)
    }
}

impl Weight {
    pub(super) fn of(budget: Arc<Budget>) -> Self {
        budget.bytes.fetch_add(ACTIVE_BYTES, Ordering::Relaxed);
        Self {
            bytes: AtomicUsize::new(ACTIVE_BYTES),
            budget,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The session is over, whoever still knows it.
    pub(super) fn end(&self) {
        let before = self.bytes.swap(0, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// The session holds so many bytes now.
    pub(super) fn set(&self, held_bytes: usize) {
        let now = held_bytes + ACTIVE_BYTES;
        let before = self.bytes.swap(now, Ordering::Relaxed);
        if now >= before {
            self.budget.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.budget.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.end();
    }
}

/// Viewers without a signal who hold candidates, the oldest first.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<VecDeque<(Addr<SessionActor>, Arc<Activity>)>>);

impl Strangers {
    /// One more; the oldest lets go of its candidates for it, if it is still a stranger.
    pub(super) fn add(&self, addr: Addr<SessionActor>, activity: &Arc<Activity>) {
        if activity.is_listed_stranger.swap(true, Ordering::Relaxed) {
            return;
        }
        let oldest = {
            let mut strangers = self.0.lock();
            strangers.push_back((addr, activity.clone()));
            if strangers.len() <= STRANGERS_MAX {
                return;
            }
            strangers.pop_front()
        };
        if let Some((addr, activity)) = oldest {
            activity.is_listed_stranger.store(false, Ordering::Relaxed);
            // One with a full mailbox is no stranger any more.
            let _ = addr.try_send(Shrink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_go() {
        let budget = Arc::new(Budget::default());
        let (a, b) = (Weight::of(budget.clone()), Weight::of(budget.clone()));
        a.set(10_000);
        b.set(500);
        a.set(2_000);
        assert_eq!(budget.bytes(), 2 * ACTIVE_BYTES + 2_500);
        assert!(!budget.is_spent(20_000));
        assert_eq!(budget.surplus(10_000), 2 * ACTIVE_BYTES + 2_500 - 7_500);
        drop(a);
        drop(b);
        assert_eq!(budget.bytes(), 0);
    }

    #[tokio::test]
    async fn relief_is_asked_for_before_nothing_is_left() {
        let budget = Arc::new(Budget::default());
        let weight = Weight::of(budget.clone());
        weight.set(95_000 - ACTIVE_BYTES);
        assert!(!budget.is_spent(100_000));
        budget.pressed().await;
        weight.set(100_000);
        assert!(budget.is_spent(100_000));
    }
}
