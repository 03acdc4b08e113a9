//! A guest under Azure's paravisor: HCL report, vTPM quote, and logs, under the same test keys as everything else.
//!
//! From the inside out: logs, quote (which answers a digest over their text), runtime data (which repeats it), hardware report (which
//! covers the runtime data). As with [`crate::Sealed`], each `re…` method recomputes one layer and what depends on it.

mod hcl;
mod td;
mod wire;

pub use hcl::{HclFields, RuntimeFields};
pub use td::TdReportFields;

use crate::hash::sha256;
use crate::keys::Key;
use crate::pki;
use crate::report::ReportFields;
use crate::tdx::{self, QuoteFields};
use crate::tpm::{AkKind, Attest, Pcrs, Tpm};
use crate::{Bundle, Sealed};
use sealpod_evidence::azure::{AzAdditionalEvidence, AzLogs};
use sealpod_evidence::binding;
use sealpod_evidence::rcar::SEALPOD_VERSION;
use sealpod_evidence::rcar::protocol::{Attestation, CompositeEvidence, InitData, RuntimeData, Tee};
use sealpod_evidence::reference_values::{AzureParavisor, ParavisorTee, ReferenceDocument};

/// Every PCR, as the paravisor's vTPM is asked for.
const ALL_PCRS: std::ops::Range<u8> = 0..24;

/// A pod whose vTPM is the paravisor's.
#[derive(Debug, Clone)]
pub struct AzureBundle {
    /// The pod; its report is the paravisor's, at VMPL 0.
    pub pod: Bundle,
    /// The TEE: `AzSnpVtpm` or `AzTdxVtpm`.
    pub tee: Tee,
    /// Version of the wire evidence: 0, 1 or 2.
    pub wire: u8,
    /// The HCL report's headers.
    pub hcl: HclFields,
    /// The TDREPORT, where the TEE is TDX; its report data is filled in by [`AzureBundle::seal`].
    pub td: TdReportFields,
    /// The TD quote, whose body is made from the TDREPORT.
    pub quote: QuoteFields,
    /// What Intel says of the platform.
    pub collateral: tdx::Collateral,
}

impl AzureBundle {
    /// A pod under SNP with evidence of version 2.
    pub fn snp() -> Self {
        let pod = Bundle {
            svsm: false,
            report: ReportFields { vmpl: 0, ..ReportFields::default() },
            tpm: Tpm::new(AkKind::RsassaSha256),
            quoted_pcrs: ALL_PCRS.collect(),
            ..Bundle::valid()
        };
        Self {
            pod,
            tee: Tee::AzSnpVtpm,
            wire: 2,
            hcl: HclFields::snp(),
            td: TdReportFields::default(),
            quote: QuoteFields::default(),
            collateral: tdx::Collateral::valid(),
        }
    }

    /// A pod under TDX with evidence of version 2.
    pub fn tdx() -> Self {
        Self { tee: Tee::AzTdxVtpm, hcl: HclFields::tdx(), ..Self::snp() }
    }

    /// Compute everything that depends on something else, and sign.
    pub fn seal(&self) -> AzureSealed {
        let sealed: Sealed = self.pod.seal();
        let logs = sealed.additional.tpm.clone();
        let tpm = sealed.tpm.clone();
        let mut out = AzureSealed {
            tee: self.tee,
            nonce: sealed.nonce,
            initdata: sealed.initdata,
            wire: self.wire,
            additional: AzAdditionalEvidence {
                tpm: AzLogs {
                    version: SEALPOD_VERSION,
                    boot_log: logs.boot_log,
                    ima_log: logs.ima_log,
                    workload_log: logs.workload_log,
                },
            },
            additional_text: String::new(),
            attest: tpm.attest(b"", &self.pod.quoted_pcrs),
            message: Vec::new(),
            quote_key: AkKind::RsassaSha256.key(),
            signature: Vec::new(),
            pcrs: Vec::new(),
            tpm,
            hcl: self.hcl.clone(),
            runtime: RuntimeFields::default(),
            runtime_bytes: Vec::new(),
            report: ReportFields { host_data: [0; 32], ..self.pod.report.clone() },
            report_key: self.pod.report_key,
            report_bytes: Vec::new(),
            td: self.td.clone(),
            quote: self.quote.clone(),
            hardware: None,
            vcek: pki::vcek_der().to_vec(),
            td_quote: Vec::new(),
            tee_pubkey: sealed.tee_pubkey,
        };
        out.rebind();
        out
    }

    /// Reference Values that take this pod and nothing else.
    pub fn reference(&self) -> ReferenceDocument {
        let (tee, measurement) = match self.tee {
            Tee::AzTdxVtpm => (ParavisorTee::Tdx, self.td.mrtd),
            _ => (ParavisorTee::Snp, self.pod.report.measurement),
        };
        let measurement = sealpod_evidence::bytes::HexArray(measurement);
        let paravisor = AzureParavisor { tee, measurement, description: "test paravisor".to_owned() };
        ReferenceDocument {
            snp_measurements: Vec::new(),
            azure_paravisors: vec![paravisor],
            ..self.pod.reference()
        }
    }
}

/// Evidence and what it was made from.
#[derive(Debug, Clone)]
pub struct AzureSealed {
    /// The TEE.
    pub tee: Tee,
    /// The nonce in the runtime data of the protocol.
    pub nonce: String,
    /// The key beside it.
    pub tee_pubkey: sealpod_evidence::rcar::protocol::TeePubKey,
    /// The initdata sent along.
    pub initdata: Option<String>,
    /// Version of the wire evidence.
    pub wire: u8,
    /// The logs; see [`AzureSealed::rebind`].
    pub additional: AzAdditionalEvidence,
    /// The logs as they are sent; see [`AzureSealed::rebind_text`].
    pub additional_text: String,
    /// The vTPM as it was when it quoted; see [`AzureSealed::requote`].
    pub tpm: Tpm,
    /// What the quote says; see [`AzureSealed::resign_quote`].
    pub attest: Attest,
    /// Signs the quote.
    pub quote_key: Key,
    /// The quote as it is sent.
    pub message: Vec<u8>,
    /// Its signature as it is sent.
    pub signature: Vec<u8>,
    /// PCR values as they are sent.
    pub pcrs: Vec<Vec<u8>>,
    /// The paravisor's headers.
    pub hcl: HclFields,
    /// The paravisor's runtime data; see [`AzureSealed::rewrite_runtime`].
    pub runtime: RuntimeFields,
    /// The runtime data as it is sent; see [`AzureSealed::recover`].
    pub runtime_bytes: Vec<u8>,
    /// The SNP report's fields; see [`AzureSealed::resign`].
    pub report: ReportFields,
    /// Signs the SNP report.
    pub report_key: Key,
    /// The SNP report as it is sent.
    pub report_bytes: Vec<u8>,
    /// The TDREPORT's fields, as they are sent.
    pub td: TdReportFields,
    /// The TD quote's fields; see [`AzureSealed::resign_td`].
    pub quote: QuoteFields,
    /// What stands in the place of the hardware's report, if it is not the TEE's own.
    pub hardware: Option<Vec<u8>>,
    /// The chip's certificate as it is sent.
    pub vcek: Vec<u8>,
    /// The TD quote as it is sent.
    pub td_quote: Vec<u8>,
}

impl AzureSealed {
    /// What `/attest` takes.
    pub fn attestation(&self) -> Attestation {
        Attestation {
            init_data: self
                .initdata
                .as_ref()
                .map(|body| InitData { format: "toml".to_owned(), body: body.clone() }),
            runtime_data: RuntimeData { nonce: self.nonce.clone(), tee_pubkey: self.tee_pubkey.clone() },
            tee_evidence: CompositeEvidence {
                primary_evidence: wire::primary(self),
                additional_evidence: self.additional_text.clone(),
            },
        }
    }

    /// The HCL report as it is sent.
    pub fn hcl_bytes(&self) -> Vec<u8> {
        let hardware = match (&self.hardware, self.tee) {
            (Some(other), _) => other.clone(),
            (None, Tee::AzTdxVtpm) => self.td.to_bytes(),
            (None, _) => self.report_bytes.clone(),
        };
        self.hcl.to_bytes(&hardware, &self.runtime_bytes)
    }

    /// Write [`AzureSealed::additional`] anew; then [`AzureSealed::rebind_text`].
    pub fn rebind(&mut self) {
        self.additional_text = serde_json::to_string(&self.additional).expect("JSON");
        self.rebind_text();
    }

    /// Have quote and user data answer nonce, key and [`AzureSealed::additional_text`] as they are; then [`AzureSealed::requote`] and
    /// [`AzureSealed::rewrite_runtime`].
    pub fn rebind_text(&mut self) {
        let key = serde_json::to_value(&self.tee_pubkey).expect("JSON");
        let data = binding::report_data(&self.nonce, &key, &self.additional_text).expect("a canonical key");
        self.attest.extra_data = data[..binding::QUOTE_NONCE_LEN].to_vec();
        self.runtime.user_data = Some(data.to_vec());
        self.requote();
        self.rewrite_runtime();
    }

    /// Quote the PCRs that [`AzureSealed::tpm`] has now, with the extra data that [`AzureSealed::attest`] has now.
    pub fn requote(&mut self) {
        let pcrs: Vec<u8> = ALL_PCRS.collect();
        self.attest = self.tpm.attest(&self.attest.extra_data, &pcrs);
        let Pcrs { sha256, .. } = &self.tpm.pcrs;
        self.pcrs = sha256.iter().map(|value| value.to_vec()).collect();
        self.resign_quote();
    }

    /// Sign [`AzureSealed::attest`] as it is.
    pub fn resign_quote(&mut self) {
        self.message = self.attest.to_bytes();
        self.signature = self.quote_key.sign(AkKind::RsassaSha256.scheme(), &self.message);
    }

    /// Write [`AzureSealed::runtime`] anew; then [`AzureSealed::recover`].
    pub fn rewrite_runtime(&mut self) {
        self.runtime_bytes = self.runtime.to_bytes();
        self.recover();
    }

    /// Have the hardware report cover [`AzureSealed::runtime_bytes`]; then [`AzureSealed::resign`].
    pub fn recover(&mut self) {
        let mut data = [0; 64];
        data[..32].copy_from_slice(&sha256(&self.runtime_bytes));
        self.report.report_data = data;
        self.td.report_data = data;
        self.resign();
        self.requote_td();
    }

    /// Make the TD quote from the TDREPORT as [`AzureSealed::td`] has it; then [`AzureSealed::resign_td`].
    pub fn requote_td(&mut self) {
        self.quote.td = self.td.to_body();
        self.resign_td();
    }

    /// Sign the TD quote as [`AzureSealed::quote`] has it.
    pub fn resign_td(&mut self) {
        if self.tee == Tee::AzTdxVtpm {
            self.td_quote = self.quote.to_bytes();
        }
    }

    /// Sign the SNP report as [`AzureSealed::report`] has it.
    pub fn resign(&mut self) {
        self.report_bytes = self.report.to_bytes_signed_by(self.report_key).to_vec();
    }
}

#[cfg(test)]
mod tests;
