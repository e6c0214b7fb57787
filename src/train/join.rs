//! Served items meet what came of them.
//!
//! Owns which outcome belongs to which serving. Nothing that a feature row already knew can be its outcome: an outcome
//! counts only when the journal numbered it after the newest record that the row reflects, whatever any clock says.
//! Of the servings that remain the one with the outcome's request id is meant, else the newest. An item that was sent
//! but, for all that is known, never seen is no sample. An outcome later than the window is not counted, and what was
//! served within the last window of the log is left out unless asked for: its outcome is not known yet.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use swipeline_actors::{Outcome, ServedItemRecord, ServedSlateRecord};
use swipeline_models::event::Signal;
use swipeline_models::features::schema::FEATURE_COUNT;
use xxhash_rust::xxh3::xxh3_64;

use super::file::{OutcomeLine, SampleLine};

/// What became of the servings of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct JoinCounts {
    /// Items that were served.
    pub(crate) served: usize,
    /// Those of another feature schema, which cannot be used.
    pub(crate) other_schema: usize,
    /// Those that were never seen.
    pub(crate) unseen: usize,
    /// Those whose window was still open when the log ended.
    pub(crate) open: usize,
    /// Those that became samples.
    pub(crate) samples: usize,
}

/// One serving of one item.
struct Serving {
    slate: Arc<ServedSlateRecord>,
    position: usize,
    features: [f32; FEATURE_COUNT],
    came_of_it: CameOfIt,
}

/// What came of a serving so far.
#[derive(Debug, Clone, Copy, Default)]
struct CameOfIt {
    seen: bool,
    liked: bool,
    shared: bool,
    skipped: bool,
    completed: bool,
    watch_ms: Option<u32>,
}

/// A join in the making: first all slates, then all outcomes, each in order.
pub(crate) struct Join {
    window_ms: i64,
    servings: Vec<Serving>,
    /// Servings of one user and item, by the hashes of the ids, oldest first.
    by_pair: FxHashMap<(u64, u64), Vec<u32>>,
    /// The newest time that the server's own clock says.
    ended_at: i64,
    schema: u64,
    counts: JoinCounts,
}

impl Join {
    /// An empty join. Outcomes up to `window_ms` after the serving count.
    pub(crate) fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            servings: Vec::new(),
            by_pair: FxHashMap::default(),
            ended_at: i64::MIN,
            schema: swipeline_models::features::schema::schema_fingerprint(),
            counts: JoinCounts::default(),
        }
    }

    /// Takes a slate of the served log.
    pub(crate) fn add_slate(&mut self, slate: ServedSlateRecord) {
        self.counts.served += slate.items.len();
        self.ended_at = self.ended_at.max(slate.at);
        if slate.schema != self.schema {
            self.counts.other_schema += slate.items.len();
            return;
        }
        let slate = Arc::new(slate);
        let user = xxh3_64(slate.user.as_bytes());
        for (position, item) in slate.items.iter().enumerate() {
            let (Some(features), Ok(place)) = (slate.features(position), u32::try_from(self.servings.len())) else {
                continue;
            };
            let pair = (user, xxh3_64(item.id.as_bytes()));
            self.by_pair.entry(pair).or_default().push(place);
            self.servings.push(Serving {
                slate: Arc::clone(&slate),
                position,
                features,
                came_of_it: CameOfIt::default(),
            });
        }
    }

    /// Takes something that happened.
    pub(crate) fn add_outcome(&mut self, outcome: &Outcome) {
        if outcome.signal.is_none() {
            self.ended_at = self.ended_at.max(outcome.at);
        }
        let pair = (xxh3_64(outcome.user.as_bytes()), outcome.item_hash);
        let Some(places) = self.by_pair.get(&pair) else { return };
        let is_before = |place: &&u32| {
            let slate = &self.servings[**place as usize].slate;
            slate.sequence < outcome.sequence && outcome.at <= slate.at + self.window_ms
        };
        let is_named = |place: &&u32| {
            let slate = &self.servings[**place as usize].slate;
            outcome.request.as_deref() == Some(slate.request.as_str())
        };
        let candidates = || places.iter().rev().filter(is_before);
        let meant = candidates().find(is_named).or_else(|| candidates().next());
        if let Some(place) = meant.copied() {
            self.servings[place as usize].came_of_it.note(outcome);
        }
    }

    /// The samples, in the order of serving.
    pub(crate) fn finish(mut self, include_open: bool) -> (Vec<SampleLine>, JoinCounts) {
        let closed_until = self.ended_at.saturating_sub(self.window_ms);
        let mut lines = Vec::new();
        for serving in &self.servings {
            if !serving.came_of_it.seen {
                self.counts.unseen += 1;
            } else if serving.slate.at > closed_until && !include_open {
                self.counts.open += 1;
            } else {
                lines.push(serving.line());
            }
        }
        self.counts.samples = lines.len();
        (lines, self.counts)
    }
}

impl CameOfIt {
    fn note(&mut self, outcome: &Outcome) {
        self.seen = true;
        self.watch_ms = self.watch_ms.max(outcome.watch_ms);
        match outcome.signal {
            Some(Signal::Like) => self.liked = true,
            Some(Signal::Unlike) => self.liked = false,
            Some(Signal::Share) => self.shared = true,
            Some(Signal::Skip | Signal::Dislike | Signal::Report) => self.skipped = true,
            Some(Signal::Complete) => self.completed = true,
            None | Some(Signal::Impression | Signal::View | Signal::Comment | Signal::Favorite | Signal::Follow) => {}
        }
    }

    fn labels(&self, item: &ServedItemRecord) -> OutcomeLine {
        let watched = self
            .watch_ms
            .filter(|_| item.duration_ms > 0)
            .map(|watch_ms| (watch_ms as f32 / item.duration_ms as f32).min(1.0));
        let completed = self.completed || watched == Some(1.0);
        let flag = |happened: bool| Some(f32::from(u8::from(happened)));
        OutcomeLine {
            like: flag(self.liked),
            complete: flag(completed),
            share: flag(self.shared),
            skip: flag(self.skipped),
            watch: if completed { Some(1.0) } else { watched },
        }
    }
}

impl Serving {
    fn line(&self) -> SampleLine {
        let (slate, item) = (&self.slate, &self.slate.items[self.position]);
        SampleLine {
            at: slate.at,
            request_id: slate.request.clone(),
            user_id: Some(slate.user.clone()),
            item_id: Some(item.id.clone()),
            position: u32::try_from(self.position).ok(),
            channels: item.channels.iter().map(|channel| channel.name().to_owned()).collect(),
            variant: Some(slate.variant.clone()),
            model: Some(slate.model.clone()),
            schema: format!("{:016x}", slate.schema),
            features: self.features.to_vec(),
            pre_rank: item.pre_rank,
            collaborative: item.collaborative,
            score: Some(item.score),
            predicted: Some(item.predicted),
            propensity: item.propensity,
            outcome: self.came_of_it.labels(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::recall::ChannelSet;

    const WINDOW_MS: i64 = 1_000;

    fn slate(request: &str, at: i64, sequence: u64, items: &[&str]) -> ServedSlateRecord {
        let item = |id: &&str| ServedItemRecord {
            id: (*id).to_owned(),
            duration_ms: 10_000,
            channels: ChannelSet::default(),
            score: 0.5,
            pre_rank: 0.5,
            collaborative: 0.0,
            propensity: None,
            predicted: Default::default(),
        };
        let rows = vec![[sequence as f32; FEATURE_COUNT]; items.len()];
        let slate = ServedSlateRecord {
            user: "u".to_owned(),
            request: request.to_owned(),
            at,
            sequence,
            items: items.iter().map(item).collect(),
            ..ServedSlateRecord::default()
        };
        slate.with_features(&rows)
    }

    fn outcome(sequence: u64, item: &str, signal: Option<Signal>, at: i64) -> Outcome {
        Outcome {
            sequence,
            user: "u".to_owned(),
            item_hash: xxh3_64(item.as_bytes()),
            at,
            signal,
            watch_ms: None,
            request: None,
        }
    }

    fn join(slates: Vec<ServedSlateRecord>, outcomes: &[Outcome]) -> (Vec<SampleLine>, JoinCounts) {
        let mut join = Join::new(WINDOW_MS);
        slates.into_iter().for_each(|slate| join.add_slate(slate));
        outcomes.iter().for_each(|outcome| join.add_outcome(outcome));
        join.finish(true)
    }

    #[test]
    fn an_outcome_belongs_to_the_newest_serving_before_it() {
        let slates = vec![
            slate("r1", 0, 1, &["a", "b"]),
            slate("r2", 10, 5, &["a"]),
            slate("r3", 20, 9, &["a"]),
        ];
        let (lines, counts) = join(slates, &[outcome(7, "a", Some(Signal::Like), 15)]);
        assert_eq!((lines.len(), counts.unseen, counts.served), (1, 3, 4));
        assert_eq!((lines[0].request_id.as_str(), lines[0].outcome.like), ("r2", Some(1.0)));
    }

    #[test]
    fn what_the_row_knew_already_is_no_outcome_even_by_a_wrong_clock() {
        // The like is record 5; the row served with sequence 5 reflects it. The client's clock says it was later.
        let (lines, counts) = join(
            vec![slate("r", 100, 5, &["a"])],
            &[outcome(5, "a", Some(Signal::Like), 500)],
        );
        assert_eq!((lines.len(), counts.unseen), (0, 1));
    }

    #[test]
    fn a_request_id_says_which_serving_is_meant() {
        let slates = vec![slate("r1", 0, 1, &["a"]), slate("r2", 10, 2, &["a"])];
        let named = Outcome {
            request: Some("r1".to_owned()),
            ..outcome(7, "a", Some(Signal::Share), 15)
        };
        let (lines, _) = join(slates, &[named]);
        assert_eq!((lines.len(), lines[0].request_id.as_str()), (1, "r1"));
    }

    #[test]
    fn shown_and_left_alone_is_a_sample_without_success() {
        let (lines, _) = join(vec![slate("r", 0, 1, &["a"])], &[outcome(2, "a", None, 1)]);
        let nothing = Some(0.0);
        let expected = OutcomeLine {
            like: nothing,
            complete: nothing,
            share: nothing,
            skip: nothing,
            watch: None,
        };
        assert_eq!(lines[0].outcome, expected);
    }

    #[test]
    fn a_like_taken_back_is_none_and_watching_all_of_it_completes() {
        let watched = Outcome {
            watch_ms: Some(12_000),
            ..outcome(4, "a", Some(Signal::View), 3)
        };
        let outcomes = [
            outcome(2, "a", Some(Signal::Like), 1),
            outcome(3, "a", Some(Signal::Unlike), 2),
            watched,
        ];
        let (lines, _) = join(vec![slate("r", 0, 1, &["a"])], &outcomes);
        let found = lines[0].outcome;
        assert_eq!(
            (found.like, found.complete, found.watch),
            (Some(0.0), Some(1.0), Some(1.0))
        );
    }

    #[test]
    fn windows_close_outcomes_out_and_open_ones_wait() {
        let slates = || vec![slate("r1", 0, 1, &["a"]), slate("r2", 5_000, 4, &["b"])];
        let outcomes = [
            outcome(2, "a", None, 1),
            outcome(3, "a", Some(Signal::Like), WINDOW_MS + 1),
            outcome(5, "b", Some(Signal::Like), 5_001),
        ];
        let mut waiting = Join::new(WINDOW_MS);
        slates().into_iter().for_each(|slate| waiting.add_slate(slate));
        outcomes.iter().for_each(|outcome| waiting.add_outcome(outcome));
        let (lines, counts) = waiting.finish(false);
        assert_eq!((lines.len(), counts.open), (1, 1));
        assert_eq!(
            (lines[0].item_id.as_deref(), lines[0].outcome.like),
            (Some("a"), Some(0.0))
        );
        assert_eq!(join(slates(), &outcomes).0.len(), 2);
    }

    #[test]
    fn rows_of_another_schema_are_counted_and_left_out() {
        let mut other = slate("r", 0, 1, &["a"]);
        other.schema ^= 1;
        let (lines, counts) = join(vec![other], &[outcome(2, "a", None, 1)]);
        assert_eq!((lines.len(), counts.other_schema), (0, 1));
    }
}
