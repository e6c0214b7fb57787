//! The hashed ids of an impression.
//!
//! Owns which ids a learner may hold weights for: never the viewer's own, because what is known of a viewer lives in the
//! viewer's state, is forgotten with it, and can be frozen with it. Must not know the learner.

use super::bounded_table::cross;
use super::outcome::Impression;
use super::shared::hour_of_day;

/// Kinds of ids; kinds never share a weight.
#[derive(Clone, Copy)]
enum IdKind {
    Item = 1,
    Author,
    Tag,
    Surface,
    Bucket,
    SurfaceBucket,
    ItemSurface,
    Hour,
    ItemAttribute,
    ViewerAttribute,
}

/// Writes all hashed ids of an impression; `ids` is emptied first and reuses its memory.
pub fn identities(impression: &Impression<'_>, ids: &mut Vec<u64>) {
    ids.clear();
    let bucket = impression.duration_bucket() as u64;
    let mut put = |kind: IdKind, id: u64| ids.push(cross(id, kind as u64));
    put(IdKind::Item, impression.item);
    put(IdKind::Author, impression.author);
    put(IdKind::Surface, impression.surface);
    put(IdKind::Bucket, bucket);
    put(IdKind::SurfaceBucket, cross(impression.surface, bucket));
    put(IdKind::ItemSurface, cross(impression.item, impression.surface));
    put(IdKind::Hour, hour_of_day(impression.at_ms));
    impression.counted_tags().for_each(|tag| put(IdKind::Tag, tag));
    impression
        .known_item_attributes()
        .for_each(|attribute| put(IdKind::ItemAttribute, attribute));
    impression
        .known_viewer_attributes()
        .for_each(|attribute| put(IdKind::ViewerAttribute, attribute));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn equal_numbers_of_different_kinds_do_not_meet() {
        let impression = Impression {
            at_ms: 7 * 3_600_000,
            item: 7,
            author: 7,
            tags: &[7],
            surface: 7,
            duration_ms: 40_000,
            uploaded_at_ms: None,
            item_attributes: &[7, 0],
            viewer_attributes: &[0, 7],
        };
        let mut ids = vec![1, 2, 3];
        identities(&impression, &mut ids);
        assert_eq!(ids.len(), 10, "seven of the impression, a tag, two known attributes");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }
}
