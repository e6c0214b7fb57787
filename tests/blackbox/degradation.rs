//! The degradation ladder: every step shows, a real overload walks it down and up again, and no acknowledged event is lost.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::harness::{Server, eventually, item_ids, problem};
use crate::socket::Socket;

const LEVELS: [&str; 6] = [
    "full",
    "smaller_set",
    "linear_ranker",
    "private_queue",
    "region_hot",
    "refused",
];
/// How many callers ask for feeds without a pause.
const CALLERS: usize = 24;

async fn degradation(server: &Server) -> Value {
    let answer = server.admin_call(Method::GET, "/v1/admin/degradation").send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

async fn patch(server: &Server, patch: &Value) {
    let answer = server
        .admin_call(Method::PATCH, "/v1/admin/params")
        .json(patch)
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200, "{patch}");
}

async fn metric(server: &Server, line: &str) -> f64 {
    let answer = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("text");
    let found = text
        .lines()
        .find_map(|known| known.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0.0)
}

/// Puts a level into force and waits until it holds.
async fn force(server: &Server, level: &str) {
    patch(server, &json!({"degradation": {"forced_level": level, "dwell_ms": 1}})).await;
    let expected = if level == "none" { "full" } else { level };
    eventually("the level holds", async || {
        (degradation(server).await["level"] == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_level_shows_in_feeds_metrics_and_the_admin_api() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 100).await;
    let likes: Vec<Value> = (0..5)
        .map(|number| json!({"user_id": "u", "item_id": format!("pets{number}"), "type": "like"}))
        .collect();
    server.send(Method::POST, "/v1/events", &json!(likes)).await;
    let mut shown: HashSet<String> = (0..5).map(|number| format!("pets{number}")).collect();
    for (number, level) in LEVELS.into_iter().enumerate() {
        force(&server, level).await;
        let report = degradation(&server).await;
        assert_eq!(report["number"], number);
        if number > 0 {
            assert_eq!(report["reason"]["kind"], "forced");
            assert_eq!(report["transitions"][0]["to"], level);
        }
        assert!(
            report["load"]["lag_ms"].is_number() && report["arbiters"][0]["queue"].is_u64(),
            "{report}"
        );
        assert_eq!(report["params"]["lag_ms"]["refused"], 1600);
        eventually("the gauge follows", async || {
            (metric(&server, "swipeline_degradation_level ").await == number as f64).then_some(())
        })
        .await;
        if level == "refused" {
            continue;
        }
        // A signal in between, so that the feed is made and not what the last ranking left.
        let item = format!("food{number}");
        let event = json!([{"user_id": "u", "item_id": item, "type": "view", "watch_ms": 900}]);
        server.send(Method::POST, "/v1/events", &event).await;
        shown.insert(item);
        let feed = server.serve("/v1/users/u/feed").await;
        let expected = if level == "full" { Value::Null } else { json!(level) };
        assert_eq!(feed["degraded"], expected, "{feed}");
        let ids = item_ids(&feed);
        assert_eq!(ids.len(), 10, "{feed}");
        for id in ids {
            assert!(shown.insert(id.clone()), "{id} was shown twice");
        }
    }
    // The private queue of a viewer of whom nothing is known is empty: what is popular comes.
    force(&server, "private_queue").await;
    assert_eq!(server.serve("/v1/users/new/feed").await["degraded"], "region_hot");
    assert!(metric(&server, "swipeline_degraded_total{reason=\"private_queue\"} ").await >= 1.0);
    let transition = "swipeline_degradation_transitions_total{from=\"full\",to=\"smaller_set\"} ";
    assert!(metric(&server, transition).await >= 1.0);
    force(&server, "none").await;
    assert_eq!(server.serve("/v1/users/u/feed").await["degraded"], Value::Null);
}

#[tokio::test]
async fn feeds_are_refused_before_events_and_made_up_for_afterwards() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut socket = Socket::of(&server, "u").await;
    force(&server, "refused").await;
    for call in [
        server.call(Method::POST, "/v1/users/u/feed"),
        server
            .call(Method::POST, "/v1/rank")
            .json(&json!({"user_id": "u", "item_ids": ["pets1"]})),
    ] {
        // With `Retry-After`.
        problem(call.send().await.expect("an answer"), 503).await;
    }
    let event = json!([{"user_id": "v", "item_id": "pets1", "type": "like"}]);
    let reply = server.send(Method::POST, "/v1/events", &event).await;
    assert_eq!(reply["accepted"], 1);
    // An overloaded server is a ready one: others would only get its load as well.
    assert_eq!(server.get("/readyz").await["status"], "ready");
    assert_eq!(server.get("/v1/users/v").await["counts"]["like"], 1);

    socket.send(&json!({"type": "feed", "id": "more"})).await;
    let refused = socket.until("error").await;
    assert_eq!(
        (&refused["id"], &refused["code"]),
        (&json!("more"), &json!("overloaded"))
    );
    assert_eq!(
        (&refused["retryable"], &refused["retry_after_ms"]),
        (&json!(true), &json!(1000))
    );
    let like = json!({"type": "event", "id": "l", "event": "like", "item_id": "pets2", "event_id": "e2"});
    socket.send(&like).await;
    let ack = socket.until_matching(|message| message["type"] != "error").await;
    assert_eq!(
        (&ack["type"], &ack["accepted"]),
        (&json!("ack"), &json!(1)),
        "no feed, but an ack"
    );
    // A socket that comes now is welcomed and told when to come again.
    let mut other = crate::socket::Handshake::new(&server, "user_id=w").open().await.0;
    other.until("welcome").await;
    assert_eq!(other.until("error").await["code"], "overloaded");

    force(&server, "none").await;
    let owed = socket.until("feed").await;
    assert_eq!(
        (&owed["cause"]["kind"], &owed["mode"]),
        (&json!("load"), &json!("replace_tail"))
    );
    let ids = item_ids(&owed);
    assert!(!ids.is_empty() && !ids.contains(&"pets2".to_owned()), "{owed}");
    assert!(!item_ids(&other.until("feed").await).is_empty());
}

#[tokio::test]
async fn a_push_at_every_level_keeps_what_is_promised_of_pushes() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 80).await;
    let mut socket = Socket::of(&server, "u").await;
    let mut acted = HashSet::new();
    for (number, level) in LEVELS[..5].iter().enumerate() {
        force(&server, level).await;
        let (item, event) = (format!("pets{number}"), format!("e{number}"));
        acted.insert(item.clone());
        let feed = socket.signal("like", &item, &event).await;
        assert_eq!(feed["mode"], "replace_tail");
        assert_eq!(feed["cause"]["kind"], "like");
        let ids = item_ids(&feed);
        assert!(
            ids.len() == 10 && ids.iter().all(|id| !acted.contains(id)),
            "{level}: {ids:?}"
        );
        // What is appended is not what the client holds already.
        let more = item_ids(&socket.ask(&format!("more{number}"), 5).await);
        assert!(
            more.iter().all(|id| !ids.contains(id) && !acted.contains(id)),
            "{level}: {more:?}"
        );
        assert_eq!(more.len(), 5, "{level}");
    }
}

/// What the callers of an overload have seen.
#[derive(Default)]
struct Seen {
    degraded: HashSet<String>,
    refused: usize,
    /// By user: every item that was served.
    served: HashMap<String, HashSet<String>>,
}

/// Asks for feeds without a pause, each caller for a user of its own, and reports an event beside every feed.
async fn caller(number: usize, server: &Server, go_on: &AtomicBool, seen: &Mutex<Seen>, acked: &AtomicUsize) {
    let user = format!("caller{number}");
    let mut sent = 0;
    while go_on.load(Ordering::Acquire) {
        let answer = server
            .call(Method::POST, &format!("/v1/users/{user}/feed?n=3"))
            .send()
            .await;
        let answer = answer.expect("an answer");
        if answer.status() == 503 {
            assert!(answer.headers().contains_key("retry-after"));
            seen.lock().await.refused += 1;
        } else {
            assert_eq!(answer.status(), 200);
            let feed: Value = answer.json().await.expect("JSON");
            let mut seen = seen.lock().await;
            seen.degraded
                .insert(feed["degraded"].as_str().unwrap_or("full").to_owned());
            let served = seen.served.entry(user.clone()).or_default();
            for id in item_ids(&feed) {
                assert!(served.insert(id.clone()), "{id} was shown to {user} twice");
            }
        }
        let event = json!([{"event_id": format!("{user}-{sent}"), "user_id": user, "item_id": "pets0", "type": "view",
                            "watch_ms": 10}]);
        let reply = server.send(Method::POST, "/v1/events", &event).await;
        assert_eq!(reply["accepted"], 1, "events are taken at every level");
        acked.fetch_add(1, Ordering::AcqRel);
        sent += 1;
    }
}

async fn views(server: &Server) -> usize {
    let mut views = 0;
    for number in 0..CALLERS {
        let profile = server.get(&format!("/v1/users/caller{number}")).await;
        views += profile["counts"]["view"].as_u64().unwrap_or(0) as usize;
    }
    views
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overload_walks_down_and_up_again_and_loses_no_acknowledged_event() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("LIMITS__USER_PER_S", "0")]).await;
    server.put_catalogue(&["pets", "food", "cars"], 700).await;
    // So low that a handful of callers is an overload; the longer dwell keeps it down until every step was seen.
    let low = json!({"smaller_set": 2, "linear_ranker": 2, "private_queue": 2, "region_hot": 2, "refused": 2});
    let high = json!({"smaller_set": 1_000_000, "linear_ranker": 1_000_000, "private_queue": 1_000_000,
                      "region_hot": 1_000_000, "refused": 1_000_000});
    patch(
        &server,
        &json!({"degradation": {"in_flight": low, "lag_ms": high, "queue": high, "worse_after_ms": 200, "dwell_ms": 300},
                "caches": {"feed_ms": 0}}),
    )
    .await;
    let (go_on, seen, acked) = (AtomicBool::new(true), Mutex::new(Seen::default()), AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|number| caller(number, &server, &go_on, &seen, &acked));
    let down = async {
        eventually("feeds are refused", async || {
            let has_all = seen.lock().await.degraded.len() >= 5;
            (has_all && seen.lock().await.refused > 0).then_some(())
        })
        .await;
        go_on.store(false, Ordering::Release);
    };
    tokio::join!(futures_util::future::join_all(callers), down);
    let walked = degradation(&server).await;
    let seen = seen.lock().await;
    for level in &LEVELS[..5] {
        assert!(
            seen.degraded.contains(*level),
            "{level} is missing in {:?}",
            seen.degraded
        );
    }
    let transitions = walked["transitions"].as_array().expect("transitions");
    let reason = &transitions.last().expect("the first of them")["reason"];
    assert_eq!(
        (&reason["kind"], &reason["measure"]),
        (&json!("load"), &json!("in_flight")),
        "{walked}"
    );
    eventually("it walks up again", async || {
        (degradation(&server).await["level"] == "full").then_some(())
    })
    .await;
    let walked = degradation(&server).await;
    for change in walked["transitions"].as_array().expect("transitions") {
        let place = |name: &Value| LEVELS.iter().position(|level| name == level).expect("a level") as i64;
        assert_eq!((place(&change["from"]) - place(&change["to"])).abs(), 1, "{change}");
    }
    assert_eq!(
        server.serve("/v1/users/caller0/feed?n=3").await["degraded"],
        Value::Null
    );
    let acked = acked.load(Ordering::Acquire);
    assert_eq!(views(&server).await, acked);
    server.kill().await;
    let server = Server::start_in(dir.path(), &[]).await;
    assert_eq!(views(&server).await, acked, "after kill -9");
    // What was served at any level counts as shown, also after the restart.
    for number in 0..CALLERS {
        let user = format!("caller{number}");
        let feed = server.serve(&format!("/v1/users/{user}/feed?n=3")).await;
        let known = seen.served.get(&user);
        assert!(
            item_ids(&feed)
                .iter()
                .all(|id| known.is_none_or(|known| !known.contains(id)))
        );
    }
}

#[tokio::test]
async fn impossible_thresholds_are_refused_by_their_names() {
    let server = Server::start().await;
    let bad = json!({"degradation": {"forced_level": "upstairs", "lag_ms": {"refused": 1}}, "caches": {"feed_ms": -1}});
    let call = server.admin_call(Method::PATCH, "/v1/admin/params").json(&bad);
    let refused = problem(call.send().await.expect("an answer"), 422).await;
    let fields: Vec<&str> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|error| error["field"].as_str())
        .collect();
    for field in [
        "degradation.forced_level",
        "degradation.lag_ms.refused",
        "caches.feed_ms",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
}
