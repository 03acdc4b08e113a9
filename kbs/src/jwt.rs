//! Compact JWS (RFC 7515): the tokens that this broker signs, and those that its administrators sign.

use crate::crypto::CryptoError;
use crate::der::{ED25519_PREFIX, P256_PREFIX};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Who an administrator's token is for.
pub const ADMIN_AUDIENCE: &str = "sealpod-kbs";
/// What an administrator's token must say of its bearer.
pub const ADMIN_ROLE: &str = "admin";
/// Longest life of an administrator's token in seconds: a day's work.
pub const MAX_ADMIN_SECONDS: u64 = 86_400;

/// The bytes are not a key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct KeyError {
    /// What was expected.
    pub expected: &'static str,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url, or its claims do not parse.
    #[error("the token does not parse: {0}")]
    Syntax(String),
    /// Another header than the signer writes: another algorithm, or another key.
    #[error("expected a token of {expected}, found {found}")]
    Header {
        /// What is accepted.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Not signed by the key.
    #[error("the token's signature does not verify")]
    Signature,
    /// Too old.
    #[error("the token expired at {expires}, it is {now}")]
    Expired {
        /// When.
        expires: UnixTime,
        /// The time now.
        now: UnixTime,
    },
    /// Valid for longer than is accepted.
    #[error("the token lives {found} s more, at most {MAX_ADMIN_SECONDS} s are accepted")]
    Lifetime {
        /// Its remaining life in seconds.
        found: u64,
    },
    /// For somebody else.
    #[error("expected {claim} {expected:?}, found {found:?}")]
    Claim {
        /// Which claim.
        claim: &'static str,
        /// Its value.
        expected: &'static str,
        /// The value found.
        found: String,
    },
}

/// Signs and recognises this broker's tokens: ES256 under one key, one header.
pub struct TokenSigner {
    key: EcdsaKeyPair,
    /// The only header there is, encoded; comparing it whole leaves no algorithm to choose.
    header: String,
}

impl TokenSigner {
    /// From PKCS#8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let expected = KeyError { expected: "a PKCS#8 key for ECDSA on P-256" };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map_err(|_| expected)?;
        let point = key.public_key().as_ref();
        let coordinate = |range| point.get(range).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).ok_or(expected);
        let (x, y) = (coordinate(1..33)?, coordinate(33..65)?);
        let kid = URL_SAFE_NO_PAD.encode(crate::crypto::sha256(point));
        let jwk = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y});
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid, "jwk": jwk});
        Ok(Self { header: URL_SAFE_NO_PAD.encode(header.to_string()), key })
    }

    /// The public half, `SubjectPublicKeyInfo`.
    pub fn public_spki(&self) -> Result<Vec<u8>, KeyError> {
        let der: PublicKeyX509Der<'_> =
            self.key.public_key().as_der().map_err(|_| KeyError { expected: "a key with a DER form" })?;
        Ok(der.as_ref().to_vec())
    }

    /// Sign claims, given as JSON.
    pub fn sign(&self, claims: &[u8]) -> Result<String, CryptoError> {
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| CryptoError)?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Ok(token)
    }

    /// The claims of a token that this key signed, as JSON. The caller must check their time.
    pub fn verify(&self, token: &str) -> Result<Vec<u8>, TokenError> {
        let parts = Parts::split(token)?;
        if parts.header != self.header {
            return Err(TokenError::Header {
                expected: "this broker".to_owned(),
                found: "another key or algorithm".to_owned(),
            });
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(parts.signed.as_bytes(), &parts.signature)
            .map_err(|_| TokenError::Signature)?;
        Ok(parts.claims)
    }
}

/// Three parts, decoded.
struct Parts<'a> {
    header: &'a str,
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        let syntax = |what: &str| TokenError::Syntax(what.to_owned());
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| syntax("it has no signature"))?;
        let (header, claims) =
            signed.split_once('.').ok_or_else(|| syntax("it has fewer than three parts"))?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|e| TokenError::Syntax(e.to_string()));
        Ok(Self { header, signed, claims: decode(claims)?, signature: decode(signature)? })
    }
}

/// An administrator's claims. Others are allowed and mean nothing here.
#[derive(Debug, Serialize, Deserialize)]
struct AdminClaims {
    aud: String,
    role: String,
    exp: UnixTime,
}

#[derive(Deserialize)]
struct AdminHeader {
    alg: String,
    /// Extensions that must be understood (RFC 7515 section 4.1.11): none is.
    crit: Option<serde_json::Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AdminAlgorithm {
    EdDsa,
    Es256,
}

impl AdminAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// Recognises administrators by the one key they sign with: Ed25519 or ECDSA P-256. The key decides the algorithm.
pub struct AdminVerifier {
    algorithm: AdminAlgorithm,
    public: Vec<u8>,
}

impl AdminVerifier {
    /// From `SubjectPublicKeyInfo`.
    pub fn from_spki(bytes: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, public, length) = if let Some(public) = bytes.strip_prefix(ED25519_PREFIX) {
            (AdminAlgorithm::EdDsa, public, 32)
        } else if let Some(public) = bytes.strip_prefix(P256_PREFIX) {
            (AdminAlgorithm::Es256, public, 65)
        } else {
            (AdminAlgorithm::EdDsa, [].as_slice(), 32)
        };
        if public.len() != length {
            return Err(KeyError {
                expected: "a public key (SubjectPublicKeyInfo, DER) for Ed25519 or ECDSA on P-256",
            });
        }
        Ok(Self { algorithm, public: public.to_vec() })
    }

    /// Whether the token was signed by an administrator, for this broker, and is current.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<(), TokenError> {
        let parts = Parts::split(token)?;
        let syntax = |e: serde_json::Error| TokenError::Syntax(e.to_string());
        let header = URL_SAFE_NO_PAD.decode(parts.header).map_err(|e| TokenError::Syntax(e.to_string()))?;
        let header: AdminHeader = serde_json::from_slice(&header).map_err(syntax)?;
        if header.alg != self.algorithm.name() || header.crit.is_some() {
            let found = header.alg.chars().take(32).collect();
            return Err(TokenError::Header { expected: self.algorithm.name().to_owned(), found });
        }
        let signed = parts.signed.as_bytes();
        let verified = match self.algorithm {
            AdminAlgorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, &self.public).verify(signed, &parts.signature)
            }
            AdminAlgorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public)
                .verify(signed, &parts.signature),
        };
        verified.map_err(|_| TokenError::Signature)?;
        let claims: AdminClaims = serde_json::from_slice(&parts.claims).map_err(syntax)?;
        check_claims(&claims, now)
    }
}

fn check_claims(claims: &AdminClaims, now: UnixTime) -> Result<(), TokenError> {
    for (claim, expected, found) in [("aud", ADMIN_AUDIENCE, &claims.aud), ("role", ADMIN_ROLE, &claims.role)]
    {
        if found != expected {
            return Err(TokenError::Claim { claim, expected, found: found.chars().take(64).collect() });
        }
    }
    if claims.exp <= now {
        return Err(TokenError::Expired { expires: claims.exp, now });
    }
    let found = claims.exp - now;
    if found > MAX_ADMIN_SECONDS { Err(TokenError::Lifetime { found }) } else { Ok(()) }
}

/// An administrator's token, signed with Ed25519 (PKCS#8).
pub fn admin_token(pkcs8: &[u8], now: UnixTime, seconds: u64) -> Result<String, KeyError> {
    let key =
        Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError { expected: "a PKCS#8 key for Ed25519" })?;
    let header = json!({"alg": "EdDSA", "typ": "JWT"});
    let claims = AdminClaims {
        aud: ADMIN_AUDIENCE.to_owned(),
        role: ADMIN_ROLE.to_owned(),
        exp: now.saturating_add(seconds.min(MAX_ADMIN_SECONDS)),
    };
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let mut token = format!("{}.{}", encode(header.to_string()), encode(json!(claims).to_string()));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature.as_ref()));
    Ok(token)
}

/// A new Ed25519 key: PKCS#8 and `SubjectPublicKeyInfo`.
pub fn generate_admin_key() -> Result<(zeroize::Zeroizing<Vec<u8>>, Vec<u8>), CryptoError> {
    let key = Ed25519KeyPair::generate().map_err(|_| CryptoError)?;
    let pkcs8 = key.to_pkcs8v1().map_err(|_| CryptoError)?;
    let public = [ED25519_PREFIX, key.public_key().as_ref()].concat();
    Ok((zeroize::Zeroizing::new(pkcs8.as_ref().to_vec()), public))
}

/// A new ECDSA P-256 key, PKCS#8.
pub fn generate_token_key() -> Result<zeroize::Zeroizing<Vec<u8>>, CryptoError> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| CryptoError)?;
    let pkcs8 = key.to_pkcs8v1().map_err(|_| CryptoError)?;
    Ok(zeroize::Zeroizing::new(pkcs8.as_ref().to_vec()))
}

#[cfg(test)]
mod tests;
