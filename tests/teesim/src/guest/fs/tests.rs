use super::super::attributes::{Blobs, Question};
use super::*;
use fuser::{Config, Session};
use std::fs;
use std::io::{ErrorKind, Read as _};

/// A report of two kilobytes that repeats the first byte asked for.
struct Repeat;

impl Platform for Repeat {
    fn vmpl(&self) -> u32 {
        2
    }
    fn svsm(&self) -> bool {
        true
    }
    fn answer(&mut self, question: &Question) -> Result<Blobs, nix::errno::Errno> {
        Ok(Blobs { report: vec![question.inblob[0]; 2048], ..Blobs::default() })
    }
}

fn state() -> State<Repeat> {
    let TsmFs(state) = TsmFs::new(Repeat);
    let mut state = state.into_inner().unwrap();
    state.reports.make("e").unwrap();
    state
}

fn file(state: &State<Repeat>, attribute: Attribute) -> INodeNo {
    let entry = state.reports.find("e").unwrap();
    INodeNo(Node::File(entry, attribute).inode())
}

/// Open, write, close.
fn put(state: &mut State<Repeat>, attribute: Attribute, bytes: &[u8]) -> Result<(), Errno> {
    let handle = state.open(file(state, attribute))?;
    let written = state.write(handle, 0, bytes).and_then(|()| state.flush(handle));
    state.open.remove(&handle);
    written
}

fn generation(state: &mut State<Repeat>) -> String {
    let handle = state.open(file(state, Attribute::Generation)).unwrap();
    let text = state.read(handle, 0, 100).unwrap();
    state.open.remove(&handle);
    String::from_utf8(text).unwrap()
}

#[test]
fn inblob_is_taken_once_when_the_file_is_closed() {
    let mut state = state();
    let handle = state.open(file(&state, Attribute::Inblob)).unwrap();
    state.write(handle, 0, &[7; 32]).unwrap();
    state.write(handle, 32, &[8; 32]).unwrap();
    assert_eq!(generation(&mut state), "0\n");
    state.flush(handle).unwrap();
    state.flush(handle).unwrap();
    assert_eq!(generation(&mut state), "1\n");
    assert!(matches!(state.write(handle, 60, &[0; 5]), Err(e) if i32::from(e) == libc::EFBIG));
    assert!(matches!(state.write(handle, u64::MAX, &[0; 5]), Err(e) if i32::from(e) == libc::EFBIG));
}

#[test]
fn reading_on_after_a_write_in_between_is_refused() {
    let mut state = state();
    put(&mut state, Attribute::Inblob, &[1; 64]).unwrap();
    let handle = state.open(file(&state, Attribute::Outblob)).unwrap();
    assert_eq!(state.read(handle, 0, 1024).unwrap(), [1; 1024]);
    put(&mut state, Attribute::Inblob, &[2; 64]).unwrap();
    assert!(matches!(state.read(handle, 1024, 1024), Err(e) if i32::from(e) == libc::EWOULDBLOCK));
    assert_eq!(state.read(handle, 0, 4096).unwrap(), [2; 2048]);
    assert_eq!(state.read(handle, 2048, 4096).unwrap(), b"");
    assert_eq!(state.read(handle, u64::MAX, u32::MAX as usize).unwrap(), b"");
}

#[test]
fn an_open_file_of_a_removed_entry_is_gone() {
    let mut state = state();
    put(&mut state, Attribute::Inblob, &[1; 64]).unwrap();
    let handle = state.open(file(&state, Attribute::Outblob)).unwrap();
    let inode = file(&state, Attribute::Outblob);
    state.reports.remove("e").unwrap();
    assert!(matches!(state.read(handle, 0, 1), Err(e) if i32::from(e) == libc::ENOENT));
    assert!(state.node(inode).is_err());
    assert!(state.open(inode).is_err());
}

#[test]
fn open_files_are_bounded() {
    let mut state = state();
    let inode = file(&state, Attribute::Generation);
    for _ in 0..OPEN_MAX {
        state.open(inode).unwrap();
    }
    assert!(matches!(state.open(inode), Err(e) if i32::from(e) == libc::ENFILE));
}

#[test]
fn through_the_kernel_it_is_used_like_configfs() {
    let directory = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() || fs::metadata("/dev/fuse").is_err() {
        eprintln!("skipped: mounting needs root and /dev/fuse");
        return;
    }
    let mounted =
        Session::new(TsmFs::new(Repeat), directory.path(), &Config::default()).unwrap().spawn().unwrap();
    let entry = directory.path().join("tsm/report/e");
    fs::create_dir(&entry).unwrap();
    assert_eq!(fs::create_dir(&entry).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        fs::create_dir(directory.path().join("other")).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(fs::write(entry.join("other"), "").unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(fs::read_dir(&entry).unwrap().count(), ATTRIBUTES.len());

    let no_inblob = fs::read(entry.join("outblob")).unwrap_err();
    assert_eq!(no_inblob.raw_os_error(), Some(libc::EINVAL));
    let below_floor = fs::write(entry.join("privlevel"), "0").unwrap_err();
    assert_eq!(below_floor.raw_os_error(), Some(libc::EINVAL));
    fs::write(entry.join("privlevel"), "2").unwrap();
    fs::write(entry.join("inblob"), [5; 64]).unwrap();
    assert_eq!(fs::read_to_string(entry.join("generation")).unwrap(), "2\n");
    assert_eq!(fs::read(entry.join("outblob")).unwrap(), [5; 2048]);

    let mut open = fs::File::open(entry.join("outblob")).unwrap();
    let mut part = [0; 16];
    open.read_exact(&mut part).unwrap();
    fs::write(entry.join("inblob"), [6; 64]).unwrap();
    assert_eq!(open.read_exact(&mut part).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(open);
    fs::remove_dir(&entry).unwrap();
    assert!(!entry.exists());
    mounted.umount_and_join().unwrap();
}
