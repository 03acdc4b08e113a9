//! Tokens whose signature was checked once. A cache: losing an entry costs a check, or a new attestation.

use crate::crypto;
use crate::ear;
use crate::jwe::{Recipient, RecipientError};
use sealpod_verifier::UnixTime;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tokens of either generation; a session is some tens of kilobytes.
const MAX_YOUNG: usize = 2048;

/// What a token gives its bearer.
pub struct Session {
    /// The attestation's id.
    pub id: String,
    /// From when on it is worth nothing.
    pub expires: UnixTime,
    /// The token's claims, as policies read them.
    pub claims: regorus::Value,
    /// To whom secrets are encrypted.
    pub recipient: Recipient,
}

/// Why a signed token is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not JSON, or without what every token of ours has.
    #[error("the token's claims do not parse: {0}")]
    Claims(String),
    /// Its channel key is not one that can be encrypted to.
    #[error("tee-pubkey: {0}")]
    Recipient(#[from] RecipientError),
}

impl Session {
    /// From the claims of a token whose signature was verified.
    pub fn from_claims(claims: &[u8]) -> Result<Self, SessionError> {
        let error = |what: &dyn std::fmt::Display| SessionError::Claims(what.to_string());
        let text = std::str::from_utf8(claims).map_err(|e| error(&e))?;
        let claims = regorus::Value::from_json_str(text).map_err(|e| error(&e))?;
        let id = claims["jti"].as_string().map_err(|_| error(&"no jti"))?.to_string();
        let expires = claims["exp"].as_u64().map_err(|_| error(&"no exp"))?;
        let key = ear::TEE_PUBKEY.iter().fold(&claims, |value, name| &value[*name]);
        let key = key.to_json_str().map_err(|_| error(&"no tee-pubkey"))?;
        let recipient = Recipient::from_jwk(&serde_json::from_str(&key).map_err(|e| error(&e))?)?;
        Ok(Self { id, expires, claims, recipient })
    }
}

/// Two generations: when the young one is full it becomes the old one, and the old one is dropped.
#[derive(Default)]
pub struct Sessions(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<Session>>,
    old: HashMap<[u8; 32], Arc<Session>>,
}

/// What a session is found by.
pub fn key(token: &str) -> [u8; 32] {
    crypto::sha256(token.as_bytes())
}

impl Sessions {
    /// Keep a session under its token's [`key`].
    pub fn insert(&self, key: [u8; 32], session: Arc<Session>) {
        // A cache has no state that half a change could spoil.
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.young.len() >= MAX_YOUNG {
            sessions.old = std::mem::take(&mut sessions.young);
        }
        sessions.young.insert(key, session);
    }

    /// A session that has not expired.
    pub fn get(&self, key: &[u8; 32], now: UnixTime) -> Option<Arc<Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.young.get(key) {
            return (now < session.expires).then(|| session.clone());
        }
        let session = sessions.old.remove(key).filter(|session| now < session.expires)?;
        if sessions.young.len() < MAX_YOUNG {
            sessions.young.insert(*key, session.clone());
        } else {
            sessions.old.insert(*key, session.clone());
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ear::tests::{affirmed, example};
    use sealpod_verifier::BindingLevel;
    use serde_json::json;

    fn session() -> Arc<Session> {
        let key = serde_json::to_value(sealpod_testkit::channel::tee_pubkey()).unwrap();
        let claims = example(&affirmed(), BindingLevel::Svsm, &key).to_string();
        Arc::new(Session::from_claims(claims.as_bytes()).unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn a_session_is_found_until_it_expires() {
        let sessions = Sessions::default();
        sessions.insert([1; 32], session());
        assert!(sessions.get(&[1; 32], 19).is_some_and(|s| s.id == "id"));
        assert!(sessions.get(&[1; 32], 20).is_none());
        assert!(sessions.get(&[2; 32], 19).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_used_ones_stay() {
        let (sessions, session) = (Sessions::default(), session());
        let number = |i: u32| crypto::sha256(&i.to_be_bytes());
        sessions.insert([1; 32], session.clone());
        for i in 0..10_000 {
            sessions.insert(number(i), session.clone());
            assert!(sessions.get(&[1; 32], 0).is_some(), "{i}");
        }
        let found = (0..10_000).filter(|i| sessions.get(&number(*i), 0).is_some()).count();
        assert!(found <= 2 * MAX_YOUNG, "{found}");
    }

    #[test]
    fn claims_without_a_key_are_no_session() {
        for bad in [&b"{}"[..], b"{\"jti\":\"x\",\"exp\":1}", b"\xff", b""] {
            assert!(Session::from_claims(bad).is_err());
        }
        let claims = example(&affirmed(), BindingLevel::Svsm, &json!({"kty": "OKP"})).to_string();
        assert!(matches!(Session::from_claims(claims.as_bytes()), Err(SessionError::Recipient(_))));
    }
}
