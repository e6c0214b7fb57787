//! Tags for items that came with a text and few tags, inferred by a model of the catalogue itself.
//!
//! Owns the words of a text ([`tokens`]) and the model ([`TextModel`]): naive Bayes on the words of a text, one tag against all
//! others, over the tags that owners gave to items with a text, with TF-IDF weights (Rennie et al. 2003, "Tackling the
//! Poor Assumptions of Naive Bayes Text Classifiers"). It learns with every upsert, unlearns what is replaced, and is
//! bounded. Must not touch the owner's tags.

mod model;
mod tokens;

pub use model::{Inferred, TextModel};
pub use tokens::{TOKENS_OF_TEXT_MAX, tokens};

use crate::event::ContextValue;
use crate::item::Item;

/// The attribute that holds a description.
pub const DESCRIPTION_ATTRIBUTE: &str = "description";

/// The words of an item's title and description with how often each occurs; empty when it has neither.
#[must_use]
pub fn item_tokens(item: &Item) -> Vec<(u64, u32)> {
    let description = match item.attributes.get(DESCRIPTION_ATTRIBUTE) {
        Some(ContextValue::Text(text)) => Some(text.as_str()),
        Some(ContextValue::Number(_) | ContextValue::Flag(_)) | None => None,
    };
    tokens(item.title.iter().map(String::as_str).chain(description))
}
