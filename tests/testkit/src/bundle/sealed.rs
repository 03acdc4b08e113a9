//! Evidence as it travels, every part still open to be spoiled.
//!
//! From the inside out: quote, SVSM report, text of the additional evidence, primary report. Each `re…` method recomputes one
//! layer and all that are around it, so a test spoils one thing and nothing else.

use crate::keys::Key;
use crate::report::ReportFields;
use crate::tpm::{Attest, Tpm};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::protocol::{Attestation, CompositeEvidence, InitData, RuntimeData, TeePubKey};
use sealpod_evidence::rcar::{AdditionalEvidence, QUOTED_BANK, Quote, SnpEvidence};
use serde_json::Value;
use std::collections::BTreeMap;

/// Evidence and what it was made from.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The nonce in the runtime data.
    pub nonce: String,
    /// The key in the runtime data.
    pub tee_pubkey: TeePubKey,
    /// The initdata sent along.
    pub initdata: Option<String>,
    /// The primary report's fields; see [`Sealed::resign`].
    pub report: ReportFields,
    /// Signs the primary report.
    pub report_key: Key,
    /// The primary report as it is sent.
    pub report_bytes: Vec<u8>,
    /// The certificate table as it is sent.
    pub certificates: Vec<u8>,
    /// The SVSM report's fields; see [`Sealed::resign_svsm`].
    pub svsm_report: Option<ReportFields>,
    /// Signs the SVSM's report.
    pub svsm_key: Key,
    /// The additional evidence; see [`Sealed::rebind`].
    pub additional: AdditionalEvidence,
    /// The additional evidence as it is sent; see [`Sealed::rebind_text`].
    pub additional_text: String,
    /// The TPM as it was when it quoted; see [`Sealed::requote`].
    pub tpm: Tpm,
    /// What the quote says; see [`Sealed::resign_quote`].
    pub attest: Attest,
    /// What [`Sealed::requote`] quotes.
    pub quoted_pcrs: Vec<u8>,
}

impl Sealed {
    /// What `/attest` takes.
    pub fn attestation(&self) -> Attestation {
        let primary = SnpEvidence {
            report: Base64(self.report_bytes.clone()),
            certificates: Base64(self.certificates.clone()),
        };
        Attestation {
            init_data: self
                .initdata
                .as_ref()
                .map(|body| InitData { format: "toml".to_owned(), body: body.clone() }),
            runtime_data: RuntimeData { nonce: self.nonce.clone(), tee_pubkey: self.tee_pubkey.clone() },
            tee_evidence: CompositeEvidence {
                primary_evidence: serde_json::to_value(primary).expect("JSON"),
                additional_evidence: self.additional_text.clone(),
            },
        }
    }

    /// The key in the runtime data, as JSON.
    pub fn tee_pubkey_json(&self) -> Value {
        serde_json::to_value(&self.tee_pubkey).expect("JSON")
    }

    /// Quote the PCRs that [`Sealed::tpm`] has now, with the extra data that [`Sealed::attest`] has now; then
    /// [`Sealed::rebind`].
    pub fn requote(&mut self) {
        self.requote_unbound();
        self.rebind();
    }

    /// Sign [`Sealed::attest`] as it is, whatever the PCRs; then [`Sealed::rebind`].
    pub fn resign_quote(&mut self) {
        self.sign_quote();
        self.rebind();
    }

    /// Sign the SVSM's report as [`Sealed::svsm_report`] has it; then [`Sealed::rebind`].
    pub fn resign_svsm(&mut self) {
        if let (Some(fields), Some(svsm)) = (&self.svsm_report, &mut self.additional.tpm.svsm) {
            svsm.report = Base64(fields.to_bytes_signed_by(self.svsm_key).to_vec());
        }
        self.rebind();
    }

    /// Have the SVSM vouch for this manifest; then [`Sealed::resign_svsm`].
    pub fn revouch(&mut self, manifest: Vec<u8>) {
        let block = binding::svsm_nonce(&self.nonce, &self.tee_pubkey_json()).expect("a canonical key");
        if let (Some(fields), Some(svsm)) = (&mut self.svsm_report, &mut self.additional.tpm.svsm) {
            fields.report_data = binding::svsm_report_data(&block, &manifest);
            svsm.manifest = Base64(manifest);
        }
        self.resign_svsm();
    }

    /// Write [`Sealed::additional`] anew; then [`Sealed::rebind_text`].
    pub fn rebind(&mut self) {
        self.additional_text = serde_json::to_string(&self.additional).expect("JSON");
        self.rebind_text();
    }

    /// Have the primary report commit to nonce, key and [`Sealed::additional_text`] as they are; then [`Sealed::resign`].
    pub fn rebind_text(&mut self) {
        self.report.report_data =
            binding::report_data(&self.nonce, &self.tee_pubkey_json(), &self.additional_text)
                .expect("a canonical key");
        self.resign();
    }

    /// Sign the primary report as [`Sealed::report`] has it.
    pub fn resign(&mut self) {
        self.report_bytes = self.report.to_bytes_signed_by(self.report_key).to_vec();
    }

    pub(super) fn requote_unbound(&mut self) {
        self.attest = self.tpm.attest(&self.attest.extra_data, &self.quoted_pcrs);
        let values = self.tpm.pcrs.values(&self.quoted_pcrs);
        self.additional.tpm.pcrs = BTreeMap::from([(QUOTED_BANK.to_owned(), values)]);
        self.sign_quote();
    }

    fn sign_quote(&mut self) {
        let message = self.attest.to_bytes();
        let signature = self.tpm.sign(&message);
        self.additional.tpm.quote = Quote { message: Base64(message), signature: Base64(signature) };
    }
}
