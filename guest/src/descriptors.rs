//! Descriptors that libraries opened without `O_CLOEXEC`: a child must not inherit the TPM.
#![allow(unsafe_code)]

use std::io;

/// Standard input, output and error are below this.
const FIRST: libc::c_uint = 3;

/// Mark every descriptor but the standard ones to be closed when a program is executed (close_range(2)).
///
/// Nothing here hands a descriptor to a child but as one of the standard streams.
pub fn close_all_on_exec() -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: with this flag the call closes nothing; it only sets FD_CLOEXEC, and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flags) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    #[test]
    fn a_descriptor_that_a_child_would_inherit_no_longer_is() {
        // dup(2) clears the flag.
        let open = nix::unistd::dup(std::fs::File::open("/dev/null").unwrap()).unwrap();
        let inherited = || fcntl(&open, FcntlArg::F_GETFD).unwrap() & FdFlag::FD_CLOEXEC.bits() == 0;
        assert!(inherited());
        close_all_on_exec().unwrap();
        assert!(!inherited());
    }
}
