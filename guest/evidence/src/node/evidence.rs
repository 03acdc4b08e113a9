//! What a node sends as the answer to one challenge.

use super::round::RoundNonce;
use crate::bytes::Base64;
use crate::rcar::{ImaLog, Quote};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha384};
use std::collections::BTreeMap;

/// The only version.
pub const VERSION: u32 = 1;
/// Longest evidence as JSON: the logs and contents at their largest, in base64.
pub const MAX_LEN: usize = 24 << 20;
/// Longest text of a nonce.
pub const MAX_NONCE: usize = 128;

/// One round's evidence. Well formed is all that its fields say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEvidence {
    /// [`VERSION`].
    pub version: u32,
    /// The challenge's nonce, as it was given.
    pub nonce: String,
    /// `TPMT_PUBLIC` of the endorsement key.
    pub ek_public: Base64,
    /// The certificate that the TPM's maker gave that key, DER, where the TPM holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_certificate: Option<Base64>,
    /// `TPMT_PUBLIC` of the attestation key.
    pub ak_public: Base64,
    /// What `TPM2_ActivateCredential` gave back, where the broker sent a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_credential: Option<Base64>,
    /// The quote, of [`crate::rcar::QUOTED_PCRS`].
    pub quote: Quote,
    /// PCR values: bank name (`sha256`), then index, then value in hex.
    pub pcrs: BTreeMap<String, BTreeMap<u8, String>>,
    /// TCG2 boot log, as securityfs gives it; empty where the firmware left none.
    pub boot_log: Base64,
    /// IMA binary log.
    pub ima_log: ImaLog,
    /// CEL records of PCR 13: one [`super::statement::StatementEvent`] for each round since boot.
    pub statement_log: Base64,
    /// This round's statement.
    pub statement: Base64,
    /// This round's contents ([`super::contents`]).
    pub contents: Base64,
}

/// What a node's quote carries in `extraData`: SHA-384 over the RFC 8785 form of the nonce under a name that no other quote uses.
///
/// The statement is bound through PCR 13, the files through PCR 10 and the name of the round, so the nonce is all that is left.
pub fn quote_nonce(nonce: &str) -> [u8; 48] {
    // An object of one string always has a canonical form.
    let text = serde_json_canonicalizer::to_vec(&json!({ "sealpod-node-nonce": nonce })).unwrap_or_default();
    Sha384::digest(text).into()
}

impl NodeEvidence {
    /// The round that this answers.
    pub fn round(&self) -> RoundNonce {
        RoundNonce::of_challenge(&self.nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotes_nonce_is_of_one_challenge_and_one_purpose() {
        assert_ne!(quote_nonce("a"), quote_nonce("b"));
        let pods = crate::binding::quote_nonce("a", &serde_json::Value::Null).unwrap();
        assert_ne!(quote_nonce("a"), pods);
    }
}
