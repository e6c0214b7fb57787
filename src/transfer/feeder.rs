//! Reading ahead: a thread that reads files into batches while the last batch is being written.
//!
//! Owns batches and the bound on how many wait. Must not know where they go.

use std::path::PathBuf;

use swipeline_models::time::TimestampMs;
use tokio::sync::mpsc;

use super::{BytesRead, Entity, Fault, Format, InputFile, OpenError, Record, open};

/// How many batches may wait for the writer.
const BATCHES_WAITING_MAX: usize = 2;
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

/// What is to be read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// The inputs, in their order.
    pub(crate) inputs: Vec<InputFile>,
    /// What they hold.
    pub(crate) entity: Entity,
    /// How they are written.
    pub(crate) format: Format,
    /// Stands in for times that are left out.
    pub(crate) now: TimestampMs,
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
}

/// Starts to read. The batches come in order; an error is the last that comes. Dropping the receiver ends the thread.
pub(crate) fn start(feed: Feed) -> mpsc::Receiver<Result<Batch, FeedError>> {
    let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
    // A thread of its own: one that waits for standard input must not keep the process from ending.
    std::thread::spawn(move || {
        let mut batches = Batches {
            sender,
            batch: Batch::default(),
        };
        if let Err(error) = read_all(&feed, &mut batches) {
            batches.hand_over();
            // Nobody listens any more: then nobody wants to know.
            let _ = batches.sender.blocking_send(Err(error));
        } else {
            batches.hand_over();
        }
    });
    receiver
}

struct Batches {
    sender: mpsc::Sender<Result<Batch, FeedError>>,
    batch: Batch,
}

impl Batches {
    /// Hands the present batch over; returns whether somebody still listens.
    fn hand_over(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        if batch.records.is_empty() && batch.refusals.is_empty() {
            return true;
        }
        self.sender.blocking_send(Ok(batch)).is_ok()
    }
}

fn read_all(feed: &Feed, batches: &mut Batches) -> Result<(), FeedError> {
    for (file, input) in feed.inputs.iter().enumerate() {
        for outcome in open(input, feed.entity, feed.format, feed.now, &feed.bytes_read)? {
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
            let full = batches.batch.records.len() >= feed.batch_rows_max
                || batches.batch.refusals.len() >= REJECTS_PER_BATCH_MAX;
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
        let (mut receiver, mut batches) = (start(feed), Vec::new());
        while let Some(outcome) = receiver.recv().await {
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
            now: TimestampMs(0),
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
        assert!(batches.iter().all(|batch| batch.records.len() <= 2));
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
