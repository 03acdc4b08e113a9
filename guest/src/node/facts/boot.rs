//! What the boot loader is told. Its configuration holds password hashes, so it is judged here.

use crate::files;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::{Boot, MAX_ENTRIES};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// GRUB's configuration and the file of `grub2-setpassword`.
const FILES: &[&str] = &["/boot/grub/grub.cfg", "/boot/grub/user.cfg"];
/// A configuration with a hundred kernels has half a MiB.
const MAX_LEN: usize = 8 << 20;

/// `None` where there is no configuration of GRUB.
pub fn boot() -> Option<Boot> {
    let mut boot = Boot::default();
    for name in FILES {
        let Ok(bytes) = files::read(Path::new(name), MAX_LEN) else { continue };
        add(&mut boot, &String::from_utf8_lossy(&bytes));
        let path: NodePath = name.parse().ok()?;
        boot.judged.insert(path, HexArray(Sha256::digest(&bytes).into()));
    }
    (!boot.judged.is_empty()).then_some(boot)
}

fn add(boot: &mut Boot, configuration: &str) {
    let (mut superusers, mut hash, mut recovery) = (false, false, false);
    for line in configuration.lines().map(str::trim) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("set") => superusers |= words.next().is_some_and(|word| word.starts_with("superusers=")),
            Some("password_pbkdf2") => {
                hash |= words.nth(1).is_some_and(|word| word.starts_with("grub.pbkdf2."))
            }
            Some("menuentry") => recovery = line.contains("recovery mode"),
            Some("linux" | "linux16" | "linuxefi") if !recovery && boot.command_lines.len() < MAX_ENTRIES => {
                // The first word is the kernel's file.
                boot.command_lines.push(words.skip(1).collect::<Vec<_>>().join(" "));
            }
            Some(word) => hash |= word.starts_with("GRUB2_PASSWORD=grub.pbkdf2."),
            None => {}
        }
    }
    // The file of grub2-setpassword only holds the hash: its superuser is in the generated configuration.
    boot.password |= hash && (superusers || !configuration.contains("menuentry"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRUB: &str = "set superusers=\"root\"\n\
        password_pbkdf2 root grub.pbkdf2.sha512.10000.AA.BB\n\
        menuentry 'Debian' --class debian {\n\tlinux /boot/vmlinuz root=/dev/vda1 ro audit=1\n}\n\
        menuentry 'Debian (recovery mode)' {\n\tlinux /boot/vmlinuz root=/dev/vda1 single\n}\n";

    fn read(text: &str) -> Boot {
        let mut boot = Boot::default();
        add(&mut boot, text);
        boot
    }

    #[test]
    fn a_menu_says_its_command_lines_and_whether_it_has_a_password() {
        let boot = read(GRUB);
        assert!(boot.password);
        assert_eq!(boot.command_lines, ["root=/dev/vda1 ro audit=1"]);
        assert!(!read(&GRUB.replace("set superusers", "set nobody")).password);
        assert!(!read(&GRUB.replace("grub.pbkdf2.", "plain.")).password);
        assert!(read("GRUB2_PASSWORD=grub.pbkdf2.sha512.10000.AA.BB\n").password);
    }
}
