//! Step 12: the boot log is what the TPM saw, and it is a boot that the owner accepts.

pub mod rules;

use crate::error::{Check, VerifyError};
use crate::hash::extend;
use crate::parts::tpm::Pcrs;
use crate::reference::ReferenceValues;
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::rcar::{PCR_INITDATA, PcrValue};
use sealpod_evidence::reference_values::{BootEvent, BootReference, PCR_PLATFORM};
use sealpod_evidence::tcg2::{ALG_SHA256, BootLog, Event, event_type_name};

/// PCRs that a boot log is appraised for: the firmware's and the kernel's. Of others, only 10 and 13 are quoted, and
/// their own logs must replay to them from zero.
const BOOT_PCRS: usize = 10;

/// A boot that replayed to the quote and is one of the Reference Values.
#[derive(Debug, Clone)]
pub(crate) struct Booted {
    /// Which of them, as its reviewer described it.
    pub description: String,
    /// Whether an event of it covers the ACPI tables; if not, the owner accepted that by name.
    pub acpi_measured: bool,
    /// PCR 0 to 9 as firmware and kernel left them, that is, before the agent extended PCR 8 with initdata. IMA's boot
    /// aggregate is over these.
    pub pcrs: [[u8; 32]; BOOT_PCRS],
}

/// The boot log replays to PCR 0-7 and 9; PCR 8 is what it replays to, extended once with the initdata digest; and the
/// events of each PCR are exactly those of one accepted boot. What every boot has to look like is looked at first ([`rules`]).
///
/// A guest without a boot log is accepted where nothing was extended *and* a Reference Value without events says so.
/// Events are compared by digest: type and data are what the firmware says about them, and no PCR covers those. So whether an
/// event covers the ACPI tables is the Reference Value's word too. Where none does, the host can hand the kernel bytecode that
/// rewrites it, and neither the launch digest nor a PCR changes: such a boot is refused unless its Reference Value takes it by
/// name.
pub(crate) fn appraise(
    boot_log: &[u8],
    quoted: &Pcrs,
    initdata: Sha256Digest,
    reference: &ReferenceValues,
) -> Result<Booted, VerifyError> {
    let mut log = None;
    let (events, pcrs) = if boot_log.is_empty() {
        (Events::default(), [[0; 32]; BOOT_PCRS])
    } else {
        let parsed = BootLog::parse(boot_log)
            .map_err(|error| VerifyError::new(Check::BootLogSyntax, "a TCG2 boot log", error))?;
        replay(log.insert(parsed))?
    };
    compare(quoted, initdata, &pcrs)?;
    log.as_ref().map_or(Ok(rules::BootStage::Firmware), rules::boot_rules)?;
    let known = accepted(&events, reference.boots())?;
    Ok(Booted { description: known.description.clone(), acpi_measured: known.measures_acpi(), pcrs })
}

/// Extended events per PCR, in order.
type Events<'a> = [Vec<Seen<'a>>; BOOT_PCRS];

struct Seen<'a> {
    sha256: Sha256Digest,
    event: Event<'a>,
}

fn replay<'a>(log: &BootLog<'a>) -> Result<(Events<'a>, [[u8; 32]; BOOT_PCRS]), VerifyError> {
    let refused =
        |found: String| VerifyError::new(Check::BootLogReplay, "SHA-256 digests of every event", found);
    let all = log.replay_sha256().map_err(|error| refused(error.to_string()))?;
    let mut pcrs = [[0; 32]; BOOT_PCRS];
    pcrs.iter_mut().zip(all).for_each(|(pcr, value)| *pcr = value);
    let mut events = Events::default();
    for event in log.events().filter(Event::is_extended) {
        let Some(list) = events.get_mut(event.pcr as usize) else { continue };
        let digest = event.digests.get(ALG_SHA256).and_then(|digest| digest.try_into().ok());
        let sha256 = digest.map(HexArray).ok_or_else(|| refused(format!("none at {}", event.offset)))?;
        list.push(Seen { sha256, event });
    }
    Ok((events, pcrs))
}

/// A log that replays to `replayed` is what the TPM saw of this PCR, in any bank.
///
/// # Errors
///
/// [`Check::BootLogReplay`].
pub fn pcr(index: u8, quoted: &[u8], replayed: &[u8]) -> Result<(), VerifyError> {
    if quoted == replayed {
        return Ok(());
    }
    let expected = format!("PCR {index} = {}, as quoted", hex::encode(quoted));
    let found = format!("a log that replays to {}", hex::encode(replayed));
    Err(VerifyError::new(Check::BootLogReplay, expected, found))
}

/// PCR 8 is what the boot left, `booted`, extended once with the digest of initdata.
///
/// # Errors
///
/// [`Check::InitdataPcr`].
pub fn initdata_pcr(quoted: PcrValue, booted: PcrValue, initdata: Sha256Digest) -> Result<(), VerifyError> {
    let HexArray(mut value) = booted;
    extend(&mut value, &initdata.0);
    if quoted == HexArray(value) {
        return Ok(());
    }
    let expected = format!("PCR {PCR_INITDATA} = {}, extended with initdata {initdata}", HexArray(value));
    Err(VerifyError::new(Check::InitdataPcr, expected, quoted))
}

/// The events of PCR 0 to 9 are exactly those of an accepted boot, which covers the ACPI tables or is taken by name without. Proves
/// nothing of a log that does not replay to a quote.
///
/// # Errors
///
/// [`Check::BootLogReplay`] where an event has no SHA-256 digest, [`Check::BootReference`], [`Check::UnmeasuredAcpi`].
pub fn reference<'r>(
    log: &BootLog<'_>,
    reference: &'r ReferenceValues,
) -> Result<&'r BootReference, VerifyError> {
    let (events, _) = replay(log)?;
    accepted(&events, reference.boots())
}

/// The quoted values are those of the log and of initdata.
fn compare(quoted: &Pcrs, initdata: Sha256Digest, pcrs: &[[u8; 32]; BOOT_PCRS]) -> Result<(), VerifyError> {
    let mut booted = HexArray([0; 32]);
    for (index, value) in (0_u8..).zip(pcrs) {
        if index == PCR_INITDATA {
            booted = HexArray(*value);
        } else {
            pcr(index, &quoted.get(index).0, value)?;
        }
    }
    initdata_pcr(quoted.get(PCR_INITDATA), booted, initdata)
}

/// Where a boot first differs from an accepted one.
struct Difference<'r, 'e> {
    /// Events that are equal, over all PCRs: how near the two are.
    equal: usize,
    pcr: usize,
    position: usize,
    expected: Option<&'r BootEvent>,
    found: Option<&'e Seen<'e>>,
}

fn accepted<'r>(
    events: &Events<'_>,
    references: &'r [BootReference],
) -> Result<&'r BootReference, VerifyError> {
    let mut nearest: Option<(&BootReference, Difference<'_, '_>)> = None;
    let mut unmeasured = None;
    for reference in references {
        let Some(difference) = differs(events, reference) else {
            if reference.measures_acpi() || reference.dangerous_unmeasured_acpi {
                return Ok(reference);
            }
            unmeasured.get_or_insert(reference);
            continue;
        };
        if nearest.as_ref().is_none_or(|(_, known)| difference.equal > known.equal) {
            nearest = Some((reference, difference));
        }
    }
    if let Some(reference) = unmeasured {
        let expected = "a boot with an event that covers the ACPI tables, or dangerous_unmeasured_acpi in its Reference Value";
        let found = format!("{:?}, with none in PCR {PCR_PLATFORM}", reference.description);
        return Err(VerifyError::new(Check::UnmeasuredAcpi, expected, found));
    }
    let Some((reference, difference)) = nearest else {
        return Err(VerifyError::new(
            Check::BootReference,
            "a boot that is one of the Reference Values",
            "there are none",
        ));
    };
    let Difference { pcr, position, .. } = difference;
    let event = difference.expected.map_or_else(
        || "no further event".to_owned(),
        |event| format!("{} {} ({})", event.event_type, event.sha256, event.description),
    );
    let expected = format!("{:?}: PCR {pcr}, event {position}: {event}", reference.description);
    let found = difference.found.map_or_else(
        || "no further event".to_owned(),
        |seen| {
            format!("{} {} ({})", event_type_name(seen.event.event_type), seen.sha256, text(seen.event.data))
        },
    );
    Err(VerifyError::new(Check::BootReference, expected, found))
}

/// The first difference, PCR by PCR; `None` where there is none.
fn differs<'r, 'e>(events: &'e Events<'e>, reference: &'r BootReference) -> Option<Difference<'r, 'e>> {
    let mut first: Option<Difference<'_, '_>> = None;
    let mut equal = 0;
    for (index, found) in (0_u8..).zip(events) {
        let expected = reference.events.get(&index).map_or(&[][..], Vec::as_slice);
        let same = expected.iter().zip(found).take_while(|(known, seen)| known.sha256 == seen.sha256).count();
        equal += same;
        let (known, seen) = (expected.get(same), found.get(same));
        if first.is_none() && (known.is_some() || seen.is_some()) {
            let pcr = index.into();
            first = Some(Difference { equal: 0, pcr, position: same, expected: known, found: seen });
        }
    }
    first.map(|difference| Difference { equal, ..difference })
}

/// Printable text of an event's data, for people.
fn text(data: &[u8]) -> String {
    data.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').take(80).map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests;
