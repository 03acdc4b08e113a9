//! `sealpod-guest node run` as a service manager sees it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_failed_round_is_no_end_and_sigterm_is_an_orderly_one() {
    if !geteuid().is_root() {
        eprintln!("not root: rounds cannot be made, nothing is tested");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, certificate.self_signed(&key).unwrap().pem()).unwrap();
    // Nobody listens there any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut run = Command::new(env!("CARGO_BIN_EXE_sealpod-guest"))
        .args(["node", "run", "--name", "w", "--every", "10", "--broker"])
        .arg(format!("https://localhost:{port}"))
        .arg("--ca")
        .arg(&authority)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("cannot connect"), "{line}");
    assert!(run.try_wait().unwrap().is_none(), "it goes on");
    kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(run.wait().unwrap().success());
}
