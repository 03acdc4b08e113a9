//! The JSON of the three versions, for both TEEs.

use super::AzureSealed;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sealpod_evidence::rcar::protocol::Tee;
use serde_json::{Value, json};

/// The primary evidence in the version that it says.
pub(super) fn primary(sealed: &AzureSealed) -> Value {
    let tdx = sealed.tee == Tee::AzTdxVtpm;
    let (report, third) = (sealed.hcl_bytes(), if tdx { &sealed.td_quote } else { &sealed.vcek });
    if sealed.wire == 0 {
        let quote = json!({"signature": sealed.signature, "message": sealed.message, "pcrs": sealed.pcrs});
        return if tdx {
            json!({"tpm_quote": quote, "hcl_report": report, "td_quote": third})
        } else {
            json!({"quote": quote, "report": report, "vcek": pem(third)})
        };
    }
    let pcrs: Vec<_> = sealed.pcrs.iter().map(hex::encode).collect();
    let (signature, message) = (hex::encode(&sealed.signature), hex::encode(&sealed.message));
    let mut out = json!({
        "version": sealed.wire,
        "tpm_quote": {"signature": signature, "message": message, "pcrs": pcrs},
        "hcl_report": URL_SAFE.encode(report),
    });
    out[if tdx { "td_quote" } else { "vcek" }] = URL_SAFE.encode(third).into();
    out
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}
