//! The committed test keys (`keys/README.md`).

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
};
use std::sync::OnceLock;

/// One committed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// AMD's root.
    Ark,
    /// The authority for VCEKs.
    Ask,
    /// The authority for VLEKs.
    Asvk,
    /// A root that nobody trusts.
    ForeignArk,
    /// The chip's key.
    Vcek,
    /// A cloud provider's key.
    Vlek,
    /// Another chip's key.
    ForeignVcek,
    /// The vTPM's endorsement key, RSA-2048.
    Ek,
    /// Another vTPM's endorsement key, RSA-2048.
    ForeignEk,
    /// A vTPM's endorsement key, P-256.
    EkP256,
    /// An attestation key, RSA-2048.
    AkRsa,
    /// An attestation key, P-256.
    AkP256,
    /// An attestation key, P-384.
    AkP384,
    /// The key that secrets are encrypted to, P-256.
    Channel,
}

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes: AMD's certificates.
    PssSha384,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    PssSha256,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    PssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Pkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Pkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Pkcs1Sha512,
    /// ECDSA with the hash that fits the curve: SHA-256 for P-256, SHA-384 for P-384. R ‖ S, each as long as the curve.
    Ecdsa,
}

enum Loaded {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

const COUNT: usize = 14;

impl Key {
    /// The private key, PKCS#8 DER.
    pub fn pkcs8(self) -> &'static [u8] {
        match self {
            Self::Ark => include_bytes!("../keys/ark.der"),
            Self::Ask => include_bytes!("../keys/ask.der"),
            Self::Asvk => include_bytes!("../keys/asvk.der"),
            Self::ForeignArk => include_bytes!("../keys/foreign-ark.der"),
            Self::Vcek => include_bytes!("../keys/vcek.der"),
            Self::Vlek => include_bytes!("../keys/vlek.der"),
            Self::ForeignVcek => include_bytes!("../keys/foreign-vcek.der"),
            Self::Ek => include_bytes!("../keys/ek.der"),
            Self::ForeignEk => include_bytes!("../keys/foreign-ek.der"),
            Self::EkP256 => include_bytes!("../keys/ek-p256.der"),
            Self::AkRsa => include_bytes!("../keys/ak-rsa.der"),
            Self::AkP256 => include_bytes!("../keys/ak-p256.der"),
            Self::AkP384 => include_bytes!("../keys/ak-p384.der"),
            Self::Channel => include_bytes!("../keys/channel.der"),
        }
    }

    /// The public key, `SubjectPublicKeyInfo` DER.
    pub fn spki(self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self.loaded() {
            Loaded::Rsa(pair) => pair.public_key().as_der().expect("RSA public key"),
            Loaded::Ec(pair) => pair.public_key().as_der().expect("EC public key"),
        };
        der.as_ref().to_vec()
    }

    /// The modulus of an RSA key, without leading zeros.
    pub fn modulus(self) -> Vec<u8> {
        let Loaded::Rsa(pair) = self.loaded() else { panic!("{self:?} is not an RSA key") };
        // RSAPublicKey ends in the modulus and the exponent 65537, which takes 5 bytes.
        let der = pair.public_key().as_ref();
        let end = der.len() - 5;
        der[end - pair.public_modulus_len()..end].to_vec()
    }

    /// The coordinates of an EC key's point.
    pub fn point(self) -> (Vec<u8>, Vec<u8>) {
        let Loaded::Ec(pair) = self.loaded() else { panic!("{self:?} is not an EC key") };
        // SEC 1, section 2.3.3: 0x04, then both coordinates.
        let coordinates = &pair.public_key().as_ref()[1..];
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        (x.to_vec(), y.to_vec())
    }

    /// Sign. Panics when the scheme does not fit the key.
    pub fn sign(self, scheme: Scheme, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match (self.loaded(), scheme) {
            (Loaded::Ec(pair), Scheme::Ecdsa) => {
                pair.sign(&random, message).expect("ECDSA").as_ref().to_vec()
            }
            (Loaded::Rsa(pair), scheme) => {
                let encoding = match scheme {
                    Scheme::PssSha384 => &RSA_PSS_SHA384,
                    Scheme::PssSha256 => &RSA_PSS_SHA256,
                    Scheme::PssSha512 => &RSA_PSS_SHA512,
                    Scheme::Pkcs1Sha256 => &RSA_PKCS1_SHA256,
                    Scheme::Pkcs1Sha384 => &RSA_PKCS1_SHA384,
                    Scheme::Pkcs1Sha512 => &RSA_PKCS1_SHA512,
                    Scheme::Ecdsa => panic!("{self:?} is not an EC key"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).expect("RSA");
                signature
            }
            (Loaded::Ec(_), scheme) => panic!("{self:?} cannot sign with {scheme:?}"),
        }
    }

    pub(crate) fn decrypting(self) -> PrivateDecryptingKey {
        PrivateDecryptingKey::from_pkcs8(self.pkcs8()).expect("an RSA key")
    }

    /// The key for ECDH on P-256.
    pub(crate) fn agreeing(self) -> PrivateKey {
        PrivateKey::from_private_key_der(&ECDH_P256, self.pkcs8()).expect("a P-256 key")
    }

    fn loaded(self) -> &'static Loaded {
        static LOADED: [OnceLock<Loaded>; COUNT] = [const { OnceLock::new() }; COUNT];
        LOADED[self as usize].get_or_init(|| {
            let der = self.pkcs8();
            match self {
                Self::AkP256 | Self::EkP256 | Self::Channel => {
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Loaded::Ec)
                }
                Self::Vcek | Self::Vlek | Self::ForeignVcek | Self::AkP384 => {
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).map(Loaded::Ec)
                }
                Self::Ark | Self::Ask | Self::Asvk | Self::ForeignArk => {
                    RsaKeyPair::from_pkcs8(der).map(Loaded::Rsa)
                }
                Self::Ek | Self::ForeignEk | Self::AkRsa => RsaKeyPair::from_pkcs8(der).map(Loaded::Rsa),
            }
            .expect("a committed key")
        })
    }
}
