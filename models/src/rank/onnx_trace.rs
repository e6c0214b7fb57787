//! Looks at what a model computes on its way, not only at what it answers.
//!
//! A last sigmoid makes a plausible answer of NaN and of infinities: the inference engine clamps its input first. Such a
//! model scores every item the same. So the values between the nodes are looked at, for the rows of the warm-up.

use tract_onnx::prelude::*;

use super::warm_up::warm_up_rows;
use crate::features::schema::FEATURE_COUNT;

/// Rows that are traced: the corners of the features' ranges and a spread.
const TRACED_ROWS: usize = 64;

/// A plan that answers everything that is computed.
pub(super) struct Trace {
    plan: Arc<TypedRunnableModel>,
    /// What each answer is called, and whether the model's answer is made directly of it.
    names: Vec<(String, bool)>,
}

impl Trace {
    /// Compiles a model for tracing; it is not optimised, so that its nodes are those of the file.
    pub(super) fn compile(proto: &tract_onnx::pb::ModelProto) -> TractResult<Trace> {
        let mut model = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .model_for_proto_model(proto)?
            .with_input_fact(0, f32::fact([TRACED_ROWS, FEATURE_COUNT]).into())?
            .into_typed()?;
        let last: Vec<OutletId> = model
            .outputs
            .iter()
            .flat_map(|output| model.nodes[output.node].inputs.clone())
            .collect();
        let mut outlets = Vec::new();
        let mut names = Vec::new();
        for node in &model.nodes {
            for (slot, output) in node.outputs.iter().enumerate() {
                let outlet = OutletId::new(node.id, slot);
                if output.fact.datum_type == f32::datum_type() {
                    outlets.push(outlet);
                    names.push((node.name.clone(), last.contains(&outlet)));
                }
            }
        }
        model.select_output_outlets(&outlets)?;
        let plan = model.into_runnable()?;
        Ok(Trace { plan, names })
    }

    /// What is wrong with a value on the way: NaN anywhere, or an infinity that the answer is made of. An infinity that is
    /// clipped later does no harm.
    pub(super) fn fault(&self) -> TractResult<Option<String>> {
        let rows = warm_up_rows(TRACED_ROWS);
        let input = Tensor::from_shape(&[TRACED_ROWS, FEATURE_COUNT], &rows)?;
        let outputs = self.plan.run(tvec!(input.into()))?;
        for (output, (name, is_last)) in outputs.iter().zip(&self.names) {
            let view = output.try_as_plain_ram()?;
            let values = view.as_slice::<f32>()?;
            let bad = values
                .iter()
                .find(|value| value.is_nan() || (*is_last && value.is_infinite()));
            if let Some(value) = bad {
                return Ok(Some(format!(
                    "node {name:?} computes {value} for features within their ranges"
                )));
            }
        }
        Ok(None)
    }
}
