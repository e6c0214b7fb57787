//! The methods by their names.
//!
//! Owns the list of rows. Algorithms live in `swipeline_models`; here they are only plugged into the harness.

pub(crate) mod ease;
pub(crate) mod ials;
pub(crate) mod item_knn;
pub(crate) mod item_rate;
pub(crate) mod popular;
mod rates;
pub(crate) mod session_knn;
pub(crate) mod streaming;
mod streaming_facts;
mod streaming_tune;
pub(crate) mod swipeline;
mod swipeline_log;
pub(crate) mod transitions;
pub(crate) mod user_item_logistic;

use swipeline_models::params::{FusionParams, Params};

use self::streaming::{Streaming, Without};
use self::swipeline::Swipeline;
use super::log::Interaction;
use super::method::{History, ImpressionMethod, NextItemMethod};

/// Makes a method with its default settings.
pub(crate) type MakeNextItem = fn() -> Box<dyn NextItemMethod>;

/// The methods that answer "what next?", in the order of the table.
pub(crate) const NEXT_ITEM: &[(&str, MakeNextItem)] = &[
    ("popular", || Box::new(popular::Popular::all_time())),
    ("popular-window", || Box::new(popular::Popular::in_window())),
    ("item-knn", || Box::new(item_knn::ItemKnn::default())),
    ("ials", || Box::new(ials::Ials::plain())),
    ("ials-recent", || Box::new(ials::Ials::recent())),
    ("ease", || Box::new(ease::Ease::plain())),
    ("ease-recent", || Box::new(ease::Ease::recent())),
    ("vmis-knn", || Box::new(session_knn::SessionKnn::vmis())),
    ("transitions", || Box::new(transitions::Transitions::default())),
    ("swipeline", || Box::new(Swipeline::product())),
];

/// The product less one of its parts; only when asked for by name.
pub(crate) const ABLATIONS: &[(&str, MakeNextItem)] = &[
    ("swipeline-no-item-item", || {
        Box::new(Swipeline::ablation("swipeline-no-item-item", |params| {
            switch_off(params, "item_item")
        }))
    }),
    ("swipeline-no-session-knn", || {
        Box::new(Swipeline::ablation("swipeline-no-session-knn", |params| {
            switch_off(params, "session_knn")
        }))
    }),
    ("swipeline-no-similar-users", || {
        Box::new(Swipeline::ablation("swipeline-no-similar-users", |params| {
            switch_off(params, "similar_users")
        }))
    }),
    ("swipeline-first-feeds", || {
        Box::new(Swipeline::ablation("swipeline-first-feeds", |params| {
            params.cold_start.first_slates = Params::default().cold_start.first_slates
        }))
    }),
    ("swipeline-no-linear", || {
        Box::new(Swipeline::ablation("swipeline-no-linear", |params| {
            switch_off(params, "linear")
        }))
    }),
    ("swipeline-no-embedding", || {
        Box::new(Swipeline::ablation("swipeline-no-embedding", |params| {
            switch_off(params, "embedding");
            switch_off(params, "embedding_long");
        }))
    }),
    ("swipeline-embeddings", || {
        Box::new(Swipeline::with_embeddings("swipeline-embeddings"))
    }),
    ("swipeline-no-hot", || {
        Box::new(Swipeline::ablation("swipeline-no-hot", |params| {
            switch_off(params, "hot")
        }))
    }),
    ("swipeline-no-blend", || {
        Box::new(Swipeline::ablation("swipeline-no-blend", |params| {
            params.fusion.collaborative = 0.0
        }))
    }),
    ("swipeline-no-model", || {
        Box::new(Swipeline::ablation("swipeline-no-model", |params| {
            params.fusion = FusionParams {
                like: 0.0,
                complete: 0.0,
                share: 0.0,
                skip: 0.0,
                watch: 0.0,
                ..params.fusion
            };
        }))
    }),
    ("swipeline-no-rerank", || {
        Box::new(Swipeline::ablation("swipeline-no-rerank", |params| {
            params.rerank.freshness_weight = 0.0;
            params.rerank.author_penalty = 0.0;
            params.rerank.category_penalty = 0.0;
            params.rerank.similarity_penalty = 0.0;
        }))
    }),
];

fn switch_off(params: &mut Params, channel: &str) {
    if let Some(settings) = params.channels.get_mut(channel) {
        settings.enabled = false;
    }
}

/// Makes an impression method with its default settings.
pub(crate) type MakeImpression = fn() -> Box<dyn ImpressionMethod>;

/// The methods that predict outcomes of impressions, in the order of the table.
pub(crate) const IMPRESSION: &[(&str, MakeImpression)] = &[
    ("item-rate", || Box::new(item_rate::ItemRate::default())),
    ("user-item-logistic", || {
        Box::new(user_item_logistic::UserItemLogistic::default())
    }),
    ("swipeline", || Box::new(Streaming::new("swipeline", Without::Nothing))),
];

/// The product's own method with a part left out; rows only by name.
pub(crate) const IMPRESSION_ABLATIONS: &[(&str, MakeImpression)] = &[
    ("no-trees", || Box::new(Streaming::new("no-trees", Without::Trees))),
    ("no-logistic", || {
        Box::new(Streaming::new("no-logistic", Without::Logistic))
    }),
    ("no-history", || {
        Box::new(Streaming::new("no-history", Without::History))
    }),
    ("no-affinity", || {
        Box::new(Streaming::new("no-affinity", Without::Affinity))
    }),
    ("no-viewer", || Box::new(Streaming::new("no-viewer", Without::Viewer))),
];

/// In the rows `-recent`: the weight of a viewer's item over that of the one after it.
const RECENCY: f32 = 0.95;

/// The likes of a context as weighted items: 1 for the last, `recency` times less for each before it.
fn recency_weights(
    context: &[Interaction],
    like_value_min: f32,
    recency: f32,
) -> impl Iterator<Item = (u32, f32)> + '_ {
    let mut weight = 1.0;
    let likes = context.iter().rev().filter(move |event| event.value >= like_value_min);
    likes.map(move |event| {
        let own = weight;
        weight *= recency;
        (event.item, own)
    })
}

/// The likes of the history as rows to train a model on.
fn rows_of(history: &History<'_>) -> Vec<(u32, u32, f32)> {
    let likes = history
        .events
        .iter()
        .filter(|event| event.value >= history.like_value_min);
    likes.map(|event| (event.user, event.item, 1.0)).collect()
}
