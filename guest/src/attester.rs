//! The Attester: one object that gathers all evidence for one challenge.

use crate::files::{self, FileError};
use crate::tpm::{Tpm, TpmError};
use crate::tsm::{Tsm, TsmError};
use crate::workload::{WorkloadLog, digest_of};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::protocol::{Attestation, CompositeEvidence, InitData, RuntimeData, TeePubKey};
use sealpod_evidence::rcar::{
    AdditionalEvidence, AuthRequest, CredentialChallenge, ImaLog, PCR_WORKLOAD, QUOTED_BANK, QUOTED_PCRS,
    Quote, SEALPOD_VERSION, SnpEvidence, SvsmEvidence, TpmEvidence,
};
use sealpod_evidence::workload::ContainerSpec;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Most bytes of boot log: OVMF's is 5 kB; Linux logs of big servers reach 64 KiB.
const MAX_BOOT_LOG: usize = 128 * 1024;
/// Most bytes of IMA log: base64 makes 4/3 of it, and the broker takes bodies of 2 MiB.
const MAX_IMA_LOG: usize = 1280 * 1024;
/// Most bytes of a node's IMA log. A node runs for months where a pod runs for hours; the appraiser takes 8 MiB.
pub const MAX_NODE_IMA_LOG: usize = 8 << 20;

const SECURITYFS: &str = "/sys/kernel/security";

/// Why evidence cannot be gathered.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The vTPM failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The TEE's report failed.
    #[error(transparent)]
    Tsm(#[from] TsmError),
    /// A log cannot be read.
    #[error("log: {0}")]
    Log(#[from] FileError),
    /// The challenge is of another version.
    #[error("the broker's credential is version {found}, expected {expected}")]
    Version {
        /// Ours.
        expected: u32,
        /// The broker's.
        found: u32,
    },
    /// A part of the evidence cannot be written as JSON.
    #[error("evidence does not serialise: {0}")]
    Json(#[from] serde_json::Error),
    /// The evidence cannot be bound to the challenge.
    #[error(transparent)]
    Binding(#[from] binding::BindingError),
}

/// What the broker's client needs of an Attester.
pub trait Gather: Send {
    /// The keys to name at `/auth`. Blocks: they may have to be made first.
    fn keys(&mut self) -> Result<AuthRequest, AttestError>;

    /// All evidence for this challenge and channel key, as `/attest` takes it.
    fn attest(
        &mut self,
        nonce: &str,
        key: &TeePubKey,
        credential: &CredentialChallenge,
    ) -> Result<Attestation, AttestError>;
}

/// What this guest can attest with. Made only where there is both a TEE and a vTPM.
pub struct Attester {
    tpm: Tpm,
    tsm: Tsm,
    initdata: Initdata,
    workload: WorkloadLog,
}

impl Attester {
    /// Put the parts together.
    pub fn new(tpm: Tpm, tsm: Tsm, initdata: Initdata, workload: WorkloadLog) -> Self {
        Self { tpm, tsm, initdata, workload }
    }

    fn tpm_evidence(
        &mut self,
        nonce: &str,
        key: &Value,
        credential: &CredentialChallenge,
    ) -> Result<TpmEvidence, AttestError> {
        if credential.version != SEALPOD_VERSION {
            return Err(AttestError::Version { expected: SEALPOD_VERSION, found: credential.version });
        }
        let activated =
            self.tpm.activate_credential(&credential.credential_blob.0, &credential.encrypted_secret.0)?;
        let svsm = self.tsm.vtpm_service(&binding::svsm_nonce(nonce, key)?)?;
        let quoted = self.tpm.quote(&binding::quote_nonce(nonce, key)?, &QUOTED_PCRS)?;
        let keys = self.tpm.keys()?;
        let (ek_public, ak_public) = (Base64(keys.ek_public.clone()), Base64(keys.ak_public.clone()));
        // The logs are read after the quote, so that they hold at least what it covers; the verifier takes the
        // prefix that replays.
        let values = quoted.pcrs.iter().map(|(pcr, value)| (*pcr, value.to_string())).collect();
        Ok(TpmEvidence {
            version: SEALPOD_VERSION,
            ak_public,
            ek_public,
            activated_credential: Base64(activated),
            quote: Quote { message: Base64(quoted.message), signature: Base64(quoted.signature) },
            pcrs: BTreeMap::from([(QUOTED_BANK.to_owned(), values)]),
            boot_log: Base64(boot_log()?),
            ima_log: ima_log(MAX_IMA_LOG)?,
            workload_log: Base64(self.workload.encode()),
            svsm: svsm.map(|s| SvsmEvidence { report: Base64(s.report), manifest: Base64(s.manifest) }),
        })
    }
}

impl Gather for Attester {
    fn keys(&mut self) -> Result<AuthRequest, AttestError> {
        let keys = self.tpm.keys()?;
        Ok(AuthRequest {
            version: SEALPOD_VERSION,
            ek_public: Base64(keys.ek_public.clone()),
            ak_public: Base64(keys.ak_public.clone()),
            ek_certificate: None,
        })
    }

    /// The primary report is asked for last: its report data covers the text of everything else.
    fn attest(
        &mut self,
        nonce: &str,
        key: &TeePubKey,
        credential: &CredentialChallenge,
    ) -> Result<Attestation, AttestError> {
        let key_json = serde_json::to_value(key)?;
        let tpm = self.tpm_evidence(nonce, &key_json, credential)?;
        let additional_evidence = serde_json::to_string(&AdditionalEvidence { tpm })?;
        let report = self.tsm.report(&binding::report_data(nonce, &key_json, &additional_evidence)?)?;
        let primary = SnpEvidence { report: Base64(report.report), certificates: Base64(report.auxiliary) };
        Ok(Attestation {
            init_data: Some(InitData { format: "toml".to_owned(), body: self.initdata.text().to_owned() }),
            runtime_data: RuntimeData { nonce: nonce.to_owned(), tee_pubkey: key.clone() },
            tee_evidence: CompositeEvidence {
                primary_evidence: serde_json::to_value(primary)?,
                additional_evidence,
            },
        })
    }
}

/// Record a container in PCR 13 and the log, before it is started.
pub fn record(tpm: &mut Tpm, log: &mut WorkloadLog, spec: &ContainerSpec) -> Result<(), TpmError> {
    let record = log.next(spec);
    tpm.extend(PCR_WORKLOAD, &digest_of(&record))?;
    log.push(record);
    Ok(())
}

/// The firmware's TCG2 log; empty where the kernel was given none (direct boot).
pub fn boot_log() -> Result<Vec<u8>, FileError> {
    let path = Path::new(SECURITYFS).join("tpm0/binary_bios_measurements");
    if !path.exists() {
        return Ok(Vec::new());
    }
    files::read(&path, MAX_BOOT_LOG)
}

/// The IMA log of the quoted bank where the kernel keeps one per bank (6.12), else the SHA-1 one.
///
/// # Errors
///
/// A log that cannot be read, or is longer than `budget` bytes.
pub fn ima_log(budget: usize) -> Result<ImaLog, FileError> {
    let directory = Path::new(SECURITYFS).join("ima");
    let per_bank = directory.join("binary_runtime_measurements_sha256");
    let (bank, path) = if per_bank.exists() {
        (QUOTED_BANK, per_bank)
    } else {
        ("sha1", directory.join("binary_runtime_measurements"))
    };
    let data = Base64(files::read(&path, budget)?);
    Ok(ImaLog { bank: bank.to_owned(), first_index: 0, data })
}
