//! A TDX or SGX quote: steps 1 and 3 to 8, and 12 with a CCEL.

mod collateral;
mod view;

use super::certificates;
use super::given::Given;
use super::outcome::Appraisal;
use super::piece::Piece;
use super::tree::Tone;
use sealpod_evidence::reference_values::TdxMeasurement;
use sealpod_evidence::tdx::quote::{Body, TeeKind};
use sealpod_evidence::tdx::{Quote, QuoteError};
use sealpod_verifier::tdx::{self, TcbStatus, VerifiedPck};
use sealpod_verifier::{Check, TdxPolicy, VerifyError};
use serde_json::json;

pub(super) use collateral::{Documents, appraise as appraise_collateral};

/// Report data has this many bytes.
const REPORT_DATA: usize = 64;

/// Appraise the quote of a piece into `out`.
pub(super) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) {
    let Some(bytes) = piece.intel_quote.as_deref() else { return };
    let Some(quote) = parse(bytes, out) else { return };
    out.facts.extend(view::facts(&quote, bytes));
    view::tree(&quote, &mut out.tree);
    let documents = Documents::of(piece, given);
    let pck = pck(&quote, piece, given, &documents, out);
    let verified = documents.verify(given, out);
    qe_report(&quote, pck.as_ref(), out);
    level(&quote, pck.as_ref(), verified.as_ref(), given, out);
    let signed = tdx::signature(&quote);
    out.fact("quote_sig", if signed.is_ok() { "ok" } else { "BAD" });
    let expected = "a signature by the quote's attestation key over header and body";
    out.ran(Check::ReportSignature, expected, signed.map(|()| "ECDSA P-256 verifies"));
    fields(&quote, given, out);
    logs(&quote, piece, out);
}

/// MRTD and RTMRs of a quote as a Reference Value; `None` for an SGX quote.
pub(super) fn measurement(bytes: &[u8], description: String) -> Result<Option<TdxMeasurement>, VerifyError> {
    let quote = tdx::parse(bytes)?;
    Ok(quote.td().map(|td| {
        let [rtmr0, rtmr1, rtmr2, _] = td.rtmr;
        TdxMeasurement {
            mr_td: td.mr_td,
            rtmr0,
            rtmr1,
            rtmr2,
            mr_seam: None,
            description,
            dangerous_unmeasured_acpi: false,
        }
    }))
}

/// Step 1. Bytes behind the quote are refused unless zero; what is before them is looked at all the same.
fn parse<'q>(bytes: &'q [u8], out: &mut Appraisal) -> Option<Quote<'q>> {
    let expected = "a well-formed quote of a known version";
    let error = match tdx::parse(bytes) {
        Ok(quote) => {
            let found = format!(
                "version {} of {}, {} bytes",
                quote.header.version,
                name(quote.header.tee),
                bytes.len() - quote.padding
            );
            out.ran(Check::PrimaryEvidence, expected, Ok(found));
            return Some(quote);
        }
        Err(error) => error,
    };
    out.tree.toned("Quote", format!("does not parse: {}", error.found), Tone::Bad);
    out.failed(error);
    let Err(QuoteError::Trailing { .. }) = Quote::parse(bytes) else { return None };
    // The shortest prefix that parses is the quote: lengths inside it leave no choice.
    let end = quote_end(bytes)?;
    bytes.get(..end).and_then(|prefix| Quote::parse(prefix).ok())
}

/// Where the quote ends by its own lengths: signature data of a length that stands behind header and body.
fn quote_end(bytes: &[u8]) -> Option<usize> {
    let half = |at: usize| bytes.get(at..at + 2)?.first_chunk().map(|b| usize::from(u16::from_le_bytes(*b)));
    let word = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|b| u32::from_le_bytes(*b) as usize);
    let body_end = match half(0)? {
        3 => 48 + 384,
        4 => 48 + if word(4)? == 0x81 { 584 } else { 384 },
        _ => 54_usize.checked_add(word(50)?)?,
    };
    body_end.checked_add(4)?.checked_add(word(body_end)?)
}

fn name(tee: TeeKind) -> &'static str {
    match tee {
        TeeKind::Sgx => "SGX",
        TeeKind::Tdx => "TDX",
    }
}

/// Step 3 for the PCK certificate.
fn pck(
    quote: &Quote<'_>,
    piece: &Piece,
    given: &Given,
    documents: &Documents,
    out: &mut Appraisal,
) -> Option<VerifiedPck> {
    let expected = "a PCK certificate under Intel's root, valid now";
    let own = tdx::certificates(quote);
    let more = piece.certificates.iter().chain(&given.certificates);
    let is_pck = |der: &&Vec<u8>| {
        certificates::names(der).is_some_and(|(name, _)| name == "Intel SGX PCK Certificate")
    };
    let chain: Vec<Vec<u8>> = match own {
        Ok(own) => own,
        Err(error) => {
            if !more.clone().any(|der| is_pck(&der)) {
                out.fact("chain", "BAD");
                out.failed(error);
                return None;
            }
            Vec::new()
        }
    };
    // A leaf that the quote itself has is the one; of what was given beside it only authorities can serve.
    let own_leaf = chain.iter().any(|der| is_pck(&der));
    let mut chain = chain;
    for der in more {
        let name = certificates::names(der).map(|(subject, _)| subject).unwrap_or_default();
        let serves = name.contains("Intel SGX") && name.ends_with("CA")
            || (!own_leaf && name == "Intel SGX PCK Certificate");
        if serves && !chain.contains(der) {
            chain.push(der.clone());
        }
    }
    if let Some((der, (_, issuer))) =
        chain.iter().filter(is_pck).find_map(|der| Some((der, certificates::names(der)?)))
    {
        out.fact("pck_ca", issuer);
        if let Some((from, to)) = certificates::validity(der) {
            let date = |time| crate::clock::rfc3339(time).get(..10).unwrap_or_default().to_owned();
            out.fact("pck_valid", json!([date(from), date(to)]));
        }
        out.tree.push(certificates::tree(der, given.now));
    }
    let result =
        tdx::pck(&chain, &given.intel_roots(), &documents.lists, given.policy.require_crl, given.now);
    let root = result.as_ref().err().is_none_or(|error| error.check != Check::TrustRoot);
    out.fact("root_is_intel", root && given.trusted_roots.is_empty());
    out.fact("chain", if result.is_ok() { "ok" } else { "BAD" });
    if let Ok(pck) = &result {
        out.fact("fmspc", pck.platform().fmspc.to_string());
    }
    let found = |pck: &VerifiedPck| {
        let (from, to) = pck.window();
        let time = crate::clock::rfc3339;
        let lists = if pck.revocation_checked() {
            "revocation lists held against it"
        } else {
            "no revocation lists given"
        };
        format!(
            "{} CA, FMSPC {}, valid {} to {}; {lists}",
            pck.ca().as_str(),
            pck.platform().fmspc,
            time(from),
            time(to)
        )
    };
    out.ran(Check::CertificateSignature, expected, result.as_ref().map(found).map_err(Clone::clone));
    result.ok()
}

/// Step 4, the quoting enclave.
fn qe_report(quote: &Quote<'_>, pck: Option<&VerifiedPck>, out: &mut Appraisal) {
    let expected = "a report of the quoting enclave signed by the PCK key, over the attestation key";
    let Some(pck) = pck else {
        return out.not_run(Check::QeReportSignature, expected, "a PCK chain that holds (step 3)");
    };
    let result = tdx::qe_report(quote, pck);
    let failed = result.as_ref().err().map(|error| error.check);
    out.fact("qe_sig", if failed == Some(Check::QeReportSignature) { "BAD" } else { "ok" });
    out.ran(Check::QeReportSignature, expected, result.map(|()| "it is, and it covers that key"));
}

/// Step 4, TCB level and status.
fn level(
    quote: &Quote<'_>,
    pck: Option<&VerifiedPck>,
    collateral: Option<&tdx::VerifiedCollateral>,
    given: &Given,
    out: &mut Appraisal,
) {
    let (level, status) =
        ("a TCB level of Intel's that the platform reaches", "a TCB status that the owner accepts");
    let (Some(pck), Some(collateral)) = (pck, collateral) else {
        let needs = if pck.is_none() {
            "a PCK chain that holds (step 3)"
        } else {
            "collateral that holds: --collateral FILE"
        };
        out.not_run(Check::TcbLevel, level, needs);
        out.not_run(Check::TcbStatus, status, needs);
        return;
    };
    let verdict = match tdx::evaluate(quote, pck, collateral) {
        Ok(verdict) => verdict,
        Err(error) => {
            out.failed(error);
            return out.not_run(Check::TcbStatus, status, "a TCB level");
        }
    };
    let advisories: Vec<&str> = verdict.advisory_ids.iter().map(String::as_str).collect();
    let found = match advisories.as_slice() {
        [] => verdict.status.as_str().to_owned(),
        some => format!("{} with {}", verdict.status.as_str(), some.join(", ")),
    };
    out.fact("tcb_status", verdict.status.as_str());
    out.fact("advisories", json!(advisories));
    out.fact("tcb_date", verdict.tcb_date.as_str());
    out.tree.toned(
        "TCB status",
        &found,
        if verdict.status == TcbStatus::UpToDate { Tone::Good } else { Tone::Notice },
    );
    out.ran(Check::TcbLevel, level, Ok(format!("{found}, level of {}", verdict.tcb_date)));
    let policy = status_policy(quote, given, &verdict, out);
    out.ran(Check::TcbStatus, status, tdx::accept(&verdict, &policy).map(|()| found));
}

/// The owner's policy. It is about TDs; for an SGX quote without one, a platform counts that Intel calls patched.
fn status_policy(
    quote: &Quote<'_>,
    given: &Given,
    verdict: &tdx::TcbVerdict,
    out: &mut Appraisal,
) -> TdxPolicy {
    if quote.header.tee == TeeKind::Tdx || given.policy_given {
        return given.policy.tdx.clone();
    }
    out.note("sealpod releases nothing to SGX enclaves; without --policy every TCB status but OutOfDate and Revoked is taken here.");
    let mut policy = TdxPolicy::default();
    policy.accepted_tcb_statuses.extend([
        TcbStatus::SwHardeningNeeded,
        TcbStatus::ConfigurationNeeded,
        TcbStatus::ConfigurationAndSwHardeningNeeded,
    ]);
    policy.accepted_advisories.clone_from(&verdict.advisory_ids);
    policy
}

/// Steps 6 to 8.
fn fields(quote: &Quote<'_>, given: &Given, out: &mut Appraisal) {
    match quote.td() {
        Some(td) => {
            let expected = "no debugging, no reserved attributes, and what the policy demands";
            let names: Vec<&str> = td.td_attributes.names().collect();
            let found = format!("attributes {:#x} ({})", td.td_attributes.0, names.join(", "));
            out.ran(Check::TdAttributes, expected, tdx::attributes(td, &given.policy).map(|()| found));
        }
        None => {
            let debug = quote_debug(quote);
            let result =
                (!debug || given.policy.dangerous_accept_debug).then_some("not set").ok_or_else(|| {
                    VerifyError::new(
                        Check::DebugAllowed,
                        "an enclave that the host cannot debug",
                        "the DEBUG attribute",
                    )
                });
            out.ran(Check::DebugAllowed, "an enclave that the host cannot debug", result);
        }
    }
    let expected = "the challenge that the quote has to answer";
    match &given.nonce {
        None => out.not_run(Check::ReportData, expected, "--nonce HEX|FILE"),
        Some(nonce) => {
            let mut padded = [0; REPORT_DATA];
            let fits = padded.get_mut(..nonce.len()).map(|to| to.copy_from_slice(nonce));
            let result = match fits {
                Some(()) => tdx::report_data(quote, &padded),
                None => {
                    Err(VerifyError::new(Check::ReportData, "a challenge of at most 64 bytes", nonce.len()))
                }
            };
            out.ran(Check::ReportData, expected, result.map(|()| "report data is that challenge"));
        }
    }
    if let Some(td) = quote.td() {
        let expected = "MRTD and RTMR0-2 among the Reference Values";
        match given
            .reference
            .as_ref()
            .filter(|_| given.documents.iter().any(|d| !d.tdx_measurements.is_empty()))
        {
            Some(reference) => {
                let known = tdx::launch(td, reference).map(|known| format!("{:?}", known.description));
                out.ran(Check::LaunchDigest, expected, known);
            }
            None => out.not_run(
                Check::LaunchDigest,
                expected,
                "--policy with Reference Values (tdx_measurements)",
            ),
        }
    }
}

fn quote_debug(quote: &Quote<'_>) -> bool {
    match &quote.body {
        Body::Enclave(report) => report.debug(),
        Body::Td(td) => td.td_attributes.debug(),
    }
}

/// Step 12.
fn logs(quote: &Quote<'_>, piece: &Piece, out: &mut Appraisal) {
    let Some(td) = quote.td() else { return };
    let expected = "a boot log (CCEL) that replays to RTMR0-2";
    let Some(log) = piece.ccel.as_deref() else {
        return out.not_run(Check::BootLogReplay, expected, "the CCEL, as a further FILE");
    };
    super::boot_log::ccel(log, out);
    out.ran(
        Check::BootLogReplay,
        expected,
        tdx::boot_log(td, log).map(|events| format!("{events} events replay")),
    );
}
