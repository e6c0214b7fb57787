//! What clients really write where the wire has whole numbers, lists and maps: JavaScript has no integers of 64 bits, its
//! clocks have fractions, and what is not known is often a `null`.
//!
//! Owns functions for `#[serde(deserialize_with)]`. Must not know which field means what, nor its bounds: those are checked
//! on the way to the domain types.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::event::ContextValue;

/// The first number that is too large to be an `i64`; a float can say it exactly.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// A number as it was written, as far as it can be a whole one.
enum Written {
    Whole(i64),
    /// Finite, within the range of [`Written::Whole`], but with a fraction.
    Fraction(f64),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WrittenVisitor;

        impl Visitor<'_> for WrittenVisitor {
            type Value = Written;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Written, E> {
                Ok(Written::Whole(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Written, E> {
                i64::try_from(value)
                    .map(Written::Whole)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Written, E> {
                if !(-I64_END..I64_END).contains(&value) {
                    return Err(E::invalid_value(Unexpected::Float(value), &self));
                }
                if value.fract() == 0.0 {
                    Ok(Written::Whole(value as i64))
                } else {
                    Ok(Written::Fraction(value))
                }
            }
        }

        deserializer.deserialize_any(WrittenVisitor)
    }
}

/// A whole number; a float without a fraction is one.
pub(super) struct Whole(pub(super) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Whole(value) => Ok(Self(value)),
            Written::Fraction(value) => Err(D::Error::invalid_value(Unexpected::Float(value), &"a whole number")),
        }
    }
}

/// Milliseconds; a fraction is rounded.
struct Millis(i64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Whole(value) => Self(value),
            Written::Fraction(value) => Self(value.round() as i64),
        })
    }
}

/// A number of at least zero.
struct Unsigned(u64);

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Whole(value) = Whole::deserialize(deserializer)?;
        u64::try_from(value)
            .map(Self)
            .map_err(|_| D::Error::invalid_value(Unexpected::Signed(value), &"a number of at least 0"))
    }
}

/// A whole number, or none.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|value| value.0))
}

/// A whole number of at least zero.
pub(super) fn unsigned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Unsigned::deserialize(deserializer).map(|value| value.0)
}

/// Milliseconds, or none.
pub(super) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Millis>::deserialize(deserializer)?.map(|value| value.0))
}

/// Small whole numbers, or none.
pub(super) fn small_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let Some(numbers) = Option::<Vec<Whole>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let small = |Whole(number): Whole| {
        u8::try_from(number).map_err(|_| D::Error::invalid_value(Unexpected::Signed(number), &"a number of 0 to 255"))
    };
    numbers.into_iter().map(small).collect::<Result<_, _>>().map(Some)
}

/// Texts, or none; a `null` among them is not there.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<Present<String>>::deserialize(deserializer)?.map(|present| present.0))
}

/// The elements of a list that are not `null`.
struct Present<T>(Vec<T>);

/// So many elements are reserved before the first has been read.
const RESERVE_MAX: usize = 64;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Present<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = Present<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Present<T>, A::Error> {
                let mut present = Vec::with_capacity(list.size_hint().unwrap_or(0).min(RESERVE_MAX));
                while let Some(element) = list.next_element::<Option<T>>()? {
                    present.extend(element);
                }
                Ok(Present(present))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Attributes, or none; one that is `null` is not there.
pub(super) fn values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, ContextValue>>, D::Error> {
    let values = Option::<BTreeMap<String, Option<Value>>>::deserialize(deserializer)?;
    Ok(values.map(|values| {
        let present = |(key, value): (String, Option<Value>)| Some((key, value?.0));
        values.into_iter().filter_map(present).collect()
    }))
}

/// Weights by name, or none; one that is `null` is not there.
pub(super) fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, f32>>, D::Error> {
    let weights = Option::<BTreeMap<String, Option<f32>>>::deserialize(deserializer)?;
    Ok(weights.map(|weights| {
        weights
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }))
}

/// A [`ContextValue`] whose error says what may stand there.
struct Value(ContextValue);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl Visitor<'_> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, a number, true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value(ContextValue::Flag(value)))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value(ContextValue::Number(value as f64)))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
                Ok(Value(ContextValue::Number(value as f64)))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
                Ok(Value(ContextValue::Number(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value(ContextValue::Text(value.to_owned())))
            }

            fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
                Ok(Value(ContextValue::Text(value)))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ClientFrame, EventDto, ItemDto, UserDto};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn event(fields: Json) -> Result<EventDto, String> {
        let mut event = json!({"item_id": "v", "type": "view"});
        if let (Some(event), Json::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        let from_json = serde_json::from_value::<EventDto>(event.clone()).map_err(|error| error.to_string());
        let packed = rmp_serde::to_vec_named(&event).expect("MessagePack");
        let from_msgpack = rmp_serde::from_slice::<EventDto>(&packed);
        assert_eq!(from_json.as_ref().ok(), from_msgpack.as_ref().ok(), "{event}");
        from_json
    }

    #[test]
    fn a_whole_float_is_that_number_and_milliseconds_may_have_fractions() {
        let read = event(json!({"at": 1.7e12, "watch_ms": 1234.5, "position": 3.0})).expect("readable");
        assert_eq!(
            (read.at, read.watch_ms, read.position),
            (Some(1_700_000_000_000), Some(1235), Some(3))
        );
        assert_eq!(
            event(json!({"at": 1_700_000_000_000.25})).expect("readable").at,
            Some(1_700_000_000_000)
        );
        assert_eq!(event(json!({"at": null, "position": null})).expect("readable").at, None);
        for bad in [
            json!({"position": 3.5}),
            json!({"position": "3"}),
            json!({"at": 1e300}),
            json!({"watch_ms": true}),
            json!({"watch_ms": [1]}),
            json!({"at": u64::MAX}),
        ] {
            assert!(event(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_numbers_of_other_messages_are_as_lenient() {
        let frame = json!({"type": "hello", "id": 7.0, "n": 5.0, "low_water": 2.0, "seq": 3.0, "upto": 1.0, "at": 1.5,
                           "resume": {"session": "s", "epoch": 4.0, "seq": 9.0}});
        let packed = rmp_serde::to_vec_named(&frame).expect("MessagePack");
        let read = rmp_serde::from_slice::<ClientFrame>(&packed).expect("readable");
        assert_eq!(serde_json::from_value::<ClientFrame>(frame).expect("readable"), read);
        let resume = read.resume.expect("a resume");
        assert_eq!(
            (read.n, read.upto, read.at, resume.epoch, resume.seq),
            (Some(5), Some(1), Some(2), 4, 9)
        );
        assert_eq!(read.id, Some(crate::wire::MessageId::Number(7)));
        let user = json!({"active_hours": [7.0, 21], "registered_at": 5.0});
        let user = serde_json::from_value::<UserDto>(user).expect("readable");
        assert_eq!((user.active_hours, user.registered_at), (Some(vec![7, 21]), Some(5)));
        assert!(serde_json::from_value::<UserDto>(json!({"active_hours": [7.5]})).is_err());
    }

    #[test]
    fn a_null_in_a_map_or_a_list_is_not_there() {
        let item = json!({"attributes": {"price": null, "plan": "x", "n": 1, "on": true}, "tags": ["a", null, "b"],
                          "categories": [null], "duration_ms": 15_000.4});
        let read = serde_json::from_value::<ItemDto>(item).expect("readable");
        let attributes = read.attributes.expect("attributes");
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["n", "on", "plan"]);
        assert_eq!(attributes["n"], ContextValue::Number(1.0));
        assert_eq!(read.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((read.categories, read.duration_ms), (Some(vec![]), Some(15_000)));
        let user =
            json!({"attributes": {"age": null}, "long_term_tags": {"cats": 1, "dogs": null}, "follows": [null, "a"]});
        let read = serde_json::from_value::<UserDto>(user).expect("readable");
        assert_eq!(read.long_term_tags.map(|tags| tags.len()), Some(1));
        assert_eq!(read.follows, Some(vec!["a".to_owned()]));
    }

    #[test]
    fn a_value_that_is_no_attribute_says_what_may_stand_there() {
        for bad in [
            json!({"attributes": {"a": [1]}}),
            json!({"attributes": {"a": {"b": 1}}}),
        ] {
            let error = serde_json::from_value::<ItemDto>(bad).expect_err("bad").to_string();
            assert!(error.contains("a text, a number, true or false"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_number_that_a_float_can_say_is_read_from_it(number in -(1_i64 << 53)..(1_i64 << 53)) {
            let read = event(json!({"at": number as f64})).expect("readable");
            prop_assert_eq!(read.at, Some(number));
        }

        #[test]
        fn fractions_are_rounded(number in -1.0e15_f64..1.0e15) {
            let read = event(json!({"watch_ms": number})).expect("readable").watch_ms.expect("a number");
            prop_assert!((read as f64 - number).abs() <= 0.5);
        }
    }
}
