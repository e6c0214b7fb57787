//! Chapter: a change of the params alters the next feed, and a rollback restores it.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, share_of};
use super::story::Story;

pub(super) async fn walk(story: &mut Story) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.put_catalogue(&["pets", "food", "cars"], 60).await?;
    for number in 0..6 {
        stage.signal("ann", "like", &format!("pets{number}")).await?;
    }
    let before = stage.look("ann", "n=20").await?;
    // Nobody would run this: what was liked is recommended least.
    let upside_down = json!({"fusion": {"like": -5.0, "pre_rank": -50.0, "collaborative": -5.0},
                             "rerank": {"exploration_share": 0.0}});
    let version = stage.patch_params(&upside_down).await?;
    let changed = stage.look("ann", "n=20").await?;
    story.observe(
        share_of(&changed, "pets") < share_of(&before, "pets"),
        "a change of the params alters the next feed",
        &format!(
            "pets go from {:.2} to {:.2} of the feed with version {version}",
            share_of(&before, "pets"),
            share_of(&changed, "pets")
        ),
    )?;
    let first = version - 1;
    let body = json!({"version": first});
    let restored = stage.admin(Method::POST, "/v1/admin/params/rollback", &body).await?;
    let after = stage.look("ann", "n=20").await?;
    story.observe(
        // The candidates are not the very same: the pool has been filled again.
        (share_of(&after, "pets") - share_of(&before, "pets")).abs() <= 0.1,
        "a rollback restores it",
        &format!(
            "version {} is version {first} again, pets are {:.2}",
            restored["version"],
            share_of(&after, "pets")
        ),
    )?;
    let history = stage
        .admin(Method::GET, "/v1/admin/params/history", &Value::Null)
        .await?;
    let who = &history["versions"][0]["changed_by"];
    story.observe(
        who == "selfcheck",
        "the history says who changed the params",
        &format!("{who}"),
    )?;
    let impossible = json!({"rerank": {"exploration_share": 7}});
    let refused = stage.patch_params(&impossible).await;
    let text = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    story.observe(
        text.contains("422") && text.contains("rerank.exploration_share"),
        "an impossible value is refused by its name",
        "422, rerank.exploration_share",
    )
}
