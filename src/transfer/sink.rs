//! Where imported rows go: an engine in this process, a running server, or nowhere.
//!
//! Owns the way of a batch, its patience when the other side is overloaded, and items made from events. Must not know
//! files.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use swipeline_actors::{Engine, EngineError, EventSource};
use swipeline_models::event::Event;
use swipeline_models::item::Item;
use swipeline_models::time::TimestampMs;
use swipeline_models::user::User;
use swipeline_models::wire::{EventDto, EventsReply, ItemDto, ItemsReply, Rejection, UserDto};

use super::Record;
use super::rest::{RestError, RestServer};

/// The size from which a body is sent; a server takes 8 MiB.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often an overloaded engine is asked again.
const RETRIES_MAX: u32 = 600;
const NDJSON: &str = "application/x-ndjson";

/// Where imported rows go.
pub(crate) enum Sink {
    /// Nowhere: they are only checked.
    Nowhere,
    /// Into a data dir, by an engine in this process.
    Engine(Engine),
    /// Into a running server.
    Server(RestServer),
}

/// How events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EventWriting {
    /// What they count in.
    pub(crate) source: EventSource,
    /// Whether items that the catalogue does not know are made.
    pub(crate) creates_items: bool,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Rows that were taken.
    pub(crate) taken: u64,
    /// Rows that had been taken before.
    pub(crate) duplicates: u64,
    /// Rows that were not taken, by their place in the batch.
    pub(crate) rejected: Vec<Rejection>,
    /// Items that were made because events named them.
    pub(crate) items_created: u64,
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// The engine cannot.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The server cannot.
    #[error(transparent)]
    Server(#[from] RestError),
    /// A row cannot be put into JSON.
    #[error("a row cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Sink {
    /// Writes a batch of one kind of rows; durable when it returns.
    ///
    /// # Errors
    /// The other side cannot take it, or not any more.
    pub(crate) async fn write(&self, records: Vec<Record>, how: EventWriting) -> Result<Written, SinkError> {
        let count = records.len() as u64;
        if matches!(self, Sink::Nowhere) {
            return Ok(Written {
                taken: count,
                ..Written::default()
            });
        }
        let batch = Kinds::of(records);
        let mut written = Written::default();
        let events = if how.creates_items {
            batch.events.clone()
        } else {
            Vec::new()
        };
        if let (Sink::Engine(engine), true) = (self, how.creates_items) {
            // Before the events, so that they come in their order.
            let unknown = |event: &&Event| engine.item(event.item.as_str()).is_none();
            written.items_created = self.create_items(events.iter().filter(unknown)).await?;
        }
        let mut done = Box::pin(self.write_once(batch, how)).await?;
        if how.creates_items {
            let unknown: Vec<usize> = done
                .rejected
                .iter()
                .filter(is_unknown_item)
                .map(|bad| bad.index)
                .collect();
            let named: Vec<&Event> = unknown.iter().filter_map(|place| events.get(*place)).collect();
            if !named.is_empty() {
                written.items_created += self.create_items(named.iter().copied()).await?;
                let again = Kinds {
                    events: named.into_iter().cloned().collect(),
                    ..Kinds::default()
                };
                let second = Box::pin(self.write_once(again, how)).await?;
                done.rejected.retain(|bad| !is_unknown_item(&bad));
                let places = second.rejected.into_iter().filter_map(|bad| {
                    let index = *unknown.get(bad.index)?;
                    Some(Rejection { index, ..bad })
                });
                done.rejected.extend(places);
                done.taken += second.taken;
                done.duplicates += second.duplicates;
            }
        }
        Ok(Written {
            items_created: written.items_created,
            ..done
        })
    }

    async fn write_once(&self, batch: Kinds, how: EventWriting) -> Result<Written, SinkError> {
        match self {
            Sink::Nowhere => Ok(Written::default()),
            Sink::Engine(engine) => write_to_engine(engine, batch, how.source).await,
            Sink::Server(server) => write_to_server(server, batch, how.source).await,
        }
    }

    /// Makes an item for each id that events name; it is as old as the first of them.
    async fn create_items(&self, events: impl Iterator<Item = &Event>) -> Result<u64, SinkError> {
        let mut made: BTreeMap<&str, TimestampMs> = BTreeMap::new();
        for event in events {
            let at = made.entry(event.item.as_str()).or_insert(event.at);
            *at = event.at.min(*at);
        }
        let item = |(id, at): (&str, TimestampMs)| {
            let dto = ItemDto {
                id: id.to_owned(),
                created_at: Some(at.0),
                ..ItemDto::default()
            };
            // An event's id has kept the rules of ids already.
            dto.into_item(at).ok()
        };
        let items: Vec<Item> = made.into_iter().filter_map(item).collect();
        if items.is_empty() {
            return Ok(0);
        }
        let batch = Kinds {
            items,
            ..Kinds::default()
        };
        Ok(Box::pin(self.write_once(batch, EventWriting::default())).await?.taken)
    }
}

fn is_unknown_item(rejection: &&Rejection) -> bool {
    rejection.code == "unknown_item"
}

/// A batch by kinds; a file holds one kind only, so two of the lists are empty.
#[derive(Default)]
struct Kinds {
    items: Vec<Item>,
    users: Vec<User>,
    events: Vec<Event>,
}

impl Kinds {
    fn of(records: Vec<Record>) -> Self {
        let mut kinds = Kinds::default();
        for record in records {
            match record {
                Record::Item(item) => kinds.items.push(item),
                Record::User(user) => kinds.users.push(user),
                Record::Event(event) => kinds.events.push(event),
            }
        }
        kinds
    }
}

async fn write_to_engine(engine: &Engine, batch: Kinds, source: EventSource) -> Result<Written, SinkError> {
    let mut written = Written::default();
    if !batch.items.is_empty() {
        let outcomes = patiently(batch.items, |items| engine.upsert_items(items)).await?;
        let rejected = outcomes
            .iter()
            .enumerate()
            .filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)));
        written
            .rejected
            .extend(rejected.map(|(index, error)| Rejection::from_field(index, error)));
        written.taken = (outcomes.len() - written.rejected.len()) as u64;
    }
    if !batch.users.is_empty() {
        written.taken = batch.users.len() as u64;
        patiently(batch.users.as_slice(), |users| engine.put_users(users)).await?;
    }
    if !batch.events.is_empty() {
        let reply = patiently(batch.events, |events| engine.ingest_from(events, source)).await?;
        written.taken = reply.accepted as u64;
        written.duplicates = reply.duplicates as u64;
        written.rejected = reply.rejected;
    }
    Ok(written)
}

/// Calls again as long as the engine is overloaded.
async fn patiently<T: Clone, R, F: Future<Output = Result<R, EngineError>>>(
    argument: T,
    call: impl Fn(T) -> F,
) -> Result<R, EngineError> {
    for _ in 0..RETRIES_MAX {
        match call(argument.clone()).await {
            Err(EngineError::Overloaded { retry_after_ms }) => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms.max(1))).await;
            }
            outcome => return outcome,
        }
    }
    call(argument).await
}

async fn write_to_server(server: &RestServer, batch: Kinds, source: EventSource) -> Result<Written, SinkError> {
    let mut written = Written::default();
    let items: Vec<ItemDto> = batch.items.iter().map(ItemDto::from).collect();
    for body in bodies(&items)? {
        let reply: ItemsReply = server
            .send(Method::POST, &["v1", "items"], &[], NDJSON, body.bytes)
            .await?;
        written.taken += reply.upserted as u64;
        written.rejected.extend(moved(reply.rejected, body.first));
    }
    let events: Vec<EventDto> = batch.events.iter().map(EventDto::from).collect();
    let query: Vec<(&str, String)> = match source {
        EventSource::Live => Vec::new(),
        EventSource::History => vec![("source", "history".to_owned())],
    };
    for body in bodies(&events)? {
        let reply: EventsReply = server
            .send(Method::POST, &["v1", "events"], &query, NDJSON, body.bytes)
            .await?;
        written.taken += reply.accepted as u64;
        written.duplicates += reply.duplicates as u64;
        written.rejected.extend(moved(reply.rejected, body.first));
    }
    let users: Vec<UserDto> = batch.users.iter().map(UserDto::from).collect();
    for body in bodies(&users)? {
        let reply: ItemsReply = server
            .send(Method::POST, &["v1", "users"], &[], NDJSON, body.bytes)
            .await?;
        written.taken += reply.upserted as u64;
        written.rejected.extend(moved(reply.rejected, body.first));
    }
    Ok(written)
}

/// One call's body and the place of its first row in the batch.
struct CallBody {
    first: usize,
    bytes: Vec<u8>,
}

/// The rows as NDJSON, cut so that no body grows far over [`BODY_BYTES_MAX`].
fn bodies<T: Serialize>(rows: &[T]) -> Result<Vec<CallBody>, serde_json::Error> {
    let mut bodies: Vec<CallBody> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let line = serde_json::to_vec(row)?;
        let fits = bodies
            .last()
            .is_some_and(|body| body.bytes.len() + line.len() < BODY_BYTES_MAX);
        if !fits {
            bodies.push(CallBody {
                first: place,
                bytes: Vec::new(),
            });
        }
        if let Some(body) = bodies.last_mut() {
            body.bytes.extend_from_slice(&line);
            body.bytes.push(b'\n');
        }
    }
    Ok(bodies)
}

/// Rejections of a call as rejections of the batch.
fn moved(rejections: Vec<Rejection>, first: usize) -> impl Iterator<Item = Rejection> {
    rejections.into_iter().map(move |rejection| Rejection {
        index: rejection.index + first,
        ..rejection
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_by_size_and_know_their_first_row() {
        let rows = vec!["x".repeat(BODY_BYTES_MAX / 3); 7];
        let bodies = bodies(&rows).expect("JSON");
        assert_eq!(bodies.iter().map(|body| body.first).collect::<Vec<_>>(), [0, 2, 4, 6]);
        assert!(bodies.iter().all(|body| body.bytes.len() <= BODY_BYTES_MAX + 2));
        let rejection = Rejection {
            index: 1,
            code: "c".to_owned(),
            detail: String::new(),
        };
        assert_eq!(
            moved(vec![rejection], 4).next().map(|rejection| rejection.index),
            Some(5)
        );
    }

    #[tokio::test]
    async fn an_overloaded_engine_is_asked_again() {
        let calls = std::cell::Cell::new(0);
        let outcome = patiently((), |()| {
            calls.set(calls.get() + 1);
            let busy = calls.get() < 3;
            async move {
                if busy {
                    Err(EngineError::Overloaded { retry_after_ms: 1 })
                } else {
                    Ok(7)
                }
            }
        });
        assert_eq!(outcome.await.expect("taken in the end"), 7);
        assert_eq!(calls.get(), 3);
    }
}
