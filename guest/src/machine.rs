//! The first steps, before anything is said to or believed from the host.

use crate::attester;
use crate::error::GuestError;
use crate::tpm::Tpm;
use crate::tsm::{Tsm, TsmError};
use crate::{hardening, ima_policy, init, initdata, loopback, modules, processor};
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_INITDATA;

/// What this machine has.
pub struct Machine {
    /// The vTPM, if any. Whose it is, the broker decides.
    pub tpm: Option<Tpm>,
    /// TEE reports, if this is a confidential machine.
    pub tsm: Option<Tsm>,
    /// The owner's intent, checked against HOST_DATA where there is a TEE.
    pub initdata: Option<Initdata>,
    /// The firmware's log.
    pub boot_log: Vec<u8>,
}

/// Bring the machine up, in this order:
///
/// 1. mounts;
/// 2. the IMA policy, before anything but this binary is executed;
/// 3. modules, thereby measured, and configfs;
/// 4. kernel doors closed;
/// 5. loopback;
/// 6. the TEE's reports, which a confidential machine must have;
/// 7. initdata, which must be what the report names;
/// 8. the vTPM, and the digest of initdata into PCR 8.
pub fn prepare() -> Result<Machine, GuestError> {
    init::mounts()?;
    hardening::expedite().map_err(GuestError::Hardening)?;
    ima_policy::load()?;
    let sign = processor::confidential();
    modules::load_all(sign.is_some())?;
    init::mount_configfs()?;
    hardening::apply().map_err(GuestError::Hardening)?;
    loopback::up().map_err(GuestError::Loopback)?;
    let tsm = find_tsm(sign)?;
    let initdata = initdata::read(tsm.as_ref())?;
    let mut tpm = Tpm::open()?;
    if let (Some(initdata), Some(tpm)) = (&initdata, &mut tpm) {
        tpm.extend(PCR_INITDATA, &initdata.digest())?;
    }
    let boot_log = attester::boot_log().map_err(GuestError::BootLog)?;
    Ok(Machine { tpm, tsm, initdata, boot_log })
}

/// Where the processor says that this is a confidential machine, one without reports is refused: initdata could not be
/// compared with HOST_DATA, and the pod would run on the host's word.
fn find_tsm(sign: Option<&'static str>) -> Result<Option<Tsm>, TsmError> {
    match (Tsm::find()?, sign) {
        (None, Some(sign)) => Err(TsmError::NoReports { sign }),
        (tsm, _) => Ok(tsm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidential_machine_without_reports_is_refused() {
        if std::path::Path::new(crate::tsm::REPORTS).exists() {
            eprintln!("skipped: this machine has TEE reports");
            return;
        }
        assert!(find_tsm(None).unwrap().is_none());
        let error = find_tsm(Some("sev_snp")).err().unwrap();
        assert!(matches!(error, TsmError::NoReports { sign: "sev_snp" }));
        assert_eq!(GuestError::from(error).stage(), "tee");
    }
}
