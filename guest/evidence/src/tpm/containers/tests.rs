use super::*;
use crate::testing::vector;
use crate::tpm::{HashAlg, PublicKey, Scheme};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// A quote of PCR 16 of the SHA-256 bank, and a signature of two bytes.
fn message() -> Vec<u8> {
    let mut out = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 0, 0, 1, 7];
    out.extend([0; 25]);
    out.extend([0, 0, 0, 1, 0, 0x0b, 3, 0, 0, 1, 0, 1, 9]);
    out
}
const SIGNATURE: [u8; 8] = [0, 0x14, 0, 0x0b, 0, 2, 1, 2];

fn public() -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 1, 0];
    out.extend([0xab; 256]);
    out
}

fn pcr_file() -> Vec<u8> {
    let mut out = vec![1, 0, 0, 0, 0x0b, 0, 3, 0, 0, 1, 0, 0];
    out.resize(4 + 16 * 8, 0);
    out.extend([1, 0, 0, 0, 1, 0, 0, 0, 32, 0]);
    out.extend([5; 32]);
    out.resize(4 + 16 * 8 + 4 + 532, 0);
    out
}

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn only(contained: Contained) -> ContainedQuote {
    let [quote]: [ContainedQuote; 1] = contained.quotes.try_into().unwrap();
    quote
}

#[test]
fn a_key_is_recognised_in_each_form() {
    let area = public();
    let AkPublic::Tpm(key) = AkPublic::parse(&area).unwrap() else { panic!() };
    let sized = [&(area.len() as u16).to_be_bytes(), area.as_slice()].concat();
    assert_eq!(AkPublic::parse(&sized).unwrap(), AkPublic::Tpm(key));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", b64(&[0x30, 0]));
    assert_eq!(AkPublic::parse(pem.as_bytes()).unwrap(), AkPublic::Spki(vec![0x30, 0]));
    assert_eq!(AkPublic::parse(&[0x30, 0]).unwrap(), AkPublic::Spki(vec![0x30, 0]));
    for bad in [&[][..], &[0], &[0, 1], &sized[..sized.len() - 1], b"-----BEGIN X-----", b"-\xff"] {
        assert!(AkPublic::parse(bad).is_err(), "{bad:02x?}");
    }
}

#[test]
fn pcr_files_are_read_to_their_last_byte() {
    let banks = parse_pcr_file(&pcr_file()).unwrap();
    assert_eq!(banks.get(HashAlg::Sha256, 16), Some(&[5; 32][..]));
    assert_eq!(banks.selections(), only(keylime_quote(&pcr_file()).unwrap()).attest.selections);
    let whole = pcr_file();
    for length in 0..whole.len() {
        assert!(matches!(parse_pcr_file(&whole[..length]), Err(ContainerError::Read(_))), "{length}");
    }
    assert!(matches!(parse_pcr_file(&[whole.as_slice(), &[0]].concat()), Err(ContainerError::Read(_))));
    let spoiled = |at: usize, with: u8| {
        let mut bytes = whole.clone();
        bytes[at] = with;
        parse_pcr_file(&bytes).unwrap_err()
    };
    assert!(matches!(spoiled(0, 17), ContainerError::Tpm(TpmError::Value { .. })));
    assert!(matches!(spoiled(4, 0xee), ContainerError::Tpm(TpmError::Algorithm { .. })));
    assert!(matches!(spoiled(6, 5), ContainerError::Tpm(TpmError::Size { .. })));
    assert!(matches!(spoiled(7, 1), ContainerError::Tpm(TpmError::Size { what: "PCR values", .. })));
    assert!(matches!(spoiled(132, 49), ContainerError::Tpm(TpmError::Value { .. })));
    assert!(matches!(spoiled(136, 9), ContainerError::Tpm(TpmError::Size { what: "digest list", .. })));
    assert!(matches!(spoiled(140, 65), ContainerError::Tpm(TpmError::Size { .. })));
    assert!(matches!(spoiled(140, 20), ContainerError::Tpm(TpmError::Size { what: "PCR value", .. })));
}

fn keylime_quote(pcrs: &[u8]) -> Result<Contained, ContainerError> {
    keylime(&format!("r{}:{}:{}\n", b64(&message()), b64(&SIGNATURE), b64(pcrs)))
}

#[test]
fn a_line_of_keylime_has_three_parts() {
    assert_eq!(only(keylime_quote(&pcr_file()).unwrap()).attest.extra_data, [7]);
    for bad in ["", "r", "rAA==:AA==", "d::", "r::", "r::::", "r!:AA==:AA=="] {
        assert!(keylime(bad).is_err(), "{bad}");
    }
    let long = "r".repeat(MAX_CONTAINER_LEN + 1);
    assert!(matches!(keylime(&long), Err(ContainerError::TooLong { .. })));
}

#[test]
fn json_of_three_verifiers_is_read() {
    let (message, signature) = (b64(&message()), b64(&SIGNATURE));
    let evidence = json!({
        "ak_public": b64(&[0x30, 0]),
        "tpm_quote": {"message": message, "signature": signature, "pcrs": vec!["05".repeat(32); 24]},
    });
    let read = trustee(evidence.to_string().as_bytes()).unwrap();
    assert_eq!(read.ak, Some(AkPublic::Spki(vec![0x30, 0])));
    assert_eq!(only(read).pcrs.get(HashAlg::Sha256, 23), Some(&[5; 32][..]));
    let twenty_five =
        evidence.to_string().replacen("\"pcrs\":[", &format!("\"pcrs\":[\"{}\",", "05".repeat(32)), 1);
    assert!(matches!(trustee(twenty_five.as_bytes()), Err(ContainerError::Tpm(TpmError::Value { .. }))));

    let dump = |alg: u32, again: u8| {
        json!({
            "Static": {}, "AK": {"Public": b64(&public())},
            "Quote": {"Quote": message, "Signature": signature},
            "Log": {"Raw": b64(&[1]), "PCRs": [
                {"Index": 16, "Digest": b64(&[5; 32]), "DigestAlg": alg},
                {"Index": again, "Digest": b64(&[5; 32]), "DigestAlg": 5},
            ]},
        })
        .to_string()
    };
    let read = go_attestation(dump(5, 0).as_bytes()).unwrap();
    assert_eq!(read.boot_log, [1]);
    assert!(matches!(read.ak, Some(AkPublic::Tpm(_))));
    assert!(matches!(go_attestation(dump(4, 0).as_bytes()), Err(ContainerError::Form { .. })));
    assert!(matches!(
        go_attestation(dump(5, 16).as_bytes()),
        Err(ContainerError::Tpm(TpmError::Value { .. }))
    ));
    assert!(matches!(go_attestation(dump(3, 0).as_bytes()), Err(ContainerError::Tpm(TpmError::Size { .. }))));

    let guarded = |kind: &str, algorithm: &str| {
        json!({
            "type": kind, "algorithm": algorithm, "quote": message, "signature": signature,
            "pcrs": {"16": b64(&[5; 32])}, "event_log": {"data": b64(&[1])},
        })
        .to_string()
    };
    let read = guard(guarded("evidence/1", "11").as_bytes()).unwrap();
    assert_eq!((read.ak.clone(), read.boot_log.clone()), (None, vec![1]));
    assert_eq!(only(read).pcrs.get(HashAlg::Sha256, 16), Some(&[5; 32][..]));
    assert!(matches!(guard(guarded("evidence/2", "11").as_bytes()), Err(ContainerError::Form { .. })));
    assert!(matches!(guard(guarded("evidence/1", "sha256").as_bytes()), Err(ContainerError::Form { .. })));
    assert!(matches!(guard(b"{}"), Err(ContainerError::Form { .. })));
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut out = vec![number << 3 | 2, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
    out.extend(bytes);
    out
}

fn attestation() -> Vec<u8> {
    let values = [vec![1 << 3, 0x0b], field(2, &[vec![1 << 3, 16], field(2, &[5; 32])].concat())].concat();
    let quote = [field(1, &message()), field(2, &SIGNATURE), field(3, &values)].concat();
    let unread = vec![9 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0, 9 << 3 | 5, 0, 0, 0, 0];
    [field(1, &public()), field(2, &quote), field(3, &[1]), unread].concat()
}

#[test]
fn a_protocol_buffer_is_read_and_what_is_not_known_is_skipped() {
    let read = go_tpm_tools(&attestation()).unwrap();
    assert_eq!(read.boot_log, [1]);
    assert!(matches!(read.ak, Some(AkPublic::Tpm(_))));
    assert_eq!(only(read).pcrs.get(HashAlg::Sha256, 16), Some(&[5; 32][..]));
    // PCR 0 is written as an entry without a number.
    let values = [vec![1 << 3, 0x0b], field(2, &field(2, &[5; 32]))].concat();
    let quote = [field(1, &message()), field(2, &SIGNATURE), field(3, &values)].concat();
    let read = go_tpm_tools(&field(2, &quote)).unwrap();
    assert_eq!(only(read).pcrs.get(HashAlg::Sha256, 0), Some(&[5; 32][..]));
}

#[test]
fn a_spoiled_protocol_buffer_is_refused() {
    for bad in [&[0x0b][..], &[0x0a], &[0x0a, 5, 1], &[0xff; 11], &[0x80], &[0x09, 1]] {
        assert!(go_tpm_tools(bad).is_err(), "{bad:02x?}");
    }
    // The last bit of a number that has 64.
    let mut long = vec![9 << 3];
    long.extend([0xff; 9]);
    assert!(go_tpm_tools(&[long.as_slice(), &[1]].concat()).is_ok());
    assert!(go_tpm_tools(&[long.as_slice(), &[2]].concat()).is_err());
    let quote = [field(1, &message()), field(2, &SIGNATURE)].concat();
    assert!(go_tpm_tools(&field(2, &quote).repeat(16)).is_ok());
    assert!(matches!(go_tpm_tools(&field(2, &quote).repeat(17)), Err(ContainerError::Form { .. })));
}

#[test]
fn captures_are_read() {
    let folder = "tpm-quote";
    let Some(bytes) = vector(&format!("{folder}/google__go-tpm-tools/gce-cos-85-no-nonce.pb")) else {
        return;
    };
    let read = go_tpm_tools(&bytes).unwrap();
    let hashes: Vec<_> = read.quotes.iter().flat_map(|quote| quote.pcrs.banks()).collect();
    assert_eq!(hashes, [HashAlg::Sha1, HashAlg::Sha256, HashAlg::Sha384]);
    for quote in &read.quotes {
        assert_eq!(quote.pcrs.selections(), quote.attest.selections);
    }
    assert_eq!(read.boot_log.len(), 23970);

    let Some(bytes) = vector(&format!("{folder}/google__go-attestation/windows_gcp_shielded_vm.json")) else {
        return;
    };
    let read = go_attestation(&bytes).unwrap();
    let Some(AkPublic::Tpm(ak)) = &read.ak else { panic!("{:?}", read.ak) };
    assert!(matches!((ak.scheme(), ak.key()), (Scheme::RsaSsa(HashAlg::Sha1), PublicKey::Rsa { .. })));
    let Some(bytes) = vector(&format!("{folder}/confidential-containers__trustee/tpm_evidence.json")) else {
        return;
    };
    assert!(matches!(trustee(&bytes).unwrap().ak, Some(AkPublic::Spki(_))));
    for name in ["good-1", "failed-1"] {
        let file = format!("{folder}/immune-gmbh__guard-oss/{name}.quote-eventlog.json");
        let Some(bytes) = vector(&file) else { return };
        assert_eq!(only(guard(&bytes).unwrap()).pcrs.values(HashAlg::Sha256).count(), 9);
    }
    let Some(bytes) = vector(&format!("{folder}/keylime__rust-keylime/test-quote.txt")) else { return };
    let quote = only(keylime(std::str::from_utf8(&bytes).unwrap()).unwrap());
    assert_eq!(
        (quote.attest.extra_data.as_slice(), quote.pcrs.values(HashAlg::Sha1).count()),
        (&b"TEST"[..], 1)
    );
}
