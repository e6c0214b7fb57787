//! The place where the serving model stands, and how it is exchanged while requests run.
//!
//! Owns loading aside, warm-up, the atomic exchange, the way back, and the fallback to the linear scorer. Session
//! threads only read it and never wait. It keeps no file and asks no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use super::error::{ModelError, RankError};
use super::kept::KeptModels;
use super::linear::LinearRanker;
use super::objectives::ObjectiveRow;
use super::onnx::OnnxRanker;
use super::prior::bundled_ranker_bytes;
use super::ranker::{RankScratch, Ranker};
use crate::time::TimestampMs;

/// What an operator sees of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelInfo {
    /// Kind of scorer: `onnx` or `linear`.
    pub name: String,
    /// Version of the weights, as the model states it.
    pub version: String,
    /// xxh3 of the file (of the weights for `linear`), 16 hexadecimal digits.
    pub fingerprint: String,
    /// When it was loaded.
    #[schema(value_type = i64)]
    pub loaded_at: TimestampMs,
}

/// A scorer together with its description.
pub struct ServingModel {
    ranker: Box<dyn Ranker>,
    info: ModelInfo,
}

/// Who answered a scoring call.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoredBy {
    /// The serving model.
    Model,
    /// The linear scorer, because the serving model failed for this reason.
    Fallback(RankError),
    /// The linear scorer, because the caller wanted no more.
    Linear,
}

/// The serving model, exchangeable at any time.
pub struct RankerSlot {
    current: ArcSwap<ServingModel>,
    /// Also serialises exchanges, so that none is lost between reading and writing `current`.
    previous: Mutex<Option<Arc<ServingModel>>>,
    kept: KeptModels,
    fallback: LinearRanker,
}

impl ServingModel {
    /// The scorer.
    pub fn ranker(&self) -> &dyn Ranker {
        &*self.ranker
    }

    /// Its description.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Checks, compiles and warms up a model file.
    pub(super) fn from_onnx(bytes: &[u8], loaded_at: TimestampMs) -> Result<ServingModel, ModelError> {
        let mut ranker = OnnxRanker::load(bytes)?;
        ranker.warm_up()?;
        let fingerprint = format!("{:016x}", xxh3_64(bytes));
        Ok(ServingModel::new(Box::new(ranker), fingerprint, loaded_at))
    }

    fn new(ranker: Box<dyn Ranker>, fingerprint: String, loaded_at: TimestampMs) -> ServingModel {
        let (name, version) = (ranker.name().to_owned(), ranker.version().to_owned());
        ServingModel {
            ranker,
            info: ModelInfo {
                name,
                version,
                fingerprint,
                loaded_at,
            },
        }
    }
}

impl RankerSlot {
    /// A slot that serves the bundled model.
    pub fn bundled(loaded_at: TimestampMs) -> Result<RankerSlot, ModelError> {
        let model = ServingModel::from_onnx(bundled_ranker_bytes(), loaded_at)?;
        Ok(RankerSlot::holding(model))
    }

    /// A slot that serves the linear scorer until a model is swapped in.
    pub fn linear(loaded_at: TimestampMs) -> RankerSlot {
        let ranker = LinearRanker::new();
        let fingerprint = ranker.fingerprint();
        RankerSlot::holding(ServingModel::new(Box::new(ranker), fingerprint, loaded_at))
    }

    /// Serves a model that always fails, for tests of what happens then.
    #[cfg(test)]
    pub(crate) fn serve_broken_model(&self) {
        let model = ServingModel::new(Box::new(tests::BrokenRanker), String::new(), TimestampMs(0));
        self.current.store(Arc::new(model));
    }

    fn holding(model: ServingModel) -> RankerSlot {
        RankerSlot {
            current: ArcSwap::from_pointee(model),
            previous: Mutex::new(None),
            kept: KeptModels::default(),
            fallback: LinearRanker::new(),
        }
    }

    /// The model that serves now; a request takes it once and scores all its candidates with it.
    pub fn current(&self) -> Guard<Arc<ServingModel>> {
        self.current.load()
    }

    /// Description of the model that serves now.
    pub fn info(&self) -> ModelInfo {
        self.current.load().info.clone()
    }

    /// Description of the model that [`RankerSlot::rollback`] would bring back.
    pub fn previous_info(&self) -> Option<ModelInfo> {
        self.previous.lock().as_ref().map(|model| model.info.clone())
    }

    /// Loads and warms up a model aside, then serves it. On an error the old one serves on, untouched. Takes
    /// milliseconds; not for a thread that serves.
    pub fn try_swap(&self, bytes: &[u8], loaded_at: TimestampMs) -> Result<ModelInfo, ModelError> {
        let model = Arc::new(ServingModel::from_onnx(bytes, loaded_at)?);
        let info = model.info.clone();
        let mut previous = self.previous.lock();
        *previous = Some(self.current.swap(model));
        Ok(info)
    }

    /// Serves the previous model again. The one that served becomes the previous, so a second rollback undoes the
    /// first.
    pub fn rollback(&self) -> Result<ModelInfo, ModelError> {
        let mut previous = self.previous.lock();
        let Some(model) = previous.take() else {
            return Err(ModelError::NoPrevious);
        };
        let info = model.info.clone();
        *previous = Some(self.current.swap(model));
        Ok(info)
    }

    /// Keeps a model by name beside the serving one, for params that ask for it. Takes milliseconds; not for a thread
    /// that serves.
    ///
    /// # Errors
    /// Why it cannot serve, or that there are too many; what was kept stays.
    pub fn keep(&self, name: &str, bytes: &[u8], loaded_at: TimestampMs) -> Result<ModelInfo, ModelError> {
        self.kept.keep(name, bytes, loaded_at)
    }

    /// Keeps a model no longer. Returns whether there was one.
    pub fn drop_kept(&self, name: &str) -> bool {
        self.kept.drop_model(name)
    }

    /// The models that are kept by name.
    pub fn kept(&self) -> BTreeMap<String, ModelInfo> {
        self.kept.infos()
    }

    /// Description of the model that is kept by a name; of the serving one when the name is empty or unknown.
    pub fn info_of(&self, name: &str) -> ModelInfo {
        let kept = if name.is_empty() { None } else { self.kept.get(name) };
        kept.map_or_else(|| self.info(), |model| model.info.clone())
    }

    /// Scores with the serving model, and with the linear scorer when that fails. An error is left only when `rows` are
    /// not `n` feature rows.
    pub fn score(
        &self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        scratch: &mut RankScratch,
    ) -> Result<ScoredBy, RankError> {
        self.score_by("", rows, n, out, scratch)
    }

    /// [`RankerSlot::score`] by the model that is kept by a name; by the serving one when the name is empty or unknown.
    pub fn score_by(
        &self,
        name: &str,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        scratch: &mut RankScratch,
    ) -> Result<ScoredBy, RankError> {
        let kept = if name.is_empty() { None } else { self.kept.get(name) };
        let scored = match &kept {
            Some(model) => model.ranker.score(rows, n, out, scratch),
            None => self.current.load().ranker.score(rows, n, out, scratch),
        };
        let Err(cause) = scored else {
            return Ok(ScoredBy::Model);
        };
        self.fallback.score(rows, n, out, scratch)?;
        Ok(ScoredBy::Fallback(cause))
    }

    /// Scores with the linear scorer whatever model serves: what is left when there is no time for a model. An error is
    /// left only when `rows` are not `n` feature rows.
    pub fn score_linear(
        &self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        scratch: &mut RankScratch,
    ) -> Result<ScoredBy, RankError> {
        self.fallback.score(rows, n, out, scratch)?;
        Ok(ScoredBy::Linear)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::features::schema::{FEATURE_COUNT, neutral_row};
    use crate::rank::mlp::{DenseLayer, MlpSpec};
    use crate::rank::objectives::{OBJECTIVE_COUNT, Objective};
    use crate::rank::onnx_writer::write_onnx;
    use crate::rank::prior::{PRIOR_MODEL_VERSION, prior_mlp};
    use crate::rank::warm_up::warm_up_rows;

    /// The bundled network with a higher like rate everywhere.
    fn generous_model() -> Vec<u8> {
        let layers = prior_mlp().expect("the tables fit").layers().to_vec();
        let mut spec = MlpSpec::new(layers, "generous-1").expect("the layers fit");
        spec.layers_mut()[2].bias[Objective::Like.index()] += 1.0;
        write_onnx(&spec)
    }

    fn model_of_width(width: usize) -> Vec<u8> {
        let layer = DenseLayer {
            weights: vec![0.1; width * OBJECTIVE_COUNT],
            bias: vec![0.0; OBJECTIVE_COUNT],
            rows: width,
            cols: OBJECTIVE_COUNT,
        };
        write_onnx(&MlpSpec::new(vec![layer], "wide").expect("the layer fits"))
    }

    fn neutral_like(slot: &RankerSlot) -> f32 {
        let mut out = Vec::new();
        slot.score(&neutral_row(), 1, &mut out, &mut RankScratch::new())
            .expect("one row");
        out[0][Objective::Like.index()]
    }

    #[test]
    fn swap_serves_the_new_model_and_rollback_the_old() {
        let slot = RankerSlot::bundled(TimestampMs(1_000)).expect("the bundled model loads");
        assert_eq!(slot.rollback(), Err(ModelError::NoPrevious));
        let before = neutral_like(&slot);
        let info = slot
            .try_swap(&generous_model(), TimestampMs(2_000))
            .expect("a good model");
        assert_eq!(
            (info.version.as_str(), info.loaded_at, info.fingerprint.len()),
            ("generous-1", TimestampMs(2_000), 16)
        );
        assert_eq!(slot.info(), info);
        assert!(neutral_like(&slot) > before + 0.05);
        assert_eq!(slot.rollback().expect("there is one").version, PRIOR_MODEL_VERSION);
        assert_eq!(neutral_like(&slot), before);
        assert_eq!(slot.previous_info().expect("the generous one").version, "generous-1");
        assert_eq!(slot.rollback().expect("and back again").version, "generous-1");
    }

    #[test]
    fn an_unusable_model_leaves_the_old_one_serving() {
        let slot = RankerSlot::bundled(TimestampMs(1_000)).expect("the bundled model loads");
        let (info, before) = (slot.info(), neutral_like(&slot));
        let refusal = slot
            .try_swap(&model_of_width(31), TimestampMs(2_000))
            .expect_err("31 features");
        assert_eq!(
            refusal,
            ModelError::InputWidth {
                found: "31".to_owned(),
                expected: FEATURE_COUNT
            }
        );
        assert!(matches!(
            slot.try_swap(b"not a model", TimestampMs(2_000)),
            Err(ModelError::NotOnnx { .. })
        ));
        assert_eq!(slot.info(), info);
        assert_eq!(slot.previous_info(), None);
        assert_eq!(neutral_like(&slot), before);
    }

    #[test]
    fn linear_slot_serves_and_takes_a_model() {
        let slot = RankerSlot::linear(TimestampMs(5));
        assert_eq!(
            (slot.info().name.as_str(), slot.info().loaded_at),
            ("linear", TimestampMs(5))
        );
        assert!((neutral_like(&slot) - 0.07).abs() < 1e-6);
        slot.try_swap(bundled_ranker_bytes(), TimestampMs(6))
            .expect("the bundled model loads");
        assert_eq!(slot.info().name, "onnx");
        assert_eq!(slot.rollback().expect("the linear one").name, "linear");
    }

    pub(super) struct BrokenRanker;

    impl Ranker for BrokenRanker {
        fn name(&self) -> &str {
            "broken"
        }

        fn version(&self) -> &str {
            "0"
        }

        fn score(
            &self,
            _rows: &[f32],
            _n: usize,
            out: &mut Vec<ObjectiveRow>,
            _scratch: &mut RankScratch,
        ) -> Result<(), RankError> {
            out.clear();
            Err(RankError::Inference {
                detail: "broken on purpose".to_owned(),
            })
        }
    }

    #[test]
    fn a_failing_model_is_answered_by_the_linear_scorer() {
        let slot = RankerSlot::holding(ServingModel::new(Box::new(BrokenRanker), String::new(), TimestampMs(0)));
        let (mut out, mut scratch) = (Vec::new(), RankScratch::new());
        let scored_by = slot
            .score(&neutral_row(), 1, &mut out, &mut scratch)
            .expect("the fallback answers");
        assert!(matches!(scored_by, ScoredBy::Fallback(RankError::Inference { .. })));
        assert!((out[0][Objective::Like.index()] - 0.07).abs() < 1e-6);
        assert!(matches!(
            slot.score(&[0.0; 3], 1, &mut out, &mut scratch),
            Err(RankError::RowShape { .. })
        ));
    }

    #[test]
    fn scores_during_swaps_are_of_one_model_or_the_other() {
        const SWAPS: usize = 8;
        let slot = RankerSlot::bundled(TimestampMs(0)).expect("the bundled model loads");
        let rows = warm_up_rows(50);
        let expected: Vec<Vec<ObjectiveRow>> = [bundled_ranker_bytes().to_vec(), generous_model()]
            .iter()
            .map(|bytes| {
                let mut out = Vec::new();
                let ranker = OnnxRanker::load(bytes).expect("a good model");
                ranker
                    .score(&rows, 50, &mut out, &mut RankScratch::new())
                    .expect("50 rows");
                out
            })
            .collect();
        let swapping = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut out, mut scratch) = (Vec::new(), RankScratch::new());
                    loop {
                        let last_round = !swapping.load(Ordering::Acquire);
                        let scored_by = slot.score(&rows, 50, &mut out, &mut scratch).expect("50 rows");
                        assert_eq!(scored_by, ScoredBy::Model);
                        assert!(expected.contains(&out), "scores of neither model");
                        if last_round {
                            break;
                        }
                    }
                });
            }
            for swap in 0..SWAPS {
                let bytes = if swap % 2 == 0 {
                    generous_model()
                } else {
                    bundled_ranker_bytes().to_vec()
                };
                slot.try_swap(&bytes, TimestampMs(swap as i64)).expect("a good model");
                slot.try_swap(&model_of_width(33), TimestampMs(0))
                    .expect_err("33 features");
                slot.rollback().expect("there is a previous model");
                slot.rollback().expect("and back");
            }
            swapping.store(false, Ordering::Release);
        });
        assert_eq!(slot.info().loaded_at, TimestampMs(SWAPS as i64 - 1));
    }
}
