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
/// The most kinds of devices an item may be limited to.
pub const ITEM_DEVICES_MAX: usize = 16;
/// The most regions with a media location of their own.
pub const ITEM_MEDIA_MAX: usize = 64;
/// The region of a media location for everywhere else.
pub const MEDIA_ELSEWHERE: &str = "default";
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
    /// It is not shown before.
    pub available_from: Option<TimestampMs>,
    /// It is not shown from then on.
    pub expires_at: Option<TimestampMs>,
    /// The kinds of devices it may be shown on; on all when empty.
    pub devices: Vec<String>,
    /// Where its media lie, by region; [`MEDIA_ELSEWHERE`] for all others.
    pub media: BTreeMap<String, String>,
    /// The owner's embedding; built from the content by feature hashing when absent.
    pub embedding: Option<Vec<f32>>,
    /// Whether it must not be shown.
    pub hidden: bool,
    /// Whatever else the owner wants to have kept with it.
    pub attributes: BTreeMap<String, ContextValue>,
}

impl Item {
    /// Where the media for a viewer in a region lie: in the region, else where everybody else is sent.
    #[must_use]
    pub fn media_for(&self, region: Option<&str>) -> Option<&str> {
        let here = region.and_then(|region| self.media.get(region));
        here.or_else(|| self.media.get(MEDIA_ELSEWHERE)).map(String::as_str)
    }

    /// Whether it may be shown at a time.
    #[must_use]
    pub fn is_available(&self, now: TimestampMs) -> bool {
        self.available_from.is_none_or(|from| from <= now) && self.expires_at.is_none_or(|end| now < end)
    }
}
