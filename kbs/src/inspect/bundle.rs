//! An `/attest` body, or an archive record around one: every step that needs neither the broker's secret nor its clock.
//!
//! The steps are those of [`sealpod_verifier::verify`], one by one. What the broker alone can do, opening the cookie and checking
//! the activated credential, stays undone here, so no set of steps that hold makes a bundle one that a broker would take.

use super::given::Given;
use super::outcome::Appraisal;
use super::piece::{ImaForm, Kind, Piece, TpmQuote};
use super::recognise::recognise;
use super::tree::{Node, Tone};
use super::{machine, pcrs};
use sealpod_evidence::binding::Bound;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::rcar::{AdditionalEvidence, PCR_WORKLOAD, TpmEvidence};
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tpm::{HashAlg, Public};
use sealpod_evidence::workload::WorkloadEvent;
use sealpod_verifier::{Check, VerifyError, parse_body, snp, tpm, workload};
use serde_json::Value;

/// Appraise the bundle of a piece into `out`.
pub(super) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) {
    let Some((body, record)) = &piece.bundle else { return };
    if let Some(record) = record {
        archive(record, out);
    }
    let attestation = match parse_body(body) {
        Ok(attestation) => attestation,
        Err(error) => {
            out.tree.toned("Body", format!("does not parse: {}", error.found), Tone::Bad);
            return out.failed(error);
        }
    };
    out.ran(Check::Body, "the body of an /attest request", Ok(format!("{} bytes", body.len())));
    let Some(bound) = bound(&attestation, out) else { return };
    let text = &attestation.tee_evidence.additional_evidence;
    let additional = additional(text, out);
    let Some(mut inner) = primary(&attestation.tee_evidence.primary_evidence, out) else { return };
    if let Some(tpm) = &additional {
        add_tpm(tpm, &mut inner);
    }
    let report_data = bound.report_data(text);
    let challenges =
        machine::Challenges { report: Some(report_data.to_vec()), quote: Some(bound.quote_nonce().to_vec()) };
    let read = machine::appraise(&inner, given, &challenges, out);
    out.not_run(
        Check::ChallengeNonce,
        "an unexpired challenge of the broker's",
        "the broker's cookie, which only the broker can open",
    );
    let initdata = initdata(&attestation, read.snp.as_ref(), out);
    if let Some(evidence) = &additional {
        keys(evidence, out);
        svsm(evidence, &bound, read.snp.as_ref(), out);
        containers(evidence, initdata.as_ref(), out);
    }
    out.note("A bundle is judged here step by step. Only the broker that gave the challenge can release anything for it.");
}

fn archive(record: &Value, out: &mut Appraisal) {
    let mut node = Node::new("Archive record");
    for name in ["id", "time"] {
        if let Some(text) = record.get(name).and_then(Value::as_str) {
            node.field(name, text);
        }
    }
    if let Some(decision) = record.get("decision").and_then(Value::as_object) {
        let refused = decision.get("verdict").is_some_and(|verdict| verdict == "refuse");
        let mut of = Node::new("Decision of the broker");
        for (name, value) in decision {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            of.toned(name, text, if name == "verdict" && refused { Tone::Bad } else { Tone::Plain });
        }
        node.push(of);
        out.fact("decision", Value::Object(decision.clone()));
    }
    out.tree.push(node);
}

fn bound<'a>(attestation: &'a Attestation, out: &mut Appraisal) -> Option<Bound<'a>> {
    let nonce = &attestation.runtime_data.nonce;
    out.fact("nonce", nonce.as_str());
    out.tree.field("Nonce", nonce);
    let refused = |found: String| {
        VerifyError::new(Check::PrimaryEvidence, "a channel key (JWK) with a canonical form", found)
    };
    let key = serde_json::to_value(&attestation.runtime_data.tee_pubkey)
        .map_err(|error| refused(error.to_string()));
    match key.and_then(|key| Bound::new(nonce, &key).map_err(|error| refused(error.to_string()))) {
        Ok(bound) => Some(bound),
        Err(error) => {
            out.failed(error);
            None
        }
    }
}

/// sealpod's vTPM evidence, if it is that.
fn additional(text: &str, out: &mut Appraisal) -> Option<TpmEvidence> {
    let expected = "sealpod's vTPM evidence, one \"tpm\"";
    if text.is_empty() {
        out.not_run(
            Check::AdditionalEvidence,
            expected,
            "a guest that sends it: this is plain Confidential Containers evidence",
        );
        return None;
    }
    match serde_json::from_str::<AdditionalEvidence>(text) {
        Ok(evidence) => {
            out.ran(Check::AdditionalEvidence, expected, Ok(format!("version {}", evidence.tpm.version)));
            Some(evidence.tpm)
        }
        Err(error) => {
            out.failed(VerifyError::new(Check::AdditionalEvidence, expected, error));
            None
        }
    }
}

/// The TEE's own evidence, in any form that is recognised.
fn primary(value: &Value, out: &mut Appraisal) -> Option<Piece> {
    // `evidence` around it, so that what is inside is told apart by its own members.
    match recognise("primary evidence", value.to_string().as_bytes(), None) {
        Ok(piece) if !piece.kind.is_aid() => {
            out.fact("primary", piece.kind.as_str());
            out.tree.field("Primary evidence", piece.kind.title());
            Some(piece)
        }
        Ok(piece) => {
            let found = piece.kind.title();
            out.failed(VerifyError::new(Check::PrimaryEvidence, "evidence of a TEE", found));
            None
        }
        Err(error) => {
            out.failed(VerifyError::new(Check::PrimaryEvidence, "evidence of a TEE", error.found));
            None
        }
    }
}

fn add_tpm(tpm: &TpmEvidence, piece: &mut Piece) {
    let mut values = super::piece::Pcrs::new();
    for (bank, of) in &tpm.pcrs {
        for (index, text) in of {
            if let (Some(bank), Ok(value)) = (HashAlg::from_name(bank), hex::decode(text)) {
                // A value of the wrong length is missing then, which the quote's digest shows.
                let _ = pcrs::insert(&mut values, Some(bank), u64::from(*index), value);
            }
        }
    }
    piece.tpm_quotes.push(TpmQuote {
        message: tpm.quote.message.0.clone(),
        signature: Some(tpm.quote.signature.0.clone()),
        pcrs: values,
        nonce: None,
    });
    piece.ak = Some(tpm.ak_public.0.clone());
    piece.boot_log = Some(tpm.boot_log.0.clone()).filter(|log| !log.is_empty());
    piece.ima_log = Some((tpm.ima_log.data.0.clone(), ImaForm::Binary)).filter(|(log, _)| !log.is_empty());
}

/// Steps 1 and 8: initdata, and that the host gave its digest at launch.
fn initdata(attestation: &Attestation, report: Option<&Report>, out: &mut Appraisal) -> Option<Initdata> {
    let expected = "initdata 0.1.0 with sealpod's policy";
    let Some(sent) = &attestation.init_data else {
        out.failed(VerifyError::new(Check::InitdataSyntax, expected, "none"));
        return None;
    };
    let initdata = match Initdata::parse(&sent.body) {
        Ok(initdata) => initdata,
        Err(error) => {
            out.failed(VerifyError::new(Check::InitdataSyntax, expected, error));
            return None;
        }
    };
    out.ran(Check::InitdataSyntax, expected, Ok(format!("SHA-256 {}", initdata.digest())));
    out.fact("initdata_sha256", initdata.digest().to_string());
    let mut node = Node::with("initdata", initdata.digest());
    if let Some(broker) = &initdata.policy().kbs {
        node.field("Broker", &broker.url);
    }
    for rule in &initdata.policy().containers {
        node.field("Container allowed", format!("{rule:?}"));
    }
    out.tree.push(node);
    if let Some(report) = report {
        let result = snp::launch::host_data(report, initdata.digest());
        out.ran(Check::HostData, "HOST_DATA that is the digest of this initdata", result.map(|()| "it is"));
    }
    Some(initdata)
}

/// Step 10, but for the credential.
fn keys(evidence: &TpmEvidence, out: &mut Appraisal) {
    match Public::parse(&evidence.ek_public.0) {
        Ok(ek) => {
            out.tree.field("Endorsement key", ek.name());
            let expected = "a restricted decryption key fixed to its TPM";
            let found = format!("attributes {:#010x}", ek.attributes().0);
            out.ran(Check::EkAttributes, expected, tpm::keys::endorsement_key(&ek).map(|()| found));
        }
        Err(error) => out.failed(VerifyError::new(Check::TpmStructure, "the endorsement key", error)),
    }
    let needs = "the broker's secret: only the broker that made the credential knows it";
    out.not_run(Check::Credential, "the credential made for this nonce, EK and AK", needs);
}

/// Step 9.
fn svsm(evidence: &TpmEvidence, bound: &Bound<'_>, primary: Option<&Report>, out: &mut Appraisal) {
    let Some(svsm) = &evidence.svsm else {
        out.tree.toned("Binding level", "host: nobody vouches for the vTPM", Tone::Notice);
        out.not_run(
            Check::SvsmReport,
            "an SVSM's word for the vTPM",
            "a guest under an SVSM: this one sent none",
        );
        return;
    };
    let report = match Report::parse(&svsm.report.0) {
        Ok(report) => report,
        Err(error) => {
            return out.failed(VerifyError::new(
                Check::SvsmReport,
                "a well-formed report of the SVSM",
                error,
            ));
        }
    };
    let block = sealpod_evidence::binding::svsm_nonce_block(&bound.quote_nonce());
    let expected = "an SVSM's report over this nonce and manifest";
    let result = snp::svsm::report_data(&report, &block, &svsm.manifest.0);
    out.ran(Check::SvsmReportData, expected, result.map(|()| format!("VMPL {}", report.vmpl())));
    if let Some(primary) = primary {
        let result = snp::svsm::same_guest(primary, &report);
        out.ran(
            Check::SvsmSameGuest,
            "an SVSM's report of this guest",
            result.map(|()| HexArray(report.report_id())),
        );
    }
    if let Ok(ek) = Public::parse(&evidence.ek_public.0) {
        let result = snp::svsm::manifest(&svsm.manifest.0, &ek);
        out.ran(Check::SvsmManifest, "a manifest that names the endorsement key", result.map(|()| "it does"));
    }
    out.tree.field("Binding level", "svsm, where all of this holds and the launch puts an SVSM at VMPL 0");
}

/// Step 15.
fn containers(evidence: &TpmEvidence, initdata: Option<&Initdata>, out: &mut Appraisal) {
    let records = match cel::parse(&evidence.workload_log.0) {
        Ok(records) => records,
        Err(error) => {
            return out.failed(VerifyError::new(
                Check::WorkloadLogSyntax,
                "CEL records as sealpod writes them",
                error,
            ));
        }
    };
    let mut node = Node::with("Workload log", format!("{} records", records.len()));
    for record in &records {
        match serde_json::from_slice::<WorkloadEvent>(&record.content) {
            Ok(WorkloadEvent::Container { spec }) => node.field("Container", format!("{spec:?}")),
            Err(_) => node.field("Record", String::from_utf8_lossy(&record.content)),
        };
    }
    out.tree.push(node);
    let quoted = evidence
        .pcrs
        .get("sha256")
        .and_then(|bank| bank.get(&PCR_WORKLOAD))
        .and_then(|text| text.parse().ok());
    match quoted {
        Some(quoted) => {
            let result = workload::replay(&records, quoted);
            out.ran(
                Check::WorkloadReplay,
                "records that replay to PCR 13",
                result.map(|()| format!("{} do", records.len())),
            );
        }
        None => {
            out.not_run(Check::WorkloadReplay, "records that replay to PCR 13", "PCR 13 of the SHA-256 bank")
        }
    }
    if let Some(initdata) = initdata {
        let result = workload::allowed(&records, initdata);
        let expected = "only containers that initdata allows";
        out.ran(
            Check::WorkloadNotAllowed,
            expected,
            result.map(|started| format!("{} started", started.containers.len())),
        );
    }
}

/// What a bundle's parts are, for `learn`.
pub(super) fn parts(piece: &Piece) -> Option<Piece> {
    let (body, _) = piece.bundle.as_ref()?;
    let attestation = parse_body(body).ok()?;
    let mut inner =
        recognise("primary evidence", attestation.tee_evidence.primary_evidence.to_string().as_bytes(), None)
            .ok()?;
    if let Ok(evidence) =
        serde_json::from_str::<AdditionalEvidence>(&attestation.tee_evidence.additional_evidence)
    {
        add_tpm(&evidence.tpm, &mut inner);
    }
    inner.kind = Kind::Bundle;
    inner.files.clone_from(&piece.files);
    Some(inner)
}

/// The initdata of a bundle, for `learn`.
pub(super) fn initdata_of(piece: &Piece) -> Option<Initdata> {
    let (body, _) = piece.bundle.as_ref()?;
    Initdata::parse(&parse_body(body).ok()?.init_data?.body).ok()
}
