//! What ties the parts of the evidence to one challenge and one channel key.
//!
//! `H(x)` is SHA-384 over the RFC 8785 (JCS) form of `x`, as KBS protocol 0.4.0 deploys it for every
//! TEE but IBM Secure Execution.

use crate::json_text::hash_string;
use serde_json::Value;
use sha2::{Digest as _, Sha384, Sha512};

/// Length of an SNP or TDX `REPORT_DATA` field (AMD 56860 table 23; Intel TDX `REPORTDATA`).
pub const REPORT_DATA_LEN: usize = 64;

/// Length of the qualifying data that a quote answers with: one SHA-384 digest.
pub const QUOTE_NONCE_LEN: usize = 48;

/// A value without a canonical form, such as a number beyond the range of a double.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no RFC 8785 form: {0}")]
pub struct BindingError(String);

/// Nonce and channel key in canonical form, for all that is bound to both of them.
#[derive(Debug, Clone)]
pub struct Bound<'a> {
    nonce: &'a str,
    tee_pubkey: Vec<u8>,
}

impl<'a> Bound<'a> {
    /// # Errors
    ///
    /// [`BindingError`] where `tee_pubkey` has no canonical form.
    pub fn new(nonce: &'a str, tee_pubkey: &Value) -> Result<Self, BindingError> {
        Ok(Self { nonce, tee_pubkey: canonical(tee_pubkey)? })
    }

    /// As the function [`report_data`].
    pub fn report_data(&self, additional_evidence: &str) -> [u8; REPORT_DATA_LEN] {
        let mut sha384 = Sha384::new();
        self.hash_report_data(additional_evidence, |part| sha384.update(part));
        pad(&sha384.finalize().into())
    }

    /// As the function [`quote_nonce`].
    pub fn quote_nonce(&self) -> [u8; QUOTE_NONCE_LEN] {
        let mut sha384 = Sha384::new();
        self.hash_rest(b"{\"nonce\":", &mut |part| sha384.update(part));
        sha384.finalize().into()
    }

    /// The text can be megabytes, so its canonical form goes to `hash` in pieces and never stands in memory.
    fn hash_report_data(&self, additional_evidence: &str, mut hash: impl FnMut(&[u8])) {
        // RFC 8785 sorts names by their UTF-16 code units; these are in that order.
        hash(b"{\"additional-evidence\":");
        hash_string(additional_evidence, &mut hash);
        self.hash_rest(b",\"nonce\":", &mut hash);
    }

    /// From the nonce to the end, after `before` and the nonce's name.
    fn hash_rest(&self, before: &[u8], hash: &mut impl FnMut(&[u8])) {
        hash(before);
        hash_string(self.nonce, &mut *hash);
        hash(b",\"tee-pubkey\":");
        hash(&self.tee_pubkey);
        hash(b"}");
    }
}

/// What the primary TEE report must carry: the digest over nonce, channel key and the *whole text* of
/// the additional evidence, zero-padded to 64 bytes.
///
/// Proves, once the report verifies, that none of the three was exchanged. Says nothing about who
/// made the additional evidence.
///
/// # Errors
///
/// [`BindingError`] where `tee_pubkey` has no canonical form.
pub fn report_data(
    nonce: &str,
    tee_pubkey: &Value,
    additional_evidence: &str,
) -> Result<[u8; REPORT_DATA_LEN], BindingError> {
    Bound::new(nonce, tee_pubkey).map(|bound| bound.report_data(additional_evidence))
}

/// What the vTPM's quote must carry in `extraData`.
///
/// # Errors
///
/// [`BindingError`] where `tee_pubkey` has no canonical form.
pub fn quote_nonce(nonce: &str, tee_pubkey: &Value) -> Result<[u8; QUOTE_NONCE_LEN], BindingError> {
    Bound::new(nonce, tee_pubkey).map(|bound| bound.quote_nonce())
}

/// The nonce block handed to an SVSM: [`quote_nonce`] zero-padded to 64 bytes.
///
/// # Errors
///
/// [`BindingError`] where `tee_pubkey` has no canonical form.
pub fn svsm_nonce(nonce: &str, tee_pubkey: &Value) -> Result<[u8; REPORT_DATA_LEN], BindingError> {
    quote_nonce(nonce, tee_pubkey).map(|digest| svsm_nonce_block(&digest))
}

/// The nonce block of a quote's nonce.
pub fn svsm_nonce_block(quote_nonce: &[u8; QUOTE_NONCE_LEN]) -> [u8; REPORT_DATA_LEN] {
    pad(quote_nonce)
}

/// What the SVSM's VMPL 0 report carries: SHA-512 over nonce block and service manifest
/// (SVSM specification 1.01, section 7, attestation protocol).
pub fn svsm_report_data(nonce_block: &[u8; REPORT_DATA_LEN], manifest: &[u8]) -> [u8; REPORT_DATA_LEN] {
    Sha512::new().chain_update(nonce_block).chain_update(manifest).finalize().into()
}

fn canonical(value: &Value) -> Result<Vec<u8>, BindingError> {
    serde_json_canonicalizer::to_vec(value).map_err(|error| BindingError(error.to_string()))
}

fn pad(digest: &[u8; QUOTE_NONCE_LEN]) -> [u8; REPORT_DATA_LEN] {
    let mut out = [0; REPORT_DATA_LEN];
    out[..QUOTE_NONCE_LEN].copy_from_slice(digest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(value: &Value) -> Result<[u8; QUOTE_NONCE_LEN], BindingError> {
        Ok(Sha384::digest(canonical(value)?).into())
    }

    fn key() -> Value {
        json!({"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": "AAAA", "y": "BBBB"})
    }

    #[test]
    fn digests_equal_the_known_answers_of_the_deployed_protocol() {
        assert_eq!(
            hex::encode(digest(&json!({"b": 1, "a": "test", "c": {"d": "e"}})).unwrap()),
            "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca941da78870c3"
        );
        assert_eq!(
            hex::encode(&report_data("bm9uY2U=", &key(), "").unwrap()[..48]),
            "d20490d30e5f16cba693abc1ca3c31ed977d2722d0adf01a980972d16913dc38f103c1f12abf477df0523af2b12e4b43"
        );
        assert_eq!(
            hex::encode(quote_nonce("bm9uY2U=", &key()).unwrap()),
            "84311321a3f9248c2457e978ea553b35b2b6e99f0d949e55b9fc7fc1040807571644e7e47c90a2a673e49a46f265ec7a"
        );
    }

    #[test]
    fn pieces_are_the_canonical_form_of_the_whole() {
        let keys =
            [key(), json!({"\u{20ac}": 1e21, "\r": -0.0, "\u{1f600}": "\u{7f}\u{2028}", "\u{fb33}": null})];
        for key in keys {
            for text in ["", "{\"tpm\":{\"a\":\"AA==\"}}", "\\\"\n\u{0}\u{2028}\u{1f600}"] {
                let mut pieces = Vec::new();
                let bound = Bound::new(text, &key).unwrap();
                bound.hash_report_data(text, |piece| pieces.extend_from_slice(piece));
                let whole = json!({"additional-evidence": text, "nonce": text, "tee-pubkey": key});
                assert_eq!(pieces, canonical(&whole).unwrap());
                assert_eq!(report_data(text, &key, text).unwrap(), pad(&digest(&whole).unwrap()));
                let nonce = json!({"nonce": text, "tee-pubkey": key});
                assert_eq!(quote_nonce(text, &key).unwrap(), digest(&nonce).unwrap());
            }
        }
    }

    #[test]
    fn report_data_is_zero_padded() {
        assert_eq!(report_data("n", &key(), "").unwrap()[48..], [0; 16]);
    }
}
