//! The session cookie: a challenge that the broker need not remember, or the name of a token it gave.
//!
//! Sealed with AES-256-GCM under a key of this broker, so a cookie that opens was made by this broker and not altered. It can be
//! sent any number of times until it expires: what it leads to is encrypted to the key that the evidence names, so a repetition gains nothing.
//! That a node's round counts once is seen from when its challenge was given (`compliance::online`).

use crate::crypto::{self, CryptoError, NONCE_LENGTH};
use crate::secret::Key;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::rcar::SESSION_COOKIE;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};

/// What a cookie holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Session {
    /// A challenge was given.
    Challenged {
        /// The nonce as its text.
        nonce: String,
        /// The TEE that asked.
        tee: Tee,
        /// From when on the cookie is worth nothing.
        expires: UnixTime,
    },
    /// A token was given.
    Attested {
        /// SHA-256 of the token.
        token: HexArray<32>,
        /// From when on the token is worth nothing.
        expires: UnixTime,
    },
    /// A challenge was given to a node.
    Node {
        /// The node's name.
        node: String,
        /// The nonce as its text.
        nonce: String,
        /// When it was given.
        given: UnixTime,
        /// From when on the cookie is worth nothing.
        expires: UnixTime,
    },
}

impl Session {
    /// From when on it is worth nothing.
    pub fn expires(&self) -> UnixTime {
        match self {
            Self::Challenged { expires, .. }
            | Self::Attested { expires, .. }
            | Self::Node { expires, .. } => *expires,
        }
    }
}

/// Why a cookie was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// There is none.
    #[error("no session cookie")]
    Missing,
    /// Not made by this broker with its present key.
    #[error("a session cookie that this broker did not make")]
    Forged,
    /// Too old.
    #[error("a session cookie that expired at {expires}, it is {now}")]
    Expired {
        /// When it expired.
        expires: UnixTime,
        /// When it was used.
        now: UnixTime,
    },
}

/// Longest cookie value read: twice the longest that is made.
const MAX_VALUE: usize = 1024;
/// Salt that derives the key. No two cookies share one, so the GCM nonce may be constant and any number of cookies may be made.
const SALT: usize = 24;
const NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];
const PURPOSE: &str = "sealpod session cookie v1";

/// The cookie's value for a session.
pub fn seal(key: &Key, session: &Session) -> Result<String, CryptoError> {
    let salt: [u8; SALT] = crypto::random()?;
    let mut text = serde_json::to_vec(session).map_err(|_| CryptoError)?;
    crypto::seal(crypto::derive(key, PURPOSE, &salt).expose(), NONCE, b"", &mut text)?;
    Ok(URL_SAFE_NO_PAD.encode([salt.as_slice(), &text].concat()))
}

/// The session of a cookie's value.
pub fn open(key: &Key, value: &str, now: UnixTime) -> Result<Session, CookieError> {
    if value.len() > MAX_VALUE {
        return Err(CookieError::Forged);
    }
    let bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| CookieError::Forged)?;
    let (salt, sealed) = bytes.split_at_checked(SALT).ok_or(CookieError::Forged)?;
    let mut text = sealed.to_vec();
    crypto::open(crypto::derive(key, PURPOSE, salt).expose(), NONCE, b"", &mut text)
        .map_err(|_| CookieError::Forged)?;
    let session: Session = serde_json::from_slice(&text).map_err(|_| CookieError::Forged)?;
    let expires = session.expires();
    if now < expires { Ok(session) } else { Err(CookieError::Expired { expires, now }) }
}

/// The session cookie's value among `Cookie` headers (RFC 6265 section 4.2). Of several, the last: clients append.
pub fn find<'a>(headers: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    headers
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.trim_matches('"'))
        .last()
}

/// The `Set-Cookie` header.
pub fn set_cookie(value: &str, seconds: u64, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenged() -> Session {
        Session::Challenged { nonce: "n".repeat(44), tee: Tee::Snp, expires: 100 }
    }

    #[test]
    fn a_cookie_opens_for_its_broker_until_it_expires() {
        let key = Key::new([1; 32]);
        let node = Session::Node { node: "n".repeat(64), nonce: "0".repeat(64), given: 1, expires: 100 };
        for session in [challenged(), node, Session::Attested { token: HexArray([2; 32]), expires: 100 }] {
            let value = seal(&key, &session).unwrap();
            assert!(value.len() * 2 <= MAX_VALUE, "{}", value.len());
            assert_eq!(open(&key, &value, 99), Ok(session));
            assert_eq!(open(&key, &value, 100), Err(CookieError::Expired { expires: 100, now: 100 }));
            assert_eq!(open(&Key::new([2; 32]), &value, 99), Err(CookieError::Forged));
        }
    }

    #[test]
    fn no_altered_cookie_opens() {
        let key = Key::new([1; 32]);
        let bytes = URL_SAFE_NO_PAD.decode(seal(&key, &challenged()).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 1;
            assert_eq!(open(&key, &URL_SAFE_NO_PAD.encode(spoiled), 0), Err(CookieError::Forged));
        }
        for bad in ["", "AAAA", "!", &"A".repeat(MAX_VALUE + 1)] {
            assert_eq!(open(&key, bad, 0), Err(CookieError::Forged));
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(find(["a=b; kbs-session-id=x; c=d"].into_iter()), Some("x"));
        assert_eq!(find(["kbs-session-id=x", "kbs-session-id=\"y\""].into_iter()), Some("y"));
        assert_eq!(find(["kbs-session-idx=1", "xkbs-session-id=1", "kbs-session-id"].into_iter()), None);
    }
}
