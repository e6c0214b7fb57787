//! What feeds achieve and what experiments say.

use swipeline_models::control::MixerNames;
use swipeline_models::effect::{Answer, Dimension, Question};
use swipeline_models::experiment::{VARIANT_DEFAULT, report_of};
use swipeline_models::recall::Channel;
use swipeline_models::wire::{EffectDto, ExperimentDto, StatsGroupDto, StatsPointDto, StatsReply};

use super::*;

impl Engine {
    /// Answers a question about effects. Counts are there as soon as the event is acknowledged.
    #[must_use]
    pub fn stats(&self, question: &Question) -> StatsReply {
        let mixers = &self.shared.world.mixers;
        let mut plain = question.clone();
        if let Some(name) = plain.filter.0.get_mut(&Dimension::Channel)
            && let Some(channel) = mixers.channel(name)
        {
            // What stands for a mixer is counted under a name of its own.
            channel.name().clone_into(name);
        }
        let answer = self.shared.effects.answer(&plain, clock::now());
        let asked = question.filter.0.get(&Dimension::Variant);
        let experiment = asked.and_then(|label| self.experiment(label.split_once(':')?.0));
        StatsReply {
            experiment,
            ..reply_of(question, &answer, mixers)
        }
    }

    /// What an experiment says so far; `None` when the params hold none of this name.
    #[must_use]
    pub fn experiment(&self, name: &str) -> Option<ExperimentDto> {
        let plan = self.shared.params.plan();
        report_of(&plan, name, &self.shared.effects.arms(), clock::now())
    }

    /// What all experiments of the params say, in their order.
    #[must_use]
    pub fn experiments(&self) -> Vec<ExperimentDto> {
        let plan = self.shared.params.plan();
        let sums = self.shared.effects.arms();
        let names = plan.experiments().iter().map(|experiment| experiment.name.as_str());
        names
            .filter_map(|name| report_of(&plan, name, &sums, clock::now()))
            .collect()
    }
}

fn reply_of(question: &Question, answer: &Answer, mixers: &MixerNames) -> StatsReply {
    let channels = mixers.channels().map(|channel| {
        (
            mixers.name(channel).into_owned(),
            answer.channels[channel.number()].effect(),
        )
    });
    let given_name = |dimension: Dimension, name: &String| {
        let mixer = Channel::MIXERS.into_iter().find(|mixer| mixer.name() == name);
        match mixer.filter(|_| dimension == Dimension::Channel) {
            Some(mixer) => mixers.name(mixer).into_owned(),
            None => name.clone(),
        }
    };
    let variants = answer
        .variants
        .iter()
        .map(|(name, counts)| (name.clone(), counts.effect()));
    let mut variants: std::collections::BTreeMap<String, EffectDto> = variants.collect();
    // Always there, as it was before there were experiments.
    variants.entry(VARIANT_DEFAULT.to_owned()).or_default();
    let series = |series: &std::collections::BTreeMap<i64, swipeline_models::effect::Counts>| {
        let points = series.iter().map(|(at, counts)| StatsPointDto {
            at: *at,
            effect: counts.effect(),
        });
        points.collect::<Vec<_>>()
    };
    let groups = answer.groups.iter().map(|group| StatsGroupDto {
        keys: question
            .group_by
            .iter()
            .zip(&group.names)
            .map(|(dimension, name)| (dimension.name().to_owned(), given_name(*dimension, name)))
            .collect(),
        total: group.counts.effect(),
        series: series(&group.series),
    });
    let is_grouped = !question.group_by.is_empty();
    StatsReply {
        window_ms: question.window.length_ms(),
        total: answer.total.effect(),
        channels: channels.collect(),
        variants,
        groups: is_grouped.then(|| groups.collect()),
        groups_left_out: (answer.groups_left_out > 0).then_some(answer.groups_left_out),
        series: question.interval_ms.map(|_| series(&answer.series)),
        experiment: None,
    }
}
