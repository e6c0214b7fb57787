//! Cursors: where the next page of a list begins, as a text that only this server reads.

use swipeline_actors::BrowsePlace;

use super::problem::Problem;

/// The place behind which the next page begins, for the list of that fingerprint.
pub(super) fn write(list: u64, place: BrowsePlace) -> String {
    format!("{list:016x}{:016x}{:08x}", place.key.to_bits(), place.row)
}

/// Reads a cursor of the list of that fingerprint.
pub(super) fn read(list: u64, cursor: &str) -> Result<BrowsePlace, Problem> {
    let wrong = || {
        let detail = "is no cursor of this list; take it from the page before, with the same parameters";
        Problem::rule("cursor", "unknown_cursor", detail)
    };
    if cursor.len() != 40 || !cursor.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let part = |range: std::ops::Range<usize>| u64::from_str_radix(&cursor[range], 16).map_err(|_| wrong());
    if part(0..16)? != list {
        return Err(wrong());
    }
    let row = u32::try_from(part(32..40)?).map_err(|_| wrong())?;
    Ok(BrowsePlace {
        key: f64::from_bits(part(16..32)?),
        row,
    })
}

/// A cursor that is a text.
pub(super) fn write_text(place: &str) -> String {
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads it back.
pub(super) fn read_text(cursor: &str) -> Result<String, Problem> {
    let wrong = || {
        Problem::rule(
            "cursor",
            "unknown_cursor",
            "is no cursor of this list; take it from the page before",
        )
    };
    if !cursor.is_ascii() || !cursor.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let digits = cursor.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_comes_back(text in ".{0,40}", garbage in ".{0,20}") {
            prop_assert_eq!(read_text(&write_text(&text)).expect("a text"), text);
            let _ = read_text(&garbage);
        }

        #[test]
        fn a_place_comes_back_and_anything_else_is_refused(list: u64, key: f64, row: u32, garbage in ".{0,50}") {
            let cursor = write(list, BrowsePlace { key, row });
            let again = read(list, &cursor).expect("a place");
            prop_assert_eq!((again.key.to_bits(), again.row), (key.to_bits(), row));
            prop_assert!(read(list.wrapping_add(1), &cursor).is_err());
            if garbage.len() != 40 {
                prop_assert!(read(list, &garbage).is_err());
            }
        }
    }
}
