//! Backups of running and stopped storages, and what happens to damaged ones.

use super::*;
use crate::archive::{ArchiveKind, WarmEntry};
use crate::journal::{NewRecord, ReadItem, Seq};
use crate::partition::partition_of;
use crate::snapshot::SnapshotOp;

const NOW_MS: i64 = 1_750_000_000_000;

fn options() -> StorageOptions {
    let mut options = StorageOptions {
        now_ms: NOW_MS,
        ..StorageOptions::default()
    };
    options.journal.segment_bytes_max = 2_000;
    options
}

/// Fills a data directory with 100 records, 50 users, an index dump and an archive file.
fn filled(path: &Path) -> Storage {
    let storage = Storage::open(path, &options()).expect("it opens");
    for number in 0..100u32 {
        let user = format!("user-{}", number % 50);
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: partition_of(&user),
            payload: user.as_bytes(),
        };
        let seq = storage.journal.append(record).expect("the journal accepts");
        let value = seq.0.to_le_bytes().repeat(100);
        storage
            .snapshots
            .apply(vec![SnapshotOp::Put {
                tree: Tree::Users,
                key: user.into_bytes(),
                value,
            }])
            .expect("applied");
    }
    fs::write(path.join("index").join("graph.bin"), [7; 5_000]).expect("written");
    fs::write(path.join("index").join("graph.tmp"), [7; 50]).expect("written");
    fs::create_dir(path.join("archive").join("day")).expect("made");
    fs::write(path.join("archive").join("day").join("events"), b"old events").expect("written");
    let young = WarmEntry {
        seq: 7,
        partition: partition_of("user-7"),
        bucket_ms: 0,
        payload: b"young".as_slice().into(),
    };
    let archive = storage.archive.as_ref().expect("an archive");
    archive
        .warm
        .put(ArchiveKind::Events, 7, &[young], Some(Seq(9)))
        .expect("taken");
    storage
}

/// What [`filled`] has put in.
fn check_content(storage: &Storage) {
    let records: Vec<ReadItem> = storage.journal.read_from(Seq::ZERO).expect("read").collect();
    assert_eq!(records.len(), 100);
    let intact = |item: &ReadItem| matches!(item, ReadItem::Record(record) if record.payload.starts_with(b"user-"));
    assert!(records.iter().all(intact));
    assert_eq!(storage.snapshots.len(Tree::Users).expect("counted"), 50);
    let expected = 100u64.to_le_bytes().repeat(100);
    assert_eq!(
        storage.snapshots.get(Tree::Users, b"user-49").expect("read"),
        Some(expected)
    );
    let dir = storage.dir.as_ref().expect("it is on disk");
    assert_eq!(fs::read(dir.index().join("graph.bin")).expect("read"), [7; 5_000]);
    assert!(!dir.index().join("graph.tmp").exists(), "unfinished files are left out");
    assert_eq!(
        fs::read(dir.archive().join("day").join("events")).expect("read"),
        b"old events"
    );
    let warm = &storage.archive.as_ref().expect("an archive").warm;
    let young = warm.entries(ArchiveKind::Events, 0, &[7]).expect("read");
    assert_eq!((warm.cursor(), young), (Seq(9), vec![(7, b"young".to_vec())]));
}

#[test]
fn a_running_storage_is_backed_up_and_restored() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (data, backup, restored) = (
        dir.path().join("data"),
        dir.path().join("backup"),
        dir.path().join("restored"),
    );
    let storage = filled(&data);
    let report = create(&storage, &backup, NOW_MS).expect("backed up");
    assert_eq!((report.journal_records, report.journal_damaged), (100, 0));
    assert_eq!(
        (report.snapshot_entries, report.snapshots_damaged, report.created_at_ms),
        (50, 0, NOW_MS)
    );
    // The server goes on meanwhile; a second backup needs a place of its own.
    let record = NewRecord {
        kind: 1,
        version: 1,
        partition: partition_of("x"),
        payload: b"later",
    };
    storage.journal.append(record).expect("the journal accepts");
    assert!(matches!(
        create(&storage, &backup, NOW_MS),
        Err(BackupError::TargetNotEmpty(_))
    ));
    assert!(matches!(
        create_from_dir(&data, &dir.path().join("second"), &options()),
        Err(BackupError::Storage(_))
    ));
    assert_eq!(verify(&backup).expect("it is intact"), report);
    assert_eq!(restore(&backup, &restored).expect("restored"), report);
    let copy = Storage::open(&restored, &options()).expect("it opens");
    assert!(!copy.report.is_damaged() && !copy.report.created);
    assert_eq!(copy.report.journal.next_seq, Seq(101));
    assert_eq!(copy.ownership.epoch(), storage.ownership.epoch() + 1);
    check_content(&copy);
}

#[test]
fn a_stopped_directory_is_backed_up() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (data, backup, restored) = (
        dir.path().join("data"),
        dir.path().join("backup"),
        dir.path().join("restored"),
    );
    drop(filled(&data));
    create_from_dir(&data, &backup, &options()).expect("backed up");
    fs::create_dir(&restored).expect("an empty place, such as a fresh volume");
    fs::create_dir(restored.join("lost+found")).expect("made");
    restore(&backup, &restored).expect("restored");
    check_content(&Storage::open(&restored, &options()).expect("it opens"));
    check_content_is_untouched(&data);
    let missing = dir.path().join("missing");
    assert!(matches!(
        create_from_dir(&missing, &dir.path().join("b"), &options()),
        Err(BackupError::Io { .. })
    ));
    assert!(!missing.exists(), "a slip of the keyboard makes no data directory");
}

fn check_content_is_untouched(data: &Path) {
    fs::remove_file(data.join("index").join("graph.tmp")).expect("still there");
    check_content(&Storage::open(data, &options()).expect("it opens"));
}

#[test]
fn a_restore_refuses_what_has_content() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    create(&filled(&data), &backup, NOW_MS).expect("backed up");
    assert!(matches!(restore(&backup, &data), Err(BackupError::TargetNotEmpty(_))));
    let file = dir.path().join("file");
    fs::write(&file, b"x").expect("written");
    assert!(matches!(restore(&backup, &file), Err(BackupError::TargetNotEmpty(_))));
    assert!(matches!(verify(&data), Err(BackupError::NotABackup(_))));
    assert!(matches!(
        verify(&dir.path().join("nowhere")),
        Err(BackupError::NotABackup(_))
    ));
    assert!(matches!(
        create(&Storage::in_memory(), &dir.path().join("b"), 0),
        Err(BackupError::InMemory)
    ));
}

#[test]
fn damage_to_any_file_of_a_backup_is_found() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    create(&filled(&data), &backup, NOW_MS).expect("backed up");
    for path in files_below(&backup).expect("listed") {
        let intact = fs::read(&path).expect("read");
        let mut damages = vec![[intact.as_slice(), b"x"].concat()];
        if let Some(cut) = intact.len().checked_sub(1) {
            let mut flipped = intact.clone();
            flipped[cut / 2] ^= 1;
            damages.extend([flipped, intact[..cut].to_vec()]);
        }
        for damaged in damages {
            fs::write(&path, damaged).expect("damaged");
            let found = verify(&backup);
            assert!(
                matches!(found, Err(BackupError::Damaged { .. })),
                "{}: {found:?}",
                path.display()
            );
            let target = dir.path().join("target");
            assert!(
                restore(&backup, &target).is_err() && !target.exists(),
                "nothing is restored from it"
            );
        }
        fs::remove_file(&path).expect("removed");
        assert!(verify(&backup).is_err(), "{} is missing", path.display());
        fs::write(&path, intact).expect("repaired");
    }
    fs::write(backup.join("journal").join("stranger"), b"x").expect("written");
    assert!(matches!(verify(&backup), Err(BackupError::Damaged { .. })));
    fs::remove_file(backup.join("journal").join("stranger")).expect("removed");
    verify(&backup).expect("it is intact again");
}

#[test]
fn a_manifest_cannot_lead_out_of_the_backup() {
    for path in ["../outside", "/etc/passwd", "journal/../../x", ""] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let entry = manifest::FileEntry {
            path: path.to_owned(),
            bytes: 0,
            xxh3: String::new(),
        };
        let (created_by, trees) = ("test".to_owned(), Vec::new());
        let evil = Manifest {
            format: 1,
            created_by,
            created_at_ms: 0,
            epoch: 1,
            files: vec![entry],
            trees,
        };
        evil.write(dir.path()).expect("written");
        assert!(matches!(verify(dir.path()), Err(BackupError::Damaged { detail, .. }) if detail.contains("leaves")));
        Manifest {
            format: BACKUP_FORMAT + 1,
            files: Vec::new(),
            ..evil
        }
        .write(dir.path())
        .expect("written");
        assert!(matches!(verify(dir.path()), Err(BackupError::NewerVersion { .. })));
    }
}
