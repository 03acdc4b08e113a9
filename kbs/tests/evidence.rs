//! `evidence inspect|verify|explain|learn`: what the program prints, what it refuses and how it ends.

use sealpod_testkit::keys::Key;
use sealpod_testkit::{Bundle, pki, report};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealpod-kbs"))
        .arg("evidence")
        .args(arguments)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs, and gives the exit code, standard output and standard error.
fn told(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let (code, out, error) = told(&[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")))
}

#[track_caller]
fn unreadable(arguments: &[&str], words: &str) {
    let (code, _, error) = told(arguments);
    assert_eq!(code, 2, "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(words), "{error}");
}

/// A report of the test platform, its chain, and the options that make it verify.
fn report_and_chain(files: &Files) -> (String, Vec<String>) {
    let report = files.put("report.bin", report::ReportFields::default().to_bytes_signed());
    let chain = files.put("chain.der", [pki::vcek_der(), pki::ask_der(), pki::ark_der()].concat());
    let root = files.put("root.der", pki::ark_der());
    let time = "@1780300800".to_owned();
    (
        report,
        ["--chain", &chain, "--dangerous-trust-root", &root, "--time", &time].map(str::to_owned).to_vec(),
    )
}

fn options(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[test]
fn a_report_is_verified_in_json_of_one_shape() {
    let files = Files::new();
    let (report, list) = report_and_chain(&files);
    let (code, value) = json(&[&["verify", &report], &options(&list)[..]].concat());
    assert_eq!(code, 0, "{value:#}");
    assert_eq!((&value["kind"], &value["verdict"]), (&"snp-report".into(), &"verified".into()));
    assert_eq!(value["facts"]["chip"], "genoa");
    for step in value["steps"].as_array().unwrap() {
        for name in ["step", "name", "status", "expected", "found", "needs"] {
            assert!(step.get(name).is_some(), "{step}");
        }
        let (status, needs) = (step["status"].as_str().unwrap(), step["needs"].as_str().unwrap());
        assert!(["pass", "fail", "not-run"].contains(&status));
        assert_eq!(status == "not-run", !needs.is_empty(), "{step}");
    }
}

#[test]
fn what_is_missing_is_said_with_the_option_that_gives_it() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    let (code, out, _) = told(&["verify", &report]);
    assert_eq!(code, 0);
    for words in
        ["Not run for want of input", "--chain", "--nonce", "--policy", "NOTHING SIGNED", "kdsintf.amd.com"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    let ask = files.put("ask.der", [pki::vcek_der(), pki::ask_der()].concat());
    let (code, out, _) = told(&["verify", &report, "--chain", &ask]);
    assert_eq!(code, 0);
    assert!(out.contains("ARK-Genoa"), "{out}");
}

#[test]
fn a_report_that_was_changed_is_refused_and_explained() {
    let files = Files::new();
    let (_, list) = report_and_chain(&files);
    let mut bytes = report::ReportFields::default().to_bytes_signed();
    bytes[0x90] ^= 1;
    let changed = files.put("changed.bin", bytes);
    let (code, out, _) = told(&[&["explain", &changed], &options(&list)[..]].concat());
    assert_eq!(code, 1, "{out}");
    for words in ["✘  5 report-signature", "means", "usually", "REFUSED"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (_, value) = json(&[&["explain", &changed], &options(&list)[..]].concat());
    let failed = value["steps"].as_array().unwrap().iter().find(|step| step["status"] == "fail").unwrap();
    assert!(failed["means"].is_string() && failed["cause"].is_string());
}

#[test]
fn a_test_root_is_not_trusted_by_itself() {
    let files = Files::new();
    let (report, list) = report_and_chain(&files);
    let (code, value) = json(&["verify", &report, "--chain", &list[1]]);
    assert_eq!(code, 1);
    assert!(value["steps"].as_array().unwrap().iter().any(|step| step["name"] == "trust-root"), "{value:#}");
}

#[test]
fn the_nonce_is_a_text_hex_or_a_file() {
    let files = Files::new();
    let mut fields = report::ReportFields::default();
    fields.report_data[..5].copy_from_slice(b"hello");
    let report = files.put("report.bin", fields.to_bytes_signed());
    let file = files.put("nonce", b"hello");
    let hex = files.put("nonce.hex", b"68656c6c6f\r\n");
    for nonce in ["text:hello", "68656c6c6f", &file, &hex] {
        let (code, value) = json(&["verify", &report, "--nonce", nonce]);
        assert_eq!(code, 0, "{nonce}: {value:#}");
    }
    assert_eq!(json(&["verify", &report, "--nonce", "text:other"]).0, 1);
    unreadable(&["verify", &report, "--nonce", "no such file"], "no such file");
}

#[test]
fn every_way_to_write_a_report_down_is_read() {
    let files = Files::new();
    let report = report::ReportFields::default().to_bytes_signed();
    let digits = hex::encode(report);
    let wide: Vec<u8> = digits.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let table = [report.as_slice(), &pki::certificate_table()].concat();
    let base64 = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("raw", report.to_vec()),
        ("hex", digits.clone().into_bytes()),
        ("upper", digits.to_uppercase().into_bytes()),
        ("bom-crlf", [b"\xef\xbb\xbf", digits.as_bytes(), b"\r\n"].concat()),
        ("utf-16", [&[0xff, 0xfe], wide.as_slice()].concat()),
        ("lines", digits.as_bytes().chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..])),
        ("base64", base64(&report).into_bytes()),
        ("string", format!("\"{}\"", base64(&report)).into_bytes()),
        ("nested", base64(digits.as_bytes()).into_bytes()),
        ("extended", table),
        (
            "json",
            format!("{{\"attestation_report\": \"{}\", \"cert_chain\": null}}", base64(&report)).into_bytes(),
        ),
        ("ours", format!("{{\"report\": \"{}\", \"certificates\": \"\"}}", base64(&report)).into_bytes()),
        ("numbers", format!("{report:?}").into_bytes()),
    ];
    for (name, content) in cases {
        let (code, value) = json(&["inspect", &files.put(name, content)]);
        assert_eq!((code, &value["kind"]), (0, &"snp-report".into()), "{name}");
        assert_eq!(value["facts"]["measurement"], hex::encode(&report[0x90..0xc0]), "{name}");
    }
}

#[test]
fn colors_are_for_terminals() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    assert!(!told(&["inspect", &report]).1.contains('\u{1b}'));
    assert!(!told(&["inspect", &report, "--color", "never"]).1.contains('\u{1b}'));
    assert!(told(&["inspect", &report, "--color", "always"]).1.contains('\u{1b}'));
}

#[test]
fn what_is_no_evidence_is_said_in_one_line() {
    let files = Files::new();
    let digits = "0123456789abcdef".repeat(4);
    for (name, content, words) in [
        ("empty", Vec::new(), "empty"),
        ("zeros", vec![0; 4096], "zero"),
        ("noise", (0..4096_u32).map(|i| (i * i % 251) as u8).collect(), "tried"),
        ("text", b"hello, this is a text\n".to_vec(), "tried"),
        ("json", b"{\"a\": 1}".to_vec(), "JSON"),
        ("broken.json", b"{\"quote\": ".to_vec(), "does not parse"),
        ("gzip", vec![0x1f, 0x8b, 8, 0], "gzip"),
        ("page", b"<html><body>404</body></html>".to_vec(), "web page"),
        ("digest", digits.into_bytes(), "--kind"),
    ] {
        unreadable(&["verify", &files.put(name, content)], words);
    }
    let directory = files.path("");
    unreadable(&["verify", directory.to_str().unwrap()], "directory");
    unreadable(&["inspect", files.path("none").to_str().unwrap()], "none");
    let terminal = files.put("esc", b"\x1b[2Jhello");
    assert!(!told(&["verify", &terminal]).2.contains('\u{1b}'));
}

#[test]
fn endless_and_huge_files_end() {
    let files = Files::new();
    let huge = files.path("huge");
    std::fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    unreadable(&["verify", huge.to_str().unwrap()], "16 MiB");
    let (one, other) = (files.path("a"), files.path("b"));
    std::os::unix::fs::symlink(&one, &other).unwrap();
    std::os::unix::fs::symlink(&other, &one).unwrap();
    unreadable(&["verify", one.to_str().unwrap()], "read");
    if Path::new("/dev/zero").exists() {
        unreadable(&["verify", "/dev/zero"], "16 MiB");
    }
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    let bad = files.put("bad", b"hello there");
    let (code, value) = json(&["verify", &report, &bad]);
    assert_eq!((code, &value["verdict"]), (2, &"unreadable".into()));
    let verdicts: Vec<&str> =
        value["appraisals"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["verified", "unreadable"]);
}

#[test]
fn a_kind_is_forced_only_where_it_fits() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    assert_eq!(json(&["inspect", &report, "--kind", "snp-report"]).1["kind"], "snp-report");
    let (code, value) = json(&["verify", &report, "--kind", "tcg2-log"]);
    assert_eq!((code, &value["kind"], &value["verdict"]), (1, &"tcg2-log".into(), &"refused".into()));
    assert_eq!(told(&["inspect", &report, "--kind", "nonsense"]).0, 2);
}

#[test]
fn options_that_name_the_wrong_file_are_misuse() {
    let files = Files::new();
    let (report, list) = report_and_chain(&files);
    let text = files.put("text", b"hello");
    for option in ["--chain", "--collateral", "--crl", "--pcrs", "--ak", "--policy", "--dangerous-trust-root"]
    {
        unreadable(&["verify", &report, option, &text], "text");
    }
    unreadable(&["verify", &report, "--crl", &list[1]], "no revocation list");
    assert_eq!(told(&["verify", &report, "--time", "yesterday"]).0, 2);
    assert_eq!(told(&["verify"]).0, 2);
}

#[test]
fn a_check_is_explained_by_its_name() {
    let (code, out, _) = told(&["explain", "certificate-tcb"]);
    assert_eq!(code, 0);
    assert!(out.contains("step 4") && out.contains("means") && out.contains("usually"), "{out}");
    unreadable(&["explain", "certificate-tbc"], "certificate-tcb");
    let (code, out, _) = told(&["explain", "--list"]);
    assert_eq!(code, 0);
    assert_eq!(
        out.lines().filter(|line| line.contains("(step ")).count(),
        sealpod_verifier::Check::ALL.len()
    );
}

#[test]
fn what_can_be_held_against_a_certificate_is_though_its_chain_is_missing() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    let time = ["--time", "@1780300800"];
    let own = files.put("own.der", pki::vcek_der());
    let (code, value) = json(&[&["verify", &report, "--chain", &own], &time[..]].concat());
    assert_eq!(code, 0);
    let signed =
        value["steps"].as_array().unwrap().iter().find(|step| step["name"] == "report-signature").unwrap();
    assert!(signed["found"].as_str().unwrap().contains("not verified"), "{signed}");
    assert!(value["notes"].to_string().contains("anybody may have issued it"));
    // Another chip's certificate, and one of another TCB.
    let mut other = pki::Certificate { key: Key::ForeignVcek, ..pki::Certificate::vcek() };
    let foreign = files.put("foreign.der", other.to_der());
    other = pki::Certificate::vcek();
    other.vek.as_mut().unwrap().tcb.microcode ^= 1;
    let newer = files.put("newer.der", other.to_der());
    for (certificate, check) in [(&foreign, "report-signature"), (&newer, "certificate-tcb")] {
        let (code, value) = json(&[&["verify", &report, "--chain", certificate], &time[..]].concat());
        assert_eq!(code, 1);
        assert!(
            value["steps"]
                .as_array()
                .unwrap()
                .iter()
                .any(|step| step["name"] == check && step["status"] == "fail"),
            "{value:#}"
        );
    }
    // An ASK that did not sign it shows that without an ARK.
    let mut tampered = pki::vcek_der().to_vec();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let tampered = files.put("tampered.der", tampered);
    let ask = files.put("ask.der", pki::ask_der());
    let (code, value) = json(&[&["verify", &tampered, "--chain", &ask], &time[..]].concat());
    assert_eq!(code, 1, "{value:#}");
    assert_eq!(json(&[&["verify", &report, "--chain", &tampered, &ask], &time[..]].concat()).0, 1);
}

/// A bundle as a guest sends it, and what is needed to judge it.
fn bundle(files: &Files) -> (String, Vec<String>) {
    let mut bundle = Bundle::valid();
    bundle.activated_credential = vec![0; 32];
    let sealed = bundle.seal();
    let body = files.put("body.json", serde_json::to_vec(&sealed.attestation()).unwrap());
    let root = files.put("root.der", pki::ark_der());
    let policy = files.put("reference.json", serde_json::to_vec(&bundle.reference()).unwrap());
    let list = ["--dangerous-trust-root", &root, "--policy", &policy, "--time", "@1780300800"];
    (body, list.map(str::to_owned).to_vec())
}

#[test]
fn a_bundle_is_judged_step_by_step() {
    let files = Files::new();
    let (body, list) = bundle(&files);
    let (code, value) = json(&[&["verify", &body], &options(&list)[..]].concat());
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(value["kind"], "sealpod-bundle");
    let passed: Vec<&str> = value["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["status"] == "pass")
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    for name in [
        "body",
        "certificate-signature",
        "report-signature",
        "report-data",
        "launch-digest",
        "host-data",
        "svsm-manifest",
        "ek-attributes",
        "quote-nonce",
        "quote-signature",
        "boot-log-replay",
        "boot-aggregate",
        "ima-replay",
        "workload-replay",
    ] {
        assert!(passed.contains(&name), "{name}: {passed:?}");
    }
    // What the archive keeps is the same with a frame around it.
    let record = format!(
        "{{\"id\":\"1\",\"time\":\"2026-06-01T00:00:00Z\",\"decision\":{{\"verdict\":\"allow\"}},\"request\":{}}}",
        std::fs::read_to_string(&body).unwrap()
    );
    let record = files.put("record.json", record);
    let (code, value) = json(&[&["verify", &record], &options(&list)[..]].concat());
    assert_eq!((code, &value["facts"]["decision"]["verdict"]), (0, &"allow".into()), "{value:#}");
}

#[test]
fn a_bundle_with_an_exchanged_part_is_refused() {
    let files = Files::new();
    let (body, list) = bundle(&files);
    let text = std::fs::read_to_string(&body).unwrap();
    let nonce =
        serde_json::from_str::<Value>(&text).unwrap()["runtime-data"]["nonce"].as_str().unwrap().to_owned();
    let other = files.put("other.json", text.replace(&nonce, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let (code, value) = json(&[&["verify", &other], &options(&list)[..]].concat());
    assert_eq!(code, 1);
    let failed: Vec<&Value> = value["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["status"] == "fail")
        .map(|step| &step["name"])
        .collect();
    assert!(failed.contains(&&"report-data".into()) && failed.contains(&&"quote-nonce".into()), "{failed:?}");
}

#[test]
fn reference_values_are_proposed_for_review_and_accept_what_they_were_learnt_from() {
    let files = Files::new();
    let (body, list) = bundle(&files);
    let proposed = files.path("proposed.json");
    let (code, out, remarks) = told(&["learn", &body, "--output", proposed.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (0, ""), "{remarks}");
    assert!(remarks.contains("review"), "{remarks}");
    let document: Value = serde_json::from_slice(&std::fs::read(&proposed).unwrap()).unwrap();
    assert!(document["description"].as_str().unwrap().starts_with("REVIEW BEFORE USE"));
    for part in ["snp_measurements", "snp_minimum_tcb", "initdata", "boot", "files"] {
        assert!(document.get(part).is_some(), "{part}");
    }
    assert!(!document.to_string().contains("dangerous"));
    let with: Vec<&str> = options(&list)
        .into_iter()
        .map(|it| if it.ends_with("reference.json") { proposed.to_str().unwrap() } else { it })
        .collect();
    let (code, value) = json(&[&["verify", &body], &with[..]].concat());
    assert_eq!(code, 0, "{value:#}");
    // It never writes over a file.
    assert_eq!(told(&["learn", &body, "--output", proposed.to_str().unwrap()]).0, 1);
    unreadable(&["learn", &list[1]], "Reference Value");
}

#[test]
fn certificates_are_verified_by_themselves() {
    let files = Files::new();
    let (_, list) = report_and_chain(&files);
    let with = &options(&list)[2..];
    for (name, content) in [
        ("all.der", [pki::vcek_der(), pki::ask_der(), pki::ark_der()].concat()),
        ("vlek.der", [pki::ark_der(), pki::vlek_der(), pki::asvk_der()].concat()),
        ("table", pki::certificate_table()),
    ] {
        let (code, value) = json(&[&["verify", &files.put(name, content)], with].concat());
        assert_eq!((code, &value["verdict"]), (0, &"verified".into()), "{name}: {value:#}");
    }
    let alone = files.put("leaf.der", pki::vcek_der());
    assert_eq!(json(&["verify", &alone, "--time", "@1780300800"]).0, 0);
    assert_eq!(json(&["verify", &alone, "--time", "1999-01-01"]).0, 1);
    assert_eq!(json(&["verify", &alone, "--time", "1999-01-01T00:00:00Z"]).0, 1);
}

#[test]
fn a_revocation_list_counts_for_the_chain() {
    let files = Files::new();
    let (report, list) = report_and_chain(&files);
    let crl = files.put("crl.der", pki::Crl::default().to_der());
    let revoking = files.put("revoking.der", pki::Crl::revoking(&pki::Certificate::ask()).to_der());
    let verify = |crl: &str| json(&[&["verify", &report], &options(&list)[..], &["--crl", crl]].concat());
    let (code, value) = verify(&crl);
    assert_eq!(code, 0, "{value:#}");
    let (code, value) = verify(&revoking);
    assert_eq!(code, 1);
    assert!(
        value["steps"].as_array().unwrap().iter().any(|step| step["name"] == "certificate-revoked"),
        "{value:#}"
    );
    let (code, value) = json(&[&["verify", &crl], &options(&list)[..]].concat());
    assert_eq!((code, &value["kind"]), (0, &"crl".into()), "{value:#}");
}

#[test]
fn no_broker_is_needed_and_none_is_touched() {
    let files = Files::new();
    let (report, _) = report_and_chain(&files);
    let directory = files.path("nowhere");
    let (code, ..) = told(&["inspect", &report, "--dir", directory.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(!directory.exists());
}

/// A bundle of a TD or of an Azure guest, with everything that is needed to judge it.
fn other_bundle(
    files: &Files,
    attestation: &kbs_types::Attestation,
    reference: &sealpod_evidence::reference_values::ReferenceDocument,
    policy: &str,
) -> (String, Vec<String>) {
    let body = files.put("body.json", serde_json::to_vec(attestation).unwrap());
    let amd = files.put("amd.der", [pki::ask_der(), pki::ark_der()].concat());
    let roots = files.put("ark.der", pki::ark_der());
    let intel = files.put("intel.der", sealpod_testkit::tdx::IntelCertificate::root().to_der());
    let collateral = files.put("collateral.json", sealpod_testkit::tdx::Collateral::valid().to_json());
    let reference = files.put("reference.json", serde_json::to_vec(reference).unwrap());
    let policy = files.put("policy.toml", policy);
    let list = [
        "--chain",
        &amd,
        "--dangerous-trust-root",
        &roots,
        &intel,
        "--collateral",
        &collateral,
        "--policy",
        &reference,
        &policy,
        "--time",
        "@1780300800",
    ];
    (body, list.map(str::to_owned).to_vec())
}

#[track_caller]
fn passes(value: &Value, names: &[&str]) {
    let steps = value["steps"].as_array().unwrap();
    let of = |status: &str| -> Vec<&str> {
        steps.iter().filter(|s| s["status"] == status).map(|s| s["name"].as_str().unwrap()).collect()
    };
    assert!(of("fail").is_empty(), "{:#}", value["steps"]);
    for name in names {
        assert!(of("pass").contains(name), "{name}: {:?}", of("pass"));
    }
}

#[test]
fn a_bundle_of_a_td_is_judged_step_by_step() {
    let files = Files::new();
    let bundle = sealpod_testkit::tdx::TdxBundle::valid();
    let (body, list) = other_bundle(&files, &bundle.seal().attestation(), &bundle.reference(), "");
    let (code, value) = json(&[&["verify", &body], &options(&list)[..]].concat());
    passes(
        &value,
        &[
            "body",
            "certificate-signature",
            "collateral-signature",
            "qe-report-signature",
            "tcb-status",
            "report-signature",
            "report-data",
            "launch-digest",
            "host-data",
            "boot-log-replay",
            "workload-replay",
            "foreign-file",
        ],
    );
    assert_eq!((code, &value["facts"]["primary"]), (0, &"tdx-quote".into()));
}

#[test]
fn a_bundle_of_an_azure_guest_is_judged_step_by_step() {
    let files = Files::new();
    let vtpm = [
        "runtime-data",
        "runtime-user-data",
        "quote-nonce",
        "quote-signature",
        "boot-log-replay",
        "initdata-pcr",
        "boot-reference",
        "ima-replay",
        "foreign-file",
        "workload-replay",
    ];
    for (bundle, kind) in [
        (sealpod_testkit::azure::AzureBundle::snp(), "az-snp-vtpm"),
        (sealpod_testkit::azure::AzureBundle::tdx(), "az-tdx-vtpm"),
    ] {
        let attestation = bundle.seal().attestation();
        let (body, list) = other_bundle(&files, &attestation, &bundle.reference(), "");
        let (code, value) = json(&[&["verify", &body], &options(&list)[..]].concat());
        passes(&value, &vtpm);
        assert_eq!((code, &value["facts"]["primary"]), (0, &kind.into()), "{value:#}");
        // The wire evidence by itself is recognised too.
        let wire = files.put("wire.json", attestation.tee_evidence.primary_evidence.to_string());
        let (code, value) = json(&[&["verify", &wire], &options(&list)[..]].concat());
        passes(&value, &["runtime-data", "quote-signature", "report-signature"]);
        assert_eq!((code, &value["kind"]), (0, &kind.into()));
    }
}
