//! `sealpod-kbs endorsements`.

use crate::fake::{CHIP, Fake, Reply, chain_pem};
use sealpod_testkit::pki::{self, Crl};
use sealpod_testkit::report::ReportFields;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Broker {
    directory: tempfile::TempDir,
}

impl Broker {
    /// A broker that fetches from there; blocking, so not for the thread that answers.
    fn init(kds: Option<&str>) -> Self {
        let broker = Self { directory: tempfile::tempdir().unwrap() };
        assert!(broker.run(&["init", "--tls-name", "localhost"]).status.success());
        if let Some(kds) = kds {
            let path = broker.path().join("config.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let text =
                text.replace("# amd_kds = \"https://kdsintf.amd.com\"", &format!("amd_kds = \"{kds}\""));
            std::fs::write(&path, text).unwrap();
        }
        broker
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("kbs")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpod-kbs"));
        command.args(arguments).arg("--dir").arg(self.path()).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path: &Path = &self.directory.path().join(name);
        std::fs::write(path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn files_are_imported_and_listed() {
    let broker = Broker::init(None);
    let vcek = broker.file("vcek.der", pki::vcek_der());
    let chain = broker.file("cert_chain", chain_pem());
    let crl = broker.file("crl", Crl::default().to_der());
    let kept = json(&broker.ok(&["endorsements", "import", &vcek, &chain, &crl, "--json"]));
    let names: Vec<_> = kept.iter().map(|record| record["item"].as_str().unwrap()).collect();
    let chip = CHIP.to_string();
    assert_eq!(names, [chip.as_str(), "vcek-chain-genoa", "vcek-crl-genoa", "vlek-crl-genoa"]);
    assert_eq!(kept[0]["state"], "good");
    assert_eq!(kept[0]["source"], vcek);
    assert_eq!(kept[0]["bytes"], pki::vcek_der().len());
    assert_eq!(json(&broker.ok(&["endorsements", "list", "--json"])), kept);
    let text = broker.ok(&["endorsements", "list"]);
    assert!(text.contains("vcek-chain-genoa  good until 2099-12-31T23:59:59Z"), "{text}");
    broker.ok(&["endorsements", "remove", "vlek-crl-genoa", &chip]);
    assert_eq!(broker.ok(&["endorsements", "list"]).lines().count(), 2);
    let text = broker.fails(&["endorsements", "remove", "vlek-crl-genoa"], 1);
    assert!(text.contains("there is no vlek-crl-genoa; see `sealpod-kbs endorsements list`"), "{text}");
    broker.fails(&["endorsements", "remove", "../config.toml"], 2);
    let audit = broker.ok(&["audit", "show", "--json"]);
    assert_eq!(audit.lines().filter(|line| line.contains("endorsement-remove")).count(), 2);
    assert_eq!(audit.lines().filter(|line| line.contains("endorsement-import")).count(), 4);
}

#[test]
fn when_one_file_is_not_good_none_is_kept() {
    let broker = Broker::init(None);
    let vcek = broker.file("vcek.der", pki::vcek_der());
    let list = Crl { next_update: Some(pki::NOT_BEFORE + 1), ..Crl::default() };
    for (name, bytes, says) in [
        ("page.html", b"<html>sign in</html>".to_vec(), "expected certificates and lists in PEM"),
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(), "PrivateKey"),
        ("x.json", b"{\"a\": 1}".to_vec(), "other JSON"),
        ("cut.der", pki::vcek_der()[..900].to_vec(), "900 bytes of another kind"),
        ("vlek.der", pki::vlek_der().to_vec(), "VLEK comes with"),
        ("ask.der", pki::ask_der().to_vec(), "no ARK; import both together"),
        ("old.crl", list.to_der(), "expected it to be valid at"),
        ("large", vec![b'x'; (1 << 20) + 1], "at most 1048576 bytes"),
    ] {
        let bad = broker.file(name, bytes);
        let text = broker.fails(&["endorsements", "import", &vcek, &bad], 1);
        assert!(text.contains(says), "{text}");
        assert_eq!(broker.ok(&["endorsements", "list"]), "", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_or_report_is_fetched() {
    let fake = Fake::start().await;
    let url = fake.url();
    let work = move || {
        let broker = Broker::init(Some(&url));
        let report = ReportFields::default().to_bytes_signed();
        let raw = broker.file("report.bin", report);
        let text = broker.file("report.hex", hex::encode(report) + "\n");
        let fetched = json(&broker.ok(&["endorsements", "fetch", "--report", &raw, "--json"]));
        assert_eq!(fetched.len(), 3);
        // What is there is not asked for again, unless it is wanted.
        broker.ok(&["endorsements", "fetch", "--report", &text]);
        let chip = hex::encode(pki::CHIP_ID);
        let tcb = "bootloader=3,tee=0,snp=10,microcode=20";
        broker.ok(&["endorsements", "fetch", "--product", "Genoa", "--chip-id", &chip, "--tcb", tcb]);
        broker.ok(&["endorsements", "fetch", "--product", "genoa", "--anew"]);
        assert_eq!(broker.ok(&["endorsements", "list"]).lines().count(), 3);

        let text = broker.fails(&["endorsements", "fetch", "--product", "milan"], 1);
        assert!(text.contains("vcek-chain-milan: expected status 200, found 404"), "{text}");
        let text = broker.fails(&["endorsements", "fetch", "--fmspc", "00806F050000"], 1);
        assert!(text.contains("no address of Intel's certification service is set"), "{text}");
        let junk = broker.file("junk", "junk");
        let text = broker.fails(&["endorsements", "fetch", "--report", &junk], 1);
        assert!(text.contains("expected an SNP report"), "{text}");
        let text = broker.fails(&["endorsements", "fetch", "--quote", &junk], 1);
        assert!(text.contains("expected a TDX quote"), "{text}");
        for bad in [
            &["fetch"][..],
            &["fetch", "--product", "rome"],
            &["fetch", "--product", "genoa", "--chip-id", "00", "--tcb", tcb],
            &["fetch", "--product", "genoa", "--chip-id", &chip],
            &["fetch", "--fmspc", "00"],
            &["fetch", "--fmspc", "00806F050000", "--quote", "x"],
            &["remove"],
            &["import"],
        ] {
            broker.fails(&[&["endorsements"], bad].concat(), 2);
        }
        let text = broker
            .fails(&["endorsements", "fetch", "--product", "genoa", "--chip-id", &chip, "--tcb", "3"], 1);
        assert!(text.contains("--tcb: expected eight bytes in hex"), "{text}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(fake.count(CHIP), 1);
    assert_eq!(fake.asked().len(), 3 + 2 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_whole_files_only() {
    let fake = Fake::start().await;
    fake.set(CHIP, Reply::Stuck);
    let url = fake.url();
    let asked = |count| {
        let fake = &fake;
        async move {
            while fake.count(CHIP) < count {
                tokio::task::yield_now().await
            }
        }
    };
    let broker = tokio::task::spawn_blocking(move || Broker::init(Some(&url))).await.unwrap();
    let chip = hex::encode(pki::CHIP_ID);
    let arguments =
        ["endorsements", "fetch", "--product", "genoa", "--chip-id", &chip, "--tcb", "0300000000000a14"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealpod-kbs"))
        .args(arguments)
        .arg("--dir")
        .arg(broker.path())
        .spawn()
        .unwrap();
    asked(1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // Half a file under a temporary name, as a kill in the middle of writing leaves it.
    std::fs::write(broker.path().join("endorsements/chips/.0011223344556677"), b"half").unwrap();
    fake.set(CHIP, Reply::ok(pki::vcek_der()));
    // The service answers on the runtime's other thread.
    tokio::task::block_in_place(|| {
        assert_eq!(broker.ok(&["endorsements", "list"]), "");
        broker.ok(&arguments);
        assert_eq!(broker.ok(&["endorsements", "list"]).lines().count(), 3);
    });
}
