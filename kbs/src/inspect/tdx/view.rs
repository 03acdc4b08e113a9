//! A quote as facts and as a tree.

use crate::inspect::tree::{Node, Tone, flag};
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::enclave::EnclaveReport;
use sealpod_evidence::tdx::quote::{Body, TeeKind};
use sealpod_evidence::tdx::report::TdReport;
use sealpod_evidence::tpm::HashAlg;
use serde_json::{Map, Value, json};

/// Facts by the names that programs look for.
pub(super) fn facts(quote: &Quote<'_>, file: &[u8]) -> Map<String, Value> {
    let body_end = quote.signed.len();
    let signature_data =
        file.get(body_end..body_end + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
    let total = body_end + 4 + signature_data as usize;
    let mut facts = json!({
        "version": quote.header.version,
        "tee": if quote.header.tee == TeeKind::Tdx { "0x81" } else { "0x0" },
        "total": total,
        "trailing": file.len().saturating_sub(total),
        "report_data": hex::encode(quote.body.report_data()),
        "cert_type": quote.certification.kind(),
        "qe_bind": bound(quote),
        "qe_svn": quote.header.qe_svn,
        "pce_svn": quote.header.pce_svn,
    });
    if quote.header.version >= 5 {
        facts["body_type"] =
            json!(file.get(48..50).and_then(|b| b.first_chunk()).map(|b| u16::from_le_bytes(*b)));
    }
    let body = match &quote.body {
        Body::Td(td) => td_facts(td),
        Body::Enclave(report) => json!({
            "mrenclave": report.mr_enclave.to_string(),
            "mrsigner": report.mr_signer.to_string(),
            "isv_prod_id": report.isv_prod_id,
            "isv_svn": report.isv_svn,
            "debug": report.debug(),
        }),
    };
    let mut all = facts.as_object().cloned().unwrap_or_default();
    all.extend(body.as_object().cloned().unwrap_or_default());
    all
}

/// Whether the quoting enclave's report is over the attestation key, whoever signed that report.
fn bound(quote: &Quote<'_>) -> bool {
    let digest =
        HashAlg::Sha256.digest(&[quote.attestation_key, quote.qe_authentication_data]).unwrap_or_default();
    let (head, rest) = quote.qe_report.report_data.0.split_at_checked(digest.len()).unwrap_or_default();
    head == digest && rest.iter().all(|b| *b == 0)
}

fn td_facts(td: &TdReport) -> Value {
    let mut facts = json!({
        "tee_tcb_svn": td.tee_tcb_svn.to_string(),
        "mrseam": td.mr_seam.to_string(),
        "td_attributes": hex::encode(td.td_attributes.0.to_le_bytes()),
        "xfam": hex::encode(td.xfam.0.to_le_bytes()),
        "mr_td": td.mr_td.to_string(),
        "mr_config_id": td.mr_config_id.to_string(),
        "mr_owner": td.mr_owner.to_string(),
        "mr_owner_config": td.mr_owner_config.to_string(),
        "rtmr": td.rtmr.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "debug": td.td_attributes.debug(),
    });
    if let Some(service) = td.mr_service_td() {
        facts["mr_service_td"] = json!(service.to_string());
    }
    if let Some(svn) = td.tee_tcb_svn2() {
        facts["tee_tcb_svn2"] = json!(svn.to_string());
    }
    facts
}

/// The tree.
pub(super) fn tree(quote: &Quote<'_>, node: &mut Node) {
    node.field("Version", quote.header.version);
    node.field("QE and PCE SVN", format!("{} and {}", quote.header.qe_svn, quote.header.pce_svn));
    node.field(
        "Certification data",
        format!("type {}: {}", quote.certification.kind(), quote.certification.describe()),
    );
    if quote.padding > 0 {
        node.field("Padding", format!("{} zeros behind the quote", quote.padding));
    }
    match &quote.body {
        Body::Td(td) => td_tree(td, node),
        Body::Enclave(report) => {
            let mut body = Node::new("Enclave");
            enclave(report, &mut body);
            node.push(body);
        }
    }
    let mut quoting = Node::new("Quoting enclave");
    enclave(&quote.qe_report, &mut quoting);
    node.push(quoting);
}

fn td_tree(td: &TdReport, node: &mut Node) {
    let mut body = Node::new("Trust domain");
    let mut attributes = Node::with("Attributes", format!("{:#018x}", td.td_attributes.0));
    flag(&mut attributes, "Host may debug (read) the TD", td.td_attributes.debug(), Tone::Bad, Tone::Good);
    for name in td.td_attributes.names() {
        attributes.toned(name, "set", if name == "DEBUG" { Tone::Bad } else { Tone::Plain });
    }
    if td.td_attributes.reserved() != 0 {
        attributes.toned("Reserved bits", format!("{:#x}", td.td_attributes.reserved()), Tone::Bad);
    }
    body.push(attributes);
    let names: Vec<&str> = td.xfam.names().collect();
    body.field("XFAM", format!("{:#x}: {}", td.xfam.0, names.join(", ")));
    measured(&mut body, "MRTD (launch digest)", &td.mr_td.0);
    for (index, (rtmr, meaning)) in td
        .rtmr
        .iter()
        .zip(["firmware configuration", "loader and kernel", "command line and initrd", "applications"])
        .enumerate()
    {
        measured(&mut body, &format!("RTMR{index} ({meaning})"), &rtmr.0);
    }
    measured(&mut body, "MRCONFIGID (initdata)", &td.mr_config_id.0);
    measured(&mut body, "MROWNER", &td.mr_owner.0);
    measured(&mut body, "MROWNERCONFIG", &td.mr_owner_config.0);
    measured(&mut body, "Report data", &td.report_data.0);
    let mut module = Node::new("TDX module");
    measured(&mut module, "MRSEAM", &td.mr_seam.0);
    measured(&mut module, "MRSIGNERSEAM (zero: Intel's)", &td.mr_signer_seam.0);
    module.field("TEE TCB SVN", svns(&td.tee_tcb_svn.0));
    if let Some(svn) = td.tee_tcb_svn2() {
        module.field("TEE TCB SVN 2", svns(&svn.0));
    }
    body.push(module);
    if let Some(service) = td.mr_service_td() {
        measured(&mut body, "MRSERVICETD", &service.0);
    }
    if let Some(extended) = td.td15.as_ref().and_then(|td15| td15.extended.as_ref()) {
        let mut more = Node::new("Extended body");
        more.field("VM id", extended.vm_id).field("TD id", extended.td_id);
        more.field("Initial CPU SVN", extended.initial_cpu_svn)
            .field("Initial TEE TCB SVN", extended.initial_tee_tcb_svn);
        more.field("Initial FMSPC", extended.initial_fmspc);
        body.push(more);
    }
    node.push(body);
}

fn enclave(report: &EnclaveReport, node: &mut Node) {
    node.field("MRENCLAVE", report.mr_enclave).field("MRSIGNER", report.mr_signer);
    node.field("Product and SVN", format!("{} and {}", report.isv_prod_id, report.isv_svn));
    node.field("CPU SVN", report.cpu_svn).field("Attributes", report.attributes);
    flag(node, "Debug", report.debug(), Tone::Bad, Tone::Good);
    measured(node, "Report data", &report.report_data.0);
}

/// Component SVNs, the first two the module's minor and major.
fn svns(bytes: &[u8]) -> String {
    let text: Vec<String> = bytes.iter().map(u8::to_string).collect();
    text.join(" ")
}

fn measured(node: &mut Node, label: &str, bytes: &[u8]) {
    let zero = bytes.iter().all(|b| *b == 0);
    node.field(label, if zero { "zero".to_owned() } else { hex::encode(bytes) });
}
