//! `TPMT_PUBLIC` (TPM 2.0 Part 2, section 12.2.4).

use super::{alg, put_sized};
use crate::hash::{sha256, sha384, sha512};
use crate::keys::{Key, Scheme};

/// Object attributes (TPM 2.0 Part 2, table 31).
pub mod attributes {
    /// fixedTPM.
    pub const FIXED_TPM: u32 = 1 << 1;
    /// fixedParent.
    pub const FIXED_PARENT: u32 = 1 << 4;
    /// sensitiveDataOrigin.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    /// userWithAuth.
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    /// adminWithPolicy.
    pub const ADMIN_WITH_POLICY: u32 = 1 << 7;
    /// restricted.
    pub const RESTRICTED: u32 = 1 << 16;
    /// decrypt.
    pub const DECRYPT: u32 = 1 << 17;
    /// sign.
    pub const SIGN: u32 = 1 << 18;
    /// What every key of ours has: made in this TPM, never to leave it.
    pub const FIXED: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;
}

/// Kinds of attestation keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AkKind {
    /// What the guest makes: ECDSA P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA P-384 with SHA-384.
    EcdsaP384,
    /// RSASSA-PKCS1-v1_5, 2048 bits, SHA-256.
    RsassaSha256,
    /// RSASSA-PKCS1-v1_5, 2048 bits, SHA-384.
    RsassaSha384,
    /// RSASSA-PKCS1-v1_5, 2048 bits, SHA-512.
    RsassaSha512,
    /// RSASSA-PSS, 2048 bits, SHA-256.
    RsapssSha256,
    /// RSASSA-PSS, 2048 bits, SHA-384.
    RsapssSha384,
    /// RSASSA-PSS, 2048 bits, SHA-512.
    RsapssSha512,
}

impl AkKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::RsassaSha256,
        Self::RsassaSha384,
        Self::RsassaSha512,
        Self::RsapssSha256,
        Self::RsapssSha384,
        Self::RsapssSha512,
    ];

    /// The committed key of this kind.
    pub fn key(self) -> Key {
        match self {
            Self::EcdsaP256 => Key::AkP256,
            Self::EcdsaP384 => Key::AkP384,
            _ => Key::AkRsa,
        }
    }

    /// How it signs.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => Scheme::Ecdsa,
            Self::RsassaSha256 => Scheme::Pkcs1Sha256,
            Self::RsassaSha384 => Scheme::Pkcs1Sha384,
            Self::RsassaSha512 => Scheme::Pkcs1Sha512,
            Self::RsapssSha256 => Scheme::PssSha256,
            Self::RsapssSha384 => Scheme::PssSha384,
            Self::RsapssSha512 => Scheme::PssSha512,
        }
    }

    /// The scheme's identifier and its hash's.
    pub(super) fn ids(self) -> (u16, u16) {
        match self {
            Self::EcdsaP256 => (alg::ECDSA, alg::SHA256),
            Self::EcdsaP384 => (alg::ECDSA, alg::SHA384),
            Self::RsassaSha256 => (alg::RSASSA, alg::SHA256),
            Self::RsassaSha384 => (alg::RSASSA, alg::SHA384),
            Self::RsassaSha512 => (alg::RSASSA, alg::SHA512),
            Self::RsapssSha256 => (alg::RSAPSS, alg::SHA256),
            Self::RsapssSha384 => (alg::RSAPSS, alg::SHA384),
            Self::RsapssSha512 => (alg::RSAPSS, alg::SHA512),
        }
    }

    /// A digest with the hash of the scheme: what `pcrDigest` is made with.
    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self.ids().1 {
            alg::SHA384 => sha384(bytes).to_vec(),
            alg::SHA512 => sha512(bytes).to_vec(),
            _ => sha256(bytes).to_vec(),
        }
    }
}

/// A public area; parameters and unique part are kept as the bytes that they are on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicArea {
    /// `type`.
    pub kind: u16,
    /// `nameAlg`. [`PublicArea::name`] digests with SHA-256 whatever stands here.
    pub name_algorithm: u16,
    /// `objectAttributes`.
    pub attributes: u32,
    /// `authPolicy`, without its size.
    pub auth_policy: Vec<u8>,
    /// `parameters`.
    pub parameters: Vec<u8>,
    /// `unique`, with its sizes.
    pub unique: Vec<u8>,
}

impl PublicArea {
    /// Template L-1 or L-2 (TCG EK Credential Profile 2.5, sections B.3.3 and B.3.4) with this RSA-2048 or P-256 key.
    pub fn ek(key: Key) -> Self {
        // PolicySecret of the endorsement hierarchy (section B.6.2).
        let policy = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
        let ecc = key == Key::EkP256;
        let mut parameters = words(&[alg::AES, 128, alg::CFB, alg::NULL]);
        let unique = if ecc {
            parameters.extend(words(&[NIST_P256, alg::NULL]));
            let (x, y) = key.point();
            sized(&[&x, &y])
        } else {
            parameters.extend(words(&[2048, 0, 0]));
            sized(&[&key.modulus()])
        };
        Self {
            kind: if ecc { alg::ECC } else { alg::RSA },
            name_algorithm: alg::SHA256,
            attributes: attributes::FIXED
                | attributes::ADMIN_WITH_POLICY
                | attributes::RESTRICTED
                | attributes::DECRYPT,
            auth_policy: hex::decode(policy).expect("hex"),
            parameters,
            unique,
        }
    }

    /// A restricted signing key, as the guest makes it.
    pub fn ak(kind: AkKind) -> Self {
        let (scheme, hash) = kind.ids();
        let mut parameters = words(&[alg::NULL, scheme, hash]);
        let unique = match kind {
            AkKind::EcdsaP256 | AkKind::EcdsaP384 => {
                let curve = if kind == AkKind::EcdsaP256 { NIST_P256 } else { NIST_P384 };
                parameters.extend(words(&[curve, alg::NULL]));
                let (x, y) = kind.key().point();
                sized(&[&x, &y])
            }
            _ => {
                parameters.extend(words(&[2048, 0, 0]));
                sized(&[&kind.key().modulus()])
            }
        };
        Self {
            kind: if scheme == alg::ECDSA { alg::ECC } else { alg::RSA },
            name_algorithm: alg::SHA256,
            attributes: attributes::FIXED
                | attributes::USER_WITH_AUTH
                | attributes::RESTRICTED
                | attributes::SIGN,
            auth_policy: Vec::new(),
            parameters,
            unique,
        }
    }

    /// `TPMT_PUBLIC`, without a size field before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = words(&[self.kind, self.name_algorithm]);
        out.extend(self.attributes.to_be_bytes());
        put_sized(&mut out, &self.auth_policy);
        out.extend(&self.parameters);
        out.extend(&self.unique);
        out
    }

    /// `nameAlg ‖ SHA-256(TPMT_PUBLIC)` (TPM 2.0 Part 1, section 16).
    pub fn name(&self) -> Vec<u8> {
        let mut out = self.name_algorithm.to_be_bytes().to_vec();
        out.extend(sha256(&self.to_bytes()));
        out
    }
}

/// TPM_ECC_NIST_P256 and TPM_ECC_NIST_P384 (TCG Algorithm Registry, table 4).
const NIST_P256: u16 = 0x0003;
const NIST_P384: u16 = 0x0004;

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn sized(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|part| put_sized(&mut out, part));
    out
}
