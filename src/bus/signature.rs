//! The signature of a webhook's body: HMAC-SHA256 (RFC 2104, FIPS 180-4).

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// `sha256=<hex>` over the body, as `X-Swipeline-Signature` carries it.
pub(super) fn signature(secret: &[u8], body: &[u8]) -> String {
    let mut text = String::from("sha256=");
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_rfc_4231_hold() {
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            signature(&[0x0b; 20], b"Hi There"),
            "sha256=b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }
}
