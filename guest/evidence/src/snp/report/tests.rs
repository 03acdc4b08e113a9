use super::*;
use crate::reference_values::SnpTcb;
use crate::testing;

/// A version 3 report of a Genoa with a value in every field that has a meaning.
fn genoa() -> [u8; REPORT_LEN] {
    let mut raw = [0; REPORT_LEN];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x000, &3u32.to_le_bytes());
    put(0x004, &7u32.to_le_bytes());
    put(POLICY, &0x0003_0137_u64.to_le_bytes());
    put(0x034, &1u32.to_le_bytes());
    for at in [CURRENT_TCB, REPORTED_TCB, COMMITTED_TCB, LAUNCH_TCB] {
        put(at, &[3, 1, 0, 0, 0, 0, 10, 20]);
    }
    put(PLATFORM_INFO, &[0x25]);
    put(0x050, &[0xd0; 64]);
    put(0x090, &[0xd1; 48]);
    put(0x0C0, &[0xd2; 32]);
    put(0x140, &[0xd3; 32]);
    put(CPUID, &[0x19, 0x11, 1]);
    put(0x1A0, &[0xd4; 64]);
    put(0x1E8, &[9, 55, 1, 0, 8, 55, 1]);
    put(SIGNATURE_R, &[0xe0; SCALAR_LEN]);
    put(SIGNATURE_S, &[0xe1; SCALAR_LEN]);
    put(SIGNATURE_R, &[0xe2]);
    put(SIGNATURE_S + SCALAR_LEN - 1, &[0xe3]);
    raw
}

fn spoiled(at: usize, byte: u8) -> Result<Report, ReportError> {
    let mut raw = genoa();
    raw[at] = byte;
    Report::parse(&raw)
}

#[test]
fn fields_are_read_where_the_document_puts_them() {
    let report = Report::parse(&genoa()).unwrap();
    assert_eq!((report.version(), report.guest_svn(), report.vmpl()), (3, 7, 0));
    assert_eq!((report.policy().abi_major(), report.policy().abi_minor()), (1, 0x37));
    assert!(report.policy().smt_allowed() && !report.policy().debug_allowed());
    assert!(report.platform_info().alias_check_complete() && report.platform_info().ecc_enabled());
    assert_eq!(report.key_info().signing_key(), SigningKey::Vcek);
    assert_eq!(report.report_data(), [0xd0; 64]);
    assert_eq!(report.measurement(), [0xd1; 48]);
    assert_eq!(report.host_data(), [0xd2; 32]);
    assert_eq!(report.report_id(), [0xd3; 32]);
    assert_eq!(report.chip_id(), [0xd4; 64]);
    assert_eq!(report.cpuid(), Some((0x19, 0x11, 1)));
    assert_eq!(report.product(), Some(Product::Genoa));
    assert_eq!(report.current_version().to_string(), "1.55.9");
    assert!(report.committed_version() < report.current_version());
    assert_eq!(report.launch_mitigation_vector(), None);
    assert_eq!(report.signed().len(), SIGNED_LEN);
}

#[test]
fn the_signature_is_turned_to_big_endian() {
    let signature = Report::parse(&genoa()).unwrap().signature();
    assert_eq!((signature[0], signature[47], signature[48], signature[95]), (0xe0, 0xe2, 0xe3, 0xe1));
}

#[test]
fn tcb_layout_follows_the_product() {
    let bytes = TcbBytes([1, 2, 3, 4, 0, 0, 6, 7]);
    let genoa = SnpTcb { fmc: None, bootloader: 1, tee: 2, snp: 6, microcode: 7 };
    let turin = SnpTcb { fmc: Some(1), bootloader: 2, tee: 3, snp: 4, microcode: 7 };
    assert_eq!(bytes.decode(Product::Milan), genoa);
    assert_eq!(bytes.decode(Product::Genoa), genoa);
    assert_eq!(bytes.decode(Product::Turin), turin);
}

#[test]
fn every_other_length_is_refused() {
    let raw = genoa();
    for found in 0..REPORT_LEN {
        let expected = ReportError::Length { expected: REPORT_LEN, found };
        assert_eq!(Report::parse(&raw[..found]).unwrap_err(), expected);
    }
    let long = [&raw[..], &[0]].concat();
    assert!(matches!(Report::parse(&long), Err(ReportError::Length { found: 1185, .. })));
}

#[test]
fn version_product_and_policy_have_their_own_errors() {
    for found in [0, 1, 6, 255] {
        assert_eq!(spoiled(0, found).unwrap_err(), ReportError::Version { found: u32::from(found) });
    }
    let unknown = ReportError::Product { family: 0x19, model: 0x20 };
    assert_eq!(spoiled(CPUID + 1, 0x20).unwrap_err(), unknown);
    let policy = ReportError::PolicyBit { found: 0x0001_0137 };
    assert_eq!(spoiled(POLICY + 2, 0x01).unwrap_err(), policy);
}

/// For each byte, the bits that must be zero, written from table 23 and not from the code under test.
fn reserved_of(version: u32, product: Product) -> Vec<u8> {
    let mut mask = vec![0; REPORT_LEN];
    let mut fill = |from: usize, to: usize| mask[from..to].fill(0xff);
    fill(0x00c, 0x010);
    fill(0x041, 0x048);
    fill(0x049, 0x050);
    fill(if version < 3 { 0x188 } else { 0x18b }, 0x1a0);
    fill(0x1eb, 0x1ec);
    fill(0x1ef, 0x1f0);
    fill(if version < 5 { 0x1f8 } else { 0x208 }, 0x2a0);
    fill(0x2d0, 0x2e8);
    fill(0x318, 0x4a0);
    for tcb in [0x038, 0x180, 0x1e0, 0x1f0] {
        if product == Product::Turin { fill(tcb + 4, tcb + 7) } else { fill(tcb + 2, tcb + 6) }
    }
    mask[0x00b] = if version < 5 { 0xfe } else { 0xfc };
    mask[0x040] = if version < 3 { 0xe0 } else { 0xc0 };
    if version == 5 {
        mask[0x040] = 0;
    }
    mask[0x048] = 0xe0;
    mask
}

#[test]
fn exactly_the_reserved_bits_must_be_zero() {
    let products = [(2, Product::Milan), (3, Product::Genoa), (4, Product::Genoa), (5, Product::Turin)];
    for (version, product) in products {
        let mut raw = [0; REPORT_LEN];
        raw[0] = version;
        raw[POLICY + 2] = 0x02;
        let cpuid = match product {
            _ if version == 2 => [0, 0],
            Product::Turin => [0x1a, 0x02],
            _ => [0x19, 0x11],
        };
        raw[CPUID..CPUID + 2].copy_from_slice(&cpuid);
        assert!(Report::parse(&raw).is_ok());
        let masks = reserved_of(u32::from(version), product);
        for (offset, mask) in masks.into_iter().enumerate().skip(4) {
            if version > 2 && (CPUID..CPUID + 2).contains(&offset) {
                continue;
            }
            for bit in 0..8 {
                let mut raw = raw;
                raw[offset] |= 1 << bit;
                let found = raw[offset];
                match (mask >> bit & 1, Report::parse(&raw)) {
                    (0, Ok(_)) => {}
                    (1, Err(error)) => assert_eq!(error, ReportError::Reserved { offset, mask, found }),
                    (_, other) => panic!("version {version} byte {offset:#x} bit {bit}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn key_info_is_taken_apart() {
    let key = |byte| spoiled(KEY_INFO, byte).unwrap().key_info();
    assert_eq!(key(0b0_0100).signing_key(), SigningKey::Vlek);
    assert_eq!(key(0b0_1000).signing_key(), SigningKey::Reserved(2));
    assert_eq!(key(0b1_1111).signing_key(), SigningKey::None);
    assert!(key(1).author_key_enabled() && !key(1).mask_chip_key());
    assert!(!key(2).author_key_enabled() && key(2).mask_chip_key());
}

/// Report file, version, product, and the reported TCB in the certificate that goes with it.
const GENUINE: [(&str, u32, Option<Product>, &str); 12] = [
    ("snp/virtee__sev/report_milan.hex", 2, None, "3 0 8 115"),
    ("snp/google__go-sev-guest/attestation.bin", 2, None, "2 0 5 68"),
    ("snp/confidential-containers__trustee/test-report.bin", 2, None, "3 0 8 115"),
    (
        "snp/microsoft__TEE-Attestation-Verification/milan_attestation_report.bin",
        3,
        Some(Product::Milan),
        "4 0 24 219",
    ),
    (
        "snp/microsoft__TEE-Attestation-Verification/turin_attestation_report.bin",
        5,
        Some(Product::Turin),
        "1 1 1 4 81",
    ),
    ("snp/veehaitch__routex-client-lua/report-genoa-v2-99b12a.bin", 2, None, "7 0 14 68"),
    ("snp/veehaitch__routex-client-lua/report-genoa-v3-dc5d43.bin", 3, Some(Product::Genoa), "9 0 23 72"),
    ("snp/veehaitch__routex-client-lua/report-genoa-v5-643565.bin", 5, Some(Product::Genoa), "10 0 27 88"),
    ("snp/veehaitch__routex-client-lua/report-turin-v5-3f44a0.bin", 5, Some(Product::Turin), "0 1 0 2 71"),
    ("snp/project-oak__oak/turin_oc_report.bin", 5, Some(Product::Turin), "0 1 0 2 71"),
    ("azure-vtpm/kinvolk__azure-cvm-tooling/hcl-report-snp.bin", 2, None, "3 0 8 115"),
    ("azure-vtpm/confidential-containers__trustee/az-snp-vtpm/hcl-report.bin", 2, None, "3 0 8 115"),
];

#[test]
fn genuine_reports_parse() {
    for (path, version, product, tcb) in GENUINE {
        let Some(mut bytes) = testing::vector(path) else { return };
        if path.ends_with(".hex") {
            bytes = hex::decode(bytes).unwrap();
        }
        if path.contains("hcl-report") {
            // Azure's paravisor puts the report behind its own header of 32 bytes.
            bytes = bytes[32..32 + REPORT_LEN].to_vec();
        }
        let report = Report::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!((report.version(), report.product()), (version, product), "{path}");
        assert_eq!(report.signature_algorithm(), 1, "{path}");
        assert_eq!(report.current_mitigation_vector().is_some(), version == 5, "{path}");
        let found = report.reported_tcb().decode(product.unwrap_or(Product::Milan));
        let fmc = found.fmc.map(|fmc| format!("{fmc} ")).unwrap_or_default();
        let found = format!("{fmc}{} {} {} {}", found.bootloader, found.tee, found.snp, found.microcode);
        assert_eq!(found, tcb, "{path}");
    }
}

#[test]
fn a_made_up_report_is_refused() {
    let Some(bytes) = testing::vector("snp/project-oak__oak/fake_evidence_report.bin") else { return };
    assert_eq!(Report::parse(&bytes).unwrap_err(), ReportError::Version { found: 0 });
}
