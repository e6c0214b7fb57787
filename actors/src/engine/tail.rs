//! The accepted events in their order, for whoever passes them on.

use swipeline_models::wire::EventDto;
use swipeline_storage::{ReadItem, Seq};

use super::*;
use crate::records::JournalEntry;

/// An event that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct TailedEvent {
    /// The number of its record; events that came together share it.
    pub sequence: u64,
    /// When the server took it, in milliseconds since 1970-01-01 UTC.
    pub accepted_at: i64,
    /// The event.
    pub event: EventDto,
}

/// A part of the accepted events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// In the order in which they were accepted.
    pub events: Vec<TailedEvent>,
    /// Everything up to this number has been looked at.
    pub upto: u64,
    /// So many records behind the caller's number are not there any more.
    pub records_lost: u64,
}

impl Engine {
    /// The number of the last durable record.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.shared.storage.journal.committed().0
    }

    /// Waits until there is a durable record behind `after`.
    ///
    /// # Errors
    /// `JournalFailed` when there will be none.
    pub async fn wait_committed(&self, after: u64) -> Result<(), EngineError> {
        let mut commits = self.shared.storage.journal.subscribe();
        let state = commits
            .wait_for(|state| state.committed.0 > after || state.failure.is_some())
            .await;
        match state {
            Ok(state) if state.committed.0 > after => Ok(()),
            Ok(state) => Err(EngineError::JournalFailed(
                state.failure.as_deref().unwrap_or_default().to_owned(),
            )),
            Err(_) => Err(EngineError::Unavailable("the journal is closed".to_owned())),
        }
    }

    /// About `count_max` durable events behind the record `after`; whole records, so it may be more by one record.
    /// Blocks: it reads files.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be read.
    pub fn tail(&self, after: u64, count_max: usize) -> Result<Tail, EngineError> {
        let journal = &self.shared.storage.journal;
        let committed = journal.committed().0;
        let mut tail = Tail {
            upto: after,
            ..Tail::default()
        };
        if after >= committed {
            return Ok(tail);
        }
        let failed = |error: &dyn std::fmt::Display| EngineError::Unavailable(error.to_string());
        let mut is_first = true;
        for read in journal.read_from(Seq(after).next()).map_err(|error| failed(&error))? {
            let ReadItem::Record(record) = read else { continue };
            if std::mem::take(&mut is_first) {
                tail.records_lost = record.seq.0.saturating_sub(after + 1);
            }
            tail.upto = record.seq.0;
            if let Ok(JournalEntry::Events {
                user,
                events,
                accepted_at,
                ..
            }) = JournalEntry::read(&record)
            {
                let events = events.iter().filter_map(|event| event.event(&user));
                tail.events.extend(events.map(|event| TailedEvent {
                    sequence: record.seq.0,
                    accepted_at: accepted_at.0,
                    event: EventDto::from(&event),
                }));
            }
            if tail.events.len() >= count_max {
                return Ok(tail);
            }
        }
        // Records that were erased at the end are behind, too.
        tail.upto = tail.upto.max(committed);
        Ok(tail)
    }
}
