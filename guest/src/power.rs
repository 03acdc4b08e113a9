//! The one way out: power off, on every path.

use nix::sys::reboot::{RebootMode, reboot};

/// Write what is cached and cut the power.
///
/// Does nothing but return unless this is PID 1, so that a test can never take the machine down.
pub fn off() {
    if std::process::id() != 1 {
        return;
    }
    nix::unistd::sync();
    // On success this does not return; on failure PID 1 exits next and the kernel panics, which
    // (`panic=-1`) ends the machine as well.
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("sealpod-guest: power off failed: {error}");
}

/// Powers off when dropped: the last guard, for a panic that unwinds out of everything.
pub struct PowerOff;

impl Drop for PowerOff {
    fn drop(&mut self) {
        off();
    }
}
