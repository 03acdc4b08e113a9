//! Evidence of real machines: every entry of the manifest gets the verdict and the facts that others measured.
//!
//! Runs where `SEALPOD_VECTORS` (or `../shared/vectors` beside the workspace) has them, and says so where it does not.

use sealpod_kbs::inspect::{
    Appraisal, Given, NotRecognised, Piece, Verdict, appraise, gather, recognise, signature_beside, time,
};
use serde_json::Value;
use std::path::PathBuf;

/// A time at which every chip's certificate is valid.
const NOW: &str = "2026-09-01T00:00:00Z";
/// Facts that only say what other programs did, or that are judged by the verdict.
const OTHERS: [&str; 4] = ["sev8_nossl", "python_cryptography_sig", "dcap_qvl", "parse_error"];

/// One file of the manifest.
struct Entry {
    path: String,
    group: String,
    expected: String,
    facts: serde_json::Map<String, Value>,
}

struct Vectors {
    root: PathBuf,
    entries: Vec<Entry>,
}

impl Vectors {
    fn load() -> Option<Self> {
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
        let root = std::env::var_os("SEALPOD_VECTORS").map_or(beside, PathBuf::from);
        let Ok(text) = std::fs::read(root.join("manifest.json")) else {
            eprintln!("skipped: no vectors at {}", root.display());
            return None;
        };
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        let entries = manifest["items"].as_array().unwrap().iter().map(|item| Entry {
            path: text(item, "path"),
            group: text(item, "group"),
            expected: text(item, "expected"),
            facts: item["key_facts"].as_object().unwrap().clone(),
        });
        Some(Self { entries: entries.collect(), root })
    }

    fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.root.join(path)).unwrap()
    }

    fn piece(&self, path: &str) -> Result<Piece, NotRecognised> {
        recognise(path, &self.read(path), None)
    }

    /// Appraise files as the command does.
    fn together(&self, paths: &[&str], given: Given) -> Vec<Appraisal> {
        let (mut pieces, mut unknown) = (Vec::new(), Vec::new());
        for path in paths {
            match self.piece(path) {
                Ok(piece) => pieces.push(piece),
                Err(error) => unknown.push((error, self.read(path))),
            }
        }
        pieces.extend(signature_beside(&pieces, unknown).unwrap());
        let mut given = given;
        gather(pieces, &mut given).iter().map(|piece| appraise(piece, &given)).collect()
    }

    #[track_caller]
    fn one(&self, paths: &[&str], given: Given) -> Appraisal {
        let mut all = self.together(paths, given);
        assert_eq!(all.len(), 1, "{paths:?}");
        all.remove(0)
    }

    /// The certificates of an entry's group, and AMD's authorities.
    fn chain(&self, group: &str) -> Given {
        let mut given = at(NOW);
        let of_group =
            self.entries.iter().filter(|entry| entry.group == group || entry.group == "shared-chain");
        for entry in of_group {
            if let Ok(piece) = self.piece(&entry.path)
                && piece.kind.is_aid()
            {
                given.certificates.extend(piece.certificates);
            }
        }
        given
    }
}

fn at(time: &str) -> Given {
    Given::at(time::parse(time).unwrap())
}

fn failed(appraisal: &Appraisal) -> Vec<&str> {
    use sealpod_kbs::inspect::Status;
    let failed = appraisal.steps.iter().filter(|step| step.status == Status::Fail);
    failed.map(|step| step.name.as_str()).collect()
}

#[track_caller]
fn verified(appraisal: &Appraisal) {
    assert_eq!(appraisal.verdict(), Verdict::Verified, "{:?}: {:?}", appraisal.files, appraisal.steps);
}

#[track_caller]
fn refused(appraisal: &Appraisal, by: &str) {
    assert_eq!(appraisal.verdict(), Verdict::Refused, "{:?}", appraisal.files);
    assert!(failed(appraisal).contains(&by), "{:?}: {:?}, expected {by}", appraisal.files, failed(appraisal));
}

/// Files that are no evidence: they are not recognised, and the reason says what they are.
const NO_EVIDENCE: [&str; 11] = [
    "ovmf_AmdSev_suffix.bin",
    "ovmf_OvmfX64_suffix.bin",
    "tpm-quote.sig",
    "nonce.dat",
    "CCEL_data_csv_out.json",
    "CCEL_data_grub_gke_out.json",
    "CCEL_data_ovmf_out.json",
    "invalid_ima_log.txt",
    "binary_bios_measurements-bogus",
    "event-bootorder.bin.yaml",
    "event-moklisttrusted.bin.yaml",
];

#[test]
fn every_file_is_recognised_or_said_to_be_no_evidence() {
    let Some(vectors) = Vectors::load() else { return };
    assert!(vectors.entries.len() >= 173);
    for entry in &vectors.entries {
        let none = NO_EVIDENCE.iter().any(|name| entry.path.ends_with(name));
        assert_eq!(vectors.piece(&entry.path).is_err(), none, "{}", entry.path);
    }
}

/// What each entry comes to with the certificates of its group, by itself.
fn expected(entry: &Entry) -> Option<(Verdict, &'static str)> {
    use Verdict::{Refused, Verified};
    // The entries that the words of the manifest alone do not settle, with the check that refuses them.
    const SINGLE: [(&str, &str); 19] = [
        ("google__go-sev-guest/attestation.bin", "debug-allowed"),
        ("test-vcek-invalid-legacy.der", "certificate-signature"),
        ("test-vcek-invalid-new.der", "certificate-signature"),
        ("report-genoa-v2-99b12a.bin", "report-signature"),
        ("fake_evidence_report.bin", "evidence-version"),
        ("hcl-report-snp.bin", "report-signature"),
        ("confidential-containers__trustee/tdx_quote_4.dat", "debug-allowed"),
        ("tdx_prod_quote_SPR_E4.dat", "primary-evidence"),
        ("QuoteVerificationLibrary/quote.dat", "trust-root"),
        ("QuoteVerificationLibrary/trustedRootCaCert.pem", "trust-root"),
        ("QuoteVerificationLibrary/pckSignChain.pem", "trust-root"),
        ("QuoteVerificationLibrary/tcbSignChain.pem", "trust-root"),
        ("quote_v3_ecdsa_p256_eppid.bin", "chain-incomplete"),
        ("gce-cos-85-no-nonce.pb", "quote-nonce"),
        ("windows_gcp_shielded_vm.json", "weak-hash"),
        ("failed-1.quote-eventlog.json", "boot-log-replay"),
        ("ebs_event_missing_eventlog", "exit-boot-services"),
        ("short_no_action_eventlog", "boot-log-syntax"),
        ("cos-113-intel-tdx-dupe-separator-unpadded.bin", "boot-separator-twice"),
    ];
    const MORE: [(&str, &str); 4] = [
        ("linux_tpm12.json", "evidence-version"),
        ("ima-log-sm3_256", "ima-log-syntax"),
        ("ima-log-unknown", "ima-log-syntax"),
        ("BAD_SIGNATURES.ascii", "ima-template-digest"),
    ];
    // TDs with a service TD, which the default policy refuses; of others in that group only the platform's level speaks.
    if entry.path.ends_with("tdx_quote_5.dat") {
        return Some((Refused, "service-td"));
    }
    if let Some((_, check)) = SINGLE.iter().chain(&MORE).find(|(name, _)| entry.path.ends_with(name)) {
        return Some((Refused, check));
    }
    let holds =
        ["verifies", "full chain accept", "parses", "AK sig ok", "signature + PCK chain", "replays to all"];
    let parts = [
        "certificate component",
        "pcrDigest ok",
        "2 entries",
        "362 ",
        "2365 ",
        "2380 ",
        "17 entries",
        "small keylime",
    ];
    let quotes = ["quote verifies", "reject by dcap-qvl", "does NOT replay", "component of group"];
    let words = [&holds[..], &parts, &quotes].concat();
    words.iter().any(|word| entry.expected.starts_with(word)).then_some((Verified, ""))
}

#[test]
fn each_file_by_itself_gets_its_verdict() {
    let Some(vectors) = Vectors::load() else { return };
    let mut judged = 0;
    for entry in &vectors.entries {
        let (Ok(piece), Some((verdict, check))) = (vectors.piece(&entry.path), expected(entry)) else {
            continue;
        };
        let given = if piece.intel_quote.is_some() { at(NOW) } else { vectors.chain(&entry.group) };
        let appraisal = appraise(&piece, &given);
        match verdict {
            Verdict::Verified => verified(&appraisal),
            _ => refused(&appraisal, check),
        }
        judged += 1;
    }
    assert!(judged >= 130, "{judged}");
}

/// Facts that no file here can show: the certificate that the manifest's author had is not among the vectors, or the file does not
/// parse at all.
fn unknowable(entry: &Entry, name: &str) -> bool {
    let vek = [
        "chip",
        "vek_product",
        "vek_tcb",
        "hwid_match",
        "tcb_match",
        "vek_not_before",
        "vek_not_after",
        "csp",
    ];
    entry.path.ends_with("fake_evidence_report.bin") && vek.contains(&name)
        || entry.path.ends_with("short_no_action_eventlog")
}

#[test]
fn each_file_says_what_others_read_in_it() {
    let Some(vectors) = Vectors::load() else { return };
    let mut compared = 0;
    for entry in vectors.entries.iter().filter(|entry| !entry.facts.is_empty()) {
        let Ok(piece) = vectors.piece(&entry.path) else { continue };
        let mut given = vectors.chain(&entry.group);
        if entry.path.ends_with("hcl-report.bin") {
            given.certificates.extend(
                vectors.piece(&entry.path.replace("hcl-report.bin", "vcek.pem")).unwrap().certificates,
            );
        }
        let appraisal = appraise(&piece, &given);
        for (name, value) in entry.facts.iter().filter(|(name, _)| !OTHERS.contains(&name.as_str())) {
            if !unknowable(entry, name) {
                let found = appraisal.facts.get(name);
                assert_eq!(found, Some(value), "{}: {name}", entry.path);
                compared += 1;
            }
        }
    }
    assert!(compared >= 700, "{compared}");
}

#[test]
fn a_debug_policy_is_taken_where_the_owner_says_so() {
    let Some(vectors) = Vectors::load() else { return };
    let mut given = vectors.chain("snp-gosev-milan");
    given.set_policy("dangerous_accept_debug = true").unwrap();
    verified(&vectors.one(&["snp/google__go-sev-guest/attestation.bin"], given));
    let mut given = at(NOW);
    given.set_policy("dangerous_accept_debug = true").unwrap();
    verified(&vectors.one(&["tdx/confidential-containers__trustee/tdx_quote_4.dat"], given));
}

#[test]
fn intels_collateral_counts_in_its_time_and_in_no_other() {
    let Some(vectors) = Vectors::load() else { return };
    let mut judged = 0;
    for entry in &vectors.entries {
        let Some(times) = entry.facts.get("dcap_qvl").and_then(Value::as_object) else { continue };
        let whole = vectors
            .entries
            .iter()
            .find(|other| other.group == entry.group && other.path.ends_with("collateral.json"));
        let Some(whole) = whole else { continue };
        for (time, theirs) in times {
            let mut given = at(time);
            given.add(&vectors.piece(&whole.path).unwrap());
            let appraisal = vectors.one(&[&entry.path], given);
            // A revocation list of the future, which dcap-qvl does not look at.
            let early = entry.path.ends_with("td15ex") && time == "2026-10-08T00:28:25Z";
            if theirs["ok"] == true && !early {
                verified(&appraisal);
                assert_eq!(appraisal.facts.get("tcb_status"), theirs.get("status"), "{time}");
                assert_eq!(appraisal.facts.get("advisories"), theirs.get("adv"), "{time}");
            } else {
                let no_level = theirs["err"] == "No matching TCB level found";
                let checks = ["tcb-level", "collateral-validity", "revocation-list"];
                let by = failed(&appraisal).into_iter().find(|name| checks.contains(name));
                assert_eq!(appraisal.verdict(), Verdict::Refused, "{} at {time}", entry.path);
                assert_eq!(by == Some("tcb-level"), no_level, "{} at {time}: {by:?}", entry.path);
            }
            judged += 1;
        }
    }
    assert!(judged >= 30, "{judged}");
}

#[test]
fn files_of_one_machine_are_one_appraisal() {
    let Some(vectors) = Vectors::load() else { return };
    let ccel = "ccel/google__go-tdx-guest/";
    let mut given = at(NOW);
    given.nonce = Some(vectors.read(&format!("{ccel}nonce.dat")));
    let appraisal =
        vectors.one(&[&format!("{ccel}ccel_data.dat"), &format!("{ccel}cos-113-tdx-quote.dat")], given);
    verified(&appraisal);
    assert_eq!(appraisal.kind, "tdx-quote");
    assert!(appraisal.steps.iter().any(|step| step.name == "boot-log-replay" && step.found.contains("43")));
    let trustee = [
        "tdx/confidential-containers__trustee/tdx_quote_4.dat",
        "ccel/confidential-containers__trustee/CCEL_data",
    ];
    refused(&vectors.one(&trustee, at(NOW)), "boot-log-replay");

    let azure = "azure-vtpm/confidential-containers__trustee/az-snp-vtpm/";
    let file = |name: &str| format!("{azure}{name}");
    let (report, chain) = (file("hcl-report.bin"), file("vcek.pem"));
    verified(&vectors.one(&[&report, &file("quote.bin"), &chain], at(NOW)));
    verified(&vectors.one(&[&report, &file("tpm-quote-v1.json"), &chain], at(NOW)));
    refused(
        &vectors.one(&[&report, &file("tpm-quote.msg"), &file("tpm-quote.sig"), &chain], at(NOW)),
        "quote-signature",
    );

    let kinvolk = "azure-vtpm/kinvolk__azure-cvm-tooling/";
    let file = |name: &str| format!("{kinvolk}{name}");
    let mut given = at(NOW);
    given.nonce = Some(b"challenge".to_vec());
    let bound = vectors.one(&[&file("quote.bin"), &file("akpub.pem")], given);
    verified(&bound);
    assert!(bound.steps.iter().any(|step| step.name == "quote-signature"));
    for report in ["hcl-report-snp.bin", "hcl-report-tdx.bin"] {
        refused(&vectors.one(&[&file(report), &file("quote.bin")], at(NOW)), "quote-signature");
    }
}

#[test]
fn ima_logs_replay_to_the_kernels_values_in_every_bank() {
    let Some(vectors) = Vectors::load() else { return };
    let folder = "ima/kgoldman__ibmtss/";
    for bank in ["sha1", "sha256", "sha384", "sha512"] {
        let log = format!("{folder}{bank}.log");
        let appraisal = vectors.one(&[&log, &format!("{folder}imakvtpcr10.txt")], at(NOW));
        verified(&appraisal);
        assert_eq!(appraisal.facts["entries"], 362, "{bank}");
        let replayed = appraisal.steps.iter().filter(|step| step.name == "ima-replay");
        assert_eq!(replayed.count(), 4, "{bank}");
    }
    for (path, entries, violations) in [
        ("ima/kgoldman__ibmtss/imatest.log", 17, 1),
        ("ima/immune-gmbh__guard-oss/h12ssl.binary_measurements", 2365, 2),
        ("ima/immune-gmbh__guard-oss/h12ssl.ascii_measurements", 2380, 2),
    ] {
        let appraisal = vectors.one(&[path], at(NOW));
        assert_eq!(
            (&appraisal.facts["entries"], &appraisal.facts["violations"]),
            (&entries.into(), &violations.into())
        );
    }
    let boot = "tcg2-eventlog/immune-gmbh__guard-oss/h12ssl.bios_measurements";
    let appraisal = vectors.one(&[boot, "ima/immune-gmbh__guard-oss/h12ssl.binary_measurements"], at(NOW));
    assert!(appraisal.steps.iter().any(|step| step.name == "boot-aggregate" && step.found.contains("Sha1")));
    // Two logs are two appraisals: nothing says that they are of one machine.
    let two = [format!("{folder}sha1.log"), format!("{folder}sha256.log")];
    assert_eq!(vectors.together(&[&two[0], &two[1]], at(NOW)).len(), 2);
}

#[test]
fn file_signatures_are_verified_by_the_keys_given() {
    let Some(vectors) = Vectors::load() else { return };
    let folder = "ima/keylime__keylime/";
    let log = |name: &str| format!("{folder}test_ima_verification.{name}.ascii");
    let key = format!("{folder}rsa2048pub.pem");
    let signed = vectors.one(&[&log("SIGNATURES"), &key], at(NOW));
    verified(&signed);
    assert_eq!(signed.facts["verified_signatures"], 1);
    refused(&vectors.one(&[&log("BAD_SIGNATURES"), &key], at(NOW)), "file-signature");
}

#[test]
fn a_test_root_is_trusted_only_where_the_user_says_so() {
    let Some(vectors) = Vectors::load() else { return };
    let folder = "tdx/intel__SGX-TDX-DCAP-QuoteVerificationLibrary/";
    let quote = format!("{folder}quote.dat");
    refused(&vectors.one(&[&quote], at(NOW)), "trust-root");
    let mut given = at(NOW);
    given.trusted_roots = vectors.piece(&format!("{folder}trustedRootCaCert.pem")).unwrap().certificates;
    let appraisal = vectors.one(&[&quote], given);
    assert!(!failed(&appraisal).contains(&"trust-root"), "{:?}", failed(&appraisal));
    assert_eq!(appraisal.facts["chain"], "ok");
}

#[test]
fn the_program_gives_the_same_verdicts() {
    let Some(vectors) = Vectors::load() else { return };
    let path = |name: &str| vectors.root.join(name).to_str().unwrap().to_owned();
    let chain = path("certs/virtee__sev/cert_chain_milan");
    for (arguments, code) in [
        (
            vec![
                path("snp/virtee__sev/report_milan.hex"),
                "--chain".to_owned(),
                path("snp/virtee__sev/vcek_milan.der"),
                chain.clone(),
            ],
            0,
        ),
        (
            vec![
                path("snp/confidential-containers__trustee/test-vcek-invalid-new.der"),
                "--chain".to_owned(),
                chain.clone(),
            ],
            1,
        ),
        (
            vec![
                path("snp/google__go-sev-guest/attestation.bin"),
                "--chain".to_owned(),
                path("snp/google__go-sev-guest/vcek.testcer"),
                chain,
            ],
            1,
        ),
        (vec![path("tcg2-eventlog/kgoldman__ibmtss/p511.log")], 0),
        (vec![path("tcg2-eventlog/google__go-eventlog/linux_tpm12.json")], 1),
        (vec![path("ima/keylime__rust-keylime/invalid_ima_log.txt")], 2),
        (
            vec![
                path("ima/kgoldman__ibmtss/sha256.log"),
                "--pcrs".to_owned(),
                path("ima/kgoldman__ibmtss/imakvtpcr10.txt"),
            ],
            0,
        ),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_sealpod-kbs"))
            .args(["evidence", "verify"])
            .args(&arguments)
            .args(["--time", NOW, "--json"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = ["verified", "refused", "unreadable"][usize::try_from(code).unwrap()];
        assert_eq!(value["verdict"], verdict, "{arguments:?}");
    }
}

#[test]
fn nothing_panics_on_a_file_that_is_cut_or_changed() {
    let Some(vectors) = Vectors::load() else { return };
    for entry in &vectors.entries {
        let bytes = vectors.read(&entry.path);
        let small = bytes.len() < 20_000;
        let lengths: Vec<usize> =
            (0..bytes.len()).step_by((bytes.len() / if small { 24 } else { 5 }).max(1)).collect();
        for length in lengths {
            if let Ok(piece) = recognise("cut", &bytes[..length], None) {
                let appraisal = appraise(&piece, &at(NOW));
                // What is shown is built from the same untrusted bytes.
                assert!(
                    !sealpod_kbs::inspect::render(&appraisal, sealpod_kbs::inspect::Mode::Inspect, true)
                        .is_empty()
                );
            }
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(length) {
                *byte ^= 0x41;
            }
            if let Ok(piece) = recognise("changed", &changed, None) {
                appraise(&piece, &at(NOW));
            }
        }
    }
}
