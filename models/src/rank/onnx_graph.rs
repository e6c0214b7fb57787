//! Looks at the nodes and tensors of an ONNX graph before the inference engine does.
//!
//! Owns which operators and element types are served, and that every tensor holds what it announces: control flow, data
//! in other files, and sizes that only an allocation would find out are refused. Runs nothing.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use super::error::ModelError;

/// Most nodes of a graph.
pub(crate) const MODEL_NODES_MAX: usize = 4_096;

/// Operators of feed-forward networks. Left out on purpose: control flow (unbounded time), operators that make tensors
/// of a computed size (unbounded memory), random ones (not replayable), quantised ones (30 to 65 times slower).
#[rustfmt::skip]
const OPERATORS_ALLOWED: [&str; 47] = [
    "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Div", "Dropout", "Elu", "Equal", "Erf",
    "Exp", "Flatten", "Gather", "Gelu", "Gemm", "Greater", "HardSigmoid", "HardSwish", "Identity",
    "LayerNormalization", "LeakyRelu", "Less", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "Pow", "ReduceMax",
    "ReduceMean", "ReduceSum", "Relu", "Reshape", "Sigmoid", "Slice", "Softmax", "Softplus", "Split", "Sqrt",
    "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
];

/// Checks every node and every tensor of a graph.
pub(crate) fn check_graph(graph: &pb::GraphProto) -> Result<(), ModelError> {
    if graph.node.len() > MODEL_NODES_MAX {
        let detail = format!("{} nodes, the limit is {MODEL_NODES_MAX}", graph.node.len());
        return Err(ModelError::Graph { detail });
    }
    if let Some(sparse) = graph.sparse_initializer.first() {
        let tensor = sparse
            .values
            .as_ref()
            .map(|values| values.name.clone())
            .unwrap_or_default();
        return Err(ModelError::Tensor {
            tensor,
            detail: "sparse tensors are not served".to_owned(),
        });
    }
    graph.node.iter().try_for_each(check_node)?;
    graph.initializer.iter().try_for_each(check_tensor)
}

fn check_node(node: &pb::NodeProto) -> Result<(), ModelError> {
    let is_standard = node.domain.is_empty() || node.domain == "ai.onnx";
    let holds_graph = node
        .attribute
        .iter()
        .any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty());
    if !is_standard || holds_graph || !OPERATORS_ALLOWED.contains(&node.op_type.as_str()) {
        return Err(ModelError::Operator {
            operator: node.op_type.clone(),
            node: node.name.clone(),
        });
    }
    for attribute in &node.attribute {
        let casts_to = (node.op_type == "Cast" && attribute.name == "to").then_some(attribute.i as i32);
        if let Some(data_type) = casts_to.filter(|data_type| element_bytes(*data_type).is_none()) {
            let place = format!("the target of Cast {:?}", node.name);
            return Err(ModelError::ElementType {
                place,
                found: element_name(data_type),
            });
        }
        attribute
            .t
            .iter()
            .chain(&attribute.tensors)
            .try_for_each(check_tensor)?;
    }
    Ok(())
}

/// Bytes of an element of a type that may occur in a graph; integers and booleans are indices, shapes and masks.
fn element_bytes(data_type: i32) -> Option<usize> {
    match data_type {
        kind if kind == DataType::Float as i32 || kind == DataType::Int32 as i32 => Some(4),
        kind if kind == DataType::Int64 as i32 => Some(8),
        kind if kind == DataType::Bool as i32 => Some(1),
        _ => None,
    }
}

fn check_tensor(tensor: &pb::TensorProto) -> Result<(), ModelError> {
    let refuse = |detail: &str| {
        Err(ModelError::Tensor {
            tensor: tensor.name.clone(),
            detail: detail.to_owned(),
        })
    };
    if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
        return refuse("its data lie in another file; save the model as one file");
    }
    let Some(element_bytes) = element_bytes(tensor.data_type) else {
        let place = format!("tensor {:?}", tensor.name);
        return Err(ModelError::ElementType {
            place,
            found: element_name(tensor.data_type),
        });
    };
    let elements = tensor.dims.iter().try_fold(1_usize, |product, dim| {
        usize::try_from(*dim).ok().and_then(|dim| product.checked_mul(dim))
    });
    // Exactly one field may hold the data; an engine that trusts `dims` would read past it or allocate what it says.
    let typed_values = tensor.float_data.len() + tensor.int32_data.len() + tensor.int64_data.len();
    let stored = match tensor.raw_data.is_empty() {
        true => typed_values,
        false if typed_values == 0 && tensor.raw_data.len().is_multiple_of(element_bytes) => {
            tensor.raw_data.len() / element_bytes
        }
        false => return refuse("its raw data are damaged"),
    };
    if elements != Some(stored) {
        return refuse(&format!(
            "its shape {:?} does not match its {stored} values",
            tensor.dims
        ));
    }
    check_finite(tensor)
}

/// Activation functions may swallow NaN (`max(NaN, 0)` is 0), so that a broken training run would go unnoticed later.
fn check_finite(tensor: &pb::TensorProto) -> Result<(), ModelError> {
    if tensor.data_type != DataType::Float as i32 {
        return Ok(());
    }
    let raw = tensor
        .raw_data
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    match raw
        .chain(tensor.float_data.iter().copied())
        .position(|value| !value.is_finite())
    {
        None => Ok(()),
        Some(index) => Err(ModelError::Tensor {
            tensor: tensor.name.clone(),
            detail: format!("value {index} is not finite"),
        }),
    }
}

fn element_name(data_type: i32) -> String {
    DataType::try_from(data_type).map_or_else(|_| format!("type {data_type}"), |kind| kind.as_str_name().to_owned())
}

/// Refuses what is not 32-bit float; `place` names it.
pub(crate) fn check_float(data_type: i32, place: impl FnOnce() -> String) -> Result<(), ModelError> {
    if data_type == DataType::Float as i32 {
        return Ok(());
    }
    Err(ModelError::ElementType {
        place: place(),
        found: element_name(data_type),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::onnx_writer::mlp_to_proto;
    use crate::rank::prior::prior_mlp;

    /// The graph of the bundled model, changed.
    fn refusal(change: impl FnOnce(&mut pb::GraphProto)) -> ModelError {
        let proto = mlp_to_proto(&prior_mlp().expect("the tables fit"));
        let mut graph = proto.graph.expect("has a graph");
        check_graph(&graph).expect("unchanged it passes");
        change(&mut graph);
        check_graph(&graph).expect_err("this change must be refused")
    }

    #[test]
    fn tensors_must_hold_what_they_announce() {
        let huge = refusal(|graph| graph.initializer[0].dims = vec![i64::MAX, 4]);
        assert!(matches!(huge, ModelError::Tensor { .. }));
        let empty = refusal(|graph| graph.initializer[0].raw_data.clear());
        assert!(empty.to_string().contains("0 values"), "{empty}");
        let cut = refusal(|graph| graph.initializer[0].raw_data.truncate(5));
        assert!(cut.to_string().contains("damaged"), "{cut}");
        let outside = refusal(|graph| graph.initializer[0].data_location = Some(DataLocation::External as i32));
        assert!(outside.to_string().contains("another file"), "{outside}");
        let not_a_number =
            refusal(|graph| graph.initializer[1].raw_data[4..8].copy_from_slice(&f32::NAN.to_le_bytes()));
        assert!(
            not_a_number.to_string().contains("value 1 is not finite"),
            "{not_a_number}"
        );
    }

    #[test]
    fn control_flow_and_foreign_operators_are_refused() {
        let looped = refusal(|graph| {
            let body = pb::AttributeProto {
                g: Some(pb::GraphProto::default()),
                ..Default::default()
            };
            graph.node[1].attribute.push(body);
        });
        assert!(matches!(looped, ModelError::Operator { .. }));
        let foreign = refusal(|graph| graph.node[1].domain = "com.example".to_owned());
        assert!(matches!(foreign, ModelError::Operator { .. }));
        let many = refusal(|graph| {
            let node = graph.node[1].clone();
            graph.node.extend(vec![node; MODEL_NODES_MAX]);
        });
        assert!(many.to_string().contains("nodes"), "{many}");
    }
}
