//! The protocols: which questions are asked, in which order, and what is learned in between.
//!
//! Owns the loop around a method and its clock. Must not know any method, nor what becomes of the answers.

pub(crate) mod leave_last;
pub(crate) mod next_like;
pub(crate) mod rank_shown;
pub(crate) mod sessions;

use super::cpu::thread_cpu_us;
use super::method::{Answer, NextItemMethod, NextItemRequest};

/// How many places of a list are judged.
pub(crate) const PLACES: usize = 20;

/// A question that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// What was asked.
    pub(crate) request: &'a NextItemRequest<'a>,
    /// What was answered.
    pub(crate) answer: &'a Answer,
    /// What came next.
    pub(crate) target: u32,
    /// Little is known of who asked; what that means is the protocol's to say.
    pub(crate) is_cold: bool,
    /// How many events the target had so far.
    pub(crate) target_events: u32,
    /// How many events of the test part could be known by now: `stream[..known]`.
    pub(crate) known: usize,
    /// How long the answer took, in microseconds of this thread's processor time.
    pub(crate) cpu_us: f64,
}

/// Who looks at the cases as they come; `false` ends the replay.
pub(crate) type Observe<'a> = dyn FnMut(&Case<'_>) -> bool + 'a;

/// What the harness knows of a question and the method does not.
struct Asked {
    target: u32,
    is_cold: bool,
    target_events: u32,
    known: usize,
}

/// Asks one question and shows the case to `observe`.
fn ask(
    method: &mut dyn NextItemMethod,
    request: &NextItemRequest<'_>,
    answer: &mut Answer,
    asked: &Asked,
    observe: &mut Observe<'_>,
) -> bool {
    let began_us = thread_cpu_us();
    method.rank(request, answer);
    let cpu_us = thread_cpu_us() - began_us;
    observe(&Case {
        request,
        answer,
        target: asked.target,
        is_cold: asked.is_cold,
        target_events: asked.target_events,
        known: asked.known,
        cpu_us,
    })
}
