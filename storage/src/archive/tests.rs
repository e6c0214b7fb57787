//! Tests of both tiers together: every entry in exactly one of them, whatever dies when.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::data_dir::DataDirOptions;
use crate::partition::partition_of;
use crate::table::{Cell, Column, ColumnKind, Table, TableReader};

const HOUR_MS: i64 = 3_600_000;
const KIND: ArchiveKind = ArchiveKind::Events;

fn table() -> Table {
    Table {
        name: "events".into(),
        version: 1,
        columns: vec![
            Column::required("sequence", ColumnKind::Int),
            Column::required("user_id", ColumnKind::Text).with_bloom_filter(),
        ],
        notes: Vec::new(),
    }
}

fn open(path: &Path) -> Archive {
    let dir = DataDir::open(path, &DataDirOptions::default()).expect("a data dir");
    Archive::open(&dir, 0).expect("opens")
}

fn user(seq: u64) -> String {
    format!("user-{}", seq % 7)
}

fn entry(seq: u64) -> WarmEntry<'static> {
    WarmEntry {
        seq,
        partition: partition_of(&user(seq)),
        bucket_ms: (seq / 100) as i64 * HOUR_MS,
        payload: user(seq).into_bytes().into(),
    }
}

/// Puts entries `from..to` as one batch.
fn put(archive: &Archive, from: u64, to: u64) {
    let entries: Vec<WarmEntry<'_>> = (from..to).map(entry).collect();
    archive
        .warm
        .put(KIND, from, &entries, Some(Seq(to - 1)))
        .expect("taken");
}

/// Writes an interval to a file without taking it out of the warm tier, as if the process died in between.
fn write_file(archive: &Archive, start_ms: i64) {
    let batches = archive.warm.batches(KIND, start_ms);
    let mut part = archive.cold.begin(KIND, start_ms, &table()).expect("begins");
    for (seq, payload) in archive.warm.entries(KIND, start_ms, &batches).expect("read") {
        let user = String::from_utf8(payload).expect("a user");
        let row = vec![Cell::Int(seq as i64), Cell::Text(user)];
        part.write(row, Some(seq as i64)).expect("written");
    }
    let last = batches.last().copied().expect("a batch");
    part.finish(last, 0).expect("finished");
}

fn roll(archive: &Archive, start_ms: i64) {
    write_file(archive, start_ms);
    let last = archive.cold.batch_last(KIND, start_ms).expect("a file");
    archive.warm.remove(KIND, start_ms, last).expect("removed");
}

/// Every sequence in the archive, cold ones first, in order.
fn sequences(archive: &Archive) -> Vec<u64> {
    let mut found = Vec::new();
    for file in archive.cold.files() {
        let mut reader = TableReader::open_as(&archive.cold.path(&file), &table()).expect("opens");
        while let Some(row) = reader.next_cells(&table().columns) {
            found.push(row.expect("a row")[0].as_int().expect("a sequence") as u64);
        }
    }
    for bucket in archive.warm.buckets(KIND) {
        let batches = archive.warm.batches(KIND, bucket.start_ms);
        let entries = archive.warm.entries(KIND, bucket.start_ms, &batches).expect("read");
        found.extend(entries.iter().map(|(seq, _)| *seq));
    }
    found
}

fn all(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn entries_are_in_one_tier_and_in_order_after_any_number_of_openings() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    assert_eq!(archive.warm.cursor(), Seq::ZERO);
    put(&archive, 1, 130);
    put(&archive, 130, 250);
    assert_eq!(sequences(&archive), all(1..250));
    roll(&archive, 0);
    assert_eq!(sequences(&archive), all(1..250));
    drop(archive);
    let archive = open(dir.path());
    assert_eq!((archive.warm.cursor(), archive.cold.files().len()), (Seq(249), 1));
    assert_eq!(sequences(&archive), all(1..250));
    let starts: Vec<i64> = archive
        .warm
        .buckets(KIND)
        .iter()
        .map(|bucket| bucket.start_ms)
        .collect();
    assert_eq!(starts, [HOUR_MS, 2 * HOUR_MS]);
}

#[test]
fn what_died_between_file_and_removal_is_not_there_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 100);
    write_file(&archive, 0);
    assert_eq!(sequences(&archive).len(), 198, "the test must leave both copies");
    drop(archive);
    let archive = open(dir.path());
    assert_eq!(sequences(&archive), all(1..100));
    assert!(archive.warm.buckets(KIND).is_empty());
}

#[test]
fn a_batch_that_is_put_again_counts_once_and_a_late_one_makes_a_second_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 40);
    // The cursor got lost in a crash: the next batch starts at the same place and reaches further.
    put(&archive, 1, 60);
    assert_eq!(sequences(&archive), all(1..60));
    roll(&archive, 0);
    put(&archive, 60, 90);
    roll(&archive, 0);
    assert_eq!((sequences(&archive), archive.cold.files().len()), (all(1..90), 2));
}

/// Everything that is in the folder of the events' files.
fn cold_names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("archive/events")).expect("listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn files_of_others_stay_and_unfinished_ones_of_ours_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 20);
    roll(&archive, 0);
    let ours = cold_names(dir.path());
    let folder = dir.path().join("archive/events");
    for name in [
        "notes.parquet",
        "half.tmp",
        "19700101T000000Z-000099.parquet",
        "19700101T000000Z-000098.tmp",
    ] {
        std::fs::write(folder.join(name), b"x").expect("written");
    }
    drop(archive);
    let archive = open(dir.path());
    let mut expected = [
        ours,
        ["19700101T000000Z-000099.parquet", "half.tmp", "notes.parquet"]
            .map(str::to_owned)
            .to_vec(),
    ]
    .concat();
    expected.sort();
    assert_eq!(
        cold_names(dir.path()),
        expected,
        "what cannot be read may be somebody's only copy"
    );
    assert_eq!(sequences(&archive), all(1..20));
}

#[test]
fn a_manifest_that_is_gone_or_damaged_is_made_anew_from_the_files() {
    for content in [None, Some("{\"format\": 1, \"next_num")] {
        let dir = tempfile::tempdir().expect("a folder");
        let archive = open(dir.path());
        put(&archive, 1, 130);
        put(&archive, 130, 250);
        roll(&archive, 0);
        // Both tiers hold it: only the file knows, and has to know up to where.
        write_file(&archive, HOUR_MS);
        let before = archive.cold.files();
        drop(archive);
        let manifest = dir.path().join("archive/MANIFEST.json");
        match content {
            None => std::fs::remove_file(&manifest).expect("removed"),
            Some(content) => std::fs::write(&manifest, content).expect("damaged"),
        }
        let archive = open(dir.path());
        let after = archive.cold.files();
        assert_eq!(sequences(&archive), all(1..250));
        let told = |files: &[ColdFile]| -> Vec<(String, i64, u64, u64)> {
            let told = files
                .iter()
                .map(|file| (file.file.clone(), file.start_ms, file.rows, file.batch_last));
            told.collect()
        };
        assert_eq!(told(&after), told(&before));
        // Numbers go on behind those that are taken.
        roll(&archive, 2 * HOUR_MS);
        drop(archive);
        assert_eq!(sequences(&open(dir.path())), all(1..250));
    }
}

#[test]
fn a_file_that_died_before_its_entry_counts_and_one_that_was_replaced_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 90);
    let manifest = dir.path().join("archive/MANIFEST.json");
    write_file(&archive, 0);
    // The file was in its place, and its entry was not.
    std::fs::remove_file(&manifest).expect("removed");
    drop(archive);
    let archive = open(dir.path());
    assert_eq!((sequences(&archive), archive.warm.buckets(KIND).len()), (all(1..90), 0));
    // It dies between the entry of the new file and the removal of the old one.
    let old = archive.cold.path(&archive.cold.files()[0]);
    let copy = std::fs::read(&old).expect("read");
    let erase = archive
        .cold
        .erase("user-3", 0, &|_, _, row| row[1].as_text() == Some("user-3"));
    let erased = erase.expect("erased") as usize;
    drop(archive);
    std::fs::write(&old, copy).expect("it is still there");
    let archive = open(dir.path());
    assert_eq!(
        (sequences(&archive).len(), cold_names(dir.path()).len()),
        (89 - erased, 1)
    );
}

#[test]
fn a_lost_cursor_goes_on_behind_what_is_archived() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 50);
    put(&archive, 50, 120);
    roll(&archive, 0);
    drop(archive);
    let cursor = dir.path().join("warm/CURSOR");
    std::fs::write(&cursor, b"119 00000000").expect("damaged");
    assert_eq!(
        open(dir.path()).warm.cursor(),
        Seq(119),
        "the last event of the warm tier"
    );
    let archive = open(dir.path());
    archive.warm.remove(KIND, HOUR_MS, u64::MAX).expect("removed");
    drop(archive);
    std::fs::remove_file(&cursor).expect("removed");
    assert_eq!(open(dir.path()).warm.cursor(), Seq(50), "the last batch in a file");
}

#[test]
fn a_list_of_the_forgotten_that_cannot_be_read_names_the_ways_out() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    std::fs::write(dir.path().join("archive/FORGET.json"), b"[{").expect("damaged");
    let data_dir = DataDir::open(dir.path(), &DataDirOptions::default()).expect("a data dir");
    let refused = Archive::open(&data_dir, 0)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        refused.contains("FORGET.json") && refused.contains("Ways out"),
        "{refused}"
    );
}

#[test]
fn a_forgotten_user_is_gone_from_both_tiers_and_from_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 250);
    roll(&archive, 0);
    let gone = "user-3";
    let up_to = 220;
    let erased = archive
        .warm
        .erase(KIND, partition_of(gone), &mut |seq, payload| {
            seq <= up_to && payload == gone.as_bytes()
        })
        .expect("erased");
    let cold = archive
        .cold
        .erase(gone, 0, &|_, _, row| row[1].as_text() == Some(gone))
        .expect("erased");
    let left: BTreeSet<u64> = (1..250).filter(|seq| *seq > up_to || user(*seq) != gone).collect();
    assert_eq!(sequences(&archive), left.iter().copied().collect::<Vec<_>>());
    assert_eq!(erased + cold, 249 - left.len() as u64);
    assert_eq!(archive.cold.erase("nobody", 0, &|_, _, _| true).expect("erased"), 0);
    // Once more, so that the later ones go too: then no byte may be left.
    archive
        .warm
        .erase(KIND, partition_of(gone), &mut |_, payload| payload == gone.as_bytes())
        .expect("erased");
    drop(archive);
    for folder in ["warm", "archive"] {
        assert!(!holds_bytes(&dir.path().join(folder), gone.as_bytes()), "{folder}");
    }
}

fn holds_bytes(path: &Path, needle: &[u8]) -> bool {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).expect("listed");
        return entries.any(|entry| holds_bytes(&entry.expect("an entry").path(), needle));
    }
    let bytes = std::fs::read(path).expect("bytes");
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn old_files_go_by_age_and_by_size() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = open(dir.path());
    put(&archive, 1, 400);
    for hour in 0..4 {
        roll(&archive, hour * HOUR_MS);
    }
    assert_eq!(archive.cold.retain(HOUR_MS, u64::MAX).expect("retained"), 1);
    assert_eq!(sequences(&archive), all(100..400));
    let newest = archive.cold.files().last().map_or(0, |file| file.bytes);
    assert_eq!(archive.cold.retain(0, newest).expect("retained"), 2);
    assert_eq!(sequences(&archive), all(300..400));
    assert_eq!(
        std::fs::read_dir(dir.path().join("archive/events"))
            .expect("listed")
            .count(),
        1
    );
}

#[test]
fn those_who_wait_to_be_forgotten_survive() {
    let dir = tempfile::tempdir().expect("a folder");
    let someone = |user: &str| Forgotten {
        user: user.to_owned(),
        up_to_seq: 7,
        at_ms: 8,
    };
    let archive = open(dir.path());
    archive.forget.add(someone("a")).expect("added");
    archive.forget.add(someone("b")).expect("added");
    drop(archive);
    let archive = open(dir.path());
    assert_eq!(archive.forget.waiting(), [someone("a"), someone("b")]);
    archive.forget.done(&[someone("a")]).expect("done");
    drop(archive);
    assert_eq!(open(dir.path()).forget.waiting(), [someone("b")]);
}
