//! Documents that must be objects.
//!
//! A derived `Deserialize` also takes a list as a struct, field by field. On the wire that would turn a mistake such as
//! `[["v1"]]` into an item; behind [`Object`] only a map is taken.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::unknown;

/// A `T` that was written as a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                if !unknown::begin_element() {
                    return T::deserialize(MapAccessDeserializer::new(map)).map(Object);
                }
                let mut report = |path: serde_ignored::Path<'_>| unknown::report::<T>(&path.to_string());
                serde_ignored::deserialize(MapAccessDeserializer::new(map), &mut report).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::wire::ItemDto;

    #[test]
    fn a_list_is_not_an_object() {
        assert!(
            serde_json::from_str::<ItemDto>("[\"v1\"]").is_ok(),
            "serde has changed; this module may go"
        );
        assert!(serde_json::from_str::<Object<ItemDto>>("[\"v1\"]").is_err());
        let packed = rmp_serde::to_vec(&["v1"]).expect("MessagePack");
        assert!(rmp_serde::from_slice::<Object<ItemDto>>(&packed).is_err());
        let item = ItemDto {
            id: "v1".to_owned(),
            hidden: Some(true),
            ..ItemDto::default()
        };
        let json = serde_json::to_string(&item).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Object<ItemDto>>(&json).expect("an object").0,
            item
        );
        let packed = rmp_serde::to_vec_named(&item).expect("MessagePack");
        assert_eq!(
            rmp_serde::from_slice::<Object<ItemDto>>(&packed).expect("an object").0,
            item
        );
    }
}
