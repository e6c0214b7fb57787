//! `train embeddings`: from a log to a file of items with embeddings that the server imports.
//!
//! Owns which words describe an item, going on from an earlier file, and what is written. The training itself is
//! `swipeline_models::train::embeddings`'s.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use swipeline_models::baselines::ials::IalsConfig;
use swipeline_models::train::embeddings::{EmbeddingSamples, train_embeddings};

use crate::eval::log::{Catalogue, Interaction};
use crate::transfer::{BytesRead, InputFile, JsonlWriter, Lines};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// Items written with an embedding.
    pub(crate) items: u64,
    /// Of them items without a like: all content.
    pub(crate) by_content: u64,
    /// Items that began where the earlier file had them.
    pub(crate) continued: usize,
    /// Items of which neither likes nor words are known; they are written as they were.
    pub(crate) unknown: u64,
}

/// Where a training begins and what its items look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    /// Items as `export` writes them; their other fields are kept. Without it only ids are written.
    pub(crate) items: Option<&'a Path>,
    /// What an earlier training wrote.
    pub(crate) earlier: Option<&'a Path>,
    /// Where it goes.
    pub(crate) out: &'a Path,
}

/// The words of every item of a catalogue, as dense numbers: its author and its categories.
pub(crate) fn item_words(catalogue: &Catalogue) -> Vec<Vec<u32>> {
    let mut numbers = FxHashMap::default();
    let mut words = vec![Vec::new(); catalogue.item_count()];
    for (words, facts) in words.iter_mut().zip(&catalogue.items) {
        let author = facts.author.as_ref().map(|author| format!("author {author}"));
        for word in author.into_iter().chain(facts.categories.iter().cloned()) {
            let next = numbers.len() as u32;
            words.push(*numbers.entry(word).or_insert(next));
        }
    }
    words
}

/// Trains on the likes among `events` and writes the items.
///
/// # Errors
/// There is no like, an item's file is bad, or nothing can be written.
pub(crate) fn train(
    catalogue: &Catalogue,
    events: &[Interaction],
    like_value_min: f32,
    config: &IalsConfig,
    files: &Files<'_>,
) -> Result<Embedded> {
    let mut catalogue = catalogue.clone();
    let documents = files.items.map(read_documents).transpose()?.unwrap_or_default();
    add_unseen(&mut catalogue, &documents);
    let likes = events.iter().filter(|event| event.value >= like_value_min);
    let rows: Vec<(u32, u32, f32)> = likes.map(|event| (event.user, event.item, 1.0)).collect();
    if rows.is_empty() {
        bail!("no like in the log: nothing to learn from");
    }
    let earlier = files.earlier.map(read_documents).transpose()?.unwrap_or_default();
    let starts: Vec<Option<Vec<f32>>> = catalogue
        .item_ids
        .iter()
        .map(|id| {
            earlier
                .get(id)
                .and_then(embedding_of)
                .filter(|start| start.len() == config.dims)
        })
        .collect();
    let words = item_words(&catalogue);
    let samples = EmbeddingSamples {
        rows: &rows,
        words: &words,
    };
    let start = |item: u32| starts.get(item as usize)?.as_deref();
    let vectors = train_embeddings(&samples, config, &start);
    let mut is_liked = vec![false; vectors.len()];
    rows.iter().for_each(|(_, item, _)| is_liked[*item as usize] = true);
    let mut embedded = Embedded {
        items: 0,
        by_content: 0,
        continued: starts.iter().flatten().count(),
        unknown: 0,
    };
    let mut writer = JsonlWriter::create(files.out)?;
    for ((id, vector), is_liked) in catalogue.item_ids.iter().zip(&vectors).zip(is_liked) {
        if files.items.is_some() && !documents.contains_key(id) {
            // The log names an item that is no longer there.
            continue;
        }
        let mut document = documents.get(id).cloned().unwrap_or_default();
        document.insert("id".to_owned(), Value::from(id.as_str()));
        if vector.is_empty() {
            embedded.unknown += 1;
        } else {
            embedded.items += 1;
            embedded.by_content += u64::from(!is_liked);
            document.insert("embedding".to_owned(), Value::from(vector.as_slice()));
        }
        writer.write(&document)?;
    }
    writer.finish()?;
    Ok(embedded)
}

type Documents = FxHashMap<String, Map<String, Value>>;

/// Reads items, one JSON object a line, without judging their fields: they go back as they came.
fn read_documents(path: &Path) -> Result<Documents> {
    let name = || path.display().to_string();
    let mut lines = Lines::new(InputFile::Path(path.to_owned()).open(&BytesRead::default())?);
    let mut documents = Documents::default();
    while let Some(line) = lines.advance_past_blank() {
        let line = line.with_context(name)?;
        let document: Map<String, Value> =
            serde_json::from_str(&lines.text_or_latin1()).with_context(|| format!("{}:{line}", name()))?;
        let Some(id) = document.get("id").and_then(Value::as_str) else {
            bail!("{}:{line}: an item needs an id", name());
        };
        documents.insert(id.to_owned(), document);
    }
    Ok(documents)
}

/// Items that no event names get their place, too, and their words.
fn add_unseen(catalogue: &mut Catalogue, documents: &Documents) {
    let known: FxHashMap<String, usize> = catalogue.item_ids.iter().cloned().zip(0..).collect();
    let mut ids: Vec<&String> = documents.keys().collect();
    ids.sort_unstable();
    catalogue.items.resize(catalogue.item_ids.len(), Default::default());
    for id in ids {
        let place = known.get(id).copied().unwrap_or_else(|| {
            catalogue.item_ids.push(id.clone());
            catalogue.items.push(Default::default());
            catalogue.items.len() - 1
        });
        let (document, facts) = (&documents[id], &mut catalogue.items[place]);
        facts.author = document.get("author_id").and_then(Value::as_str).map(str::to_owned);
        let lists = ["categories", "tags"]
            .into_iter()
            .filter_map(|key| document.get(key)?.as_array());
        facts.categories = lists.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    }
}

fn embedding_of(document: &Map<String, Value>) -> Option<Vec<f32>> {
    let entries = document.get("embedding")?.as_array()?;
    entries.iter().map(|entry| Some(entry.as_f64()? as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Catalogue, Vec<Interaction>) {
        let catalogue = Catalogue {
            user_ids: (0..20).map(|user| format!("u{user}")).collect(),
            item_ids: (0..10).map(|item| format!("i{item}")).collect(),
            items: Vec::new(),
        };
        let events = (0..20_u32).flat_map(|user| {
            (0..5_u32).map(move |n| Interaction {
                user,
                item: n + 5 * (user / 10),
                at_ms: i64::from(n),
                value: if user % 5 == n { 1.0 } else { 5.0 },
            })
        });
        (catalogue, events.collect())
    }

    const CONFIG: IalsConfig = IalsConfig {
        dims: 4,
        iterations: 8,
        regularisation: 0.01,
        unobserved: 0.1,
        frequency_exponent: 1.0,
        seed: 1,
        threads: 2,
    };

    #[test]
    fn items_come_back_with_their_fields_and_an_embedding_and_a_second_training_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (items, first, second) = ["items.jsonl", "first.jsonl", "second.jsonl"]
            .map(|name| folder.path().join(name))
            .into();
        let lines: Vec<String> = (0..11)
            .map(|item| format!(r#"{{"id":"i{item}","title":"T{item}","tags":["t{}"]}}"#, item / 5))
            .chain([r#"{"id":"lonely"}"#.to_owned()])
            .collect();
        std::fs::write(&items, lines.join("\n")).expect("written");
        let (catalogue, events) = log();
        let mut files = Files {
            items: Some(&items),
            earlier: None,
            out: &first,
        };
        let embedded = train(&catalogue, &events, 4.0, &CONFIG, &files).expect("trained");
        assert_eq!(
            (
                embedded.items,
                embedded.by_content,
                embedded.continued,
                embedded.unknown
            ),
            (10, 0, 0, 2)
        );
        let written = read_documents(&first).expect("readable");
        assert_eq!(written.len(), 12);
        assert_eq!(written["i3"]["title"], "T3");
        assert_eq!(embedding_of(&written["i3"]).map(|vector| vector.len()), Some(4));
        assert!(!written["lonely"].contains_key("embedding"));
        files.earlier = Some(&first);
        files.out = &second;
        let embedded = train(&catalogue, &events, 4.0, &CONFIG, &files).expect("trained again");
        assert_eq!(embedded.continued, 10);
    }

    #[test]
    fn a_log_without_likes_is_refused() {
        let (catalogue, mut events) = log();
        events.iter_mut().for_each(|event| event.value = 1.0);
        let out = Path::new("never-written.jsonl");
        let files = Files {
            items: None,
            earlier: None,
            out,
        };
        assert!(train(&catalogue, &events, 4.0, &CONFIG, &files).is_err());
        assert!(!out.exists());
    }
}
