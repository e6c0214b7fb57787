//! Identifiers: the string ids that the outside uses and the dense row numbers that the inside uses.
//!
//! Owns their limits and their validation. Must not know where an id comes from.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

/// The most bytes an id may have.
pub const ID_BYTES_MAX: usize = 256;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The string is empty.
    #[error("must not be empty")]
    Empty,
    /// The string has more than [`ID_BYTES_MAX`] bytes.
    #[error("must be at most {ID_BYTES_MAX} bytes, has {0}")]
    TooLong(usize),
    /// The string contains a control character.
    #[error("must not contain control characters")]
    ControlCharacter,
}

/// Checks that `text` may serve as an id: non-empty, at most [`ID_BYTES_MAX`] bytes, no control characters.
///
/// # Errors
/// Says which of the rules is broken.
pub fn validate_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::ControlCharacter);
    }
    Ok(())
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a string that keeps the rules of [`validate_id`].
            ///
            /// # Errors
            /// Says which of the rules is broken.
            pub fn new(text: &str) -> Result<Self, IdError> {
                validate_id(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The 64-bit hash (xxh3) under which exposure filters and de-duplication know this id; the same in every
            /// process and after every restart.
            #[must_use]
            pub fn hash64(&self) -> u64 {
                xxh3_64(self.0.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

string_id!(
    /// A viewer.
    UserId
);
string_id!(
    /// Something that can be shown.
    ItemId
);
string_id!(
    /// Whoever made an item.
    AuthorId
);
string_id!(
    /// The client's name for one event; makes a retry harmless.
    EventId
);

/// Row number of an item in the catalogue: dense, never given to another item within one process.
pub type Row = u32;

/// Number of an interned word (a category, a tag, an author or a region) in its vocabulary.
pub type Word = u32;

/// Number of partitions that users and items are spread over.
pub const PARTITION_COUNT: u64 = 256;

/// The partition of a user or item id: `xxh3(id) % 256`. Part of every journal record from the first day.
#[must_use]
pub fn partition_of(id: &str) -> u8 {
    u8::try_from(xxh3_64(id.as_bytes()) % PARTITION_COUNT).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_keeps_the_rules_of_the_contract() {
        assert_eq!(UserId::new(""), Err(IdError::Empty));
        assert_eq!(UserId::new(&"x".repeat(257)), Err(IdError::TooLong(257)));
        assert_eq!(UserId::new("a\nb"), Err(IdError::ControlCharacter));
        assert_eq!(UserId::new("a\u{85}b"), Err(IdError::ControlCharacter));
        assert!(UserId::new(&"é".repeat(128)).is_ok());
    }

    proptest! {
        #[test]
        fn serde_accepts_what_new_accepts(text in ".{0,300}") {
            let json = serde_json::to_string(&text).expect("a string is JSON");
            let parsed = serde_json::from_str::<ItemId>(&json);
            prop_assert_eq!(parsed.is_ok(), ItemId::new(&text).is_ok());
        }
    }
}
