//! What stands in the journal: versioned records in MessagePack.
//!
//! Owns kinds, versions and encodings. A record of a kind or version that is not known is reported, never guessed at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use swipeline_models::event::{ContextValue, Event, Signal};
use swipeline_models::ids::{EventId, ItemId, Row, UserId};
use swipeline_models::recall::ChannelSet;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{ItemDto, UserDto};
use swipeline_storage::{Journal, JournalError, NewRecord, Record, Seq, partition_of};

use crate::effects::EffectMark;
use crate::service::{ModelRecord, ParamsRecord};

/// The version of all encodings below.
const VERSION: u8 = 1;
/// The deepest nesting that is read.
const DEPTH_MAX: usize = 16;

const KIND_EVENTS: u8 = 1;
const KIND_SHOWN: u8 = 2;
const KIND_USER: u8 = 3;
const KIND_ITEMS: u8 = 4;
const KIND_ITEM_DELETED: u8 = 5;
const KIND_PARAMS: u8 = 6;
const KIND_MODEL: u8 = 7;
const KIND_SERVED: u8 = 8;
const KIND_FORGOTTEN: u8 = 16;

/// Under which numbers a record was applied; fields in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedUnder {
    /// The version of the params; 0 in records of earlier programs, which did not write it.
    pub(crate) params_version: u64,
    /// The viewer's variants then, as feeds say them.
    pub(crate) variant: Option<String>,
}

/// One item of a feed that was sent; fields in this order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServedPlace {
    pub(crate) row: Row,
    pub(crate) channels: ChannelSet,
    pub(crate) position: u8,
}

/// A feed that was sent down the sockets of a session; fields in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServedFeedRecord {
    /// To whom.
    pub(crate) user: UserId,
    /// Its number.
    pub(crate) seq: u64,
    /// Whether it stands behind the feed before it.
    pub(crate) is_appended: bool,
    /// Under which variants it was made, and those whose statistics count the viewer.
    pub(crate) variant: Option<String>,
    pub(crate) arms: Vec<u64>,
    /// What it holds, in its order.
    pub(crate) items: Vec<ServedPlace>,
}

/// One event within a record; fields in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    /// The client's name for it.
    pub(crate) event_id: Option<String>,
    /// The item's id, so that an export needs nothing else.
    pub(crate) item_id: String,
    /// The item's row.
    pub(crate) row: Row,
    /// The signal's number.
    pub(crate) signal: u8,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub(crate) at: i64,
    /// How long it was watched, in milliseconds.
    pub(crate) watch_ms: Option<u32>,
    /// Where it stood.
    pub(crate) position: Option<u32>,
    /// In which feed.
    pub(crate) request_id: Option<String>,
    /// Anything else.
    pub(crate) context: BTreeMap<String, ContextValue>,
    /// What it counts as; absent in records of earlier versions.
    #[serde(default)]
    pub(crate) mark: Option<EffectMark>,
    /// Whether it reports once more what was reported as shown before: it counts nowhere then.
    #[serde(default)]
    pub(crate) repeats_showing: bool,
}

/// What a viewer was shown, as it is journaled; fields in this order.
#[derive(Serialize, Deserialize)]
struct ShownRecord<'a> {
    user: Cow<'a, UserId>,
    at: TimestampMs,
    items: Cow<'a, [(Row, u64)]>,
    #[serde(default)]
    marks: Cow<'a, [EffectMark]>,
    #[serde(default)]
    under: Cow<'a, AppliedUnder>,
}

/// A record, read back or about to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JournalEntry {
    /// Events of one user that counted.
    Events {
        /// Whose.
        user: UserId,
        /// In the order in which they counted.
        events: Vec<EventRecord>,
        /// When the server took them.
        accepted_at: TimestampMs,
        /// Under which numbers they counted.
        under: AppliedUnder,
    },
    /// Items that one user was shown (`seen`, or served by REST).
    Shown {
        /// Who.
        user: UserId,
        /// When.
        at: TimestampMs,
        /// Which, by row and hash of the id.
        items: Vec<(Row, u64)>,
        /// What each counts as; none in records of earlier versions.
        marks: Vec<EffectMark>,
        /// Under which numbers they counted.
        under: AppliedUnder,
    },
    /// A feed that was sent.
    Served(ServedFeedRecord),
    /// A new version of the params is in force.
    Params(Box<ParamsRecord>),
    /// Another model serves, or is kept by name.
    Model(ModelRecord),
    /// What the outside said about a user.
    User(Box<UserDto>),
    /// Items that were put, with their rows.
    Items(Vec<(Row, ItemDto)>),
    /// An item that was deleted.
    ItemDeleted {
        /// Which.
        id: ItemId,
        /// From which row.
        row: Row,
    },
    /// A user who was deleted: everything earlier about the user is gone.
    Forgotten {
        /// Who.
        user: UserId,
        /// When.
        at: TimestampMs,
    },
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Written by a newer program, or not by this one.
    #[error("unknown record kind {kind} version {version}")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// The payload is not what the kind says.
    #[error("unreadable record of kind {kind}: {detail}")]
    Malformed {
        /// Its kind.
        kind: u8,
        /// What is wrong.
        detail: String,
    },
}

impl EventRecord {
    /// The record of an event on the item in `row`.
    #[must_use]
    pub(crate) fn of(event: &Event, row: Row) -> Self {
        Self {
            event_id: event.event_id.as_ref().map(|id| id.as_str().to_owned()),
            item_id: event.item.as_str().to_owned(),
            row,
            signal: event.signal as u8,
            at: event.at.0,
            watch_ms: event.watch_ms,
            position: event.position,
            request_id: event.request_id.clone(),
            context: event.context.clone(),
            mark: None,
            repeats_showing: false,
        }
    }

    /// The event; `None` when the record holds ids or signals that are none.
    #[must_use]
    pub(crate) fn event(&self, user: &UserId) -> Option<Event> {
        Some(Event {
            event_id: self.event_id.as_deref().and_then(|id| EventId::new(id).ok()),
            user: user.clone(),
            item: ItemId::new(&self.item_id).ok()?,
            signal: Signal::from_number(self.signal)?,
            at: TimestampMs(self.at),
            watch_ms: self.watch_ms,
            position: self.position,
            request_id: self.request_id.clone(),
            context: self.context.clone(),
        })
    }
}

impl JournalEntry {
    /// Appends the entry. It is durable only when the journal has committed the returned number.
    ///
    /// # Errors
    /// Those of the journal; nothing was appended then.
    pub(crate) fn append(&self, journal: &dyn Journal) -> Result<Seq, JournalError> {
        self.encoded(|record| journal.append(record))
    }

    /// The same by [`Journal::append_at_once`].
    ///
    /// # Errors
    /// Those of the journal; nothing was appended then.
    pub(crate) fn append_at_once(&self, journal: &dyn Journal) -> Result<Seq, JournalError> {
        self.encoded(|record| journal.append_at_once(record))
    }

    fn encoded<T>(&self, take: impl FnOnce(NewRecord<'_>) -> T) -> T {
        let (kind, key, payload) = match self {
            JournalEntry::Events {
                user,
                events,
                accepted_at,
                under,
            } => (KIND_EVENTS, user.as_str(), encode(&(user, events, accepted_at, under))),
            JournalEntry::Shown {
                user,
                at,
                items,
                marks,
                under,
            } => {
                let record = ShownRecord {
                    user: Cow::Borrowed(user),
                    at: *at,
                    items: Cow::Borrowed(items),
                    marks: Cow::Borrowed(marks),
                    under: Cow::Borrowed(under),
                };
                (KIND_SHOWN, user.as_str(), encode(&record))
            }
            JournalEntry::User(user) => (KIND_USER, user.id.as_str(), encode_named(user)),
            JournalEntry::Items(items) => (
                KIND_ITEMS,
                items.first().map_or("", |(_, item)| item.id.as_str()),
                encode_named(items),
            ),
            JournalEntry::ItemDeleted { id, row } => (KIND_ITEM_DELETED, id.as_str(), encode(&(id, row))),
            JournalEntry::Served(served) => (KIND_SERVED, served.user.as_str(), encode(served)),
            JournalEntry::Params(version) => (KIND_PARAMS, "", encode_named(version)),
            JournalEntry::Model(model) => (KIND_MODEL, "", encode_named(model)),
            JournalEntry::Forgotten { user, at } => (KIND_FORGOTTEN, user.as_str(), encode(&(user, at))),
        };
        take(NewRecord {
            kind,
            version: VERSION,
            partition: partition_of(key),
            payload: &payload,
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When it is of an unknown kind or version, or does not hold what its kind says.
    pub(crate) fn read(record: &Record) -> Result<Self, RecordError> {
        let kind = record.kind;
        if record.version != VERSION {
            return Err(RecordError::Unknown {
                kind,
                version: record.version,
            });
        }
        let payload = record.payload.as_slice();
        Ok(match kind {
            KIND_EVENTS => {
                let StoredEvents {
                    user,
                    events,
                    accepted_at,
                    under,
                } = decode::<StoredEvents<Vec<EventRecord>>>(kind, payload)?;
                let accepted_at = accepted_at.unwrap_or_else(|| said_last(&events));
                JournalEntry::Events {
                    user,
                    events,
                    accepted_at,
                    under,
                }
            }
            KIND_SHOWN => {
                let record: ShownRecord<'_> = decode(kind, payload)?;
                JournalEntry::Shown {
                    user: record.user.into_owned(),
                    at: record.at,
                    items: record.items.into_owned(),
                    marks: record.marks.into_owned(),
                    under: record.under.into_owned(),
                }
            }
            KIND_USER => JournalEntry::User(Box::new(decode(kind, payload)?)),
            KIND_ITEMS => JournalEntry::Items(decode(kind, payload)?),
            KIND_ITEM_DELETED => {
                let (id, row) = decode(kind, payload)?;
                JournalEntry::ItemDeleted { id, row }
            }
            KIND_SERVED => JournalEntry::Served(decode(kind, payload)?),
            KIND_PARAMS => JournalEntry::Params(Box::new(decode(kind, payload)?)),
            KIND_MODEL => JournalEntry::Model(decode(kind, payload)?),
            KIND_FORGOTTEN => {
                let (user, at) = decode(kind, payload)?;
                JournalEntry::Forgotten { user, at }
            }
            kind => {
                return Err(RecordError::Unknown {
                    kind,
                    version: record.version,
                });
            }
        })
    }

    /// The user that the entry is about, if it is about one.
    #[must_use]
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            JournalEntry::Events { user, .. }
            | JournalEntry::Shown { user, .. }
            | JournalEntry::Forgotten { user, .. } => Some(user.as_str()),
            JournalEntry::User(user) => Some(&user.id),
            JournalEntry::Served(served) => Some(served.user.as_str()),
            JournalEntry::Items(_)
            | JournalEntry::ItemDeleted { .. }
            | JournalEntry::Params(_)
            | JournalEntry::Model(_) => None,
        }
    }
}

/// The payload of [`KIND_EVENTS`]; fields in this order. Earlier programs did not write the last two.
#[derive(Deserialize)]
struct StoredEvents<E> {
    user: UserId,
    events: E,
    #[serde(default)]
    accepted_at: Option<TimestampMs>,
    #[serde(default)]
    under: AppliedUnder,
}

/// The latest time that events say of themselves: the best guess where the server's own time was not written.
fn said_last(events: &[EventRecord]) -> TimestampMs {
    TimestampMs(events.iter().map(|event| event.at).max().unwrap_or(0))
}

/// When the server took the events of a record; `None` for a record of something else.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn accepted_at_of(record: &Record) -> Result<Option<TimestampMs>, RecordError> {
    if record.kind != KIND_EVENTS {
        return Ok(None);
    }
    if record.version == VERSION
        && let Ok(stored) = decode::<StoredEvents<IgnoredAny>>(record.kind, &record.payload)
        && stored.accepted_at.is_some()
    {
        return Ok(stored.accepted_at);
    }
    match JournalEntry::read(record)? {
        JournalEntry::Events { accepted_at, .. } => Ok(Some(accepted_at)),
        JournalEntry::Shown { .. }
        | JournalEntry::Served(_)
        | JournalEntry::User(_)
        | JournalEntry::Items(_)
        | JournalEntry::ItemDeleted { .. }
        | JournalEntry::Params(_)
        | JournalEntry::Model(_)
        | JournalEntry::Forgotten { .. } => Ok(None),
    }
}

/// Encodes a value for the journal or a snapshot. Our own types always encode.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).unwrap_or_default()
}

/// [`encode`] with field names, for types whose fields may be left out.
pub(crate) fn encode_named<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

/// Decodes what [`encode`] or [`encode_named`] wrote.
pub(crate) fn decode_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut reader)
}

fn decode<'de, T: Deserialize<'de>>(kind: u8, payload: &'de [u8]) -> Result<T, RecordError> {
    decode_bytes(payload).map_err(|error| RecordError::Malformed {
        kind,
        detail: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use swipeline_storage::journal::MemoryJournal;
    use swipeline_storage::{Partition, ReadItem};

    fn round_trip(entry: &JournalEntry) -> JournalEntry {
        let journal = MemoryJournal::default();
        entry.append(&journal).expect("appended");
        journal.flush().expect("flushed");
        match journal
            .read_from(Seq::FIRST)
            .expect("readable")
            .next()
            .expect("one record")
        {
            ReadItem::Record(record) => JournalEntry::read(&record).expect("reads"),
            ReadItem::Damaged(damage) => panic!("damaged: {damage:?}"),
        }
    }

    proptest! {
        #[test]
        fn every_event_comes_back(
            event_id in proptest::option::of("[a-z]{1,10}"),
            signal in 0u8..12,
            at in 0i64..1 << 40,
            watch_ms in proptest::option::of(0u32..100_000),
        ) {
            let record = EventRecord {
                event_id, item_id: "v1".to_owned(), row: 7, signal, at, watch_ms,
                position: None, request_id: Some("r".to_owned()),
                context: BTreeMap::from([("k".to_owned(), ContextValue::Number(0.5))]),
                mark: Some(EffectMark { lag_ms: -5, variant: "e:a".to_owned(), arms: vec![u64::MAX], ..EffectMark::default() }),
                repeats_showing: signal == 0 && at % 2 == 0,
            };
            let entry = JournalEntry::Events {
                user: UserId::new("u").expect("id"),
                events: vec![record],
                accepted_at: TimestampMs(at + 5),
                under: AppliedUnder { params_version: 9, variant: Some("e:a".to_owned()) },
            };
            prop_assert_eq!(round_trip(&entry), entry);
        }

        #[test]
        fn garbage_is_an_error(kind in 0u8..10, payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let record = Record { seq: Seq(1), kind, version: VERSION, partition: Partition(0), payload };
            let _ = JournalEntry::read(&record);
        }
    }

    #[test]
    fn events_of_earlier_programs_were_accepted_when_they_say_they_happened() {
        let event = |at: i64| EventRecord {
            event_id: None,
            item_id: "v1".to_owned(),
            row: 7,
            signal: 1,
            at,
            watch_ms: None,
            position: None,
            request_id: None,
            context: BTreeMap::new(),
            mark: None,
            repeats_showing: false,
        };
        let user = UserId::new("u").expect("id");
        let record = |payload: Vec<u8>| Record {
            seq: Seq(1),
            kind: KIND_EVENTS,
            version: VERSION,
            partition: Partition(0),
            payload,
        };
        let old = record(encode(&(&user, vec![event(5), event(9), event(7)])));
        assert_eq!(accepted_at_of(&old).expect("reads"), Some(TimestampMs(9)));
        let new = record(encode(&(&user, vec![event(5)], TimestampMs(1_000))));
        assert_eq!(accepted_at_of(&new).expect("reads"), Some(TimestampMs(1_000)));
        assert!(accepted_at_of(&record(vec![1, 2])).is_err());
        let shown = Record {
            kind: KIND_SHOWN,
            ..new
        };
        assert_eq!(accepted_at_of(&shown).expect("is no event"), None);
    }

    #[test]
    fn records_without_marks_are_read() {
        type Plain = (
            Option<String>,
            String,
            Row,
            u8,
            i64,
            Option<u32>,
            Option<u32>,
            Option<String>,
            BTreeMap<String, ContextValue>,
        );
        let user = UserId::new("u").expect("id");
        let event: Plain = (None, "v1".to_owned(), 7, 2, 5, None, None, None, BTreeMap::new());
        let read = |kind: u8, payload: Vec<u8>| {
            let record = Record {
                seq: Seq(1),
                kind,
                version: VERSION,
                partition: Partition(0),
                payload,
            };
            JournalEntry::read(&record).expect("reads")
        };
        let events = read(KIND_EVENTS, encode(&(&user, vec![event])));
        assert!(
            matches!(events, JournalEntry::Events { events, .. } if events[0].mark.is_none() && events[0].row == 7)
        );
        let shown = read(KIND_SHOWN, encode(&(&user, TimestampMs(3), vec![(7u32, 9u64)])));
        assert!(matches!(shown, JournalEntry::Shown { items, marks, .. } if items == [(7, 9)] && marks.is_empty()));
    }

    #[test]
    fn items_and_users_come_back() {
        let item = ItemDto {
            id: "v1".to_owned(),
            embedding: Some(vec![0.5, 1.0]),
            ..ItemDto::default()
        };
        let items = JournalEntry::Items(vec![(3, item)]);
        assert_eq!(round_trip(&items), items);
        let user = UserDto {
            id: "u".to_owned(),
            tags: Some(vec!["cats".to_owned()]),
            ..UserDto::default()
        };
        let user = JournalEntry::User(Box::new(user));
        assert_eq!(round_trip(&user), user);
    }
}
