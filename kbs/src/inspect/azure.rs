//! Azure's paravisor: an HCL report, alone or with the quote of its vTPM and, for TDX, a TD quote. Steps 1, 3 to 6, 9 and 11.

use super::given::Given;
use super::keys::Key;
use super::outcome::Appraisal;
use super::piece::Piece;
use super::tree::{Node, Tone, flag};
use super::{quote, snp, tdx};
use sealpod_evidence::azure::{Hardware, HclReport, RuntimeData, TdReport};
use sealpod_evidence::tpm::{Attest, HashAlg, PublicKey};
use sealpod_verifier::{Check, VerifyError, azure};
use serde_json::json;

/// Appraise the HCL report of a piece, and what belongs to it.
pub(super) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) -> quote::Quoted {
    let Some(bytes) = piece.hcl.as_deref() else { return quote::Quoted::default() };
    if let Some(version) = piece.az_version {
        out.fact("evidence_version", version);
        out.tree.field("Evidence version", version);
        if version > 2 {
            out.failed(VerifyError::new(Check::EvidenceVersion, "evidence of version 0 to 2", version));
        }
    }
    let hcl = match HclReport::parse(bytes) {
        Ok(hcl) => hcl,
        Err(error) => {
            out.tree.toned("HCL report", format!("does not parse: {error}"), Tone::Bad);
            out.failed(azure::hcl_error(&error));
            return quote::Quoted::default();
        }
    };
    let kind = match hcl.hardware() {
        Hardware::Snp(_) => "SNP report",
        Hardware::Tdx(_) => "TDREPORT",
    };
    out.ran(
        Check::PrimaryEvidence,
        "a well-formed HCL report",
        Ok(format!("version {}, with {kind}", hcl.version())),
    );
    out.fact("hcl_version", hcl.version());
    out.fact("hardware", if kind == "SNP report" { "snp" } else { "tdx" });
    out.fact(
        "runtime_sha256",
        hex::encode(HashAlg::Sha256.digest(&[hcl.runtime().raw()]).unwrap_or_default()),
    );
    out.tree.push(runtime_tree(hcl.runtime()));
    runtime_given(&hcl, piece, given, out);
    match hcl.hardware() {
        Hardware::Snp(report) => snp_report(report.raw(), &hcl, piece, given, out),
        Hardware::Tdx(report) => td_report(report, &hcl, piece, given, out),
    }
    vtpm(&hcl, piece, given, out)
}

fn snp_report(raw: &[u8], hcl: &HclReport, piece: &Piece, given: &Given, out: &mut Appraisal) {
    let with_report = Piece { snp_report: Some(raw.to_vec()), ..piece.clone() };
    // Its report data is the paravisor's, so no challenge is looked for in it.
    let given = Given { nonce: None, ..given.clone() };
    let Some(report) = snp::appraise(&with_report, &given, out) else { return };
    out.drop_unrun(Check::ReportData);
    out.drop(Check::Vmpl);
    out.ran(Check::Vmpl, "VMPL 0, the paravisor's", azure::vmpl(&report).map(|()| report.vmpl()));
    let expected = "report data that is SHA-256 of the runtime data";
    let bound = azure::runtime_data(hcl, &report.report_data());
    out.ran(
        Check::RuntimeData,
        expected,
        bound.map(|()| "the report covers the runtime data and the key in it"),
    );
}

fn td_report(report: &TdReport, hcl: &HclReport, piece: &Piece, given: &Given, out: &mut Appraisal) {
    out.facts.extend(td_facts(report));
    let mut node = Node::new("TDREPORT");
    node.field("MRTD", hex::encode(report.info.mrtd));
    for (index, rtmr) in report.info.rtmr.iter().enumerate() {
        node.field(format!("RTMR{index}"), hex::encode(rtmr));
    }
    node.field("MRCONFIGID", hex::encode(report.info.mrconfigid));
    node.field("Attributes", hex::encode(report.info.attributes))
        .field("XFAM", hex::encode(report.info.xfam));
    node.field("MRSEAM", hex::encode(report.mrseam)).field("TEE TCB SVN", hex::encode(report.tee_tcb_svn));
    node.field("Report data", hex::encode(report.report_data));
    out.tree.push(node);
    let expected = "digests in the TDREPORT of what stands in it";
    out.ran(Check::TdReport, expected, azure::td_report(report).map(|()| "both are"));
    let expected = "report data that is SHA-256 of the runtime data";
    let bound = azure::runtime_data(hcl, &report.report_data);
    out.ran(
        Check::RuntimeData,
        expected,
        bound.map(|()| "the TDREPORT covers the runtime data and the key in it"),
    );
    if piece.intel_quote.is_none() {
        let needs = "the TD quote made from this TDREPORT, as a further FILE: nothing signs a TDREPORT";
        out.not_run(Check::ReportSignature, "a quote signed by Intel's quoting enclave", needs);
        return;
    }
    // The quote's report data is the paravisor's too.
    let given = Given { nonce: None, ..given.clone() };
    tdx::appraise(piece, &given, out);
    out.drop_unrun(Check::ReportData);
    let quote = piece.intel_quote.as_deref().and_then(|bytes| sealpod_verifier::tdx::parse(bytes).ok());
    if let Some(td) = quote.as_ref().and_then(|quote| quote.td()) {
        let expected = "a TD quote made from this TDREPORT";
        out.ran(Check::TdReport, expected, azure::td_quote(report, td).map(|()| "all fields are equal"));
    }
}

fn td_facts(report: &TdReport) -> serde_json::Map<String, serde_json::Value> {
    let facts = json!({
        "tee": "0x81",
        "report_data": hex::encode(report.report_data),
        "tee_tcb_svn": hex::encode(report.tee_tcb_svn),
        "mrseam": hex::encode(report.mrseam),
        "td_attributes": hex::encode(report.info.attributes),
        "xfam": hex::encode(report.info.xfam),
        "mr_td": hex::encode(report.info.mrtd),
        "mr_config_id": hex::encode(report.info.mrconfigid),
        "rtmr": report.info.rtmr.iter().map(hex::encode).collect::<Vec<_>>(),
        "debug": report.info.attributes.first().is_some_and(|byte| byte & 1 == 1),
    });
    facts.as_object().cloned().unwrap_or_default()
}

/// Step 11, by the key that the runtime data names and no other.
fn vtpm(hcl: &HclReport, piece: &Piece, given: &Given, out: &mut Appraisal) -> quote::Quoted {
    if piece.tpm_quotes.is_empty() {
        let expected = "a quote of the paravisor's vTPM, by the key in the runtime data";
        out.not_run(Check::QuoteSignature, expected, "the quote, as a further FILE");
        return quote::Quoted::default();
    }
    let key = Key::Named(hcl.runtime().ak().clone(), "HCLAkPub of the runtime data");
    let quoted = quote::appraise(piece, given, Some(key), out);
    let challenge = piece
        .tpm_quotes
        .first()
        .and_then(|quote| Attest::parse(&quote.message).ok())
        .map(|attest| attest.extra_data);
    let expected = "user data of the paravisor's report that is the quote's challenge";
    if let (Some(challenge), Some(data)) = (challenge, hcl.runtime().user_data()) {
        if data.iter().all(|b| *b == 0) {
            let needs = "a paravisor's report made for the challenge: evidence of version 2 (this one may be of an earlier day)";
            out.not_run(Check::RuntimeUserData, expected, needs);
        } else {
            let result = azure::user_data(hcl, &challenge, &given.policy);
            out.ran(Check::RuntimeUserData, expected, result.map(|()| "it is"));
        }
    }
    quoted
}

/// Runtime data that came by itself has to be that in the report.
fn runtime_given(hcl: &HclReport, piece: &Piece, given: &Given, out: &mut Appraisal) {
    let Some(bytes) = piece.runtime_data.as_deref().or(given.runtime_data.as_deref()) else { return };
    let trim = |bytes: &[u8]| bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let same = bytes.get(..trim(bytes)) == hcl.runtime().raw().get(..trim(hcl.runtime().raw()));
    let digest = |bytes: &[u8]| hex::encode(HashAlg::Sha256.digest(&[bytes]).unwrap_or_default());
    let result = same.then_some("they are equal").ok_or_else(|| {
        let expected = format!("runtime data with SHA-256 {}, as given", digest(bytes));
        VerifyError::new(Check::RuntimeData, expected, digest(hcl.runtime().raw()))
    });
    out.ran(Check::RuntimeData, "the runtime data given", result);
}

/// Runtime data by itself.
pub(super) fn runtime(bytes: &[u8], out: &mut Appraisal) {
    match RuntimeData::parse(bytes) {
        Ok(data) => {
            out.ran(Check::PrimaryEvidence, "runtime data of an HCL report", Ok("it parses"));
            out.fact(
                "runtime_sha256",
                hex::encode(HashAlg::Sha256.digest(&[data.raw()]).unwrap_or_default()),
            );
            out.tree.push(runtime_tree(&data));
            let needs = "the HCL report around it, as a further FILE";
            out.not_run(Check::RuntimeData, "a hardware report that covers it", needs);
        }
        Err(error) => {
            out.failed(VerifyError::new(Check::PrimaryEvidence, "runtime data of an HCL report", error));
        }
    }
}

fn runtime_tree(data: &RuntimeData) -> Node {
    let mut node = Node::new("Runtime data");
    node.field("Attestation key (HCLAkPub)", key(data.ak()));
    if let Some(ek) = data.ek() {
        node.field("Endorsement key (HCLEkPub)", key(ek));
    }
    if let Some(user_data) = data.user_data() {
        let zero = user_data.iter().all(|b| *b == 0);
        node.field("User data", if zero { "zero".to_owned() } else { hex::encode(user_data) });
    }
    let configuration = data.configuration();
    let mut of = Node::new("Machine");
    for (label, value, good) in [
        ("Secure boot", configuration.secure_boot, Tone::Good),
        ("TPM", configuration.tpm_enabled, Tone::Good),
        ("TPM keeps its state", configuration.tpm_persisted, Tone::Plain),
        ("Console", configuration.console_enabled, Tone::Notice),
        ("Interactive console", configuration.interactive_console_enabled, Tone::Notice),
    ] {
        if let Some(value) = value {
            flag(&mut of, label, value, good, Tone::Plain);
        }
    }
    if let Some(id) = &configuration.vm_unique_id {
        of.field("Id", id);
    }
    if let Some(thumbprint) = &configuration.root_cert_thumbprint {
        of.field("Root certificate thumbprint", thumbprint);
    }
    node.push(of);
    node
}

fn key(key: &PublicKey) -> String {
    match key {
        PublicKey::Rsa { bits, modulus, .. } => {
            format!("RSA-{bits}, modulus {}…", hex::encode(modulus.get(..16).unwrap_or_default()))
        }
        PublicKey::Ecc { curve, x, .. } => format!("ECC {curve:?}, x {}", hex::encode(x)),
    }
}
