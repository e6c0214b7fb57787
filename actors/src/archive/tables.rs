//! What a row of the archive says: the columns of events and of slates, and how an entry becomes rows.
//!
//! Owns the schemas and their versions. A column may be added at the end; one that changes its meaning or goes makes a
//! new version. Must not know in which tier an entry is.

use swipeline_models::event::{ContextValue, Event};
use swipeline_models::features::schema::{FEATURE_COUNT, FEATURE_NAMES};
use swipeline_models::rank::Objective;
use swipeline_models::recall::Channel;
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::{Cell, Column, ColumnKind, Table};
use swipeline_storage::{Partition, Record, Seq};

use crate::records::{JournalEntry, accepted_at_of};
use crate::served::ServedSlateRecord;
use crate::shared::report_damage;

/// The version of both schemas.
const SCHEMA_VERSION: u32 = 1;
/// Kind and version of a journal record stand before its payload.
const RECORD_HEADER_BYTES: usize = 2;

/// The table of a kind.
#[must_use]
pub fn archive_table(kind: ArchiveKind) -> Table {
    match kind {
        ArchiveKind::Events => events_table(),
        ArchiveKind::Slates => slates_table(),
    }
}

fn events_table() -> Table {
    Table {
        name: ArchiveKind::Events.name().into(),
        version: SCHEMA_VERSION,
        columns: vec![
            Column::required("sequence", ColumnKind::Int),
            Column::required("accepted_at", ColumnKind::Time),
            Column::required("user_id", ColumnKind::Text).with_bloom_filter(),
            Column::required("item_id", ColumnKind::Text),
            Column::required("type", ColumnKind::Text),
            Column::required("at", ColumnKind::Time),
            Column::optional("event_id", ColumnKind::Text),
            Column::optional("watch_ms", ColumnKind::Int),
            Column::optional("position", ColumnKind::Int),
            Column::optional("request_id", ColumnKind::Text),
            Column::optional("context", ColumnKind::Text),
        ],
        notes: Vec::new(),
    }
}

fn slates_table() -> Table {
    let names = |names: &[&str]| names.join(",");
    Table {
        name: ArchiveKind::Slates.name().into(),
        version: SCHEMA_VERSION,
        columns: vec![
            Column::required("request_id", ColumnKind::Text),
            Column::required("user_id", ColumnKind::Text).with_bloom_filter(),
            Column::required("at", ColumnKind::Time),
            Column::required("sequence", ColumnKind::Int),
            Column::required("position", ColumnKind::Int),
            Column::required("item_id", ColumnKind::Text),
            Column::required("channels", ColumnKind::Texts),
            Column::required("score", ColumnKind::Float),
            Column::required("pre_rank", ColumnKind::Float),
            Column::required("collaborative", ColumnKind::Float),
            Column::optional("propensity", ColumnKind::Float),
            Column::required("predicted", ColumnKind::Floats),
            Column::required("variant", ColumnKind::Text),
            Column::required("model", ColumnKind::Text),
            Column::required("duration_ms", ColumnKind::Int),
            Column::required("feature_schema", ColumnKind::Text),
            Column::required("features", ColumnKind::Floats),
        ],
        notes: vec![
            ("swipeline.feature_names".to_owned(), names(&FEATURE_NAMES)),
            (
                "swipeline.objective_names".to_owned(),
                names(&Objective::ALL.map(Objective::name)),
            ),
        ],
    }
}

/// A journal record as an entry of the archive.
pub(super) fn entry_of(record: &Record) -> Vec<u8> {
    let mut entry = Vec::with_capacity(RECORD_HEADER_BYTES + record.payload.len());
    entry.extend_from_slice(&[record.kind, record.version]);
    entry.extend_from_slice(&record.payload);
    entry
}

fn record_of(sequence: u64, entry: &[u8]) -> Option<Record> {
    let ([kind, version], payload) = entry.split_first_chunk::<RECORD_HEADER_BYTES>()?;
    Some(Record {
        seq: Seq(sequence),
        kind: *kind,
        version: *version,
        partition: Partition(0),
        payload: payload.to_vec(),
    })
}

/// Whether an entry is about a user; what cannot be read might be about anybody.
pub(super) fn is_about(kind: ArchiveKind, entry: &[u8], user: &str, at_ms: i64) -> bool {
    match kind {
        ArchiveKind::Events => record_of(0, entry)
            .and_then(|record| JournalEntry::read(&record).ok())
            .is_none_or(|entry| entry.user() == Some(user)),
        ArchiveKind::Slates => {
            ServedSlateRecord::decode(entry).is_none_or(|slate| slate.user == user && slate.at <= at_ms)
        }
    }
}

/// Calls `each` for the rows of an entry, with the time that each of them speaks of. What cannot be read is reported and
/// left out.
pub(super) fn for_each_row(kind: ArchiveKind, sequence: u64, entry: &[u8], each: &mut dyn FnMut(Vec<Cell>, i64)) {
    match kind {
        ArchiveKind::Events => match record_of(sequence, entry) {
            Some(record) => event_rows(&record, each),
            None => report_damage("archived event", &"an entry that is cut off"),
        },
        ArchiveKind::Slates => match ServedSlateRecord::decode(entry) {
            Some(slate) => slate_rows(&slate, each),
            None => report_damage("archived slate", &"an entry of another version"),
        },
    }
}

/// The rows of a journal record: one per event, none for what is no event.
pub(super) fn event_rows(record: &Record, each: &mut dyn FnMut(Vec<Cell>, i64)) {
    let accepted_at = match accepted_at_of(record) {
        Ok(Some(accepted_at)) => accepted_at,
        Ok(None) => return,
        Err(error) => return report_damage("archived event", &error),
    };
    if let Ok(JournalEntry::Events { user, events, .. }) = JournalEntry::read(record) {
        for event in events.iter().filter_map(|event| event.event(&user)) {
            each(event_row(record.seq.0, accepted_at.0, &event), event.at.0);
        }
    }
}

fn event_row(sequence: u64, accepted_at: i64, event: &Event) -> Vec<Cell> {
    vec![
        Cell::Int(i64::try_from(sequence).unwrap_or(i64::MAX)),
        Cell::Int(accepted_at),
        Cell::Text(event.user.as_str().to_owned()),
        Cell::Text(event.item.as_str().to_owned()),
        Cell::Text(event.signal.name().to_owned()),
        Cell::Int(event.at.0),
        Cell::text(event.event_id.as_ref().map(|id| id.as_str())),
        Cell::int(event.watch_ms),
        Cell::int(event.position),
        Cell::text(event.request_id.as_deref()),
        context_cell(&event.context),
    ]
}

fn context_cell(context: &std::collections::BTreeMap<String, ContextValue>) -> Cell {
    if context.is_empty() {
        return Cell::Null;
    }
    serde_json::to_string(context).map_or(Cell::Null, Cell::Text)
}

/// One row per item of the slate.
fn slate_rows(slate: &ServedSlateRecord, each: &mut dyn FnMut(Vec<Cell>, i64)) {
    for (position, item) in slate.items.iter().enumerate() {
        let channels = item.channels.iter().map(Channel::name).map(str::to_owned).collect();
        // A slate of another schema has rows of another length: they are left out, not misread.
        let features = slate
            .features(position)
            .filter(|_| slate.feature_bytes.len() == slate.items.len() * FEATURE_COUNT * 4);
        each(
            vec![
                Cell::Text(slate.request.clone()),
                Cell::Text(slate.user.clone()),
                Cell::Int(slate.at),
                Cell::Int(i64::try_from(slate.sequence).unwrap_or(i64::MAX)),
                Cell::Int(position as i64),
                Cell::Text(item.id.clone()),
                Cell::Texts(channels),
                Cell::Float(item.score),
                Cell::Float(item.pre_rank),
                Cell::Float(item.collaborative),
                Cell::float(item.propensity),
                Cell::Floats(item.predicted.to_vec()),
                Cell::Text(slate.variant.clone()),
                Cell::Text(slate.model.clone()),
                Cell::Int(i64::from(item.duration_ms)),
                Cell::Text(format!("{:016x}", slate.schema)),
                Cell::Floats(features.map(|row| row.to_vec()).unwrap_or_default()),
            ],
            slate.at,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::event::Signal;
    use swipeline_models::ids::{ItemId, UserId};
    use swipeline_models::time::TimestampMs;
    use swipeline_storage::journal::MemoryJournal;
    use swipeline_storage::{Journal, ReadItem};

    use crate::records::EventRecord;

    fn journalled(entry: &JournalEntry) -> Record {
        let journal = MemoryJournal::default();
        entry.append(&journal).expect("appended");
        match journal.read_from(Seq::FIRST).expect("readable").next() {
            Some(ReadItem::Record(record)) => record,
            Some(ReadItem::Damaged(damage)) => panic!("damaged: {damage}"),
            None => panic!("no record"),
        }
    }

    #[test]
    fn an_event_record_becomes_rows_that_fit_the_table() {
        let user = UserId::new("u1").expect("an id");
        let event = |item: &str, at: i64| Event {
            event_id: None,
            user: user.clone(),
            item: ItemId::new(item).expect("an id"),
            signal: Signal::Like,
            at: TimestampMs(at),
            watch_ms: Some(900),
            position: None,
            request_id: None,
            context: std::collections::BTreeMap::from([("screen".to_owned(), ContextValue::Text("home".to_owned()))]),
        };
        let entry = JournalEntry::Events {
            user: user.clone(),
            events: vec![EventRecord::of(&event("a", 5), 0), EventRecord::of(&event("b", 6), 1)],
            accepted_at: TimestampMs(7_000),
            under: Default::default(),
        };
        let record = journalled(&entry);
        let archived = entry_of(&record);
        assert!(is_about(ArchiveKind::Events, &archived, "u1", 0));
        assert!(!is_about(ArchiveKind::Events, &archived, "u2", 0));
        let mut rows = Vec::new();
        for_each_row(ArchiveKind::Events, record.seq.0, &archived, &mut |row, at| {
            rows.push((row, at))
        });
        assert_eq!(rows.len(), 2);
        let (row, at) = &rows[1];
        let cell = |name: &str| {
            let place = events_table().columns.iter().position(|column| column.name == name);
            row[place.expect("a column")].clone()
        };
        assert_eq!(
            (*at, cell("accepted_at"), cell("watch_ms")),
            (6, Cell::Int(7_000), Cell::Int(900))
        );
        assert_eq!(
            (cell("item_id"), cell("type")),
            (Cell::Text("b".to_owned()), Cell::Text("like".to_owned()))
        );
        assert_eq!(cell("context"), Cell::Text(r#"{"screen":"home"}"#.to_owned()));
        assert_eq!(cell("event_id"), Cell::Null);
        let mut writer =
            swipeline_storage::table::TableWriter::new(Box::new(Vec::new()), &events_table()).expect("starts");
        rows.into_iter().for_each(|(row, _)| writer.write(row).expect("fits"));
    }

    #[test]
    fn what_is_no_event_has_no_rows() {
        let shown = JournalEntry::Shown {
            user: UserId::new("u1").expect("an id"),
            at: TimestampMs(1),
            items: vec![(0, 1)],
            marks: Vec::new(),
            under: Default::default(),
        };
        event_rows(&journalled(&shown), &mut |row, _| panic!("{row:?}"));
    }
}
