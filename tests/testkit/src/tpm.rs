//! A software TPM that does what evidence needs: two keys, PCRs, quotes, credential activation.
//!
//! It refuses nothing that a test may want to see refused by the verifier; it is no model of a TPM's access rules.

mod attest;
mod credential;
mod ek_certificate;
mod pcrs;
mod public_area;

pub use attest::{Attest, Selection, signature};
pub use credential::ActivationError;
pub use ek_certificate::EkProfile;
pub use pcrs::{Digests, Pcrs};
pub use public_area::{AkKind, PublicArea, attributes};

use crate::hash::sha256;
use crate::keys::Key;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::{AuthRequest, SEALPOD_VERSION};

/// Algorithm identifiers (TCG Algorithm Registry, table 3).
pub mod alg {
    /// RSA.
    pub const RSA: u16 = 0x0001;
    /// SHA-1.
    pub const SHA1: u16 = 0x0004;
    /// AES.
    pub const AES: u16 = 0x0006;
    /// SHA-256.
    pub const SHA256: u16 = 0x000B;
    /// SHA-384.
    pub const SHA384: u16 = 0x000C;
    /// SHA-512.
    pub const SHA512: u16 = 0x000D;
    /// No algorithm.
    pub const NULL: u16 = 0x0010;
    /// RSASSA-PKCS1-v1_5.
    pub const RSASSA: u16 = 0x0014;
    /// RSASSA-PSS.
    pub const RSAPSS: u16 = 0x0016;
    /// ECDSA.
    pub const ECDSA: u16 = 0x0018;
    /// Elliptic curves.
    pub const ECC: u16 = 0x0023;
    /// Cipher feedback mode.
    pub const CFB: u16 = 0x0043;
}

/// The TPM. Its public areas can be spoiled; its private keys stay what they are.
#[derive(Debug, Clone)]
pub struct Tpm {
    /// The endorsement key's public area.
    pub ek: PublicArea,
    /// The endorsement key's private half, of the same kind as [`Tpm::ek`] says.
    pub ek_key: Key,
    /// The attestation key's public area.
    pub ak: PublicArea,
    /// What kind of key signs, and how.
    pub ak_kind: AkKind,
    /// PCR values.
    pub pcrs: Pcrs,
    /// Milliseconds that the TPM has run.
    pub clock: u64,
    /// Count of resets.
    pub reset_count: u32,
    /// Count of restarts since the last reset.
    pub restart_count: u32,
    /// Vendor's version number.
    pub firmware_version: u64,
}

impl Default for Tpm {
    /// With the kind of AK that the guest makes.
    fn default() -> Self {
        Self::new(AkKind::EcdsaP256)
    }
}

impl Tpm {
    /// A TPM just started, with an AK of this kind.
    pub fn new(ak_kind: AkKind) -> Self {
        Self {
            ek: PublicArea::ek(Key::Ek),
            ek_key: Key::Ek,
            ak: PublicArea::ak(ak_kind),
            ak_kind,
            pcrs: Pcrs::default(),
            clock: 5_000,
            reset_count: 1,
            restart_count: 0,
            firmware_version: 0x2019_1023_0016_3636,
        }
    }

    /// A TPM whose endorsement key is on P-256: opening a credential takes a tenth of the time.
    pub fn with_ecc_ek() -> Self {
        Self { ek: PublicArea::ek(Key::EkP256), ek_key: Key::EkP256, ..Self::default() }
    }

    /// Another TPM: other EK, same kind of AK (and the same AK, which no real TPM could have).
    pub fn foreign() -> Self {
        Self { ek: PublicArea::ek(Key::ForeignEk), ek_key: Key::ForeignEk, ..Self::default() }
    }

    /// `TPMT_PUBLIC` of the endorsement key.
    pub fn ek_public(&self) -> Vec<u8> {
        self.ek.to_bytes()
    }

    /// `TPMT_PUBLIC` of the attestation key.
    pub fn ak_public(&self) -> Vec<u8> {
        self.ak.to_bytes()
    }

    /// Name of the endorsement key.
    pub fn ek_name(&self) -> Vec<u8> {
        self.ek.name()
    }

    /// Name of the attestation key.
    pub fn ak_name(&self) -> Vec<u8> {
        self.ak.name()
    }

    /// What the guest names at `/auth`.
    pub fn auth_request(&self) -> AuthRequest {
        AuthRequest {
            version: SEALPOD_VERSION,
            ek_public: Base64(self.ek_public()),
            ak_public: Base64(self.ak_public()),
            ek_certificate: None,
        }
    }

    /// What a quote of these PCRs of the SHA-256 bank says, before it is signed.
    pub fn attest(&self, extra_data: &[u8], pcrs: &[u8]) -> Attest {
        let values: Vec<u8> = pcrs.iter().flat_map(|pcr| self.pcrs.sha256[usize::from(*pcr)]).collect();
        Attest {
            magic: Attest::MAGIC,
            kind: Attest::QUOTE,
            qualified_signer: self.qualified_signer(),
            extra_data: extra_data.to_vec(),
            clock: self.clock,
            reset_count: self.reset_count,
            restart_count: self.restart_count,
            safe: 1,
            firmware_version: self.firmware_version,
            selections: vec![Selection::of(alg::SHA256, pcrs)],
            pcr_digest: self.ak_kind.digest(&values),
        }
    }

    /// Sign with the AK: `TPMT_SIGNATURE`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        signature(self.ak_kind, self.ak_kind.key(), message)
    }

    /// `TPM2_Quote` of these PCRs of the SHA-256 bank: `TPMS_ATTEST` and `TPMT_SIGNATURE`.
    pub fn quote(&self, extra_data: &[u8], pcrs: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let message = self.attest(extra_data, pcrs).to_bytes();
        let signature = self.sign(&message);
        (message, signature)
    }

    /// `TPM2_ActivateCredential` over `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET`, each with its size field.
    pub fn activate_credential(
        &self,
        credential_blob: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Vec<u8>, ActivationError> {
        credential::activate(self.ek_key, &self.ak_name(), credential_blob, encrypted_secret)
    }

    /// Name of a primary key of the endorsement hierarchy, with its parent in it (TPM 2.0 Part 1, section 16.1).
    fn qualified_signer(&self) -> Vec<u8> {
        const TPM_RH_ENDORSEMENT: u32 = 0x4000_000B;
        let mut name = TPM_RH_ENDORSEMENT.to_be_bytes().to_vec();
        name.extend(self.ak_name());
        let mut out = alg::SHA256.to_be_bytes().to_vec();
        out.extend(sha256(&name));
        out
    }
}

/// Append a `TPM2B`: a big-endian size, then the bytes.
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).expect("a TPM2B").to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests;
