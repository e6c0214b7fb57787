//! The scorer that runs an ONNX model through tract.
//!
//! Owns the compiled plans, shared by all threads: one with a dynamic batch size, and one for the batch that nearly every
//! request has, which the engine computes in half the time; and the warm-up that decides whether the model is usable. Must
//! not read files and must not decide what serves: that is the slot's matter.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::*;

use super::error::{ModelError, RankError};
use super::objectives::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
use super::onnx_check::{CheckedModel, check_model};
use super::onnx_trace::Trace;
use super::ranker::{RankScratch, Ranker, check_rows};
use super::warm_up::{RANGE_TOLERANCE, WARM_UP_BATCHES, warm_up_rows};
use crate::features::schema::FEATURE_COUNT;

/// Longest text of the inference engine that is passed on, in characters: its context chains print whole graphs.
const DETAIL_CHARS_MAX: usize = 400;

/// Rows of the plan with a fixed size: the 200 candidates that are ranked unless said otherwise, and those that explore.
const SIZED_ROWS: usize = 224;
/// Fewer rows are not padded up to the fixed size.
const SIZED_ROWS_MIN: usize = 128;

type Plan = TypedRunnableModel;

/// An ONNX model, compiled and ready to score any number of rows.
pub struct OnnxRanker {
    plan: Arc<Plan>,
    /// The same for [`SIZED_ROWS`] rows; `None` when the model cannot be compiled for them.
    sized: Option<Arc<Plan>>,
    /// Everything that is computed on the way, for the warm-up; `None` when the model cannot be compiled so.
    trace: Option<Trace>,
    version: String,
}

impl OnnxRanker {
    /// Checks and compiles a model file. Errors name what is wrong with it. The model has not run yet: see
    /// [`OnnxRanker::warm_up`]. Takes milliseconds; not for a thread that serves.
    pub fn load(bytes: &[u8]) -> Result<OnnxRanker, ModelError> {
        let CheckedModel { proto, model_version } = check_model(bytes)?;
        let plans = catch_unwind(AssertUnwindSafe(|| {
            let plan = compile(&proto)?;
            Ok((plan, compile_sized(&proto).ok(), Trace::compile(&proto).ok()))
        }));
        let (plan, sized, trace) = plans.map_err(|payload| ModelError::Panicked {
            detail: panic_text(payload),
        })??;
        Ok(OnnxRanker {
            plan,
            sized,
            trace,
            version: model_version,
        })
    }

    /// Scores batches of several sizes with rows all over the features' ranges, the corners included, and requires
    /// every output to be finite and in [0, 1], and everything on the way to be a number. Once: what is traced is not kept.
    pub fn warm_up(&mut self) -> Result<(), ModelError> {
        self.check_way()?;
        let mut scores = Vec::new();
        for batch in WARM_UP_BATCHES {
            let refuse = |detail: String| ModelError::WarmUp { batch, detail };
            let rows = warm_up_rows(batch);
            self.infer(&rows, batch, &mut scores)
                .map_err(|error| refuse(error.to_string()))?;
            for (row, objectives) in scores.iter().enumerate() {
                for (objective, value) in Objective::ALL.into_iter().zip(objectives) {
                    if !(-RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE).contains(value) {
                        let name = objective.name();
                        return Err(refuse(format!(
                            "row {row}, objective {name}: {value} is outside [0, 1]"
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_way(&mut self) -> Result<(), ModelError> {
        let Some(trace) = self.trace.take() else { return Ok(()) };
        let traced = catch_unwind(AssertUnwindSafe(|| trace.fault())).map_err(|payload| ModelError::Panicked {
            detail: panic_text(payload),
        })?;
        match traced {
            Ok(Some(detail)) => Err(ModelError::Fault { detail }),
            // What cannot be traced is judged by its answers.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Runs the plan; `out` holds what the model answers, finite but not yet clamped.
    fn infer(&self, rows: &[f32], n: usize, out: &mut Vec<ObjectiveRow>) -> Result<(), RankError> {
        out.clear();
        check_rows(rows, n)?;
        if n == 0 {
            return Ok(());
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.run_plan(rows, n, out)))
            .unwrap_or_else(|payload| {
                Err(RankError::Inference {
                    detail: panic_text(payload),
                })
            })
            .and_then(|()| check_finite(out));
        if result.is_err() {
            out.clear();
        }
        result
    }

    fn run_plan(&self, rows: &[f32], n: usize, out: &mut Vec<ObjectiveRow>) -> Result<(), RankError> {
        let (expected, outputs) = match &self.sized {
            Some(plan) if (SIZED_ROWS_MIN..=SIZED_ROWS).contains(&n) => (SIZED_ROWS, run(plan, SIZED_ROWS, rows)?),
            Some(_) | None => (n, run(&self.plan, n, rows)?),
        };
        let scores = outputs[0]
            .try_as_plain_ram()
            .and_then(|view| view.as_slice::<f32>())
            .map_err(inference_error)?;
        let (scored_rows, rest) = scores.as_chunks::<OBJECTIVE_COUNT>();
        if scored_rows.len() != expected || !rest.is_empty() {
            let detail = format!(
                "{} values for {expected} rows of {OBJECTIVE_COUNT} objectives",
                scores.len()
            );
            return Err(RankError::Inference { detail });
        }
        out.extend_from_slice(&scored_rows[..n]);
        Ok(())
    }
}

/// Runs a plan for `n` rows; those that are missing are 0.
fn run(plan: &Arc<Plan>, n: usize, rows: &[f32]) -> Result<TVec<TValue>, RankError> {
    let mut input = Tensor::zero::<f32>(&[n, FEATURE_COUNT]).map_err(inference_error)?;
    let mut view = input.try_as_plain_ram_mut().map_err(inference_error)?;
    view.as_slice_mut::<f32>().map_err(inference_error)?[..rows.len()].copy_from_slice(rows);
    plan.run(tvec!(input.into())).map_err(inference_error)
}

impl Ranker for OnnxRanker {
    fn name(&self) -> &str {
        "onnx"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn score(
        &self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        _scratch: &mut RankScratch,
    ) -> Result<(), RankError> {
        self.infer(rows, n, out)?;
        // Engines compute the logistic function by approximation and may leave [0, 1] by a rounding error.
        out.as_flattened_mut()
            .iter_mut()
            .for_each(|value| *value = value.clamp(0.0, 1.0));
        Ok(())
    }
}

/// The plan for [`SIZED_ROWS`] rows of a model that [`compile`] has accepted.
fn compile_sized(proto: &tract_onnx::pb::ModelProto) -> TractResult<Arc<Plan>> {
    tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_proto_model(proto)?
        .with_input_fact(0, f32::fact([SIZED_ROWS, FEATURE_COUNT]).into())?
        .into_optimized()?
        .into_runnable()
}

fn compile(proto: &tract_onnx::pb::ModelProto) -> Result<Arc<Plan>, ModelError> {
    let refuse = |error: TractError| ModelError::Graph {
        detail: error_text(&error),
    };
    let mut model = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_proto_model(proto)
        .map_err(refuse)?;
    let batch = model.symbols.sym("N");
    let input_fact = f32::fact([batch.to_dim(), FEATURE_COUNT.to_dim()]);
    model.set_input_fact(0, input_fact.into()).map_err(refuse)?;
    let typed = model.into_optimized().map_err(refuse)?;
    let output = typed.output_fact(0).map_err(refuse)?;
    if output.datum_type != f32::datum_type() {
        let found = format!("{:?}", output.datum_type);
        return Err(ModelError::ElementType {
            place: "output `objectives`".to_owned(),
            found,
        });
    }
    let [rows, columns] = output.shape.dims() else {
        let detail = format!(
            "it must have the shape [N, {OBJECTIVE_COUNT}], it has {} dimensions",
            output.shape.rank()
        );
        return Err(ModelError::Output { detail });
    };
    if *columns != OBJECTIVE_COUNT.to_dim() {
        return Err(ModelError::OutputWidth {
            found: columns.to_string(),
            expected: OBJECTIVE_COUNT,
        });
    }
    if *rows != batch.to_dim() {
        return Err(ModelError::Output {
            detail: format!("it has {rows} rows for N rows of input"),
        });
    }
    typed.into_runnable().map_err(refuse)
}

fn check_finite(scores: &[ObjectiveRow]) -> Result<(), RankError> {
    // One pass that vectorises; the search for the culprit is for the error only.
    if scores
        .as_flattened()
        .iter()
        .fold(true, |all, value| all & value.is_finite())
    {
        return Ok(());
    }
    let index = scores
        .as_flattened()
        .iter()
        .position(|value| !value.is_finite())
        .unwrap_or_default();
    let (row, objective) = (index / OBJECTIVE_COUNT, Objective::ALL[index % OBJECTIVE_COUNT]);
    Err(RankError::NonFinite {
        row,
        objective: objective.name(),
        value: scores[row][objective.index()],
    })
}

fn inference_error(error: TractError) -> RankError {
    RankError::Inference {
        detail: error_text(&error),
    }
}

fn error_text(error: &TractError) -> String {
    format!("{error:#}").chars().take(DETAIL_CHARS_MAX).collect()
}

fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => *text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no message",
    };
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::rank::mlp::{DenseLayer, MlpSpec};
    use crate::rank::onnx_writer::{mlp_to_proto, write_onnx};
    use crate::rank::prior::{PRIOR_MODEL_VERSION, bundled_ranker_bytes, prior_mlp};

    /// One layer with the same weight everywhere and its own bias.
    fn flat_spec(weight: f32, bias: f32) -> MlpSpec {
        let layer = DenseLayer {
            weights: vec![weight; FEATURE_COUNT * OBJECTIVE_COUNT],
            bias: vec![bias; OBJECTIVE_COUNT],
            rows: FEATURE_COUNT,
            cols: OBJECTIVE_COUNT,
        };
        MlpSpec::new(vec![layer], "flat").expect("the layer fits")
    }

    fn scores_of(ranker: &OnnxRanker, rows: &[f32], n: usize) -> Vec<ObjectiveRow> {
        let mut out = Vec::new();
        ranker
            .score(rows, n, &mut out, &mut RankScratch::new())
            .expect("the model answers");
        out
    }

    #[test]
    fn engine_and_plain_forward_agree() {
        let spec = prior_mlp().expect("the tables fit");
        let ranker = OnnxRanker::load(&write_onnx(&spec)).expect("the bundled model loads");
        assert_eq!((ranker.name(), ranker.version()), ("onnx", PRIOR_MODEL_VERSION));
        let mut scratch = RankScratch::new();
        let (mut scores, mut golden) = (Vec::new(), Vec::new());
        for n in [1, 2, 7, 10, 64, 127, 128, 200, 208, 224, 225, 500, 3] {
            let rows = warm_up_rows(n);
            ranker
                .score(&rows, n, &mut scores, &mut scratch)
                .expect("the model answers");
            spec.forward(&rows, n, &mut golden, &mut scratch);
            assert_eq!(scores.len(), n);
            for (value, want) in scores.as_flattened().iter().zip(&golden) {
                assert!((value - want).abs() < 1e-5, "{value} is not {want}, n = {n}");
            }
        }
    }

    #[test]
    fn bundled_model_warms_up() {
        let mut ranker = OnnxRanker::load(bundled_ranker_bytes()).expect("the bundled model loads");
        assert!(ranker.trace.is_some());
        assert_eq!(ranker.warm_up(), Ok(()));
    }

    #[test]
    fn a_row_scores_the_same_alone_and_among_others() {
        let ranker = OnnxRanker::load(bundled_ranker_bytes()).expect("the bundled model loads");
        let rows = warm_up_rows(33);
        let together = scores_of(&ranker, &rows, 33);
        for (row, expected) in rows.chunks_exact(FEATURE_COUNT).zip(together) {
            let alone = scores_of(&ranker, row, 1)[0];
            assert!(
                alone
                    .iter()
                    .zip(expected)
                    .all(|(value, want)| (value - want).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn no_rows_are_no_scores_and_wrong_rows_an_error() {
        let ranker = OnnxRanker::load(bundled_ranker_bytes()).expect("the bundled model loads");
        assert!(scores_of(&ranker, &[], 0).is_empty());
        let (mut out, mut scratch) = (vec![[0.5; OBJECTIVE_COUNT]], RankScratch::new());
        let result = ranker.score(&[0.0; 33], 1, &mut out, &mut scratch);
        assert!(matches!(result, Err(RankError::RowShape { .. })));
        assert!(out.is_empty());
    }

    #[test]
    fn scratch_that_saw_another_model_does_no_harm() {
        let low = OnnxRanker::load(&write_onnx(&flat_spec(0.0, -2.0))).expect("loads");
        let high = OnnxRanker::load(&write_onnx(&flat_spec(0.0, 2.0))).expect("loads");
        let (mut out, mut scratch) = (Vec::new(), RankScratch::new());
        let rows = warm_up_rows(3);
        for (ranker, expected) in [(&low, 0.1192), (&high, 0.8808), (&low, 0.1192)] {
            ranker
                .score(&rows, 3, &mut out, &mut scratch)
                .expect("the model answers");
            assert!(
                out.as_flattened().iter().all(|value| (value - expected).abs() < 1e-4),
                "{out:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_finite_is_an_error() {
        let mut linear = mlp_to_proto(&flat_spec(1.0, 0.0));
        linear.graph.as_mut().expect("has a graph").node[1].op_type = "Identity".to_owned();
        let ranker = OnnxRanker::load(&linear.encode_to_vec()).expect("it compiles");
        let mut rows = warm_up_rows(4);
        rows[2 * FEATURE_COUNT] = f32::NAN;
        let (mut out, mut scratch) = (Vec::new(), RankScratch::new());
        let result = ranker.score(&rows, 4, &mut out, &mut scratch);
        assert!(
            matches!(
                result,
                Err(RankError::NonFinite {
                    row: 2,
                    objective: "like",
                    ..
                })
            ),
            "{result:?}"
        );
        assert!(out.is_empty());
        ranker
            .score(&warm_up_rows(4), 4, &mut out, &mut scratch)
            .expect("good rows score after bad ones");
    }
}
