//! Chapter: an overloaded server does less for a feed, step by step, refuses feeds before events, comes back by itself,
//! and has every event that it acknowledged.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, eventually};
use super::story::Story;

/// How many callers ask for feeds without a pause.
const CALLERS: usize = 16;
/// The steps in their order.
const STEPS: [&str; 5] = ["smaller_set", "linear_ranker", "private_queue", "region_hot", "refused"];

/// What the callers have seen.
#[derive(Default)]
struct Seen {
    degraded: Mutex<BTreeSet<String>>,
    refusals: AtomicUsize,
    repeats: AtomicUsize,
    acknowledged: AtomicUsize,
    is_enough: AtomicBool,
}

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    // The rate of a user is another chapter's business.
    let stage = Stage::start_with(&[("LIMITS__USER_PER_S", "0")]).await?;
    stage.put_catalogue(&["pets", "food", "cars"], 500).await?;
    // So low that a handful of callers is an overload.
    let low = json!({"smaller_set": 2, "linear_ranker": 2, "private_queue": 2, "region_hot": 2, "refused": 2});
    let times = json!({"in_flight": low, "worse_after_ms": 200, "dwell_ms": 200});
    stage
        .patch_params(&json!({"degradation": times, "caches": {"feed_ms": 0}}))
        .await?;
    let seen = Seen::default();
    let callers = (0..CALLERS).map(|number| caller(&stage, number, &seen));
    let watch = async {
        let watched = eventually("every step of the ladder is seen", async || {
            let has_refused = seen.refusals.load(Ordering::Acquire) > 0;
            let degraded = names(&seen);
            let has_all = STEPS[..4].iter().all(|step| degraded.contains(*step));
            Ok((has_refused && has_all).then_some(()))
        })
        .await;
        seen.is_enough.store(true, Ordering::Release);
        watched
    };
    let (watched, called) = tokio::join!(watch, futures_util::future::try_join_all(callers));
    called?;
    story.observe(
        watched.is_ok(),
        "an overloaded server walks down the ladder and says so in its feeds",
        &format!(
            "{}, then {} refusals with Retry-After",
            names(&seen).into_iter().collect::<Vec<_>>().join(", "),
            seen.refusals.load(Ordering::Acquire)
        ),
    )?;
    let repeats = seen.repeats.load(Ordering::Acquire);
    story.observe(
        repeats == 0,
        "no step repeats what a viewer was shown",
        &format!("{repeats} repeats"),
    )?;
    come_back(&stage, story).await?;
    keep_events(&stage, story, seen.acknowledged.load(Ordering::Acquire)).await
}

async fn come_back(stage: &Stage, story: &mut Story) -> anyhow::Result<()> {
    let report = eventually("the server walks up again", async || {
        let report = stage.admin(Method::GET, "/v1/admin/degradation", &Value::Null).await?;
        Ok((report["level"] == "full").then_some(report))
    })
    .await?;
    let transitions = report["transitions"].as_array().context("no transitions")?;
    let place = |name: &Value| STEPS.iter().position(|step| name == step).map_or(0, |place| place + 1);
    let is_single = |change: &Value| place(&change["from"]).abs_diff(place(&change["to"])) == 1;
    story.observe(
        !transitions.is_empty() && transitions.iter().all(is_single),
        "it comes back step by step when the load is gone",
        &format!("{} single steps, the level is full", transitions.len()),
    )?;
    // Somebody new: the callers may have been shown all there is.
    let feed = stage.look("afterwards", "n=3").await?;
    story.observe(
        feed["degraded"].is_null(),
        "feeds are whole again",
        &format!("degraded is {}", feed["degraded"]),
    )
}

async fn keep_events(stage: &Stage, story: &mut Story, acknowledged: usize) -> anyhow::Result<()> {
    let mut known = 0;
    for number in 0..CALLERS {
        let profile = stage.get(&format!("/v1/users/caller{number}")).await?;
        known += profile["counts"]["view"].as_u64().unwrap_or(0);
    }
    story.observe(
        known == acknowledged as u64 && known > 0,
        "no acknowledged event is lost",
        &format!("{known} of {acknowledged}"),
    )
}

fn names(seen: &Seen) -> BTreeSet<String> {
    seen.degraded.lock().map(|names| names.clone()).unwrap_or_default()
}

/// Asks for feeds and reports events until enough was seen.
async fn caller(stage: &Stage, number: usize, seen: &Seen) -> anyhow::Result<()> {
    let user = format!("caller{number}");
    let mut shown: HashSet<String> = HashSet::new();
    while !seen.is_enough.load(Ordering::Acquire) {
        let path = format!("/v1/users/{user}/feed?n=3");
        let answer = stage.call(Method::POST, &path).send().await?;
        if answer.status() == 503 {
            ensure!(
                answer.headers().contains_key("retry-after"),
                "a refusal without Retry-After"
            );
            seen.refusals.fetch_add(1, Ordering::AcqRel);
        } else {
            let feed: Value = answer.error_for_status()?.json().await?;
            for item in feed["items"].as_array().context("a feed without items")? {
                let is_repeat = !shown.insert(item["item_id"].as_str().unwrap_or_default().to_owned());
                seen.repeats.fetch_add(usize::from(is_repeat), Ordering::AcqRel);
            }
            if let (Some(degraded), Ok(mut names)) = (feed["degraded"].as_str(), seen.degraded.lock()) {
                names.insert(degraded.to_owned());
            }
        }
        stage.signal(&user, "view", "pets0").await?;
        seen.acknowledged.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}
