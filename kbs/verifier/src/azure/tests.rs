//! Single checks; whole evidence is in tests/azure.

use super::*;
use sealpod_evidence::azure::AzTdxEvidence;
use sealpod_evidence::tdx::Quote;
use sealpod_testkit::AzureBundle;
use sealpod_testkit::tdx::TdFields;

/// The name of a field, and how it is spoiled in the quote.
type Field = (&'static str, fn(&mut TdFields));

const FIELDS: [Field; 17] = [
    ("TEE_TCB_SVN", |td| td.tee_tcb_svn[15] ^= 1),
    ("MRSEAM", |td| td.mr_seam[47] ^= 1),
    ("MRSIGNERSEAM", |td| td.mr_signer_seam[0] ^= 1),
    ("SEAMATTRIBUTES", |td| td.seam_attributes[7] ^= 1),
    ("ATTRIBUTES", |td| td.td_attributes ^= 1),
    ("XFAM", |td| td.xfam ^= 1),
    ("MRTD", |td| td.mr_td[0] ^= 1),
    ("MRCONFIGID", |td| td.mr_config_id[0] ^= 1),
    ("MROWNER", |td| td.mr_owner[0] ^= 1),
    ("MROWNERCONFIG", |td| td.mr_owner_config[0] ^= 1),
    ("RTMR0", |td| td.rtmr[0][0] ^= 1),
    ("RTMR1", |td| td.rtmr[1][0] ^= 1),
    ("RTMR2", |td| td.rtmr[2][0] ^= 1),
    ("RTMR3", |td| td.rtmr[3][47] ^= 1),
    ("REPORTDATA", |td| td.report_data[63] ^= 1),
    ("TEE_TCB_SVN2", |td| td.tee_tcb_svn2[0] ^= 1),
    ("SERVTD_HASH", |td| td.mr_service_td[0] ^= 1),
];

#[test]
fn every_field_that_td_report_and_quote_have_is_compared() {
    let mut bundle = AzureBundle::tdx();
    bundle.quote.version = 5;
    let sealed = bundle.seal();
    let evidence = AzTdxEvidence::from_value(&sealed.attestation().tee_evidence.primary_evidence).unwrap();
    let sealpod_evidence::azure::Hardware::Tdx(report) = evidence.hcl.hardware() else { panic!() };
    let compare = |bytes: &[u8]| td_quote(report, Quote::parse(bytes).unwrap().td().unwrap());
    assert_eq!(compare(&evidence.td_quote), Ok(()));
    for (name, spoil) in FIELDS {
        let mut quote = sealed.quote.clone();
        spoil(&mut quote.td);
        let error = compare(&quote.to_bytes()).unwrap_err();
        assert_eq!((error.check, error.expected.split(' ').next()), (Check::TdReport, Some(name)));
    }
}

#[test]
fn what_does_not_parse_fails_the_check_that_names_it() {
    let check = |error: WireError| wire_error(&error).check;
    let quote = |what| WireError::Quote(QuoteError::Size { what, expected: 1, found: 2 });
    assert_eq!(check(quote("PCR count")), Check::PcrValues);
    assert_eq!(check(quote("PCR bytes")), Check::PcrValues);
    assert_eq!(check(quote("signature bytes")), Check::TpmStructure);
    assert_eq!(check(QuoteError::from(TpmError::Magic { found: 0 }).into()), Check::QuoteType);
    assert_eq!(check(QuoteError::from(TpmError::AttestType { found: 0 }).into()), Check::QuoteType);
    assert_eq!(check(WireError::Version { found: "3".to_owned() }), Check::EvidenceVersion);
    assert_eq!(check(WireError::Json { found: String::new() }), Check::PrimaryEvidence);
    assert_eq!(check(HclError::TooLong { expected: 1, found: 2 }.into()), Check::Budget);
    assert_eq!(check(HclError::Reserved { offset: 1 }.into()), Check::PrimaryEvidence);
}
