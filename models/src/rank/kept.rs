//! Models that are kept by name beside the serving one, for viewers whose params ask for them (`rank.model`).
//!
//! Owns their names and their bound. Must not decide who gets which.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::error::ModelError;
use super::slot::{ModelInfo, ServingModel};
use crate::time::TimestampMs;

/// How many models can be kept.
pub const KEPT_MODELS_MAX: usize = 8;

/// Models by name. Readers never wait.
#[derive(Default)]
pub(super) struct KeptModels {
    models: ArcSwap<BTreeMap<String, Arc<ServingModel>>>,
}

impl KeptModels {
    /// The model of a name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<ServingModel>> {
        self.models.load().get(name).cloned()
    }

    /// Checks and warms up a model file, and keeps it; one of the same name makes room.
    pub(super) fn keep(&self, name: &str, bytes: &[u8], loaded_at: TimestampMs) -> Result<ModelInfo, ModelError> {
        let is_full = |models: &BTreeMap<_, _>| models.len() >= KEPT_MODELS_MAX && !models.contains_key(name);
        if is_full(&self.models.load()) {
            return Err(ModelError::TooManyKept { max: KEPT_MODELS_MAX });
        }
        let model = Arc::new(ServingModel::from_onnx(bytes, loaded_at)?);
        let info = model.info().clone();
        self.models.rcu(|models| {
            let mut models = BTreeMap::clone(models);
            if !is_full(&models) {
                models.insert(name.to_owned(), model.clone());
            }
            models
        });
        Ok(info)
    }

    /// Keeps a model no longer. Returns whether there was one.
    pub(super) fn drop_model(&self, name: &str) -> bool {
        let before = self.models.rcu(|models| {
            let mut models = BTreeMap::clone(models);
            models.remove(name);
            models
        });
        before.contains_key(name)
    }

    /// What is kept.
    pub(super) fn infos(&self) -> BTreeMap<String, ModelInfo> {
        let models = self.models.load();
        models
            .iter()
            .map(|(name, model)| (name.clone(), model.info().clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::schema::neutral_row;
    use crate::rank::mlp::MlpSpec;
    use crate::rank::objectives::Objective;
    use crate::rank::onnx_writer::write_onnx;
    use crate::rank::prior::{bundled_ranker_bytes, prior_mlp};
    use crate::rank::{RankScratch, RankerSlot};

    fn generous() -> Vec<u8> {
        let layers = prior_mlp().expect("the tables fit").layers().to_vec();
        let mut spec = MlpSpec::new(layers, "generous").expect("the layers fit");
        spec.layers_mut()[2].bias[Objective::Like.index()] += 1.0;
        write_onnx(&spec)
    }

    #[test]
    fn a_kept_model_scores_for_those_who_ask_for_it_only() {
        let slot = RankerSlot::bundled(TimestampMs(0)).expect("the bundled model loads");
        let like = |name: &str| {
            let mut out = Vec::new();
            slot.score_by(name, &neutral_row(), 1, &mut out, &mut RankScratch::new())
                .expect("one row");
            out[0][Objective::Like.index()]
        };
        let plain = like("");
        slot.keep("b", &generous(), TimestampMs(1)).expect("a good model");
        assert!(like("b") > plain + 0.05 && like("") == plain);
        assert_eq!(
            like("unknown"),
            plain,
            "a model that is gone is answered by the serving one"
        );
        assert_eq!(
            (slot.info_of("b").version.as_str(), slot.info_of("") == slot.info()),
            ("generous", true)
        );
        assert!(slot.keep("c", b"not a model", TimestampMs(1)).is_err() && slot.kept().len() == 1);
        assert!(slot.drop_kept("b") && !slot.drop_kept("b") && like("b") == plain);
    }

    #[test]
    fn the_number_of_models_is_bounded() {
        let slot = RankerSlot::linear(TimestampMs(0));
        for number in 0..KEPT_MODELS_MAX {
            slot.keep(&number.to_string(), bundled_ranker_bytes(), TimestampMs(0))
                .expect("room");
        }
        let refused = slot.keep("one more", bundled_ranker_bytes(), TimestampMs(0));
        assert_eq!(refused, Err(ModelError::TooManyKept { max: KEPT_MODELS_MAX }));
        slot.keep("0", bundled_ranker_bytes(), TimestampMs(0))
            .expect("its own place");
    }
}
