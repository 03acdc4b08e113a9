//! Step 10: the attestation key is in the TPM that owns the endorsement key, and both are keys that cannot be used for
//! anything else.

use crate::challenge::Challenge;
use crate::error::{Check, VerifyError};
use crate::parts::tpm::TpmPart;
use sealpod_evidence::tpm::{Attributes, Public};

/// An attribute's name in TPM 2.0 Part 2, section 8.3, and how it is read.
type Attribute = (&'static str, fn(Attributes) -> bool);

/// What both keys must be: made inside their TPM, never to leave it, and used only for what TPMs make or keep.
const FIXED: [Attribute; 4] = [
    ("fixedTPM", Attributes::fixed_tpm),
    ("fixedParent", Attributes::fixed_parent),
    ("sensitiveDataOrigin", Attributes::sensitive_data_origin),
    ("restricted", Attributes::restricted),
];
const DECRYPT: Attribute = ("decrypt", Attributes::decrypt);
const SIGN: Attribute = ("sign", Attributes::sign);

/// Attributes of both keys, and the credential that only the TPM with this EK could open, and only while it held this AK.
///
/// The attributes count because the TPM checked them itself: the EK's when it refused to open a credential with any other
/// kind of key, the AK's because its name, which the credential is for, is the digest of the public area that has them.
/// Whose TPM it is, the binding level says: an EK that nobody vouches for may be software's.
pub(crate) fn activated(tpm: &TpmPart, challenge: &Challenge) -> Result<(), VerifyError> {
    endorsement_key(&tpm.ek)?;
    attestation_key(&tpm.ak)?;
    let (ek, ak) = (tpm.ek.name(), tpm.ak.name());
    let key = &challenge.credential_key;
    if key.matches(&tpm.activated_credential, &challenge.nonce, ek.as_bytes(), ak.as_bytes()) {
        return Ok(());
    }
    // The credential expected is a secret until the right TPM has opened it, so no text holds it.
    let expected = format!("the credential made for this nonce, EK {ek} and AK {ak}");
    let found = format!("another value of {} bytes", tpm.activated_credential.len());
    Err(VerifyError::new(Check::Credential, expected, found))
}

/// The attributes of an endorsement key: restricted, for decryption, fixed to its TPM. By themselves they are anybody's word.
///
/// # Errors
///
/// [`Check::EkAttributes`].
pub fn endorsement_key(ek: &Public) -> Result<(), VerifyError> {
    attributes(ek, Check::EkAttributes, DECRYPT, SIGN)
}

/// The attributes of an attestation key: restricted, for signing, fixed to its TPM. By themselves they are anybody's word.
///
/// # Errors
///
/// [`Check::AkAttributes`].
pub fn attestation_key(ak: &Public) -> Result<(), VerifyError> {
    attributes(ak, Check::AkAttributes, SIGN, DECRYPT)
}

fn attributes(key: &Public, check: Check, set: Attribute, clear: Attribute) -> Result<(), VerifyError> {
    let found = key.attributes();
    let needed = FIXED.into_iter().chain([set]).map(|attribute| (attribute, true)).chain([(clear, false)]);
    for ((name, read), expected) in needed {
        if read(found) != expected {
            let expected = format!("{name} {}", if expected { "set" } else { "clear" });
            return Err(VerifyError::new(check, expected, format!("attributes {:#010x}", found.0)));
        }
    }
    Ok(())
}
