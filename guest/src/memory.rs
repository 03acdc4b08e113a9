//! How much of the guest's memory images and the container may take.

use crate::files::{self, FileError};
use std::path::Path;

const MEMINFO: &str = "/proc/meminfo";
/// `/proc/meminfo` is 2 KiB.
const MAX_MEMINFO: usize = 64 * 1024;

/// Kept for the kernel and PID 1, whatever runs: evidence is the largest thing that PID 1 makes (logs of up to
/// 1.4 MiB, some copies of them as JSON), and it must still be made when a container has taken all it can.
const RESERVE: u64 = 48 << 20;

/// Least memory that a container is given: with less even a small one is killed at its start.
const LEAST: u64 = 16 << 20;

/// Why the limits are not known.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It lacks a line.
    #[error("{MEMINFO} has no line \"{name}: NUMBER kB\"")]
    Line {
        /// The line's name.
        name: &'static str,
    },
    /// Too little is left.
    #[error(
        "{found} bytes of memory are left for the container, at least {expected} are needed; give the machine more (--memory)"
    )]
    Least {
        /// Least that is used.
        expected: u64,
        /// What is left.
        found: u64,
    },
}

/// Most bytes of unpacked images: four fifths of the memory, less the reserve.
pub fn image_budget() -> Result<u64, MemoryError> {
    let total = field(&meminfo()?, "MemTotal")?;
    Ok((total / 5 * 4).saturating_sub(RESERVE))
}

/// Most bytes that the container may take now that its image is unpacked: what is available, less the reserve.
///
/// Its processes, and what they write to its files, count alike (kernel documentation, *Control Group v2*, Memory).
pub fn container_limit() -> Result<u64, MemoryError> {
    let found = field(&meminfo()?, "MemAvailable")?.saturating_sub(RESERVE);
    if found < LEAST {
        return Err(MemoryError::Least { expected: LEAST, found });
    }
    Ok(found)
}

fn meminfo() -> Result<String, FileError> {
    let bytes = files::read(Path::new(MEMINFO), MAX_MEMINFO)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The field in bytes.
fn field(text: &str, name: &'static str) -> Result<u64, MemoryError> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    number.and_then(|kib| kib.checked_mul(1024)).ok_or(MemoryError::Line { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotal:  2 kB\nMemAvailableX: 9 kB\nMemAvailable:     1000 kB\nBad: x kB\n";
        assert_eq!(field(text, "MemAvailable").unwrap(), 1_024_000);
        assert_eq!(field(text, "MemTotal").unwrap(), 2048);
        for missing in ["MemFree", "Bad", "MemAvail"] {
            assert!(matches!(field(text, missing), Err(MemoryError::Line { .. })), "{missing}");
        }
    }

    #[test]
    fn both_limits_leave_something_over() {
        let total = field(&meminfo().unwrap(), "MemTotal").unwrap();
        assert!(image_budget().unwrap() + RESERVE < total);
        assert!(container_limit().unwrap() + RESERVE <= total);
    }
}
