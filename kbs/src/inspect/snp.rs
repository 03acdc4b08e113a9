//! An SNP report by itself: steps 1 and 3 to 8 as far as the input goes.

mod facts;
mod view;

use super::certificates::{self, VekFacts};
use super::given::Given;
use super::outcome::{Appraisal, Status};
use super::piece::Piece;
use super::tree::{Node, Tone};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::snp::cert_table::{CertTable, Guid};
use sealpod_evidence::snp::report::{Product, REPORT_LEN, Report, SigningKey};
use sealpod_verifier::endorsements::VerifiedSnpKey;
use sealpod_verifier::{Check, Endorsements, VerifyError, snp};

pub(super) use view::components;

/// Report data has this many bytes; a shorter nonce is padded with zeros (AMD 56860, MSG_REPORT_REQ).
const REPORT_DATA: usize = 64;

/// Appraise the report of a piece into `out`.
pub(super) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) -> Option<Report> {
    let bytes = piece.snp_report.as_deref()?;
    let certificates: Vec<Vec<u8>> = piece.certificates.iter().chain(&given.certificates).cloned().collect();
    let vek = choose_vek(bytes, &certificates);
    if let Some(raw) = bytes.first_chunk::<REPORT_LEN>() {
        out.facts.extend(facts::of(raw, vek.as_ref().map(|(_, facts)| facts)));
    }
    let parsed = Report::parse(bytes).map_err(|error| snp::report_error(&error));
    let report = match parsed {
        Ok(report) => {
            let found = format!("version {}, {} bytes", report.version(), bytes.len());
            out.ran(Check::PrimaryEvidence, "a well-formed report of a known version", Ok(found));
            report
        }
        Err(error) => {
            out.tree.toned("Report", format!("does not parse: {}", error.found), Tone::Bad);
            out.failed(error);
            return None;
        }
    };
    let key = endorse(&report, piece, given, &certificates, vek.as_ref().map(|(der, _)| der.as_slice()), out);
    let product = key
        .as_ref()
        .map(VerifiedSnpKey::product)
        .or_else(|| report.product())
        .or_else(|| vek.as_ref().and_then(|(_, facts)| product(facts.line.as_deref()?)));
    view::tree(&report, product, &mut out.tree);
    if let Some((der, _)) = &vek {
        out.tree.push(certificates::tree(der, given.now));
    }
    let leaf = leaf(piece, vek.as_ref().map(|(der, _)| der.as_slice()));
    match (&key, leaf) {
        (None, Some(leaf)) if !out.has(Check::CertificateSyntax, Status::Fail) => {
            unendorsed(&report, &leaf, out)
        }
        (key, _) => with_key(&report, key.as_ref(), out),
    }
    fields(&report, key.as_ref(), product, given, out);
    bound(&report, given, out);
    launched(&report, given, out);
    Some(report)
}

/// The certificate that is most likely the report's: of the kind, chip and TCB that it names, else of the kind.
fn choose_vek(report: &[u8], certificates: &[Vec<u8>]) -> Option<(Vec<u8>, VekFacts)> {
    let vlek = report.get(0x48).is_some_and(|key| key >> 2 & 7 == 1);
    let score = |facts: &VekFacts| {
        let chip = facts
            .hardware_id
            .as_deref()
            .is_some_and(|id| report.get(0x1a0..).is_some_and(|c| c.starts_with(id)));
        let tcb = facts.tcb_bytes.is_some_and(|tcb| report.get(0x180..0x188) == Some(&tcb));
        u8::from(facts.hardware_id.is_none() == vlek) * 4 + u8::from(chip) * 2 + u8::from(tcb)
    };
    let known = certificates.iter().filter_map(|der| certificates::vek(der).map(|facts| (der, facts)));
    // The first of equals, so that the order in which files were given decides.
    let mut best: Option<(&Vec<u8>, VekFacts)> = None;
    for (der, facts) in known {
        if best.as_ref().is_none_or(|(_, known)| score(&facts) > score(known)) {
            best = Some((der, facts));
        }
    }
    best.map(|(der, facts)| (der.clone(), facts))
}

fn product(line: &str) -> Option<Product> {
    [Product::Milan, Product::Genoa, Product::Turin].into_iter().find(|product| product.as_str() == line)
}

/// Step 3.
fn endorse(
    report: &Report,
    piece: &Piece,
    given: &Given,
    certificates: &[Vec<u8>],
    vek: Option<&[u8]>,
    out: &mut Appraisal,
) -> Option<VerifiedSnpKey> {
    let expected = "a chain from the signing key to AMD's root, valid now";
    let table = match CertTable::parse(piece.certificate_table.as_deref().unwrap_or_default()) {
        Ok(table) => table,
        Err(error) => {
            out.failed(VerifyError::new(
                Check::CertificateTable,
                "a certificate table as the GHCB specification has it",
                error,
            ));
            return None;
        }
    };
    let endorsements = given.endorsements(&piece.certificates);
    // A certificate named as a chip key's that AMD's form does not fit is what was given, so it is judged and not passed over.
    let from_table = table.get(Guid::VCEK).or_else(|| table.get(Guid::VLEK));
    let Some(leaf) = from_table.or(vek).or_else(|| unreadable(certificates)) else {
        out.not_run(Check::ChainIncomplete, expected, format!("--chain with {}", wanted(report)));
        return None;
    };
    if let Some(missing) = missing(leaf, certificates) {
        // The links that are there have to hold all the same.
        if let Err(error) = super::chains::links(leaf, certificates, given) {
            out.failed(error);
            return None;
        }
        out.not_run(Check::ChainIncomplete, expected, format!("--chain with {missing}"));
        return None;
    }
    let sent: Vec<&[u8]> = [Guid::ASK, Guid::ARK].into_iter().filter_map(|guid| table.get(guid)).collect();
    chain(leaf, &sent, &endorsements, given, out)
}

/// Step 3 for one leaf.
pub(super) fn chain(
    leaf: &[u8],
    sent: &[&[u8]],
    endorsements: &Endorsements,
    given: &Given,
    out: &mut Appraisal,
) -> Option<VerifiedSnpKey> {
    let expected = "a chain from the signing key to AMD's root, valid now";
    let key = snp::endorse_leaf(leaf, sent, endorsements, given.policy.require_crl, given.now);
    let found = |key: &VerifiedSnpKey| {
        let kind = if key.is_vlek() { "VLEK" } else { "VCEK" };
        let (from, to) = key.window();
        let time = crate::clock::rfc3339;
        let lists = if key.revocation_checked() {
            "revocation list held against it"
        } else {
            "no revocation list given"
        };
        format!("{kind} under AMD's {} root, valid {} to {}; {lists}", key.product(), time(from), time(to))
    };
    // What stands for the step when it holds is its signatures.
    out.ran(Check::CertificateSignature, expected, key.as_ref().map(found).map_err(Clone::clone));
    key.ok()
}

/// A certificate that does not even parse, where none is a chip key's by name.
fn unreadable(certificates: &[Vec<u8>]) -> Option<&[u8]> {
    certificates.iter().find(|der| certificates::read(der).is_none()).map(Vec::as_slice)
}

/// What is missing above a leaf, by name and where it is had.
pub(super) fn missing(leaf: &[u8], certificates: &[Vec<u8>]) -> Option<String> {
    let (_, issuer) = certificates::names(leaf)?;
    let has =
        |name: &str| certificates.iter().any(|der| certificates::names(der).is_some_and(|(n, _)| n == name));
    let line = ["Milan", "Genoa", "Turin"].into_iter().find(|line| issuer.ends_with(line))?;
    let kind = if issuer.contains("VLEK") { "vlek" } else { "vcek" };
    let ark = format!("ARK-{line}");
    let absent: Vec<&str> = [issuer.as_str(), &ark].into_iter().filter(|name| !has(name)).collect();
    let url = format!("https://kdsintf.amd.com/{kind}/v1/{line}/cert_chain");
    (!absent.is_empty()).then(|| format!("the certificates {} ({url})", absent.join(" and ")))
}

/// The signing key's certificate that a report needs, and where AMD hands it out.
fn wanted(report: &Report) -> String {
    if report.key_info().signing_key() == SigningKey::Vlek {
        return "the VLEK certificate, which the cloud provider's host hands to the guest, and its ASVK and ARK".to_owned();
    }
    let chip = report.chip_id();
    if chip.iter().all(|b| *b == 0) {
        return "the VCEK certificate of the chip, which the report does not name (its host masks the chip id)".to_owned();
    }
    let Some(product) = report.product() else {
        return "the VCEK certificate of this chip and TCB with its ASK and ARK (https://kdsintf.amd.com/vcek/v1/Milan/CHIPID or Genoa)".to_owned();
    };
    let tcb = report.reported_tcb().decode(product);
    let (line, id, fmc) = match product {
        Product::Milan => ("Milan", hex::encode(chip), String::new()),
        Product::Genoa => ("Genoa", hex::encode(chip), String::new()),
        Product::Turin => {
            let id = hex::encode(chip.get(..8).unwrap_or_default());
            ("Turin", id, format!("fmcSPL={:02}&", tcb.fmc.unwrap_or(0)))
        }
    };
    format!(
        "the VCEK (https://kdsintf.amd.com/vcek/v1/{line}/{id}?{fmc}blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}) and its ASK and ARK (https://kdsintf.amd.com/vcek/v1/{line}/cert_chain)",
        tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode
    )
}

/// Steps 4 and 5.
fn with_key(report: &Report, key: Option<&VerifiedSnpKey>, out: &mut Appraisal) {
    let (tcb, signed) = (
        "a certificate of the report's product, TCB and chip",
        "a signature by that key over the raw report",
    );
    let Some(key) = key else {
        let needs = "a chain that holds (step 3)";
        out.not_run(Check::CertificateTcb, tcb, needs);
        out.not_run(Check::ReportSignature, signed, needs);
        return;
    };
    let found = format!("{}, TCB {}", key.product(), hex::encode(key.tcb().0));
    out.ran(Check::CertificateTcb, tcb, snp::report::certificate(key, report).map(|()| found));
    let found = "ECDSA P-384 with SHA-384 verifies";
    out.ran(Check::ReportSignature, signed, snp::report::signature(key, report).map(|()| found));
}

/// The certificate that is held against the report: the host's table goes first.
fn leaf(piece: &Piece, vek: Option<&[u8]>) -> Option<Vec<u8>> {
    let table = CertTable::parse(piece.certificate_table.as_deref().unwrap_or_default()).ok()?;
    table.get(Guid::VCEK).or_else(|| table.get(Guid::VLEK)).or(vek).map(<[u8]>::to_vec)
}

/// Steps 4 and 5 by a certificate whose chain does not hold or is not at hand: they show whether the two belong together.
fn unendorsed(report: &Report, leaf: &[u8], out: &mut Appraisal) {
    let expected = "a certificate of the report's product, TCB and chip";
    let found = "it says so, and its chain was not verified";
    out.ran(Check::CertificateTcb, expected, snp::unendorsed_certificate(leaf, report).map(|()| found));
    let expected = "a signature by the certificate's key over the raw report";
    let found = "verifies, by a certificate whose chain was not verified";
    out.ran(Check::ReportSignature, expected, snp::unendorsed_signature(leaf, report).map(|()| found));
    out.note("The chain of the signing key's certificate was not verified: anybody may have issued it.");
}

/// Step 6.
fn fields(
    report: &Report,
    key: Option<&VerifiedSnpKey>,
    product: Option<Product>,
    given: &Given,
    out: &mut Appraisal,
) {
    let found = report.vmpl();
    out.ran(Check::Vmpl, "a guest's VMPL, 0 to 3", snp::report::vmpl(report).map(|()| found));
    match key {
        Some(key) => {
            let found = if key.is_vlek() { "VLEK" } else { "VCEK" };
            out.ran(
                Check::SigningKey,
                "the certificate's kind of key",
                snp::report::signing_key(key, report).map(|()| found),
            );
        }
        None => {
            out.not_run(Check::SigningKey, "the certificate's kind of key", "a chain that holds (step 3)")
        }
    }
    let found = format!("policy {:#x}", report.policy().0);
    let expected = "no debugging, no migration agent, and what the policy demands";
    out.ran(Check::DebugAllowed, expected, snp::report::guest_policy(report, &given.policy).map(|()| found));
    let Some(product) = product else {
        let needs = "a certificate, which says what processor a version 2 report is of: --chain";
        out.not_run(Check::TcbOrder, "reported TCB at most committed, committed at most current", needs);
        return;
    };
    let found = format!("reported {}", components(&report.reported_tcb().decode(product)));
    let expected = "reported TCB at most committed, committed at most current, launch at most current";
    out.ran(Check::TcbOrder, expected, snp::report::tcb_order(product, report).map(|()| &found));
    match given.reference.as_ref().and_then(|reference| reference.minimum_tcb(product)) {
        Some(least) => {
            let expected = format!("at least {}", components(least));
            out.ran(
                Check::MinimumTcb,
                expected,
                snp::report::minimum_tcb(product, report, Some(least)).map(|()| found),
            );
        }
        None => out.not_run(
            Check::MinimumTcb,
            format!("the owner's least TCB for {product}"),
            "--policy with Reference Values (snp_minimum_tcb)",
        ),
    }
}

/// Step 7, for a challenge that the user names.
fn bound(report: &Report, given: &Given, out: &mut Appraisal) {
    let expected = "the challenge that the report has to answer";
    let found = report.report_data();
    match &given.nonce {
        None => out.not_run(Check::ReportData, expected, "--nonce HEX|FILE"),
        Some(nonce) => {
            let result = padded(nonce)
                .filter(|nonce| *nonce == found)
                .ok_or_else(|| VerifyError::new(Check::ReportData, hex::encode(nonce), HexArray(found)));
            out.ran(Check::ReportData, expected, result.map(|_| "report data is that challenge"));
        }
    }
}

fn padded(nonce: &[u8]) -> Option<[u8; REPORT_DATA]> {
    let mut out = [0; REPORT_DATA];
    out.get_mut(..nonce.len())?.copy_from_slice(nonce);
    Some(out)
}

/// Step 8.
fn launched(report: &Report, given: &Given, out: &mut Appraisal) {
    let expected = "a launch digest among the Reference Values";
    match given.reference.as_ref().filter(|_| given.documents.iter().any(|d| !d.snp_measurements.is_empty()))
    {
        Some(reference) => {
            let known = snp::launch::measurement(report, reference);
            out.ran(Check::LaunchDigest, expected, known.map(|known| format!("{:?}", known.description)));
        }
        None => {
            out.not_run(Check::LaunchDigest, expected, "--policy with Reference Values (snp_measurements)")
        }
    }
    if !given.policy.id_block_authors.is_empty() {
        let result = snp::launch::id_block_author(report, &given.policy.id_block_authors);
        out.ran(Check::IdBlockAuthor, "an id block of an accepted author", result.map(|()| "accepted"));
    }
}

/// A node for what a chain was verified to.
pub(super) fn key_node(key: &VerifiedSnpKey) -> Node {
    let mut node = Node::new("Verified key");
    node.field("Product", key.product());
    node.field("Kind", if key.is_vlek() { "VLEK" } else { "VCEK" });
    node.field("TCB", components(&key.tcb().decode(key.product())));
    if let Some(id) = key.hardware_id() {
        node.field("Chip id", hex::encode(id));
    }
    if let Some(csp) = key.csp_id() {
        node.field("Cloud provider", csp);
    }
    node
}
