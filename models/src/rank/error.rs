//! Why a model was refused and why a scoring call failed.
//!
//! Owns the two error enums of ranking. A [`ModelError`] is for the operator who offers a model and names what to
//! change; a [`RankError`] is for the serving path, which answers it with the fallback scorer.

use thiserror::Error;

/// Why a model file is not served.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ModelError {
    /// The file is larger than the limit.
    #[error("the model has {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The bytes are not an ONNX file.
    #[error("not an ONNX model: {detail}")]
    NotOnnx {
        /// What the decoder said.
        detail: String,
    },
    /// A metadata entry names another schema.
    #[error("metadata {key} is {found:?}, this server needs {expected:?}: the model was made for other features")]
    Metadata {
        /// Key of the entry.
        key: &'static str,
        /// Value in the file.
        found: String,
        /// Value of this build.
        expected: String,
    },
    /// The inputs of the graph are not one `features` of the right rank and type.
    #[error("input: {detail}")]
    Input {
        /// What is wrong.
        detail: String,
    },
    /// The input has the wrong number of features.
    #[error("input `features` has {found} columns, this server computes {expected} features")]
    InputWidth {
        /// Columns in the file.
        found: String,
        /// Columns of this build.
        expected: usize,
    },
    /// The outputs of the graph are not one `objectives` of the right rank and type.
    #[error("output: {detail}")]
    Output {
        /// What is wrong.
        detail: String,
    },
    /// The output has the wrong number of objectives.
    #[error("output `objectives` has {found} columns, this server fuses {expected} objectives")]
    OutputWidth {
        /// Columns in the file.
        found: String,
        /// Columns of this build.
        expected: usize,
    },
    /// Numbers of a kind that is not served.
    #[error("{place} is {found}: only 32-bit float models are served, export without half precision or quantisation")]
    ElementType {
        /// Input, output, tensor or node.
        place: String,
        /// Type in the file.
        found: String,
    },
    /// An operator outside the allowed set.
    #[error("operator {operator} (node {node:?}) is not allowed in a ranking model")]
    Operator {
        /// Name of the operator.
        operator: String,
        /// Name of the node.
        node: String,
    },
    /// A tensor whose data lie outside the file, or whose size and data disagree.
    #[error("tensor {tensor:?}: {detail}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        detail: String,
    },
    /// The inference engine refused the graph.
    #[error("the graph does not compile: {detail}")]
    Graph {
        /// What the engine said.
        detail: String,
    },
    /// The inference engine panicked on the graph.
    #[error("the inference engine panicked on this model: {detail}")]
    Panicked {
        /// The panic's message.
        detail: String,
    },
    /// The model compiled, but does not compute usable scores.
    #[error("warm-up with {batch} rows failed: {detail}")]
    WarmUp {
        /// Rows of the failing batch.
        batch: usize,
        /// What is wrong.
        detail: String,
    },
    /// The model computes something that is no number on its way.
    #[error("{detail}: a later node hides it, and the scores mean nothing")]
    Fault {
        /// Which node computes what.
        detail: String,
    },
    /// No place is left beside the serving model.
    #[error("at most {max} models are kept by name; drop one first")]
    TooManyKept {
        /// How many can be kept.
        max: usize,
    },
    /// There is no earlier model to go back to.
    #[error("there is no previous model to roll back to")]
    NoPrevious,
}

/// Why a scoring call has no scores.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RankError {
    /// The rows do not make up `n` feature rows.
    #[error("{values} values are not {rows} rows of {width} features")]
    RowShape {
        /// Values given.
        values: usize,
        /// Rows announced.
        rows: usize,
        /// Features in a row.
        width: usize,
    },
    /// More rows than one call may score.
    #[error("{rows} rows in one call, the limit is {rows_max}")]
    TooManyRows {
        /// Rows given.
        rows: usize,
        /// The limit.
        rows_max: usize,
    },
    /// A prediction is NaN or infinite.
    #[error("row {row}, objective {objective}: the model answered {value}")]
    NonFinite {
        /// First row concerned.
        row: usize,
        /// Name of the objective.
        objective: &'static str,
        /// The value.
        value: f32,
    },
    /// The inference engine failed.
    #[error("inference failed: {detail}")]
    Inference {
        /// What the engine said.
        detail: String,
    },
}
