//! Against a software TPM, where the machine has swtpm and its TCTI.

use super::*;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Swtpm {
    child: Child,
    port: u16,
    _state: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Swtpm {
    /// `None` where swtpm or the TCTI library is not installed.
    fn start() -> Option<Self> {
        let library = "/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0";
        if !Path::new("/usr/bin/swtpm").exists() || !Path::new(library).exists() {
            eprintln!("skipped: needs /usr/bin/swtpm and {library} (swtpm, libtss2-tcti-swtpm0)");
            return None;
        }
        let state = tempfile::tempdir().unwrap();
        // The TCTI takes the control channel to be on the next port.
        // Two tests must not find the same port free, and a child of one would inherit a connection that another is just making.
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let port = (0..100)
            .map(|i| 20_000 + (std::process::id() as u16 % 1_000) * 20 + i * 2)
            .find(|p| [*p, *p + 1].iter().all(|p| std::net::TcpListener::bind(("127.0.0.1", *p)).is_ok()))
            .unwrap();
        let child = Command::new("/usr/bin/swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.path().display()))
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port + 1)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port, _state: state, _turn: turn })
    }

    fn open(&self) -> Tpm {
        let tcti = format!("swtpm:host=127.0.0.1,port={}", self.port);
        Tpm::with_tcti(tcti.parse().unwrap()).unwrap()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_quote_covers_exactly_the_values_it_comes_with() {
    let Some(swtpm) = Swtpm::start() else { return };
    let mut tpm = swtpm.open();
    let digest = sealpod_evidence::bytes::HexArray([0x5a; 32]);
    tpm.extend(8, &digest).unwrap();
    let pcrs = sealpod_evidence::rcar::QUOTED_PCRS;
    let quoted = tpm.quote(&[7; 48], &pcrs).unwrap();
    assert_eq!(quoted.pcrs.keys().copied().collect::<Vec<_>>(), pcrs);
    let extended = Sha256::new().chain_update([0; 32]).chain_update(digest.0).finalize();
    assert_eq!(quoted.pcrs[&8].0[..], extended[..]);
    assert!(quoted.message.windows(48).any(|w| w == [7; 48]));
    assert!(!quoted.signature.is_empty());
    // TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE (TPM 2.0 Part 2, sections 6.2 and 6.9).
    assert_eq!(quoted.message[..6], [0xff, b'T', b'C', b'G', 0x80, 0x18]);
}

#[test]
fn keys_are_the_ones_the_profile_names() {
    let Some(swtpm) = Swtpm::start() else { return };
    let mut tpm = swtpm.open();
    let keys = tpm.keys().unwrap();
    // TPMT_PUBLIC: type, nameAlg, attributes. RSA with fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy,
    // restricted, decrypt; ECC with fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
    assert_eq!(keys.ek_public[..8], [0x00, 0x01, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2]);
    assert_eq!(keys.ak_public[..8], [0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72]);
    // The same ones the next time.
    let first = (keys.ek_public.clone(), keys.ak_public.clone());
    let again = tpm.keys().unwrap();
    assert_eq!((again.ek_public.clone(), again.ak_public.clone()), first);
}

#[test]
fn a_credential_made_for_both_keys_is_activated() {
    let Some(swtpm) = Swtpm::start() else { return };
    let mut tpm = swtpm.open();
    let (ak, ek) = tpm.handles().unwrap();
    let name = tpm.context.read_public(ak).unwrap().1;
    let (blob, secret) = tpm
        .context
        .execute_without_session(|c| c.make_credential(ek, Digest::try_from(vec![3; 32]).unwrap(), name))
        .unwrap();
    let framed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let (blob, secret) = (framed(blob.value()), framed(secret.value()));
    // Twice: the policy session is closed each time.
    for _ in 0..5 {
        assert_eq!(tpm.activate_credential(&blob, &secret).unwrap(), [3; 32]);
    }
    let mut spoiled = blob.clone();
    *spoiled.last_mut().unwrap() ^= 1;
    for _ in 0..5 {
        assert!(matches!(tpm.activate_credential(&spoiled, &secret), Err(TpmError::Command { .. })));
    }
    assert!(matches!(tpm.activate_credential(&blob[1..], &secret), Err(TpmError::Credential { .. })));
    assert_eq!(tpm.activate_credential(&blob, &secret).unwrap(), [3; 32]);
}

#[test]
fn measuring_needs_no_keys_and_no_child_gets_the_tpm() {
    let Some(swtpm) = Swtpm::start() else { return };
    let mut tpm = swtpm.open();
    tpm.extend(13, &sealpod_evidence::bytes::HexArray([1; 32])).unwrap();
    assert!(tpm.keys.is_none());
    // A child's own open files: no socket, which is what the TPM is reached by here.
    let list = Command::new("ls").args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("/dev/null") && !list.contains("socket:"), "{list}");
}

#[test]
fn only_the_guests_own_pcrs_are_extended() {
    let Some(swtpm) = Swtpm::start() else { return };
    let mut tpm = swtpm.open();
    let digest = sealpod_evidence::bytes::HexArray([1; 32]);
    assert!(matches!(tpm.extend(10, &digest), Err(TpmError::Pcr { found: 10 })));
}

#[test]
fn a_size_field_that_lies_is_refused() {
    assert_eq!(sized("x", &[0, 2, 8, 9]).unwrap(), [8, 9]);
    for bad in [&[][..], &[0], &[0, 3, 8, 9], &[0, 1, 8, 9]] {
        assert!(matches!(sized("x", bad), Err(TpmError::Credential { .. })));
    }
}
