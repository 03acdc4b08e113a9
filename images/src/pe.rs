//! What OVMF measures into PCR 4 for a kernel: its Authenticode digest (Microsoft, "Windows Authenticode Portable
//! Executable Signature Format", "Calculating the PE Image Hash"), after QEMU has filled in the kernel's boot header.

use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sha2::{Digest as _, Sha256};

/// Why a kernel has no Authenticode digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// Not a PE32+ image.
    #[error("the kernel is no PE32+ image (built without CONFIG_EFI_STUB?)")]
    NotPe,
    /// A table lies outside of the file.
    #[error("the kernel image's {0} lies outside of it")]
    Outside(&'static str),
}

/// Authenticode SHA-256 of a PE32+ image.
pub fn authenticode(image: &[u8]) -> Result<Sha256Digest, PeError> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let u32_at = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let pe = u32_at(0x3c)
        .filter(|at| image.starts_with(b"MZ") && image.get(*at..).is_some_and(|i| i.starts_with(b"PE\0\0")));
    let pe = pe.ok_or(PeError::NotPe)?;
    let optional = pe + 24;
    if u16_at(optional) != Some(0x20b) {
        return Err(PeError::NotPe);
    }
    let outside = PeError::Outside;
    let count = u16_at(pe + 6).ok_or(outside("section count"))?;
    let table = optional + u16_at(pe + 20).ok_or(outside("optional header"))?;
    let headers = u32_at(optional + 60).filter(|end| *end >= optional + 152).ok_or(outside("header size"))?;
    let certificates = u32_at(optional + 148).ok_or(outside("certificate table"))?;
    let mut hash = Sha256::new();
    for range in [0..optional + 64, optional + 68..optional + 144, optional + 152..headers] {
        hash.update(image.get(range).ok_or(outside("header"))?);
    }
    let mut sections = (0..count)
        .map(|i| Some((u32_at(table + 40 * i + 20)?, u32_at(table + 40 * i + 16)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or(outside("section table"))?;
    sections.retain(|(_, size)| *size > 0);
    sections.sort_unstable();
    let mut done = headers;
    for (offset, size) in sections {
        hash.update(image.get(offset..offset + size).ok_or(outside("section"))?);
        done += size;
    }
    let end = image.len().checked_sub(certificates).ok_or(outside("certificate table"))?;
    if done < end {
        hash.update(&image[done..end]);
    }
    Ok(HexArray(hash.finalize().into()))
}

/// The kernel as QEMU hands it to the firmware of a machine without SEV: boot header filled in for its own loader
/// (QEMU 7.2 hw/i386/x86.c, `x86_load_linux`; Linux Documentation/arch/x86/boot.rst). With SEV kernel hashes QEMU leaves it alone.
///
/// The initrd's place depends on the machine's memory. `None` when the image has no boot header.
pub fn as_loaded_by_qemu(kernel: &[u8], initrd_len: usize, memory_mib: u64) -> Option<Vec<u8>> {
    /// Kept free for ACPI tables on x86: 0x20000 and 0x8000.
    const ACPI: u64 = 0x28000;
    const COMMAND_LINE: u32 = 0x20000;
    const HEAP_END: u16 = 0xfe00;
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let memory = memory_mib << 20;
    // q35 moves what is above 2.75 GiB over the PCI hole, and then keeps only 2 GiB below it.
    let low = if memory >= 0xb000_0000 { 0x8000_0000 } else { memory };
    let above_4g = u16::from_le_bytes(*kernel.get(0x236..)?.first_chunk()?) & 2 != 0;
    let own_limit = u64::from(u32::from_le_bytes(*kernel.get(0x22c..)?.first_chunk()?));
    let limit = if above_4g { u64::from(u32::MAX) } else { own_limit };
    let limit = limit.min(low.checked_sub(ACPI + 1)?);
    let address = u32::try_from(limit.checked_sub(initrd_len as u64)? & !4095).ok()?;
    let mut out = kernel.to_owned();
    out[0x210] = 0xb0;
    out[0x211] |= 0x80;
    out[0x218..0x21c].copy_from_slice(&address.to_le_bytes());
    out[0x21c..0x220].copy_from_slice(&u32::try_from(initrd_len).ok()?.to_le_bytes());
    out[0x224..0x226].copy_from_slice(&HEAP_END.to_le_bytes());
    out[0x228..0x22c].copy_from_slice(&COMMAND_LINE.to_le_bytes());
    Some(out)
}
