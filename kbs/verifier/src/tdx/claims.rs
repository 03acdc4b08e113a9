//! Step 16 for TDX: what the quote says and what Intel says of it, as claims.
//!
//! Names are those under which policies for the KBS protocol look for them. Byte strings are lower-case hex.

use super::endorsements::VerifiedPlatform;
use super::level::TcbVerdict;
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::report::TdReport;
use serde_json::{Value, json};

/// The claims under `tdx`.
pub(crate) fn claims(
    quote: &Quote<'_>,
    td: &TdReport,
    platform: &VerifiedPlatform,
    verdict: &TcbVerdict,
    description: &str,
) -> (&'static str, Value) {
    let attributes = td.td_attributes;
    let [rtmr_0, rtmr_1, rtmr_2, rtmr_3] = td.rtmr;
    let known = platform.pck().platform();
    let claims = json!({
        "quote": {
            "header": { "version": quote.header.version, "user_data": hex::encode(quote.header.user_data) },
            "body": {
                "tcb_svn": td.tee_tcb_svn,
                "tcb_svn2": td.tee_tcb_svn2(),
                "mr_seam": td.mr_seam,
                "mrsigner_seam": td.mr_signer_seam,
                "seam_attributes": td.seam_attributes,
                "td_attributes": hex::encode(attributes.0.to_le_bytes()),
                "xfam": hex::encode(td.xfam.0.to_le_bytes()),
                "mr_td": td.mr_td,
                "mr_config_id": td.mr_config_id,
                "mr_owner": td.mr_owner,
                "mr_owner_config": td.mr_owner_config,
                "rtmr_0": rtmr_0,
                "rtmr_1": rtmr_1,
                "rtmr_2": rtmr_2,
                "rtmr_3": rtmr_3,
                "report_data": td.report_data,
                "mr_servicetd": td.mr_service_td(),
            },
        },
        "td_attributes": {
            "debug": attributes.debug(),
            "septve_disable": attributes.sept_ve_disable(),
            "migratable": attributes.migratable(),
            "names": attributes.names().collect::<Vec<_>>(),
        },
        "measurement_description": description,
        "fmspc": known.fmspc,
        "pce_id": known.pce_id,
        "pck_ca": platform.pck().ca(),
        "tcb_status": verdict.status,
        "advisory_ids": verdict.advisory_ids,
        "tcb_date": verdict.tcb_date,
        "tcb_evaluation_data_number": verdict.evaluation_data_number,
        "collateral_expires": platform.window().1,
    });
    ("tdx", claims)
}
