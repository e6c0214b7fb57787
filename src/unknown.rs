//! Fields of a document that nobody reads: found while it is read, so that nothing a client says is ignored without a word.
//!
//! Owns the finding and the guess at what was meant. [`crate::object::Object`] reports here; whoever reads a document asks
//! to be told with [`watch`]. Without a watcher unknown fields are skipped as ever.

use std::cell::RefCell;

use serde::Deserialize;
use serde::de::value::Error as ProbeError;
use serde::de::{Deserializer, Error, Visitor};

/// The most findings of one document.
const FOUND_MAX: usize = 100;

/// A field, or a parameter, that nobody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// The place of its element in a list, from 0.
    pub(crate) element: usize,
    /// Its name, with the path to it.
    pub(crate) name: String,
    /// What may have been meant.
    pub(crate) meant: Option<String>,
}

impl Unknown {
    /// A name that is not among those that are known.
    pub(crate) fn new<'a>(element: usize, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self {
            element,
            name: name.to_owned(),
            meant: nearest(name, known),
        }
    }

    /// What is wrong, for people.
    pub(crate) fn detail(&self) -> String {
        match &self.meant {
            Some(meant) => format!("is not known; did you mean {meant:?}?"),
            None => "is not known".to_owned(),
        }
    }
}

#[derive(Default)]
struct Watch {
    elements: usize,
    found: Vec<Unknown>,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Reads a document and tells what nobody reads of it.
pub(crate) fn watch<T>(read: impl FnOnce() -> T) -> (T, Vec<Unknown>) {
    WATCH.with_borrow_mut(|watch| *watch = Some(Watch::default()));
    let document = read();
    let watched = WATCH.with_borrow_mut(Option::take);
    (document, watched.unwrap_or_default().found)
}

/// Reads without being watched: what has been read before, and is only read again to find out what is wrong with it.
pub(crate) fn unwatched<T>(read: impl FnOnce() -> T) -> T {
    let watch = WATCH.with_borrow_mut(Option::take);
    let document = read();
    WATCH.with_borrow_mut(|place| *place = watch);
    document
}

/// The document is read once more from its beginning.
pub(crate) fn again() {
    WATCH.with_borrow_mut(|watch| {
        if let Some(watch) = watch {
            *watch = Watch::default();
        }
    });
}

/// An element begins; returns whether anybody wants to be told.
pub(crate) fn begin_element() -> bool {
    WATCH.with_borrow_mut(|watch| {
        watch.as_mut().is_some_and(|watch| {
            watch.elements += 1;
            watch.found.len() < FOUND_MAX
        })
    })
}

/// The running element, read as a `T`, has a field that nobody reads.
pub(crate) fn report<'de, T: Deserialize<'de>>(path: &str) {
    WATCH.with_borrow_mut(|watch| {
        let Some(watch) = watch else { return };
        if watch.found.len() >= FOUND_MAX {
            return;
        }
        let element = watch.elements.saturating_sub(1);
        watch
            .found
            .push(Unknown::new(element, path, fields_of::<T>().iter().copied()));
    });
}

/// The known name that is nearest to one that is not; `None` when none is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    let distance_max = (name.chars().count() / 3).max(1);
    known
        .map(|known| (strsim::osa_distance(&lower, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// The names of the fields of a struct.
fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Probe<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Probe<'_> {
        type Error = ProbeError;

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, ProbeError> {
            Err(ProbeError::custom("only a probe"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, ProbeError> {
            *self.0 = fields;
            Err(ProbeError::custom("only a probe"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut fields: &'static [&'static str] = &[];
    // It never succeeds: what it was asked for is all that is wanted.
    let _ = T::deserialize(Probe(&mut fields));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use swipeline_models::wire::ItemDto;

    fn found(json: &str) -> Vec<(usize, String, Option<String>)> {
        let (read, found) = watch(|| serde_json::from_str::<Vec<Object<ItemDto>>>(json));
        read.expect("a list");
        let parts = |unknown: Unknown| (unknown.element, unknown.name, unknown.meant);
        found.into_iter().map(parts).collect()
    }

    #[test]
    fn unknown_fields_are_named_with_what_may_have_been_meant() {
        let json = r#"[{"id": "a"}, {"id": "b", "embeding": [1], "attributes": {"any": 1}}, {"id": "c", "zzz": 1}]"#;
        let expected = [
            (1, "embeding".to_owned(), Some("embedding".to_owned())),
            (2, "zzz".to_owned(), None),
        ];
        assert_eq!(found(json), expected);
        assert!(serde_json::from_str::<Object<ItemDto>>(r#"{"id": "a", "zzz": 1}"#).is_ok());
        assert_eq!(watch(|| ()).1, []);
    }

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let known = ["category", "tag", "author", "n"];
        let nearest = |name: &str| nearest(name, known.into_iter());
        assert_eq!(nearest("categories").as_deref(), Some("category"));
        assert_eq!(nearest("Category").as_deref(), Some("category"));
        assert_eq!(nearest("tags").as_deref(), Some("tag"));
        assert_eq!(nearest("no_such_parameter"), None);
    }
}
