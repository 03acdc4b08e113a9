//! The node's initramfs: modules, a disk, and over to it.

use crate::process::{run, succeed};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(120);
/// Built as modules by Debian's cloud kernel.
const MODULES: &[&str] = &["virtio_blk", "overlay"];

const INIT: &str = "#!/bin/busybox sh
set -e
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $b insmod $module; done
$b mount -t ext4 /dev/vda /root
exec $b switch_root /root /sbin/init
";

/// Takes the modules out of the kernel package that the guest image was made from.
pub fn kernel_modules(packages: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let kernel = kernel_package(packages)?;
    let tree = out.join("kernel");
    std::fs::create_dir(&tree)?;
    let pattern: Vec<String> = MODULES.iter().map(|module| format!("*/{module}.ko.xz")).collect();
    let extract = format!(
        "dpkg-deb --fsys-tarfile '{}' | tar -x -C '{}' --wildcards {}",
        kernel.display(),
        tree.display(),
        pattern.iter().map(|pattern| format!("'{pattern}'")).collect::<Vec<_>>().join(" ")
    );
    succeed(Command::new("sh").args(["-c", &extract]), SHORT)?;
    let mut found = Vec::new();
    for module in MODULES {
        let listed =
            succeed(Command::new("find").arg(&tree).args(["-name", &format!("{module}.ko.xz")]), SHORT)?;
        let packed =
            listed.lines().next().with_context(|| format!("{module} is not in the kernel package"))?;
        succeed(Command::new("xz").args(["-d", packed]), SHORT)?;
        found.push(PathBuf::from(packed.trim_end_matches(".xz")));
    }
    Ok(found)
}

/// Packages are kept by their digest, so each is asked for its name.
fn kernel_package(packages: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(packages).context("no package cache; run ./scripts/setup first")? {
        let path = entry?.path();
        let output = run(Command::new("dpkg-deb").args(["-f"]).arg(&path).arg("Package"), SHORT)?;
        if output.stdout.starts_with(b"linux-image-") {
            return Ok(path);
        }
    }
    bail!("no kernel package in {}; run ./scripts/setup first", packages.display())
}

/// A gzipped cpio archive.
pub fn archive(modules: &[PathBuf], tree: &Path) -> Result<Vec<u8>> {
    for directory in ["bin", "dev", "root", "modules"] {
        std::fs::create_dir_all(tree.join(directory))?;
    }
    std::fs::copy(super::disk::BUSYBOX, tree.join("bin/busybox"))
        .context("busybox-static is not installed")?;
    for (index, module) in modules.iter().enumerate() {
        let name = module.file_name().context("a module without a name")?.to_string_lossy();
        std::fs::copy(module, tree.join(format!("modules/{index}-{name}")))?;
    }
    super::disk::executable(&tree.join("init"), INIT)?;
    let command = "find . -print0 | cpio --null -o -H newc --quiet -R 0:0 | gzip -1";
    let output = run(Command::new("sh").args(["-c", command]).current_dir(tree), SHORT)?;
    if !output.status.success() {
        bail!("cpio failed: {}", crate::process::text(&output));
    }
    Ok(output.stdout)
}
