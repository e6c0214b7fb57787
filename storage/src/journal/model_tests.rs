//! Random sequences of operations on the file journal against a naive model, and damage to its files at any place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::segment_files::list_segments;
use super::*;

const SEGMENT_BYTES: u64 = 400;

#[derive(Clone, Debug)]
enum Operation {
    Append {
        partition: u8,
        payload: Vec<u8>,
        at_once: bool,
    },
    Flush,
    Reopen,
    Raise {
        by: u64,
    },
    Trim {
        percent: u64,
    },
    Erase {
        partition: u8,
        first_byte: u8,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let payload = prop::collection::vec(0..4u8, 0..60);
    prop_oneof![
        12 => (0..3u8, payload, any::<bool>())
            .prop_map(|(partition, payload, at_once)| Operation::Append { partition, payload, at_once }),
        2 => Just(Operation::Flush),
        2 => Just(Operation::Reopen),
        1 => (0..5u64).prop_map(|by| Operation::Raise { by }),
        1 => (0..110u64).prop_map(|percent| Operation::Trim { percent }),
        1 => (0..3u8, 0..4u8).prop_map(|(partition, first_byte)| Operation::Erase { partition, first_byte }),
    ]
}

/// Number to partition and payload.
type Records = BTreeMap<u64, (u8, Vec<u8>)>;

/// What the journal must hold.
#[derive(Default)]
struct Model {
    records: Records,
    next_seq: u64,
    /// The number after the last record ever appended: what a reopened journal must at least go on with.
    after_last: u64,
}

fn open(dir: &Path) -> (EmbeddedJournal, JournalOpenReport) {
    let options = JournalOptions {
        segment_bytes_max: SEGMENT_BYTES,
        ..JournalOptions::default()
    };
    EmbeddedJournal::open(dir, options).expect("the journal opens")
}

fn read(journal: &EmbeddedJournal) -> (Records, Vec<Damage>) {
    let (mut records, mut damages) = (BTreeMap::new(), Vec::new());
    let mut last = Seq::ZERO;
    for item in journal.read_from(Seq::ZERO).expect("the journal is read") {
        match item {
            ReadItem::Record(record) => {
                assert!(record.seq > last, "numbers grow");
                last = record.seq;
                records.insert(record.seq.0, (record.partition.0, record.payload));
            }
            ReadItem::Damaged(damage) => damages.push(damage),
        }
    }
    (records, damages)
}

fn apply(journal: &EmbeddedJournal, model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Append {
            partition,
            payload,
            at_once,
        } => {
            let record = NewRecord {
                kind: 1,
                version: 1,
                partition: Partition(*partition),
                payload,
            };
            let seq = if *at_once {
                journal.append_at_once(record)
            } else {
                journal.append(record)
            };
            let seq = seq.expect("the journal accepts");
            assert_eq!(seq.0, model.next_seq);
            model.records.insert(seq.0, (*partition, payload.clone()));
            model.next_seq += 1;
            model.after_last = model.next_seq;
        }
        Operation::Flush => {
            assert_eq!(journal.flush().expect("the journal flushes").0, model.after_last - 1);
        }
        Operation::Reopen => {}
        Operation::Raise { by } => {
            model.next_seq += by;
            journal
                .raise_next_seq(Seq(model.next_seq))
                .expect("the number is raised");
        }
        Operation::Trim { percent } => {
            // Only what is committed may be trimmed: that is the caller's duty.
            let committed = journal.flush().expect("the journal flushes");
            let before = Seq(committed.0 * percent / 100);
            journal.trim(before).expect("the journal trims");
            let first = read(journal).0.keys().next().copied().unwrap_or(u64::MAX);
            model.records.retain(|seq, _| *seq >= before.0 || *seq >= first);
        }
        Operation::Erase { partition, first_byte } => {
            let doomed = |payload: &[u8]| payload.first() == Some(first_byte);
            let erased = journal.erase(Partition(*partition), &mut |record| doomed(&record.payload));
            let before = model.records.len();
            model
                .records
                .retain(|_, (of, payload)| *of != *partition || !doomed(payload));
            assert_eq!(
                erased.expect("the journal erases"),
                (before - model.records.len()) as u64
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_matches_the_model(operations in prop::collection::vec(operation(), 1..60)) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut journal = open(dir.path()).0;
        let mut model = Model { next_seq: 1, after_last: 1, ..Model::default() };
        for operation in &operations {
            apply(&journal, &mut model, operation);
            if matches!(operation, Operation::Reopen) {
                drop(journal);
                let (reopened, report) = open(dir.path());
                journal = reopened;
                prop_assert_eq!((report.damaged_total, report.torn_tail_bytes), (0, 0));
                prop_assert_eq!(report.next_seq.0, model.after_last);
                model.next_seq = report.next_seq.0;
            }
        }
        journal.flush().expect("the journal flushes");
        prop_assert_eq!(read(&journal), (model.records, vec![]));
    }

    #[test]
    fn any_truncation_of_the_last_segment_yields_a_prefix(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
        cut_permille in 0..1000usize,
    ) {
        let (dir, written) = journal_with(&payloads);
        let last = list_segments(dir.path()).expect("listed").pop().expect("a journal has a segment");
        let bytes = fs::read(&last.path).expect("the segment is read");
        let cut = bytes.len() * cut_permille / 1000;
        fs::write(&last.path, &bytes[..cut]).expect("the segment is cut");
        let (journal, report) = open(dir.path());
        let (records, damages) = read(&journal);
        prop_assert_eq!((report.damaged_total, damages.len()), (0, 0));
        let prefix: BTreeMap<_, _> = written.into_iter().take(records.len()).collect();
        prop_assert_eq!(&records, &prefix);
        prop_assert_eq!(report.next_seq.0, records.keys().last().map_or(last.first_seq.0, |seq| seq + 1));
        // It goes on as if nothing had happened.
        let mut model = Model { records, next_seq: report.next_seq.0, after_last: report.next_seq.0 };
        apply(&journal, &mut model, &Operation::Append { partition: 1, payload: vec![1, 2, 3], at_once: true });
        drop(journal);
        let (journal, report) = open(dir.path());
        prop_assert_eq!((report.damaged_total, report.torn_tail_bytes), (0, 0));
        prop_assert_eq!(read(&journal).0, model.records);
    }

    #[test]
    fn any_flipped_byte_loses_at_most_one_record_and_is_reported(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
        segment_choice in any::<prop::sample::Index>(),
        byte_choice in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let (dir, written) = journal_with(&payloads);
        let spans = list_segments(dir.path()).expect("listed");
        let path = &spans[segment_choice.index(spans.len())].path;
        let mut bytes = fs::read(path).expect("the segment is read");
        let position = byte_choice.index(bytes.len());
        bytes[position] ^= flip;
        fs::write(path, bytes).expect("the segment is damaged");
        let (journal, report) = open(dir.path());
        prop_assert!(report.damaged_total == 1 || report.torn_tail_bytes > 0, "{:?}", report);
        let (records, damages) = read(&journal);
        prop_assert!(damages.len() <= 1);
        prop_assert!(records.len() + 1 >= written.len(), "{} of {}", records.len(), written.len());
        for (seq, record) in &records {
            prop_assert_eq!(written.get(seq), Some(record));
        }
        // Everything still works around the damage.
        let seq = journal.append(NewRecord { kind: 1, version: 1, partition: Partition(0), payload: b"new" });
        prop_assert_eq!(seq.expect("the journal accepts"), report.next_seq);
        journal.erase(Partition(0), &mut |_| true).expect("the journal erases");
        prop_assert_eq!(read(&journal).0.len(), 0);
        journal.trim(Seq(u64::MAX)).expect("the journal trims");
        prop_assert_eq!(journal.stats().segments, 1);
    }
}

/// A closed journal with one record per payload, all of partition 0, and what was written.
fn journal_with(payloads: &[Vec<u8>]) -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let journal = open(dir.path()).0;
    let mut model = Model {
        next_seq: 1,
        after_last: 1,
        ..Model::default()
    };
    for payload in payloads {
        apply(
            &journal,
            &mut model,
            &Operation::Append {
                partition: 0,
                payload: payload.clone(),
                at_once: false,
            },
        );
    }
    journal.shutdown().expect("the journal closes");
    (dir, model.records)
}
