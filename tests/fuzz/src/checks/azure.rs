//! What Azure's paravisor and its clients send.

use crate::heap::within;
use sealpod_evidence::azure::{
    AzSnpEvidence, AzTdxEvidence, Hardware, HclReport, RuntimeData, TdReport, VtpmQuote,
};
use sealpod_verifier::{AppraisalPolicy, azure};

/// An HCL report, runtime data alone, and a TD report alone.
pub fn hcl(data: &[u8]) {
    if let Ok(hcl) = within(data.len(), 64, 128 << 10, || HclReport::parse(data)) {
        let raw = hcl.runtime().raw();
        assert!(data.windows(raw.len().max(1)).any(|window| window == raw));
        let again = RuntimeData::parse(raw).expect("runtime data that was taken");
        assert_eq!((again.ak(), again.user_data()), (hcl.runtime().ak(), hcl.runtime().user_data()));
        let report_data = match hcl.hardware() {
            Hardware::Snp(report) => report.report_data(),
            Hardware::Tdx(report) => report.report_data,
        };
        let _ = azure::runtime_data(&hcl, &report_data);
        let _ = azure::user_data(&hcl, &[0; 64], &AppraisalPolicy::default());
    }
    let _ = within(data.len(), 64, 128 << 10, || RuntimeData::parse(data));
    if let Ok(report) = within(data.len(), 4, 8 << 10, || TdReport::parse(data)) {
        let _ = (report.computed_hashes(), azure::td_report(&report));
    }
}

/// Evidence of az-snp-vtpm and az-tdx-vtpm in each wire version, and a quote in bincode.
pub fn wire(data: &[u8]) {
    if let Ok(evidence) = within(data.len(), 64, 256 << 10, || AzSnpEvidence::from_json(data)) {
        let _ = azure::leaf(&evidence);
        let _ = azure::quoted_pcrs(&evidence.quote);
    }
    let _ = within(data.len(), 64, 256 << 10, || AzTdxEvidence::from_json(data));
    if let Ok(quote) = within(data.len(), 16, 64 << 10, || VtpmQuote::from_bincode(data)) {
        let _ = azure::quoted_pcrs(&quote);
    }
}
