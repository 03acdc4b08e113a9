//! What the paravisor and its vTPM say, as claims.

use sealpod_evidence::azure::{HclReport, VtpmQuote};
use serde_json::{Map, Value, json};

/// Adds `hcl` and `tpm` to the claims of the hardware's report. `tpm.pcrNN` is where policies for the KBS protocol look for PCR values.
pub(crate) fn extend(hardware: Value, hcl: &HclReport, quote: &VtpmQuote, paravisor: &str) -> Value {
    let mut out = match hardware {
        Value::Object(out) => out,
        other => Map::from_iter([("report".to_owned(), other)]),
    };
    let configuration = hcl.runtime().configuration();
    let hcl = json!({
        "version": hcl.version(),
        "description": paravisor,
        "user_data": hcl.runtime().user_data().map(hex::encode),
        "console_enabled": configuration.console_enabled,
        "interactive_console_enabled": configuration.interactive_console_enabled,
        "secure_boot": configuration.secure_boot,
        "tpm_enabled": configuration.tpm_enabled,
        "tpm_persisted": configuration.tpm_persisted,
        "filtered_vpci_devices_allowed": configuration.filtered_vpci_devices_allowed,
        "root_cert_thumbprint": configuration.root_cert_thumbprint,
        "vm_unique_id": configuration.vm_unique_id,
    });
    out.insert("hcl".to_owned(), hcl);
    out.insert("tpm".to_owned(), tpm(quote));
    Value::Object(out)
}

fn tpm(quote: &VtpmQuote) -> Value {
    let pcrs =
        quote.pcrs.iter().enumerate().map(|(pcr, value)| (format!("pcr{pcr:02}"), hex::encode(value).into()));
    let mut out: Map<String, Value> = pcrs.collect();
    let clock = quote.attest.clock_info;
    out.insert("reset_count".to_owned(), clock.reset_count.into());
    out.insert("restart_count".to_owned(), clock.restart_count.into());
    Value::Object(out)
}
