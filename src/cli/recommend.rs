//! `swipeline recommend`: asks a running server for a feed and prints it.
//!
//! A look of an operator is not a viewing: the request says `impressions=explicit`, so that nothing counts as shown.

use std::process::ExitCode;

use swipeline_models::wire::{FeedDto, FeedItemDto, ItemExplainDto};

use super::ask::{ServerArgs, joined, plain, print_json, table};

/// Arguments of `swipeline recommend`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For whom
    #[arg(long, value_name = "ID")]
    user: String,
    /// How many items, 1 to 500
    #[arg(short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    n: u16,
    /// Say how every item came to be there
    #[arg(long)]
    explain: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Whom to ask.
    #[command(flatten)]
    server: ServerArgs,
}

/// Asks and prints.
///
/// # Errors
/// The server does not answer or refuses.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let query = [
        ("n", args.n.to_string()),
        ("explain", args.explain.to_string()),
        ("impressions", "explicit".to_owned()),
    ];
    let server = args.server.server()?;
    let answer: serde_json::Value = server.get(&["v1", "users", &args.user, "feed"], &query).await?;
    if args.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let feed: FeedDto = serde_json::from_value(answer)?;
    print!("{}", describe(&feed));
    Ok(ExitCode::SUCCESS)
}

fn describe(feed: &FeedDto) -> String {
    let mut text = format!(
        "{} items for {} in {} us",
        feed.items.len(),
        plain(&feed.user_id),
        feed.took_us
    );
    for (name, value) in [
        ("degraded", feed.degraded.as_deref()),
        ("variant", feed.variant.as_deref()),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name}: {}", plain(value)));
        }
    }
    text.push('\n');
    let mut items = table(&["#", "item", "score", "title", "categories", "channels", "reason"]);
    for item in &feed.items {
        let card = item.item.as_deref();
        items.add_row([
            (item.position + 1).to_string(),
            plain(&item.item_id),
            format!("{:.4}", item.score),
            card.and_then(|card| card.title.as_deref())
                .map(plain)
                .unwrap_or_default(),
            card.and_then(|card| card.categories.as_deref())
                .map(joined)
                .unwrap_or_default(),
            joined(&item.channels),
            reason(item),
        ]);
    }
    text.push_str(&format!("{items}\n"));
    for item in &feed.items {
        if let Some(explain) = &item.explain {
            text.push_str(&explained(item, explain));
        }
    }
    if let Some(channels) = &feed.channels {
        let mut rows = table(&["channel", "recalled", "filtered", "kept", "on slate", "us", "trouble"]);
        for (name, channel) in channels {
            let filtered: Vec<String> = channel
                .filtered
                .iter()
                .map(|(filter, count)| format!("{filter} {count}"))
                .collect();
            rows.add_row([
                plain(name),
                channel.recalled.to_string(),
                joined(&filtered),
                channel.kept.to_string(),
                channel.on_slate.to_string(),
                channel.took_us.to_string(),
                channel.trouble.as_deref().map(plain).unwrap_or_default(),
            ]);
        }
        text.push_str(&format!("{rows}\n"));
    }
    text
}

fn reason(item: &FeedItemDto) -> String {
    match (item.explore, item.propensity) {
        (true, Some(propensity)) => format!("{} (explored, p = {propensity:.3})", plain(&item.reason)),
        (true, None) => format!("{} (explored)", plain(&item.reason)),
        (false, _) => plain(&item.reason),
    }
}

/// `v7: like 0.12 x 1, skip 0.30 x -0.5; fused 0.1; freshness +0.02, ...`
fn explained(item: &FeedItemDto, explain: &ItemExplainDto) -> String {
    let objectives: Vec<String> = explain
        .objectives
        .iter()
        .map(|(name, value)| match explain.weights.get(name) {
            Some(weight) => format!("{name} {value:.3} x {weight}"),
            None => format!("{name} {value:.3}"),
        })
        .collect();
    let moves: Vec<String> = explain
        .moves
        .iter()
        .map(|step| format!("{} {:+.4}", step.rule, step.delta))
        .collect();
    format!(
        "{}. {}: {}; pre-rank {:.4}, fused {:.4}; {}\n",
        item.position + 1,
        plain(&item.item_id),
        joined(&objectives),
        explain.pre_rank,
        explain.fused,
        if moves.is_empty() {
            "no moves".to_owned()
        } else {
            joined(&moves)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_told_with_its_reasons() {
        let feed: FeedDto = serde_json::from_value(serde_json::json!({
            "request_id": "r", "user_id": "u1", "cause": "request", "generated_at": 1, "took_us": 250,
            "degraded": "exhausted",
            "channels": {"hot": {"recalled": 9, "filtered": {"seen": 4}, "kept": 5, "on_slate": 1, "took_us": 7}},
            "items": [{
                "item_id": "v\u{1b}7", "score": 0.5, "position": 0, "channels": ["hot"], "reason": "popular now",
                "explore": true, "propensity": 0.1, "item": {"id": "v7", "title": "Cats", "categories": ["pets"]},
                "explain": {
                    "objectives": {"like": 0.25}, "weights": {"like": 1.0}, "features": {}, "channel_scores": {},
                    "pre_rank": 0.1, "fused": 0.2, "moves": [{"rule": "freshness", "delta": 0.05}]
                }
            }],
        }))
        .expect("a feed");
        let text = describe(&feed);
        let wanted = [
            "degraded: exhausted",
            "Cats",
            "popular now (explored, p = 0.100)",
            "like 0.250 x 1",
            "freshness +0.0500",
            "seen 4",
        ];
        for part in wanted {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
