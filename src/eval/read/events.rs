//! Events and items as the product itself writes them (`swipeline export`): JSON lines in the shapes of the REST API.
//!
//! Owns what a signal is worth to the protocols. Impressions are left out: that something was shown says nothing about
//! who liked it.

use std::path::Path;

use swipeline_models::event::Signal;
use swipeline_models::time::TimestampMs;

use super::{Ids, ReadError, at_fault, empty};
use crate::eval::log::{Catalogue, Interaction, InteractionLog, ItemFacts};
use crate::transfer::{BytesRead, Entity, Format, InputFile, Reading, Record, open};

/// A like, or what is at least as much.
const LIKED: f32 = 5.0;
/// Watched to the end.
const COMPLETED: f32 = 3.0;
/// Watched.
const VIEWED: f32 = 2.0;
/// Not wanted.
const UNWANTED: f32 = 0.0;

/// Reads events, and the items' facts where there is a file of them.
///
/// # Errors
/// A file cannot be read or has a bad line, or there is no event.
pub(crate) fn read(events: &Path, items: Option<&Path>) -> Result<InteractionLog, ReadError> {
    let (mut users, mut names) = (Ids::default(), Ids::default());
    let mut interactions = Vec::new();
    for_each_record(events, Entity::Events, &mut |record| {
        let Record::Event(event) = record else { return };
        if let Some(value) = value_of(event.signal) {
            interactions.push(Interaction {
                user: users.number(event.user.as_str()),
                item: names.number(event.item.as_str()),
                at_ms: event.at.0,
                value,
            });
        }
    })?;
    if interactions.is_empty() {
        return Err(empty(events, "no events in it but impressions"));
    }
    let mut facts = Vec::new();
    if let Some(path) = items {
        facts = vec![ItemFacts::default(); names.ids.len()];
        for_each_record(path, Entity::Items, &mut |record| {
            let Record::Item(item) = record else { return };
            if let Some(number) = names.get(item.id.as_str()) {
                facts[number as usize] = ItemFacts {
                    title: item.title.clone(),
                    author: item.author.as_ref().map(ToString::to_string),
                    categories: item.categories.iter().map(ToString::to_string).collect(),
                    duration_ms: item.duration_ms.map(i64::from),
                    created_at_ms: Some(item.created_at.0).filter(|at_ms| *at_ms > 0),
                };
            }
        })?;
    }
    Ok(InteractionLog {
        catalogue: Catalogue {
            user_ids: users.into_ids(),
            item_ids: names.into_ids(),
            items: facts,
        },
        interactions,
    })
}

fn for_each_record(path: &Path, entity: Entity, take: &mut dyn FnMut(Record)) -> Result<(), ReadError> {
    let input = InputFile::Path(path.to_owned());
    let rows = open(
        &input,
        entity,
        Format::Jsonl,
        &Reading::exact(TimestampMs(0)),
        &BytesRead::default(),
    )?;
    for row in rows {
        take(row.map_err(|fault| at_fault(path, &fault))?.record);
    }
    Ok(())
}

/// On the scale of stars; `None` says nothing about the item.
fn value_of(signal: Signal) -> Option<f32> {
    match signal {
        Signal::Like | Signal::Share | Signal::Comment | Signal::Favorite | Signal::Follow => Some(LIKED),
        Signal::Complete => Some(COMPLETED),
        Signal::View => Some(VIEWED),
        Signal::Unlike | Signal::Skip | Signal::Dislike | Signal::Report => Some(UNWANTED),
        Signal::Impression => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_becomes_a_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let (events, items) = (folder.path().join("events.jsonl"), folder.path().join("items.jsonl"));
        let lines = [
            r#"{"user_id":"u1","item_id":"a","type":"impression","at":1000}"#,
            r#"{"user_id":"u1","item_id":"a","type":"like","at":2000}"#,
            r#"{"user_id":"u2","item_id":"b","type":"skip","at":3000}"#,
        ];
        std::fs::write(&events, lines.join("\n")).expect("written");
        std::fs::write(
            &items,
            r#"{"id":"b","title":"B","categories":["drama"],"duration_ms":9000}"#,
        )
        .expect("written");
        let log = read(&events, Some(&items)).expect("a log");
        let values: Vec<(u32, u32, i64, f32)> = log
            .interactions
            .iter()
            .map(|event| (event.user, event.item, event.at_ms, event.value))
            .collect();
        assert_eq!(values, [(0, 0, 2_000, LIKED), (1, 1, 3_000, UNWANTED)]);
        assert_eq!(log.catalogue.items[0], ItemFacts::default());
        assert_eq!(log.catalogue.items[1].categories, ["drama"]);
        assert_eq!(log.catalogue.items[1].duration_ms, Some(9_000));
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let events = folder.path().join("events.jsonl");
        std::fs::write(
            &events,
            "{\"user_id\":\"u\",\"item_id\":\"i\",\"type\":\"like\"}\nnonsense\n",
        )
        .expect("written");
        let error = read(&events, None).expect_err("a bad line").to_string();
        assert!(error.contains("events.jsonl:2"), "{error}");
    }
}
