//! An ordinary node: the same steps where they apply, for a machine that no TEE vouches for.
//!
//! One door, [`verify`]. There is no report, so steps 3 to 8 do not exist here and the binding level is `host`: what comes out is
//! as good as the word that the TPM is a real one and that nobody owns the machine below its kernel. Whose TPM it is says
//! [`Identity`].

use crate::challenge::CredentialKey;
use crate::error::{Check, VerifyError};
use crate::ima::{AggregateForm, ImaReplay, boot_aggregate};
use crate::parts::{self, require_version, tpm::TpmPart};
use crate::tpm::boot::{self, rules};
use crate::tpm::{keys, quote};
use crate::{BindingLevel, workload};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel::Record;
use sealpod_evidence::ima::{Bank, Entry, HashAlgorithm, Log};
use sealpod_evidence::node::evidence::{NodeEvidence, quote_nonce};
use sealpod_evidence::rcar::{PCR_IMA, PCR_WORKLOAD, TpmEvidence};
use sealpod_evidence::tcg2::BootLog;
use sealpod_evidence::tpm::ClockInfo;

/// Most entries of a node's log: the log's byte budget ends before that.
const MAX_ENTRIES: u64 = 1 << 20;
/// Boot PCRs that the boot log and IMA's aggregate are about.
const BOOT_PCRS: usize = 10;

/// How the attestation key is known to be the node's.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// The name (`nameAlg || H(TPMT_PUBLIC)`) of an AK that was enrolled: a credential was activated for it once.
    Enrolled(&'a [u8]),
    /// The credential that was made for this nonce, the EK and the AK sent: for enrolment. Which EK it is, the caller compares.
    Credential(&'a CredentialKey),
}

/// All that one appraisal of a node needs.
#[derive(Debug, Clone, Copy)]
pub struct NodeInput<'a> {
    /// What the node sent.
    pub evidence: &'a NodeEvidence,
    /// The nonce that it was given. That it is fresh and unused is for whoever gave it to know.
    pub nonce: &'a str,
    /// Whose AK it has to be.
    pub identity: Identity<'a>,
}

/// A node whose logs are what its TPM quoted, just now. Made only by [`verify`].
///
/// Says what was measured, and nothing of whether that is good.
pub struct VerifiedNode {
    ek_name: Vec<u8>,
    ak_name: Vec<u8>,
    clock: ClockInfo,
    boot_pcrs: [[u8; 32]; BOOT_PCRS],
    boot_events: bool,
    aggregate: AggregateForm,
    ima_log: Vec<u8>,
    ima_bank: Bank,
    covered: ImaReplay,
    uncovered: u64,
    violations: u64,
    records: Vec<Record>,
}

/// Appraise a node's evidence.
///
///  1. sizes and counts are within budget, every part parses, the version is known
///  2. the nonce is the one given
/// 10. the AK is the enrolled one, or the credential was activated by the TPM that owns the EK; both have the attributes of such keys
/// 11. the quote is fresh, of the PCRs asked for, over the values given, by that AK
/// 12. the boot log, where the firmware left one, keeps the profile's rules and replays to PCR 0-9
/// 13. the IMA log starts with this boot's aggregate and replays to PCR 10; how much of it the quote does not cover is said
/// 15. the statement log replays to PCR 13
///
/// Step 14 has no place: which files a node may run is for the profiles that are evaluated over the result.
///
/// # Errors
///
/// [`VerifyError`] with the check that did not hold.
pub fn verify(input: &NodeInput<'_>) -> Result<VerifiedNode, VerifyError> {
    let NodeInput { evidence, nonce, identity } = *input;
    require_version(evidence.version)?; // 1
    let (tpm, logs) = parts::tpm::parse(as_pods(evidence))?;
    if evidence.nonce != nonce {
        return Err(VerifyError::new(Check::ChallengeNonce, nonce, &evidence.nonce)); // 2
    }
    known(&tpm, nonce, identity)?; // 10
    quote::appraise(&tpm, &quote_nonce(nonce))?; // 11
    let (boot_pcrs, boot_events) = booted(&tpm)?; // 12
    let mut node = VerifiedNode {
        ek_name: tpm.ek.name().as_bytes().to_vec(),
        ak_name: tpm.ak.name().as_bytes().to_vec(),
        clock: tpm.attest.clock_info,
        boot_pcrs,
        boot_events,
        aggregate: AggregateForm::Pcr0To9(HashAlgorithm::Sha256),
        ima_log: logs.ima_log,
        ima_bank: logs.ima_bank,
        covered: ImaReplay::default(),
        uncovered: 0,
        violations: 0,
        records: logs.workload,
    };
    node.replay_ima(tpm.pcrs.get(PCR_IMA).0)?; // 13
    workload::replay(&node.records, tpm.pcrs.get(PCR_WORKLOAD))?; // 15
    Ok(node)
}

impl VerifiedNode {
    /// Name of the endorsement key.
    pub fn ek_name(&self) -> &[u8] {
        &self.ek_name
    }

    /// Name of the attestation key.
    pub fn ak_name(&self) -> &[u8] {
        &self.ak_name
    }

    /// The TPM's clock and counters: another reset count is another boot.
    pub fn clock(&self) -> &ClockInfo {
        &self.clock
    }

    /// PCR 0 to 9 of the SHA-256 bank.
    pub fn boot_pcrs(&self) -> &[[u8; 32]; 10] {
        &self.boot_pcrs
    }

    /// Whether there was a boot log that replays to them.
    pub fn has_boot_log(&self) -> bool {
        self.boot_events
    }

    /// What the boot aggregate was over.
    pub fn aggregate(&self) -> AggregateForm {
        self.aggregate
    }

    /// How far the quote reaches into the IMA log.
    pub fn covered(&self) -> ImaReplay {
        self.covered
    }

    /// Entries behind that, which are no evidence.
    pub fn uncovered(&self) -> u64 {
        self.uncovered
    }

    /// Violations among the covered entries: files that were written while they were measured.
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// The covered entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let count = usize::try_from(self.covered.index).unwrap_or(usize::MAX);
        // Every covered entry was parsed when it was replayed.
        Log::new(&self.ima_log, self.ima_bank, MAX_ENTRIES).entries().take(count).filter_map(Result::ok)
    }

    /// Contents of the records of PCR 13, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(|record| record.content.as_slice())
    }

    /// Who vouches for the TPM: nobody but its EK.
    pub fn binding_level(&self) -> BindingLevel {
        BindingLevel::Host
    }

    /// The shortest prefix that reaches the quoted PCR 10.
    fn replay_ima(&mut self, quoted: [u8; 32]) -> Result<(), VerifyError> {
        let (mut replay, mut violations, mut aggregate) = (ImaReplay::default(), 0_u64, None);
        let mut entries = Log::new(&self.ima_log, self.ima_bank, MAX_ENTRIES).entries();
        while aggregate.is_none() || replay.pcr != quoted {
            let Some(entry) = entries.next() else {
                let expected = format!("a prefix that replays to PCR {PCR_IMA} = {}", HexArray(quoted));
                let found = format!("{} entries that reach {}", replay.index, HexArray(replay.pcr));
                return Err(VerifyError::new(Check::ImaReplay, expected, found));
            };
            let entry = entry.map_err(|error| crate::ima::syntax(&error))?;
            if entry.index == 0 {
                let boot = self.boot_pcrs.each_ref().map(|pcr| pcr.as_slice());
                let known = |bank| (bank == HashAlgorithm::Sha256).then_some(boot);
                aggregate = Some(boot_aggregate(&entry, known)?);
            }
            violations = violations.saturating_add(u64::from(entry.is_violation()));
            replay.advance(&entry, self.ima_bank)?;
        }
        let mut uncovered = 0_u64;
        for entry in entries {
            entry.map_err(|error| crate::ima::syntax(&error))?;
            uncovered = uncovered.saturating_add(1);
        }
        (self.covered, self.uncovered, self.violations) = (replay, uncovered, violations);
        self.aggregate = aggregate.unwrap_or(self.aggregate);
        Ok(())
    }
}

impl std::fmt::Debug for VerifiedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ak, entries) = (hex::encode(&self.ak_name), self.covered.index);
        f.debug_struct("VerifiedNode")
            .field("ak_name", &ak)
            .field("covered", &entries)
            .finish_non_exhaustive()
    }
}

/// The parts that pods send too, so that both are read by the same code.
fn as_pods(evidence: &NodeEvidence) -> TpmEvidence {
    TpmEvidence {
        version: evidence.version,
        ak_public: evidence.ak_public.clone(),
        ek_public: evidence.ek_public.clone(),
        activated_credential: evidence.activated_credential.clone().unwrap_or_default(),
        quote: evidence.quote.clone(),
        pcrs: evidence.pcrs.clone(),
        boot_log: evidence.boot_log.clone(),
        ima_log: evidence.ima_log.clone(),
        workload_log: evidence.statement_log.clone(),
        svsm: None,
    }
}

fn known(tpm: &TpmPart, nonce: &str, identity: Identity<'_>) -> Result<(), VerifyError> {
    let (ek, ak) = (tpm.ek.name(), tpm.ak.name());
    keys::attestation_key(&tpm.ak)?;
    match identity {
        Identity::Enrolled(name) if name == ak.as_bytes() => Ok(()),
        Identity::Enrolled(name) => {
            let expected = format!("the enrolled attestation key {}", hex::encode(name));
            Err(VerifyError::new(Check::EnrolledKey, expected, ak))
        }
        Identity::Credential(key) => {
            keys::endorsement_key(&tpm.ek)?;
            if key.matches(&tpm.activated_credential, nonce, ek.as_bytes(), ak.as_bytes()) {
                return Ok(());
            }
            let expected = format!("the credential made for this nonce, EK {ek} and AK {ak}");
            let found = format!("another value of {} bytes", tpm.activated_credential.len());
            Err(VerifyError::new(Check::Credential, expected, found))
        }
    }
}

/// PCR 0 to 9, and whether a log explains them. Without one the quoted values stand for themselves.
fn booted(tpm: &TpmPart) -> Result<([[u8; 32]; BOOT_PCRS], bool), VerifyError> {
    let mut pcrs = [[0; 32]; BOOT_PCRS];
    for (index, pcr) in (0_u8..).zip(&mut pcrs) {
        *pcr = tpm.pcrs.get(index).0;
    }
    if tpm.boot_log.is_empty() {
        return Ok((pcrs, false));
    }
    let log = BootLog::parse(&tpm.boot_log)
        .map_err(|error| VerifyError::new(Check::BootLogSyntax, "a TCG2 boot log", error))?;
    let replayed = log
        .replay_sha256()
        .map_err(|error| VerifyError::new(Check::BootLogReplay, "SHA-256 digests of every event", error))?;
    for ((index, quoted), replayed) in (0_u8..).zip(&pcrs).zip(&replayed) {
        boot::pcr(index, quoted, replayed)?;
    }
    rules::boot_rules(&log)?;
    Ok((pcrs, true))
}
