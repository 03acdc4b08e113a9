//! A pod in a TD: everything that its evidence is made from, and the evidence as it travels.

use super::{Ccel, Collateral, QuoteFields};
use crate::bundle::Bundle;
use crate::hash::{sha256, sha384};
use crate::logs::{ImaEntry, ImaLog};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::{Base64, HexArray};
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::protocol::{Attestation, CompositeEvidence, InitData, RuntimeData, TeePubKey};
use sealpod_evidence::rcar::{GuestLogs, SEALPOD_VERSION, TdAdditionalEvidence, TdxEvidence};
use sealpod_evidence::reference_values::{ReferenceDocument, TdxMeasurement};

/// Everything that one pod's evidence is made from.
#[derive(Debug, Clone)]
pub struct TdxBundle {
    /// Nonce, channel key, initdata, workload and files: the same pod as [`Bundle::valid`]. Its TPM is used where
    /// [`TdxBundle::tpm`] says so.
    pub pod: Bundle,
    /// The quote; its MRCONFIGID, RTMRs and report data are filled in by [`TdxBundle::seal`].
    pub quote: QuoteFields,
    /// What firmware measured.
    pub ccel: Ccel,
    /// What IMA measured, without the boot aggregate.
    pub ima_log: ImaLog,
    /// What the guest started.
    pub workload: Vec<Record>,
    /// Whether there is a vTPM, which nobody vouches for.
    pub tpm: bool,
    /// What Intel says of the platform.
    pub collateral: Collateral,
}

/// Evidence and what it was made from.
#[derive(Debug, Clone)]
pub struct TdxSealed {
    /// The nonce in the runtime data.
    pub nonce: String,
    /// The key in the runtime data.
    pub tee_pubkey: TeePubKey,
    /// The initdata sent along.
    pub initdata: Option<String>,
    /// The quote's fields; see [`TdxSealed::resign`].
    pub quote: QuoteFields,
    /// The quote as it is sent.
    pub quote_bytes: Vec<u8>,
    /// The boot log as it is sent.
    pub ccel: Vec<u8>,
    /// The additional evidence; see [`TdxSealed::rebind`].
    pub additional: TdAdditionalEvidence,
    /// The additional evidence as it is sent; see [`TdxSealed::rebind_text`].
    pub additional_text: String,
}

impl Default for TdxBundle {
    fn default() -> Self {
        Self::valid()
    }
}

impl TdxBundle {
    /// A pod with one container, a quote of version 4, and no TPM.
    pub fn valid() -> Self {
        let pod = Bundle { svsm: false, ..Bundle::valid() };
        Self {
            quote: QuoteFields::default(),
            ccel: Ccel::default(),
            ima_log: pod.ima_log.clone(),
            workload: pod.workload.clone(),
            tpm: false,
            collateral: Collateral::valid(),
            pod,
        }
    }

    /// The same with a quote of version 5 and a body of TDX 1.5.
    pub fn valid_v5() -> Self {
        let mut bundle = Self::valid();
        bundle.quote.version = 5;
        bundle
    }

    /// The initdata that the policy makes.
    pub fn initdata(&self) -> Initdata {
        self.pod.initdata()
    }

    /// RTMR0 to RTMR3 as firmware, kernel and agent leave them.
    fn registers(&self, initdata: &Initdata) -> [[u8; 48]; 4] {
        let [rtmr0, rtmr1, rtmr2, mut rtmr3] = self.ccel.replay();
        if !self.tpm {
            let records = self.workload.iter().map(|record| sha384(&record.content));
            for digest in std::iter::once(sha384(initdata.text().as_bytes())).chain(records) {
                rtmr3 = sha384(&[rtmr3, digest].concat());
            }
        }
        [rtmr0, rtmr1, rtmr2, rtmr3]
    }

    /// Compute everything that depends on something else, and sign.
    pub fn seal(&self) -> TdxSealed {
        let initdata = self.initdata();
        let mut quote = self.quote.clone();
        quote.td.mr_config_id = sha384(initdata.text().as_bytes());
        quote.td.rtmr = self.registers(&initdata);
        let mut sealed = TdxSealed {
            nonce: self.pod.nonce.clone(),
            tee_pubkey: self.pod.tee_pubkey.clone(),
            initdata: Some(initdata.text().to_owned()),
            quote,
            quote_bytes: Vec::new(),
            ccel: self.ccel.to_bytes(),
            additional: self.additional(),
            additional_text: String::new(),
        };
        sealed.rebind();
        sealed
    }

    fn additional(&self) -> TdAdditionalEvidence {
        if self.tpm {
            return TdAdditionalEvidence { logs: None, tpm: Some(self.pod.seal().additional.tpm) };
        }
        let mut ima_log = self.ima_log.clone();
        ima_log.entries.insert(0, no_tpm_aggregate());
        let logs = GuestLogs {
            version: SEALPOD_VERSION,
            ima_log: ima_log.to_evidence(),
            workload_log: Base64(cel::encode(&self.workload)),
        };
        TdAdditionalEvidence { logs: Some(logs), tpm: None }
    }

    /// Reference Values that take this pod and nothing else.
    pub fn reference(&self) -> ReferenceDocument {
        let [rtmr0, rtmr1, rtmr2, _] = self.ccel.replay().map(HexArray);
        let measurement = TdxMeasurement {
            mr_td: HexArray(self.quote.td.mr_td),
            rtmr0,
            rtmr1,
            rtmr2,
            mr_seam: Some(HexArray(self.quote.td.mr_seam)),
            dangerous_unmeasured_acpi: false,
            description: "test TD".to_owned(),
        };
        let pod = self.pod.reference();
        ReferenceDocument {
            snp_measurements: Vec::new(),
            tdx_measurements: vec![measurement],
            boot: if self.tpm { pod.boot.clone() } else { Vec::new() },
            ..pod
        }
    }

    /// A file that is in no image.
    pub fn foreign_file() -> ImaEntry {
        ImaEntry::file("/tmp/foreign", sha256(b"foreign"))
    }
}

/// The first entry of a kernel that found no TPM (ima_init.c, `ima_add_boot_aggregate`).
fn no_tpm_aggregate() -> ImaEntry {
    let with_tpm = ImaEntry::boot_aggregate(&crate::tpm::Pcrs::default());
    ImaEntry { digest: [0; 32], ..with_tpm }
}

impl TdxSealed {
    /// What `/attest` takes.
    pub fn attestation(&self) -> Attestation {
        let primary =
            TdxEvidence { quote: Base64(self.quote_bytes.clone()), cc_eventlog: Base64(self.ccel.clone()) };
        let init_data =
            self.initdata.as_ref().map(|body| InitData { format: "toml".to_owned(), body: body.clone() });
        Attestation {
            init_data,
            runtime_data: RuntimeData { nonce: self.nonce.clone(), tee_pubkey: self.tee_pubkey.clone() },
            tee_evidence: CompositeEvidence {
                primary_evidence: serde_json::to_value(primary).expect("JSON"),
                additional_evidence: self.additional_text.clone(),
            },
        }
    }

    /// The logs of a guest without a TPM.
    ///
    /// # Panics
    ///
    /// When there is a TPM.
    pub fn logs(&mut self) -> &mut GuestLogs {
        self.additional.logs.as_mut().expect("logs")
    }

    /// Write [`TdxSealed::additional`] anew; then [`TdxSealed::rebind_text`].
    pub fn rebind(&mut self) {
        self.additional_text = serde_json::to_string(&self.additional).expect("JSON");
        self.rebind_text();
    }

    /// Have the quote commit to nonce, key and [`TdxSealed::additional_text`] as they are; then [`TdxSealed::resign`].
    pub fn rebind_text(&mut self) {
        let key = serde_json::to_value(&self.tee_pubkey).expect("JSON");
        self.quote.td.report_data =
            binding::report_data(&self.nonce, &key, &self.additional_text).expect("a canonical key");
        self.resign();
    }

    /// Sign the quote as [`TdxSealed::quote`] has it.
    pub fn resign(&mut self) {
        self.quote_bytes = self.quote.to_bytes();
    }
}
