//! An `/attest` body, or an archive record around one: every step that needs neither the broker's secret nor its clock.
//!
//! The steps are those of [`sealpod_verifier::verify`], one by one. What the broker alone can do, opening the cookie and checking
//! the activated credential, stays undone here, so no set of steps that hold makes a bundle one that a broker would take.

mod additional;
mod owner;

use super::given::Given;
use super::machine::{self, Read};
use super::outcome::Appraisal;
use super::piece::{Kind, Pcrs, Piece};
use super::recognise::recognise;
use super::tree::{Node, Tone};
use additional::Additional;
use sealpod_evidence::binding::{Bound, QUOTE_NONCE_LEN};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::rcar::{PCR_INITDATA, PCR_WORKLOAD, PcrValue, TpmEvidence};
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tpm::{HashAlg, Public};
use sealpod_evidence::workload::WorkloadEvent;
use sealpod_verifier::{Check, VerifyError, parse_body, snp, tdx, tpm, workload};
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
    let additional = Additional::read(text, out);
    let Some(mut inner) = primary(&attestation.tee_evidence.primary_evidence, out) else { return };
    additional.add_to(&mut inner);
    let report_data = bound.report_data(text).to_vec();
    // A paravisor's quote stands for the report: it answers for the additional evidence too.
    let quote = match inner.hcl {
        Some(_) => report_data.get(..QUOTE_NONCE_LEN).map(<[u8]>::to_vec),
        None => Some(bound.quote_nonce().to_vec()),
    };
    let read =
        machine::appraise(&inner, given, &machine::Challenges { report: Some(report_data), quote }, out);
    let needs = "the broker's cookie, which only the broker can open";
    out.not_run(Check::ChallengeNonce, "an unexpired challenge of the broker's", needs);
    let initdata = initdata(&attestation, &inner, &read, out);
    if let Additional::Tpm(evidence) = &additional {
        keys(evidence, out);
        svsm(evidence, &bound, read.snp.as_ref(), out);
    }
    containers(&additional, &inner, &read, initdata.as_ref(), out);
    owner::appraise(&inner, given, &read, initdata.as_ref(), out);
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

/// Steps 1, 8 and 12: initdata, and that the launch or PCR 8 says that it is this guest's.
fn initdata(attestation: &Attestation, inner: &Piece, read: &Read, out: &mut Appraisal) -> Option<Initdata> {
    let expected = "initdata 0.1.0 with sealpod's policy";
    let sent = attestation
        .init_data
        .as_ref()
        .map(|sent| Initdata::parse(&sent.body).map_err(|error| error.to_string()));
    let initdata = match sent.unwrap_or_else(|| Err("none".to_owned())) {
        Ok(initdata) => initdata,
        Err(found) => {
            out.failed(VerifyError::new(Check::InitdataSyntax, expected, found));
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
    if let Some(report) = read.snp.as_ref() {
        let result = snp::launch::host_data(report, initdata.digest());
        out.ran(Check::HostData, "HOST_DATA that is the digest of this initdata", result.map(|()| "it is"));
    }
    let td_quote = inner.intel_quote.as_deref().filter(|_| inner.hcl.is_none());
    if let Some(Ok(quote)) = td_quote.map(tdx::parse)
        && let Some(td) = quote.td()
    {
        let result = tdx::config_id(td, &tdx::initdata_digest(&initdata), &initdata.digest());
        out.ran(Check::HostData, "MRCONFIGID that is the digest of this initdata", result.map(|()| "it is"));
    }
    let quoted = sha256_pcr(&read.quoted, PCR_INITDATA);
    if let (Some(quoted), Some(booted)) = (quoted, &read.booted) {
        let booted = sha256_pcr(&booted.pcrs, PCR_INITDATA).unwrap_or(HexArray([0; 32]));
        let result = tpm::boot::initdata_pcr(quoted, booted, initdata.digest());
        out.ran(Check::InitdataPcr, "PCR 8 extended once with this initdata", result.map(|()| "it is"));
    }
    Some(initdata)
}

fn sha256_pcr(pcrs: &Pcrs, index: u8) -> Option<PcrValue> {
    pcrs.get(&HashAlg::Sha256)?.get(&index)?.as_slice().try_into().ok().map(HexArray)
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
fn containers(
    additional: &Additional,
    inner: &Piece,
    read: &Read,
    initdata: Option<&Initdata>,
    out: &mut Appraisal,
) {
    let Some(log) = additional.workload_log() else { return };
    let records = match cel::parse(log) {
        Ok(records) => records,
        Err(error) => {
            let expected = "CEL records as sealpod writes them";
            return out.failed(VerifyError::new(Check::WorkloadLogSyntax, expected, error));
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
    workload_replay(additional, inner, read, initdata, &records, out);
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

fn workload_replay(
    additional: &Additional,
    inner: &Piece,
    read: &Read,
    initdata: Option<&Initdata>,
    records: &[cel::Record],
    out: &mut Appraisal,
) {
    let found = format!("{} records do", records.len());
    if let Additional::Td(..) = additional {
        let expected = "records that replay to RTMR3, initdata first";
        let quote = inner.intel_quote.as_deref().and_then(|bytes| tdx::parse(bytes).ok());
        match (quote.as_ref().and_then(|quote| quote.td()), initdata) {
            (Some(td), Some(initdata)) => {
                let result = tdx::workload_log(td, &tdx::initdata_digest(initdata), records);
                out.ran(Check::WorkloadReplay, expected, result.map(|()| found));
            }
            _ => out.not_run(Check::WorkloadReplay, expected, "a TD quote and initdata that parse"),
        }
        return;
    }
    let expected = "records that replay to PCR 13";
    match sha256_pcr(&read.quoted, PCR_WORKLOAD) {
        Some(quoted) => {
            out.ran(Check::WorkloadReplay, expected, workload::replay(records, quoted).map(|()| found));
        }
        None => out.not_run(Check::WorkloadReplay, expected, "PCR 13 of the SHA-256 bank, quoted"),
    }
}

/// What a bundle's parts are, for `learn`.
pub(super) fn parts(piece: &Piece) -> Option<Piece> {
    let (body, _) = piece.bundle.as_ref()?;
    let attestation = parse_body(body).ok()?;
    let mut inner =
        recognise("primary evidence", attestation.tee_evidence.primary_evidence.to_string().as_bytes(), None)
            .ok()?;
    if let Ok((additional, _)) = Additional::parse(&attestation.tee_evidence.additional_evidence) {
        additional.add_to(&mut inner);
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
