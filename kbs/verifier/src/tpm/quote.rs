//! Step 11: the quote is fresh, of the PCRs asked for, over the values sent, and signed by the attestation key.

use crate::error::{Check, VerifyError};
use crate::parts::tpm::TpmPart;
use crate::signature::{PublicKey, Scheme, rsa_public_key};
use crate::x509::{self, KeyKind, SubjectKey};
use sealpod_evidence::rcar::QUOTED_PCRS;
use sealpod_evidence::tpm::{self, Attest, Curve, HashAlg, Public, Signature};

/// Qualifying data, selection, digest and signature, in this order.
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
    signature(&tpm.ak, &tpm.quote_signature, tpm.attest.raw())
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

/// One bank, SHA-256, and exactly the PCRs asked for: one less could hide a log, one more could hide behind the digest.
///
/// # Errors
///
/// [`Check::QuoteSelection`].
pub fn selection(attest: &Attest) -> Result<(), VerifyError> {
    if let [only] = attest.selections.as_slice()
        && only.hash == HashAlg::Sha256
        && only.pcrs().eq(QUOTED_PCRS)
    {
        return Ok(());
    }
    let found: Vec<_> = attest
        .selections
        .iter()
        .map(|bank| format!("{} {:?}", bank.hash, bank.pcrs().collect::<Vec<_>>()))
        .collect();
    Err(VerifyError::new(Check::QuoteSelection, format!("sha256 {QUOTED_PCRS:?}"), found.join(", ")))
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

/// A signature over `message` by the key, in the scheme that the key is restricted to. SHA-1 is in no scheme that is taken.
///
/// # Errors
///
/// [`Check::QuoteSignature`].
pub fn signature(key: &Public, signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
    let scheme = scheme(key, signature).ok_or_else(|| {
        refused(SCHEMES, format!("key scheme {:?}, signature {}", key.scheme(), kind(signature)))
    })?;
    let public = match key.key() {
        tpm::PublicKey::Ecc { x, y, .. } => Some([&[4], x.as_slice(), y].concat()),
        tpm::PublicKey::Rsa { exponent, modulus, .. } => rsa_public_key(modulus, *exponent),
    };
    let public = public.and_then(|bytes| PublicKey::new(scheme, &bytes));
    verified(public, scheme, signature, message, &format!("the AK {}", key.name()))
}

/// As [`signature`], by a key that is known only as a SubjectPublicKeyInfo (DER): that says neither which scheme the key is
/// restricted to nor that it is restricted at all, so this proves less.
///
/// # Errors
///
/// [`Check::CertificateSyntax`] for another kind of key, [`Check::QuoteSignature`].
pub fn signature_by_spki(spki: &[u8], signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
    let key = SubjectKey::from_spki(spki)?;
    let scheme = match (key.kind(), signature) {
        (KeyKind::Ec(x509::Curve::P256), Signature::Ecdsa { hash: HashAlg::Sha256, .. }) => {
            Scheme::EcdsaP256Sha256
        }
        (KeyKind::Ec(x509::Curve::P384), Signature::Ecdsa { hash: HashAlg::Sha384, .. }) => {
            Scheme::EcdsaP384Sha384
        }
        (KeyKind::Rsa(_), Signature::RsaSsa { hash: HashAlg::Sha256, .. }) => Scheme::RsaPkcs1Sha256,
        (KeyKind::Rsa(_), Signature::RsaPss { hash: HashAlg::Sha256, .. }) => Scheme::RsaPssSha256,
        (KeyKind::Rsa(_), Signature::RsaPss { hash: HashAlg::Sha384, .. }) => Scheme::RsaPssSha384,
        _ => return Err(refused(SCHEMES, format!("key {:?}, signature {}", key.kind(), kind(signature)))),
    };
    verified(key.for_scheme(scheme), scheme, signature, message, "that key")
}

const SCHEMES: &str = "RSASSA or ECDSA P-256 with SHA-256, RSAPSS with SHA-256 or SHA-384, or ECDSA P-384 with \
                       SHA-384, by both key and signature";

fn verified(
    key: Option<PublicKey>,
    scheme: Scheme,
    signature: &Signature,
    message: &[u8],
    name: &str,
) -> Result<(), VerifyError> {
    let key = key.ok_or_else(|| refused("a sound public key", kind(signature)))?;
    let bytes = match (signature, scheme) {
        (Signature::Ecdsa { r, s, .. }, Scheme::EcdsaP256Sha256) => fixed(Curve::P256.size(), r, s),
        (Signature::Ecdsa { r, s, .. }, Scheme::EcdsaP384Sha384) => fixed(Curve::P384.size(), r, s),
        (Signature::RsaSsa { signature, .. } | Signature::RsaPss { signature, .. }, _) => {
            Some(signature.clone())
        }
        _ => None,
    };
    if bytes.is_some_and(|bytes| key.verifies(message, &bytes)) {
        return Ok(());
    }
    let expected = format!("a signature over the quote by {name}");
    Err(refused(&expected, "one that does not verify".to_owned()))
}

fn refused(expected: &str, found: String) -> VerifyError {
    VerifyError::new(Check::QuoteSignature, expected, found)
}

/// The one scheme in which this key may sign, if the signature is in it too.
fn scheme(key: &Public, signature: &Signature) -> Option<Scheme> {
    use HashAlg::{Sha256, Sha384};
    let curve = match key.key() {
        tpm::PublicKey::Ecc { curve, .. } => Some(*curve),
        tpm::PublicKey::Rsa { .. } => None,
    };
    match (key.scheme(), signature, curve) {
        (tpm::Scheme::Ecdsa(Sha256), Signature::Ecdsa { hash: Sha256, .. }, Some(Curve::P256)) => {
            Some(Scheme::EcdsaP256Sha256)
        }
        (tpm::Scheme::Ecdsa(Sha384), Signature::Ecdsa { hash: Sha384, .. }, Some(Curve::P384)) => {
            Some(Scheme::EcdsaP384Sha384)
        }
        (tpm::Scheme::RsaSsa(Sha256), Signature::RsaSsa { hash: Sha256, .. }, None) => {
            Some(Scheme::RsaPkcs1Sha256)
        }
        (tpm::Scheme::RsaPss(Sha256), Signature::RsaPss { hash: Sha256, .. }, None) => {
            Some(Scheme::RsaPssSha256)
        }
        (tpm::Scheme::RsaPss(Sha384), Signature::RsaPss { hash: Sha384, .. }, None) => {
            Some(Scheme::RsaPssSha384)
        }
        _ => None,
    }
}

/// R and S with the zeros in front that a TPM may have left out.
fn fixed(size: usize, r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for number in [r, s] {
        let zeros = size.checked_sub(number.len())?;
        out.resize(out.len() + zeros, 0);
        out.extend_from_slice(number);
    }
    Some(out)
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
