//! From sessions to the served log: a bounded queue in front of one thread ([`Writer`]).
//!
//! Owns who is logged and what is dropped. Must not encode or write anything.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use swipeline_models::features::schema::FEATURE_COUNT;
use swipeline_models::ids::UserId;
use swipeline_models::item::Item;
use swipeline_models::rank::ObjectiveRow;
use swipeline_models::recall::ChannelSet;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::FeedContextDto;
use swipeline_storage::{RingLog, erase_records, give_way};

use super::writer::{Writer, is_about, is_picked};
use crate::archive::WaitingSlates;

/// Slates that may wait for the thread; at 10 items about 2 KiB each. More are dropped and counted.
const QUEUE_SLATES_MAX: usize = 1_024;

/// A slate on its way to the log: shared handles and copies, nothing encoded yet.
pub(crate) struct ServedSlate {
    pub(crate) user: UserId,
    pub(crate) request: String,
    pub(crate) at: TimestampMs,
    pub(crate) sequence: u64,
    pub(crate) context: FeedContextDto,
    pub(crate) variant: Option<String>,
    pub(crate) model: String,
    pub(crate) slots: Vec<ServedSlot>,
    /// Whether it goes into the archive as well.
    pub(crate) is_archived: bool,
}

/// An item of it.
pub(crate) struct ServedSlot {
    pub(crate) item: Arc<Item>,
    pub(crate) channels: ChannelSet,
    pub(crate) score: f32,
    pub(crate) pre_rank: f32,
    pub(crate) collaborative: f32,
    pub(crate) propensity: Option<f32>,
    pub(crate) predicted: ObjectiveRow,
    pub(crate) features: [f32; FEATURE_COUNT],
}

/// What the thread is asked to do.
pub(super) enum Command {
    /// Write it.
    Served(ServedSlate),
    /// Erase a user, up to a time.
    Erase {
        user: UserId,
        up_to: TimestampMs,
        done: SyncSender<io::Result<u64>>,
    },
    /// Answered when everything before it is where it belongs.
    Settle(SyncSender<()>),
}

/// The way into the log; does nothing when it is off.
pub(crate) struct ServedLog {
    dir: Option<PathBuf>,
    percent: u8,
    queue: Mutex<Option<SyncSender<Command>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl ServedLog {
    /// Opens the log for `percent` of 100 viewers; `dir` is `None` for an engine in memory, which has no log. `archived`
    /// is where slates wait for the archive.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(
        dir: Option<PathBuf>,
        percent: u8,
        bytes_max: u64,
        archived: Option<Arc<WaitingSlates>>,
    ) -> io::Result<Self> {
        let (mut queue, mut thread) = (None, None);
        let log = match dir.as_ref().filter(|_| percent > 0) {
            Some(dir) => Some(RingLog::open(dir, bytes_max)?),
            None => None,
        };
        let percent = if log.is_some() { percent } else { 0 };
        if log.is_some() || archived.is_some() {
            let (sender, receiver) = sync_channel(QUEUE_SLATES_MAX);
            let builder = std::thread::Builder::new().name("served-log".to_owned());
            let writer = Writer::new(dir.clone(), log, percent, archived);
            thread = Some(builder.spawn(move || {
                give_way();
                writer.write_all(&receiver);
            })?);
            queue = Some(sender);
        }
        Ok(Self {
            dir,
            percent,
            queue: Mutex::new(queue),
            thread: Mutex::new(thread),
        })
    }

    /// Whether what this viewer is served is logged: the same viewers always, so that their outcomes meet all of it.
    pub(crate) fn is_for(&self, user: &UserId) -> bool {
        is_picked(self.percent, user)
    }

    /// Waits until everything that was handed over is where it belongs. Blocks.
    pub(crate) fn settle(&self) {
        let Some(queue) = self.queue.lock().clone() else { return };
        let (done, answer) = sync_channel(1);
        // A writer that has ended has nothing left.
        if queue.send(Command::Settle(done)).is_ok() {
            let _ = answer.recv();
        }
    }

    /// Hands a slate over. Never waits.
    pub(crate) fn push(&self, slate: ServedSlate) {
        let Some(queue) = &*self.queue.lock() else { return };
        match queue.try_send(Command::Served(slate)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                metrics::counter!("swipeline_served_log_dropped_total").increment(1);
            }
        }
    }

    /// Erases what was served to a user up to a time, also what is still queued, durably. Blocks.
    ///
    /// # Errors
    /// Those of the file system; not everything was erased then.
    pub(crate) fn erase(&self, user: &UserId, up_to: TimestampMs) -> io::Result<u64> {
        let queue = self.queue.lock().clone();
        let Some(queue) = queue else {
            // Off, but there may be a log of earlier starts.
            return self
                .dir
                .as_ref()
                .map_or(Ok(0), |dir| erase_records(dir, &mut is_about(user, up_to)));
        };
        let (done, answer) = sync_channel(1);
        let gone = || io::Error::other("the writer of the served log has ended");
        let user = user.clone();
        queue.send(Command::Erase { user, up_to, done }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Writes what is queued and ends the thread. Blocks; calling it twice is harmless.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the served log panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::ServedSlateRecord;
    use super::*;
    use swipeline_models::wire::ItemDto;
    use swipeline_storage::read_ring_log;

    fn item(id: &str) -> Item {
        let described = ItemDto {
            id: id.to_owned(),
            ..ItemDto::default()
        };
        described.into_item(TimestampMs(0)).expect("an item")
    }

    fn slate(user: &str, request: usize) -> ServedSlate {
        let slot = |id: &str| ServedSlot {
            item: Arc::new(item(id)),
            channels: ChannelSet::default(),
            score: 0.5,
            pre_rank: 0.25,
            collaborative: 0.75,
            propensity: None,
            predicted: ObjectiveRow::default(),
            features: [0.5; FEATURE_COUNT],
        };
        ServedSlate {
            user: UserId::new(user).expect("an id"),
            request: request.to_string(),
            at: TimestampMs(1),
            sequence: 3,
            context: FeedContextDto::default(),
            variant: None,
            model: "m".to_owned(),
            slots: vec![slot("a"), slot("b")],
            is_archived: true,
        }
    }

    fn slates(dir: &std::path::Path) -> Vec<ServedSlateRecord> {
        let mut found = Vec::new();
        let damaged = read_ring_log(dir, &mut |payload| {
            found.push(ServedSlateRecord::decode(payload).expect("decodes"));
        });
        assert_eq!(damaged.expect("readable"), 0);
        found
    }

    #[test]
    fn what_was_handed_over_is_on_the_disk_after_close() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = ServedLog::open(Some(dir.path().to_owned()), 100, 1 << 20, None).expect("opens");
        // As many as the queue holds: none may be dropped, however slow the thread is.
        (0..QUEUE_SLATES_MAX).for_each(|request| log.push(slate("u", request)));
        log.close();
        log.close();
        let found = slates(dir.path());
        assert_eq!(found.len(), QUEUE_SLATES_MAX);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(request, slate)| slate.request == request.to_string())
        );
        assert_eq!((found[0].sequence, found[0].items.len()), (3, 2));
        assert_eq!(found[0].features(1), Some([0.5; FEATURE_COUNT]));
        // Too late is no panic.
        log.push(slate("u", 0));
    }

    #[test]
    fn erasing_reaches_what_is_still_queued_and_old_logs_of_a_log_that_is_off() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = ServedLog::open(Some(dir.path().to_owned()), 100, 1 << 20, None).expect("opens");
        for request in 0..50 {
            log.push(slate(if request % 2 == 0 { "even" } else { "odd" }, request));
        }
        assert_eq!(
            log.erase(&UserId::new("even").expect("an id"), TimestampMs(i64::MAX))
                .expect("erased"),
            25
        );
        log.push(slate("even", 50));
        log.close();
        let found = slates(dir.path());
        assert_eq!(found.iter().filter(|slate| slate.user == "even").count(), 1);
        assert_eq!(found.len(), 26);
        let off = ServedLog::open(Some(dir.path().to_owned()), 0, 1 << 20, None).expect("opens");
        assert_eq!(
            off.erase(&UserId::new("odd").expect("an id"), TimestampMs(i64::MAX))
                .expect("erased"),
            25
        );
        assert_eq!(slates(dir.path()).len(), 1);
    }

    #[test]
    fn slates_for_the_archive_wait_for_it_until_their_viewer_is_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let waiting = Arc::new(WaitingSlates::default());
        let log = ServedLog::open(Some(dir.path().join("served")), 0, 1 << 20, Some(waiting.clone())).expect("opens");
        log.push(slate("u", 0));
        log.push(slate("gone", 1));
        log.push(ServedSlate {
            is_archived: false,
            ..slate("u", 2)
        });
        log.settle();
        let users = |waiting: &WaitingSlates| {
            let mut users = Vec::new();
            waiting.for_each(&mut |slate| users.push(slate.user.clone()));
            users
        };
        assert_eq!(users(&waiting), ["u", "gone"]);
        log.erase(&UserId::new("gone").expect("an id"), TimestampMs(i64::MAX))
            .expect("erased");
        assert_eq!(users(&waiting), ["u"]);
        log.close();
        assert!(!dir.path().join("served").exists(), "a log that is off makes no files");
        let payload = waiting.take().remove(0).payload;
        assert_eq!(ServedSlateRecord::decode(&payload).expect("decodes").request, "0");
    }

    #[test]
    fn viewers_are_picked_always_the_same_and_in_the_share_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = |percent| ServedLog::open(Some(dir.path().to_owned()), percent, 1 << 20, None).expect("opens");
        let users: Vec<UserId> = (0..2_000)
            .map(|number| UserId::new(&format!("u{number}")).expect("an id"))
            .collect();
        let picked = |log: &ServedLog| users.iter().filter(|user| log.is_for(user)).count();
        assert_eq!((picked(&open(0)), picked(&open(100))), (0, 2_000));
        let tenth = open(10);
        assert!((140..260).contains(&picked(&tenth)), "{}", picked(&tenth));
        let fifth = open(20);
        assert!(
            users
                .iter()
                .filter(|user| tenth.is_for(user))
                .all(|user| fifth.is_for(user))
        );
        let in_memory = ServedLog::open(None, 100, 1 << 20, None).expect("opens");
        assert!(!in_memory.is_for(&users[0]));
    }
}
