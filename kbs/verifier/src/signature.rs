//! Public keys and the signature schemes that evidence uses. All cryptography is aws-lc's, but for the one form of RSASSA-PSS in [`pss`]
//! that it does not have.

mod pss;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA384_ASN1,
    ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA512_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use der::asn1::UintRef;

/// What a key is used for; a key is never used for two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RSA-PSS, SHA-384, MGF1 with SHA-384, salt of 48 bytes: AMD's certificates (AMD 57230).
    RsaPssSha384,
    /// RSA-PSS, SHA-256, salt of 32 bytes.
    RsaPssSha256,
    /// RSA-PSS, SHA-512, salt of 64 bytes.
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5, SHA-1: old TPMs' quotes, which are then refused as weak.
    RsaPkcs1Sha1,
    /// RSASSA-PKCS1-v1_5, SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5, SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5, SHA-512.
    RsaPkcs1Sha512,
    /// ECDSA on P-256, SHA-256, signature as R and S of 32 bytes each.
    EcdsaP256Sha256,
    /// ECDSA on P-384, SHA-384, signature as R and S of 48 bytes each.
    EcdsaP384Sha384,
    /// ECDSA on P-256, SHA-256, signature in DER as certificates have it.
    EcdsaP256Sha256Der,
    /// ECDSA on P-384, SHA-384, signature in DER as certificates have it.
    EcdsaP384Sha384Der,
    /// ECDSA on P-256, SHA-1, in DER: as [`Self::RsaPkcs1Sha1`].
    EcdsaP256Sha1Der,
    /// ECDSA on P-256 with a longer hash, in DER.
    EcdsaP256Sha384Der,
    /// ECDSA on P-256 with a longer hash, in DER.
    EcdsaP256Sha512Der,
    /// ECDSA on P-384 with a shorter hash, in DER.
    EcdsaP384Sha256Der,
    /// ECDSA on P-384 with a longer hash, in DER.
    EcdsaP384Sha512Der,
}

impl Scheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            Self::RsaPkcs1Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Self::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            Self::EcdsaP256Sha256Der => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384Der => &ECDSA_P384_SHA384_ASN1,
            Self::EcdsaP256Sha1Der => &ECDSA_P256_SHA1_ASN1,
            Self::EcdsaP256Sha384Der => &ECDSA_P256_SHA384_ASN1,
            Self::EcdsaP256Sha512Der => &ECDSA_P256_SHA512_ASN1,
            Self::EcdsaP384Sha256Der => &ECDSA_P384_SHA256_ASN1,
            Self::EcdsaP384Sha512Der => &ECDSA_P384_SHA512_ASN1,
        }
    }
}

/// A key that is known to be well formed, parsed once and used as often as wanted.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// Takes an uncompressed point for ECDSA, a DER `RSAPublicKey` (RFC 8017, A.1.1) for RSA. `None` where
    /// the bytes are no key for `scheme`; RSA keys under 2048 bits are none.
    pub(crate) fn new(scheme: Scheme, bytes: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(scheme.algorithm(), bytes).ok().map(Self)
    }

    /// Whether `signature` over `message` is this key's. Says nothing about who owns the key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        #[cfg(test)]
        tests::count_one();
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// Whether `signature` over `message` is by this RSA key (DER `RSAPublicKey`) in RSASSA-PSS with the longest salt that fits; `false` for
/// every other scheme.
pub(crate) fn verifies_with_longest_salt(
    scheme: Scheme,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let hash = match scheme {
        Scheme::RsaPssSha256 => &digest::SHA256,
        Scheme::RsaPssSha384 => &digest::SHA384,
        Scheme::RsaPssSha512 => &digest::SHA512,
        _ => return false,
    };
    pss::verifies_with_longest_salt(key, hash, message, signature)
}

/// The DER `RSAPublicKey` of a modulus and an exponent, both big-endian. `None` where a number is longer than
/// DER can carry.
// Used where a TPM key's parts come apart (step 11).
pub(crate) fn rsa_public_key(modulus: &[u8], exponent: u32) -> Option<Vec<u8>> {
    two_integers(modulus, &exponent.to_be_bytes())
}

/// The DER `Ecdsa-Sig-Value` (RFC 5480, appendix A) of the two halves of a signature, big-endian, with or without zeros in front.
pub(crate) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    two_integers(r, s)
}

/// A SEQUENCE of two INTEGERs.
fn two_integers(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    use der::Encode as _;
    let (a, b) = (UintRef::new(a).ok()?, UintRef::new(b).ok()?);
    let length = (a.encoded_len().ok()? + b.encoded_len().ok()?).ok()?;
    let mut out = Vec::new();
    der::Header::new(der::Tag::Sequence, length).ok()?.encode_to_vec(&mut out).ok()?;
    a.encode_to_vec(&mut out).ok()?;
    b.encode_to_vec(&mut out).ok()?;
    Some(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use std::cell::Cell;

    thread_local! {
        static VERIFICATIONS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_one() {
        VERIFICATIONS.set(VERIFICATIONS.get() + 1);
    }

    /// What `work` gives, and how many signatures it looked at.
    pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = VERIFICATIONS.get();
        let done = work();
        (done, VERIFICATIONS.get() - before)
    }

    #[test]
    fn a_signature_is_over_one_message_by_one_key() {
        let make = || EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let (pair, other) = (make(), make());
        let key = |pair: &EcdsaKeyPair| {
            PublicKey::new(Scheme::EcdsaP384Sha384, pair.public_key().as_ref()).unwrap()
        };
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        assert!(key(&pair).verifies(b"message", signature.as_ref()));
        assert!(!key(&pair).verifies(b"massage", signature.as_ref()));
        assert!(!key(&pair).verifies(b"message", &signature.as_ref()[..95]));
        assert!(!key(&other).verifies(b"message", signature.as_ref()));
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert!(PublicKey::new(Scheme::EcdsaP384Sha384, &[4; 97]).is_none());
        assert!(PublicKey::new(Scheme::EcdsaP256Sha256, &[]).is_none());
        assert!(PublicKey::new(Scheme::RsaPssSha384, &[0x30, 0]).is_none());
    }

    #[test]
    fn an_rsa_key_is_put_together_from_its_numbers() {
        let key = sealpod_testkit::keys::Key::AkRsa;
        let bytes = rsa_public_key(&key.modulus(), 65537).unwrap();
        let signature = key.sign(sealpod_testkit::keys::Scheme::Pkcs1Sha256, b"message");
        assert!(PublicKey::new(Scheme::RsaPkcs1Sha256, &bytes).unwrap().verifies(b"message", &signature));
    }
}
