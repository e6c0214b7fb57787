//! Random histories of appends, syncs, full disks and crashes: a crash is a copy of the files as they are while the journal
//! runs, and a loss of power cuts off of them what was not synced. What was acknowledged is there afterwards, nothing comes
//! back under another number, and nothing is damaged that was not cut.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::segment_files::SegmentFile;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// So many records of so many bytes.
    Append(u8, u16),
    /// Everything to the disk.
    Flush,
    /// The disk takes nothing any more.
    Full,
    /// It does again.
    Room,
    /// What is before the last so many records may go.
    Trim(u8),
    /// The process dies.
    Kill,
    /// The machine dies: of what was not synced, so many of 256 parts stay.
    PowerLoss(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (1u8..6, 0u16..300).prop_map(|(count, bytes)| Step::Append(count, bytes)),
        4 => Just(Step::Flush),
        1 => Just(Step::Full),
        2 => Just(Step::Room),
        1 => (0u8..20).prop_map(Step::Trim),
        1 => Just(Step::Kill),
        1 => any::<u8>().prop_map(Step::PowerLoss),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A journal, and what has to be in it.
struct Run {
    dir: tempfile::TempDir,
    options: JournalOptions,
    journal: EmbeddedJournal,
    /// What was appended under each number.
    appended: BTreeMap<Seq, Vec<u8>>,
    trimmed_before: Seq,
    /// How much of each segment is on the disk for certain, and up to which record that is.
    synced: HashMap<PathBuf, u64>,
    synced_up_to: Seq,
    /// Stretches that a loss of power has torn, which stay where they are.
    torn: u64,
    /// Taken out while the disk is full.
    room: Option<Arc<SegmentFile>>,
    appends: u32,
}

impl Run {
    fn start(durability: Durability) -> Self {
        let options = JournalOptions {
            durability,
            segment_bytes_max: 600,
            ..JournalOptions::default()
        };
        let dir = tempfile::tempdir().expect("temporary folder");
        let (journal, _) = EmbeddedJournal::open(dir.path(), options).expect("opened");
        Self {
            dir,
            options,
            journal,
            appended: BTreeMap::new(),
            trimmed_before: Seq::ZERO,
            synced: HashMap::new(),
            synced_up_to: Seq::ZERO,
            torn: 0,
            room: None,
            appends: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count, bytes) => (0..*count).for_each(|_| self.append(usize::from(*bytes))),
            Step::Flush => self.flush(),
            Step::Full if self.room.is_none() => {
                let full = OpenOptions::new()
                    .write(true)
                    .open("/dev/full")
                    .expect("the device opens");
                self.room = Some(self.journal.replace_active_file(full));
            }
            Step::Full => {}
            Step::Room => self.make_room(),
            Step::Trim(kept) => {
                let before = Seq(self.synced_up_to.0.saturating_sub(u64::from(*kept)));
                self.journal.trim(before).expect("trimmed");
                self.trimmed_before = self.trimmed_before.max(before);
            }
            Step::Kill => self.crash(None),
            Step::PowerLoss(share) => self.crash(Some(*share)),
        }
    }

    fn append(&mut self, bytes: usize) {
        self.appends += 1;
        let mut payload = self.appends.to_le_bytes().to_vec();
        payload.resize(4 + bytes, self.appends as u8);
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: Partition(0),
            payload: &payload,
        };
        // Refused while the disk is full, once that is noticed.
        if let Ok(seq) = self.journal.append_at_once(record) {
            self.appended.insert(seq, payload);
        }
    }

    fn flush(&mut self) {
        // The journal may be trying again what it could not write.
        let flushed = (0..1_000).find_map(|_| {
            let flushed = self.journal.flush().ok();
            if flushed.is_none() && self.room.is_none() {
                std::thread::yield_now();
                return None;
            }
            Some(flushed)
        });
        if let Some(Some(up_to)) = flushed {
            self.synced_up_to = up_to;
            self.synced = lengths(self.dir.path()).into_iter().collect();
        }
    }

    fn make_room(&mut self) {
        if let Some(room) = self.room.take() {
            self.journal.restore_active_file(room);
            let mut receiver = self.journal.subscribe();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let well = runtime.block_on(async { receiver.wait_for(|state| state.failure.is_none()).await.is_ok() });
            assert!(well);
        }
    }

    fn crash(&mut self, share_kept: Option<u8>) {
        let acknowledged = match share_kept {
            None => self.journal.committed(),
            Some(_) if self.options.durability == Durability::Fsync => self.journal.committed(),
            Some(_) => self.synced_up_to,
        };
        let synced = match self.options.durability {
            // Every commit is synced: only what comes after them can be lost.
            Durability::Fsync => None,
            Durability::Process => share_kept.map(|_| &self.synced),
        };
        let image = tempfile::tempdir().expect("temporary folder");
        for (path, length) in lengths(self.dir.path()) {
            let name = path.file_name().expect("a name");
            let mut bytes = fs::read(&path).expect("read");
            bytes.truncate(length as usize);
            if let (Some(share), Some(synced)) = (share_kept, synced) {
                let certain = synced
                    .get(&path)
                    .copied()
                    .unwrap_or(0)
                    .max(segment::SEGMENT_HEADER_BYTES as u64);
                let lost = length.saturating_sub(certain) * (255 - u64::from(share)) / 255;
                bytes.truncate((length - lost) as usize);
            }
            fs::write(image.path().join(name), bytes).expect("written");
        }
        let (journal, report) = EmbeddedJournal::open(image.path(), self.options).expect("opened");
        if share_kept.is_none() {
            assert!(report.damaged_total <= self.torn, "{:?}", report.damaged);
        }
        self.torn = report.damaged_total;
        let mut found = BTreeMap::new();
        for item in journal.read_from(Seq::ZERO).expect("read") {
            if let ReadItem::Record(record) = item {
                assert!(
                    found.insert(record.seq, record.payload).is_none(),
                    "{} twice",
                    record.seq
                );
            }
        }
        for (seq, payload) in &found {
            assert_eq!(self.appended.get(seq), Some(payload), "record {seq}");
        }
        let must = self.appended.range(self.trimmed_before..=acknowledged);
        for (seq, _) in must {
            assert!(
                found.contains_key(seq),
                "record {seq} of {acknowledged} acknowledged is gone"
            );
        }
        assert!(report.next_seq > acknowledged);
        self.room = None;
        self.appended = found;
        self.synced_up_to = acknowledged;
        self.synced = HashMap::new();
        self.journal = journal;
        self.dir = image;
        // What a start has read is on the disk from then on.
        self.flush();
    }
}

/// The segments and their lengths.
fn lengths(dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(dir).expect("listed");
    let with_length = entries.filter_map(|entry| {
        let path = entry.expect("an entry").path();
        let length = fs::metadata(&path).ok()?.len();
        Some((path, length))
    });
    with_length.collect()
}

fn check(durability: Durability, steps: &[Step]) {
    let mut run = Run::start(durability);
    steps.iter().for_each(|step| run.step(step));
    run.make_room();
    run.flush();
    run.crash(None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_every_crash(steps in steps()) {
        check(Durability::Process, &steps);
    }

    #[test]
    fn what_was_synced_survives_every_crash(steps in steps()) {
        check(Durability::Fsync, &steps);
    }
}
