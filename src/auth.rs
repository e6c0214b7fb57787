//! Who is there: viewers' tokens (JWT), keys of back ends, keys of operators.
//!
//! Owns: how a credential becomes an [`Identity`]. Must not know what an identity may do: the REST areas and the
//! WebSocket handshake decide that.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use swipeline_models::ids::UserId;

use crate::config::{AuthSettings, Secret};

/// How far the clocks of the issuer and of this server may be apart, in seconds.
const CLOCK_LEEWAY_S: u64 = 5;
/// The shortest shared secret, in bytes: what RFC 7518 asks of HS256. A shorter one can be guessed from one token.
const SECRET_BYTES_MIN: usize = 32;
/// The header of a back end's key, beside `Authorization: Bearer`.
const API_KEY_HEADER: &str = "x-api-key";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody has to say who they are.
    Anonymous,
    /// A back end, by the place of its key in the configuration.
    Service(usize),
    /// A viewer.
    Viewer(Viewer),
}

/// A viewer with a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// Who.
    pub(crate) user: UserId,
    /// Until when the token is valid, in seconds since 1970-01-01 UTC.
    pub(crate) expires_at_s: u64,
}

/// Why a credential was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// No credential was given.
    #[error("a token or an API key is required")]
    Missing,
    /// The token was valid once.
    #[error("the token has expired")]
    Expired,
    /// The credential is not valid; the text says why without telling secrets.
    #[error("the credential is not valid: {0}")]
    Invalid(String),
    /// A key that nobody has: somebody may be guessing.
    #[error("the credential is not valid: {0}")]
    UnknownKey(&'static str),
}

/// A time in whole seconds since 1970-01-01 UTC; what issuers write may have a fraction, which is cut off.
#[derive(Debug, Clone, Copy, Serialize)]
struct Seconds(u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds.is_finite() && seconds >= 0.0 {
            // What is beyond the range is as good as for ever.
            Ok(Self(seconds as u64))
        } else {
            Err(D::Error::custom("a time must be a number of at least 0"))
        }
    }
}

/// What a viewer's token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// May have a fraction (RFC 7519, section 2), as `nbf` and `iat` may; the JWT library checks `exp` and `nbf`.
    exp: Seconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// A text or a list of texts; checked by the JWT library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<serde_json::Value>,
}

/// Checks credentials.
pub(crate) struct Authenticator {
    anonymous: bool,
    tokens: Option<(DecodingKey, Validation)>,
    api_keys: Vec<Secret>,
    admin_keys: Vec<Secret>,
}

impl Authenticator {
    /// Reads the keys of the settings.
    pub(crate) fn new(settings: &AuthSettings) -> Result<Self, String> {
        let key = match (&settings.jwt_secret, &settings.jwt_public_key) {
            (Some(secret), _) => {
                check_secret(secret)?;
                Some(DecodingKey::from_secret(secret.expose().as_bytes()))
            }
            (None, Some(pem)) => Some(public_key(pem)?),
            (None, None) => None,
        };
        let tokens = key.map(|key| {
            let mut validation = Validation::new_for_family(key.family());
            validation.leeway = CLOCK_LEEWAY_S;
            validation.validate_nbf = true;
            validation.validate_aud = settings.audience.is_some();
            let mut required = vec!["exp", "sub"];
            if let Some(issuer) = &settings.issuer {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            if let Some(audience) = &settings.audience {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            validation.set_required_spec_claims(&required);
            (key, validation)
        });
        Ok(Self {
            anonymous: settings.is_anonymous(),
            tokens,
            api_keys: settings.api_keys.clone(),
            admin_keys: settings.admin_keys.clone(),
        })
    }

    /// Whether nobody has to say who they are.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// Whether viewers' tokens can be checked at all.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Who sends these headers.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Identity, AuthError> {
        if self.anonymous {
            return Ok(Identity::Anonymous);
        }
        let api_key = headers.get(API_KEY_HEADER).and_then(|value| value.to_str().ok());
        let credential = api_key.or_else(|| bearer(headers)).ok_or(AuthError::Missing)?;
        self.identify_credential(credential)
    }

    /// Who presents this key or token.
    pub(crate) fn identify_credential(&self, credential: &str) -> Result<Identity, AuthError> {
        if let Some(place) = find_key(&self.api_keys, credential) {
            return Ok(Identity::Service(place));
        }
        self.viewer(credential).map(Identity::Viewer)
    }

    /// The viewer of a token.
    pub(crate) fn viewer(&self, token: &str) -> Result<Viewer, AuthError> {
        let Some((key, validation)) = &self.tokens else {
            return Err(AuthError::UnknownKey("unknown API key"));
        };
        let token = jsonwebtoken::decode::<Claims>(token, key, validation).map_err(|error| {
            if matches!(error.kind(), ErrorKind::ExpiredSignature) {
                AuthError::Expired
            } else {
                AuthError::Invalid(error.to_string())
            }
        })?;
        // No extension is understood here, and one that is critical must be (RFC 7515, section 4.1.11).
        if let Some(critical) = &token.header.crit {
            let detail = format!("its header says that {} must be understood", critical.join(", "));
            return Err(AuthError::Invalid(detail));
        }
        let claims = token.claims;
        let user = UserId::new(&claims.sub).map_err(|error| AuthError::Invalid(format!("its subject {error}")))?;
        Ok(Viewer {
            user,
            expires_at_s: claims.exp.0,
        })
    }

    /// Whether these headers may use the admin API.
    pub(crate) fn admits_operator(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        if self.admin_keys.is_empty() {
            return Ok(());
        }
        let api_key = headers.get(API_KEY_HEADER).and_then(|value| value.to_str().ok());
        let credential = api_key.or_else(|| bearer(headers)).ok_or(AuthError::Missing)?;
        find_key(&self.admin_keys, credential)
            .map(|_| ())
            .ok_or(AuthError::UnknownKey("unknown admin key"))
    }

    /// Whether everybody who reaches the admin listener may use it.
    pub(crate) fn trusts_operators(&self) -> bool {
        self.admin_keys.is_empty()
    }
}

/// Makes a viewer's token, signed with the configured shared secret (HS256).
///
/// # Errors
/// When no shared secret is configured, when it is too short for the server to take it, or signing fails.
pub fn issue_token(settings: &AuthSettings, user: &UserId, now_s: u64, ttl_s: u64) -> anyhow::Result<String> {
    let Some(secret) = &settings.jwt_secret else {
        anyhow::bail!("no shared secret: set SWIPELINE__AUTH__JWT_SECRET or auth.jwt_secret_file");
    };
    check_secret(secret).map_err(|detail| anyhow::anyhow!("the shared secret {detail}"))?;
    let claims = Claims {
        sub: user.as_str().to_owned(),
        exp: Seconds(now_s.saturating_add(ttl_s)),
        iat: Some(Seconds(now_s)),
        iss: settings.issuer.clone(),
        aud: settings.audience.clone().map(serde_json::Value::String),
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

/// Checks that a shared secret is long enough.
pub(crate) fn check_secret(secret: &Secret) -> Result<(), String> {
    match secret.expose().len() {
        SECRET_BYTES_MIN.. => Ok(()),
        length => Err(format!(
            "must have at least {SECRET_BYTES_MIN} bytes, has {length} (openssl rand -base64 32 makes one)"
        )),
    }
}

/// Checks that a PEM text holds a public key that tokens can be checked with.
pub(crate) fn check_public_key(pem: &str) -> Result<(), String> {
    public_key(pem).map(|_| ())
}

fn public_key(pem: &str) -> Result<DecodingKey, String> {
    let pem = pem.as_bytes();
    DecodingKey::from_rsa_pem(pem)
        .or_else(|_| DecodingKey::from_ec_pem(pem))
        .or_else(|_| DecodingKey::from_ed_pem(pem))
        .map_err(|_| "is not a PEM file with an RSA, EC or Ed25519 public key".to_owned())
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The place of a key; looks at every byte of every key, so that time tells nothing.
pub(crate) fn find_key(keys: &[Secret], given: &str) -> Option<usize> {
    let mut found = None;
    for (place, key) in keys.iter().enumerate() {
        let (key, given) = (key.expose().as_bytes(), given.as_bytes());
        let mut difference = u8::from(key.len() != given.len());
        for (index, byte) in key.iter().enumerate() {
            difference |= byte ^ given.get(index).copied().unwrap_or(!byte);
        }
        if difference == 0 {
            found = Some(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn settings() -> AuthSettings {
        AuthSettings {
            jwt_secret: Some(Secret::new("a-shared-secret-of-32-bytes-or-more")),
            audience: Some("app".to_owned()),
            api_keys: vec![Secret::new("key-1"), Secret::new("key-22")],
            ..AuthSettings::default()
        }
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("a header"));
        headers
    }

    fn now_s() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    #[test]
    fn a_token_that_was_issued_is_taken_until_it_expires() {
        let settings = settings();
        let authenticator = Authenticator::new(&settings).expect("keys");
        let user = UserId::new("u1").expect("id");
        let token = issue_token(&settings, &user, now_s(), 60).expect("token");
        let identity = authenticator.identify(&headers(AUTHORIZATION, &format!("Bearer {token}")));
        assert!(matches!(identity, Ok(Identity::Viewer(viewer)) if viewer.user == user));
        let old = issue_token(&settings, &user, now_s() - 1_000, 60).expect("token");
        assert_eq!(authenticator.viewer(&old), Err(AuthError::Expired));
    }

    #[test]
    fn a_token_for_somebody_else_or_with_another_secret_is_refused() {
        let authenticator = Authenticator::new(&settings()).expect("keys");
        let user = UserId::new("u1").expect("id");
        for other in [
            AuthSettings {
                audience: Some("other".to_owned()),
                ..settings()
            },
            AuthSettings {
                audience: None,
                ..settings()
            },
            AuthSettings {
                jwt_secret: Some(Secret::new("another-secret-of-32-bytes-or-more!")),
                ..settings()
            },
        ] {
            let token = issue_token(&other, &user, now_s(), 60).expect("token");
            assert!(matches!(authenticator.viewer(&token), Err(AuthError::Invalid(_))));
        }
        assert!(matches!(
            authenticator.viewer("not.a.token"),
            Err(AuthError::Invalid(_))
        ));
    }

    fn signed(header: &Header, claims: &serde_json::Value) -> String {
        let secret = settings().jwt_secret.expect("a secret");
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        jsonwebtoken::encode(header, claims, &key).expect("a token")
    }

    #[test]
    fn times_may_have_fractions() {
        let authenticator = Authenticator::new(&settings()).expect("keys");
        let header = Header::new(Algorithm::HS256);
        let claims = |exp: f64, nbf: f64| serde_json::json!({"sub": "u1", "aud": "app", "exp": exp, "iat": now_s() as f64 - 0.75, "nbf": nbf});
        let now = now_s() as f64;
        let viewer = authenticator
            .viewer(&signed(&header, &claims(now + 60.25, now - 1.5)))
            .expect("valid");
        assert_eq!(viewer.expires_at_s, now_s() + 60);
        let expired = signed(&header, &claims(now - 60.25, now - 100.0));
        assert_eq!(authenticator.viewer(&expired), Err(AuthError::Expired));
        let early = signed(&header, &claims(now + 600.25, now + 300.5));
        assert!(matches!(authenticator.viewer(&early), Err(AuthError::Invalid(_))));
        for exp in [
            serde_json::json!("soon"),
            serde_json::json!(-1),
            serde_json::json!(null),
        ] {
            let bad = signed(&header, &serde_json::json!({"sub": "u1", "aud": "app", "exp": exp}));
            assert!(authenticator.viewer(&bad).is_err(), "{exp}");
        }
    }

    #[test]
    fn a_critical_header_is_refused() {
        let authenticator = Authenticator::new(&settings()).expect("keys");
        let claims = serde_json::json!({"sub": "u1", "aud": "app", "exp": now_s() + 60});
        for critical in [vec!["exotic".to_owned()], vec!["b64".to_owned()], vec![]] {
            let mut header = Header::new(Algorithm::HS256);
            header.crit = Some(critical.clone());
            let token = signed(&header, &claims);
            assert!(
                matches!(authenticator.viewer(&token), Err(AuthError::Invalid(_))),
                "{critical:?}"
            );
        }
        assert!(
            authenticator
                .viewer(&signed(&Header::new(Algorithm::HS256), &claims))
                .is_ok()
        );
    }

    #[test]
    fn a_short_secret_is_refused_by_the_server_and_by_the_issuer_of_tokens() {
        let short = AuthSettings {
            jwt_secret: Some(Secret::new("0123456789abcdef0123456789abcde")),
            ..AuthSettings::default()
        };
        assert!(Authenticator::new(&short).is_err_and(|error| error.contains("at least 32 bytes, has 31")));
        let user = UserId::new("u1").expect("id");
        assert!(issue_token(&short, &user, now_s(), 60).is_err());
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let authenticator = Authenticator::new(&settings()).expect("keys");
        // {"alg":"none","typ":"JWT"} . {"sub":"u1","exp":4102444800,"aud":"app"}
        let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1MSIsImV4cCI6NDEwMjQ0NDgwMCwiYXVkIjoiYXBwIn0.";
        assert!(matches!(authenticator.viewer(token), Err(AuthError::Invalid(_))));
    }

    #[test]
    fn keys_are_found_whole_or_not_at_all() {
        let authenticator = Authenticator::new(&settings()).expect("keys");
        let key = |value: &str| authenticator.identify(&headers(HeaderName::from_static(API_KEY_HEADER), value));
        assert_eq!(key("key-22"), Ok(Identity::Service(1)));
        assert!(key("key-2").is_err() && key("key-222").is_err());
        assert_eq!(authenticator.identify(&HeaderMap::new()), Err(AuthError::Missing));
    }
}
