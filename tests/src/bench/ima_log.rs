//! A long IMA log, appraised alone.

use crate::bench::heap::UsedBy;
use anyhow::{Context as _, Result};
use sealpod_evidence::ima::Bank;
use sealpod_evidence::initdata::PodPolicy;
use sealpod_testkit::Bundle;
use sealpod_verifier::ReferenceValues;
use sealpod_verifier::ima::{ImaEvidence, appraise};
use std::hint::black_box;
use std::time::Instant;

/// A log with its expectations.
pub struct LongLog {
    log: Vec<u8>,
    boot_pcrs: [[u8; 32]; 10],
    pcr: [u8; 32],
    policy: PodPolicy,
    reference: ReferenceValues,
    /// Heap that the Reference Values take, where it was measured.
    pub reference_bytes: u64,
}

impl LongLog {
    /// A valid log of that many entries, each of another file, all of them known.
    pub fn new(entries: usize, used_by: Option<UsedBy>) -> Result<Self> {
        let bundle = Bundle::with_ima_entries(entries);
        let documents = [bundle.reference()];
        let mut reference = None;
        let mut load = || reference = Some(ReferenceValues::from_documents(&documents));
        let reference_bytes = match used_by {
            Some(used_by) => used_by(&mut load).kept,
            None => {
                load();
                0
            }
        };
        let reference = reference.context("not loaded")?.context("reference values")?;
        let sealed = bundle.seal();
        let pcrs = &sealed.tpm.pcrs.sha256;
        let mut boot_pcrs = [[0; 32]; 10];
        for (value, pcr) in boot_pcrs.iter_mut().zip(pcrs) {
            *value = *pcr;
        }
        // IMA took its boot aggregate before the agent extended initdata.
        boot_pcrs[8] = [0; 32];
        Ok(Self {
            log: sealed.additional.tpm.ima_log.data.0.clone(),
            boot_pcrs,
            pcr: pcrs[10],
            policy: bundle.policy.clone(),
            reference,
            reference_bytes,
        })
    }

    /// Size of the log.
    pub fn mebibytes(&self) -> f64 {
        self.log.len() as f64 / f64::from(1 << 20)
    }

    /// Appraise it once.
    pub fn appraise_ms(&self) -> Result<f64> {
        let start = Instant::now();
        black_box(appraise(&ImaEvidence {
            log: &self.log,
            bank: Bank::Sha256,
            pcr: self.pcr,
            boot_pcrs: &self.boot_pcrs,
            policy: &self.policy,
            reference: &self.reference,
        })?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
