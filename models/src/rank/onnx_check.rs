//! Looks at an ONNX file before the inference engine does.
//!
//! Owns what can be told from the file alone: size, metadata, shapes and types of input and output; nodes and tensors
//! are `onnx_graph`'s. A model comes over the admin interface and is not trusted. Runs nothing.

use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension;

use super::error::ModelError;
use super::objectives::OBJECTIVE_COUNT;
use super::onnx_graph::{check_float, check_graph};
use super::onnx_writer::{
    INPUT_NAME, METADATA_MODEL_VERSION, METADATA_SCHEMA_FINGERPRINT, METADATA_SCHEMA_VERSION, OUTPUT_NAME,
};
use crate::features::schema::{FEATURE_COUNT, FEATURE_SCHEMA_VERSION, schema_fingerprint};

/// Largest model file, which is what the admin listener takes: tables of ids make files large long before they make scoring
/// slow.
pub const MODEL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest version text that is kept, in characters.
pub const MODEL_VERSION_CHARS_MAX: usize = 64;
/// Version of a model that states none.
const VERSION_UNKNOWN: &str = "unversioned";

/// A file that passed every check that can be made without running it.
#[derive(Debug)]
pub(crate) struct CheckedModel {
    /// The decoded file.
    pub(crate) proto: pb::ModelProto,
    /// Version of the weights as the file states it.
    pub(crate) model_version: String,
}

/// Decodes and checks a file.
pub(crate) fn check_model(bytes: &[u8]) -> Result<CheckedModel, ModelError> {
    if bytes.len() > MODEL_BYTES_MAX {
        return Err(ModelError::TooLarge {
            bytes: bytes.len(),
            bytes_max: MODEL_BYTES_MAX,
        });
    }
    let proto = pb::ModelProto::decode(bytes).map_err(|error| ModelError::NotOnnx {
        detail: error.to_string(),
    })?;
    let Some(graph) = &proto.graph else {
        return Err(ModelError::NotOnnx {
            detail: "the file has no graph".to_owned(),
        });
    };
    if !proto
        .opset_import
        .iter()
        .any(|import| import.domain.is_empty() || import.domain == "ai.onnx")
    {
        return Err(ModelError::NotOnnx {
            detail: "the file names no operator set; is it cut off?".to_owned(),
        });
    }
    check_metadata(&proto)?;
    check_input(graph)?;
    check_output(graph)?;
    check_graph(graph)?;
    let model_version = model_version(&proto);
    Ok(CheckedModel { proto, model_version })
}

fn metadata<'a>(proto: &'a pb::ModelProto, key: &str) -> Option<&'a str> {
    proto
        .metadata_props
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| entry.value.as_str())
}

/// A model without metadata is served when its shapes fit: common exporters write none. What is stated must be right.
fn check_metadata(proto: &pb::ModelProto) -> Result<(), ModelError> {
    let expectations = [
        (METADATA_SCHEMA_FINGERPRINT, format!("{:016x}", schema_fingerprint())),
        (METADATA_SCHEMA_VERSION, FEATURE_SCHEMA_VERSION.to_string()),
    ];
    for (key, expected) in expectations {
        match metadata(proto, key) {
            Some(found) if found != expected => {
                let found = found.chars().take(MODEL_VERSION_CHARS_MAX).collect();
                return Err(ModelError::Metadata { key, found, expected });
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn model_version(proto: &pb::ModelProto) -> String {
    let stated = metadata(proto, METADATA_MODEL_VERSION).unwrap_or_default();
    let version: String = stated
        .chars()
        .filter(|c| !c.is_control())
        .take(MODEL_VERSION_CHARS_MAX)
        .collect();
    match version.is_empty() {
        true => VERSION_UNKNOWN.to_owned(),
        false => version,
    }
}

fn check_input(graph: &pb::GraphProto) -> Result<(), ModelError> {
    // Old files list their weights as inputs, too; a real input has no initial value.
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<&pb::ValueInfoProto> = graph.input.iter().filter(|input| !is_weight(&input.name)).collect();
    let [input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let detail = format!("the graph must have exactly one, `{INPUT_NAME}`; it has {names:?}");
        return Err(ModelError::Input { detail });
    };
    if input.name != INPUT_NAME {
        let detail = format!("it must be called `{INPUT_NAME}`, not {:?}", input.name);
        return Err(ModelError::Input { detail });
    }
    let tensor = tensor_type(input).ok_or_else(|| ModelError::Input {
        detail: "it has no tensor type".to_owned(),
    })?;
    check_float(tensor.elem_type, || format!("input `{INPUT_NAME}`"))?;
    let dims = tensor
        .shape
        .as_ref()
        .map(|shape| shape.dim.as_slice())
        .unwrap_or_default();
    let [batch, columns] = dims else {
        let detail = format!(
            "`{INPUT_NAME}` must have the shape [N, {FEATURE_COUNT}], it has {} dimensions",
            dims.len()
        );
        return Err(ModelError::Input { detail });
    };
    if let Some(dimension::Value::DimValue(rows)) = &batch.value {
        let detail = format!("the batch dimension of `{INPUT_NAME}` is fixed to {rows}; export it as a dynamic axis");
        return Err(ModelError::Input { detail });
    }
    match &columns.value {
        Some(dimension::Value::DimValue(width)) if *width == FEATURE_COUNT as i64 => Ok(()),
        other => Err(ModelError::InputWidth {
            found: dimension_text(other),
            expected: FEATURE_COUNT,
        }),
    }
}

fn check_output(graph: &pb::GraphProto) -> Result<(), ModelError> {
    let [output] = graph.output.as_slice() else {
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        let detail = format!("the graph must have exactly one, `{OUTPUT_NAME}`; it has {names:?}");
        return Err(ModelError::Output { detail });
    };
    if output.name != OUTPUT_NAME {
        let detail = format!("it must be called `{OUTPUT_NAME}`, not {:?}", output.name);
        return Err(ModelError::Output { detail });
    }
    // The output's declared shape is optional; what the engine derives is checked after compiling in any case.
    let Some(tensor) = tensor_type(output) else {
        return Ok(());
    };
    check_float(tensor.elem_type, || format!("output `{OUTPUT_NAME}`"))?;
    let columns = tensor
        .shape
        .as_ref()
        .and_then(|shape| shape.dim.get(1))
        .map(|columns| &columns.value);
    match columns {
        Some(Some(dimension::Value::DimValue(width))) if *width != OBJECTIVE_COUNT as i64 => {
            Err(ModelError::OutputWidth {
                found: width.to_string(),
                expected: OBJECTIVE_COUNT,
            })
        }
        Some(_) | None => Ok(()),
    }
}

fn tensor_type(value: &pb::ValueInfoProto) -> Option<&pb::type_proto::Tensor> {
    let pb::type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

fn dimension_text(value: &Option<dimension::Value>) -> String {
    match value {
        Some(dimension::Value::DimValue(width)) => width.to_string(),
        Some(dimension::Value::DimParam(symbol)) => format!("symbol {symbol:?}"),
        None => "an unknown number of".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use super::*;
    use crate::rank::onnx_writer::mlp_to_proto;
    use crate::rank::prior::prior_mlp;

    /// The bundled model, changed.
    fn refusal(change: impl FnOnce(&mut pb::ModelProto)) -> ModelError {
        let mut proto = mlp_to_proto(&prior_mlp().expect("the tables fit"));
        change(&mut proto);
        check_model(&proto.encode_to_vec()).expect_err("this change must be refused")
    }

    fn graph(proto: &mut pb::ModelProto) -> &mut pb::GraphProto {
        proto.graph.as_mut().expect("has a graph")
    }

    fn tensor(value: &mut pb::ValueInfoProto) -> &mut pb::type_proto::Tensor {
        let pb::type_proto::Value::TensorType(tensor) = value
            .r#type
            .as_mut()
            .and_then(|kind| kind.value.as_mut())
            .expect("has a tensor type");
        tensor
    }

    fn set_dim(value: &mut pb::ValueInfoProto, index: usize, size: i64) {
        let shape = tensor(value).shape.as_mut().expect("has a shape");
        shape.dim[index].value = Some(dimension::Value::DimValue(size));
    }

    #[test]
    fn wrong_widths_are_named() {
        let input = refusal(|proto| set_dim(&mut graph(proto).input[0], 1, 64));
        assert_eq!(
            input,
            ModelError::InputWidth {
                found: "64".to_owned(),
                expected: FEATURE_COUNT
            }
        );
        let output = refusal(|proto| set_dim(&mut graph(proto).output[0], 1, 4));
        assert_eq!(
            output,
            ModelError::OutputWidth {
                found: "4".to_owned(),
                expected: OBJECTIVE_COUNT
            }
        );
        let fixed = refusal(|proto| set_dim(&mut graph(proto).input[0], 0, 8));
        assert!(fixed.to_string().contains("fixed to 8"), "{fixed}");
    }

    #[test]
    fn wrong_names_and_numbers_of_inputs_are_named() {
        let renamed = refusal(|proto| graph(proto).input[0].name = "x".to_owned());
        assert!(renamed.to_string().contains("`features`, not \"x\""), "{renamed}");
        let two = refusal(|proto| {
            let mut extra = graph(proto).input[0].clone();
            extra.name = "extra".to_owned();
            graph(proto).input.push(extra);
        });
        assert!(two.to_string().contains("extra"), "{two}");
        assert!(matches!(
            refusal(|proto| graph(proto).output.clear()),
            ModelError::Output { .. }
        ));
    }

    #[test]
    fn half_precision_and_quantised_models_are_refused() {
        let half = refusal(|proto| tensor(&mut graph(proto).input[0]).elem_type = DataType::Float16 as i32);
        assert!(half.to_string().contains("FLOAT16"), "{half}");
        let int8 = refusal(|proto| graph(proto).initializer[0].data_type = DataType::Int8 as i32);
        assert!(
            matches!(&int8, ModelError::ElementType { found, .. } if found == "INT8"),
            "{int8}"
        );
        let quantised = refusal(|proto| graph(proto).node[0].op_type = "MatMulInteger".to_owned());
        assert!(matches!(quantised, ModelError::Operator { .. }));
    }

    #[test]
    fn metadata_may_be_absent_but_not_wrong() {
        let mut bare = mlp_to_proto(&prior_mlp().expect("the tables fit"));
        bare.metadata_props.clear();
        let checked = check_model(&bare.encode_to_vec()).expect("shapes fit");
        assert_eq!(checked.model_version, VERSION_UNKNOWN);
        let fingerprint = refusal(|proto| proto.metadata_props[0].value = "0123456789abcdef".to_owned());
        assert!(
            fingerprint
                .to_string()
                .contains("schema_fingerprint is \"0123456789abcdef\""),
            "{fingerprint}"
        );
        let version = refusal(|proto| proto.metadata_props[1].value = "2".to_owned());
        assert!(matches!(
            version,
            ModelError::Metadata {
                key: METADATA_SCHEMA_VERSION,
                ..
            }
        ));
    }

    #[test]
    fn oversized_and_foreign_files_are_refused() {
        let too_large = check_model(&vec![0; MODEL_BYTES_MAX + 1]).expect_err("too large");
        assert!(matches!(too_large, ModelError::TooLarge { .. }));
        for bytes in [b"".as_slice(), b"\x89PNG\r\n", b"{\"a\": 1}", &[0xff; 64]] {
            assert!(
                matches!(check_model(bytes), Err(ModelError::NotOnnx { .. })),
                "{bytes:?}"
            );
        }
    }
}
