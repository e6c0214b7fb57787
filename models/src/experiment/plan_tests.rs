//! Assignment: shares, independence of layers, salts, forced viewers and times.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::*;
use crate::time::TimestampMs;
use serde_json::{Value, json};

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

fn plan(experiments: Value) -> Plan {
    let params = crate::params::parse(json!({ "experiments": experiments })).expect("valid");
    Plan::new(Arc::new(params))
}

fn label(plan: &Plan, user: &str, wishes: &[Choice]) -> String {
    let resolved = plan.resolve(&plan.assign(user, NOW, wishes).0);
    resolved.label.as_deref().unwrap_or(VARIANT_DEFAULT).to_owned()
}

fn two(name: &str, layer: &str, traffic: f64) -> Value {
    json!({"name": name, "layer": layer, "traffic": traffic, "variants": [{"name": "a"}, {"name": "b"}]})
}

#[test]
fn viewers_split_by_traffic_and_weight_and_layers_are_independent() {
    let mut first = two("e1", "one", 0.5);
    first["variants"][1]["weight"] = json!(3.0);
    let plan = plan(json!([first, two("e2", "one", 0.3), two("e3", "two", 1.0)]));
    let mut counts: FxHashMap<String, u32> = FxHashMap::default();
    for number in 0..20_000 {
        *counts.entry(label(&plan, &format!("user-{number}"), &[])).or_default() += 1;
    }
    // Nobody is in two experiments of a layer; everybody is in one of `two`.
    let expected = [
        ("e1:a,e3:a", 0.0625),
        ("e1:a,e3:b", 0.0625),
        ("e1:b,e3:a", 0.1875),
        ("e1:b,e3:b", 0.1875),
        ("e2:a,e3:a", 0.075),
        ("e2:a,e3:b", 0.075),
        ("e2:b,e3:a", 0.075),
        ("e2:b,e3:b", 0.075),
        ("e3:a", 0.1),
        ("e3:b", 0.1),
    ];
    assert_eq!(counts.len(), expected.len(), "{counts:?}");
    let statistic: f64 = expected
        .iter()
        .map(|(label, share)| {
            let expected = share * 20_000.0;
            let found = f64::from(counts[*label]);
            (found - expected) * (found - expected) / expected
        })
        .sum();
    assert!(chi_square_tail(statistic, expected.len() - 1) > 0.001, "{counts:?}");
}

#[test]
fn another_salt_mixes_anew_and_a_plan_is_the_same_every_time() {
    let (mut salted, plain) = (two("e", "l", 1.0), two("e", "l", 1.0));
    salted["salt"] = json!("again");
    let (one, same, other) = (
        plan(json!([plain.clone()])),
        plan(json!([plain])),
        plan(json!([salted])),
    );
    let users: Vec<String> = (0..2_000).map(|number| format!("u{number}")).collect();
    assert!(
        users
            .iter()
            .all(|user| label(&one, user, &[]) == label(&same, user, &[]))
    );
    let moved = users
        .iter()
        .filter(|user| label(&one, user, &[]) != label(&other, user, &[]))
        .count();
    assert!((900..1_100).contains(&moved), "{moved}");
    assert_eq!(one.arm("e", "a"), same.arm("e", "a"));
    assert_ne!(one.arm("e", "a"), other.arm("e", "a"));
}

#[test]
fn params_of_a_combination_hold_all_patches_and_are_shared() {
    let patched = |name: &str, layer: &str, patch: Value| json!({"name": name, "layer": layer, "variants": [{"name": "x", "params": patch}]});
    let plan = plan(json!([
        patched("e1", "one", json!({"rerank": {"exploration_share": 0.5}})),
        patched("e2", "two", json!({"feed": {"n": 7}})),
    ]));
    let of = |user: &str| plan.resolve(&plan.assign(user, NOW, &[]).0);
    let (ann, bob) = (of("ann"), of("bob"));
    assert!(Arc::ptr_eq(&ann, &bob));
    assert_eq!((ann.params.feed.n, ann.params.rerank.exploration_share), (7, 0.5));
    assert_eq!((ann.label.as_deref(), ann.arms.len()), (Some("e1:x,e2:x"), 2));
}

#[test]
fn forced_viewers_and_wishes_go_first_and_do_not_count() {
    let mut first = two("e1", "one", 0.0);
    first["forced"] = json!({"tester": "b"});
    first["allow_forced_requests"] = json!(true);
    let plan = plan(json!([first, two("e2", "one", 1.0)]));
    assert_eq!(label(&plan, "tester", &[]), "e1:b");
    let wishes = plan.wish("e1:a").expect("allowed");
    assert_eq!(label(&plan, "tester", &wishes), "e1:a");
    assert!(plan.resolve(&wishes).arms.is_empty());
    assert_eq!(plan.wish("e2:a"), Err(WishError::NotAllowed("e2:a".to_owned())));
    assert_eq!(plan.wish("e1:c"), Err(WishError::Unknown("e1:c".to_owned())));
    assert_eq!(plan.wish("e1"), Err(WishError::Malformed));
    assert_eq!(plan.wish("e1:a,e1:b"), Err(WishError::Malformed));
}

#[test]
fn an_experiment_runs_in_its_time() {
    let mut timed = two("e", "l", 1.0);
    timed["from"] = json!(NOW.0);
    timed["until"] = json!(NOW.0 + 1_000);
    let plan = plan(json!([timed]));
    let at = |ms: i64| plan.assign("u", NOW.plus_ms(ms), &[]);
    assert_eq!(
        (at(-1).0.len(), at(0).0.len(), at(999).0.len(), at(1_000).0.len()),
        (0, 1, 1, 0)
    );
    assert_eq!((at(-1).1, at(0).1, at(1_000).1.0), (NOW, NOW.plus_ms(1_000), i64::MAX));
}
