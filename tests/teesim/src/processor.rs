//! The simulated processor and SVSM: what they know of one machine, and the reports they make of it.

use crate::keys;
use crate::wire::{Answer, Request};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::Base64;
use std::path::PathBuf;

/// An attestation report with its signature (AMD 56860, table 23).
pub const REPORT_LEN: usize = 1184;

/// The vTPM's service (SVSM specification 1.01, section 8.2).
const VTPM_SERVICE: &str = "c476f1eb-0123-45a5-9641-b4e7dde5bfe3";
/// The level of the SVSM.
const VMPL_SVSM: u32 = 0;
/// The level at which an SVSM runs its guest's kernel.
const VMPL_GUEST_UNDER_SVSM: u32 = 2;
/// The least privileged level.
const VMPL_MAX: u32 = 3;
/// Longest endorsement key: an RSA-4096 `TPMT_PUBLIC` is 570 bytes.
const EK_MAX: usize = 1024;

/// One machine, as its processor knows it.
#[derive(Debug)]
pub struct Processor {
    /// Launch digest.
    pub measurement: [u8; 48],
    /// HOST_DATA.
    pub host_data: [u8; 32],
    /// Guest policy.
    pub policy: u64,
    /// Names this guest instance: random, and the same at every level.
    pub report_id: [u8; 32],
    /// REPORTED_TCB and the other TCB fields.
    pub tcb: [u8; 8],
    /// Set where the SVSM shall vouch for another TPM than the guest's.
    pub foreign_ek: Option<Vec<u8>>,
    /// Where the guest's word about its agent's memory is written.
    pub memory_file: Option<PathBuf>,
    /// What the guest half said at boot.
    booted: Option<Booted>,
}

#[derive(Debug)]
struct Booted {
    vmpl: u32,
    /// The manifest of the vTPM service, where there is an SVSM.
    manifest: Option<Vec<u8>>,
}

impl Processor {
    /// A machine that has not started yet.
    pub fn new(measurement: [u8; 48], host_data: [u8; 32], policy: u64, report_id: [u8; 32]) -> Self {
        Self {
            measurement,
            host_data,
            policy,
            report_id,
            tcb: keys::tcb(),
            foreign_ek: None,
            memory_file: None,
            booted: None,
        }
    }

    /// Answer one request.
    pub fn answer(&mut self, request: &Request) -> Answer {
        let answer = match request {
            Request::Boot { ek_public } => self.boot(ek_public.as_ref().map(|ek| ek.0.as_slice())),
            Request::Report { vmpl, report_data } => self.plain_report(*vmpl, &report_data.0),
            Request::Service { guid, manifest_version, nonce } => {
                self.service_report(guid, *manifest_version, &nonce.0)
            }
            Request::Memory { peak_kib } => self.note(*peak_kib),
        };
        answer.unwrap_or_else(|reason| Answer::Refused { reason })
    }

    fn note(&self, peak_kib: u64) -> Result<Answer, String> {
        let write = |file| std::fs::write(file, peak_kib.to_string());
        self.memory_file.as_ref().map_or(Ok(()), write).map_err(|error| error.to_string())?;
        Ok(Answer::Noted)
    }

    fn boot(&mut self, ek: Option<&[u8]>) -> Result<Answer, String> {
        if self.booted.is_some() {
            return Err("this machine has already booted; its vTPM cannot change".to_owned());
        }
        let manifest = match (&self.foreign_ek, ek) {
            (_, Some(ek)) if ek.len() > EK_MAX => {
                return Err(format!("an endorsement key of {} bytes, at most {EK_MAX} are taken", ek.len()));
            }
            (Some(foreign), _) => Some(foreign.clone()),
            (None, ek) => ek.map(<[u8]>::to_vec),
        };
        let svsm = manifest.is_some();
        let vmpl = if svsm { VMPL_GUEST_UNDER_SVSM } else { 0 };
        self.booted = Some(Booted { vmpl, manifest });
        Ok(Answer::Booted { vmpl, svsm })
    }

    fn booted(&self) -> Result<&Booted, String> {
        self.booted.as_ref().ok_or_else(|| "the machine has not booted yet".to_owned())
    }

    fn plain_report(&self, vmpl: u32, data: &[u8; 64]) -> Result<Answer, String> {
        let floor = self.booted()?.vmpl;
        if !(floor..=VMPL_MAX).contains(&vmpl) {
            return Err(format!("VMPL {vmpl} was asked for; this guest has {floor} to {VMPL_MAX}"));
        }
        Ok(self.signed(vmpl, data, Vec::new()))
    }

    fn service_report(&self, guid: &str, version: u32, nonce: &[u8; 64]) -> Result<Answer, String> {
        let manifest = self.booted()?.manifest.clone().ok_or("there is no SVSM on this machine")?;
        if guid != VTPM_SERVICE {
            return Err(format!("service {guid:?} is not known, only the vTPM's {VTPM_SERVICE}"));
        }
        if version != 0 {
            return Err(format!("manifest version {version} is not known, only 0"));
        }
        let data = binding::svsm_report_data(nonce, &manifest);
        Ok(self.signed(VMPL_SVSM, &data, manifest))
    }

    fn signed(&self, vmpl: u32, data: &[u8; 64], manifest: Vec<u8>) -> Answer {
        let mut report = self.report(vmpl, data);
        keys::sign(&mut report);
        Answer::Report {
            report: Base64(report.to_vec()),
            certificates: Base64(keys::certificates()),
            manifest: Base64(manifest),
        }
    }

    /// A report without its signature. Reserved fields are zero.
    fn report(&self, vmpl: u32, data: &[u8; 64]) -> [u8; REPORT_LEN] {
        let mut out = [0; REPORT_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x000, &3u32.to_le_bytes()); // VERSION
        put(0x008, &self.policy.to_le_bytes());
        put(0x030, &vmpl.to_le_bytes());
        put(0x034, &1u32.to_le_bytes()); // SIGNATURE_ALGO: ECDSA P-384 with SHA-384
        put(0x038, &self.tcb); // CURRENT_TCB
        put(0x040, &1u64.to_le_bytes()); // PLATFORM_INFO: SMT enabled
        put(0x048, &0u32.to_le_bytes()); // SIGNING_KEY: VCEK; no author key; chip id not masked
        put(0x050, data);
        put(0x090, &self.measurement);
        put(0x0C0, &self.host_data);
        put(0x140, &self.report_id);
        put(0x160, &[0xff; 32]); // REPORT_ID_MA: no migration agent
        put(0x180, &self.tcb); // REPORTED_TCB
        put(0x188, &keys::cpuid());
        put(0x1A0, &keys::chip_id());
        put(0x1E0, &self.tcb); // COMMITTED_TCB
        put(0x1E8, &FIRMWARE);
        put(0x1EC, &FIRMWARE);
        put(0x1F0, &self.tcb); // LAUNCH_TCB
        out
    }
}

/// CURRENT and COMMITTED build, minor, major: firmware 1.56, the first with version 3 reports.
const FIRMWARE: [u8; 3] = [1, 56, 1];

#[cfg(test)]
mod tests;
