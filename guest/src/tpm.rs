//! The vTPM: endorsement key, attestation key, PCRs, quote, credential.
//!
//! Nothing here decides whether the TPM can be trusted: a host may emulate it. What ties it to the TEE is in
//! the evidence (the binding level), and the broker appraises that.

use crate::descriptors;
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::rcar::PcrValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use tss_esapi::abstraction::AsymmetricAlgorithmSelection;
use tss_esapi::abstraction::ek::{create_ek_public_from_default_template_2, retrieve_ek_pubcert};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{AuthHandle, KeyHandle, ObjectHandle, PcrHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    AttestInfo, CapabilityData, Data, Digest, DigestValues, EccPoint, EccScheme, EncryptedSecret, HashScheme,
    IdObject, KeyDerivationFunctionScheme, PcrSelectionList, PcrSlot, Public, PublicBuilder,
    PublicEccParametersBuilder, SignatureScheme, SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::Marshall as _;
use tss_esapi::{Context, Error as TssError};

/// The kernel's resource-managed device.
pub const DEVICE: &str = "/dev/tpmrm0";

/// NV index of the certificate of the default RSA endorsement key (TCG EK Credential Profile 2.5, section 2.2.1.4).
const EK_CERTIFICATE_INDEX: u32 = 0x01c0_0002;

/// How often a quote is taken again because IMA extended PCR 10 between the quote and the reading of the
/// values. Each new execution extends once, and little is executed while the guest attests.
const QUOTE_ATTEMPTS: u32 = 8;

/// `TPM2_PCR_Read` gives at most 8 digests (`TPML_DIGEST`, TPM 2.0 Part 2, section 10.9.5).
const PCRS_PER_READ: usize = 8;

/// The empty password authorises everything that is done here. An HMAC session over it would prove no more, and costs two
/// commands for each one.
const PASSWORD: Option<AuthSession> = Some(AuthSession::Password);

/// Why the TPM did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// A TPM command failed.
    #[error("TPM: {operation} failed: {source}")]
    Command {
        /// What was asked.
        operation: &'static str,
        /// The TSS's answer.
        source: TssError,
    },
    /// The device's descriptor cannot be kept from children.
    #[error("TPM: cannot keep the device from child processes: {0}")]
    Descriptor(std::io::Error),
    /// The TPM's answer is not of the kind asked for.
    #[error("TPM: {operation} gave an answer of another kind")]
    Answer {
        /// What was asked.
        operation: &'static str,
    },
    /// A PCR that this guest does not use.
    #[error("PCR {found} is not one that the guest extends")]
    Pcr {
        /// The index asked for.
        found: u8,
    },
    /// The credential's frame does not hold what its size field says.
    #[error("{what}: size field says {expected} bytes, {found} follow")]
    Credential {
        /// Which of the two parts.
        what: &'static str,
        /// What the size field says.
        expected: usize,
        /// The bytes that follow it.
        found: usize,
    },
    /// PCR values kept changing between quote and reading.
    #[error("PCR values changed during {QUOTE_ATTEMPTS} quotes in a row")]
    Unsteady,
}

fn command(operation: &'static str) -> impl FnOnce(TssError) -> TpmError {
    move |source| TpmError::Command { operation, source }
}

/// A quote and the values it covers.
pub struct Quoted {
    /// `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The SHA-256 PCR values whose digest the quote carries.
    pub pcrs: BTreeMap<u8, PcrValue>,
}

/// A quote whose values are not known yet.
struct RawQuote {
    message: Vec<u8>,
    signature: Vec<u8>,
    pcr_digest: Vec<u8>,
}

/// An open TPM. Its two keys are made when they are first needed: a pod without secrets never waits for them.
pub struct Tpm {
    context: Context,
    keys: Option<Keys>,
}

/// Endorsement and attestation key.
pub struct Keys {
    ek: KeyHandle,
    ak: KeyHandle,
    /// `TPMT_PUBLIC` of the default RSA-2048 endorsement key.
    pub ek_public: Vec<u8>,
    /// `TPMT_PUBLIC` of the attestation key: restricted, signing, ECDSA P-256 with SHA-256.
    pub ak_public: Vec<u8>,
}

impl Keys {
    fn make(context: &mut Context) -> Result<Self, TpmError> {
        let (ek, ek_public) =
            create_primary(context, endorsement_template()?, "creating the endorsement key")?;
        let (ak, ak_public) =
            create_primary(context, attestation_template()?, "creating the attestation key")?;
        Ok(Self { ek, ak, ek_public, ak_public })
    }
}

impl Tpm {
    /// Open [`DEVICE`]; `None` where the machine has no TPM.
    pub fn open() -> Result<Option<Self>, TpmError> {
        if !Path::new(DEVICE).exists() {
            return Ok(None);
        }
        Self::with_tcti(TctiNameConf::Device(DEVICE.parse().map_err(command("naming the device"))?)).map(Some)
    }

    fn with_tcti(tcti: TctiNameConf) -> Result<Self, TpmError> {
        let context = Context::new(tcti).map_err(command("opening"))?;
        // The library opens the device without O_CLOEXEC, and containers are children of this process.
        descriptors::close_all_on_exec().map_err(TpmError::Descriptor)?;
        Ok(Self { context, keys: None })
    }

    /// The keys; made on the first call, which may take a second.
    pub fn keys(&mut self) -> Result<&Keys, TpmError> {
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => Keys::make(&mut self.context)?,
        };
        Ok(self.keys.insert(keys))
    }

    /// Extend the SHA-256 bank of PCR 8 or 13.
    pub fn extend(&mut self, pcr: u8, digest: &Sha256Digest) -> Result<(), TpmError> {
        let handle = match pcr {
            8 => PcrHandle::Pcr8,
            13 => PcrHandle::Pcr13,
            found => return Err(TpmError::Pcr { found }),
        };
        let mut values = DigestValues::new();
        values.set(
            HashingAlgorithm::Sha256,
            Digest::try_from(digest.0.as_slice()).map_err(command("extending a PCR"))?,
        );
        self.context
            .execute_with_session(PASSWORD, |context| context.pcr_extend(handle, values))
            .map_err(command("extending a PCR"))
    }

    /// `TPM2_ActivateCredential` over the wire forms `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET`.
    pub fn activate_credential(&mut self, blob: &[u8], secret: &[u8]) -> Result<Vec<u8>, TpmError> {
        const OPERATION: &str = "activating the credential";
        let blob =
            IdObject::try_from(sized("credential_blob", blob)?.to_vec()).map_err(command(OPERATION))?;
        let secret = EncryptedSecret::try_from(sized("encrypted_secret", secret)?.to_vec())
            .map_err(command(OPERATION))?;
        let (ak, ek) = self.handles()?;
        let session = self.endorsement_session()?;
        let sessions = (PASSWORD, Some(session), None);
        let answer = self
            .context
            .execute_with_sessions(sessions, |context| context.activate_credential(ak, ek, blob, secret));
        // A policy session survives a failed command; the TPM has room for few.
        let handle = ObjectHandle::from(SessionHandle::from(session));
        let flushed = self.context.flush_context(handle);
        let credential = answer.map_err(command(OPERATION))?;
        flushed.map_err(command("closing the policy session"))?;
        Ok(credential.value().to_vec())
    }

    /// Quote exactly `pcrs` of the SHA-256 bank, with the values that the quote covers.
    pub fn quote(&mut self, nonce: &[u8], pcrs: &[u8]) -> Result<Quoted, TpmError> {
        for _ in 0..QUOTE_ATTEMPTS {
            let raw = self.quote_once(nonce, pcrs)?;
            let values = self.read(pcrs)?;
            let digest = values.values().fold(Sha256::new(), |hash, value| hash.chain_update(value.0));
            if digest.finalize()[..] == raw.pcr_digest[..] {
                return Ok(Quoted { message: raw.message, signature: raw.signature, pcrs: values });
            }
        }
        Err(TpmError::Unsteady)
    }

    /// The certificate of the default RSA endorsement key, where the TPM holds one: its maker's word that the key is in a real
    /// TPM (TCG EK Credential Profile 2.5, section 2.2.1.4).
    pub fn ek_certificate(&mut self) -> Option<Vec<u8>> {
        // Asked for first: the library prints an error about an index that is not there.
        let (there, _) =
            self.context.get_capability(CapabilityType::Handles, EK_CERTIFICATE_INDEX, 1).ok()?;
        let CapabilityData::Handles(handles) = there else { return None };
        if !handles.iter().any(|handle| u32::from(*handle) == EK_CERTIFICATE_INDEX) {
            return None;
        }
        let algorithm = AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048);
        // The sessions are the library's own: the index is read with an empty password.
        retrieve_ek_pubcert(&mut self.context, algorithm).ok().filter(|certificate| !certificate.is_empty())
    }

    /// Read PCRs of the SHA-256 bank.
    pub fn read(&mut self, pcrs: &[u8]) -> Result<BTreeMap<u8, PcrValue>, TpmError> {
        const OPERATION: &str = "reading PCRs";
        let mut values = BTreeMap::new();
        for chunk in pcrs.chunks(PCRS_PER_READ) {
            let selection = selection(chunk)?;
            let (_, selected, digests) = self
                .context
                .execute_without_session(|context| context.pcr_read(selection.clone()))
                .map_err(command(OPERATION))?;
            if selected != selection || digests.len() != chunk.len() {
                return Err(TpmError::Answer { operation: OPERATION });
            }
            for (pcr, digest) in chunk.iter().zip(digests.value()) {
                let value =
                    digest.value().try_into().map_err(|_| TpmError::Answer { operation: OPERATION })?;
                values.insert(*pcr, sealpod_evidence::bytes::HexArray(value));
            }
        }
        Ok(values)
    }

    fn handles(&mut self) -> Result<(KeyHandle, KeyHandle), TpmError> {
        let keys = self.keys()?;
        Ok((keys.ak, keys.ek))
    }

    fn quote_once(&mut self, nonce: &[u8], pcrs: &[u8]) -> Result<RawQuote, TpmError> {
        const OPERATION: &str = "quoting";
        let nonce = Data::try_from(nonce.to_vec()).map_err(command(OPERATION))?;
        let selection = selection(pcrs)?;
        let (ak, _) = self.handles()?;
        let (attest, signature) = self
            .context
            .execute_with_session(PASSWORD, |context| {
                context.quote(ak, nonce, SignatureScheme::Null, selection)
            })
            .map_err(command(OPERATION))?;
        let AttestInfo::Quote { info } = attest.attested() else {
            return Err(TpmError::Answer { operation: OPERATION });
        };
        let pcr_digest = info.pcr_digest().value().to_vec();
        let message = attest.marshall().map_err(command(OPERATION))?;
        let signature = signature.marshall().map_err(command(OPERATION))?;
        Ok(RawQuote { message, signature, pcr_digest })
    }

    /// A session that satisfies PolicyA of the EK template: PolicySecret of the endorsement hierarchy
    /// (TCG EK Credential Profile 2.5, section B.6.2).
    fn endorsement_session(&mut self) -> Result<AuthSession, TpmError> {
        const OPERATION: &str = "starting a policy session";
        let session = self
            .context
            .start_auth_session(
                None,
                None,
                None,
                SessionType::Policy,
                SymmetricDefinition::AES_128_CFB,
                HashingAlgorithm::Sha256,
            )
            .map_err(command(OPERATION))?
            .ok_or(TpmError::Answer { operation: OPERATION })?;
        let policy = PolicySession::try_from(session).map_err(command(OPERATION))?;
        self.context
            .execute_with_session(PASSWORD, |context| {
                let (nonce, digest, reference) = Default::default();
                context.policy_secret(policy, AuthHandle::Endorsement, nonce, digest, reference, None)
            })
            .map_err(command("authorising the endorsement key"))?;
        Ok(session)
    }
}

/// Template L-1 of the TCG EK Credential Profile 2.5, section B.3.3.
fn endorsement_template() -> Result<Public, TpmError> {
    create_ek_public_from_default_template_2(AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048), None)
        .map_err(command("the endorsement key's template"))
}

/// A primary key: it needs no storage, and in the endorsement hierarchy quotes carry the true reset counts
/// (TPM 2.0 Part 1, section 36.7).
fn attestation_template() -> Result<Public, TpmError> {
    let operation = "the attestation key's template";
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_restricted(true)
        .with_sign_encrypt(true)
        .build()
        .map_err(command(operation))?;
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(true)
        .with_is_decryption_key(false)
        .with_restricted(true)
        .build()
        .map_err(command(operation))?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
        .map_err(command(operation))
}

fn create_primary(
    context: &mut Context,
    template: Public,
    operation: &'static str,
) -> Result<(KeyHandle, Vec<u8>), TpmError> {
    let made = context
        .execute_with_session(PASSWORD, |context| {
            context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
        })
        .map_err(command(operation))?;
    let public = made.out_public.marshall().map_err(command(operation))?;
    Ok((made.key_handle, public))
}

fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, TpmError> {
    let slots = pcrs
        .iter()
        .map(|pcr| {
            let bit = 1_u32.checked_shl(u32::from(*pcr)).unwrap_or(0);
            PcrSlot::try_from(bit).map_err(|_| TpmError::Pcr { found: *pcr })
        })
        .collect::<Result<Vec<_>, _>>()?;
    PcrSelectionList::builder()
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
        .map_err(command("selecting PCRs"))
}

/// The content of a `TPM2B`: a big-endian size, then exactly that many bytes.
fn sized<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], TpmError> {
    let (size, rest) = bytes.split_first_chunk::<2>().ok_or(TpmError::Credential {
        what,
        expected: 2,
        found: bytes.len(),
    })?;
    let expected = usize::from(u16::from_be_bytes(*size));
    if rest.len() != expected {
        return Err(TpmError::Credential { what, expected, found: rest.len() });
    }
    Ok(rest)
}

#[cfg(test)]
mod tests;
