//! What the engine counts about the pipeline.
//!
//! Handles are made once per thread: a look-up by name and labels on every swipe would cost as much as a stage.

use std::cell::RefCell;

use metrics::{Counter, Histogram};
use swipeline_models::control::MixerNames;
use swipeline_models::pipeline::{RecallCause, Refill, Slate, Stage, Trouble};
use swipeline_models::recall::{Channel, Filter};

const NS_PER_S: f64 = 1e9;

/// The handles of one thread.
pub(crate) struct PipelineMetrics {
    stages: Vec<Histogram>,
    channel_seconds: Vec<Histogram>,
    recalled: Vec<Counter>,
    kept: Vec<Counter>,
    on_slate: Vec<Counter>,
    /// By channel and filter.
    filtered: Vec<Vec<Counter>>,
    refills: [Counter; 3],
    /// By cause.
    full_recalls: [Counter; RecallCause::ALL.len()],
    feeds: Counter,
    items: Counter,
    /// The version of the mixers' names that the handles are labelled with.
    names_version: u64,
}

thread_local! {
    static METRICS: RefCell<Option<PipelineMetrics>> = const { RefCell::new(None) };
}

impl PipelineMetrics {
    fn new(names: &MixerNames) -> Self {
        // Read first: a name that is given meanwhile is taken up by the next slate.
        let names_version = names.version();
        let of_channels = |name: &'static str| -> Vec<Counter> {
            Channel::ALL
                .into_iter()
                .map(|channel| metrics::counter!(name, "channel" => names.name(channel)))
                .collect()
        };
        let filtered = |channel: Channel| -> Vec<Counter> {
            let counter = |filter: Filter| metrics::counter!("swipeline_channel_filtered_total", "channel" => names.name(channel), "filter" => filter.name());
            Filter::ALL.into_iter().map(counter).collect()
        };
        Self {
            stages: Stage::ALL
                .into_iter()
                .map(|stage| metrics::histogram!("swipeline_stage_seconds", "stage" => stage.name()))
                .collect(),
            channel_seconds: Channel::ALL
                .into_iter()
                .map(|channel| metrics::histogram!("swipeline_channel_seconds", "channel" => names.name(channel)))
                .collect(),
            recalled: of_channels("swipeline_channel_recalled_total"),
            kept: of_channels("swipeline_channel_kept_total"),
            on_slate: of_channels("swipeline_channel_on_slate_total"),
            filtered: Channel::ALL.into_iter().map(filtered).collect(),
            refills: ["none", "live", "full"].map(|kind| metrics::counter!("swipeline_refills_total", "kind" => kind)),
            full_recalls: RecallCause::ALL
                .map(|cause| metrics::counter!("swipeline_full_recalls_total", "cause" => cause.name())),
            feeds: metrics::counter!("swipeline_feeds_total"),
            items: metrics::counter!("swipeline_feed_items_total"),
            names_version,
        }
    }

    /// Counts what a run of the pipeline did.
    pub(crate) fn record(slate: &Slate, names: &MixerNames) {
        Self::with(names, |handles| handles.count(slate, names));
    }

    /// Lends the thread's handles, labelled with the names in force.
    fn with(names: &MixerNames, count: impl FnOnce(&PipelineMetrics)) {
        METRICS.with_borrow_mut(|handles| {
            if handles
                .as_ref()
                .is_none_or(|handles| handles.names_version != names.version())
            {
                *handles = Some(PipelineMetrics::new(names));
            }
            if let Some(handles) = handles {
                count(handles);
            }
        });
    }

    /// Counts a slate that was made without the pipeline.
    pub(crate) fn record_short(slate: &Slate, names: &MixerNames) {
        Self::with(names, |handles| {
            handles.count_slate(slate);
            for (counter, count) in handles.on_slate.iter().zip(slate.report.on_slate) {
                counter.increment(u64::from(count));
            }
        });
    }

    fn count_slate(&self, slate: &Slate) {
        self.feeds.increment(1);
        self.items.increment(slate.items.len() as u64);
        if let Some(degraded) = slate.degraded {
            metrics::counter!("swipeline_degraded_total", "reason" => degraded.name()).increment(1);
        }
    }

    fn count(&self, slate: &Slate, names: &MixerNames) {
        let report = &slate.report;
        self.count_slate(slate);
        for (histogram, ns) in self.stages.iter().zip(report.stage_ns) {
            histogram.record(ns as f64 / NS_PER_S);
        }
        let refill = match report.refill {
            Refill::None => 0,
            Refill::Live => 1,
            Refill::Full(cause) => {
                self.full_recalls[cause as usize].increment(1);
                2
            }
        };
        self.refills[refill].increment(1);
        for place in 0..Channel::ALL.len() {
            let channel = &report.channels[place];
            if channel.asked {
                self.channel_seconds[place].record(channel.took_ns as f64 / NS_PER_S);
                self.recalled[place].increment(u64::from(channel.recalled));
                let filtered = self.filtered[place]
                    .iter()
                    .zip(channel.filtered)
                    .filter(|(_, count)| *count > 0);
                filtered.for_each(|(counter, count)| counter.increment(u64::from(count)));
            }
            // Off and resting are what an operator has asked for.
            if let Some(trouble @ (Trouble::CutOff | Trouble::Late | Trouble::Failed)) = channel.trouble {
                let name = names.name(Channel::ALL[place]);
                metrics::counter!("swipeline_channel_troubles_total", "channel" => name, "kind" => trouble.name())
                    .increment(1);
            }
            if report.kept[place] > 0 {
                self.kept[place].increment(u64::from(report.kept[place]));
            }
            if report.on_slate[place] > 0 {
                self.on_slate[place].increment(u64::from(report.on_slate[place]));
            }
        }
    }
}
