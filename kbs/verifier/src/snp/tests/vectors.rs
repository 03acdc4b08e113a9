//! Every SNP entry of the vectors' manifest, through steps 3 to 6 and against what the manifest says of it.

use super::{NOW, any_tcb, authorities, certificates, vector};
use crate::policy::AppraisalPolicy;
use crate::snp::names::{AMD, Role};
use crate::snp::{endorse, endorse_leaf, is_leaf, report, report_error};
use crate::x509::Certificate;
use crate::{Check, Endorsements, VerifyError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_evidence::snp::cert_table::CertTable;
use sealpod_evidence::snp::report::{Product, REPORT_LEN, Report, SigningKey};
use serde_json::Value;

/// The entries of these groups; none where the vectors are absent.
fn items(groups: &[&str]) -> Vec<Value> {
    let Some(manifest) = vector("manifest.json") else { return Vec::new() };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let of = |item: &&Value| groups.iter().any(|group| text(item, "group").starts_with(group));
    manifest["items"].as_array().unwrap().iter().filter(of).cloned().collect()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

/// The report in a file: by itself, in hex, or in a paravisor's report, which itself may be in JSON.
fn raw_report(item: &Value) -> Vec<u8> {
    let bytes = vector(text(item, "path")).unwrap();
    let hcl = |bytes: &[u8]| bytes[0x20..0x20 + REPORT_LEN].to_vec();
    match text(item, "path").rsplit('.').next() {
        Some("hex") => hex::decode(bytes).unwrap(),
        Some("json") => {
            let sent: Value = serde_json::from_slice(&bytes).unwrap();
            match (&sent["hcl_report"], &sent["report"]) {
                (Value::String(text), _) => hcl(&URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap()),
                (_, Value::Array(list)) => {
                    hcl(&list.iter().map(|byte| byte.as_u64().unwrap() as u8).collect::<Vec<_>>())
                }
                _ => panic!("{}", text(item, "path")),
            }
        }
        _ if bytes.starts_with(b"HCLA") => hcl(&bytes),
        _ => bytes,
    }
}

/// All that the vectors have of AMD's certificates, but for those that were tampered with.
fn endorsements() -> Endorsements {
    let mut known = Endorsements::new(Endorsements::builtin_snp_roots());
    for item in items(&["snp-", "shared-chain", "az-"]) {
        let path = text(&item, "path");
        let certificate = [".der", ".pem", ".testcer", "cert_chain_milan", "cert_chain_turin"];
        let sound = !text(&item, "expected").starts_with("tampered");
        if sound && certificate.iter().any(|end| path.ends_with(end)) && !path.ends_with("akpub.pem") {
            certificates(path).unwrap().into_iter().for_each(|der| known.add_certificate(der));
        }
    }
    // Azure's evidence has its leaf inside.
    for item in items(&["az-trustee-snp-v1v2"]) {
        let sent: Option<Value> = serde_json::from_slice(&vector(text(&item, "path")).unwrap()).ok();
        let Some(vcek) = sent.as_ref().and_then(|sent| sent["vcek"].as_str()) else { continue };
        let body: String = vcek.lines().filter(|line| !line.starts_with('-')).collect();
        if let Ok(der) =
            URL_SAFE_NO_PAD.decode(body.trim_end_matches('=').replace('+', "-").replace('/', "_"))
        {
            known.add_certificate(der);
        }
    }
    known
}

/// Steps 3 to 6, with a least TCB that lets every TCB through.
fn appraise(report: &Report, known: &Endorsements, policy: &AppraisalPolicy) -> Result<Product, VerifyError> {
    let table = CertTable::parse(&[]).unwrap();
    let key = endorse(report, &table, known, false, NOW)?;
    report::certificate(&key, report)?;
    report::signature(&key, report)?;
    report::vmpl(report)?;
    report::fields(&key, report, policy, any_tcb(key.product()).minimum_tcb(key.product()))?;
    Ok(key.product())
}

/// What the manifest says of a report's fields.
fn facts(item: &Value, report: &Report, product: Product) {
    let (facts, path) = (&item["key_facts"], text(item, "path"));
    assert_eq!(facts["version"], report.version(), "{path}");
    assert_eq!(facts["policy"], format!("{:#x}", report.policy().0), "{path}");
    assert_eq!(facts["debug"], report.policy().debug_allowed(), "{path}");
    assert_eq!(facts["vmpl"], report.vmpl(), "{path}");
    assert_eq!(facts["signing_key"] == "VLEK", report.key_info().signing_key() == SigningKey::Vlek, "{path}");
    assert_eq!(facts["chip"], product.as_str(), "{path}");
    // The manifest leaves out what Turin pads its id with.
    let id = if product == Product::Turin { 8 } else { 64 };
    assert!(report.chip_id()[id..].iter().all(|byte| *byte == 0), "{path}");
    let hexes = [
        ("report_data", hex::encode(report.report_data())),
        ("measurement", hex::encode(report.measurement())),
        ("host_data", hex::encode(report.host_data())),
        ("chip_id", hex::encode(&report.chip_id()[..id])),
        ("reported_tcb", hex::encode(report.reported_tcb().0)),
    ];
    for (name, found) in hexes {
        assert_eq!(facts[name], found, "{path}: {name}");
    }
}

#[test]
fn every_report_gets_the_verdict_of_the_manifest() {
    let (known, strict) = (endorsements(), AppraisalPolicy::default());
    let debug = AppraisalPolicy { dangerous_accept_debug: true, ..AppraisalPolicy::default() };
    let mut seen = 0;
    for item in items(&["snp-", "az-"]) {
        if item["key_facts"]["version"].is_null() || item["key_facts"]["report_data"].is_null() {
            continue;
        }
        if text(&item, "path").contains("tdx") {
            continue;
        }
        seen += 1;
        let (path, expected) = (text(&item, "path"), text(&item, "expected"));
        let parsed = Report::parse(&raw_report(&item)).map_err(|error| report_error(&error));
        let verdict = |policy| parsed.clone().and_then(|report| appraise(&report, &known, policy));
        let refused = || verdict(&strict).map(|_| ()).unwrap_err().check;
        if expected.starts_with("verifies (DEBUG") {
            assert_eq!(refused(), Check::DebugAllowed, "{path}");
            facts(&item, parsed.as_ref().unwrap(), verdict(&debug).unwrap());
        } else if expected.starts_with("verifies") || expected.starts_with("full chain accept") {
            let product = verdict(&strict).unwrap_or_else(|error| panic!("{path}: {error}"));
            facts(&item, parsed.as_ref().unwrap(), product);
        } else if expected.starts_with("reject: not signed") {
            assert_eq!(refused(), Check::EvidenceVersion, "{path}");
        } else {
            // Another chip's certificate: none of those known is for this one.
            assert_eq!(refused(), Check::ChainIncomplete, "{path}: {expected}");
        }
    }
    assert!(seen == 0 || seen >= 15, "{seen} reports");
}

#[test]
fn a_certificate_of_another_chip_is_told_from_one_of_another_tcb() {
    let cases = [
        // The same TCB, another chip.
        (
            "azure-vtpm/kinvolk__azure-cvm-tooling/hcl-report-snp.bin",
            "azure-vtpm/kinvolk__azure-cvm-tooling/certs.pem",
            Check::CertificateHardwareId,
        ),
        (
            "snp/veehaitch__routex-client-lua/report-genoa-v2-99b12a.bin",
            "snp/veehaitch__routex-client-lua/vcek-chain-genoa.pem",
            Check::CertificateTcb,
        ),
        (
            "snp/veehaitch__routex-client-lua/report-turin-v5-3f44a0.bin",
            "snp/microsoft__TEE-Attestation-Verification/milan_vcek.pem",
            Check::CertificateProduct,
        ),
    ];
    for (path, leaf, check) in cases {
        let Some(leaf) = certificates(leaf) else { return };
        let item = serde_json::json!({ "path": path });
        let report = Report::parse(&raw_report(&item)).unwrap();
        let key = endorse_leaf(&leaf[0], &[], &endorsements(), false, NOW).unwrap();
        assert_eq!(report::certificate(&key, &report).unwrap_err().check, check, "{path}");
        assert_eq!(report::signature(&key, &report).unwrap_err().check, Check::ReportSignature, "{path}");
    }
}

#[test]
fn every_certificate_gets_the_verdict_of_the_manifest() {
    let known = endorsements();
    for item in items(&["snp-", "shared-chain"]) {
        let (path, expected) = (text(&item, "path"), text(&item, "expected"));
        let component = expected.starts_with("certificate component");
        if !component && !expected.starts_with("tampered") {
            continue;
        }
        for der in certificates(path).unwrap() {
            if is_leaf(&der) {
                let key = endorse_leaf(&der, &[], &known, false, NOW);
                assert_eq!(key.is_ok(), component, "{path}");
                if let Err(error) = key {
                    assert_eq!(error.check, Check::CertificateSignature, "{path}");
                }
                continue;
            }
            let authority = Certificate::parse(&der, &AMD).unwrap();
            let product = match Role::of(authority.subject()).unwrap() {
                Role::Ark(product) | Role::Ask(product) | Role::Asvk(product) => product,
                other => panic!("{path}: {other:?}"),
            };
            let above = authorities(product).unwrap();
            let root = above.iter().map(|der| Certificate::parse(der, &AMD).unwrap());
            let root = root.into_iter().find(|it| Role::of(it.subject()) == Ok(Role::Ark(product))).unwrap();
            assert!(authority.is_signed_by(&root), "{path}");
            assert!(authority.validity(NOW).is_ok() && authority.require_authority(0).is_ok(), "{path}");
        }
    }
}
