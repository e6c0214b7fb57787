//! Writes a perceptron as an ONNX file.
//!
//! Owns the graph's layout (Gemm, Relu, Sigmoid), the names of input and output, and the metadata keys that the loader
//! checks. The same network always gives the same bytes.

use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};

use super::mlp::{DenseLayer, MlpSpec};
use crate::features::schema::{FEATURE_SCHEMA_VERSION, schema_fingerprint};

/// Name of the graph's input, float32 of shape `[N, FEATURE_COUNT]`.
pub const INPUT_NAME: &str = "features";
/// Name of the graph's output, float32 of shape `[N, OBJECTIVE_COUNT]`.
pub const OUTPUT_NAME: &str = "objectives";
/// Metadata key: the fingerprint of the feature schema, 16 hexadecimal digits.
pub const METADATA_SCHEMA_FINGERPRINT: &str = "schema_fingerprint";
/// Metadata key: the version of the feature schema, decimal.
pub const METADATA_SCHEMA_VERSION: &str = "schema_version";
/// Metadata key: the version of the weights, free text.
pub const METADATA_MODEL_VERSION: &str = "model_version";

/// Name of the batch dimension.
const BATCH_SYMBOL: &str = "N";
/// Operator set of the file: 13 has Gemm, Relu and Sigmoid as every current engine reads them.
const OPSET_VERSION: i64 = 13;
/// IR version that goes with the operator set.
const IR_VERSION: i64 = 8;

/// The ONNX file of a network: input `features [N, input_width]`, output `objectives [N, output_width]` after the
/// logistic function, metadata of this build's feature schema.
pub fn write_onnx(spec: &MlpSpec) -> Vec<u8> {
    mlp_to_proto(spec).encode_to_vec()
}

/// The file as a message, before encoding.
pub(crate) fn mlp_to_proto(spec: &MlpSpec) -> pb::ModelProto {
    pb::ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![pb::OperatorSetIdProto {
            domain: String::new(),
            version: OPSET_VERSION,
        }],
        producer_name: "swipeline".to_owned(),
        graph: Some(graph(spec)),
        metadata_props: vec![
            metadata(METADATA_SCHEMA_FINGERPRINT, format!("{:016x}", schema_fingerprint())),
            metadata(METADATA_SCHEMA_VERSION, FEATURE_SCHEMA_VERSION.to_string()),
            metadata(METADATA_MODEL_VERSION, spec.model_version().to_owned()),
        ],
        ..Default::default()
    }
}

fn graph(spec: &MlpSpec) -> pb::GraphProto {
    let mut nodes = Vec::new();
    let mut initializers = Vec::new();
    let mut current = INPUT_NAME.to_owned();
    let last = spec.layers().len() - 1;
    for (index, layer) in spec.layers().iter().enumerate() {
        let (weights, bias, sum) = (
            format!("weights_{index}"),
            format!("bias_{index}"),
            format!("sum_{index}"),
        );
        initializers.push(weight_tensor(&weights, layer));
        initializers.push(float_tensor(&bias, vec![layer.cols as i64], &layer.bias));
        nodes.push(gemm(index, [&current, &weights, &bias], &sum));
        let (operator, activated) = match index == last {
            true => ("Sigmoid", OUTPUT_NAME.to_owned()),
            false => ("Relu", format!("hidden_{index}")),
        };
        nodes.push(node(operator, index, vec![sum], &activated));
        current = activated;
    }
    pb::GraphProto {
        name: "ranker".to_owned(),
        node: nodes,
        initializer: initializers,
        input: vec![value_info(INPUT_NAME, spec.input_width())],
        output: vec![value_info(OUTPUT_NAME, spec.output_width())],
        ..Default::default()
    }
}

fn node(operator: &str, index: usize, input: Vec<String>, output: &str) -> pb::NodeProto {
    pb::NodeProto {
        name: format!("{}_{index}", operator.to_lowercase()),
        op_type: operator.to_owned(),
        input,
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

fn gemm(index: usize, input: [&str; 3], output: &str) -> pb::NodeProto {
    let mut gemm = node("Gemm", index, input.map(str::to_owned).to_vec(), output);
    gemm.attribute = vec![float_attribute("alpha", 1.0), float_attribute("beta", 1.0)];
    gemm
}

fn float_attribute(name: &str, value: f32) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..Default::default()
    }
}

fn weight_tensor(name: &str, layer: &DenseLayer) -> pb::TensorProto {
    float_tensor(name, vec![layer.rows as i64, layer.cols as i64], &layer.weights)
}

fn float_tensor(name: &str, dims: Vec<i64>, values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        dims,
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

fn value_info(name: &str, width: usize) -> pb::ValueInfoProto {
    let batch = dimension::Value::DimParam(BATCH_SYMBOL.to_owned());
    let columns = dimension::Value::DimValue(width as i64);
    let dim = [batch, columns]
        .map(|value| Dimension {
            value: Some(value),
            ..Default::default()
        })
        .to_vec();
    let tensor = pb::type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim }),
    };
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn metadata(key: &str, value: String) -> pb::StringStringEntryProto {
    pb::StringStringEntryProto {
        key: key.to_owned(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_spec() -> MlpSpec {
        let hidden = DenseLayer {
            weights: vec![0.5; 6],
            bias: vec![0.0; 2],
            rows: 3,
            cols: 2,
        };
        let output = DenseLayer {
            weights: vec![1.0, -1.0],
            bias: vec![0.25],
            rows: 2,
            cols: 1,
        };
        MlpSpec::new(vec![hidden, output], "small-1").expect("the layers fit")
    }

    #[test]
    fn bytes_are_the_same_every_time_and_decode_to_the_graph() {
        let bytes = write_onnx(&small_spec());
        assert_eq!(bytes, write_onnx(&small_spec()));
        let model = pb::ModelProto::decode(bytes.as_slice()).expect("what we encode decodes");
        let graph = model.graph.expect("has a graph");
        let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(operators, ["Gemm", "Relu", "Gemm", "Sigmoid"]);
        assert_eq!(graph.input[0].name, INPUT_NAME);
        assert_eq!(graph.output[0].name, OUTPUT_NAME);
        assert_eq!(graph.initializer[0].dims, [3, 2]);
        assert_eq!(graph.initializer[0].raw_data.len(), 6 * 4);
        assert_eq!(model.metadata_props[2].value, "small-1");
    }

    #[test]
    fn nodes_chain_from_input_to_output() {
        let graph = mlp_to_proto(&small_spec()).graph.expect("has a graph");
        for pair in graph.node.windows(2) {
            assert_eq!(pair[0].output[0], pair[1].input[0]);
        }
        assert_eq!(graph.node[0].input, [INPUT_NAME, "weights_0", "bias_0"]);
    }
}
