use super::*;
use crate::reader::ReadError;
use crate::testing::vector;
use crate::tpm::PublicKey;
use serde_json::{Value, json};

const TRUSTEE: &str = "azure-vtpm/confidential-containers__trustee/az-snp-vtpm";
const KINVOLK: &str = "azure-vtpm/kinvolk__azure-cvm-tooling";

fn runtime_json() -> Value {
    use base64::Engine as _;
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([0xab; 256]);
    let key = |kid: &str| json!({"kid": kid, "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": n});
    json!({
        "keys": [key("HCLAkPub"), key("HCLEkPub")],
        "vm-configuration": {"console-enabled": true, "secure-boot": false, "vmUniqueId": "X", "more": 1},
        "user-data": "AB".repeat(64),
    })
}

/// A TDREPORT with each field filled with its own number.
fn td_report() -> Vec<u8> {
    let mut out = vec![0x81, 0, 1, 0];
    out.extend([0; 12]);
    for (byte, length) in [(1, 16), (2, 48), (3, 48), (4, 64), (0, 32), (5, 32)] {
        out.extend(vec![byte; length]);
    }
    for (byte, length) in [(6, 8), (7, 16), (8, 48), (9, 48), (10, 8), (11, 16), (0, 95), (0, 17)] {
        out.extend(vec![byte; length]);
    }
    for (byte, length) in [(12, 8), (13, 8), (14, 48), (15, 48), (16, 48), (17, 48)] {
        out.extend(vec![byte; length]);
    }
    for (byte, length) in [(18, 48), (19, 48), (20, 48), (21, 48), (22, 48), (0, 64)] {
        out.extend(vec![byte; length]);
    }
    out
}

/// An HCL report of a TDX guest, with headers of these versions.
fn hcl(version: u32, data_version: u32, runtime: &[u8]) -> Vec<u8> {
    let data_len = 20 + if data_version == 2 { 4 } else { 0 } + runtime.len();
    let mut out = b"HCLA".to_vec();
    let words = [version, (32 + 1184 + data_len) as u32, 2, 0, 0, 0, 0];
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    out.extend(td_report());
    out.extend([0; 160]);
    let words = [data_len as u32, data_version, 4, 1, runtime.len() as u32];
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    if data_version == 2 {
        out.extend(7_u32.to_le_bytes());
    }
    out.extend(runtime);
    out.extend([0; 100]);
    out
}

fn valid() -> Vec<u8> {
    hcl(2, 1, runtime_json().to_string().as_bytes())
}

#[test]
fn both_versions_of_both_headers_are_read() {
    let text = runtime_json().to_string();
    for (version, data_version) in [(1, 1), (2, 1), (2, 2)] {
        let report = HclReport::parse(&hcl(version, data_version, text.as_bytes())).unwrap();
        assert_eq!((report.version(), report.hash()), (version, RuntimeHash::Sha256));
        assert_eq!(report.runtime().raw(), text.as_bytes());
        assert_eq!(report.runtime().user_data(), Some(&[0xab; 64]));
        assert!(matches!(report.runtime().ak(), PublicKey::Rsa { bits: 2048, exponent: 65537, .. }));
        assert_eq!(report.runtime().ek(), Some(report.runtime().ak()));
        let configuration = report.runtime().configuration();
        assert_eq!((configuration.secure_boot, configuration.tpm_enabled), (Some(false), None));
        let Hardware::Tdx(report) = report.hardware() else { panic!("{:?}", report.hardware()) };
        assert_eq!((report.version, report.cpu_svn, report.report_data), (1, [1; 16], [4; 64]));
        assert_eq!((report.tee_tcb_svn, report.mrseam, report.mrsignerseam), ([7; 16], [8; 48], [9; 48]));
        assert_eq!((report.seam_attributes, report.tee_tcb_svn2), ([10; 8], [11; 16]));
        let info = report.info;
        assert_eq!((info.attributes, info.xfam, info.mrtd), ([12; 8], [13; 8], [14; 48]));
        assert_eq!((info.mrconfigid, info.mrowner, info.mrownerconfig), ([15; 48], [16; 48], [17; 48]));
        assert_eq!((info.rtmr, info.servtd_hash), ([[18; 48], [19; 48], [20; 48], [21; 48]], [22; 48]));
    }
}

#[test]
fn a_cut_report_and_one_that_goes_on_are_refused() {
    let whole = valid();
    let end = whole.len() - 100;
    assert!(HclReport::parse(&whole[..end]).is_ok());
    for length in 0..end {
        let error = HclReport::parse(&whole[..length]).unwrap_err();
        assert!(matches!(error, HclError::Read(ReadError::Truncated { .. })), "{length}: {error}");
    }
    for offset in end..whole.len() {
        let mut spoiled = whole.clone();
        spoiled[offset] = 1;
        assert_eq!(HclReport::parse(&spoiled), Err(HclError::Reserved { offset }));
    }
    let long = vec![0; MAX_HCL_LEN + 1];
    let expected = HclError::TooLong { expected: MAX_HCL_LEN, found: MAX_HCL_LEN + 1 };
    assert_eq!(HclReport::parse(&long), Err(expected));
}

#[test]
fn every_field_of_both_headers_is_checked() {
    let error = |at: usize, with: u8| {
        let mut spoiled = valid();
        spoiled[at] = with;
        HclReport::parse(&spoiled).unwrap_err()
    };
    let field = |error: HclError| match error {
        HclError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(error(0, b'h'), HclError::Signature { found: *b"hCLA" });
    for (at, name) in [(4, "version"), (8, "report size"), (12, "request type"), (16, "status")] {
        assert_eq!(field(error(at, 0xee)), name);
    }
    for at in 20..32 {
        assert_eq!(error(at, 1), HclError::Reserved { offset: at });
    }
    for at in 32 + 1024..32 + 1184 {
        assert_eq!(error(at, 1), HclError::Reserved { offset: at });
    }
    let data = 32 + 1184;
    let names = [(0, "data size"), (4, "data version"), (8, "report type"), (12, "hash type")];
    for (at, name) in names {
        assert_eq!(field(error(data + at, 0xee)), name);
    }
    assert_eq!(field(error(data + 17, 0xee)), "data size");
    // One byte less of runtime data: then the first header's size is wrong.
    let length = valid()[data + 16];
    assert_eq!(field(error(data + 16, length.wrapping_sub(1))), "data size");
    // The type decides how the hardware's part is read: no TDREPORT is an SNP report.
    assert!(matches!(error(data + 8, 2), HclError::Snp(_)));
}

#[test]
fn a_td_report_has_its_type_and_zeros_where_nothing_is() {
    let error = |at: usize, with: u8| {
        let mut spoiled = td_report();
        spoiled[at] = with;
        TdReport::parse(&spoiled).unwrap_err()
    };
    for (at, with) in [(0, 0), (1, 1), (2, 2), (3, 1)] {
        assert!(matches!(error(at, with), TdReportError::Type { .. }), "{at}");
    }
    let reserved = (4..16).chain(192..224).chain(400..512).chain(512 + 448..1024);
    for at in reserved {
        assert_eq!(error(at, 1), TdReportError::Reserved { offset: at });
    }
    let whole = td_report();
    assert!(TdReport::parse(&whole[..1023]).is_err());
    assert!(TdReport::parse(&[whole.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn runtime_data_names_each_key_once() {
    let parse = |spoil: &dyn Fn(&mut Value)| {
        let mut value = runtime_json();
        spoil(&mut value);
        RuntimeData::parse(value.to_string().as_bytes())
    };
    let count = |expected, found| RuntimeError::KeyCount { kid: "HCLAkPub", expected, found };
    assert_eq!(parse(&|v| v["keys"][0]["kid"] = json!("other")), Err(count("1", 0)));
    assert_eq!(parse(&|v| v["keys"][1]["kid"] = json!("HCLAkPub")), Err(count("at most 1", 2)));
    assert!(parse(&|v| v["keys"] = json!(vec![v["keys"][0].clone(); 9])).is_err());
    let without_ek = parse(&|v| drop(v["keys"].as_array_mut().unwrap().pop())).unwrap();
    assert_eq!(without_ek.ek(), None);
    for (member, value) in
        [("kty", "EC"), ("e", ""), ("e", "AQ"), ("e", "AQABAQAB"), ("e", "AAEAAQ"), ("n", "AAAA"), ("n", "+")]
    {
        let error = parse(&|v| v["keys"][0][member] = json!(value)).unwrap_err();
        assert!(matches!(error, RuntimeError::Key { kid: "HCLAkPub", .. }), "{member} {value}: {error}");
    }
    for text in ["AB".repeat(63), "AB".repeat(65), "XY".repeat(64)] {
        let error = parse(&|v| v["user-data"] = json!(text)).unwrap_err();
        assert_eq!(error, RuntimeError::UserData { found: text.len() });
    }
    assert_eq!(parse(&|v| drop(v.as_object_mut().unwrap().remove("user-data"))).unwrap().user_data(), None);
    let text = runtime_json().to_string();
    for bad in [text.replace("\"keys\":", "\"keys\":[],\"keys\":"), format!("{text} x"), "{}".into()] {
        assert!(matches!(RuntimeData::parse(bad.as_bytes()), Err(RuntimeError::Json { .. })), "{bad}");
    }
}

fn message() -> Vec<u8> {
    let mut out = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 0, 0, 1, 7];
    out.extend([0; 24]);
    out.push(0);
    out.extend([0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff, 0, 1, 9]);
    out
}

fn wire(version: u64, td: bool) -> Value {
    use base64::Engine as _;
    let url = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE.encode(bytes);
    let pem = "-----BEGIN CERTIFICATE-----\nAP8=\n-----END CERTIFICATE-----\n";
    let (report, third) = (valid(), [0, 255]);
    let pcrs: Vec<[u8; 32]> = vec![[3; 32]; 24];
    let mut out = if version == 0 {
        let quote = json!({"signature": [5], "message": message(), "pcrs": pcrs});
        if td {
            json!({"tpm_quote": quote, "hcl_report": report, "td_quote": third})
        } else {
            json!({"quote": quote, "report": report, "vcek": pem})
        }
    } else {
        let pcrs: Vec<_> = pcrs.iter().map(hex::encode).collect();
        let quote = json!({"signature": "05", "message": hex::encode(message()), "pcrs": pcrs});
        let third_name = if td { "td_quote" } else { "vcek" };
        json!({"tpm_quote": quote, "hcl_report": url(&report), third_name: url(&third)})
    };
    if version > 0 {
        out["version"] = json!(version);
    }
    out
}

#[test]
fn every_version_of_the_wire_reads_alike() {
    for version in 0..=2 {
        let snp = AzSnpEvidence::from_value(&wire(version, false)).unwrap();
        let tdx = AzTdxEvidence::from_json(wire(version, true).to_string().as_bytes()).unwrap();
        assert_eq!((u64::from(snp.version), u64::from(tdx.version)), (version, version));
        assert_eq!((&snp.hcl, &snp.quote), (&tdx.hcl, &tdx.quote));
        assert_eq!((snp.quote.signature, snp.quote.pcrs), (vec![5], [[3; 32]; 24]));
        assert_eq!((snp.vcek, tdx.td_quote), (vec![0, 255], vec![0, 255]));
    }
}

#[test]
fn wire_evidence_has_its_members_and_no_others() {
    let error = |version, spoil: &dyn Fn(&mut Value)| {
        let mut value = wire(version, false);
        spoil(&mut value);
        AzSnpEvidence::from_value(&value).unwrap_err()
    };
    for bad in [json!(0), json!(3), json!("1"), json!(null), json!(-1)] {
        assert!(matches!(error(1, &|v| v["version"] = bad.clone()), WireError::Version { .. }));
    }
    for version in 0..=2 {
        let report = if version == 0 { "report" } else { "hcl_report" };
        let quote = if version == 0 { "quote" } else { "tpm_quote" };
        let members = |e| matches!(e, WireError::Members { .. });
        assert!(members(error(version, &|v| v["more"] = json!(1))));
        assert!(members(error(version, &|v| drop(v.as_object_mut().unwrap().remove("vcek")))));
        assert!(members(error(version, &|v| v[quote]["more"] = json!(1))));
        assert!(matches!(error(version, &|v| v[report] = json!(1)), WireError::Form { .. }));
        assert!(matches!(error(version, &|v| v["vcek"] = json!("x y")), WireError::Form { .. }));
        assert!(matches!(error(version, &|v| v[quote] = json!([])), WireError::Form { .. }));
        assert!(matches!(error(version, &|v| v[quote]["pcrs"][3] = json!(1)), WireError::Form { .. }));
        let count = error(version, &|v| drop(v[quote]["pcrs"].as_array_mut().unwrap().pop()));
        assert!(matches!(count, WireError::Quote(QuoteError::Size { what: "PCR count", found: 23, .. })));
        let more = error(version, &|v| {
            let value = v[quote]["pcrs"][0].clone();
            v[quote]["pcrs"].as_array_mut().unwrap().push(value);
        });
        assert!(matches!(more, WireError::TooLong { found: 25, .. }));
    }
    // One version's form in another.
    assert!(matches!(error(1, &|v| v["hcl_report"] = json!([1])), WireError::Form { .. }));
    assert!(matches!(error(0, &|v| v["report"] = json!([256])), WireError::Form { .. }));
    let long = "A".repeat(2 * MAX_HCL_LEN + 1);
    assert!(matches!(error(1, &|v| v["hcl_report"] = json!(long)), WireError::TooLong { .. }));
    let text = " ".repeat(MAX_WIRE_LEN + 1);
    assert!(matches!(AzSnpEvidence::from_json(text.as_bytes()), Err(WireError::TooLong { .. })));
    assert!(matches!(AzSnpEvidence::from_json(b"{"), Err(WireError::Json { .. })));
    assert!(matches!(AzSnpEvidence::from_value(&json!([])), Err(WireError::Form { .. })));
}

#[test]
fn a_stored_quote_is_read_to_its_last_byte() {
    let mut stored = 2_u64.to_le_bytes().to_vec();
    stored.extend([5, 6]);
    stored.extend((message().len() as u64).to_le_bytes());
    stored.extend(message());
    stored.extend(24_u64.to_le_bytes());
    stored.extend([3; 24 * 32]);
    let quote = VtpmQuote::from_bincode(&stored).unwrap();
    assert_eq!((quote.signature, quote.attest.extra_data, quote.pcrs), (vec![5, 6], vec![7], [[3; 32]; 24]));
    for length in 0..stored.len() {
        assert!(matches!(VtpmQuote::from_bincode(&stored[..length]), Err(QuoteError::Read(_))), "{length}");
    }
    let longer = [stored.as_slice(), &[0]].concat();
    assert!(matches!(VtpmQuote::from_bincode(&longer), Err(QuoteError::Read(ReadError::Trailing { .. }))));
    stored[7] = 1;
    assert!(matches!(VtpmQuote::from_bincode(&stored), Err(QuoteError::Size { .. })));
}

#[test]
fn captured_reports_parse() {
    let parse =
        |file: String| Some(HclReport::parse(&vector(&file)?).unwrap_or_else(|e| panic!("{file}: {e}")));
    let Some(old) = parse(format!("{KINVOLK}/hcl-report-snp.bin")) else { return };
    assert_eq!((old.version(), old.runtime().ek(), old.runtime().user_data()), (1, None, None));
    assert!(matches!(old.hardware(), Hardware::Snp(_)));
    let Some(snp) = parse(format!("{TRUSTEE}/hcl-report.bin")) else { return };
    assert_eq!((snp.version(), snp.runtime().user_data()), (1, Some(&[0; 64])));
    assert!(snp.runtime().ek().is_some());
    let Some(tdx) = parse(format!("{KINVOLK}/hcl-report-tdx.bin")) else { return };
    assert_eq!((tdx.version(), tdx.runtime().configuration().tpm_persisted), (2, Some(false)));
    let Hardware::Tdx(report) = tdx.hardware() else { panic!("{:?}", tdx.hardware()) };
    // A genuine report's own digests cover what they say they do: the layout is the right one.
    assert_eq!(report.computed_hashes(), (report.tee_tcb_info_hash, report.tee_info_hash));
    assert_eq!(report.info.rtmr, [[0; 48]; 4]);
}

#[test]
fn captured_wire_evidence_parses() {
    for version in 0..=2_u8 {
        let file = format!("{TRUSTEE}/evidence-v{version}.json");
        let Some(bytes) = vector(&file) else { return };
        let evidence = AzSnpEvidence::from_json(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(evidence.version, version);
        let user_data = evidence.hcl.runtime().user_data().unwrap();
        let nonce = &evidence.quote.attest.extra_data;
        // What version 2 promises, and the others do not.
        assert_eq!(user_data.starts_with(nonce), version == 2);
        assert!(version == 2 || nonce == b"challenge");
        assert_eq!(evidence.vcek[..2], [0x30, 0x82]);
    }
    for folder in [TRUSTEE, KINVOLK] {
        let Some(bytes) = vector(&format!("{folder}/quote.bin")) else { return };
        let quote = VtpmQuote::from_bincode(&bytes).unwrap();
        assert_eq!((quote.signature.len(), quote.attest.extra_data), (256, b"challenge".to_vec()));
    }
    // The runtime data by itself is a text of its own.
    let Some(bytes) = vector(&format!("{KINVOLK}/var-data.bin")) else { return };
    assert!(RuntimeData::parse(&bytes).unwrap().ek().is_some());
}
