//! Intel's structures.

use super::NOW;
use crate::heap::within;
use sealpod_evidence::tdx::Quote;
use sealpod_verifier::{AppraisalPolicy, tdx};

/// A quote of TD or enclave: signed is its beginning, and what follows the quote is zeros that change nothing.
pub fn quote(data: &[u8]) {
    let Ok(quote) = within(data.len(), 4, 16 << 10, || Quote::parse(data)) else { return };
    assert!(data.starts_with(quote.signed));
    let (content, padding) = data.split_at(data.len() - quote.padding);
    assert!(padding.iter().all(|byte| *byte == 0));
    let bare = Quote::parse(content).expect("the same without its padding");
    assert_eq!((bare.padding, bare.signed, bare.signature), (0, quote.signed, quote.signature));
    assert_eq!(bare.body.report_data(), quote.body.report_data());
    let _ = (quote.certification.kind(), quote.certification.describe(), quote.header.tee.as_str());
    let _ = tdx::signature(&quote);
    if let Ok(chain) = tdx::certificates(&quote)
        && let Ok(pck) = tdx::pck(&chain, &tdx::builtin_roots(), &[], false, NOW)
    {
        let _ = tdx::qe_report(&quote, &pck);
    }
    if let Ok(td) = tdx::td(&quote) {
        let _ = tdx::attributes(td, &AppraisalPolicy::default());
        let _ = (
            td.mr_service_td(),
            td.tee_tcb_svn2(),
            td.td_attributes.names().count(),
            td.xfam.names().count(),
        );
    }
}

/// Collateral as JSON, and single documents with a chain.
pub fn collateral(data: &[u8]) {
    if let Ok(collateral) = within(data.len(), 64, 256 << 10, || tdx::Collateral::from_json(data)) {
        let _ = (collateral.fmspc(), collateral.tee(), collateral.ca(), collateral.revocation_lists());
        let _ = tdx::verify_collateral(&collateral, &tdx::builtin_roots(), NOW);
    }
    let _ =
        within(data.len(), 64, 256 << 10, || tdx::verify_tcb_info(data, data, &tdx::builtin_roots(), NOW));
    let _ =
        within(data.len(), 64, 256 << 10, || tdx::verify_qe_identity(data, data, &tdx::builtin_roots(), NOW));
}
