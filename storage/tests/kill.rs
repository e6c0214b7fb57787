//! A real `kill -9`: a child process appends and prints what was acknowledged, dies at a random moment, and every
//! acknowledged record must be there when the journal is opened again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_storage::journal::{
    Durability, EmbeddedJournal, Journal, JournalOptions, NewRecord, ReadItem, Seq, wait_committed,
};
use swipeline_storage::partition::Partition;

const CHILD_DIR: &str = "SWIPELINE_KILL_TEST_DIR";
const CHILD_SEED: &str = "SWIPELINE_KILL_TEST_SEED";
const ACKNOWLEDGED: &str = "acknowledged ";
const ROUNDS: u64 = 12;
/// The child stops by itself here, so that it cannot outlive a broken parent.
const CHILD_RECORDS_MAX: u64 = 2_000_000;

#[test]
fn acknowledged_records_survive_kill_9_process() {
    run("acknowledged_records_survive_kill_9_process", Durability::Process);
}

#[test]
fn acknowledged_records_survive_kill_9_fsync() {
    run("acknowledged_records_survive_kill_9_fsync", Durability::Fsync);
}

/// The same test is parent and child: the child finds its folder in the environment.
fn run(test_name: &str, durability: Durability) {
    if let Ok(dir) = std::env::var(CHILD_DIR) {
        let seed = std::env::var(CHILD_SEED)
            .ok()
            .and_then(|seed| seed.parse().ok())
            .expect("the parent sets a seed");
        return append_until_killed(Path::new(&dir), durability, seed);
    }
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(0x5EED);
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        let lines_before_kill = random.random_range(1..400);
        let before = acknowledged.len();
        kill_one_child(test_name, dir.path(), round, lines_before_kill, &mut acknowledged);
        assert!(
            acknowledged.len() > before,
            "the child of round {round} acknowledged nothing"
        );
        check(dir.path(), durability, &acknowledged);
    }
}

/// Runs a child until it has printed `lines_before_kill` acknowledgements and collects all it ever printed.
fn kill_one_child(
    test_name: &str,
    dir: &Path,
    round: u64,
    lines_before_kill: usize,
    acknowledged: &mut HashMap<u64, u64>,
) {
    let mut child = Command::new(std::env::current_exe().expect("path of this test"))
        .args(["--exact", test_name, "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .env(CHILD_SEED, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let (mut line, mut lines) = (String::new(), 0);
    while stdout.read_line(&mut line).expect("the child is read") > 0 {
        // A line without its end was cut by the kill and acknowledges nothing.
        let complete = line.strip_suffix('\n').and_then(|line| line.strip_prefix(ACKNOWLEDGED));
        if let Some((seq, checksum)) = complete.and_then(|line| line.split_once(' ')) {
            let parsed = (seq.parse().expect("a number"), checksum.parse().expect("a number"));
            acknowledged.insert(parsed.0, parsed.1);
            lines += 1;
        }
        if lines == lines_before_kill {
            // SIGKILL on Unix; what is still in the pipe is read to its end.
            child.kill().expect("the child is killed");
        }
        line.clear();
    }
    let status = child.wait().expect("the child ends");
    assert!(!status.success(), "the child of round {round} was not killed");
}

/// Every acknowledged record is there, as it was.
fn check(dir: &Path, durability: Durability, acknowledged: &HashMap<u64, u64>) {
    let options = JournalOptions {
        durability,
        segment_bytes_max: 256 * 1024,
        ..JournalOptions::default()
    };
    let (journal, report) = EmbeddedJournal::open(dir, options).expect("the journal opens after a kill");
    assert_eq!(report.damaged_total, 0, "a kill tears the end at most: {report:?}");
    let mut found = HashMap::new();
    for item in journal.read_from(Seq::ZERO).expect("the journal is read") {
        match item {
            ReadItem::Record(record) => found.insert(record.seq.0, checksum(&record.payload)),
            ReadItem::Damaged(damage) => panic!("damage after a kill: {damage}"),
        };
    }
    for (seq, checksum) in acknowledged {
        assert_eq!(found.get(seq), Some(checksum), "acknowledged record {seq}");
    }
    assert!(report.next_seq.0 > *acknowledged.keys().max().expect("something was acknowledged"));
}

fn append_until_killed(dir: &Path, durability: Durability, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("runtime starts");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let options = JournalOptions {
        durability,
        segment_bytes_max: 256 * 1024,
        ..JournalOptions::default()
    };
    let (journal, _) = EmbeddedJournal::open(dir, options).expect("the journal opens");
    let mut commits = journal.subscribe();
    let mut appended = 0;
    while appended < CHILD_RECORDS_MAX {
        let mut batch = Vec::new();
        for _ in 0..random.random_range(1..50) {
            let mut payload = vec![0u8; random.random_range(0..600)];
            random.fill_bytes(&mut payload);
            let record = NewRecord {
                kind: 1,
                version: 1,
                partition: Partition(3),
                payload: &payload,
            };
            batch.push((journal.append(record).expect("the journal accepts"), checksum(&payload)));
        }
        appended += batch.len() as u64;
        let last = batch.last().expect("a batch has a record").0;
        runtime
            .block_on(wait_committed(&mut commits, last))
            .expect("the journal commits");
        let mut stdout = std::io::stdout().lock();
        for (seq, checksum) in batch {
            writeln!(stdout, "{ACKNOWLEDGED}{seq} {checksum}").expect("the parent listens");
        }
        stdout.flush().expect("the parent listens");
    }
}

fn checksum(payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(payload)
}
