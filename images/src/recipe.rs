//! What goes into the guest image: package names, entry points, kernel modules. Versions are in the lock file.

/// One package that the image needs.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Debian suite that it comes from.
    pub suite: &'static str,
    /// Package name; for a metapackage, the one whose dependency is meant.
    pub name: &'static str,
    /// For a metapackage: how the name of the dependency begins.
    pub follow: Option<&'static str>,
}

const fn from_trixie(name: &'static str) -> Wanted {
    Wanted { suite: "trixie", name, follow: None }
}

/// All packages. The libraries are those that the entry points of [`ENTRY_POINTS`] link to; a build names any that is missing.
pub const PACKAGES: &[Wanted] = &[
    Wanted { suite: "trixie", name: KERNEL, follow: Some("linux-image-") },
    from_trixie("crun"),
    from_trixie("libc6"),
    from_trixie("libcap2"),
    from_trixie("libgcc-s1"),
    from_trixie("libseccomp2"),
    from_trixie("libssl3t64"),
    from_trixie("libsystemd0"),
    from_trixie("libtss2-esys-3.0.2-0t64"),
    from_trixie("libtss2-mu-4.0.1-0t64"),
    from_trixie("libtss2-sys1t64"),
    from_trixie("libtss2-tcti-device0t64"),
    from_trixie("libtss2-tctildr0t64"),
    from_trixie("libyajl2"),
    from_trixie("libzstd1"),
    from_trixie("zlib1g"),
    Wanted { suite: "sid", name: SNP_FIRMWARE, follow: None },
];

/// The kernel's metapackage.
pub const KERNEL: &str = "linux-image-cloud-amd64";
/// The SNP firmware's package.
pub const SNP_FIRMWARE: &str = "ovmf-amdsev";
/// Where that package keeps the firmware.
pub const SNP_FIRMWARE_PATH: &str = "usr/share/ovmf/OVMF.amdsev.fd";
/// The firmware's name in the image directory.
pub const SNP_FIRMWARE_FILE: &str = "OVMF.amdsev.fd";

/// Where Debian keeps shared libraries.
pub const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// The OCI runtime.
pub const CRUN: &str = "usr/bin/crun";
/// The agent.
pub const AGENT: &str = "usr/bin/sealpod-guest";
/// The dynamic loader's file name; programs name it as `/lib64/` and this.
pub const LOADER: &str = "ld-linux-x86-64.so.2";
/// Libraries that are opened by name at run time, hence in no program's list of needed ones:
/// the TPM device transport that `libtss2-tctildr` loads.
pub const OPENED_AT_RUN_TIME: &[&str] = &["libtss2-tcti-device.so.0"];

/// Kernel modules in the order in which they are wanted; what each depends on is put before it. A module that is
/// built into the kernel is left out.
pub const MODULES: &[&str] = &["configfs", "tsm", "sev-guest", "virtio_blk"];
/// Where the agent finds them.
pub const MODULE_DIRECTORY: &str = "usr/lib/sealpod/modules";

/// Kernel command line of a guest started from this image. Every word is measured.
///
/// `rootfstype=ramfs` makes the root a file system on which IMA measures anew whatever was open for writing; a tmpfs, which it would
/// be otherwise, does not count writes through a mapping. The guest refuses to start on one.
pub const COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=4 panic=-1 ima_hash=sha256 rootfstype=ramfs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_one_that_the_guest_accepts() {
        assert!(COMMAND_LINE.split(' ').any(|word| word == "rootfstype=ramfs"));
    }
}
