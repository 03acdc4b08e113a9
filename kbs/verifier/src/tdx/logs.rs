//! Steps 12 and 15 of a TD: its logs replay to the quoted RTMRs.

use crate::{Check, VerifyError, boot_rules};
use aws_lc_rs::digest::{Context, SHA384};
use sealpod_evidence::bytes::{HexArray, Sha384Digest};
use sealpod_evidence::cel::Record;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::tcg2::BootLog;
use sealpod_evidence::tdx::ccel;
use sealpod_evidence::tdx::report::TdReport;

/// Most bytes of a CCEL area: the largest that firmware was seen to reserve.
pub const MAX_CCEL: usize = 1 << 20;

/// Step 12. The boot log replays to RTMR0, RTMR1 and RTMR2, which step 8 holds against Reference Values, and has nothing about
/// RTMR3; and it is a boot as the profile has it ([`crate::boot_rules`]). Gives the number of its events.
///
/// Proves that the log's digests are what was measured. An event's data is only as true as its digest.
///
/// # Errors
///
/// [`Check::Budget`], [`Check::BootLogSyntax`], [`Check::BootLogReplay`], and those of [`crate::boot_rules`].
pub fn boot_log(td: &TdReport, ccel: &[u8]) -> Result<u32, VerifyError> {
    if ccel.len() > MAX_CCEL {
        return Err(VerifyError::new(
            Check::Budget,
            format!("a CCEL of at most {MAX_CCEL} bytes"),
            ccel.len(),
        ));
    }
    let log = BootLog::parse_ccel(ccel)
        .map_err(|error| VerifyError::new(Check::BootLogSyntax, "a boot log of a TD (CCEL)", error))?;
    let replayed = ccel::rtmrs(&log)
        .map_err(|error| VerifyError::new(Check::BootLogReplay, "SHA-384 digests of every event", error))?;
    // What the agent extended is in the workload log.
    let [rtmr0, rtmr1, rtmr2, _] = td.rtmr;
    let expected = [rtmr0, rtmr1, rtmr2, HexArray([0; 48])];
    for (index, (expected, found)) in expected.into_iter().zip(replayed.map(HexArray)).enumerate() {
        if expected != found {
            let expected = format!("a log that replays to RTMR{index} = {expected}");
            return Err(VerifyError::new(Check::BootLogReplay, expected, found));
        }
    }
    boot_rules(&log)?;
    Ok(log.event_count())
}

/// Step 15. RTMR3 is zero extended with the SHA-384 of initdata and then with that of each record's content, in order: RTMR3
/// takes the part of PCR 8 and of PCR 13 where there is no TPM.
///
/// Proves what the measured agent recorded before it started anything, and that nothing else was extended. What the records say
/// is for the caller to read.
///
/// # Errors
///
/// [`Check::WorkloadReplay`].
pub fn workload_log(td: &TdReport, initdata: &Sha384Digest, records: &[Record]) -> Result<(), VerifyError> {
    let refuse =
        |expected: String, found: String| Err(VerifyError::new(Check::WorkloadReplay, expected, found));
    let mut rtmr = extended(&[0; 48], &initdata.0);
    for (index, record) in (0_u64..).zip(records) {
        if record.recnum != index || record.pcr != PCR_WORKLOAD {
            let found = format!("record {} of PCR {}", record.recnum, record.pcr);
            return refuse(format!("record {index} of PCR {PCR_WORKLOAD}, which RTMR3 stands for"), found);
        }
        let digest = record.content_digest();
        if digest != record.sha256 {
            let expected = format!("record {index} with the digest of its content, {}", HexArray(digest));
            return refuse(expected, HexArray(record.sha256).to_string());
        }
        rtmr = extended(&rtmr, &sha384(&[&record.content]));
    }
    let [.., quoted] = td.rtmr;
    if quoted.0 == rtmr {
        return Ok(());
    }
    let found =
        format!("initdata and a log of {} record(s) that replay to {}", records.len(), HexArray(rtmr));
    refuse(format!("RTMR3 = {quoted}"), found)
}

/// SHA-384 of the initdata document: what MRCONFIGID may be, and what RTMR3 is extended with first.
pub fn initdata_digest(initdata: &Initdata) -> Sha384Digest {
    HexArray(sha384(&[initdata.text().as_bytes()]))
}

/// `SHA-384(RTMR || digest)` (TDX Module ABI, TDG.MR.RTMR.EXTEND).
fn extended(rtmr: &[u8; 48], digest: &[u8; 48]) -> [u8; 48] {
    sha384(&[rtmr, digest])
}

pub(super) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut context = Context::new(&SHA384);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 48];
    // Both are 48 bytes: the algorithm is fixed above.
    out.copy_from_slice(context.finish().as_ref());
    out
}
