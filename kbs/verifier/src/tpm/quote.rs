//! Step 11: the quote is fresh, of the PCRs asked for, over the values sent, and signed by the attestation key.

use crate::error::{Check, VerifyError};
use crate::parts::tpm::TpmPart;
use crate::signature::{PublicKey, Scheme, ecdsa_signature, rsa_public_key, verifies_with_longest_salt};
use crate::x509::{self, KeyKind, SubjectKey};
use sealpod_evidence::rcar::QUOTED_PCRS;
use sealpod_evidence::tpm::{self, Attest, Curve, HashAlg, PcrSelection, Public, Signature};

/// Qualifying data, selection, digest, signature and what its hash is worth, in this order.
///
/// That it is a quote made by a TPM (magic and type) is part of its syntax. Proves the PCR values of the TPM that holds the
/// AK at a time after the nonce was made; which TPM that is, steps 9 and 10 say.
pub(crate) fn appraise(tpm: &TpmPart, expected: &[u8]) -> Result<(), VerifyError> {
    nonce(&tpm.attest, expected)?;
    selection(&tpm.attest)?;
    let value = |bank, pcr| match bank {
        HashAlg::Sha256 => tpm.pcrs.0.get(&pcr).map(|value| value.0.as_slice()),
        _ => None,
    };
    pcr_digest(&tpm.attest, tpm.quote_signature.hash(), value)?;
    signature(&tpm.ak, &tpm.quote_signature, tpm.attest.raw())?;
    strong_hash(&tpm.attest, &tpm.quote_signature)
}

/// `extraData` is what the challenge and the channel key call for, and nothing else.
///
/// # Errors
///
/// [`Check::QuoteNonce`].
pub fn nonce(attest: &Attest, expected: &[u8]) -> Result<(), VerifyError> {
    if attest.extra_data == expected {
        return Ok(());
    }
    let found = hex::encode(&attest.extra_data);
    Err(VerifyError::new(Check::QuoteNonce, hex::encode(expected), found))
}

/// One bank, SHA-256, and exactly the PCRs that sealpod's guest quotes: one less could hide a log, one more could hide behind the
/// digest.
///
/// # Errors
///
/// [`Check::QuoteSelection`].
pub fn selection(attest: &Attest) -> Result<(), VerifyError> {
    selection_of(attest, &[(HashAlg::Sha256, &QUOTED_PCRS)])
}

/// Exactly these PCRs of these banks, in this order.
///
/// # Errors
///
/// [`Check::QuoteSelection`].
pub fn selection_of(attest: &Attest, expected: &[(HashAlg, &[u8])]) -> Result<(), VerifyError> {
    let found = &attest.selections;
    let equal = |(bank, (hash, pcrs)): (&PcrSelection, &(HashAlg, &[u8]))| {
        bank.hash == *hash && bank.pcrs().eq(pcrs.iter().copied())
    };
    if found.len() == expected.len() && found.iter().zip(expected).all(equal) {
        return Ok(());
    }
    let expected: Vec<_> = expected.iter().map(|(hash, pcrs)| format!("{hash} {pcrs:?}")).collect();
    let found: Vec<_> =
        found.iter().map(|bank| format!("{} {:?}", bank.hash, bank.pcrs().collect::<Vec<_>>())).collect();
    Err(VerifyError::new(Check::QuoteSelection, expected.join(", "), found.join(", ")))
}

/// The quote is over these values, in the banks and of the PCRs that it says itself. `hash` is the signing scheme's, by which the
/// digest is made whatever the bank (TPM 2.0 Part 3, TPM2_Quote).
///
/// # Errors
///
/// [`Check::QuotePcrDigest`], also where `value` has none for a selected PCR or one of another length.
pub fn pcr_digest<'v>(
    attest: &Attest,
    hash: HashAlg,
    value: impl Fn(HashAlg, u8) -> Option<&'v [u8]>,
) -> Result<(), VerifyError> {
    let found = || hex::encode(&attest.pcr_digest);
    let mut values = Vec::new();
    for bank in &attest.selections {
        for pcr in bank.pcrs() {
            let known = value(bank.hash, pcr).filter(|value| value.len() == bank.hash.size());
            values.push(known.ok_or_else(|| {
                let expected = format!("a value of {} PCR {pcr}, which is quoted", bank.hash);
                VerifyError::new(Check::QuotePcrDigest, expected, found())
            })?);
        }
    }
    let expected = hash.digest(&values).unwrap_or_default();
    if !expected.is_empty() && attest.pcr_digest == expected {
        return Ok(());
    }
    let expected = format!("the digest of the PCR values sent, {}", hex::encode(expected));
    Err(VerifyError::new(Check::QuotePcrDigest, expected, found()))
}

/// SHA-1 is not all that the quote rests on: neither is it the hash of the signature, and with it of the PCR digest, nor is it that of
/// every bank. Whoever can make two messages with one SHA-1 digest has the TPM sign the one and shows the other.
///
/// # Errors
///
/// [`Check::WeakHash`].
pub fn strong_hash(attest: &Attest, signature: &Signature) -> Result<(), VerifyError> {
    if signature.hash() == HashAlg::Sha1 {
        return Err(VerifyError::new(Check::WeakHash, "a signature with SHA-256 or longer", kind(signature)));
    }
    if attest.selections.iter().all(|bank| bank.hash == HashAlg::Sha1) {
        let found = format!("{} bank(s), all of sha1", attest.selections.len());
        return Err(VerifyError::new(Check::WeakHash, "a bank of SHA-256 or longer", found));
    }
    Ok(())
}

/// A signature over `message` by the key, in the scheme that the key is restricted to. SHA-1 is computed like any other: what it is
/// worth, [`strong_hash`] says.
///
/// RSAPSS signatures have a salt as long as the digest, as a TPM that keeps to FIPS 186-4 makes it, or as long as fits, as older ones do
/// (TPM 2.0 Part 1, annex B.7).
///
/// # Errors
///
/// [`Check::QuoteSignature`].
pub fn signature(key: &Public, signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
    let restricted = match (key.scheme(), signature) {
        (tpm::Scheme::RsaSsa(hash), Signature::RsaSsa { .. })
        | (tpm::Scheme::RsaPss(hash), Signature::RsaPss { .. })
        | (tpm::Scheme::Ecdsa(hash), Signature::Ecdsa { .. }) => hash == signature.hash(),
        _ => false,
    };
    if !restricted {
        let found = format!("key scheme {:?}, signature {}", key.scheme(), kind(signature));
        return Err(refused("a signature in the one scheme that the key is restricted to", found));
    }
    signature_by_key(key.key(), signature, message, &format!("the AK {}", key.name()))
}

/// As [`signature`], by a key without a public area around it: nothing says which scheme the key is restricted to, nor that it is
/// restricted at all, so this proves less. `name` is what an error calls the key.
///
/// # Errors
///
/// [`Check::QuoteSignature`].
pub fn signature_by_key(
    key: &tpm::PublicKey,
    signature: &Signature,
    message: &[u8],
    name: &str,
) -> Result<(), VerifyError> {
    let kind = match key {
        tpm::PublicKey::Ecc { curve: Curve::P256, .. } => KeyKind::Ec(x509::Curve::P256),
        tpm::PublicKey::Ecc { curve: Curve::P384, .. } => KeyKind::Ec(x509::Curve::P384),
        tpm::PublicKey::Rsa { bits, .. } => KeyKind::Rsa(usize::from(*bits)),
    };
    verified(kind, &key_bytes(key).unwrap_or_default(), signature, message, name)
}

/// As [`signature_by_key`], by a key that is known as a SubjectPublicKeyInfo (DER).
///
/// # Errors
///
/// [`Check::CertificateSyntax`] for another kind of key, [`Check::QuoteSignature`].
pub fn signature_by_spki(spki: &[u8], signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
    let key = SubjectKey::from_spki(spki)?;
    verified(key.kind(), key.bytes(), signature, message, "that key")
}

/// A key in the form that certificates and signature libraries have it in: a DER `RSAPublicKey`, or an uncompressed point.
pub(super) fn key_bytes(key: &tpm::PublicKey) -> Option<Vec<u8>> {
    match key {
        tpm::PublicKey::Ecc { x, y, .. } => Some([&[4], x.as_slice(), y].concat()),
        tpm::PublicKey::Rsa { exponent, modulus, .. } => rsa_public_key(modulus, *exponent),
    }
}

fn verified(
    key_kind: KeyKind,
    key_bytes: &[u8],
    signature: &Signature,
    message: &[u8],
    name: &str,
) -> Result<(), VerifyError> {
    let (expected, found) = (SCHEMES, || format!("key {key_kind:?}, signature {}", kind(signature)));
    let scheme = scheme(key_kind, signature).ok_or_else(|| refused(expected, found()))?;
    let key = PublicKey::new(scheme, key_bytes).ok_or_else(|| refused("a sound public key", found()))?;
    let bytes = match signature {
        Signature::Ecdsa { r, s, .. } => ecdsa_signature(r, s),
        Signature::RsaSsa { signature, .. } | Signature::RsaPss { signature, .. } => Some(signature.clone()),
    };
    let holds = |bytes: Vec<u8>| {
        key.verifies(message, &bytes) || verifies_with_longest_salt(scheme, key_bytes, message, &bytes)
    };
    if bytes.is_some_and(holds) {
        return Ok(());
    }
    let expected = format!("a signature over the quote by {name}");
    Err(refused(&expected, "one that does not verify".to_owned()))
}

const SCHEMES: &str =
    "RSASSA with SHA-1 to SHA-512, RSAPSS with SHA-256 to SHA-512, or ECDSA with a hash of up to SHA-512";

/// The scheme of this signature by this kind of key.
fn scheme(key: KeyKind, signature: &Signature) -> Option<Scheme> {
    use HashAlg::{Sha1, Sha256, Sha384, Sha512};
    let hash = signature.hash();
    Some(match (key, signature, hash) {
        (KeyKind::Rsa(_), Signature::RsaSsa { .. }, Sha1) => Scheme::RsaPkcs1Sha1,
        (KeyKind::Rsa(_), Signature::RsaSsa { .. }, Sha256) => Scheme::RsaPkcs1Sha256,
        (KeyKind::Rsa(_), Signature::RsaSsa { .. }, Sha384) => Scheme::RsaPkcs1Sha384,
        (KeyKind::Rsa(_), Signature::RsaSsa { .. }, Sha512) => Scheme::RsaPkcs1Sha512,
        (KeyKind::Rsa(_), Signature::RsaPss { .. }, Sha256) => Scheme::RsaPssSha256,
        (KeyKind::Rsa(_), Signature::RsaPss { .. }, Sha384) => Scheme::RsaPssSha384,
        (KeyKind::Rsa(_), Signature::RsaPss { .. }, Sha512) => Scheme::RsaPssSha512,
        (KeyKind::Ec(x509::Curve::P256), Signature::Ecdsa { .. }, Sha1) => Scheme::EcdsaP256Sha1Der,
        (KeyKind::Ec(x509::Curve::P256), Signature::Ecdsa { .. }, Sha256) => Scheme::EcdsaP256Sha256Der,
        (KeyKind::Ec(x509::Curve::P256), Signature::Ecdsa { .. }, Sha384) => Scheme::EcdsaP256Sha384Der,
        (KeyKind::Ec(x509::Curve::P256), Signature::Ecdsa { .. }, Sha512) => Scheme::EcdsaP256Sha512Der,
        (KeyKind::Ec(x509::Curve::P384), Signature::Ecdsa { .. }, Sha256) => Scheme::EcdsaP384Sha256Der,
        (KeyKind::Ec(x509::Curve::P384), Signature::Ecdsa { .. }, Sha384) => Scheme::EcdsaP384Sha384Der,
        (KeyKind::Ec(x509::Curve::P384), Signature::Ecdsa { .. }, Sha512) => Scheme::EcdsaP384Sha512Der,
        _ => return None,
    })
}

fn refused(expected: &str, found: String) -> VerifyError {
    VerifyError::new(Check::QuoteSignature, expected, found)
}

fn kind(signature: &Signature) -> String {
    let name = match signature {
        Signature::RsaSsa { .. } => "RSASSA",
        Signature::RsaPss { .. } => "RSAPSS",
        Signature::Ecdsa { .. } => "ECDSA",
    };
    format!("{name} with {}", signature.hash())
}

#[cfg(test)]
mod tests;
