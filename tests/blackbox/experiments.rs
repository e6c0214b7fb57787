//! Experiments: viewers split as the params say, are served by their variant's params and model, and an effect that was
//! planted in them is reported, also after `kill -9`.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};
use swipeline_models::rank::Objective;
use swipeline_models::rank::mlp::MlpSpec;
use swipeline_models::rank::onnx_writer::write_onnx;
use swipeline_models::rank::prior::prior_mlp;

use crate::harness::{Server, item_ids, problem};
use crate::socket::Socket;

/// The chi-square of one degree of freedom that chance exceeds once in a thousand times.
const CHI_SQUARE_MAX: f64 = 10.83;

async fn patch(server: &Server, patch: &Value) -> reqwest::Response {
    let call = server.admin_call(Method::PATCH, "/v1/admin/params").json(patch);
    call.send().await.expect("an answer")
}

async fn set_params(server: &Server, change: &Value) {
    let answer = patch(server, change).await;
    let status = answer.status();
    assert_eq!(status, 200, "{}", answer.text().await.expect("a body"));
}

fn half_and_half() -> Value {
    json!({"experiments": [{"name": "ranking", "variants": [
        {"name": "a"}, {"name": "b", "params": {"feed": {"n": 4}, "rerank": {"exploration_share": 0.0}}}]}]})
}

/// One feed per viewer, and what they thought of it: who is in `b` likes about four of seven items, the others two.
async fn let_viewers_swipe(server: &Server, viewers: std::ops::Range<u32>) -> HashMap<String, u32> {
    let mut split: HashMap<String, u32> = HashMap::new();
    let mut events = Vec::new();
    for viewer in viewers {
        let user = format!("viewer-{viewer}");
        let feed = server.serve(&format!("/v1/users/{user}/feed?n=6")).await;
        let variant = feed["variant"].as_str().expect("a variant").to_owned();
        for (place, item) in item_ids(&feed).into_iter().enumerate() {
            // No two viewers are quite alike: of six items some like one more than others.
            let mood = (place + (viewer * viewer) as usize) % 7;
            let is_liked = mood < if variant == "ranking:b" { 4 } else { 2 };
            let kind = if is_liked { "like" } else { "skip" };
            events.push(json!({"user_id": user, "item_id": item, "type": kind, "watch_ms": 1_000}));
        }
        *split.entry(variant).or_default() += 1;
    }
    let sent = events.len();
    let reply = server.send(Method::POST, "/v1/events", &Value::Array(events)).await;
    assert_eq!(reply["accepted"], sent, "{reply}");
    split
}

#[tokio::test]
async fn viewers_split_in_half_and_are_served_by_their_variants_params() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 60).await;
    assert_eq!(server.serve("/v1/users/early/feed").await.get("variant"), None);
    set_params(&server, &half_and_half()).await;
    let mut split: HashMap<String, f64> = HashMap::new();
    for viewer in 0..300 {
        let path = format!("/v1/users/viewer-{viewer}/feed?n=1&impressions=explicit");
        let variant = server.get(&path).await["variant"].clone();
        assert_eq!(
            server.get(&path).await["variant"],
            variant,
            "a viewer stays in a variant"
        );
        *split
            .entry(variant.as_str().expect("a variant").to_owned())
            .or_default() += 1.0;
    }
    assert_eq!(split.len(), 2, "{split:?}");
    let chi_square: f64 = split
        .values()
        .map(|viewers| (viewers - 150.0) * (viewers - 150.0) / 150.0)
        .sum();
    assert!(chi_square < CHI_SQUARE_MAX, "{split:?}");
    for viewer in 0..6 {
        let user = format!("viewer-{viewer}");
        let mut socket = Socket::unread(&server, &user).await;
        let welcome = socket.until("welcome").await;
        let feed = socket.until("feed").await;
        let over_rest = server
            .get(&format!("/v1/users/{user}/feed?n=1&impressions=explicit"))
            .await;
        assert_eq!(feed["variant"], over_rest["variant"]);
        let n = if feed["variant"] == "ranking:b" { 4 } else { 10 };
        assert_eq!(
            (&welcome["params"]["n"], item_ids(&feed).len()),
            (&json!(n), n as usize),
            "{feed}"
        );
    }
}

#[tokio::test]
async fn a_variant_can_be_forced_by_the_params_and_by_requests_where_they_allow_it() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut document = half_and_half();
    document["experiments"][0]["traffic"] = json!(0.0);
    document["experiments"][0]["forced"] = json!({"tester": "b"});
    set_params(&server, &document).await;
    let feed = |query: &str| format!("/v1/users/ann/feed?impressions=explicit&{query}");
    assert_eq!(server.serve("/v1/users/tester/feed").await["variant"], "ranking:b");
    assert_eq!(server.get(&feed("")).await.get("variant"), None);
    let refused = server
        .call(Method::GET, &feed("variant=ranking:b"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(problem(refused, 422).await["errors"][0]["field"], "variant");
    document["experiments"][0]["allow_forced_requests"] = json!(true);
    set_params(&server, &document).await;
    assert_eq!(server.get(&feed("variant=ranking:b")).await["variant"], "ranking:b");
    assert_eq!(server.get(&feed("")).await.get("variant"), None, "only that request");
    let unknown = server
        .call(Method::GET, &feed("variant=ranking:z"))
        .send()
        .await
        .expect("an answer");
    problem(unknown, 422).await;
    let mut socket = Socket::unread(&server, "bob").await;
    assert_eq!(socket.until("feed").await.get("variant"), None);
    socket
        .send(&json!({"type": "hello", "id": 1, "variant": "ranking:z"}))
        .await;
    let refused = socket.until("error").await;
    assert_eq!(
        (&refused["code"], &refused["id"]),
        (&json!("variant_refused"), &json!(1))
    );
    socket.send(&json!({"type": "hello", "variant": "ranking:b"})).await;
    let wished = socket.until_matching(|message| message["variant"] == "ranking:b").await;
    assert_eq!(item_ids(&wished).len(), 4);
    let report = server.get("/v1/experiments/ranking").await;
    assert_eq!(report["users"], 0, "whoever was forced does not count: {report}");
}

#[tokio::test]
async fn experiments_that_cannot_be_are_refused_by_their_path() {
    let server = Server::start().await;
    let variants = |patch: Value| json!([{"name": "a"}, {"name": "b", "params": patch}]);
    let one = |patch: Value| json!([{"name": "e", "variants": variants(patch)}]);
    let two = |traffic: f64| {
        json!([{"name": "e1", "traffic": traffic, "variants": variants(json!({}))},
               {"name": "e2", "traffic": traffic, "variants": variants(json!({}))}])
    };
    let mut model = one(json!({}));
    model[0]["variants"][1]["model"] = json!("nobody");
    for (experiments, field) in [
        (
            one(json!({"rerank": {"xyz": 1}})),
            "experiments[0].variants[1].params.rerank.xyz",
        ),
        (
            one(json!({"feed": {"n": 0}})),
            "experiments[0].variants[1].params.feed.n",
        ),
        (
            json!([{"name": "e", "variants": [{"name": "a", "wait": 1}]}]),
            "experiments[0].variants[0].wait",
        ),
        (two(0.6), "experiments[1].traffic"),
        (model, "experiments[0].variants[1].model"),
    ] {
        let refused = problem(patch(&server, &json!({"experiments": experiments})).await, 422).await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    set_params(&server, &json!({"experiments": two(0.5)})).await;
}

#[tokio::test]
async fn a_planted_effect_is_reported_and_survives_kill_9() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "3600000")]).await;
    server.put_catalogue(&["pets", "food"], 30).await;
    let mut document = half_and_half();
    document["experiments"][0]["users_min"] = json!(80);
    set_params(&server, &document).await;
    let_viewers_swipe(&server, 0..120).await;
    let early = server.get("/v1/experiments/ranking").await;
    assert_eq!(early["verdict"], "needs_more_viewers", "{early}");
    let saved = server
        .admin_call(Method::POST, "/v1/admin/checkpoint")
        .send()
        .await
        .expect("an answer");
    assert_eq!(saved.status(), 200);
    // Some of them come back, so that a viewer's totals lie on both sides of the checkpoint.
    let split = let_viewers_swipe(&server, 60..260).await;
    assert_eq!(split.len(), 2, "{split:?}");
    let report = server.get("/v1/experiments/ranking").await;
    assert_eq!(report["verdict"], "better: b", "{report}");
    assert_eq!(
        (&report["users"], &report["sample_ratio"]["alarm"]),
        (&json!(260), &json!(false))
    );
    let compared = &report["variants"][1]["compared"]["like_rate"];
    assert!(
        (compared["difference"].as_f64().expect("a number") - 2.0 / 7.0).abs() < 0.05,
        "{compared}"
    );
    assert_eq!(compared["sequential"]["significant"], true);
    assert!(
        compared["sequential"]["low"].as_f64() < compared["low"].as_f64(),
        "{compared}"
    );
    let stats = "/v1/stats?window=30d&group_by=variant,channel,category,position&variant=ranking:b";
    let before = server.get(stats).await;
    assert_eq!(before["experiment"]["verdict"], "better: b");
    assert_eq!(before["total"]["impressions"], report["variants"][1]["impressions"]);
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    let after = server.get(stats).await;
    assert_eq!(
        (&after["total"], &after["groups"]),
        (&before["total"], &before["groups"])
    );
    let again = server.get("/v1/experiments/ranking").await;
    for number in [0, 1] {
        let (one, other) = (&report["variants"][number], &again["variants"][number]);
        for field in ["users", "impressions", "sessions", "watch_time_ms"] {
            assert_eq!(one[field], other[field], "{field}");
        }
        for end in ["value", "low", "high"] {
            let of = |variant: &Value| variant["metrics"]["like_rate"][end].as_f64().expect("a number");
            assert!((of(one) - of(other)).abs() < 1e-9, "{one} {other}");
        }
    }
}

#[tokio::test]
async fn a_variant_can_be_ranked_by_a_model_of_its_own() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[]).await;
    server.put_catalogue(&["pets"], 40).await;
    let layers = prior_mlp().expect("the tables fit").layers().to_vec();
    let mut spec = MlpSpec::new(layers, "generous").expect("the layers fit");
    spec.layers_mut()[2].bias[Objective::Like.index()] += 2.0;
    let keep = server
        .admin_call(Method::PUT, "/v1/admin/models/generous")
        .body(write_onnx(&spec));
    let kept = keep.send().await.expect("an answer");
    assert_eq!(kept.status(), 200, "{}", kept.text().await.expect("a body"));
    let mut document = half_and_half();
    document["experiments"][0]["allow_forced_requests"] = json!(true);
    document["experiments"][0]["variants"][1] = json!({"name": "b", "model": "generous"});
    set_params(&server, &document).await;
    let like = async |server: &Server, variant: &str| {
        let query = format!("/v1/users/u/feed?explain=true&impressions=explicit&variant=ranking:{variant}");
        let feed = server.get(&query).await;
        let items = feed["items"].as_array().expect("items").clone();
        let likes = items
            .iter()
            .filter_map(|item| item["explain"]["objectives"]["like"].as_f64());
        likes.sum::<f64>() / items.len() as f64
    };
    let (plain, generous) = (like(&server, "a").await, like(&server, "b").await);
    assert!(generous > plain + 0.05, "{plain} {generous}");
    let drop = server
        .admin_call(Method::DELETE, "/v1/admin/models/generous")
        .send()
        .await;
    problem(drop.expect("an answer"), 409).await;
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    assert!(
        like(&server, "b").await > plain + 0.05,
        "the model is kept over a restart"
    );
    set_params(&server, &json!({"experiments": []})).await;
    let drop = server
        .admin_call(Method::DELETE, "/v1/admin/models/generous")
        .send()
        .await;
    assert_eq!(drop.expect("an answer").status(), 204);
}
