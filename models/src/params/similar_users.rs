//! Params of viewers with a like taste: what their signals weigh, and how many of them vote.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::event::Signal;
use crate::time::DAY_MS;

/// Viewers with a like taste (user-user collaborative filtering).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimilarUsersParams {
    /// What an item that was watched to the end, shared or made a favourite weighs.
    pub complete_weight: f32,
    /// What a like weighs, and a follow of the item's author.
    pub like_weight: f32,
    /// What a comment weighs.
    pub comment_weight: f32,
    /// What a view weighs that says that the viewer wants more of this.
    pub view_weight: f32,
    /// Of each of the viewer's items so many of the viewers who came to it last are looked at.
    pub users_per_item: u32,
    /// So many of the most similar viewers vote.
    pub neighbours: u32,
    /// What a viewer did Δt before the newest counts exp(-Δt / this), and the viewer's own items count
    /// 1 / (1 + Δt / this), in milliseconds.
    pub recency_ms: i64,
    /// A viewer who did nothing for longer begins anew, in milliseconds.
    pub pause_ms_max: i64,
}

impl Default for SimilarUsersParams {
    fn default() -> Self {
        Self {
            complete_weight: 1.0,
            like_weight: 0.8,
            comment_weight: 0.6,
            view_weight: 0.3,
            users_per_item: 100,
            neighbours: 50,
            recency_ms: 14 * DAY_MS,
            pause_ms_max: 90 * DAY_MS,
        }
    }
}

impl SimilarUsersParams {
    /// The weight of a signal; 0 for those that say nothing good.
    #[must_use]
    pub fn weight_of(&self, signal: Signal) -> f32 {
        match signal {
            Signal::Complete | Signal::Share | Signal::Favorite => self.complete_weight,
            Signal::Like | Signal::Follow => self.like_weight,
            Signal::Comment => self.comment_weight,
            Signal::View => self.view_weight,
            Signal::Impression | Signal::Unlike | Signal::Skip | Signal::Dislike | Signal::Report => 0.0,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &SimilarUsersParams, checks: &mut Checks) {
    for (field, weight) in [
        ("complete_weight", params.complete_weight),
        ("like_weight", params.like_weight),
        ("comment_weight", params.comment_weight),
        ("view_weight", params.view_weight),
    ] {
        checks.weight(format!("similar_users.{field}"), weight, 0.0);
    }
    let users_per_item = f64::from(params.users_per_item);
    checks.within("similar_users.users_per_item", users_per_item, 1.0, 2_500.0);
    checks.within("similar_users.neighbours", f64::from(params.neighbours), 1.0, 2_500.0);
    checks.duration("similar_users.recency_ms", params.recency_ms);
    checks.duration("similar_users.pause_ms_max", params.pause_ms_max);
}
