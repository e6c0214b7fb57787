//! Crashes by the thousand: an engine on a simulated disk, operations drawn from a seed, a crash at any point, the next
//! life, and a checker that knows what was acknowledged.
//!
//! Each seed draws the durability, two to four lives, their operations and how each of them ends. The engine, its actors
//! and recovery are the real ones; only the disk is simulated ([`disk`]). `SWIPELINE_SIM_SEEDS=100000 cargo test -p
//! swipeline-actors --release crash_sim` runs more seeds, `SWIPELINE_SIM_FIRST` begins elsewhere. The interleaving of
//! threads is the system's, so a seed that failed once is to be run many times.

mod disk;
mod oracle;

use std::sync::Arc;

use disk::{Crash, Disk, Host, SimJournal, SimStore};
use oracle::{Oracle, SentEvent};
use parking_lot::Mutex;
use swipeline_storage::{Blobs, EmbeddedOwnership};
use tokio::task::JoinHandle;

use super::testing::items;
use super::*;

/// How many seeds a plain test run takes.
const SEEDS_DEFAULT: u64 = 300;
const USERS: usize = 4;
const ITEMS: usize = 40;

/// SplitMix64 (G. L. Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(super) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end` (at least 1).
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn user(number: usize) -> UserId {
    UserId::new(&format!("user{number}")).expect("an id")
}

/// One life of the process.
struct Life {
    engine: Engine,
    host: Arc<Host>,
    oracle: Arc<Mutex<Oracle>>,
    running: Vec<JoinHandle<()>>,
    next_event: usize,
}

impl Life {
    async fn begin(disk: Disk, syncs: bool, epoch: u64, blobs: Arc<Blobs>, oracle: Arc<Mutex<Oracle>>) -> Life {
        let host = Host::new(disk, syncs);
        let inside = host.clone();
        let config = EngineConfig {
            arbiters: 2,
            fsync: syncs,
            checkpoint_interval_ms: 3_600_000,
            session_idle_ms: 3_600_000,
            journal_keep_bytes: 0,
            ..EngineConfig::default()
        };
        let storage = move |_: &EngineConfig| {
            Ok(Storage::of_parts(
                Arc::new(SimJournal(inside.clone())),
                Arc::new(SimStore(inside)),
                blobs,
                Arc::new(EmbeddedOwnership::at_epoch(epoch)),
            ))
        };
        let engine = Engine::start_with(config, storage)
            .await
            .expect("it starts on what a crash left");
        Life {
            engine,
            host,
            oracle,
            running: Vec::new(),
            next_event: 0,
        }
    }

    /// Does one thing; while the disk is slow nobody waits for the answer.
    async fn act(&mut self, rng: &mut Rng, is_slow: &mut bool) {
        let task = match rng.below(100) {
            0..=49 => self.send_events(rng),
            50..=59 => self.show(rng),
            60..=64 => self.change_params(rng),
            65..=69 => self.change_item(rng),
            70..=81 => self.checkpoint(),
            82..=86 => {
                self.engine.shared.sessions.sweep(-1);
                return;
            }
            87..=92 => {
                *is_slow = !*is_slow;
                return self.host.be_slow(*is_slow);
            }
            93..=95 => return self.host.commit_some(rng),
            _ => return self.host.fail_store(rng.below(2) == 0),
        };
        if *is_slow || rng.below(4) == 0 {
            self.running.push(task);
        } else {
            task.await.expect("no panic");
        }
    }

    /// One to four events of one or two users, some of them sent before.
    fn send_events(&mut self, rng: &mut Rng) -> JoinHandle<()> {
        let mut sent: Vec<SentEvent> = Vec::new();
        for _ in 0..=rng.below(4) {
            let again = self.oracle.lock().any_sent(rng);
            sent.push(again.filter(|_| rng.below(5) == 0).unwrap_or_else(|| {
                self.next_event += 1;
                SentEvent {
                    user: rng.below(USERS),
                    item: rng.below(ITEMS),
                    id: format!("{}-{}", self.engine.epoch(), self.next_event),
                }
            }));
        }
        self.oracle.lock().send(&sent);
        let (engine, oracle) = (self.engine.clone(), self.oracle.clone());
        tokio::task::spawn_local(async move {
            let events = sent.iter().map(SentEvent::event).collect();
            if let Ok(reply) = engine.ingest(events).await {
                // Items that are deleted at the moment are refused by name.
                let refused: Vec<usize> = reply.rejected.iter().map(|rejection| rejection.index).collect();
                let taken = sent.iter().enumerate().filter(|(place, _)| !refused.contains(place));
                oracle.lock().acknowledge(taken.map(|(_, event)| event));
            }
        })
    }

    fn show(&self, rng: &mut Rng) -> JoinHandle<()> {
        let viewer = rng.below(USERS);
        let (engine, oracle) = (self.engine.clone(), self.oracle.clone());
        tokio::task::spawn_local(async move {
            let mut request = super::testing::request(&user(viewer));
            request.n = 2;
            if let Ok(feed) = engine.feed(request).await {
                oracle
                    .lock()
                    .shown(viewer, feed.items.into_iter().map(|item| item.item_id));
            }
        })
    }

    fn change_params(&self, rng: &mut Rng) -> JoinHandle<()> {
        let value = rng.below(50_000) as u64;
        let (engine, oracle) = (self.engine.clone(), self.oracle.clone());
        let may_begin = oracle.lock().params.begin(value);
        tokio::task::spawn_local(async move {
            if may_begin {
                let patch = serde_json::json!({"caches": {"similar_ms": value}});
                let patched = engine.patch_params(patch, ParamsEdit::by("sim")).await;
                oracle.lock().params.end(value, patched.is_ok());
            }
        })
    }

    /// Deletes an item that nothing else is done with, or puts it back.
    fn change_item(&self, rng: &mut Rng) -> JoinHandle<()> {
        let is_there = rng.below(2) == 0;
        let (engine, oracle) = (self.engine.clone(), self.oracle.clone());
        let may_begin = oracle.lock().item.begin(is_there);
        tokio::task::spawn_local(async move {
            if !may_begin {
                return;
            }
            let mut spare = items().remove(0);
            spare.id = ItemId::new(oracle::SPARE_ITEM).expect("an id");
            let done = if is_there {
                engine.upsert_items(vec![spare]).await.map(|_| ())
            } else {
                engine.delete_item(&spare.id).await.map(|_| ())
            };
            oracle.lock().item.end(is_there, done.is_ok());
        })
    }

    fn checkpoint(&self) -> JoinHandle<()> {
        let engine = self.engine.clone();
        tokio::task::spawn_local(async move {
            // It fails while the store does.
            let _ = engine.checkpoint().await;
        })
    }

    /// The process is gone. Returns what it leaves.
    fn crash(mut self, crash: Crash, rng: &mut Rng) -> Disk {
        let disk = self.host.crash(crash, rng);
        self.running.drain(..).for_each(|task| task.abort());
        self.engine.shared.draining.store(true, Ordering::Release);
        self.engine.tasks.lock().drain(..).for_each(|task| task.abort());
        self.engine.stop_threads();
        disk
    }
}

/// All lives of one seed.
async fn simulate(seed: u64) {
    let mut rng = Rng(seed);
    let syncs = rng.below(2) == 0;
    let blobs = Arc::new(Blobs::in_memory());
    let oracle = Arc::new(Mutex::new(Oracle::default()));
    let mut life = Life::begin(Disk::default(), syncs, 1, blobs.clone(), oracle.clone()).await;
    life.engine.upsert_items(items()).await.expect("taken");
    // Whatever comes, there is a catalogue to talk about.
    life.host.sync();
    oracle::check_catalogue_and_params(&life.engine, &oracle);
    for epoch in 2..=2 + rng.below(3) as u64 {
        let mut is_slow = false;
        for _ in 0..5 + rng.below(30) {
            life.act(&mut rng, &mut is_slow).await;
        }
        let crash = if rng.below(3) == 0 { Crash::Power } else { Crash::Kill };
        let disk = life.crash(crash, &mut rng);
        if crash == Crash::Power && !syncs {
            oracle.lock().may_have_lost_what_was_not_synced();
        }
        life = Life::begin(disk, syncs, epoch, blobs.clone(), oracle.clone()).await;
        oracle::check(&life.engine, &oracle).await;
    }
    life.crash(Crash::Kill, &mut rng);
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn nothing_acknowledged_is_lost_or_counted_twice_by_any_crash() {
    let first = from_environment("SWIPELINE_SIM_FIRST", 1);
    let count = from_environment("SWIPELINE_SIM_SEEDS", SEEDS_DEFAULT);
    println!("seeds {first} to {}", first + count - 1);
    for seed in first..first + count {
        let simulated = std::panic::catch_unwind(|| actix::System::new().block_on(simulate(seed)));
        assert!(simulated.is_ok(), "seed {seed} failed; see above");
    }
}
