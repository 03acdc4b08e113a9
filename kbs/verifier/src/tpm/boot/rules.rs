//! What a boot log has to look like whatever was booted (TCG PC Client Platform Firmware Profile 1.06, PFP; UEFI 2.10 chapter 38).
//!
//! The rules are those that real firmware keeps. No register covers an event's type or data, so each rule rests only on events
//! whose digest is that of their data: separators, and the actions around ExitBootServices.

use crate::error::{Check, VerifyError};
use sealpod_evidence::tcg2::{
    BootLog, EV_EFI_ACTION, EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_BOOT_SERVICES_DRIVER,
    EV_EFI_RUNTIME_SERVICES_DRIVER, EV_EFI_VARIABLE_DRIVER_CONFIG, EV_SEPARATOR, Event, Layout,
    event_type_name,
};
use sealpod_evidence::tdx::ccel;
use sealpod_evidence::tpm::HashAlg;

/// How far a log goes. The log's own word, of which only the registers that it replays to are proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootStage {
    /// Firmware was still at work: there is no separator.
    Firmware,
    /// Firmware was done, and what it started may be at work.
    Loader,
    /// The operating system took over: ExitBootServices succeeded, which UEFI firmware measures.
    OperatingSystem,
}

/// PFP 1.06 section 10.4.1, EV_EFI_ACTION.
const CALLING: &[u8] = b"Calling EFI Application from Boot Option";
const EXIT: &[u8] = b"Exit Boot Services Invocation";
const EXITED: &[u8] = b"Exit Boot Services Returned with Success";
const EXIT_FAILED: &[u8] = b"Exit Boot Services Returned with Failure";
/// The data of a separator: zeros or ones (PFP 1.06 section 3.3.2.2). A one in 32 bits says that firmware met an error.
const SEPARATORS: [[u8; 4]; 2] = [[0; 4], [0xff; 4]];
/// The variables that say what firmware takes for signed, as UCS-2 without terminator (PFP 1.06 section 3.3.4.8).
const SECURE_BOOT: [&[u8]; 5] =
    [b"S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0", b"P\0K\0", b"K\0E\0K\0", b"d\0b\0", b"d\0b\0x\0"];
/// GUID, two lengths of 64 bits and then the name (`UEFI_VARIABLE_DATA`).
const VARIABLE_NAME: usize = 32;

/// Registers of firmware, and which of them nothing may extend once firmware is done.
struct Profile {
    separated: &'static [u32],
    /// Static firmware and its option ROMs' configuration.
    closed: &'static [u32],
    /// Where the secure boot variables are.
    variables: u32,
    /// Where firmware measures ExitBootServices.
    actions: u32,
    /// The first that is the loader's and the operating system's.
    system: u32,
}

const TPM: Profile =
    Profile { separated: &[0, 1, 2, 3, 4, 5, 6, 7], closed: &[0, 3], variables: 7, actions: 5, system: 8 };
/// Numbers of measurement registers: RTMR0 is 1.
const CCEL: Profile = Profile { separated: &[1, 2], closed: &[], variables: 1, actions: 2, system: 3 };

/// The log is one of a boot as the profile describes it:
///
/// 1. each of PCR 0 to 7 (RTMR0 and RTMR1) has exactly one separator, or none has one, because the log ends before;
/// 2. no separator says that firmware met an error, and each extends the digest of its data;
/// 3. after its separator, PCR 0 and 3 are extended no more, and PCR 7 (RTMR0) with no secure boot variable;
/// 4. a call of ExitBootServices succeeded in the end, and no image was started after that;
/// 5. where firmware measures what it calls, a log does not stop right behind the program that it called: there is ExitBootServices, or
///    an image, or a register of the operating system's, that this program measured.
///
/// EDK2 of 2022 extends RTMR0 with the separator that RTMR1 should have. That is taken where secure boot used no authority after it:
/// otherwise what was configured and what was used cannot be told apart ([`ccel::check_separators`]).
///
/// Proves nothing about what was booted. The log still has to replay, and its events to be Reference Values.
///
/// # Errors
///
/// [`Check::BootSeparator`], [`Check::BootSeparatorTwice`], [`Check::BootEventData`], [`Check::BootEventOrder`] and
/// [`Check::ExitBootServices`].
pub fn boot_rules(log: &BootLog<'_>) -> Result<BootStage, VerifyError> {
    let profile = if log.layout() == Layout::Ccel { &CCEL } else { &TPM };
    let separated = separators(log, profile)?;
    order(log, profile)?;
    let exited = exit_boot_services(log, profile)?;
    Ok(match (exited, separated) {
        (true, _) => BootStage::OperatingSystem,
        (false, true) => BootStage::Loader,
        (false, false) => BootStage::Firmware,
    })
}

/// Rules 1 and 2. Whether there are separators.
fn separators(log: &BootLog<'_>, profile: &Profile) -> Result<bool, VerifyError> {
    let mut found = Vec::new();
    for event in firmware(log, profile).filter(|event| event.event_type == EV_SEPARATOR) {
        if SEPARATORS.iter().all(|data| event.data != data) {
            return Err(VerifyError::new(
                Check::BootSeparator,
                "a separator of four bytes 00 or four bytes ff",
                format!(
                    "{} in register {}",
                    hex::encode(event.data.get(..16).unwrap_or(event.data)),
                    event.pcr
                ),
            ));
        }
        of_its_data(&event)?;
        found.push((event.pcr, event.offset));
    }
    let count = |register: u32| found.iter().filter(|(pcr, _)| *pcr == register).count();
    let twice = profile.separated.iter().find(|register| count(**register) > 1);
    if let Some(register) = twice
        && !misplaced(log, &found)
    {
        let expected = format!("one separator in register {register}");
        return Err(VerifyError::new(Check::BootSeparatorTwice, expected, format!("{}", count(*register))));
    }
    let missing = profile.separated.iter().find(|register| count(**register) == 0);
    if let Some(register) = missing
        && !found.is_empty()
        && twice.is_none()
    {
        let expected = format!("a separator in register {register}, as in others");
        return Err(VerifyError::new(Check::BootSeparator, expected, "none"));
    }
    Ok(!found.is_empty())
}

/// Whether the second separator of RTMR0 is RTMR1's, and secure boot used no authority that it could hide.
fn misplaced(log: &BootLog<'_>, separators: &[(u32, usize)]) -> bool {
    log.layout() == Layout::Ccel
        && matches!(separators, [(1, _), (1, _)])
        && ccel::check_separators(log).is_ok()
}

/// Rule 3.
fn order(log: &BootLog<'_>, profile: &Profile) -> Result<(), VerifyError> {
    let mut closed = 0_u32;
    for event in firmware(log, profile) {
        let is_closed = closed >> event.pcr & 1 == 1;
        let forbidden =
            profile.closed.contains(&event.pcr) || (event.pcr == profile.variables && is_secure_boot(&event));
        if event.event_type == EV_SEPARATOR {
            // Registers of firmware are 0 to 7.
            closed |= 1 << event.pcr;
        } else if is_closed && forbidden {
            let expected = format!("nothing of firmware's in register {} after its separator", event.pcr);
            let found = format!("{} at {}", event_type_name(event.event_type), event.offset);
            return Err(VerifyError::new(Check::BootEventOrder, expected, found));
        }
    }
    Ok(())
}

/// Rules 4 and 5. Whether ExitBootServices succeeded.
fn exit_boot_services(log: &BootLog<'_>, profile: &Profile) -> Result<bool, VerifyError> {
    let refused =
        |expected: &str, found: String| Err(VerifyError::new(Check::ExitBootServices, expected, found));
    let (mut invoked, mut exited) = (false, false);
    let (mut called, mut images, mut of_system) = (false, 0_u32, false);
    for event in log.events().filter(Event::is_extended) {
        let image =
            [EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_BOOT_SERVICES_DRIVER, EV_EFI_RUNTIME_SERVICES_DRIVER]
                .contains(&event.event_type);
        if image && exited {
            let found = format!("{} at {}", event_type_name(event.event_type), event.offset);
            let expected = "no image started after ExitBootServices";
            return Err(VerifyError::new(Check::BootEventOrder, expected, found));
        }
        images = images.saturating_add(u32::from(event.event_type == EV_EFI_BOOT_SERVICES_APPLICATION));
        of_system |= event.pcr >= profile.system;
        if event.event_type != EV_EFI_ACTION {
            continue;
        }
        if event.data == CALLING {
            // Only what follows the last call counts.
            (called, images, of_system) = (true, 0, false);
        } else if event.pcr == profile.actions && [EXIT, EXITED, EXIT_FAILED].contains(&event.data) {
            of_its_data(&event)?;
            if event.data != EXIT && !invoked {
                return refused(
                    "a call of ExitBootServices before its result",
                    format!("none at {}", event.offset),
                );
            }
            (invoked, exited) = (event.data == EXIT, event.data == EXITED);
        }
    }
    if invoked {
        return refused("ExitBootServices to succeed", "a call without a result".to_owned());
    }
    if !exited && called && images == 1 && !of_system {
        let expected =
            "ExitBootServices after the program that firmware called, or what that program measured";
        return refused(expected, "nothing: the log stops there".to_owned());
    }
    Ok(exited)
}

/// Extended events in the registers of firmware.
fn firmware<'a>(log: &BootLog<'a>, profile: &Profile) -> impl Iterator<Item = Event<'a>> {
    let separated = profile.separated;
    log.events().filter(move |event| event.is_extended() && separated.contains(&event.pcr))
}

fn is_secure_boot(event: &Event<'_>) -> bool {
    event.event_type == EV_EFI_VARIABLE_DRIVER_CONFIG
        && event.data.get(VARIABLE_NAME..).is_some_and(|rest| {
            let length = event.data.get(16..).and_then(|rest| rest.first_chunk::<8>());
            let length = length.and_then(|length| usize::try_from(u64::from_le_bytes(*length)).ok());
            let name = length.and_then(|length| rest.get(..length.checked_mul(2)?));
            name.is_some_and(|name| SECURE_BOOT.contains(&name))
        })
}

/// The digests of an event are of its data, in each bank that can be computed.
fn of_its_data(event: &Event<'_>) -> Result<(), VerifyError> {
    for (algorithm, digest) in event.digests.iter() {
        let computed = HashAlg::from_id(algorithm).and_then(|algorithm| algorithm.digest(&[event.data]));
        if let Some(computed) = computed
            && computed != digest
        {
            let name = event_type_name(event.event_type);
            let expected =
                format!("{name} at {} with the digest of its data, {}", event.offset, hex::encode(computed));
            return Err(VerifyError::new(Check::BootEventData, expected, hex::encode(digest)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
