//! One valid pod that answers challenges as cheaply as the protocol allows, so that a load of handshakes is the broker's and not
//! its own.
//!
//! Each handshake is complete: a new challenge, a credential opened with the endorsement key, and quote, SVSM report and report
//! that cover the new nonce and are signed anew. Made ready beforehand is what no nonce changes: logs, initdata, PCRs, and the half
//! of an ECDSA signature that does not depend on the message ([`Signer`]).

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use p384::elliptic_curve::PrimeField as _;
use p384::elliptic_curve::ops::Reduce;
use p384::elliptic_curve::point::AffineCoordinates as _;
use p384::{FieldBytes, ProjectivePoint, Scalar, U384};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::CredentialChallenge;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_testkit::keys::Key;
use sealpod_testkit::report::{LEN, ReportFields, SIGNED_LEN};
use sealpod_testkit::{Bundle, Sealed};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha384};

/// See the module's text.
#[derive(Clone)]
pub struct ReadyPod {
    sealed: Sealed,
    key: Value,
    request: Vec<u8>,
    signer: Signer,
}

impl ReadyPod {
    /// Make it ready.
    pub fn new(bundle: &Bundle) -> Result<Self> {
        let sealed = bundle.seal();
        let request = json!({
            "version": "0.4.0",
            "tee": Tee::Snp,
            "extra-params": { "sealpod": bundle.tpm.auth_request() },
        });
        let key = sealed.tee_pubkey_json();
        Ok(Self {
            sealed,
            key,
            request: serde_json::to_vec(&request)?,
            signer: Signer::new(bundle.report_key)?,
        })
    }

    /// Body of `/auth`.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Body of `/attest` for this answer of `/auth`.
    pub fn attest(&mut self, challenge: &[u8]) -> Result<Vec<u8>> {
        let challenge: Value = serde_json::from_slice(challenge)?;
        let nonce = challenge["nonce"].as_str().context("no nonce")?;
        let credential: CredentialChallenge =
            serde_json::from_value(challenge["extra-params"]["sealpod"].clone())?;
        let s = &mut self.sealed;
        nonce.clone_into(&mut s.nonce);
        let (blob, secret) = (&credential.credential_blob.0, &credential.encrypted_secret.0);
        let evidence = &mut s.additional.tpm;
        evidence.activated_credential.0 = match s.tpm.activate_credential(blob, secret) {
            Ok(activated) => activated,
            Err(error) => bail!("the credential does not open: {error:?}"),
        };
        s.attest.extra_data = binding::quote_nonce(nonce, &self.key)?.to_vec();
        let message = s.attest.to_bytes();
        evidence.quote.signature = Base64(s.tpm.sign(&message));
        evidence.quote.message = Base64(message);
        if let (Some(fields), Some(svsm)) = (&mut s.svsm_report, &mut evidence.svsm) {
            let block = binding::svsm_nonce(nonce, &self.key)?;
            fields.report_data = binding::svsm_report_data(&block, &svsm.manifest.0);
            svsm.report = Base64(self.signer.report(fields).to_vec());
        }
        s.additional_text = serde_json::to_string(&s.additional)?;
        s.report.report_data = binding::report_data(nonce, &self.key, &s.additional_text)?;
        s.report_bytes = self.signer.report(&s.report).to_vec();
        Ok(serde_json::to_vec(&s.attestation())?)
    }
}

/// ECDSA on P-384 with one nonce `k` for all signatures: `s = k⁻¹ (z + r d)`, of which only `z` is new.
///
/// Two such signatures give the private key away. These keys are published, so nothing is lost, and whoever verifies has the same
/// work as with any other signature.
#[derive(Clone)]
struct Signer {
    r: FieldBytes,
    r_d: Scalar,
    k_inverse: Scalar,
}

impl Signer {
    fn new(key: Key) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key.pkcs8())?;
        let private = pair.private_key().as_be_bytes()?;
        let d = scalar(<[u8; 48]>::try_from(private.as_ref()).context("a private key of 48 bytes")?);
        let k = scalar(Sha384::digest(b"one nonce for all"));
        let x = (ProjectivePoint::GENERATOR * k).to_affine().x();
        let r = scalar(x);
        let k_inverse = Option::from(k.invert()).context("k is zero")?;
        Ok(Self { r: r.to_repr(), r_d: r * d, k_inverse })
    }

    /// The bytes of a report with its signature: R and S, little-endian, 72 bytes each (AMD 56860, table 139).
    fn report(&self, fields: &ReportFields) -> [u8; LEN] {
        let mut out = fields.to_bytes();
        let z = scalar(Sha384::digest(&out[..SIGNED_LEN]));
        let s = (self.k_inverse * (z + self.r_d)).to_repr();
        for (half, at) in [(&self.r, SIGNED_LEN), (&s, SIGNED_LEN + 72)] {
            for (to, from) in out[at..].iter_mut().zip(half.iter().rev()) {
                *to = *from;
            }
        }
        out
    }
}

/// 48 big-endian bytes, modulo the order of the curve.
fn scalar(bytes: impl Into<[u8; 48]>) -> Scalar {
    let bytes: [u8; 48] = bytes.into();
    <Scalar as Reduce<U384>>::reduce_bytes(&FieldBytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
    use sealpod_evidence::snp::report::Report;

    #[test]
    fn its_signatures_are_as_good_as_any() {
        let signer = Signer::new(Key::Vcek).unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, Key::Vcek.spki());
        for data in [[1; 64], [2; 64]] {
            let bytes = signer.report(&ReportFields { report_data: data, ..ReportFields::default() });
            let report = Report::parse(&bytes).unwrap();
            key.verify(report.signed(), &report.signature()).unwrap();
        }
        let mut spoiled = signer.report(&ReportFields::default());
        spoiled[0x50] ^= 1;
        let report = Report::parse(&spoiled).unwrap();
        assert!(key.verify(report.signed(), &report.signature()).is_err());
    }
}
