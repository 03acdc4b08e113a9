//! A TD's boot log (CCEL): from events to RTMR values, and what no single record shows.

use crate::tcg2::{BootLog, BootLogError, EV_SEPARATOR};
use thiserror::Error;

/// EV_EFI_VARIABLE_AUTHORITY (PFP 1.06, section 10.4.1): a key that let something run under secure boot.
const EV_EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;
/// Registers that a log can name: index 1 to 4.
const REGISTERS: usize = 5;

/// RTMR0 to RTMR3 after all events: from zero, each `SHA-384(RTMR || digest)`. Register index 1 of an event is RTMR0 (UEFI 2.10,
/// table 38-2).
///
/// Proves nothing until the values are compared with quoted ones. RTMR3 is not firmware's to extend; what the agent extended
/// is not in this log.
///
/// # Errors
///
/// [`BootLogError`] where the log has no SHA-384 digests, or an event lacks one.
pub fn rtmrs(log: &BootLog<'_>) -> Result<[[u8; 48]; 4], BootLogError> {
    let [_, rtmr0, rtmr1, rtmr2, rtmr3, ..] = log.replay_sha384()?;
    Ok([rtmr0, rtmr1, rtmr2, rtmr3])
}

/// Secure boot's phases cannot be told apart in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "boot log event at {offset}: a secure boot authority after {found} separators of register {register}, expected {expected}"
)]
pub struct SeparatorError {
    /// Where the authority's event starts.
    pub offset: usize,
    /// The measurement register index: 1 for RTMR0.
    pub register: u32,
    /// One.
    pub expected: u32,
    /// The separators before it.
    pub found: u32,
}

/// In the register that holds secure boot's authorities, exactly one separator comes before them.
///
/// The separator divides secure boot's configuration from the authorities that were then used (PFP 1.06, section 3.3.4.8). With
/// none, or a second one, either could be passed off as the other. Registers without authorities may have more: one RTMR stands
/// for several PCRs, and firmware may close each.
///
/// # Errors
///
/// [`SeparatorError`] for the first authority that comes after none or several.
pub fn check_separators(log: &BootLog<'_>) -> Result<(), SeparatorError> {
    let mut separators = [0_u32; REGISTERS];
    for event in log.events() {
        let Some(count) = separators.get_mut(event.pcr as usize) else { continue };
        match event.event_type {
            EV_SEPARATOR => *count = count.saturating_add(1),
            EV_EFI_VARIABLE_AUTHORITY if *count != 1 => {
                let (offset, register, found) = (event.offset, event.pcr, *count);
                return Err(SeparatorError { offset, register, expected: 1, found });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::HexArray;
    use crate::tdx::Quote;
    use crate::testing::vector;

    fn replayed(path: &str) -> Option<[String; 4]> {
        let bytes = vector(path)?;
        let log = BootLog::parse_ccel(&bytes).unwrap();
        Some(rtmrs(&log).unwrap().map(|rtmr| HexArray(rtmr).to_string()))
    }

    #[test]
    fn the_log_of_a_machine_replays_to_its_quote() {
        let (Some(log), Some(quote)) = (
            vector("ccel/google__go-tdx-guest/ccel_data.dat"),
            vector("ccel/google__go-tdx-guest/cos-113-tdx-quote.dat"),
        ) else {
            return;
        };
        let log = BootLog::parse_ccel(&log).unwrap();
        let quote = Quote::parse(&quote).unwrap();
        assert_eq!(rtmrs(&log).unwrap().map(HexArray), quote.td().unwrap().rtmr);
        assert_eq!(log.event_count(), 43);
        check_separators(&log).unwrap();
    }

    #[test]
    fn the_log_of_another_machine_does_not() {
        let (Some(log), Some(quote)) = (
            vector("ccel/confidential-containers__trustee/CCEL_data"),
            vector("tdx/confidential-containers__trustee/tdx_quote_4.dat"),
        ) else {
            return;
        };
        let log = BootLog::parse_ccel(&log).unwrap();
        let (replayed, quote) = (rtmrs(&log).unwrap().map(HexArray), Quote::parse(&quote).unwrap());
        let quoted = quote.td().unwrap().rtmr;
        assert_eq!(log.event_count(), 5);
        assert!(replayed[0] != quoted[0] && replayed[1] != quoted[1]);
        assert_eq!(replayed[2..], quoted[2..]);
    }

    #[test]
    fn logs_of_real_machines_replay_to_known_values() {
        let known = [
            (
                "ccel/google__go-eventlog/CCEL_unpadded.data.bin",
                ["8083cd68", "6484f0d7", "c3e7ed9d", "00000000"],
            ),
            (
                "ccel/google__go-eventlog/cos-113-intel-tdx-dupe-separator-unpadded.bin",
                ["a4de2df2", "0ee9366c", "4969684d", "00000000"],
            ),
            (
                "ccel/confidential-containers__trustee/CCEL_data_gcp",
                ["33009807", "204d49f7", "00000000", "00000000"],
            ),
            (
                "ccel/confidential-containers__trustee/CCEL_data_grub_gke",
                ["bc994513", "c17cb288", "334aeba2", "00000000"],
            ),
            (
                "ccel/confidential-containers__trustee/CCEL_data_ovmf",
                ["8566f998", "775b9f6b", "94eaf7a7", "00000000"],
            ),
        ];
        for (path, starts) in known {
            let Some(found) = replayed(path) else { continue };
            for (found, start) in found.iter().zip(starts) {
                assert!(found.starts_with(start), "{path}: {found}");
            }
        }
    }

    #[test]
    fn a_second_separator_before_an_authority_is_an_error() {
        let check = |path: &str| {
            let bytes = vector(path)?;
            Some(check_separators(&BootLog::parse_ccel(&bytes).unwrap()))
        };
        if let Some(found) = check("ccel/google__go-eventlog/cos-113-intel-tdx-dupe-separator-unpadded.bin") {
            let error = found.unwrap_err();
            assert_eq!((error.register, error.expected, error.found), (1, 1, 2));
        }
        for path in [
            "ccel/google__go-eventlog/CCEL_unpadded.data.bin",
            "ccel/confidential-containers__trustee/CCEL_data_gcp",
            "ccel/confidential-containers__trustee/CCEL_data_grub_gke",
            "ccel/confidential-containers__trustee/CCEL_data_ovmf",
        ] {
            if let Some(found) = check(path) {
                assert_eq!(found, Ok(()), "{path}");
            }
        }
    }

    #[test]
    fn a_log_of_sm3_digests_parses_and_gives_no_rtmrs() {
        let Some(bytes) = vector("ccel/confidential-containers__trustee/CCEL_data_csv") else { return };
        let log = BootLog::parse_ccel(&bytes).unwrap();
        assert_eq!(log.event_count(), 82);
        assert!(matches!(rtmrs(&log), Err(BootLogError::NoBank { .. })));
    }
}
