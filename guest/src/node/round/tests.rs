use super::*;
use std::io::Read as _;

/// Runs `work` in a thread of its own: a mount namespace belongs to a thread, and the test's other threads keep theirs.
fn in_a_round(work: impl FnOnce(Round) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("note: a round needs root; not run");
        return;
    }
    let nonce = RoundNonce::of_challenge(&format!("{:?}", std::thread::current().id()));
    let done = std::thread::spawn(move || match Round::begin(nonce) {
        Ok(round) => work(round),
        Err(NodeError::Prepare { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("note: no mount namespace may be made here; not run");
        }
        Err(error) => panic!("{error}"),
    });
    done.join().unwrap();
    let left = std::fs::read_dir(MEASURE_DIRECTORY).unwrap().count();
    assert_eq!(left, 0, "the mounts end with the round's namespace");
}

#[test]
fn a_file_is_read_through_an_overlay_that_is_stated_as_it_is() {
    in_a_round(|mut round| {
        let nonce = round.nonce;
        let path: NodePath = "/etc/passwd".parse().unwrap();
        let mut read = String::new();
        round.open(&path).unwrap().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, std::fs::read_to_string("/etc/passwd").unwrap());
        let overlays = round.overlays().unwrap();
        assert!(!overlays.is_empty());
        for overlay in &overlays {
            overlay.check(&nonce).unwrap();
        }
    });
}

#[test]
fn a_link_put_in_the_way_is_not_followed() {
    in_a_round(|mut round| {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let path = NodePath::from_bytes(link.as_os_str().as_bytes()).unwrap();
        let error = round.open(&path).unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    });
}

#[test]
fn a_layers_name_is_escaped() {
    let path = NodePath::from_bytes(b"/mnt/a:b\\c").unwrap();
    assert_eq!(escaped(&path), b"/mnt/a\\:b\\\\c");
}
