//! The challenge that a sender answers, and the credential that ties an AK to its EK.

use crate::UnixTime;
use crate::error::{Check, VerifyError};
use aws_lc_rs::hmac;
use sealpod_evidence::rcar::protocol::Tee;

/// A challenge as the broker gave it out. The broker keeps nothing: it opens this from the sender's sealed
/// cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The nonce, as the text that the sender was given.
    pub nonce: String,
    /// The TEE that asked.
    pub tee: Tee,
    /// From when on it is no longer valid.
    pub expires: UnixTime,
    /// Makes the credentials of this broker. Not in the cookie.
    pub credential_key: CredentialKey,
}

/// Step 2. Proves that the evidence answers this challenge in time, once step 7 has shown that the report
/// covers the nonce.
///
/// That the challenge was this broker's, and not yet answered, is for whoever opened the cookie to know.
/// Which TEE asked decided how the evidence was parsed.
pub(crate) fn check(nonce: &str, challenge: &Challenge, now: UnixTime) -> Result<(), VerifyError> {
    if now >= challenge.expires {
        let expected = format!("an answer before {}", challenge.expires);
        return Err(VerifyError::new(Check::ChallengeExpired, expected, now));
    }
    if nonce != challenge.nonce {
        return Err(VerifyError::new(Check::ChallengeNonce, &challenge.nonce, nonce));
    }
    Ok(())
}

/// The broker's key for vTPM credentials.
///
/// A credential is HMAC-SHA-256 over (nonce, EK name, AK name), so the broker can check an activated one
/// without having stored anything, and one that was made for another EK, AK or challenge is a different
/// value.
#[derive(Clone)]
pub struct CredentialKey(hmac::Key);

/// Separates this use of HMAC from any other use of the same key.
const DOMAIN: &[u8] = b"sealpod vTPM credential v1\0";

impl CredentialKey {
    /// Take 32 secret random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The credential to put into a MakeCredential blob for the TPM that owns `ek_name`, to be released for
    /// `ak_name`.
    ///
    /// Names are `nameAlg || H(TPMT_PUBLIC)` (TPM 2.0 Part 1, section 16).
    pub fn credential(&self, nonce: &str, ek_name: &[u8], ak_name: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, &Self::message(nonce, ek_name, ak_name));
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// Whether `activated` is that credential; compared in constant time.
    pub fn matches(&self, activated: &[u8], nonce: &str, ek_name: &[u8], ak_name: &[u8]) -> bool {
        hmac::verify(&self.0, &Self::message(nonce, ek_name, ak_name), activated).is_ok()
    }

    /// Each part with its length before it, so that no two lists of parts give the same bytes.
    fn message(nonce: &str, ek_name: &[u8], ak_name: &[u8]) -> Vec<u8> {
        let mut out = DOMAIN.to_vec();
        for part in [nonce.as_bytes(), ek_name, ak_name] {
            out.extend((part.len() as u64).to_be_bytes());
            out.extend(part);
        }
        out
    }
}

impl std::fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialKey")
    }
}

impl PartialEq for CredentialKey {
    /// Two keys are compared by what they make; never by their bytes.
    fn eq(&self, other: &Self) -> bool {
        other.matches(&self.credential("", b"", b""), "", b"", b"")
    }
}

impl Eq for CredentialKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_for_one_nonce_one_ek_and_one_ak() {
        let key = CredentialKey::new(&[7; 32]);
        let credential = key.credential("n", b"ek", b"ak");
        assert!(key.matches(&credential, "n", b"ek", b"ak"));
        assert!(!key.matches(&credential, "m", b"ek", b"ak"));
        assert!(!key.matches(&credential, "n", b"ak", b"ek"));
        assert!(!key.matches(&credential, "n", b"eka", b"k"));
        assert!(!key.matches(&credential[..31], "n", b"ek", b"ak"));
        assert!(!key.matches(&[], "n", b"ek", b"ak"));
        assert!(!CredentialKey::new(&[8; 32]).matches(&credential, "n", b"ek", b"ak"));
    }
}
