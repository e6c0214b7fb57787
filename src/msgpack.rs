//! MessagePack from outside: bounded in depth and in memory, whole or not at all.

use std::io::Cursor;

use rmp_serde::Deserializer;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The deepest nesting that is read; a frame is six deep at most.
const DEPTH_MAX: usize = 16;

/// Why bytes are not the expected document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The bytes are not MessagePack, or of another shape.
    #[error("{0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// Something follows the document.
    #[error("{0} bytes follow the document")]
    Trailing(usize),
    /// A list was expected.
    #[error("a list was expected")]
    NotAList,
}

/// Reads one document that fills `bytes`.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    let (document, end) = read_at::<T>(bytes)?;
    match bytes.len().saturating_sub(end) {
        0 => Ok(document),
        trailing => Err(ReadError::Trailing(trailing)),
    }
}

/// As [`from_slice`], and where in the document it failed.
pub(crate) fn from_slice_with_path<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, (String, ReadError)> {
    let mut deserializer = Deserializer::new(Cursor::new(bytes));
    deserializer.set_max_depth(DEPTH_MAX);
    let document = serde_path_to_error::deserialize::<_, T>(&mut deserializer)
        .map_err(|error| (error.path().to_string(), ReadError::Decode(error.into_inner())))?;
    match bytes
        .len()
        .saturating_sub(usize::try_from(deserializer.position()).unwrap_or(usize::MAX))
    {
        0 => Ok(document),
        trailing => Err((String::new(), ReadError::Trailing(trailing))),
    }
}

/// The name and the bytes of each entry of a map of which all keys are texts; `None` for anything else.
pub(crate) fn map_entries(bytes: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let (count, mut rest) = match *bytes {
        [marker @ 0x80..=0x8f, ref rest @ ..] => (usize::from(marker & 0x0f), rest),
        [0xde, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        [0xdf, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]) as usize, rest),
        _ => return None,
    };
    let mut entries = Vec::new();
    for _ in 0..count {
        let (key, end) = read_at::<String>(rest).ok()?;
        let value = rest.get(end..)?;
        let (IgnoredAny, end) = read_at::<IgnoredAny>(value).ok()?;
        let (value, after) = value.split_at_checked(end)?;
        entries.push((key, value));
        rest = after;
    }
    rest.is_empty().then_some(entries)
}

/// Whether the document is a list.
pub(crate) fn is_array(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x90..=0x9f | 0xdc | 0xdd))
}

/// The bytes of each element of a list; `None` when there are more than `count_max`.
pub(crate) fn array_elements(bytes: &[u8], count_max: usize) -> Result<Option<Vec<&[u8]>>, ReadError> {
    let (count, mut rest) = match *bytes {
        [marker @ 0x90..=0x9f, ref rest @ ..] => (usize::from(marker & 0x0f), rest),
        [0xdc, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        [0xdd, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]) as usize, rest),
        _ => return Err(ReadError::NotAList),
    };
    let mut elements = Vec::new();
    let mut total = 0_usize;
    for _ in 0..count {
        let (IgnoredAny, end) = read_at::<IgnoredAny>(rest)?;
        let (element, after) = rest.split_at(end.min(rest.len()));
        total += 1;
        if total <= count_max {
            elements.push(element);
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err(ReadError::Trailing(rest.len()));
    }
    Ok((total <= count_max).then_some(elements))
}

/// Reads one document and tells where it ends.
fn read_at<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<(T, usize), ReadError> {
    let mut deserializer = Deserializer::new(Cursor::new(bytes));
    deserializer.set_max_depth(DEPTH_MAX);
    let document = T::deserialize(&mut deserializer)?;
    Ok((document, usize::try_from(deserializer.position()).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_follows_the_document_is_refused() {
        let mut bytes = rmp_serde::to_vec(&5).expect("MessagePack");
        assert_eq!(from_slice::<i64>(&bytes).expect("a number"), 5);
        bytes.push(0xc0);
        assert!(matches!(from_slice::<i64>(&bytes), Err(ReadError::Trailing(1))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = from_slice::<swipeline_models::wire::ClientFrame>(&bytes);
            let _ = array_elements(&bytes, 10);
        }

        #[test]
        fn a_map_falls_into_its_entries(
            map in prop::collection::btree_map(".{0,8}", prop::collection::vec(any::<i64>(), 0..4), 0..40),
            cut in 0_usize..200,
        ) {
            let bytes = rmp_serde::to_vec(&map).expect("MessagePack");
            let entries = map_entries(&bytes).expect("a map");
            let again: std::collections::BTreeMap<String, Vec<i64>> = entries
                .into_iter()
                .map(|(key, value)| (key, from_slice(value).expect("numbers")))
                .collect();
            prop_assert_eq!(&again, &map);
            if cut > 0 && cut < bytes.len() {
                prop_assert!(map_entries(&bytes[..bytes.len() - cut]).is_none());
            }
        }

        #[test]
        fn a_list_falls_into_its_elements(numbers in prop::collection::vec(any::<i64>(), 0..100)) {
            let bytes = rmp_serde::to_vec(&numbers).expect("MessagePack");
            let parts = array_elements(&bytes, 100).expect("a list").expect("not too many");
            let again: Vec<i64> = parts.iter().map(|part| from_slice(part).expect("a number")).collect();
            prop_assert_eq!(again, numbers);
        }
    }
}
