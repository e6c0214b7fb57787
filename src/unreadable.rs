//! Why a document cannot be read: which field, and what is wrong with it.
//!
//! Reading does not keep track of where it is; only what failed is read a second time, with the path.

use serde::de::DeserializeOwned;
use swipeline_models::wire::FieldError;

use crate::msgpack;
use crate::object::Object;
use crate::unknown::unwatched;

/// The code of what cannot be read.
pub(crate) const MALFORMED: &str = "malformed";

/// Why JSON is not a `T`; `whole` names the document where no field of it is to blame.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8], whole: &str) -> FieldError {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match unwatched(|| serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer)) {
        Ok(_) => {
            let detail = deserializer.end().err().map(|error| error.to_string());
            FieldError::new(whole, MALFORMED, detail.unwrap_or_else(|| "cannot be read".to_owned()))
        }
        Err(error) => at(&error.path().to_string(), whole, &error.inner().to_string()),
    }
}

/// Why MessagePack is not a `T`; `whole` names the document where no field of it is to blame.
pub(crate) fn msgpack<T: DeserializeOwned>(bytes: &[u8], whole: &str) -> FieldError {
    match unwatched(|| msgpack::from_slice_with_path::<Object<T>>(bytes)) {
        Ok(_) => FieldError::new(whole, MALFORMED, "cannot be read"),
        Err((path, error)) => at(&path, whole, &error.to_string()),
    }
}

fn at(path: &str, whole: &str, detail: &str) -> FieldError {
    // The library's word for the document itself, and for what is broken before a field has begun.
    let field = path.trim_end_matches(".?").trim_end_matches('?');
    let field = if field.is_empty() || field == "." { whole } else { field };
    FieldError::new(field, MALFORMED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use swipeline_models::wire::{EventDto, ItemDto};

    fn check<T: DeserializeOwned>(document: &Value, field: &str) {
        let in_json = json::<T>(document.to_string().as_bytes(), "item");
        assert_eq!(
            (in_json.field.as_str(), in_json.code.as_str()),
            (field, MALFORMED),
            "{in_json:?}"
        );
        let packed = rmp_serde::to_vec_named(document).expect("MessagePack");
        assert_eq!(msgpack::<T>(&packed, "item").field, field, "{document}");
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        check::<ItemDto>(&json!({"title": 5}), "title");
        check::<ItemDto>(&json!({"tags": ["a", 5]}), "tags[1]");
        check::<ItemDto>(&json!({"attributes": {"a": 1, "price": [1]}}), "attributes.price");
        check::<EventDto>(&json!({"type": "view", "item_id": "v", "watch_ms": "long"}), "watch_ms");
        check::<EventDto>(&json!(["v"]), "item");
    }

    #[test]
    fn broken_documents_are_wrong_as_a_whole() {
        assert_eq!(json::<ItemDto>(b"", "body").field, "body");
        assert_eq!(json::<ItemDto>(b"{\"title\":\"x\"} x", "body").field, "body");
        assert_eq!(msgpack::<ItemDto>(&[0xc1], "body").field, "body");
    }
}
