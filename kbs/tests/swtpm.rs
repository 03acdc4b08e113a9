//! MakeCredential against a TPM that other people wrote: swtpm through tpm2-tools, where the machine has them.

use sealpod_evidence::tpm::Public;
use sealpod_kbs::make_credential::make_credential;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

struct Tpm {
    child: Child,
    directory: tempfile::TempDir,
}

impl Tpm {
    /// `None` where the programs are not installed.
    fn start() -> Option<Self> {
        let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
        let programs = [
            "swtpm",
            "tpm2_createek",
            "tpm2_createprimary",
            "tpm2_create",
            "tpm2_activatecredential",
            "tpm2_startauthsession",
        ];
        if let Some(program) = programs.iter().find(|program| missing(program)) {
            eprintln!("skipped: needs {program}");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("tpm.sock");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
            .arg(format!("dir={}", directory.path().display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}.ctrl", socket.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Self { child, directory };
        // The TCTI itself fails while the socket is not there.
        while !socket.exists() {
            std::thread::yield_now();
        }
        Some(tpm)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Run a tool whose arguments that start with `@` are file names.
    fn tool(&self, line: &str) -> bool {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        for word in words {
            match word.split_once('@') {
                Some((prefix, name)) => command.arg(format!("{prefix}{}", self.path(name).display())),
                None => command.arg(word),
            };
        }
        let tcti = format!("swtpm:path={}", self.path("tpm.sock").display());
        let output = command.env("TPM2TOOLS_TCTI", tcti).output().unwrap();
        if !output.status.success() {
            eprintln!("{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The `TPMT_PUBLIC` of a `TPM2B_PUBLIC` file.
fn public(path: &Path) -> Public {
    let bytes = std::fs::read(path).unwrap();
    Public::parse(&bytes[2..]).unwrap()
}

/// An endorsement key: how it is made, and how its use is authorized.
const KEYS: [(&str, bool); 6] = [
    ("tpm2_createek -c @ek.ctx -G rsa -u @ek.pub", true),
    ("tpm2_createek -c @ek.ctx -G ecc -u @ek.pub", true),
    // Larger keys without the policy of their templates, which plays no part in a credential.
    ("tpm2_createprimary -C e -c @ek.ctx -G rsa3072:aes256cfb -g sha384 -a ATTRIBUTES", false),
    ("tpm2_createprimary -C e -c @ek.ctx -G rsa2048:aes128cfb -g sha512 -a ATTRIBUTES", false),
    ("tpm2_createprimary -C e -c @ek.ctx -G ecc384:aes256cfb -g sha384 -a ATTRIBUTES", false),
    ("tpm2_createprimary -C e -c @ek.ctx -G ecc256:aes256cfb -g sha256 -a ATTRIBUTES", false),
];
const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt";

#[test]
fn a_real_tpm_activates_what_is_made_for_it() {
    let Some(tpm) = Tpm::start() else { return };
    for (create, policy) in KEYS {
        let create = create.replace("ATTRIBUTES", ATTRIBUTES);
        assert!(tpm.tool(&create));
        assert!(policy || tpm.tool("tpm2_readpublic -c @ek.ctx -o @ek.pub"));
        assert!(tpm.tool("tpm2_flushcontext -t"));
        assert!(tpm.tool("tpm2_createprimary -C o -c @srk.ctx"));
        assert!(tpm.tool("tpm2_flushcontext -t"));
        let attributes = ATTRIBUTES.replace("decrypt", "sign");
        assert!(tpm.tool(&format!(
            "tpm2_create -C @srk.ctx -c @ak.ctx -G ecc256:ecdsa-sha256:null -g sha256 -a {attributes} -u @ak.pub"
        )));
        assert!(tpm.tool("tpm2_flushcontext -t"));
        let (ek, ak) = (public(&tpm.path("ek.pub")), public(&tpm.path("ak.pub")));

        let made = make_credential(&ek, ak.name().as_bytes(), &[0x5a; 32]).unwrap();
        // The tools' own frame: magic, version, then both parts.
        let mut file = vec![0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        file.extend(&made.credential_blob.0);
        file.extend(&made.encrypted_secret.0);
        std::fs::write(tpm.path("credential"), file).unwrap();
        let mut activate =
            "tpm2_activatecredential -c @ak.ctx -C @ek.ctx -i @credential -o @activated".to_owned();
        if policy {
            assert!(tpm.tool("tpm2_startauthsession --policy-session -S @session.ctx"));
            assert!(tpm.tool("tpm2_policysecret -S @session.ctx -c e"));
            activate.push_str(" -P session:@session.ctx");
        }
        assert!(tpm.tool(&activate), "{create}");
        assert!(!policy || tpm.tool("tpm2_flushcontext @session.ctx"));
        assert!(tpm.tool("tpm2_flushcontext -t"));
        let activated = tpm.path("activated");
        assert_eq!(std::fs::read(&activated).unwrap(), [0x5a; 32], "{create}");
        std::fs::remove_file(activated).unwrap();
    }
}
