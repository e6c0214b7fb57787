//! Items: what can be shown.
//!
//! Owns the domain form of an item. Must not know how it is stored or sent.

use std::collections::BTreeMap;

use crate::event::ContextValue;
use crate::ids::{AuthorId, ItemId};
use crate::time::TimestampMs;

/// The most categories an item may have.
pub const ITEM_CATEGORIES_MAX: usize = 16;
/// The most tags an item may have.
pub const ITEM_TAGS_MAX: usize = 64;
/// The most regions an item may be limited to.
pub const ITEM_REGIONS_MAX: usize = 64;
/// The most attributes an item or user may have.
pub const ATTRIBUTES_MAX: usize = 64;
/// The most bytes of a title or of an attribute's text.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// The largest embedding dimension.
pub const EMBEDDING_DIM_MAX: usize = 2_048;

/// Something that can be shown, as its owner describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Its title.
    pub title: Option<String>,
    /// Who made it.
    pub author: Option<AuthorId>,
    /// Its categories, the leading one first.
    pub categories: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its playing time in milliseconds.
    pub duration_ms: Option<u32>,
    /// When it was made.
    pub created_at: TimestampMs,
    /// The regions it may be shown in; everywhere when empty.
    pub regions: Vec<String>,
    /// The owner's embedding; built from the content by feature hashing when absent.
    pub embedding: Option<Vec<f32>>,
    /// Whether it must not be shown.
    pub hidden: bool,
    /// Whatever else the owner wants to have kept with it.
    pub attributes: BTreeMap<String, ContextValue>,
}
