//! Reading ahead: a thread that reads files into batches while the last batch is being written.
//!
//! Owns batches and the bound on how many wait. Must not know where they go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::{BytesRead, Entity, Fault, Format, InputFile, OpenError, Reading, Record, open};

/// How many batches may wait for the writer.
const BATCHES_WAITING_MAX: usize = 2;
/// How many rows may wait that are handed over one by one.
const LIVE_ROWS_WAITING_MAX: usize = 4_096;
/// After so many bad lines a batch is handed over even if it is not full, so that bad lines never pile up.
const REJECTS_PER_BATCH_MAX: usize = 1_000;

/// Where a row or a bad line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Which of the inputs, from 0.
    pub(crate) file: usize,
    /// The line in it, from 1.
    pub(crate) line: u64,
}

/// A line that was not taken, by a reader or by whoever got its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Where it is.
    pub(crate) place: Place,
    /// A short, stable code.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) detail: String,
}

/// Rows that go on together, and what was wrong between them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The rows.
    pub(crate) records: Vec<Record>,
    /// Where each of them is.
    pub(crate) places: Vec<Place>,
    /// The bad lines.
    pub(crate) refusals: Vec<Refusal>,
}

impl Batch {
    fn absorb(&mut self, more: Batch) {
        self.records.extend(more.records);
        self.places.extend(more.places);
        self.refusals.extend(more.refusals);
    }
}

/// What is to be read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// The inputs, in their order.
    pub(crate) inputs: Vec<InputFile>,
    /// What they hold.
    pub(crate) entity: Entity,
    /// How they are written.
    pub(crate) format: Format,
    /// What the caller says about columns and times.
    pub(crate) reading: Reading,
    /// The most rows of a batch.
    pub(crate) batch_rows_max: usize,
    /// Whether nothing behind the first bad line is read.
    pub(crate) stop_at_reject: bool,
    /// Counts what has been read.
    pub(crate) bytes_read: BytesRead,
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    /// An input cannot be opened, or is something else.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An input cannot be read to its end.
    #[error("{}: {fault}", .path.display())]
    Broken {
        /// The input.
        path: PathBuf,
        /// What happened.
        fault: Fault,
    },
    /// The reader itself failed.
    #[error("the reader failed; this is a mistake in the program: {0}")]
    Panicked(String),
}

/// Batches as they come.
pub(crate) struct Batches {
    receiver: mpsc::Receiver<Result<Batch, FeedError>>,
    batch_rows_max: usize,
    /// What came behind rows that were gathered.
    waiting: Option<FeedError>,
}

impl Batches {
    /// The next batch, with all that is there already; `None` at the end, and an error is the last that comes.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch, FeedError>> {
        if let Some(error) = self.waiting.take() {
            return Some(Err(error));
        }
        let mut batch = match self.receiver.recv().await? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        while batch.records.len() < self.batch_rows_max && batch.refusals.len() < REJECTS_PER_BATCH_MAX {
            match self.receiver.try_recv() {
                Ok(Ok(more)) => batch.absorb(more),
                Ok(Err(error)) => {
                    self.waiting = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Ok(batch))
    }
}

/// Starts to read. The batches come in order. Dropping them ends the thread.
pub(crate) fn start(feed: Feed) -> Batches {
    // Files come in whole batches; what somebody writes right now comes row by row, and what has come is gathered when
    // the last batch has been written.
    let is_live = feed.inputs.iter().any(InputFile::is_live);
    let (sender, receiver) = mpsc::channel(if is_live {
        LIVE_ROWS_WAITING_MAX
    } else {
        BATCHES_WAITING_MAX
    });
    let batch_rows_max = feed.batch_rows_max;
    // A thread of its own: one that waits for standard input must not keep the process from ending.
    std::thread::spawn(move || {
        let mut outgoing = Outgoing {
            sender,
            batch: Batch::default(),
            rows_max: if is_live { 1 } else { feed.batch_rows_max },
            rejects_max: if is_live { 1 } else { REJECTS_PER_BATCH_MAX },
        };
        let read = catch_unwind(AssertUnwindSafe(|| read_all(&feed, &mut outgoing)));
        let outcome = read.unwrap_or_else(|panic| Err(FeedError::Panicked(message_of(panic.as_ref()))));
        outgoing.hand_over();
        if let Err(error) = outcome {
            // Nobody listens any more: then nobody wants to know.
            let _ = outgoing.sender.blocking_send(Err(error));
        }
    });
    Batches {
        receiver,
        batch_rows_max,
        waiting: None,
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".to_owned())
}

struct Outgoing {
    sender: mpsc::Sender<Result<Batch, FeedError>>,
    batch: Batch,
    rows_max: usize,
    rejects_max: usize,
}

impl Outgoing {
    /// Hands the present batch over; returns whether somebody still listens.
    fn hand_over(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        if batch.records.is_empty() && batch.refusals.is_empty() {
            return true;
        }
        self.sender.blocking_send(Ok(batch)).is_ok()
    }
}

fn read_all(feed: &Feed, batches: &mut Outgoing) -> Result<(), FeedError> {
    for (file, input) in feed.inputs.iter().enumerate() {
        for outcome in open(input, feed.entity, feed.format, &feed.reading, &feed.bytes_read)? {
            match outcome {
                Ok(row) => {
                    batches.batch.places.push(Place { file, line: row.line });
                    batches.batch.records.push(row.record);
                }
                Err(Fault::Rejected(reject)) => {
                    let place = Place {
                        file,
                        line: reject.line,
                    };
                    batches.batch.refusals.push(Refusal {
                        place,
                        code: reject.code,
                        detail: reject.detail,
                    });
                    if feed.stop_at_reject {
                        return Ok(());
                    }
                }
                Err(fault @ Fault::Broken { .. }) => {
                    return Err(FeedError::Broken {
                        path: input.path().to_owned(),
                        fault,
                    });
                }
            }
            let full =
                batches.batch.records.len() >= batches.rows_max || batches.batch.refusals.len() >= batches.rejects_max;
            if full && !batches.hand_over() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(feed: Feed) -> (Vec<Batch>, Option<FeedError>) {
        let (mut incoming, mut batches) = (start(feed), Vec::new());
        while let Some(outcome) = incoming.next().await {
            match outcome {
                Ok(batch) => batches.push(batch),
                Err(error) => return (batches, Some(error)),
            }
        }
        (batches, None)
    }

    fn feed(paths: &[&std::path::Path], stop_at_reject: bool) -> Feed {
        Feed {
            inputs: paths.iter().map(|path| InputFile::Path((*path).to_owned())).collect(),
            entity: Entity::Items,
            format: Format::Jsonl,
            reading: Reading::default(),
            batch_rows_max: 2,
            stop_at_reject,
            bytes_read: BytesRead::default(),
        }
    }

    #[tokio::test]
    async fn batches_keep_the_order_and_the_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        std::fs::write(&one, "{\"id\":\"a\"}\nbad\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n").expect("written");
        std::fs::write(&two, "{\"id\":\"d\"}\n").expect("written");
        let (batches, error) = read(feed(&[&one, &two], false)).await;
        assert!(error.is_none());
        let places: Vec<_> = batches.iter().flat_map(|batch| batch.places.clone()).collect();
        let expected = [(0, 1), (0, 3), (0, 4), (1, 1)].map(|(file, line)| Place { file, line });
        assert_eq!(places, expected);
        assert!(batches.iter().all(|batch| batch.records.len() <= 3));
        assert_eq!(batches[0].refusals[0].place, Place { file: 0, line: 2 });

        let (batches, _) = read(feed(&[&one, &two], true)).await;
        assert_eq!(
            batches.iter().map(|batch| batch.records.len()).sum::<usize>(),
            1,
            "what stands before the bad line"
        );
    }

    #[tokio::test]
    async fn an_input_that_is_missing_ends_the_feed_after_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = folder.path().join("1");
        std::fs::write(&one, "{\"id\":\"a\"}\n").expect("written");
        let (batches, error) = read(feed(&[&one, &folder.path().join("none")], false)).await;
        assert_eq!(batches.len(), 1);
        assert!(error.expect("an error").to_string().contains("none"));
    }
}
