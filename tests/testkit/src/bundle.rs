//! One pod's whole evidence: public parts to change, then sealed into what travels.

mod pod;
mod sealed;

pub use pod::{CONTAINER_IMAGE, NONCE, RESOURCE};
pub use sealed::Sealed;

use crate::channel;
use crate::hash::sha256;
use crate::keys::Key;
use crate::logs::{BootLog, ImaEntry, ImaLog, workload};
use crate::pki::{self, Line};
use crate::report::{ReportFields, VMPL_GUEST};
use crate::tpm::{Digests, Pcrs, Tpm};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::{Base64, HexArray};
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::initdata::{Initdata, PodPolicy};
use sealpod_evidence::rcar::protocol::TeePubKey;
use sealpod_evidence::rcar::{
    AdditionalEvidence, PCR_INITDATA, QUOTED_PCRS, Quote, SEALPOD_VERSION, SvsmEvidence, TpmEvidence,
};
use sealpod_evidence::reference_values::{
    FileSet, InitdataReference, ReferenceDocument, SnpMeasurement, VERSION,
};
use std::collections::BTreeMap;

/// Paths and their digests.
pub type Files = BTreeMap<String, [u8; 32]>;

/// Everything that one pod's evidence is made from.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The broker's nonce.
    pub nonce: String,
    /// The channel key's public half; [`crate::channel::open`] has the private one.
    pub tee_pubkey: TeePubKey,
    /// The product line, for [`Bundle::reference`]; [`Bundle::on`] makes the rest of it.
    pub line: Line,
    /// The primary report; its host data and report data are filled in by [`Bundle::seal`].
    pub report: ReportFields,
    /// Signs both reports.
    pub report_key: Key,
    /// The host's certificate table.
    pub certificates: Vec<u8>,
    /// Whether there is an SVSM that vouches for the vTPM.
    pub svsm: bool,
    /// The vTPM; its PCRs are filled in by [`Bundle::seal`].
    pub tpm: Tpm,
    /// The PCRs that are quoted.
    pub quoted_pcrs: Vec<u8>,
    /// What firmware measured.
    pub boot_log: BootLog,
    /// What IMA measured, without the boot aggregate.
    pub ima_log: ImaLog,
    /// What the guest started.
    pub workload: Vec<Record>,
    /// The owner's policy; the initdata is made of it.
    pub policy: PodPolicy,
    /// What the TPM gave back of the broker's credential. Zeros at first: set what the verifier expects.
    pub activated_credential: Vec<u8>,
    /// Files of the guest image, for [`Bundle::reference`].
    pub guest_files: Files,
    /// Files of the container image, for [`Bundle::reference`].
    pub image_files: Files,
}

impl Default for Bundle {
    fn default() -> Self {
        Self::valid()
    }
}

impl Bundle {
    /// A pod with one container that has one secret, an SVSM, and a handful of measured files.
    pub fn valid() -> Self {
        let (guest_files, image_files) = (pod::guest_files(), pod::image_files());
        let measured = guest_files.iter().chain(&image_files);
        let entries = measured.map(|(path, digest)| ImaEntry::file(path, *digest)).collect();
        let policy = pod::policy();
        Self {
            nonce: NONCE.to_owned(),
            tee_pubkey: channel::tee_pubkey(),
            line: Line::default(),
            report: ReportFields::default(),
            report_key: Key::Vcek,
            certificates: pki::certificate_table(),
            svsm: true,
            tpm: Tpm::default(),
            quoted_pcrs: QUOTED_PCRS.to_vec(),
            boot_log: BootLog::default(),
            ima_log: ImaLog { entries, ..ImaLog::default() },
            workload: workload::records(&[policy.containers[0].spec.clone()]),
            policy,
            activated_credential: vec![0; 32],
            guest_files,
            image_files,
        }
    }

    /// The same pod with exactly `count` IMA entries, boot aggregate included, each of another file of the container image.
    ///
    /// # Panics
    ///
    /// When `count` is less than what [`Bundle::valid`] has.
    pub fn with_ima_entries(count: usize) -> Self {
        let mut bundle = Self::valid();
        let missing = count.checked_sub(bundle.ima_log.entries.len() + 1).expect("a larger count");
        for index in 0..missing {
            let path = format!("/usr/lib/app/module-{index:06}.so");
            let digest = sha256(path.as_bytes());
            bundle.ima_log.entries.push(ImaEntry::file(&path, digest));
            bundle.image_files.insert(path, digest);
        }
        bundle
    }

    /// The same pod on a processor of another line.
    pub fn on(line: Line) -> Self {
        let bundle = Self::valid();
        let report = line.report(bundle.report.clone());
        Self { line, report, certificates: line.table().to_bytes(), ..bundle }
    }

    /// The same pod signed with a VLEK.
    pub fn with_vlek() -> Self {
        let mut bundle = Self::valid();
        bundle.report_key = Key::Vlek;
        bundle.report.flags |= 1 << 2;
        bundle.certificates = pki::CertificateTable::vlek().to_bytes();
        bundle
    }

    /// The initdata that the policy makes.
    pub fn initdata(&self) -> Initdata {
        Initdata::compose(&self.policy).expect("a policy that can be written")
    }

    /// Compute everything that depends on something else, and sign.
    pub fn seal(&self) -> Sealed {
        let initdata = self.initdata();
        let (tpm, ima_log) = self.measured(&initdata.digest().0);
        let key = serde_json::to_value(&self.tee_pubkey).expect("JSON");
        let report = ReportFields { host_data: initdata.digest().0, ..self.report.clone() };
        let quote_nonce = binding::quote_nonce(&self.nonce, &key).expect("a canonical key");
        let attest = tpm.attest(&quote_nonce, &self.quoted_pcrs);
        let svsm_report = self.svsm.then(|| {
            let block = binding::svsm_nonce(&self.nonce, &key).expect("a canonical key");
            report.at_svsm(binding::svsm_report_data(&block, &tpm.ek_public()))
        });
        let mut sealed = Sealed {
            nonce: self.nonce.clone(),
            tee_pubkey: self.tee_pubkey.clone(),
            initdata: Some(initdata.text().to_owned()),
            report,
            report_key: self.report_key,
            report_bytes: Vec::new(),
            certificates: self.certificates.clone(),
            svsm_report,
            svsm_key: self.report_key,
            additional: self.unquoted(&tpm, &ima_log),
            additional_text: String::new(),
            tpm,
            attest,
            quoted_pcrs: self.quoted_pcrs.clone(),
        };
        sealed.requote_unbound();
        sealed.resign_svsm();
        sealed
    }

    /// The additional evidence without what [`Sealed`] signs.
    fn unquoted(&self, tpm: &Tpm, ima_log: &ImaLog) -> AdditionalEvidence {
        let svsm = SvsmEvidence { report: Base64::default(), manifest: Base64(tpm.ek_public()) };
        AdditionalEvidence {
            tpm: TpmEvidence {
                version: SEALPOD_VERSION,
                ak_public: Base64(tpm.ak_public()),
                ek_public: Base64(tpm.ek_public()),
                activated_credential: Base64(self.activated_credential.clone()),
                quote: Quote { message: Base64::default(), signature: Base64::default() },
                pcrs: BTreeMap::new(),
                boot_log: Base64(self.boot_log.to_bytes()),
                ima_log: ima_log.to_evidence(),
                workload_log: Base64(cel::encode(&self.workload)),
                svsm: self.svsm.then_some(svsm),
            },
        }
    }

    /// The TPM after everything that the logs say, in the order in which it happens; and the IMA log with its boot aggregate.
    fn measured(&self, initdata: &[u8; 32]) -> (Tpm, ImaLog) {
        let mut pcrs = Pcrs::default();
        self.boot_log.replay(&mut pcrs);
        let mut ima_log = self.ima_log.clone();
        ima_log.entries.insert(0, ImaEntry::boot_aggregate(&pcrs));
        // The guest extends the SHA-256 bank alone; nothing reads PCR 8 of the other.
        pcrs.extend(usize::from(PCR_INITDATA), &Digests { sha256: *initdata, ..Digests::filled(0) });
        ima_log.replay(&mut pcrs);
        workload::replay(&self.workload, &mut pcrs);
        (Tpm { pcrs, ..self.tpm.clone() }, ima_log)
    }

    /// Reference Values that take this pod and nothing else.
    pub fn reference(&self) -> ReferenceDocument {
        let files = |image, files: &Files| FileSet {
            image,
            description: "test image".to_owned(),
            files: files.iter().map(|(path, digest)| (path.clone(), vec![HexArray(*digest)])).collect(),
        };
        ReferenceDocument {
            version: VERSION,
            description: "test pod".to_owned(),
            snp_measurements: vec![SnpMeasurement {
                measurement: HexArray(self.report.measurement),
                guest_vmpl: if self.svsm { VMPL_GUEST as u8 } else { 0 },
                description: "test guest".to_owned(),
            }],
            tdx_measurements: Vec::new(),
            azure_paravisors: Vec::new(),
            snp_minimum_tcb: BTreeMap::from([(self.line.name().to_lowercase(), self.line.tcb())]),
            initdata: vec![InitdataReference {
                sha256: self.initdata().digest(),
                description: "test policy".to_owned(),
            }],
            boot: vec![self.boot_log.reference()],
            files: vec![files(None, &self.guest_files), files(Some(pod::image_digest()), &self.image_files)],
            ..ReferenceDocument::default()
        }
    }
}

#[cfg(test)]
mod tests;
