//! Where fuzzing starts: what the testkit makes, and captures of real machines where they are at hand.

use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::FileSet;
use sealpod_evidence::snp::manifest;
use sealpod_testkit::tdx::{Ccel, Collateral, TdxBundle};
use sealpod_testkit::tpm::{AkKind, Tpm};
use sealpod_testkit::{AzureBundle, Bundle, pki};
use sealpod_verifier::reference::pack;
use std::path::{Path, PathBuf};

/// Captures longer than this only slow fuzzing down.
const MAX_CAPTURE: u64 = 64 << 10;

/// Our own seeds of one target.
pub fn own(target: &str) -> Vec<Vec<u8>> {
    let (bundle, vlek) = (Bundle::valid(), Bundle::with_vlek());
    let sealed = bundle.seal();
    let additional = &sealed.additional.tpm;
    let json = |value: &dyn Fn() -> serde_json::Value| serde_json::to_vec(&value()).expect("JSON");
    match target {
        "snp_report" => vec![sealed.report_bytes, vlek.seal().report_bytes],
        "cert_table" => vec![bundle.certificates, vlek.certificates],
        "svsm_manifest" => {
            let ek = additional.ek_public.0.clone();
            vec![manifest::encode(&[(manifest::VTPM, &ek), (manifest::SERVICES, b"other")]), ek]
        }
        "boot_log" => vec![additional.boot_log.0.clone()],
        "ccel" => vec![Ccel::default().to_bytes(), additional.boot_log.0.clone()],
        "ima_log" => vec![additional.ima_log.data.0.clone()],
        "ima_text" => vec![
            b"10 91f34b5c671d73504b274a919661cf80dab1e127 ima-ng sha1:1801e1be3e65ef1eaa5c16617bec8f1274eaf6b3 boot_aggregate\n".to_vec(),
        ],
        "cel" => vec![additional.workload_log.0.clone()],
        "tpm" => {
            let of = |kind| {
                let tpm = Tpm::new(kind);
                let (message, signature) = tpm.quote(&[7; 64], &[0, 8, 10]);
                [tpm.ak_public(), message, signature]
            };
            let mut all: Vec<_> = AkKind::ALL.into_iter().flat_map(of).collect();
            all.extend([Tpm::default().ek_public(), Tpm::with_ecc_ek().ek_public()]);
            all
        }
        "initdata" => vec![bundle.initdata().text().as_bytes().to_vec()],
        "body" => vec![
            serde_json::to_vec(&sealed.attestation()).expect("JSON"),
            serde_json::to_vec(&AzureBundle::snp().seal().attestation()).expect("JSON"),
            serde_json::to_vec(&TdxBundle::valid().seal().attestation()).expect("JSON"),
        ],
        "reference" => vec![serde_json::to_vec(&bundle.reference()).expect("JSON")],
        "packed" => {
            let files = |(path, digest): (&String, &[u8; 32])| (path.clone(), vec![HexArray(*digest)]);
            let set = |files| FileSet { image: None, description: "a set".to_owned(), files };
            let files = bundle.image_files.iter().map(files).collect();
            vec![pack(&set(files)).expect("a set"), pack(&set(Default::default())).unwrap_or_default()]
        }
        "x509" => [pki::ark_der(), pki::ask_der(), pki::vcek_der(), pki::vlek_der()]
            .map(<[u8]>::to_vec)
            .into_iter()
            .chain([pki::Crl::revoking(&pki::Certificate::ask()).to_der()])
            .collect(),
        "tdx_quote" => [TdxBundle::valid(), TdxBundle::valid_v5()]
            .map(|bundle| bundle.seal().quote_bytes)
            .to_vec(),
        "collateral" => vec![Collateral::valid().to_json()],
        "hcl" => [AzureBundle::snp(), AzureBundle::tdx()]
            .into_iter()
            .flat_map(|azure| {
                let sealed = azure.seal();
                [sealed.hcl_bytes(), sealed.runtime_bytes]
            })
            .collect(),
        "az_wire" => [AzureBundle::snp(), AzureBundle::tdx()]
            .map(|azure| json(&|| azure.seal().attestation().tee_evidence.primary_evidence))
            .to_vec(),
        "verify" => programs(),
        _ => Vec::new(),
    }
}

/// One change each, and none.
fn programs() -> Vec<Vec<u8>> {
    let mut all = vec![vec![0, 0]];
    for op in 1..=12 {
        all.push(vec![op, 0, 3, 1, 2, 0x41, 0x42, 0, 0]);
        all.push(vec![0, op, 0, 3, 1, 2, 0x41, 0x42, 0]);
        all.push(vec![0, op, 0xff, 0xff, 0, 4, 1, 2, 3, 4, 0]);
    }
    all.push(vec![0, 0, 1, 0, 1, 0, 1, b' ']);
    all
}

/// Captures for one target below the directory of vectors; PEM and hex also as the bytes that they stand for.
pub fn captures(target: &str, vectors: &Path) -> Vec<Vec<u8>> {
    let directories: &[&str] = match target {
        "snp_report" => &["snp"],
        "cert_table" => &["snp/google__go-sev-guest"],
        "boot_log" => &["tcg2-eventlog"],
        "ccel" => &["ccel"],
        "ima_log" | "ima_text" => &["ima"],
        "tpm" | "tpm_containers" => &["tpm-quote", "azure-vtpm"],
        "x509" => &["certs", "snp", "tdx", "collateral"],
        "tdx_quote" => &["tdx", "fuzz", "ccel/google__go-tdx-guest"],
        "collateral" => &["tdx", "collateral"],
        "hcl" | "az_wire" => &["azure-vtpm"],
        _ => &[],
    };
    let mut all = Vec::new();
    for path in directories.iter().flat_map(|directory| files(&vectors.join(directory))) {
        let small = path.metadata().is_ok_and(|metadata| metadata.len() <= MAX_CAPTURE);
        let Some(bytes) = small.then(|| std::fs::read(&path).ok()).flatten() else { continue };
        if let Ok(text) = std::str::from_utf8(&bytes) {
            all.extend(sealpod_evidence::pem::decode_all(text, "CERTIFICATE").unwrap_or_default());
            all.extend(hex(text));
        }
        all.push(bytes);
    }
    all
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.trim().chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
