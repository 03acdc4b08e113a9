//! Step 11: the quote is fresh, of the PCRs asked for, over the values sent, and signed by the attestation key.

use crate::error::{Check, VerifyError};
use crate::parts::Parts;
use crate::signature::{PublicKey, Scheme, rsa_public_key};
use sealpod_evidence::binding;
use sealpod_evidence::rcar::QUOTED_PCRS;
use sealpod_evidence::tpm::{self, Curve, HashAlg, Public, Signature};

/// Qualifying data, selection, digest and signature, in this order.
///
/// That it is a quote made by a TPM (magic and type) is part of its syntax. Proves the PCR values of the TPM that holds the
/// AK at a time after the nonce was made; which TPM that is, steps 9 and 10 say.
pub(crate) fn quote(parts: &Parts<'_>) -> Result<(), VerifyError> {
    nonce(parts)?;
    selection(parts)?;
    pcr_digest(parts)?;
    signature(&parts.ak, &parts.quote_signature, parts.attest.raw())
}

/// `extraData` names this challenge and this channel key, and nothing else.
fn nonce(parts: &Parts<'_>) -> Result<(), VerifyError> {
    let expected = binding::quote_nonce(parts.nonce, &parts.tee_pubkey)
        .map_err(|error| VerifyError::new(Check::QuoteNonce, "a channel key with a canonical form", error))?;
    if parts.attest.extra_data == expected {
        return Ok(());
    }
    let found = hex::encode(&parts.attest.extra_data);
    Err(VerifyError::new(Check::QuoteNonce, hex::encode(expected), found))
}

/// One bank, SHA-256, and exactly the PCRs asked for: one less could hide a log, one more could hide behind the digest.
fn selection(parts: &Parts<'_>) -> Result<(), VerifyError> {
    if let [only] = parts.attest.selections.as_slice()
        && only.hash == HashAlg::Sha256
        && only.pcrs().eq(QUOTED_PCRS)
    {
        return Ok(());
    }
    let found: Vec<_> = parts
        .attest
        .selections
        .iter()
        .map(|bank| format!("{} {:?}", bank.hash, bank.pcrs().collect::<Vec<_>>()))
        .collect();
    Err(VerifyError::new(Check::QuoteSelection, format!("sha256 {QUOTED_PCRS:?}"), found.join(", ")))
}

/// The digest is by the hash of the signing scheme, whatever the bank (TPM 2.0 Part 3, TPM2_Quote).
fn pcr_digest(parts: &Parts<'_>) -> Result<(), VerifyError> {
    let values = QUOTED_PCRS.map(|pcr| parts.pcrs.get(pcr).0);
    let values = values.each_ref().map(<[u8; 32]>::as_slice);
    let expected = parts.quote_signature.hash().digest(&values).unwrap_or_default();
    let found = &parts.attest.pcr_digest;
    if !expected.is_empty() && *found == expected {
        return Ok(());
    }
    let expected = format!("the digest of the PCR values sent, {}", hex::encode(expected));
    Err(VerifyError::new(Check::QuotePcrDigest, expected, hex::encode(found)))
}

/// A signature over `message` by the key, in the scheme that the key is restricted to. SHA-1 is in no scheme that is taken.
fn signature(key: &Public, signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
    let refused = |expected: &str, found: String| VerifyError::new(Check::QuoteSignature, expected, found);
    let found =
        |signature: &Signature| format!("key scheme {:?}, signature {}", key.scheme(), kind(signature));
    let scheme = scheme(key, signature).ok_or_else(|| {
        let expected = "RSASSA or ECDSA P-256 with SHA-256, RSAPSS with SHA-256 or SHA-384, or ECDSA P-384 with \
             SHA-384, by both key and signature";
        refused(expected, found(signature))
    })?;
    let (public, bytes) = match (key.key(), signature) {
        (tpm::PublicKey::Ecc { curve, x, y }, Signature::Ecdsa { r, s, .. }) => {
            (Some([&[4], x.as_slice(), y].concat()), fixed(curve.size(), r, s))
        }
        (
            tpm::PublicKey::Rsa { exponent, modulus, .. },
            Signature::RsaSsa { signature, .. } | Signature::RsaPss { signature, .. },
        ) => (rsa_public_key(modulus, *exponent), Some(signature.clone())),
        _ => (None, None),
    };
    let public = public.and_then(|bytes| PublicKey::new(scheme, &bytes));
    let public = public.ok_or_else(|| refused("a sound public key", found(signature)))?;
    if bytes.is_some_and(|bytes| public.verifies(message, &bytes)) {
        return Ok(());
    }
    let expected = format!("a signature over the quote by the AK {}", key.name());
    Err(refused(&expected, "one that does not verify".to_owned()))
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
