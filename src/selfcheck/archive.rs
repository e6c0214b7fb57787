//! Chapter: the archive's rows are the accepted events, files are read back by their schema, and a forgotten user is in
//! none of the places.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use swipeline_storage::table::TableReader;

use super::stage::{Stage, eventually};
use super::story::Story;

const FORGOTTEN: &str = "somebody-who-asks-to-be-forgotten";
const OTHERS: usize = 5;
const EVENTS_EACH: usize = 40;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets", "food"], 60).await?;
    // Intervals of a fifth of a second, files at once: what takes weeks happens while we watch.
    let hurry = json!({"archive": {"flush_ms": 20, "file_ms": 200, "warm_ms": 0}});
    stage.patch_params(&hurry).await?;
    let mut accepted = BTreeSet::new();
    let mut served = 0;
    for number in 0..=OTHERS {
        let user = if number == OTHERS {
            FORGOTTEN.to_owned()
        } else {
            format!("viewer-{number}")
        };
        accepted.extend(act(&stage, &user).await?);
        let feed = stage.look(&user, "n=10").await?;
        served += feed["items"].as_array().map_or(0, Vec::len);
    }
    let rolled = stage.admin(Method::POST, "/v1/admin/archive/roll", &json!({})).await?;
    let archive = stage.data_dir().join("archive");
    let events = rows(&archive.join("events"))?;
    let ids: BTreeSet<String> = events
        .iter()
        .filter_map(|row| row["event_id"].as_str().map(str::to_owned))
        .collect();
    story.observe(
        ids == accepted && events.len() == accepted.len(),
        "the archive's rows equal the accepted events",
        &format!(
            "{} rows in {} files, {} accepted",
            events.len(),
            rolled["events"]["cold_files"],
            accepted.len()
        ),
    )?;
    let slates = rows(&archive.join("slates"))?;
    let is_whole = |row: &Value| {
        row["features"].as_array().is_some_and(|features| !features.is_empty())
            && row["channels"].as_array().is_some_and(|channels| !channels.is_empty())
            && row["model"].is_string()
            && row["variant"].is_string()
    };
    story.observe(
        slates.len() == served && slates.iter().all(is_whole),
        "what was served is archived with features, channels, variant and model",
        &format!("{} of {served} items", slates.len()),
    )?;
    forget(&stage, story).await
}

async fn forget(stage: &Stage, story: &mut Story) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let answer = stage
        .call(Method::DELETE, &format!("/v1/users/{FORGOTTEN}"))
        .send()
        .await?;
    anyhow::ensure!(answer.status() == 204, "DELETE answers {}", answer.status());
    eventually("the archive forgets", async || {
        let status = stage.admin(Method::GET, "/v1/admin/archive", &Value::Null).await?;
        Ok((status["waiting_to_forget"] == 0).then_some(()))
    })
    .await?;
    let took_ms = began.elapsed().as_millis();
    let known = stage
        .call(Method::GET, &format!("/v1/users/{FORGOTTEN}"))
        .send()
        .await?;
    let archive = stage.data_dir().join("archive");
    let (events, slates) = (rows(&archive.join("events"))?, rows(&archive.join("slates"))?);
    let is_left = |rows: &[Value]| rows.iter().filter(|row| row["user_id"] == FORGOTTEN).count();
    let mut holding = Vec::new();
    let files = search(&stage.data_dir(), FORGOTTEN.as_bytes(), &mut holding)?;
    story.observe(
        known.status() == 404 && is_left(&events) + is_left(&slates) == 0 && holding.is_empty(),
        "a forgotten user is in none of the places",
        &format!(
            "404, 0 archived rows and in 0 of {files} files (journal, snapshots, archive) after {took_ms} ms; \
             found in {holding:?}"
        ),
    )?;
    let others = OTHERS * EVENTS_EACH;
    story.observe(
        events.len() == others,
        "the others' rows stay",
        &format!("{} of {others} events", events.len()),
    )
}

/// Sends events with ids of their own; returns the ids.
async fn act(stage: &Stage, user: &str) -> anyhow::Result<Vec<String>> {
    let ids: Vec<String> = (0..EVENTS_EACH).map(|number| format!("{user}-{number}")).collect();
    let event = |(number, id): (usize, &String)| {
        json!({"event_id": id, "user_id": user, "item_id": format!("pets{}", number % 50), "type": "view",
               "watch_ms": 4_000})
    };
    for page in ids.iter().enumerate().map(event).collect::<Vec<_>>().chunks(10) {
        let reply = stage.send(Method::POST, "/v1/events", &json!(page)).await?;
        anyhow::ensure!(reply["accepted"] == page.len(), "events were not accepted: {reply}");
    }
    Ok(ids)
}

/// All rows of the Parquet files of a folder.
fn rows(folder: &Path) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let mut reader = TableReader::open(&path).with_context(|| path.display().to_string())?;
        while let Some(row) = reader.next_object() {
            found.push(Value::Object(row?));
        }
    }
    Ok(found)
}

/// Looks into every file below `folder`; returns how many there are.
fn search(folder: &Path, needle: &[u8], holding: &mut Vec<PathBuf>) -> anyhow::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files += search(&path, needle, holding)?;
            continue;
        }
        files += 1;
        // A file of the running server may have gone meanwhile.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(needle.len()).any(|window| window == needle) {
            holding.push(path);
        }
    }
    Ok(files)
}
