//! Which variants a viewer is in, and the params that hold there.
//!
//! Owns when that is found out anew: with another version of the params, when an experiment begins or ends, and when a
//! client wishes for a variant. Between those it is one comparison of pointers.

use std::cell::RefCell;
use std::sync::Arc;

use swipeline_models::experiment::{Plan, ViewerVariant, WishError};
use swipeline_models::params::Params;
use swipeline_models::time::TimestampMs;

use super::actor::SessionActor;
use crate::clock;
use crate::effects::Tag;
use crate::records::AppliedUnder;

/// What was found out last.
#[derive(Default)]
pub(super) struct VariantCache(RefCell<Option<Known>>);

struct Known {
    plan: Arc<Plan>,
    /// Until when it holds.
    until: TimestampMs,
    variant: ServedVariant,
}

/// What holds for a viewer now.
#[derive(Clone)]
pub(super) struct ServedVariant {
    pub(super) viewer: Arc<ViewerVariant>,
    /// Names it in what is served.
    pub(super) tag: Tag,
}

impl ServedVariant {
    /// Counts a feed that was made under the variants.
    pub(super) fn count_exposure(&self) {
        if let Some(label) = &self.viewer.label {
            for variant in label.split(',') {
                metrics::counter!("swipeline_variant_feeds_total", "variant" => variant.to_owned()).increment(1);
            }
        }
    }

    /// What a record says of the numbers that it counts under.
    pub(super) fn applied_under(&self) -> AppliedUnder {
        AppliedUnder {
            params_version: self.viewer.version,
            variant: self.label(),
        }
    }

    /// `experiment:variant`, as feeds say it; `None` in no experiment.
    pub(super) fn label(&self) -> Option<String> {
        self.viewer.label.as_deref().map(str::to_owned)
    }
}

impl SessionActor {
    /// The numbers that hold for this viewer.
    pub(super) fn params(&self) -> Arc<Params> {
        self.variant().viewer.params.clone()
    }

    /// The variants that this viewer is in.
    pub(super) fn variant(&self) -> ServedVariant {
        let plan = self.shared.params.plan();
        if plan.is_empty() {
            let viewer = plan.plain().clone();
            return ServedVariant { viewer, tag: 0 };
        }
        let mut cache = self.variant_cache.0.borrow_mut();
        if let Some(known) = &*cache
            && Arc::ptr_eq(&known.plan, &plan)
            && (known.until.0 == i64::MAX || clock::now() < known.until)
        {
            return known.variant.clone();
        }
        // A wish that the params do not allow any more is forgotten.
        let wish = self.settings.variant.as_deref().map(|wish| plan.wish(wish));
        let wishes = wish.and_then(Result::ok).unwrap_or_default();
        let (choices, until) = plan.assign(self.state.user.as_str(), clock::now(), &wishes);
        let viewer = plan.resolve(&choices);
        let tag = self.shared.effects.tag(&viewer);
        let variant = ServedVariant { viewer, tag };
        *cache = Some(Known {
            plan: plan.clone(),
            until,
            variant: variant.clone(),
        });
        variant
    }

    /// What would hold if the viewer were in the variants that a request names.
    ///
    /// # Errors
    /// When it names none, or one that requests may not choose.
    pub(super) fn wished_variant(&self, wish: &str) -> Result<ServedVariant, WishError> {
        let plan = self.shared.params.plan();
        let wishes = plan.wish(wish)?;
        let (choices, _) = plan.assign(self.state.user.as_str(), clock::now(), &wishes);
        let viewer = plan.resolve(&choices);
        let tag = self.shared.effects.tag(&viewer);
        Ok(ServedVariant { viewer, tag })
    }

    /// Lets the sockets of this session be served as if the viewer were in the variants named.
    ///
    /// # Errors
    /// When it names none, or one that requests may not choose; nothing has changed then.
    pub(super) fn wish_for(&mut self, wish: &str) -> Result<(), WishError> {
        self.shared.params.plan().wish(wish)?;
        self.settings.variant = Some(wish.to_owned());
        *self.variant_cache.0.get_mut() = None;
        Ok(())
    }
}
