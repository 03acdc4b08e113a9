//! Evidence of real machines, piece by piece: every verdict that is known of them.

use crate::vectors::vector;
use sealpod_evidence::azure::{AzSnpEvidence, Hardware, HclReport, RuntimeData, VtpmQuote};
use sealpod_evidence::pem;
use sealpod_evidence::snp::report::{Product, Report};
use sealpod_evidence::tpm::Attest;
use sealpod_verifier::tpm::quote;
use sealpod_verifier::{AppraisalPolicy, Check, Endorsements, VerifiedSnpKey, VerifyError, azure, snp};

const TRUSTEE: &str = "azure-vtpm/confidential-containers__trustee/az-snp-vtpm";
const KINVOLK: &str = "azure-vtpm/kinvolk__azure-cvm-tooling";
/// 2026-11-25T00:00:00Z, when all of the certificates are valid.
const NOW: u64 = 1_795_564_800;

/// The chain that comes in a file: leaf and authorities.
fn chain(file: &str) -> Option<Vec<Vec<u8>>> {
    let text = String::from_utf8(vector(file)?).unwrap();
    Some(pem::decode_all(&text, "CERTIFICATE").unwrap())
}

/// AMD's roots, and the authorities of a file.
fn endorsements(authorities: &[Vec<u8>]) -> Endorsements {
    let mut endorsements = Endorsements::new(Endorsements::builtin_snp_roots());
    authorities.iter().for_each(|der| endorsements.add_certificate(der.clone()));
    endorsements
}

fn report(hcl: &HclReport) -> &Report {
    match hcl.hardware() {
        Hardware::Snp(report) => report,
        Hardware::Tdx(_) => panic!("a TDREPORT"),
    }
}

/// Steps 4 to 6 and 9 of one report.
fn holds(key: &VerifiedSnpKey, hcl: &HclReport) -> Result<(), VerifyError> {
    let report = report(hcl);
    snp::report::certificate(key, report)?;
    snp::report::signature(key, report)?;
    azure::vmpl(report)?;
    snp::report::signing_key(key, report)?;
    snp::report::guest_policy(report, &AppraisalPolicy::default())?;
    snp::report::tcb_order(Product::Milan, report)?;
    azure::runtime_data(hcl, &report.report_data())
}

#[test]
fn evidence_of_every_version_holds() {
    let Some(authorities) = chain(&format!("{TRUSTEE}/vcek.pem")) else { return };
    for version in 0..=2 {
        let Some(bytes) = vector(&format!("{TRUSTEE}/evidence-v{version}.json")) else { return };
        let evidence = AzSnpEvidence::from_json(&bytes).unwrap();
        let endorsements = endorsements(&authorities[1..]);
        let key = snp::endorse_leaf(azure::leaf(&evidence), &[], &endorsements, false, NOW).unwrap();
        assert_eq!(holds(&key, &evidence.hcl), Ok(()), "version {version}");
        let nonce = evidence.quote.attest.extra_data.clone();
        assert_eq!(azure::vtpm_quote(&evidence.hcl, &evidence.quote, &nonce), Ok(()));
        let error = azure::vtpm_quote(&evidence.hcl, &evidence.quote, b"another").unwrap_err();
        assert_eq!(error.check, Check::QuoteNonce);
        // Version 2 repeats the nonce in the user data; before, there are zeros.
        let strict = AppraisalPolicy::default();
        let lax = AppraisalPolicy { dangerous_accept_stale_paravisor_report: true, ..strict.clone() };
        let fresh = azure::user_data(&evidence.hcl, &nonce, &strict).map_err(|error| error.check);
        assert_eq!(fresh, if version == 2 { Ok(()) } else { Err(Check::RuntimeUserData) });
        assert_eq!(azure::user_data(&evidence.hcl, &nonce, &lax), Ok(()));
    }
}

#[test]
fn no_bit_of_the_parts_that_are_covered_can_be_changed() {
    let Some(authorities) = chain(&format!("{TRUSTEE}/vcek.pem")) else { return };
    let Some(bytes) = vector(&format!("{TRUSTEE}/hcl-report.bin")) else { return };
    let key = snp::endorse_leaf(&authorities[0], &[], &endorsements(&authorities[1..]), false, NOW).unwrap();
    let end = 32 + 1184 + 20 + 1110;
    for offset in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[offset] ^= 1;
        let result = HclReport::parse(&spoiled).map(|hcl| holds(&key, &hcl));
        // The first header's version may as well be the other one; everything else is refused.
        let other = HclReport::parse(&spoiled).is_ok_and(|hcl| hcl.version() == 2);
        assert!(!matches!(result, Ok(Ok(()))) || other, "offset {offset:#x} of {end:#x}");
    }
}

#[test]
fn parts_of_one_machine_hold_and_those_of_another_do_not() {
    let Some(certificates) = chain(&format!("{TRUSTEE}/vcek.pem")) else { return };
    let Some(hcl) = vector(&format!("{TRUSTEE}/hcl-report.bin")) else { return };
    let hcl = HclReport::parse(&hcl).unwrap();
    let given = endorsements(&certificates[1..]);
    let key = snp::endorse_leaf(&certificates[0], &[], &given, false, NOW).unwrap();
    assert_eq!(holds(&key, &hcl), Ok(()));
    let Some(stored) = vector(&format!("{TRUSTEE}/quote.bin")) else { return };
    let stored = VtpmQuote::from_bincode(&stored).unwrap();
    assert_eq!(azure::vtpm_quote(&hcl, &stored, b"challenge"), Ok(()));
    // The quote that lies beside them is another vTPM's.
    let (Some(message), Some(signature), Some(json)) = (
        vector(&format!("{TRUSTEE}/tpm-quote.msg")),
        vector(&format!("{TRUSTEE}/tpm-quote.sig")),
        vector(&format!("{TRUSTEE}/tpm-quote-v1.json")),
    ) else {
        return;
    };
    let foreign = VtpmQuote { attest: Attest::parse(&message).unwrap(), signature, ..stored.clone() };
    assert_eq!(azure::quote_signature(&hcl, &foreign).unwrap_err().check, Check::QuoteSignature);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    let pcrs: Vec<_> = json["pcrs"].as_array().unwrap().iter().map(bytes).collect();
    let read = VtpmQuote::new(&bytes(&json["signature"]), &bytes(&json["message"]), &pcrs).unwrap();
    assert_eq!(azure::quoted_pcrs(&read), Ok(()));
    let verdict = azure::quote_signature(&hcl, &read).map_err(|error| error.check);
    assert_eq!(verdict, Ok(()));
}

#[test]
fn another_chips_certificate_and_another_vtpms_key_are_refused() {
    let Some(certificates) = chain(&format!("{KINVOLK}/certs.pem")) else { return };
    let Some(bytes) = vector(&format!("{KINVOLK}/hcl-report-snp.bin")) else { return };
    let hcl = HclReport::parse(&bytes).unwrap();
    let given = endorsements(&certificates[1..]);
    let key = snp::endorse_leaf(&certificates[0], &[], &given, false, NOW).unwrap();
    assert_eq!(holds(&key, &hcl).unwrap_err().check, Check::CertificateHardwareId);
    assert_eq!(snp::report::signature(&key, report(&hcl)).unwrap_err().check, Check::ReportSignature);
    assert_eq!(azure::runtime_data(&hcl, &report(&hcl).report_data()), Ok(()));
    // The quote is by the key in the file beside it, and that key is in neither report.
    let (Some(stored), Some(key), Some(runtime)) = (
        vector(&format!("{KINVOLK}/quote.bin")),
        vector(&format!("{KINVOLK}/akpub.pem")),
        vector(&format!("{KINVOLK}/var-data.bin")),
    ) else {
        return;
    };
    let stored = VtpmQuote::from_bincode(&stored).unwrap();
    assert_eq!(azure::quoted_pcrs(&stored), Ok(()));
    let spki = pem::decode(std::str::from_utf8(&key).unwrap(), "PUBLIC KEY").unwrap();
    let signature = sealpod_evidence::tpm::Signature::RsaSsa {
        hash: sealpod_evidence::tpm::HashAlg::Sha256,
        signature: stored.signature.clone(),
    };
    assert_eq!(quote::signature_by_spki(&spki, &signature, stored.attest.raw()), Ok(()));
    assert_eq!(azure::quote_signature(&hcl, &stored).unwrap_err().check, Check::QuoteSignature);
    let ak = RuntimeData::parse(&runtime).unwrap().ak().clone();
    // Nor is it in the runtime data that lies beside them.
    let verdict = quote::signature_by_key(&ak, &signature, stored.attest.raw(), "var-data.bin");
    assert_eq!(verdict.map_err(|error| error.check), Err(Check::QuoteSignature));
}

#[test]
fn a_td_report_hangs_together_with_its_runtime_data() {
    let Some(bytes) = vector(&format!("{KINVOLK}/hcl-report-tdx.bin")) else { return };
    let hcl = HclReport::parse(&bytes).unwrap();
    let Hardware::Tdx(report) = hcl.hardware() else { panic!("an SNP report") };
    assert_eq!(azure::td_report(report), Ok(()));
    assert_eq!(azure::runtime_data(&hcl, &report.report_data), Ok(()));
    let mut spoiled = bytes.clone();
    // MRTD.
    spoiled[32 + 512 + 16] ^= 1;
    let spoiled = HclReport::parse(&spoiled).unwrap();
    let Hardware::Tdx(report) = spoiled.hardware() else { panic!("an SNP report") };
    assert_eq!(azure::td_report(report).unwrap_err().check, Check::TdReport);
    let Some(stored) = vector(&format!("{KINVOLK}/quote.bin")) else { return };
    let stored = VtpmQuote::from_bincode(&stored).unwrap();
    assert_eq!(azure::quote_signature(&hcl, &stored).unwrap_err().check, Check::QuoteSignature);
}
