//! What an experiment says so far, from its sums.

use super::arms::ArmTable;
use super::estimate::RatioEstimate;
use super::math::half_width;
use super::metric::Metric;
use super::plan::Plan;
use super::sample_ratio::sample_ratio;
use super::sequential::sequential;
use super::units::ArmSums;
use crate::params::ExperimentParams;
use crate::time::TimestampMs;
use crate::wire::{ComparisonDto, EstimateDto, ExperimentDto, ExperimentVariantDto, SampleRatioDto, SequentialDto};

/// The report of an experiment; `None` when the params do not hold one of this name.
#[must_use]
pub fn report_of(plan: &Plan, name: &str, sums: &ArmTable, now: TimestampMs) -> Option<ExperimentDto> {
    let experiment = plan.experiments().iter().find(|experiment| experiment.name == name)?;
    let arms: Vec<ArmSums> = experiment
        .variants
        .iter()
        .map(|variant| {
            plan.arm(name, &variant.name)
                .map(|arm| sums.of(arm))
                .unwrap_or_default()
        })
        .collect();
    let judge = Judge::new(experiment, &arms);
    let described = experiment.variants.iter().zip(&arms).enumerate();
    let variants = described.map(|(number, (variant, arm))| ExperimentVariantDto {
        name: variant.name.clone(),
        weight: variant.weight,
        users: count(arm.users as f64),
        impressions: count(arm.impressions()),
        sessions: count(arm.sessions()),
        watch_time_ms: count(arm.watch_s() * 1_000.0),
        metrics: judge.metrics(arm),
        compared: if number == 0 {
            Default::default()
        } else {
            judge.comparisons(arm)
        },
    });
    let variants: Vec<ExperimentVariantDto> = variants.collect();
    let sample_ratio = judge.sample_ratio(experiment, &arms);
    Some(ExperimentDto {
        name: experiment.name.clone(),
        layer: experiment.layer.clone(),
        running: now.0 >= experiment.from && (experiment.until == 0 || now.0 < experiment.until),
        metric: experiment.metric.clone(),
        control: experiment.variants[0].name.clone(),
        alpha: experiment.alpha,
        users: variants.iter().map(|variant| variant.users).sum(),
        verdict: judge.verdict(sample_ratio.as_ref(), &variants),
        sample_ratio,
        variants,
    })
}

struct Judge<'a> {
    control: &'a ArmSums,
    metric: Metric,
    alpha: f64,
    effect_expected: f64,
    /// Whether every variant has enough viewers.
    is_enough: bool,
}

impl<'a> Judge<'a> {
    fn new(experiment: &ExperimentParams, arms: &'a [ArmSums]) -> Self {
        let weighted = experiment
            .variants
            .iter()
            .zip(arms)
            .filter(|(variant, _)| variant.weight > 0.0);
        let fewest = weighted.map(|(_, arm)| arm.users).min().unwrap_or(0);
        // Bonferroni: one control is compared with all others.
        let comparisons = arms.len().saturating_sub(1).max(1) as f64;
        Self {
            control: &arms[0],
            metric: Metric::from_name(&experiment.metric).unwrap_or(Metric::LikeRate),
            alpha: experiment.alpha / comparisons,
            effect_expected: experiment.effect_expected,
            is_enough: fewest >= i64::from(experiment.users_min),
        }
    }

    fn metrics(&self, arm: &ArmSums) -> std::collections::BTreeMap<String, EstimateDto> {
        let estimated = Metric::ALL.into_iter().filter_map(|metric| {
            let estimate = arm.pair(metric).estimate()?;
            let (low, high) = estimate.interval(self.alpha);
            let value = estimate.ratio;
            Some((metric.name().to_owned(), EstimateDto { value, low, high }))
        });
        estimated.collect()
    }

    fn comparisons(&self, arm: &ArmSums) -> std::collections::BTreeMap<String, ComparisonDto> {
        let compared = Metric::ALL.into_iter().filter_map(|metric| {
            let (estimate, control) = (arm.pair(metric).estimate()?, self.control.pair(metric).estimate()?);
            Some((metric.name().to_owned(), self.comparison(&estimate, &control)))
        });
        compared.collect()
    }

    fn comparison(&self, estimate: &RatioEstimate, control: &RatioEstimate) -> ComparisonDto {
        let (difference, variance) = estimate.difference(control);
        let half = half_width(self.alpha) * variance.sqrt();
        // The scale of expected effects comes from both variants together: it must not follow the difference.
        let tau = self.effect_expected * (estimate.ratio + control.ratio) / 2.0;
        let test = sequential(difference, variance, tau, self.alpha);
        let is_defined = self.is_enough && test.low.is_finite();
        ComparisonDto {
            difference,
            lift: (control.ratio > 0.0).then(|| difference / control.ratio),
            low: difference - half,
            high: difference + half,
            p_value: estimate.p_value(control),
            sequential: is_defined.then_some(SequentialDto {
                p_value: test.p_value,
                low: test.low,
                high: test.high,
                significant: test.p_value <= self.alpha,
            }),
        }
    }

    fn sample_ratio(&self, experiment: &ExperimentParams, arms: &[ArmSums]) -> Option<SampleRatioDto> {
        let arms = experiment
            .variants
            .iter()
            .zip(arms)
            .map(|(variant, arm)| (arm.users.max(0) as f64, variant.weight));
        let test = sample_ratio(&arms.collect::<Vec<_>>())?;
        Some(SampleRatioDto {
            chi_square: test.chi_square,
            degrees_of_freedom: test.degrees,
            p_value: test.p_value,
            sequential_p_value: test.sequential_p_value,
            alarm: test.is_alarm,
        })
    }

    fn verdict(&self, sample_ratio: Option<&SampleRatioDto>, variants: &[ExperimentVariantDto]) -> String {
        if sample_ratio.is_some_and(|test| test.alarm) {
            return "sample_ratio_mismatch".to_owned();
        }
        if !self.is_enough {
            return "needs_more_viewers".to_owned();
        }
        let decided = variants.iter().filter_map(|variant| {
            let compared = variant.compared.get(self.metric.name())?;
            let is_significant = compared.sequential.as_ref()?.significant;
            is_significant.then_some((variant.name.as_str(), compared.difference))
        });
        let decided: Vec<(&str, f64)> = decided.collect();
        let gain = |difference: f64| {
            if self.metric.is_better_low() {
                -difference
            } else {
                difference
            }
        };
        let best = decided.iter().filter(|(_, difference)| gain(*difference) > 0.0);
        if let Some((name, _)) = best.max_by(|a, b| gain(a.1).total_cmp(&gain(b.1))) {
            return format!("better: {name}");
        }
        if decided.is_empty() {
            return "undecided".to_owned();
        }
        let names: Vec<&str> = decided.iter().map(|(name, _)| *name).collect();
        format!("worse: {}", names.join(", "))
    }
}

fn count(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Counts;
    use crate::experiment::{UnitLedger, UnitTotals};
    use serde_json::json;
    use std::sync::Arc;

    /// An experiment in which every viewer had 10 impressions and `likes(variant, viewer)` likes.
    fn report(users: [u32; 2], likes: impl Fn(usize, u32) -> u32) -> ExperimentDto {
        let document = json!({"experiments": [{"name": "e", "variants": [{"name": "a"}, {"name": "b"}]}]});
        let plan = Plan::new(Arc::new(crate::params::parse(document).expect("valid")));
        let mut sums = ArmTable::default();
        for (number, variant) in ["a", "b"].into_iter().enumerate() {
            let arm = plan.arm("e", variant).expect("an arm");
            for viewer in 0..users[number] {
                let counts = Counts {
                    impressions: 10,
                    visits: 1,
                    watch_ms: 2_000,
                    likes: likes(number, viewer),
                    ..Counts::default()
                };
                let (before, after) = UnitLedger::default().add(arm, &UnitTotals::of(&counts));
                sums.change(arm, &before, &after, 0);
            }
        }
        report_of(&plan, "e", &sums, TimestampMs(1)).expect("a report")
    }

    #[test]
    fn a_planted_effect_is_reported_and_none_is_not() {
        let found = report(
            [400, 400],
            |variant, viewer| if variant == 0 { viewer % 4 } else { viewer % 6 },
        );
        assert_eq!(found.verdict, "better: b");
        let compared = &found.variants[1].compared["like_rate"];
        assert!(
            (compared.lift.expect("a lift") - 2.0 / 3.0).abs() < 0.01,
            "{compared:?}"
        );
        let test = compared.sequential.as_ref().expect("enough viewers");
        assert!(test.significant && test.low > 0.0 && test.low < compared.low && compared.high < test.high);
        assert_eq!(
            (
                found.users,
                found.variants[0].impressions,
                found.variants[0].watch_time_ms
            ),
            (800, 4_000, 800_000)
        );
        assert!((found.variants[0].metrics["watch_time_per_session_s"].value - 2.0).abs() < 1e-9);
        assert_eq!(report([400, 400], |_, viewer| viewer % 4).verdict, "undecided");
        assert_eq!(
            report([50, 50], |variant, _| variant as u32 * 5).verdict,
            "needs_more_viewers"
        );
        assert_eq!(
            report([900, 400], |_, viewer| viewer % 4).verdict,
            "sample_ratio_mismatch"
        );
        assert_eq!(
            report([400, 400], |variant, viewer| (viewer + 1) % (4 - 2 * variant as u32)).verdict,
            "worse: b"
        );
    }
}
