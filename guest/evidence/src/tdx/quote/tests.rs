use super::*;
use crate::bytes::HexArray;
use crate::testing::vector;

/// Captures, by version, length of the quote itself, and certification data.
const CAPTURES: &[(&str, u16, usize, u16)] = &[
    ("tdx/crates.io_dcap-qvl-0.7.1/tdx_quote", 4, 4936, 5),
    ("tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_outdated", 5, 5006, 5),
    ("tdx/crates.io_dcap-qvl-0.7.1/sgx_quote", 3, 4600, 5),
    ("tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_td15ex", 5, 5247, 5),
    ("ccel/google__go-tdx-guest/cos-113-tdx-quote.dat", 4, 4935, 5),
    ("tdx/confidential-containers__trustee/tdx_quote_4.dat", 4, 4936, 5),
    ("tdx/confidential-containers__trustee/tdx_quote_5.dat", 5, 5006, 5),
    ("tdx/oasisprotocol__oasis-core/quote_v4_tdx_ecdsa_p256.bin", 4, 4936, 5),
    ("tdx/oasisprotocol__oasis-core/quote_v4_tdx_ecdsa_p256_trailing.bin", 4, 4936, 5),
    ("fuzz/oasisprotocol__oasis-core/quote_v3_ecdsa_p256_eppid.bin", 3, 1456, 3),
    ("fuzz/oasisprotocol__oasis-core/quote_v3_ecdsa_p256_pck_chain.bin", 3, 4730, 5),
    ("tdx/automata-network__automata-dcap-attestation/tdx_quote_5.dat", 5, 5006, 5),
    ("tdx/intel__SGX-TDX-DCAP-QuoteVerificationLibrary/quote.dat", 4, 3696, 5),
];

/// A quote of version 4 about a TD, or of version 3 about an enclave, with nothing true in it.
fn made(version: u16) -> Vec<u8> {
    let mut out = version.to_le_bytes().to_vec();
    out.extend(KEY_ECDSA_P256.to_le_bytes());
    out.extend(if version == 3 { TEE_SGX } else { TEE_TDX }.to_le_bytes());
    out.extend([0; 4]);
    out.extend(INTEL_QE);
    out.extend([7; 20]);
    match version {
        3 => out.extend([1; enclave::LEN]),
        4 => out.extend([2; TD10_LEN]),
        _ => {
            out.extend(3_u16.to_le_bytes());
            out.extend((TD15_LEN as u32).to_le_bytes());
            out.extend([3; TD15_LEN]);
        }
    }
    let mut certified = vec![4; enclave::LEN + 64];
    certified.extend(2_u16.to_le_bytes());
    certified.extend([5, 5]);
    certified.extend(5_u16.to_le_bytes());
    certified.extend(3_u32.to_le_bytes());
    certified.extend(b"PEM");
    let mut data = vec![6; 128];
    if version > 3 {
        data.extend(CERTIFICATION_QE_REPORT.to_le_bytes());
        data.extend((certified.len() as u32).to_le_bytes());
    }
    data.extend(certified);
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn captures_are_read_to_their_last_byte() {
    for (path, version, length, certification) in CAPTURES {
        let Some(bytes) = vector(path) else { continue };
        let quote = Quote::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(quote.header.version, *version, "{path}");
        assert_eq!(bytes.len() - quote.padding, *length, "{path}");
        assert_eq!(quote.certification.kind(), *certification, "{path}");
        assert!(quote.qe_report.reserved_is_zero, "{path}");
    }
}

#[test]
fn text_after_a_quote_is_refused() {
    let Some(bytes) = vector("tdx/google__go-tdx-guest/tdx_prod_quote_SPR_E4.dat") else { return };
    assert_eq!(Quote::parse(&bytes), Err(QuoteError::Trailing { offset: 4935, left: 39 }));
    assert!(Quote::parse(&bytes[..4935]).is_ok());
}

#[test]
fn fields_of_a_capture_are_where_they_should_be() {
    let Some(bytes) = vector("tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_td15ex") else { return };
    let quote = Quote::parse(&bytes).unwrap();
    let td = quote.td().unwrap();
    let starts = |bytes: &[u8], hex: &str| hex::encode(bytes).starts_with(hex);
    assert!(starts(&td.tee_tcb_svn.0, "0f010400"));
    assert!(starts(&td.mr_seam.0, "ab62561a"));
    assert_eq!(td.td_attributes.names().collect::<Vec<_>>(), ["SEPT_VE_DISABLE"]);
    assert_eq!(td.xfam.0, 0x6_02e7);
    assert!(starts(&td.mr_td.0, "2a674327"));
    assert!(starts(&td.mr_config_id.0, "0151ed70"));
    assert!(starts(&td.rtmr[3].0, "556d4986"));
    assert!(starts(quote.body.report_data(), "2945321c"));
    let td15 = td.td15.as_ref().unwrap();
    assert_eq!(td15.tee_tcb_svn2, td.tee_tcb_svn);
    assert_eq!(td15.mr_service_td, HexArray([0; 48]));
    let extended = td15.extended.as_ref().unwrap();
    assert_eq!(extended.vm_id, 0);
    assert!(starts(&extended.td_id.0, "e1f3ee82"));
    assert_eq!(extended.current_service_td_attributes, HexArray([0; 8]));
}

#[test]
fn every_version_is_read_and_no_byte_is_left_over() {
    for version in 3..=5 {
        let bytes = made(version);
        let quote = Quote::parse(&bytes).unwrap();
        assert_eq!(quote.header.version, version);
        assert_eq!(quote.certification, Certification::PckChain(b"PEM"));
        assert_eq!(quote.qe_authentication_data, [5, 5]);
        assert_eq!(quote.signature, &[6; 64]);
        for end in 0..bytes.len() {
            assert!(Quote::parse(&bytes[..end]).is_err(), "version {version}, {end} bytes");
        }
    }
}

#[test]
fn only_zeros_may_follow() {
    let mut bytes = made(4);
    let end = bytes.len();
    bytes.resize(end + 100, 0);
    assert_eq!(Quote::parse(&bytes).unwrap().padding, 100);
    bytes[end + 99] = 1;
    assert_eq!(Quote::parse(&bytes), Err(QuoteError::Trailing { offset: end, left: 100 }));
    bytes.resize(MAX_LEN + 1, 0);
    assert!(matches!(Quote::parse(&bytes), Err(QuoteError::TooLong { .. })));
}

#[test]
fn each_field_of_the_header_is_a_known_one() {
    let refused = |version: u16, at: usize, value: u8| {
        let mut bytes = made(version);
        bytes[at] = value;
        Quote::parse(&bytes).unwrap_err()
    };
    assert_eq!(refused(4, 0, 6), QuoteError::Version { found: 6 });
    assert_eq!(refused(4, 0, 2), QuoteError::Version { found: 2 });
    assert_eq!(refused(4, 2, 3), QuoteError::KeyType { found: 3 });
    assert_eq!(refused(4, 4, 0x82), QuoteError::Tee { version: 4, found: 0x82 });
    assert_eq!(refused(3, 4, 0x81), QuoteError::Tee { version: 3, found: 0x81 });
    assert_eq!(refused(4, 8, 1), QuoteError::Reserved { found: 1 });
    assert_eq!(refused(5, 11, 1), QuoteError::Reserved { found: 0x0100_0000 });
    assert!(matches!(refused(4, 12, 0), QuoteError::Vendor { .. }));
    assert_eq!(refused(5, 48, 5), QuoteError::BodyType { tee: TeeKind::Tdx, kind: 5, len: 648 });
    assert_eq!(refused(5, 48, 1), QuoteError::BodyType { tee: TeeKind::Tdx, kind: 1, len: 648 });
    assert_eq!(refused(5, 50, 0), QuoteError::BodyType { tee: TeeKind::Tdx, kind: 3, len: 512 });
}

#[test]
fn nested_lengths_are_exact() {
    let version_3 = HEADER_LEN + enclave::LEN;
    let version_4 = HEADER_LEN + TD10_LEN;
    // Signature data, the QE report's wrapper, and the innermost certification data; each one more and one less.
    for (version, at) in [
        (3, version_3),
        (4, version_4),
        (4, version_4 + 4 + 128 + 2),
        (4, version_4 + 4 + 128 + 6 + enclave::LEN + 64 + 4 + 2),
        (3, version_3 + 4 + 128 + enclave::LEN + 64 + 4 + 2),
    ] {
        for change in [1_u8, 0xff] {
            let mut bytes = made(version);
            bytes[at] = bytes[at].wrapping_add(change);
            bytes.resize(bytes.len() + 8, 0);
            let error = Quote::parse(&bytes).unwrap_err();
            assert!(matches!(error, QuoteError::Length { .. }), "version {version}, {at}: {error}");
        }
    }
}

#[test]
fn certification_data_is_of_a_known_type() {
    let outer = HEADER_LEN + TD10_LEN + 4 + 128;
    let mut bytes = made(4);
    bytes[outer] = 5;
    assert!(matches!(Quote::parse(&bytes), Err(QuoteError::Certification { found: 5, .. })));
    let inner = outer + 6 + enclave::LEN + 64 + 4;
    for kind in [0, 6, 8] {
        let mut bytes = made(4);
        bytes[inner] = kind;
        let found = u16::from(kind);
        assert_eq!(Quote::parse(&bytes), Err(QuoteError::Certification { place: "of the PCK", found }));
    }
    for kind in [1, 2, 3, 4, 7] {
        let mut bytes = made(4);
        bytes[inner] = kind;
        assert_eq!(Quote::parse(&bytes).unwrap().certification.kind(), u16::from(kind));
    }
}

#[test]
fn a_debug_enclave_is_one() {
    let mut report = [0; enclave::LEN];
    assert!(!EnclaveReport::parse(&report).unwrap().debug());
    report[48] = 2;
    assert!(EnclaveReport::parse(&report).unwrap().debug());
    report[383] = 1;
    assert!(EnclaveReport::parse(&report).unwrap().reserved_is_zero);
    report[319] = 1;
    assert!(!EnclaveReport::parse(&report).unwrap().reserved_is_zero);
}
