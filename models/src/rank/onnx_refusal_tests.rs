//! Tests of what the ONNX loader refuses: files that pass as ONNX and are still no ranking model, and damaged ones.

use proptest::prelude::*;
use prost::Message;

use super::error::ModelError;
use super::mlp::{DenseLayer, MlpSpec};
use super::objectives::OBJECTIVE_COUNT;
use super::onnx::OnnxRanker;
use super::onnx_writer::{mlp_to_proto, write_onnx};
use super::prior::{bundled_ranker_bytes, prior_mlp};
use super::ranker::{RankScratch, Ranker};
use super::warm_up::warm_up_rows;
use crate::features::schema::FEATURE_COUNT;

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

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let refusal = OnnxRanker::load(&write_onnx(&flat_spec(f32::NAN, 0.0)))
        .err()
        .expect("NaN weights");
    assert!(matches!(refusal, ModelError::Tensor { .. }), "{refusal}");
}

#[test]
fn outputs_that_are_no_probabilities_are_refused_at_warm_up() {
    // Without the logistic function the sums come out.
    let mut linear = mlp_to_proto(&flat_spec(1.0, 0.0));
    linear.graph.as_mut().expect("has a graph").node[1].op_type = "Identity".to_owned();
    let mut ranker = OnnxRanker::load(&linear.encode_to_vec()).expect("it compiles");
    let refusal = ranker.warm_up().expect_err("sums are not probabilities");
    assert!(refusal.to_string().contains("outside [0, 1]"), "{refusal}");
    // Finite weights whose sums overflow.
    let mut overflow = mlp_to_proto(&flat_spec(f32::MAX, 0.0));
    overflow.graph.as_mut().expect("has a graph").node[1].op_type = "Neg".to_owned();
    let mut ranker = OnnxRanker::load(&overflow.encode_to_vec()).expect("it compiles");
    assert!(matches!(ranker.warm_up(), Err(ModelError::Fault { .. })));
}

#[test]
fn what_is_no_number_behind_a_last_sigmoid_is_refused() {
    // The engine's sigmoid clamps its input, and NaN comes out as a small probability.
    let mut logs = mlp_to_proto(&flat_spec(0.1, 0.0));
    let graph = logs.graph.as_mut().expect("has a graph");
    let features = std::mem::replace(&mut graph.node[0].input[0], "logs".to_owned());
    let log = tract_onnx::pb::NodeProto {
        op_type: "Log".to_owned(),
        name: "log_of_features".to_owned(),
        input: vec![features],
        output: vec!["logs".to_owned()],
        ..Default::default()
    };
    graph.node.insert(0, log);
    let mut ranker = OnnxRanker::load(&logs.encode_to_vec()).expect("it compiles");
    let refusal = ranker.warm_up().expect_err("logarithms of negative features");
    assert!(
        matches!(&refusal, ModelError::Fault { detail } if detail.contains("log_of_features")),
        "{refusal}"
    );
}

#[test]
fn output_width_is_checked_also_when_it_is_not_declared() {
    let layer = DenseLayer {
        weights: vec![0.1; FEATURE_COUNT * 4],
        bias: vec![0.0; 4],
        rows: FEATURE_COUNT,
        cols: 4,
    };
    let mut proto = mlp_to_proto(&MlpSpec::new(vec![layer], "narrow").expect("the layer fits"));
    proto.graph.as_mut().expect("has a graph").output[0].r#type = None;
    let refusal = OnnxRanker::load(&proto.encode_to_vec()).err().expect("four objectives");
    assert_eq!(
        refusal,
        ModelError::OutputWidth {
            found: "4".to_owned(),
            expected: OBJECTIVE_COUNT
        }
    );
}

#[test]
fn graphs_that_do_not_connect_are_refused() {
    let mut proto = mlp_to_proto(&flat_spec(0.1, 0.0));
    proto.graph.as_mut().expect("has a graph").node[1].input[0] = "nowhere".to_owned();
    let refusal = OnnxRanker::load(&proto.encode_to_vec()).err().expect("a loose end");
    assert!(matches!(refusal, ModelError::Graph { .. }), "{refusal}");
    let mut proto = mlp_to_proto(&flat_spec(0.1, 0.0));
    proto.graph.as_mut().expect("has a graph").output[0].name = "nobody".to_owned();
    assert!(OnnxRanker::load(&proto.encode_to_vec()).is_err());
    let mut proto = mlp_to_proto(&flat_spec(0.1, 0.0));
    proto.graph.as_mut().expect("has a graph").node.clear();
    assert!(OnnxRanker::load(&proto.encode_to_vec()).is_err());
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let proto = mlp_to_proto(&prior_mlp().expect("the tables fit"));
    let bytes = proto.encode_to_vec();
    let metadata = bytes.len() - pb_without_metadata(proto).encode_to_vec().len();
    // What is cut within the metadata still has the whole graph, and metadata may be absent.
    for cut in (0..bytes.len() - metadata).step_by(97) {
        assert!(OnnxRanker::load(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

fn pb_without_metadata(mut proto: tract_onnx::pb::ModelProto) -> tract_onnx::pb::ModelProto {
    proto.metadata_props.clear();
    proto
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_files_are_refused_or_harmless(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = bundled_ranker_bytes().to_vec();
        for (index, value) in damage {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        // Loading and warming up must come back, whatever they say.
        if let Ok(mut ranker) = OnnxRanker::load(&bytes) {
            let usable = ranker.warm_up().is_ok();
            let mut out = Vec::new();
            let scored = ranker.score(&warm_up_rows(5), 5, &mut out, &mut RankScratch::new()).is_ok();
            prop_assert!(!usable || scored);
        }
    }
}
