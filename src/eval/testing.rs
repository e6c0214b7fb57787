//! Test support: small logs by hand, and a method that writes down what it is told.

use anyhow::Result;

use super::log::{Catalogue, Interaction, InteractionLog};
use super::method::{Answer, History, NextItemMethod, NextItemRequest};

/// An event.
pub(crate) fn event(user: u32, item: u32, at_ms: i64, value: f32) -> Interaction {
    Interaction {
        user,
        item,
        at_ms,
        value,
    }
}

/// A log whose ids are its numbers.
pub(crate) fn log_of(events: &[Interaction]) -> InteractionLog {
    let ids = |last: Option<u32>| (0..last.map_or(0, |last| last + 1)).map(|id| id.to_string()).collect();
    InteractionLog {
        catalogue: Catalogue {
            user_ids: ids(events.iter().map(|event| event.user).max()),
            item_ids: ids(events.iter().map(|event| event.item).max()),
            items: Vec::new(),
        },
        interactions: events.to_vec(),
    }
}

/// Writes down what it learns and is asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// `learn USER ITEM` and `rank USER`, in order.
    pub(crate) log: Vec<String>,
}

impl NextItemMethod for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn fit(&mut self, _history: &History<'_>) -> Result<()> {
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        self.log.push(format!("learn {} {}", event.user, event.item));
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        self.log.push(format!("rank {}", request.user));
        answer.scores(request.candidates.item_count());
    }
}
