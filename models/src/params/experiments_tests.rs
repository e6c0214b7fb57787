//! The rules of the section `experiments`.

use serde_json::{Value, json};

use super::{layer_parts, parse, with_patches};

fn bad_fields(experiments: Value) -> Vec<String> {
    let errors = parse(json!({ "experiments": experiments })).err().unwrap_or_default();
    errors.into_iter().map(|error| error.field).collect()
}

fn experiment(name: &str, layer: &str, traffic: f64, patch: Value) -> Value {
    json!({"name": name, "layer": layer, "traffic": traffic,
           "variants": [{"name": "a"}, {"name": "b", "params": patch}]})
}

#[test]
fn a_good_document_is_taken_and_survives_json() {
    let good = json!({"experiments": [experiment("e1", "rank", 0.5, json!({"rerank": {"exploration_share": 0.3}})),
                                      experiment("e2", "rank", 0.5, json!({"rerank": {"exploration_share": 0.0}})),
                                      experiment("e3", "recall", 1.0, json!({"channels": {"hot": {"quota": 10}}}))]});
    let params = parse(good).expect("valid");
    assert_eq!(layer_parts(&params.experiments), [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]);
    assert_eq!(params.experiments[0].variants[1].weight, 1.0);
    let json = serde_json::to_value(&params).expect("JSON");
    assert_eq!(parse(json).expect("valid"), params);
    let patched = with_patches(&params, &[params.experiments[2].variants[1].patch()]).expect("valid");
    assert_eq!((patched.channel("hot").quota, patched.experiments.len()), (10, 0));
    assert!(patched.channel("hot").enabled);
}

#[test]
fn bad_keys_and_values_of_a_variant_are_named_by_their_path() {
    let fields = bad_fields(json!([experiment("e", "l", 1.0, json!({"rerank": {"xyz": 1}}))]));
    assert_eq!(fields, ["experiments[0].variants[1].params.rerank.xyz"]);
    let fields = bad_fields(json!([experiment(
        "e",
        "l",
        1.0,
        json!({"rerank": {"exploration_share": 7}})
    )]));
    assert_eq!(fields, ["experiments[0].variants[1].params.rerank.exploration_share"]);
    let fields = bad_fields(json!([{"name": "e", "wieght": 1, "variants": [{"name": "a", "modle": "x"}]}]));
    assert_eq!(fields, ["experiments[0].variants[0].modle", "experiments[0].wieght"]);
    let fields = bad_fields(json!([{"name": "e", "traffic": "half", "variants": [{"name": "a"}]}]));
    assert_eq!(fields, ["experiments[0].traffic"]);
    let fields = bad_fields(json!([experiment("e", "l", 1.0, json!({"experiments": []}))]));
    assert_eq!(fields[0], "experiments[0].variants[1].params.experiments");
}

#[test]
fn layers_cannot_be_overfilled_and_names_are_unique() {
    let none = json!({});
    let fields = bad_fields(json!([
        experiment("e1", "l", 0.7, none.clone()),
        experiment("e2", "l", 0.4, none.clone())
    ]));
    assert_eq!(fields, ["experiments[1].traffic"]);
    let fields = bad_fields(json!([
        experiment("e", "l", 0.5, none.clone()),
        experiment("e", "m", 0.5, none.clone())
    ]));
    assert_eq!(fields, ["experiments[1].name"]);
    let mut second = experiment("e2", "l", 0.5, none.clone());
    second["start"] = json!(0.25);
    let fields = bad_fields(json!([experiment("e1", "l", 0.5, none), second]));
    assert_eq!(fields, ["experiments[1].traffic"]);
    let twice =
        json!([{"name": "e", "variants": [{"name": "a"}, {"name": "a"}], "forced": {"u": "c"}, "metric": "joy"}]);
    assert_eq!(
        bad_fields(twice),
        [
            "experiments[0].metric",
            "experiments[0].variants[1].name",
            "experiments[0].forced.u"
        ]
    );
}

#[test]
fn a_parameter_belongs_to_one_layer() {
    let share = json!({"rerank": {"exploration_share": 0.3}});
    let fields = bad_fields(json!([
        experiment("e1", "l", 1.0, share.clone()),
        experiment("e2", "m", 1.0, share.clone())
    ]));
    assert_eq!(fields, ["experiments[1].variants[1].params.rerank.exploration_share"]);
    let window = json!({"rerank": {"author_window": 3}});
    assert!(
        bad_fields(json!([
            experiment("e1", "l", 1.0, share),
            experiment("e2", "m", 1.0, window)
        ]))
        .is_empty()
    );
}
