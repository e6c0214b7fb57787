//! `swipeline inspect`: asks a running server what it knows about a user or an item.

use std::collections::BTreeMap;
use std::process::ExitCode;

use comfy_table::Table;
use swipeline_models::event::ContextValue;
use swipeline_models::wire::{ItemDetailDto, ScoredItemsReply, TagWeightDto, UserDto, UserProfileDto};

use super::ask::{ServerArgs, joined, plain, print_json, table};

/// How many similar items are shown with an item.
const SIMILAR_SHOWN: usize = 10;
/// How many interests, recent items and embedding numbers are shown.
const ROWS_SHOWN: usize = 15;

/// Arguments of `swipeline inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A user or an item
    #[arg(value_enum)]
    what: What,
    /// Which
    id: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Whom to ask.
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The profile and what was learned.
    User,
    /// The item and its neighbours.
    Item,
}

/// Asks and prints.
///
/// # Errors
/// The server does not answer, or knows no such user or item.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let server = args.server.server()?;
    let (area, asked) = match args.what {
        What::User => ("users", vec![]),
        What::Item => ("items", vec![("explain", "true".to_owned())]),
    };
    let answer: serde_json::Value = server.get(&["v1", area, &args.id], &asked).await?;
    if args.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.what {
        What::User => print!("{}", describe_user(&serde_json::from_value(answer)?)),
        What::Item => {
            let query = [("n", SIMILAR_SHOWN.to_string())];
            let similar = server.get(&["v1", "items", &args.id, "similar"], &query).await?;
            print!("{}", describe_item(&serde_json::from_value(answer)?, &similar));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe_user(profile: &UserProfileDto) -> String {
    let UserDto {
        id,
        tags,
        region,
        device,
        registered_at,
        follows,
        blocks,
        friends,
        long_term_tags,
        active_hours,
        attributes,
    } = &profile.user;
    let mut fields = table(&["field", "value"]);
    fields.add_row(["id", &plain(id)]);
    add_list(&mut fields, "tags", tags.as_deref());
    add_text(&mut fields, "region", region.as_deref());
    add_text(&mut fields, "device", device.as_deref());
    add_text(&mut fields, "registered_at", registered_at.map(time_of).as_deref());
    add_list(&mut fields, "follows", follows.as_deref());
    add_list(&mut fields, "blocks", blocks.as_deref());
    add_list(&mut fields, "friends", friends.as_deref());
    let weighted = |tags: &BTreeMap<String, f32>| tags.iter().map(|(tag, weight)| format!("{tag} {weight}")).collect();
    let long_term: Option<Vec<String>> = long_term_tags.as_ref().map(weighted);
    add_list(&mut fields, "long_term_tags", long_term.as_deref());
    let hours: Option<Vec<String>> = active_hours
        .as_ref()
        .map(|hours| hours.iter().map(u8::to_string).collect());
    add_list(&mut fields, "active_hours", hours.as_deref());
    add_attributes(&mut fields, attributes.as_ref());
    add_list(&mut fields, "labels", Some(&profile.labels));
    add_list(&mut fields, "recent", Some(&shortened(&profile.recent)));
    let counts: Vec<String> = profile
        .counts
        .iter()
        .map(|(signal, count)| format!("{signal} {count}"))
        .collect();
    add_list(&mut fields, "counts", Some(&counts));
    let mut interests = table(&["now", "weight", "in the long run", "weight"]);
    let (short, long) = (&profile.interests.short, &profile.interests.long);
    let cells = |list: &[TagWeightDto], place: usize| match list.get(place) {
        Some(interest) => [plain(&interest.tag), format!("{:+.3}", interest.weight)],
        None => [String::new(), String::new()],
    };
    for place in 0..short.len().max(long.len()).min(ROWS_SHOWN) {
        interests.add_row(cells(short, place).into_iter().chain(cells(long, place)));
    }
    format!("{fields}\n{interests}\n")
}

fn describe_item(ItemDetailDto { item, exploration }: &ItemDetailDto, similar: &ScoredItemsReply) -> String {
    let mut fields = table(&["field", "value"]);
    fields.add_row(["id", &plain(&item.id)]);
    add_text(&mut fields, "title", item.title.as_deref());
    add_text(&mut fields, "author_id", item.author_id.as_deref());
    add_list(&mut fields, "categories", item.categories.as_deref());
    add_list(&mut fields, "tags", item.tags.as_deref());
    add_list(&mut fields, "inferred tags", item.inferred_tags.as_deref());
    add_text(
        &mut fields,
        "duration_ms",
        item.duration_ms.map(|duration| duration.to_string()).as_deref(),
    );
    add_text(&mut fields, "created_at", item.created_at.map(time_of).as_deref());
    add_list(&mut fields, "regions", item.regions.as_deref());
    add_text(
        &mut fields,
        "hidden",
        item.hidden.filter(|hidden| *hidden).map(|_| "yes"),
    );
    if let Some(embedding) = &item.embedding {
        let head: Vec<String> = embedding.iter().take(4).map(|number| format!("{number:.3}")).collect();
        fields.add_row([
            "embedding",
            &format!("{} numbers: {}, ...", embedding.len(), head.join(", ")),
        ]);
    }
    if let Some(told) = exploration {
        let until = time_of(told.deadline);
        let text = format!("{}: shown {} of {} until {until}", told.state, told.shown, told.target);
        fields.add_row(["exploration", &text]);
    }
    add_attributes(&mut fields, item.attributes.as_ref());
    let mut neighbours = table(&["similar item", "score", "title"]);
    for scored in &similar.items {
        let title = scored
            .item
            .as_deref()
            .and_then(|card| card.title.as_deref())
            .map(plain)
            .unwrap_or_default();
        neighbours.add_row([plain(&scored.item_id), format!("{:.4}", scored.score), title]);
    }
    format!("{fields}\n{neighbours}\n")
}

fn add_text(fields: &mut Table, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        fields.add_row([name, &plain(text)]);
    }
}

fn add_list(fields: &mut Table, name: &str, list: Option<&[String]>) {
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        fields.add_row([name, &joined(list)]);
    }
}

fn add_attributes(fields: &mut Table, attributes: Option<&std::collections::BTreeMap<String, ContextValue>>) {
    for (key, value) in attributes.into_iter().flatten() {
        let shown = match value {
            ContextValue::Flag(flag) => flag.to_string(),
            ContextValue::Number(number) => number.to_string(),
            ContextValue::Text(text) => plain(text),
        };
        fields.add_row([format!("attributes.{}", plain(key)), shown]);
    }
}

fn shortened(list: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = list.iter().take(ROWS_SHOWN).cloned().collect();
    if list.len() > ROWS_SHOWN {
        shown.push(format!("... ({} in all)", list.len()));
    }
    shown
}

/// A time for people, with the number for programs.
fn time_of(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at} ({at_ms})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_told_with_its_interests() {
        let profile: UserProfileDto = serde_json::from_value(serde_json::json!({
            "id": "u1", "region": "de", "registered_at": 0, "attributes": {"age": 24.0},
            "interests": {"short": [{"tag": "pets", "weight": 0.5}], "long": []},
            "labels": ["night owl"], "recent": (0..40).map(|number| format!("v{number}")).collect::<Vec<_>>(),
            "counts": {"like": 3},
        }))
        .expect("a profile");
        let text = describe_user(&profile);
        for part in [
            "1970-01-01T00:00:00Z (0)",
            "attributes.age",
            "+0.500",
            "night owl",
            "(40 in all)",
            "like 3",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn an_item_is_told_with_its_neighbours() {
        let item: ItemDetailDto = serde_json::from_value(serde_json::json!({
            "id": "v1", "hidden": true, "embedding": vec![1.0; 64],
            "exploration": {"target": 50, "shown": 7, "deadline": 0, "state": "pacing"},
        }))
        .expect("an item");
        let similar: ScoredItemsReply = serde_json::from_value(serde_json::json!({
            "items": [{"item_id": "v2", "score": 0.75, "item": {"id": "v2", "title": "Dogs"}}],
        }))
        .expect("a list");
        let text = describe_item(&item, &similar);
        for part in ["hidden", "64 numbers", "shown 7 of 50", "0.7500", "Dogs"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
