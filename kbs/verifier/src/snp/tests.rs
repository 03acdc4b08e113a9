//! Reports and chains of real machines through steps 3 to 6; where they are from is in the vectors' manifest.
//! At the end, test evidence byte by byte.

mod vectors;

use super::*;
use crate::reference::ReferenceValues;
use crate::testing::vector;
use crate::{AppraisalPolicy, SnpRoot};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealpod_evidence::reference_values::{ReferenceDocument, SnpTcb, VERSION};
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::pki;
use sealpod_testkit::report::ReportFields;
use std::collections::BTreeMap;

/// 2026-06-01, when all the chains here are valid.
const NOW: UnixTime = 1_780_272_000;
const MICROSOFT: &str = "snp/microsoft__TEE-Attestation-Verification";
const ROUTEX: &str = "snp/veehaitch__routex-client-lua";
const TRUSTEE: &str = "snp/confidential-containers__trustee";

/// The certificates of a file, DER or PEM; none where it is absent.
fn certificates(path: &str) -> Option<Vec<Vec<u8>>> {
    let bytes = vector(path)?;
    if bytes.first() == Some(&0x30) {
        return Some(vec![bytes]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let body = |block: &str| block.split("-----END").next().unwrap().split_whitespace().collect::<String>();
    Some(blocks.map(|block| STANDARD.decode(body(block)).unwrap()).collect())
}

fn report_of(path: &str) -> Option<Report> {
    let bytes = vector(path)?;
    let bytes = if path.ends_with(".hex") { hex::decode(bytes).unwrap() } else { bytes };
    Some(Report::parse(&bytes).unwrap())
}

/// AMD's ARK, ASK and ASVK of one line.
fn authorities(product: Product) -> Option<Vec<Vec<u8>>> {
    certificates(&format!("certs/confidential-containers__trustee/{product}_ask_ark_asvk.pem"))
}

fn chain(leaf: &[u8], given: &[Vec<u8>], now: UnixTime) -> Result<VerifiedSnpKey, VerifyError> {
    let mut endorsements = Endorsements::new(Endorsements::builtin_snp_roots());
    endorsements.set_certificates(given.to_vec());
    endorse_leaf(leaf, &[], &endorsements, false, now)
}

/// Reference Values that take every TCB of this product.
fn any_tcb(product: Product) -> ReferenceValues {
    let least = SnpTcb { fmc: (product == Product::Turin).then_some(0), ..SnpTcb::default() };
    let snp_minimum_tcb = BTreeMap::from([(product.to_string(), least)]);
    let document = ReferenceDocument { version: VERSION, snp_minimum_tcb, ..ReferenceDocument::default() };
    ReferenceValues::from_documents(&[document]).unwrap()
}

/// Steps 3 to 6 of a report and its leaf.
fn appraise(report: &Report, leaf: &[u8], product: Product, given: &[Vec<u8>]) -> Result<(), VerifyError> {
    let key = chain(leaf, given, NOW)?;
    assert_eq!(key.product, product);
    super::report::certificate(&key, report)?;
    super::report::signature(&key, report)?;
    super::report::fields(&key, report, &AppraisalPolicy::default(), any_tcb(product).minimum_tcb(product))
}

#[test]
fn the_pinned_roots_are_amds() {
    let roots = Endorsements::builtin_snp_roots();
    assert_eq!(roots.len(), 3);
    for root in roots {
        let path = format!("certs/microsoft__TEE-Attestation-Verification/{}_ark.pem", root.product);
        let Some(ark) = certificates(&path) else { return };
        let ark = Certificate::parse(&ark[0], &AMD).unwrap();
        assert_eq!(Role::of(ark.subject()).unwrap(), Role::Ark(root.product));
        assert_eq!(digest::digest(&digest::SHA384, &ark.spki()).as_ref(), root.spki_sha384);
    }
}

#[test]
fn genuine_reports_hold() {
    let reports = [
        (
            format!("{MICROSOFT}/milan_attestation_report.bin"),
            format!("{MICROSOFT}/milan_vcek.pem"),
            Product::Milan,
        ),
        (
            format!("{MICROSOFT}/turin_attestation_report.bin"),
            format!("{MICROSOFT}/turin_vcek.pem"),
            Product::Turin,
        ),
        (
            format!("{ROUTEX}/report-genoa-v3-dc5d43.bin"),
            format!("{ROUTEX}/vcek-chain-genoa.pem"),
            Product::Genoa,
        ),
        (
            format!("{ROUTEX}/report-genoa-v5-643565.bin"),
            format!("{ROUTEX}/vcek-chain-genoa-v5.pem"),
            Product::Genoa,
        ),
        (
            format!("{ROUTEX}/report-turin-v5-3f44a0.bin"),
            format!("{ROUTEX}/vcek-chain-turin.pem"),
            Product::Turin,
        ),
        (format!("{TRUSTEE}/test-report.bin"), format!("{TRUSTEE}/test-vcek.der"), Product::Milan),
        ("snp/virtee__sev/report_milan.hex".into(), "snp/virtee__sev/vcek_milan.der".into(), Product::Milan),
        (
            "snp/project-oak__oak/turin_oc_report.bin".into(),
            "snp/project-oak__oak/turin_oc_vcek.der".into(),
            Product::Turin,
        ),
    ];
    for (report, leaf, product) in reports {
        let (Some(parsed), Some(leaf), Some(given)) =
            (report_of(&report), certificates(&leaf), authorities(product))
        else {
            return;
        };
        appraise(&parsed, &leaf[0], product, &given).unwrap_or_else(|error| panic!("{report}: {error}"));
    }
}

#[test]
fn a_debug_guest_is_refused() {
    let (Some(report), Some(leaf), Some(given)) = (
        report_of("snp/google__go-sev-guest/attestation.bin"),
        certificates("snp/google__go-sev-guest/vcek.testcer"),
        authorities(Product::Milan),
    ) else {
        return;
    };
    let error = appraise(&report, &leaf[0], Product::Milan, &given).unwrap_err();
    assert_eq!(error.check, Check::DebugAllowed);
}

#[test]
fn a_report_of_another_chip_is_refused() {
    let (Some(report), Some(leaf), Some(given)) = (
        report_of(&format!("{ROUTEX}/report-genoa-v2-99b12a.bin")),
        certificates(&format!("{ROUTEX}/vcek-chain-genoa.pem")),
        authorities(Product::Genoa),
    ) else {
        return;
    };
    let key = chain(&leaf[0], &given, NOW).unwrap();
    assert_eq!(super::report::certificate(&key, &report).unwrap_err().check, Check::CertificateTcb);
    assert_eq!(super::report::signature(&key, &report).unwrap_err().check, Check::ReportSignature);
}

#[test]
fn a_certificate_that_was_tampered_with_is_refused() {
    let Some(given) = authorities(Product::Milan) else { return };
    for leaf in ["test-vcek-invalid-legacy.der", "test-vcek-invalid-new.der"] {
        let Some(leaf) = certificates(&format!("{TRUSTEE}/{leaf}")) else { return };
        assert_eq!(chain(&leaf[0], &given, NOW).unwrap_err().check, Check::CertificateSignature);
    }
}

#[test]
fn a_genuine_chain_is_held_against_time_and_product() {
    let path = format!("{MICROSOFT}/milan_vcek.pem");
    let (Some(leaf), Some(given)) = (certificates(&path), authorities(Product::Milan)) else { return };
    let key = chain(&leaf[0], &given, NOW).unwrap();
    assert!(!key.vlek && !key.revocation_checked);
    assert_eq!(key.tcb, [4, 0, 0, 0, 0, 0, 0x18, 0xdb]);
    // The leaf's window, 2026-02-05 01:04:33 for seven years as `openssl x509` prints it, is inside its
    // issuers'.
    assert_eq!((key.not_before, key.not_after), (1_770_253_473, 1_991_178_273));
    for now in [key.not_before - 1, key.not_after + 1] {
        assert_eq!(chain(&leaf[0], &given, now).unwrap_err().check, Check::CertificateValidity);
    }
    let Some(genoa) = authorities(Product::Genoa) else { return };
    assert_eq!(chain(&leaf[0], &genoa, NOW).unwrap_err().check, Check::ChainIncomplete);
}

/// The test root, ASK and VCEK, none of them from a real machine.
fn test_chain(leaf: &[u8], given: [&[u8]; 2]) -> Result<VerifiedSnpKey, VerifyError> {
    let mut spki_sha384 = [0; 48];
    spki_sha384.copy_from_slice(digest::digest(&digest::SHA384, &Key::Ark.spki()).as_ref());
    let roots = vec![SnpRoot { product: Product::Genoa, spki_sha384 }];
    endorse_leaf(leaf, &given, &Endorsements::new(roots), false, NOW)
}

#[test]
fn no_byte_of_a_chain_can_be_changed() {
    let certificates = [pki::vcek_der(), pki::ask_der(), pki::ark_der()];
    assert!(test_chain(certificates[0], [certificates[1], certificates[2]]).is_ok());
    for which in 0..certificates.len() {
        for at in 0..certificates[which].len() {
            let mut spoiled = certificates.map(<[u8]>::to_vec);
            spoiled[which][at] ^= 1;
            let [leaf, ask, ark] = &spoiled;
            assert!(test_chain(leaf, [ask, ark]).is_err(), "certificate {which}, byte {at}");
        }
    }
}

#[test]
fn no_byte_of_a_report_can_be_changed() {
    let key = test_chain(pki::vcek_der(), [pki::ask_der(), pki::ark_der()]).unwrap();
    let raw = ReportFields::default().to_bytes_signed();
    let holds = |raw: &[u8]| {
        let report = Report::parse(raw).map_err(|error| error.to_string())?;
        super::report::signature(&key, &report).map_err(|error| error.to_string())
    };
    assert_eq!(holds(&raw), Ok(()));
    for at in 0..raw.len() {
        for bit in 0..8 {
            let mut spoiled = raw;
            spoiled[at] ^= 1 << bit;
            assert!(holds(&spoiled).is_err(), "byte {at:#x}, bit {bit}");
        }
    }
}
