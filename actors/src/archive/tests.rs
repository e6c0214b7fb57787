//! Tests of the archive behind a whole engine: what was accepted is what it holds, and nothing of whom it forgot.

use std::path::Path;
use std::time::{Duration, Instant};

use swipeline_models::event::Event;
use swipeline_models::ids::{EventId, UserId};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ItemDto;
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::Cell;

use super::TimeRange;
use super::tables::archive_table;
use crate::api::{EngineConfig, ParamsEdit};
use crate::engine::{Engine, testing};

/// Every wait ends after so long.
const WAIT_MAX: Duration = Duration::from_secs(20);

async fn start(dir: &Path) -> Engine {
    let config = EngineConfig {
        data_dir: Some(dir.to_path_buf()),
        arbiters: 1,
        ..EngineConfig::default()
    };
    let began = Instant::now();
    // The threads of the engine before give the directory back in their own time.
    let engine = loop {
        match Engine::start(config.clone()).await {
            Ok(engine) => break engine,
            Err(error) => assert!(began.elapsed() < WAIT_MAX, "no engine: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let patch = serde_json::json!({"archive": {"flush_ms": 20, "file_ms": 1_000}});
    engine
        .patch_params(patch, ParamsEdit::by("test"))
        .await
        .expect("patched");
    engine
}

async fn put_items(engine: &Engine) {
    let item = |number: usize| ItemDto {
        id: format!("v{number}"),
        categories: Some(vec!["music".to_owned()]),
        ..ItemDto::default()
    };
    let items = (0..40)
        .map(|number| item(number).into_item(TimestampMs(1)).expect("an item"))
        .collect();
    engine.upsert_items(items).await.expect("taken");
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("an id")
}

async fn like(engine: &Engine, name: &str, id: &str, at: i64) {
    let event = Event {
        event_id: EventId::new(id).ok(),
        at: TimestampMs(at),
        ..testing::like(&user(name), "v1")
    };
    assert_eq!(engine.ingest(vec![event]).await.expect("taken").accepted, 1);
}

async fn feed(engine: &Engine, name: &str) -> usize {
    let request = testing::request(&user(name));
    engine.feed(request).await.expect("a feed").items.len()
}

/// The cells of a column, of all rows in the archive.
fn column(engine: &Engine, kind: ArchiveKind, name: &str, range: TimeRange) -> Vec<Cell> {
    let table = archive_table(kind);
    let place = table
        .columns
        .iter()
        .position(|column| column.name == name)
        .expect("a column");
    let mut cells = Vec::new();
    engine
        .for_each_archived(kind, range, &mut |row| cells.push(row[place].clone()))
        .expect("readable");
    cells
}

fn events(engine: &Engine) -> Vec<String> {
    let cells = column(engine, ArchiveKind::Events, "event_id", TimeRange::default());
    cells
        .iter()
        .map(|cell| cell.as_text().expect("an id").to_owned())
        .collect()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < WAIT_MAX, "it does not happen that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn rows_are_the_accepted_events_in_order_whatever_tier_they_are_in() {
    let dir = tempfile::tempdir().expect("a folder");
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        like(&engine, "ann", "e1", 100).await;
        like(&engine, "bob", "e2", 200).await;
        engine.roll_archive().await.expect("rolled");
        assert_eq!(engine.archive_status().expect("an archive").events.cold_rows, 2);
        like(&engine, "ann", "e3", 300).await;
        let is_warm = || {
            engine
                .archive_status()
                .is_some_and(|status| status.events.warm_records == 1)
        };
        eventually("an event gets warm", is_warm).await;
        // Nothing keeps this one from being hot or warm: it counts once either way.
        like(&engine, "bob", "e4", 400).await;
        assert_eq!(events(&engine), ["e1", "e2", "e3", "e4"]);
        let range = TimeRange {
            since: Some(200),
            until: Some(400),
        };
        let some = column(&engine, ArchiveKind::Events, "at", range);
        assert_eq!(some, [Cell::Int(200), Cell::Int(300)]);
        engine.shutdown().await.expect("shut down");
        drop(engine);
        let engine = start(dir.path()).await;
        assert_eq!(events(&engine), ["e1", "e2", "e3", "e4"]);
        engine.roll_archive().await.expect("rolled");
        assert_eq!(events(&engine), ["e1", "e2", "e3", "e4"]);
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn served_slates_are_archived_with_what_they_were_ranked_by() {
    let dir = tempfile::tempdir().expect("a folder");
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        let served = feed(&engine, "ann").await + feed(&engine, "bob").await;
        let all = TimeRange::default();
        assert_eq!(column(&engine, ArchiveKind::Slates, "item_id", all).len(), served);
        engine.roll_archive().await.expect("rolled");
        let features = column(&engine, ArchiveKind::Slates, "features", all);
        assert_eq!(features.len(), served);
        let width = swipeline_models::features::schema::FEATURE_COUNT;
        assert!(
            features
                .iter()
                .all(|cell| matches!(cell, Cell::Floats(row) if row.len() == width))
        );
        let channels = column(&engine, ArchiveKind::Slates, "channels", all);
        assert!(
            channels
                .iter()
                .all(|cell| matches!(cell, Cell::Texts(names) if !names.is_empty()))
        );
        // Nobody's slates any more.
        engine
            .patch_params(
                serde_json::json!({"archive": {"slates_percent": 0}}),
                ParamsEdit::by("test"),
            )
            .await
            .expect("patched");
        feed(&engine, "cat").await;
        assert_eq!(column(&engine, ArchiveKind::Slates, "item_id", all).len(), served);
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn a_forgotten_user_leaves_every_tier_and_may_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        for (name, id) in [("ann", "a1"), ("bob", "b1")] {
            like(&engine, name, id, 100).await;
            feed(&engine, name).await;
        }
        engine.roll_archive().await.expect("rolled");
        like(&engine, "ann", "a2", 200).await;
        like(&engine, "bob", "b2", 200).await;
        assert!(engine.delete_user(&user("ann")).await.expect("deleted"));
        like(&engine, "ann", "a3", 300).await;
        feed(&engine, "ann").await;
        eventually("the archive forgets", || {
            engine
                .archive_status()
                .is_some_and(|status| status.waiting_to_forget == 0)
        })
        .await;
        let of_ann = |engine: &Engine| {
            let users = column(engine, ArchiveKind::Slates, "user_id", TimeRange::default());
            users.iter().filter(|name| name.as_text() == Some("ann")).count()
        };
        eventually("the new slate is archived", || of_ann(&engine) == 5).await;
        let check = |engine: &Engine| {
            assert_eq!(events(engine), ["b1", "b2", "a3"]);
            let users = column(engine, ArchiveKind::Slates, "user_id", TimeRange::default());
            assert_eq!(users.iter().filter(|name| name.as_text() == Some("ann")).count(), 5);
            assert_eq!(users.len(), 10);
        };
        check(&engine);
        engine.roll_archive().await.expect("rolled");
        check(&engine);
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn an_archive_that_is_off_takes_nothing_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        like(&engine, "ann", "e1", 100).await;
        engine.roll_archive().await.expect("rolled");
        let switch = |on: bool| serde_json::json!({"archive": {"enabled": on}});
        engine
            .patch_params(switch(false), ParamsEdit::by("test"))
            .await
            .expect("patched");
        like(&engine, "ann", "e2", 200).await;
        assert!(engine.roll_archive().await.is_err(), "it is off");
        assert_eq!(events(&engine), ["e1", "e2"], "the journal still has it");
        engine
            .patch_params(switch(true), ParamsEdit::by("test"))
            .await
            .expect("patched");
        engine.roll_archive().await.expect("rolled");
        assert_eq!(engine.archive_status().expect("an archive").events.cold_rows, 2);
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn old_intervals_become_files_by_themselves() {
    let dir = tempfile::tempdir().expect("a folder");
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        let patch = serde_json::json!({"archive": {"file_ms": 100, "warm_ms": 0}});
        engine
            .patch_params(patch, ParamsEdit::by("test"))
            .await
            .expect("patched");
        like(&engine, "ann", "e1", 100).await;
        eventually("a file is made", || {
            let status = engine.archive_status().expect("an archive");
            (status.events.cold_rows, status.events.warm_records, status.error) == (1, 0, None)
        })
        .await;
        assert_eq!(events(&engine), ["e1"]);
        engine.shutdown().await.expect("shut down");
    });
}

fn is_on_disk(path: &Path, needle: &[u8]) -> bool {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).expect("listed");
        return entries.any(|entry| is_on_disk(&entry.expect("an entry").path(), needle));
    }
    // What is rewritten may go away meanwhile.
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn no_byte_of_a_deleted_user_stays_and_a_deletion_that_died_is_gone_on_with() {
    let dir = tempfile::tempdir().expect("a folder");
    let names = ["first-to-be-forgotten", "second-to-be-forgotten"];
    actix::System::new().block_on(async {
        let engine = start(dir.path()).await;
        put_items(&engine).await;
        for name in names {
            like(&engine, name, &format!("{name}-1"), 100).await;
            feed(&engine, name).await;
        }
        like(&engine, "stays", "s1", 100).await;
        engine.checkpoint().await.expect("a checkpoint");
        engine.roll_archive().await.expect("rolled");
        assert!(engine.delete_user(&user(names[0])).await.expect("deleted"));
        let forgotten = |engine: &Engine| {
            engine
                .archive_status()
                .is_some_and(|status| status.waiting_to_forget == 0)
        };
        eventually("the first is forgotten", || forgotten(&engine)).await;
        assert!(!is_on_disk(dir.path(), names[0].as_bytes()));
        assert!(is_on_disk(dir.path(), names[1].as_bytes()));
        engine.shutdown().await.expect("shut down");
        drop(engine);
        // The process died when the journal had the deletion, and nothing else had.
        append_deletion(dir.path(), names[1]).await;
        let engine = start(dir.path()).await;
        eventually("the second is forgotten", || forgotten(&engine)).await;
        assert_eq!(events(&engine), ["s1"]);
        engine.shutdown().await.expect("shut down");
        drop(engine);
        assert!(!is_on_disk(dir.path(), names[1].as_bytes()));
        assert!(is_on_disk(dir.path(), b"stays"));
    });
}

async fn append_deletion(dir: &Path, name: &str) {
    use crate::records::JournalEntry;
    let began = Instant::now();
    let storage = loop {
        match swipeline_storage::Storage::open(dir, &swipeline_storage::StorageOptions::default()) {
            Ok(storage) => break storage,
            Err(error) => assert!(began.elapsed() < WAIT_MAX, "no storage: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let entry = JournalEntry::Forgotten {
        user: user(name),
        at: TimestampMs(crate::clock::now().0),
    };
    entry.append(&*storage.journal).expect("appended");
    storage.close().expect("closed");
}
