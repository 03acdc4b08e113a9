//! The committed keys of the test platform (`keys/README.md`), all P-256.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use der::asn1::UintRef;
use der::{Encode as _, Sequence};
use std::sync::OnceLock;

/// One committed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Intel's SGX root.
    Root,
    /// A root that nobody trusts.
    ForeignRoot,
    /// The PCK Platform CA.
    PckCa,
    /// The platform.
    Pck,
    /// TCB Info and enclave identities.
    TcbSigning,
    /// The quoting enclave's attestation key.
    Attestation,
}

const COUNT: usize = 6;

#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl Key {
    /// The private key, PKCS#8 DER.
    pub fn pkcs8(self) -> &'static [u8] {
        match self {
            Self::Root => include_bytes!("../../keys/intel-root.der"),
            Self::ForeignRoot => include_bytes!("../../keys/foreign-intel-root.der"),
            Self::PckCa => include_bytes!("../../keys/pck-ca.der"),
            Self::Pck => include_bytes!("../../keys/pck.der"),
            Self::TcbSigning => include_bytes!("../../keys/tcb-signing.der"),
            Self::Attestation => include_bytes!("../../keys/tdx-attestation.der"),
        }
    }

    /// The public key, `SubjectPublicKeyInfo` DER.
    pub fn spki(self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair().public_key().as_der().expect("EC public key");
        der.as_ref().to_vec()
    }

    /// X and Y of the point.
    pub fn point(self) -> [u8; 64] {
        // SEC 1, section 2.3.3: 0x04, then both coordinates.
        self.pair().public_key().as_ref()[1..].try_into().expect("64 bytes")
    }

    /// ECDSA with SHA-256, R and S of 32 bytes each.
    pub fn sign(self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair().sign(&SystemRandom::new(), message).expect("ECDSA");
        signature.as_ref().try_into().expect("64 bytes")
    }

    /// The same as certificates have it (RFC 3279, section 2.2.3).
    pub fn sign_der(self, message: &[u8]) -> Vec<u8> {
        let fixed = self.sign(message);
        let (r, s) = fixed.split_at(32);
        let number = |bytes| UintRef::new(bytes).expect("a number");
        EcdsaSignature { r: number(r), s: number(s) }.to_der().expect("a signature")
    }

    fn pair(self) -> &'static EcdsaKeyPair {
        static LOADED: [OnceLock<EcdsaKeyPair>; COUNT] = [const { OnceLock::new() }; COUNT];
        LOADED[self as usize].get_or_init(|| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, self.pkcs8()).expect("a committed key")
        })
    }
}
