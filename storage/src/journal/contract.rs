//! The contract of [`Journal`], as tests that every backend runs.

use std::sync::Arc;

use super::*;

fn append(journal: &dyn Journal, partition: u8, payload: &[u8]) -> Seq {
    let record = NewRecord {
        kind: 3,
        version: 1,
        partition: Partition(partition),
        payload,
    };
    // Numbers and order do not depend on who commits.
    let seq = if payload.len().is_multiple_of(2) {
        journal.append(record)
    } else {
        journal.append_at_once(record)
    };
    seq.expect("the journal accepts")
}

fn records(journal: &dyn Journal, from: Seq) -> Vec<Record> {
    let items = journal.read_from(from).expect("the journal is read");
    let record = |item| match item {
        ReadItem::Record(record) => record,
        ReadItem::Damaged(damage) => panic!("unexpected damage: {damage}"),
    };
    items.map(record).collect()
}

fn payloads(journal: &dyn Journal, from: Seq) -> Vec<Vec<u8>> {
    records(journal, from)
        .into_iter()
        .map(|record| record.payload)
        .collect()
}

/// Runs the whole contract; `open` makes a new, empty journal.
fn check_contract(open: &dyn Fn() -> Box<dyn Journal>) {
    numbers_and_reads_in_order(&*open());
    refuses_what_it_must(&*open());
    trims_behind_only(&*open());
    raises_numbers(&*open());
    erases_what_matches(&*open());
    tells_waiters(&*open());
    many_threads_append(open().into());
    closes(&*open());
}

fn numbers_and_reads_in_order(journal: &dyn Journal) {
    assert_eq!(journal.committed(), Seq::ZERO);
    assert_eq!(records(journal, Seq::ZERO), []);
    for number in 1..=20u8 {
        assert_eq!(append(journal, number, &[number; 5]), Seq(u64::from(number)));
    }
    assert_eq!(append(journal, 0, b""), Seq(21));
    assert_eq!(journal.flush().expect("the journal flushes"), Seq(21));
    assert_eq!(journal.committed(), Seq(21));
    let all = records(journal, Seq::ZERO);
    assert_eq!(all.len(), 21);
    let third = Record {
        seq: Seq(3),
        kind: 3,
        version: 1,
        partition: Partition(3),
        payload: vec![3; 5],
    };
    assert_eq!(all[2], third);
    assert_eq!(records(journal, Seq(15)), all[14..]);
    assert_eq!(records(journal, Seq(22)), []);
    let stats = journal.stats();
    assert_eq!((stats.pending_records, stats.pending_bytes, stats.records), (0, 0, 21));
}

fn refuses_what_it_must(journal: &dyn Journal) {
    let too_large = vec![0; PAYLOAD_BYTES_MAX + 1];
    let partition = Partition(0);
    let record = NewRecord {
        kind: 1,
        version: 1,
        partition,
        payload: &too_large,
    };
    assert!(matches!(journal.append(record), Err(JournalError::TooLarge(_))));
    let record = NewRecord {
        kind: KIND_ERASED,
        version: 1,
        partition,
        payload: b"",
    };
    assert!(matches!(journal.append(record), Err(JournalError::ReservedKind)));
    assert_eq!(
        append(journal, 0, &too_large[..PAYLOAD_BYTES_MAX]),
        Seq(1),
        "a refusal takes no number"
    );
    journal.flush().expect("the journal flushes");
    assert_eq!(payloads(journal, Seq::ZERO)[0].len(), PAYLOAD_BYTES_MAX);
}

fn trims_behind_only(journal: &dyn Journal) {
    for number in 0..200u8 {
        append(journal, 1, &[number; 50]);
    }
    journal.flush().expect("the journal flushes");
    let freed_bytes = journal.trim(Seq(120)).expect("the journal trims");
    assert!(freed_bytes > 0);
    let left = records(journal, Seq::ZERO);
    assert!(
        left[0].seq > Seq(1) && left[0].seq <= Seq(120),
        "left from {}",
        left[0].seq
    );
    assert_eq!(
        payloads(journal, Seq(120)),
        (119..200u8).map(|number| vec![number; 50]).collect::<Vec<_>>()
    );
    assert_eq!(append(journal, 1, b"next"), Seq(201));
}

fn raises_numbers(journal: &dyn Journal) {
    append(journal, 1, b"a");
    journal.raise_next_seq(Seq(100)).expect("the number is raised");
    assert_eq!(append(journal, 1, b"b"), Seq(100));
    journal.raise_next_seq(Seq(50)).expect("the number is raised");
    assert_eq!(append(journal, 1, b"c"), Seq(101), "numbers never fall");
    assert_eq!(journal.appended(), Seq(101));
    assert_eq!(journal.flush().expect("the journal flushes"), Seq(101));
    let numbers: Vec<u64> = records(journal, Seq::ZERO).iter().map(|record| record.seq.0).collect();
    assert_eq!(numbers, [1, 100, 101]);
    // A raise without a record must not make anybody wait for numbers that were never given out.
    journal.raise_next_seq(Seq(500)).expect("the number is raised");
    assert_eq!(journal.flush().expect("the journal flushes"), Seq(101));
    assert_eq!(journal.appended(), Seq(101), "a raise hands nothing out");
}

fn erases_what_matches(journal: &dyn Journal) {
    for number in 0..60u8 {
        append(
            journal,
            number % 3,
            format!("user-{} event-{number}", number % 6).as_bytes(),
        );
    }
    // No flush: what is pending must be found as well.
    let mut asked = 0;
    let erased = journal.erase(Partition(1), &mut |record| {
        asked += 1;
        record.payload.starts_with(b"user-4")
    });
    assert_eq!(erased.expect("the journal erases"), 10);
    assert_eq!(asked, 20, "only records of the partition are asked for");
    let left = payloads(journal, Seq::ZERO);
    assert_eq!(left.len(), 50);
    assert!(left.iter().all(|payload| !payload.starts_with(b"user-4")));
    let again = journal.erase(Partition(1), &mut |_| true).expect("the journal erases");
    assert_eq!(again, 10, "an erased record is not offered again");
    assert_eq!(append(journal, 1, b"later"), Seq(61));
    journal.flush().expect("the journal flushes");
    assert_eq!(payloads(journal, Seq(61)), [b"later".to_vec()]);
}

fn tells_waiters(journal: &dyn Journal) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("the runtime starts");
    let mut receiver = journal.subscribe();
    assert_eq!(*receiver.borrow(), CommitState::default());
    let first = append(journal, 1, b"a");
    runtime
        .block_on(journal.wait_committed(first))
        .expect("the journal commits");
    let second = append(journal, 1, b"b");
    runtime
        .block_on(wait_committed(&mut receiver, second))
        .expect("the journal commits");
    assert_eq!(receiver.borrow().committed, second);
    assert_eq!(journal.committed(), second);
}

fn many_threads_append(journal: Arc<dyn Journal>) {
    const THREADS: u8 = 4;
    const RECORDS: u64 = 500;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let journal = Arc::clone(&journal);
            std::thread::spawn(move || {
                (0..RECORDS)
                    .map(|number| append(&*journal, thread, &numbered(number)))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let numbers = threads
        .into_iter()
        .map(|thread| thread.join().expect("the thread ends"));
    let mut numbers: Vec<Seq> = numbers.flatten().collect();
    journal.flush().expect("the journal flushes");
    numbers.sort_unstable();
    let read = records(&*journal, Seq::ZERO);
    assert_eq!(numbers, read.iter().map(|record| record.seq).collect::<Vec<_>>());
    for thread in 0..THREADS {
        let of_thread = read.iter().filter(|record| record.partition == Partition(thread));
        let expected: Vec<Vec<u8>> = (0..RECORDS).map(numbered).collect();
        assert_eq!(
            of_thread.map(|record| record.payload.clone()).collect::<Vec<_>>(),
            expected
        );
    }
}

/// A payload with a number in it, of two lengths in turn.
fn numbered(number: u64) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + usize::from(!number.is_multiple_of(2)), 0);
    payload
}

fn closes(journal: &dyn Journal) {
    append(journal, 1, b"last");
    journal.shutdown().expect("the journal closes");
    journal.shutdown().expect("closing twice is harmless");
    assert_eq!(journal.committed(), Seq(1), "what was pending is committed first");
    let record = NewRecord {
        kind: 1,
        version: 1,
        partition: Partition(0),
        payload: b"",
    };
    assert!(matches!(journal.append(record), Err(JournalError::Closed)));
    assert!(matches!(journal.raise_next_seq(Seq(9)), Err(JournalError::Closed)));
    assert_eq!(payloads(journal, Seq::ZERO), [b"last".to_vec()]);
}

/// A journal and the folder that goes away with it.
struct InFolder {
    journal: EmbeddedJournal,
    _dir: tempfile::TempDir,
}

/// Passes everything on.
impl Journal for InFolder {
    fn append(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        self.journal.append(record)
    }
    fn append_at_once(&self, record: NewRecord<'_>) -> Result<Seq, JournalError> {
        self.journal.append_at_once(record)
    }
    fn committed(&self) -> Seq {
        self.journal.committed()
    }
    fn appended(&self) -> Seq {
        self.journal.appended()
    }
    fn subscribe(&self) -> watch::Receiver<CommitState> {
        self.journal.subscribe()
    }
    fn read_from(&self, from: Seq) -> Result<JournalReader, JournalError> {
        self.journal.read_from(from)
    }
    fn trim(&self, before: Seq) -> Result<u64, JournalError> {
        self.journal.trim(before)
    }
    fn raise_next_seq(&self, next: Seq) -> Result<(), JournalError> {
        self.journal.raise_next_seq(next)
    }
    fn erase_in(
        &self,
        partitions: &[Partition],
        matches: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<u64, JournalError> {
        self.journal.erase_in(partitions, matches)
    }
    fn flush(&self) -> Result<Seq, JournalError> {
        self.journal.flush()
    }
    fn stats(&self) -> JournalStats {
        self.journal.stats()
    }
    fn shutdown(&self) -> Result<(), JournalError> {
        self.journal.shutdown()
    }
}

fn check_embedded(durability: Durability) {
    check_contract(&|| {
        let dir = tempfile::tempdir().expect("temporary folder");
        let options = JournalOptions {
            durability,
            segment_bytes_max: 1_000,
            ..JournalOptions::default()
        };
        let (journal, report) = EmbeddedJournal::open(dir.path(), options).expect("the journal opens");
        assert_eq!(
            (report.next_seq, report.damaged_total, report.torn_tail_bytes),
            (Seq::FIRST, 0, 0)
        );
        Box::new(InFolder { journal, _dir: dir })
    });
}

#[test]
fn embedded_journal_with_process_durability() {
    check_embedded(Durability::Process);
}

#[test]
fn embedded_journal_with_fsync_durability() {
    check_embedded(Durability::Fsync);
}

#[test]
fn memory_journal() {
    check_contract(&|| Box::new(MemoryJournal::default()));
}

#[test]
fn memory_journal_is_bounded_and_trimming_makes_room() {
    let journal = MemoryJournal::new(100);
    append(&journal, 1, &[0; 60]);
    let record = NewRecord {
        kind: 1,
        version: 1,
        partition: Partition(0),
        payload: &[0; 60],
    };
    assert!(matches!(journal.append(record), Err(JournalError::Full { .. })));
    journal.trim(Seq(2)).expect("the journal trims");
    assert_eq!(append(&journal, 1, &[0; 60]), Seq(2));
}
