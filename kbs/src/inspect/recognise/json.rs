//! Evidence as JSON, by the members that each project's form has.

mod sev;

use super::{binary, x509};
use crate::inspect::pcrs;
use crate::inspect::piece::{ImaForm, Kind, Pcrs, Piece, TpmQuote};
use crate::inspect::text;
use sealpod_evidence::tpm::HashAlg;
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Most values of one JSON text: a CCEL of a MiB as a list of bytes, and as much again.
const MAX_VALUES: usize = 2 << 20;

/// Recognise a JSON text.
pub(super) fn recognise(text: &str) -> Option<Piece> {
    // A value takes 32 bytes where it may be written in two.
    if text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > MAX_VALUES {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    if let Value::Array(list) = &value {
        // A list of bytes, as serde writes a Vec<u8>, or of PCR values.
        if let Some(piece) = byte_list(list).and_then(|bytes| binary::recognise(&bytes)) {
            return Some(piece);
        }
        return pcr_values(&value);
    }
    let object = value.as_object()?;
    type Form = fn(&str, &Object) -> Option<Piece>;
    const FORMS: [Form; 12] = [
        bundle,
        azure,
        coco_snp,
        sealpod_primary,
        coco_tdx,
        trustee_tpm,
        go_attestation,
        guard,
        plain_quote,
        additional,
        collateral,
        runtime_data,
    ];
    FORMS.iter().find_map(|form| form(text, object)).or_else(|| pcr_values(&value)).or_else(|| nested(object))
}

fn pcr_values(value: &Value) -> Option<Piece> {
    let mut piece = Piece::new(Kind::PcrValues);
    piece.form.push("JSON".to_owned());
    piece.pcrs = pcrs::json(value)?;
    Some(piece)
}

fn json(kind: Kind, form: &str) -> Piece {
    let mut piece = Piece::new(kind);
    piece.form.push(form.to_owned());
    piece
}

/// The `/attest` body of KBS protocol 0.4.0, or an archive record around one.
fn bundle(text: &str, object: &Object) -> Option<Piece> {
    if object.contains_key("tee-evidence") {
        let mut piece = json(Kind::Bundle, "/attest body");
        piece.bundle = Some((text.as_bytes().to_vec(), None));
        return Some(piece);
    }
    let request = object.get("request")?.as_object()?;
    request.get("tee-evidence")?;
    // The body as it stands in the record: the report covers it to the byte, so it is cut out and not written anew.
    let body = raw_member(text, "request")?;
    let mut rest = object.clone();
    rest.remove("request");
    let mut piece = json(Kind::Bundle, "archive record");
    piece.bundle = Some((body.as_bytes().to_vec(), Some(Value::Object(rest))));
    Some(piece)
}

/// The text of one member of an object.
fn raw_member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let members: std::collections::HashMap<String, &serde_json::value::RawValue> =
        serde_json::from_str(text).ok()?;
    members.get(name).map(|raw| raw.get())
}

/// az-snp-vtpm and az-tdx-vtpm, versions 0 (without a version) to 2 (Confidential Containers, attester and verifier).
fn azure(_: &str, object: &Object) -> Option<Piece> {
    let report = object.get("hcl_report").or_else(|| object.get("report")).and_then(bytes)?;
    let quote =
        object.get("tpm_quote").or_else(|| object.get("quote")).and_then(Value::as_object).and_then(quote)?;
    if !report.starts_with(b"HCLA") {
        return None;
    }
    let td_quote = object.get("td_quote").and_then(bytes);
    let mut piece = json(if td_quote.is_some() { Kind::AzTdxVtpm } else { Kind::AzSnpVtpm }, "JSON");
    let version = object.get("version").map_or(Some(0), Value::as_u64)?;
    piece.az_version = Some(u32::try_from(version).unwrap_or(u32::MAX));
    piece.hcl = Some(report);
    piece.intel_quote = td_quote;
    piece.tpm_quotes.push(quote);
    for name in ["vcek", "cert_chain", "ask", "ark"] {
        certificates(object.get(name), &mut piece.certificates);
    }
    Some(piece)
}

/// `{"attestation_report": …, "cert_chain": …}`: the report as base64 or as the `sev` crate's serde writes its fields.
fn coco_snp(_: &str, object: &Object) -> Option<Piece> {
    let report = object.get("attestation_report").or_else(|| object.get("attestationReport"))?;
    let mut piece = json(Kind::SnpReport, "JSON");
    piece.snp_report = Some(match report {
        Value::Object(fields) => sev::report(fields)?,
        other => bytes(other)?,
    });
    for name in ["cert_chain", "certificates", "vcek", "vlek", "ask", "ark"] {
        certificates(object.get(name), &mut piece.certificates);
    }
    Some(piece)
}

/// sealpod's own primary evidence: `{"report", "certificates"}` with a table.
fn sealpod_primary(_: &str, object: &Object) -> Option<Piece> {
    let report = object.get("report").and_then(bytes)?;
    let mut piece = binary::recognise(&report).filter(|piece| piece.snp_report.is_some())?;
    piece.form.insert(0, "JSON".to_owned());
    if let Some(table) = object.get("certificates").or_else(|| object.get("auxblob")).and_then(bytes) {
        piece.certificates.extend(binary::table_certificates(&table));
        piece.certificate_table = Some(table).filter(|table| !table.is_empty());
    }
    certificates(object.get("cert_chain"), &mut piece.certificates);
    Some(piece)
}

/// `{"quote": …, "cc_eventlog": …}`, and dstack's `{"quote", "event_log"}`.
fn coco_tdx(_: &str, object: &Object) -> Option<Piece> {
    let quote = ["quote", "td_quote", "tdx_quote", "quote_bytes"]
        .iter()
        .find_map(|name| object.get(*name))
        .and_then(bytes)?;
    let mut piece = binary::recognise(&quote).filter(|piece| piece.intel_quote.is_some())?;
    piece.form.insert(0, "JSON".to_owned());
    let log = ["cc_eventlog", "ccel", "event_log", "eventlog"]
        .iter()
        .find_map(|name| object.get(*name))
        .and_then(bytes);
    if let Some(found) = log.and_then(|log| binary::recognise(&log)) {
        piece.ccel = found.ccel.or(found.boot_log);
    }
    if let Some(text) = object.get("collateral").filter(|value| value.is_object()) {
        piece.collateral.push(text.to_string());
    }
    Some(piece)
}

/// Trustee's `tpm`: `{"ak_public", "tpm_quote": {…}}`.
fn trustee_tpm(_: &str, object: &Object) -> Option<Piece> {
    let quote = quote(object.get("tpm_quote")?.as_object()?)?;
    let mut piece = json(Kind::TpmQuote, "JSON");
    piece.ak = ["ak_public", "ak_pub", "ak"].iter().find_map(|name| object.get(*name)).and_then(bytes);
    certificates(object.get("ak_cert").or_else(|| object.get("ek_cert")), &mut piece.certificates);
    logs(object, &mut piece);
    piece.tpm_quotes.push(quote);
    Some(piece)
}

/// What go-attestation dumps: `{"Static", "AK", "Quote", "Log"}`, of a TPM 2.0 or 1.2.
fn go_attestation(_: &str, object: &Object) -> Option<Piece> {
    let member = |object: &'_ str, name: &str, all: &Object| all.get(object)?.as_object()?.get(name).cloned();
    let version = member("Static", "TPMVersion", object)?.as_u64()?;
    if version == 1 {
        let mut piece = json(Kind::Tpm12, "go-attestation JSON");
        piece.other = member("Quote", "Quote", object).as_ref().and_then(bytes).unwrap_or_default();
        return Some(piece);
    }
    let mut piece = json(Kind::TpmQuote, "go-attestation JSON");
    piece.ak = member("AK", "Public", object).as_ref().and_then(bytes);
    piece.boot_log = member("Log", "Raw", object).as_ref().and_then(bytes);
    let values = member("Log", "PCRs", object).as_ref().and_then(pcrs::json).unwrap_or_default();
    let nonce = member("Quote", "Nonce", object).as_ref().and_then(bytes);
    let mut add = |of: &Object| {
        let field = |names: [&str; 2]| names.iter().find_map(|name| of.get(*name)).and_then(bytes);
        if let Some(message) = field(["Quote", "quote"]) {
            let signature = field(["Signature", "signature"]);
            piece.tpm_quotes.push(TpmQuote {
                message,
                signature,
                pcrs: values.clone(),
                nonce: nonce.clone(),
            });
        }
    };
    object.get("Quote").and_then(Value::as_object).into_iter().for_each(&mut add);
    let more = object.get("Quotes").and_then(Value::as_array);
    more.into_iter().flatten().filter_map(Value::as_object).for_each(&mut add);
    (!piece.tpm_quotes.is_empty()).then_some(piece)
}

/// immune guard's `{"type": "evidence/1", "quote", "signature", "algorithm", "pcrs", "event_log"}`.
fn guard(_: &str, object: &Object) -> Option<Piece> {
    if !object.get("type")?.as_str()?.starts_with("evidence/") {
        return None;
    }
    let message = object.get("quote").and_then(bytes)?;
    let signature = object.get("signature").and_then(bytes);
    let bank = object.get("algorithm").and_then(|name| match name {
        Value::String(name) => pcrs::bank(name),
        other => other.as_u64().and_then(|id| HashAlg::from_id(u16::try_from(id).ok()?)),
    });
    let values = object.get("pcrs").or_else(|| object.get("all_pcrs"));
    let pcrs = values.and_then(|values| pcrs::json_of(bank, values)).unwrap_or_default();
    let mut piece = json(Kind::TpmQuote, "immune guard JSON");
    piece.tpm_quotes.push(TpmQuote { message, signature, pcrs, nonce: None });
    logs(object, &mut piece);
    piece.ak = object.get("ak").or_else(|| object.get("key")).and_then(bytes);
    Some(piece)
}

/// `{"message", "signature", "pcrs"}` in hex, base64 or lists of bytes.
fn plain_quote(_: &str, object: &Object) -> Option<Piece> {
    let mut piece = json(Kind::TpmQuote, "JSON");
    piece.tpm_quotes.push(quote(object)?);
    piece.ak = ["ak_public", "ak_pub", "ak"].iter().find_map(|name| object.get(*name)).and_then(bytes);
    logs(object, &mut piece);
    Some(piece)
}

/// sealpod's additional evidence by itself.
fn additional(_: &str, object: &Object) -> Option<Piece> {
    let tpm = object.get("tpm")?.as_object()?;
    let quoted = quote(tpm.get("quote")?.as_object()?)?;
    let mut piece = json(Kind::TpmQuote, "sealpod additional evidence");
    let pcrs = tpm.get("pcrs").and_then(pcrs::json).unwrap_or_default();
    piece.tpm_quotes.push(TpmQuote { pcrs, ..quoted });
    piece.ak = tpm.get("ak_public").and_then(bytes);
    logs(tpm, &mut piece);
    Some(piece)
}

/// QuoteCollateralV3, or a body of Intel's PCS.
fn collateral(text: &str, object: &Object) -> Option<Piece> {
    let any = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    let bodies =
        ["tcbInfo", "enclaveIdentity", "tcb_info", "qe_identity", "tcb_info_issuer_chain", "pck_crl"];
    if !any(&bodies) {
        return None;
    }
    let mut piece = json(Kind::Collateral, "JSON");
    piece.collateral.push(text.to_owned());
    Some(piece)
}

/// The runtime data in an HCL report.
fn runtime_data(text: &str, object: &Object) -> Option<Piece> {
    let keys = object.get("keys")?.as_array()?;
    keys.iter().find(|key| key.get("kid").is_some_and(|kid| kid == "HCLAkPub"))?;
    let mut piece = json(Kind::RuntimeData, "JSON");
    piece.runtime_data = Some(text.as_bytes().to_vec());
    Some(piece)
}

/// Evidence one level down: `{"evidence": {…}}`, `{"primary_evidence": …}`, `{"tee": …, "evidence": …}`.
fn nested(object: &Object) -> Option<Piece> {
    let names = ["evidence", "primary_evidence", "attestation", "tee_evidence", "report", "quote", "data"];
    let value = names.iter().find_map(|name| object.get(*name))?;
    match value {
        Value::Object(_) => recognise(&value.to_string()),
        Value::String(text) if text.trim_start().starts_with('{') => recognise(text),
        other => {
            let mut piece = binary::recognise(&bytes(other)?)?;
            piece.form.insert(0, "JSON".to_owned());
            Some(piece)
        }
    }
}

/// Message, signature and values of a quote.
fn quote(object: &Object) -> Option<TpmQuote> {
    let field = |names: &[&str]| names.iter().find_map(|name| object.get(*name)).and_then(bytes);
    let message = field(&["message", "quote", "attest", "quoted", "msg"])?;
    let message = match message.as_slice() {
        // With the length of its TPM2B in front.
        [_, _, 0xff, 0x54, 0x43, 0x47, ..] => message.get(2..)?.to_vec(),
        _ => message,
    };
    if !message.starts_with(&[0xff, 0x54, 0x43, 0x47]) {
        return None;
    }
    let pcrs = object.get("pcrs").map_or_else(|| Some(Pcrs::new()), pcrs::json).unwrap_or_default();
    let nonce = field(&["nonce"]);
    Some(TpmQuote { message, signature: field(&["signature", "raw_sig", "sig"]), pcrs, nonce })
}

/// Boot and IMA logs beside a quote.
fn logs(object: &Object, piece: &mut Piece) {
    let data = |value: &Value| bytes(value.get("data").unwrap_or(value));
    let field = |names: &[&str]| names.iter().find_map(|name| object.get(*name)).and_then(data);
    if let Some(log) = field(&["boot_log", "event_log", "eventlog", "uefi_log"]) {
        piece.boot_log = Some(log).filter(|log| !log.is_empty());
    }
    if let Some(log) = field(&["ima_log", "ima"]) {
        let form = if text::of(&log).is_some() { ImaForm::Ascii } else { ImaForm::Binary };
        piece.ima_log = Some((log, form)).filter(|(log, _)| !log.is_empty());
    }
}

/// Certificates in a member: PEM, base64 or bytes, one or a list, bare or as `{"cert_type", "data"}`.
fn certificates(value: Option<&Value>, out: &mut Vec<Vec<u8>>) {
    match value {
        Some(Value::Array(list)) if byte_list(list).is_none() => {
            for entry in list {
                certificates(Some(entry.get("data").unwrap_or(entry)), out);
            }
        }
        Some(Value::Object(map)) => map.values().for_each(|value| certificates(Some(value), out)),
        Some(value) => {
            let found = match value.as_str() {
                Some(text) => x509::certificates(text.as_bytes()),
                None => bytes(value).and_then(|bytes| x509::certificates(&bytes)),
            };
            out.extend(found.into_iter().flat_map(|piece| piece.certificates));
        }
        None => {}
    }
}

/// Bytes in JSON: hex, base64 of either alphabet, PEM, or a list of numbers.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => text::hex_bytes(text).or_else(|| text::base64_bytes(text)),
        Value::Array(list) => byte_list(list),
        _ => None,
    }
}

fn byte_list(list: &[Value]) -> Option<Vec<u8>> {
    if list.is_empty() {
        return None;
    }
    list.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
}
