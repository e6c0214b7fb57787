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
pub(crate) mod transitions;
pub(crate) mod user_item_logistic;

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
];

/// Makes an impression method with its default settings.
pub(crate) type MakeImpression = fn() -> Box<dyn ImpressionMethod>;

/// The methods that predict outcomes of impressions, in the order of the table.
pub(crate) const IMPRESSION: &[(&str, MakeImpression)] = &[
    ("item-rate", || Box::new(item_rate::ItemRate::default())),
    ("user-item-logistic", || {
        Box::new(user_item_logistic::UserItemLogistic::default())
    }),
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
