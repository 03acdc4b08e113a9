//! A directory with all that makes an ordinary machine play an SNP host: a QEMU stand-in, a guest image with the simulator's
//! guest half, and what a broker must be told to believe it.

use crate::cpio;
use anyhow::{Context as _, Result, bail};
use sealpod_testkit::pki;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The kernel looks for the next archive at a multiple of this.
const ALIGNMENT: usize = 4;

/// Write `directory` anew from the guest image in `image`.
pub fn write(directory: &Path, image: &Path, firmware: &str) -> Result<()> {
    if !matches!(firmware, "direct" | "ovmf") {
        bail!("firmware is direct or ovmf, not {firmware:?}");
    }
    if !image.join("manifest.json").is_file() {
        bail!("no guest image in {}; run ./scripts/setup first", image.display());
    }
    let put = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    guest_image(&directory.join("image"), image)?;
    put("root.der", pki::ark_der())?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let script = format!(
        "#!/bin/sh\nexport TEESIM_FIRMWARE={firmware}\nexec '{}' qemu \"$@\"\n",
        program.to_string_lossy().replace('\'', "'\\''")
    );
    put("qemu", script.as_bytes())?;
    fs::set_permissions(directory.join("qemu"), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The shipped image with the guest half appended to its initrd.
fn guest_image(directory: &Path, image: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for entry in fs::read_dir(image)? {
        let entry = entry?;
        fs::copy(entry.path(), directory.join(entry.file_name()))?;
    }
    let mut initrd = fs::read(image.join("initrd")).context("no initrd in the guest image")?;
    initrd.resize(initrd.len().next_multiple_of(ALIGNMENT), 0);
    initrd.extend(cpio::archive(false)?);
    fs::write(directory.join("initrd"), initrd)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_a_program_a_root_and_a_longer_initrd() {
        let made = tempfile::tempdir().unwrap();
        let (image, platform) = (made.path().join("image"), made.path().join("platform"));
        fs::create_dir_all(&image).unwrap();
        fs::create_dir_all(&platform).unwrap();
        assert!(write(&platform, &image, "direct").unwrap_err().to_string().contains("no guest image"));
        fs::write(image.join("manifest.json"), "{}").unwrap();
        fs::write(image.join("initrd"), [1; 5]).unwrap();
        write(&platform, &image, "ovmf").unwrap();
        let initrd = fs::read(platform.join("image/initrd")).unwrap();
        assert_eq!((&initrd[..5], &initrd[5..8]), (&[1; 5][..], &[0; 3][..]));
        assert!(initrd[8..].starts_with(b"070701"));
        assert_eq!(fs::read(platform.join("root.der")).unwrap(), pki::ark_der());
        assert!(fs::read_to_string(platform.join("qemu")).unwrap().contains("TEESIM_FIRMWARE=ovmf"));
        assert!(write(&platform, &image, "seabios").is_err());
    }
}
