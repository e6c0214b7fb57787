//! What the file journal does when the disk, the files or the format let it down.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::*;

const OPTIONS: JournalOptions = JournalOptions {
    durability: Durability::Process,
    segment_bytes_max: SEGMENT_BYTES_DEFAULT,
    pending_bytes_max: PENDING_BYTES_DEFAULT,
};

fn open(dir: &Path, options: JournalOptions) -> (EmbeddedJournal, JournalOpenReport) {
    EmbeddedJournal::open(dir, options).expect("the journal opens")
}

fn try_append(journal: &EmbeddedJournal, payload: &[u8]) -> Result<Seq, JournalError> {
    journal.append(record(payload))
}

fn record(payload: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: 1,
        version: 1,
        partition: Partition(5),
        payload,
    }
}

/// From now on the disk is full: the kernel's own "no space left on device". Returns what makes room again.
#[cfg(target_os = "linux")]
fn fill_disk(journal: &EmbeddedJournal) -> std::sync::Arc<segment_files::SegmentFile> {
    let full = OpenOptions::new().write(true).open("/dev/full");
    journal.replace_active_file(full.expect("the device opens"))
}

fn runtime() -> tokio::runtime::Runtime {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().build();
    built.expect("the runtime starts")
}

/// Waits until nothing keeps records from being committed.
fn wait_until_well(journal: &EmbeddedJournal) {
    let mut receiver = journal.subscribe();
    let well = receiver.wait_for(|state| state.failure.is_none());
    let waited = runtime().block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(10), well)
            .await
            .map(drop)
    });
    waited.expect("it is well soon");
}

/// A full disk and back: what was refused is not there, what waited is, in its place.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_not_for_ever() {
    for durability in [Durability::Process, Durability::Fsync] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let options = JournalOptions { durability, ..OPTIONS };
        let (journal, _) = open(dir.path(), options);
        append_all(&journal, &[b"kept"]);
        let room = fill_disk(&journal);
        let waits = try_append(&journal, b"waits").expect("an append does not wait for the disk");
        let waited = runtime().block_on(wait_committed(&mut journal.subscribe(), waits));
        assert!(matches!(waited, Err(JournalError::Failed(_))), "{waited:?}");
        assert!(matches!(try_append(&journal, b"refused"), Err(JournalError::Failed(_))));
        // Half of it reached the disk before: a later opening must not find it.
        let half = OpenOptions::new().append(true).open(&segment_paths(dir.path())[0]);
        std::io::Write::write_all(&mut half.expect("opened"), &[9; 30]).expect("written");
        journal.restore_active_file(room);
        wait_until_well(&journal);
        let waited = runtime().block_on(wait_committed(&mut journal.subscribe(), waits));
        waited.expect("what waited is committed");
        append_all(&journal, &[b"again"]);
        let expected = [b"kept".to_vec(), b"waits".to_vec(), b"again".to_vec()];
        assert_eq!(payloads(&journal), expected);
        assert_eq!(journal.stats().segments, 2, "it goes on in a new segment");
        journal.shutdown().expect("a clean end");
        drop(journal);
        let (journal, report) = open(dir.path(), options);
        assert_eq!(
            (report.records, report.damaged_total, report.torn_tail_bytes),
            (3, 0, 0)
        );
        assert_eq!(payloads(&journal), expected);
    }
}

/// One commit over several segments, of which a later one cannot be started at first.
#[test]
fn what_was_written_of_a_group_is_not_written_twice() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let options = JournalOptions {
        segment_bytes_max: 300,
        ..OPTIONS
    };
    let (journal, _) = open(dir.path(), options);
    let paused = journal.pause_writes();
    for number in 1..=12_u8 {
        try_append(&journal, &[number; 80]).expect("the journal accepts");
    }
    // Two records and a third above the bound go into each segment.
    let taken: Vec<PathBuf> = (2..=12)
        .map(|seq| dir.path().join(segment_files::segment_name(Seq(seq))))
        .collect();
    taken
        .iter()
        .skip(4)
        .for_each(|path| fs::create_dir(path).expect("the name is taken"));
    drop(paused);
    assert!(matches!(journal.flush(), Err(JournalError::Failed(_))));
    assert_eq!(journal.committed(), Seq::ZERO);
    taken
        .iter()
        .skip(4)
        .for_each(|path| fs::remove_dir(path).expect("the name is free"));
    wait_until_well(&journal);
    assert_eq!(journal.flush().expect("flushed"), Seq(12));
    drop(journal);
    let (journal, report) = open(dir.path(), options);
    assert_eq!((report.records, report.damaged_total), (12, 0));
    let first: Vec<u8> = payloads(&journal).iter().map(|payload| payload[0]).collect();
    assert!(first.into_iter().eq(1..=12));
}

#[test]
fn misplaced_files_take_nothing_until_they_are_back_and_a_refusal_lets_what_waits_pass() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(dir.path(), OPTIONS);
    append_all(&journal, &[b"one"]);
    let paused = journal.pause_writes();
    let waits = try_append(&journal, b"two").expect("the journal accepts");
    journal.refuse(Some("no room"));
    assert!(matches!(try_append(&journal, b"refused"), Err(JournalError::Failed(reason)) if &*reason == "no room"));
    drop(paused);
    assert_eq!(journal.flush().expect("what waits is committed"), waits);
    journal.refuse(None);
    journal.set_misplaced(Some("gone"));
    assert!(matches!(try_append(&journal, b"refused"), Err(JournalError::Failed(_))));
    assert!(journal.flush().is_err());
    journal.set_misplaced(None);
    append_all(&journal, &[b"three"]);
    assert_eq!(payloads(&journal).len(), 3);
}

/// A sync that fails may leave the system without what it was to write.
#[cfg(target_os = "linux")]
#[test]
fn what_a_failed_sync_may_have_lost_is_written_again() {
    use super::segment_files::SegmentFile;
    use super::syncer::Syncer;
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("segment");
    fs::write(&path, vec![7; 3_000_000]).expect("written");
    // A pipe cannot be synced.
    let pipe = std::process::Command::new("true")
        .stdin(std::process::Stdio::piped())
        .spawn();
    let mut child = pipe.expect("started");
    let fd: std::os::fd::OwnedFd = child.stdin.take().expect("a pipe").into();
    let segment = std::sync::Arc::new(SegmentFile {
        path: path.clone(),
        file: fd.into(),
    });
    let syncer = Syncer::default();
    syncer.mark_dirty(&segment);
    let rewritten = std::cell::Cell::new(0);
    let sync = || {
        syncer.sync_now(&|work| {
            rewritten.set(rewritten.get() + 1);
            work()
        })
    };
    assert!(sync().is_err() && rewritten.get() == 0);
    assert!(
        sync().is_err() && rewritten.get() == 1,
        "it stays marked and is written again"
    );
    assert!(fs::read(&path).expect("read") == vec![7; 3_000_000]);
    let _ = child.wait();
}

fn append_all(journal: &EmbeddedJournal, payloads: &[&[u8]]) {
    for payload in payloads {
        try_append(journal, payload).expect("the journal accepts");
    }
    journal.flush().expect("the journal flushes");
}

fn payloads(journal: &EmbeddedJournal) -> Vec<Vec<u8>> {
    let items = journal.read_from(Seq::ZERO).expect("the journal is read");
    let payload = |item| match item {
        ReadItem::Record(record) => Some(record.payload),
        ReadItem::Damaged(_) => None,
    };
    items.filter_map(payload).collect()
}

fn segment_paths(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the folder is listed");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The kernel's own "no space left on device".
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_fails_the_journal_and_tells_the_waiters() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(dir.path(), OPTIONS);
    append_all(&journal, &[b"kept"]);
    fill_disk(&journal);
    let mut receiver = journal.subscribe();
    let lost = try_append(&journal, b"lost").expect("an append does not wait for the disk");
    let runtime = runtime();
    let waited = runtime.block_on(wait_committed(&mut receiver, lost));
    assert!(
        matches!(&waited, Err(JournalError::Failed(reason)) if reason.contains("No space left")),
        "{waited:?}"
    );
    assert!(matches!(try_append(&journal, b"refused"), Err(JournalError::Failed(_))));
    assert!(matches!(journal.flush(), Err(JournalError::Failed(_))));
    assert!(matches!(
        journal.erase(Partition(5), &mut |_| true),
        Err(JournalError::Failed(_))
    ));
    assert_eq!(journal.committed(), Seq(1));
    runtime
        .block_on(wait_committed(&mut receiver, Seq(1)))
        .expect("what was committed before stays committed");
    assert_eq!(payloads(&journal), [b"kept".to_vec()]);
    assert!(
        journal.shutdown().is_err(),
        "a lossy end is not reported as a clean one"
    );
    drop(journal);
    let (journal, report) = open(dir.path(), OPTIONS);
    assert_eq!((report.records, report.damaged_total, report.next_seq), (1, 0, Seq(2)));
    append_all(&journal, &[b"again"]);
    assert_eq!(payloads(&journal), [b"kept".to_vec(), b"again".to_vec()]);
}

#[test]
fn a_record_that_comes_alone_is_committed_at_once() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(
        dir.path(),
        JournalOptions {
            segment_bytes_max: 300,
            ..OPTIONS
        },
    );
    let at_once = |payload| journal.append_at_once(record(payload)).expect("the journal accepts");
    for number in 1..=3 {
        assert_eq!(at_once(b"first"), Seq(number));
        assert_eq!(journal.committed(), Seq(number), "nobody else was waited for");
    }
    // Somebody else is writing: the record is left to the commit thread.
    let paused = journal.pause_writes();
    let left = at_once(b"second");
    assert_eq!(journal.committed(), Seq(3));
    drop(paused);
    assert_eq!(journal.flush().expect("the journal flushes"), left);
    // So is one that would start a segment, which waits for the disk.
    let segments = journal.stats().segments;
    at_once(&[7; 400]);
    let next = at_once(b"third");
    assert_eq!(journal.flush().expect("the journal flushes"), next);
    assert_eq!(journal.stats().segments, segments + 1);
    assert_eq!(payloads(&journal).len(), 6);
}

/// The kernel's own "no space left on device", met by the appender itself.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_met_by_an_appender_fails_the_journal() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(dir.path(), OPTIONS);
    append_all(&journal, &[b"kept"]);
    fill_disk(&journal);
    let lost = journal
        .append_at_once(record(b"lost"))
        .expect("an append never reports the disk");
    assert!(journal.subscribe().borrow().failure.is_some());
    assert!(journal.committed() < lost);
    assert!(matches!(try_append(&journal, b"refused"), Err(JournalError::Failed(_))));
    assert!(journal.shutdown().is_err());
}

#[test]
fn a_segment_that_cannot_be_started_fails_the_journal() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(
        dir.path(),
        JournalOptions {
            segment_bytes_max: 100,
            ..OPTIONS
        },
    );
    append_all(&journal, &[&[7; 100]]);
    // The next segment's name is taken by a folder.
    fs::create_dir(dir.path().join(segment_files::segment_name(Seq(2)))).expect("the folder is made");
    try_append(&journal, b"no room").expect("an append does not wait for the disk");
    assert!(matches!(journal.flush(), Err(JournalError::Failed(_))));
    assert_eq!((journal.committed(), payloads(&journal)), (Seq(1), vec![vec![7; 100]]));
}

#[test]
fn appends_are_refused_while_too_much_is_pending() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(
        dir.path(),
        JournalOptions {
            pending_bytes_max: 1_000,
            ..OPTIONS
        },
    );
    let paused = journal.pause_writes();
    let accepted = (0..1_000)
        .take_while(|_| try_append(&journal, &[1; 80]).is_ok())
        .count();
    assert_eq!(accepted, 10, "100 bytes each with their header");
    assert!(matches!(
        try_append(&journal, &[1; 80]),
        Err(JournalError::Full {
            pending_bytes: 1_000,
            bytes_max: 1_000
        })
    ));
    let stats = journal.stats();
    assert_eq!((stats.pending_records, stats.pending_bytes), (10, 1_000));
    drop(paused);
    journal.flush().expect("the journal flushes");
    try_append(&journal, &[1; 80]).expect("there is room again");
    // One record above the whole bound is taken when nothing else waits.
    journal.flush().expect("the journal flushes");
    append_all(&journal, &[&[2; 5_000]]);
    assert_eq!(payloads(&journal).len(), 12);
}

#[test]
fn a_torn_end_is_cut_off_and_reported() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(dir.path(), OPTIONS);
    append_all(&journal, &[b"one", b"two", b"three"]);
    drop(journal);
    let path = &segment_paths(dir.path())[0];
    let bytes = fs::read(path).expect("the segment is read");
    fs::write(path, &bytes[..bytes.len() - 2]).expect("the segment is cut");
    let (journal, report) = open(dir.path(), OPTIONS);
    assert_eq!((report.records, report.damaged_total, report.next_seq), (2, 0, Seq(3)));
    assert_eq!(
        report.torn_tail_bytes, 23,
        "the header and what was left of the payload"
    );
    append_all(&journal, &[b"four"]);
    assert_eq!(payloads(&journal), [b"one".to_vec(), b"two".to_vec(), b"four".to_vec()]);
}

#[test]
fn a_segment_cut_off_while_it_was_created_is_removed() {
    for bytes in [0, 10, SEGMENT_HEADER_BYTES] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (journal, _) = open(dir.path(), OPTIONS);
        append_all(&journal, &[b"one"]);
        drop(journal);
        fs::write(dir.path().join(segment_files::segment_name(Seq(2))), vec![0; bytes]).expect("written");
        let (journal, report) = open(dir.path(), OPTIONS);
        assert_eq!(
            (report.records, report.damaged_total, report.next_seq),
            (1, 0, Seq(2)),
            "{bytes} bytes"
        );
        append_all(&journal, &[b"two"]);
        drop(journal);
        let (journal, report) = open(dir.path(), OPTIONS);
        assert_eq!((report.records, report.damaged_total), (2, 0), "{bytes} bytes");
        assert_eq!(payloads(&journal).len(), 2);
    }
}

#[test]
fn a_lost_segment_header_costs_that_segment_and_no_number_twice() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(
        dir.path(),
        JournalOptions {
            segment_bytes_max: 150,
            ..OPTIONS
        },
    );
    append_all(&journal, &[&[1; 100], &[2; 100], &[3; 100]]);
    drop(journal);
    for damaged in [1, 2] {
        let path = &segment_paths(dir.path())[damaged];
        let mut bytes = fs::read(path).expect("the segment is read");
        bytes[..SEGMENT_HEADER_BYTES].fill(0);
        fs::write(path, bytes).expect("the segment is written");
    }
    let (journal, report) = open(dir.path(), OPTIONS);
    assert_eq!((report.records, report.damaged_total), (1, 2));
    assert!(report.next_seq > Seq(3), "{report:?}");
    append_all(&journal, &[b"four"]);
    assert_eq!(payloads(&journal), [vec![1; 100], b"four".to_vec()]);
    let damages = journal
        .read_from(Seq::ZERO)
        .expect("read")
        .filter(|item| matches!(item, ReadItem::Damaged(_)));
    assert_eq!(damages.count(), 2, "a reader reports what it skips");
}

#[test]
fn a_segment_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut header = SegmentHeader {
        salt: 1,
        first_seq: Seq(1),
    }
    .encode();
    for copy in header.chunks_exact_mut(SEGMENT_HEADER_BYTES / 2) {
        copy[8..12].copy_from_slice(&9u32.to_le_bytes());
        let crc = crc32fast::hash(&copy[..28]);
        copy[28..].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(dir.path().join(segment_files::segment_name(Seq(1))), header).expect("written");
    let refused = EmbeddedJournal::open(dir.path(), OPTIONS);
    assert!(matches!(refused, Err(JournalError::NewerVersion { version: 9, .. })));
}

#[test]
fn erased_bytes_are_gone_from_the_disk() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (journal, _) = open(
        dir.path(),
        JournalOptions {
            segment_bytes_max: 300,
            ..OPTIONS
        },
    );
    let secret = |number: u32| format!("secret of the user {number:03}");
    for number in 0..40 {
        let payload = if number % 2 == 0 {
            secret(number)
        } else {
            format!("public {number}")
        };
        try_append(&journal, payload.as_bytes()).expect("the journal accepts");
    }
    let erased = journal.erase(Partition(5), &mut |record| record.payload.starts_with(b"secret"));
    assert_eq!(erased.expect("the journal erases"), 20);
    let on_disk: Vec<u8> = segment_paths(dir.path())
        .iter()
        .flat_map(|path| fs::read(path).expect("read"))
        .collect();
    assert!(
        !on_disk.windows(6).any(|window| window == b"secret"),
        "no trace on the disk"
    );
    drop(journal);
    let (journal, report) = open(dir.path(), OPTIONS);
    assert_eq!((report.records, report.erased, report.damaged_total), (40, 20, 0));
    assert_eq!(report.next_seq, Seq(41));
    assert_eq!(payloads(&journal).len(), 20);
}
