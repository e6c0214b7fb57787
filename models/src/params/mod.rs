//! The one document that holds every number an operator may turn.
//!
//! Owns: its shape, its defaults and its validation. Must not know how it is versioned, stored or served.

mod archive;
mod boosts;
mod breakers;
mod caches;
mod channels;
mod check;
mod cold_start;
mod collaborative;
mod degradation;
mod drift;
mod enrichment;
mod experiments;
#[cfg(test)]
mod experiments_tests;
mod exposure;
mod feed;
mod fusion;
mod interest;
mod learner;
mod mixers;
mod patterns;
mod pool;
mod popularity;
mod profiles;
mod rank;
mod rerank;
mod scenes;
mod schema;
mod similar_users;
mod viral;
mod windows;

pub use archive::ArchiveParams;
pub use boosts::{BOOSTS_MAX, BoostRule, BoostTarget};
pub use breakers::BreakerParams;
pub use caches::CacheParams;
pub use channels::ChannelParams;
pub use check::{merge_patch, parse};
pub use cold_start::ColdStartParams;
pub use collaborative::CollaborativeParams;
pub use degradation::{DegradationParams, StepThresholds};
pub use drift::DriftParams;
pub use enrichment::EnrichmentParams;
pub use experiments::{ExperimentParams, VariantParams, layer_parts, with_patches};
pub use exposure::ExposureParams;
pub use feed::FeedParams;
pub use fusion::FusionParams;
pub use interest::{InterestFusion, InterestParams, SignalWeights};
pub use learner::LearnerParams;
pub use mixers::{MixRule, MixerParams};
pub use patterns::{PatternEffect, PatternKind, PatternParams, PatternScope, PatternStep};
pub use pool::PoolParams;
pub use popularity::PopularityParams;
pub use profiles::{ProfileMode, QueryProfile};
pub use rank::{RankParams, is_model_name};
pub use rerank::RerankParams;
pub use scenes::{SceneExposure, SceneParams};
pub use schema::{ParamKey, schema};
pub use similar_users::SimilarUsersParams;
pub use viral::ViralParams;
pub use windows::WindowParams;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::{CompiledControl, Control};
use crate::wire::FieldError;
use crate::world::World;

/// Every number an operator may turn, with defaults that work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How signals become interest.
    pub interest: InterestParams,
    /// The recall channels, by name.
    pub channels: BTreeMap<String, ChannelParams>,
    /// Channels that an operator declares as combinations of others, by name.
    pub mixers: BTreeMap<String, MixerParams>,
    /// When a channel is cut off, and when it is tried again.
    pub breakers: BreakerParams,
    /// What an operator raises or lowers for a while.
    pub boosts: Vec<BoostRule>,
    /// The candidate pool that a session keeps between swipes.
    pub pool: PoolParams,
    /// How predicted objectives become one score.
    pub fusion: FusionParams,
    /// Which ranking model scores.
    pub rank: RankParams,
    /// What happens to the order after ranking.
    pub rerank: RerankParams,
    /// What counts as shown, and for how long it is remembered.
    pub exposure: ExposureParams,
    /// New users and new items.
    pub cold_start: ColdStartParams,
    /// Item popularity.
    pub popularity: PopularityParams,
    /// Co-engagement and session neighbours.
    pub collaborative: CollaborativeParams,
    /// Viewers with a like taste.
    pub similar_users: SimilarUsersParams,
    /// Sizes of feeds and limits of sessions.
    pub feed: FeedParams,
    /// Tags that are inferred from texts.
    pub enrichment: EnrichmentParams,
    /// What is kept of what has happened, for how long.
    pub archive: ArchiveParams,
    /// Which behaviour earns which label.
    pub patterns: Vec<PatternParams>,
    /// Counts of a viewer's signals in event time.
    pub windows: WindowParams,
    /// The online learner that corrects the ranking model.
    pub learner: LearnerParams,
    /// At which load less is done for a feed.
    pub degradation: DegradationParams,
    /// What is kept for a short time instead of being made again.
    pub caches: CacheParams,
    /// What an app calls "home", "following", "shop", by name.
    pub scenes: BTreeMap<String, SceneParams>,
    /// What is derived from the sections above on first use; no part of the document.
    #[serde(skip)]
    #[schema(ignore)]
    pub compiled: CompiledControl,
    /// Layered A/B experiments.
    pub experiments: Vec<ExperimentParams>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            interest: InterestParams::default(),
            channels: channels::channels_default(),
            mixers: BTreeMap::new(),
            breakers: BreakerParams::default(),
            boosts: Vec::new(),
            pool: PoolParams::default(),
            fusion: FusionParams::default(),
            rank: RankParams::default(),
            rerank: RerankParams::default(),
            exposure: ExposureParams::default(),
            cold_start: ColdStartParams::default(),
            popularity: PopularityParams::default(),
            collaborative: CollaborativeParams::default(),
            similar_users: SimilarUsersParams::default(),
            feed: FeedParams::default(),
            enrichment: EnrichmentParams::default(),
            archive: ArchiveParams::default(),
            patterns: patterns::patterns_default(),
            windows: WindowParams::default(),
            learner: LearnerParams::default(),
            degradation: DegradationParams::default(),
            caches: CacheParams::default(),
            scenes: BTreeMap::new(),
            compiled: CompiledControl::default(),
            experiments: Vec::new(),
        }
    }
}

impl Params {
    /// Every rule that a value breaks; empty when the document may come into force.
    #[must_use]
    pub fn validate(&self) -> Vec<FieldError> {
        self.checks().into_errors()
    }

    fn checks(&self) -> check::Checks {
        let mut checks = check::Checks::default();
        interest::validate(&self.interest, &mut checks);
        channels::validate(&self.channels, &self.mixers, &mut checks);
        mixers::validate(&self.mixers, &mut checks);
        breakers::validate(&self.breakers, &mut checks);
        boosts::validate(&self.boosts, &mut checks);
        pool::validate(&self.pool, &mut checks);
        fusion::validate(&self.fusion, &mut checks);
        rerank::validate(&self.rerank, &mut checks);
        exposure::validate(&self.exposure, &mut checks);
        cold_start::validate(&self.cold_start, &mut checks);
        popularity::validate(&self.popularity, &mut checks);
        collaborative::validate(&self.collaborative, &mut checks);
        similar_users::validate(&self.similar_users, &mut checks);
        feed::validate(&self.feed, &mut checks);
        enrichment::validate(&self.enrichment, &mut checks);
        archive::validate(&self.archive, &mut checks);
        patterns::validate(&self.patterns, &mut checks);
        windows::validate(&self.windows, &mut checks);
        learner::validate(&self.learner, &mut checks);
        rank::validate(&self.rank, &mut checks);
        experiments::validate(&self.experiments, &mut checks);
        degradation::validate(&self.degradation, &mut checks);
        caches::validate(&self.caches, &mut checks);
        scenes::validate(&self.scenes, &mut checks);
        checks
    }

    /// The sections about channels, mixers and boosts as the pipeline reads them.
    pub fn control(&self, world: &World) -> &Control {
        self.compiled.of(self, world)
    }

    /// The settings of a channel; switched off when the document does not name it.
    #[must_use]
    pub fn channel(&self, name: &str) -> ChannelParams {
        self.channels.get(name).cloned().unwrap_or(ChannelParams {
            enabled: false,
            quota: 0,
            ..ChannelParams::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bad_fields(document: serde_json::Value) -> Vec<String> {
        parse(document)
            .map(|_| vec![])
            .unwrap_or_else(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn the_default_document_is_valid_and_survives_json() {
        let params = Params::default();
        assert_eq!(params.validate(), vec![]);
        let json = serde_json::to_value(&params).expect("JSON");
        assert_eq!(parse(json).expect("valid"), params);
    }

    #[test]
    fn all_bad_keys_are_reported_at_once() {
        let fields = bad_fields(json!({
            "interest": {"short_half_life_ms": -5, "shrot_weight": 1},
            "rerank": {"exploration_share": 1.5},
            "channels": {"embeding": {"quota": 3}, "hot": {"quota": "many"}},
        }));
        for expected in [
            "interest.short_half_life_ms",
            "interest.shrot_weight",
            "rerank.exploration_share",
            "channels.embeding",
            "channels.hot.quota",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
    }

    #[test]
    fn several_keys_that_cannot_be_read_are_all_named_and_the_rest_is_checked() {
        let fields = bad_fields(json!({
            "channels": {"hot": {"quota": -1}, "tags": {"quota": -2}},
            "pool": {"size_max": -5},
            "patterns": [{"name": "x", "label": "x", "signals": ["like", "no_signal"]}],
            "rerank": {"exploration_share": 7.0},
        }));
        for expected in [
            "channels.hot.quota",
            "channels.tags.quota",
            "pool.size_max",
            "rerank.exploration_share",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
        assert!(
            fields.iter().any(|field| field.starts_with("patterns[0].signals")),
            "{fields:?}"
        );
    }

    #[test]
    fn bad_keys_inside_lists_and_open_maps_are_reported_by_their_path() {
        let fields = bad_fields(json!({
            "boosts": [
                {"name": "a", "target": {"category": "beauty"}, "factor": 1.2},
                {"name": "a", "target": {"label": "x"}, "add": 1, "share": 0.1, "from": 9, "until": 8},
                {"name": "c", "target": {"categroy": "beauty"}, "factr": 2, "share": "many"},
            ],
            "mixers": {"both": {"sources": ["hot", "hto"], "weights": {"tags": 1.0}, "quota": "x", "rul": "union"}},
        }));
        for expected in [
            "boosts[2].target.categroy",
            "boosts[2].factr",
            "boosts[2].share",
            "mixers.both.quota",
            "mixers.both.rul",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
        let fields = bad_fields(json!({
            "boosts": [
                {"name": "a", "target": {"label": "x"}, "add": 1, "share": 0.1, "from": 9, "until": 8},
                {"name": "a", "target": {"item": "x"}, "add": 1000},
            ],
            "mixers": {"both": {"sources": ["hot", "hto"], "weights": {"tags": 1.0}}, "hot": {"sources": []}},
        }));
        for expected in [
            "boosts[0]",
            "boosts[0].until",
            "boosts[0].target",
            "boosts[1].name",
            "boosts[1].add",
            "mixers.both.sources[1]",
            "mixers.both.weights.tags",
            "mixers.hot",
            "mixers.hot.sources",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
    }

    #[test]
    fn impossible_settings_of_channels_are_refused_by_their_key() {
        let fields = bad_fields(json!({
            "channels": {"hot": {"min_share": 0.5, "max_share": 0.2, "weight": -1},
                         "tags": {"min_share": 0.4}, "fresh": {"min_share": 0.2, "time_budget_us": 0}},
        }));
        for expected in [
            "channels.hot.min_share",
            "channels.hot.weight",
            "channels.tags.min_share",
            "channels.fresh.min_share",
            "channels.fresh.time_budget_us",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
        assert_eq!(
            bad_fields(json!({"channels": {"hot": {"quota": -1}}})),
            ["channels.hot.quota"]
        );
        let mixers = json!({"mixers": {"m": {"sources": ["hot"], "rule": "unoin"}}});
        assert_eq!(bad_fields(mixers), ["mixers.m.rule"]);
    }

    #[test]
    fn a_merge_patch_changes_only_what_it_names() {
        let mut document = serde_json::to_value(Params::default()).expect("JSON");
        merge_patch(&mut document, &json!({"rerank": {"exploration_share": 0.2}}));
        let params = parse(document).expect("valid");
        assert!((params.rerank.exploration_share - 0.2).abs() < 1e-6);
        assert_eq!(params.interest, Params::default().interest);
    }

    #[test]
    fn a_partial_document_keeps_the_other_channels() {
        let params = parse(json!({"channels": {"hot": {"enabled": false}}})).expect("valid");
        assert!(!params.channel("hot").enabled);
        assert!(params.channel("embedding").enabled);
    }
}
