//! The first steps, before anything is said to or believed from the host.

use crate::attester;
use crate::error::GuestError;
use crate::tpm::Tpm;
use crate::tsm::Tsm;
use crate::{hardening, ima_policy, init, initdata, loopback, modules};
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
/// 6. the vTPM and its keys;
/// 7. initdata, which must be what the TEE's report names;
/// 8. its digest into PCR 8.
pub fn prepare() -> Result<Machine, GuestError> {
    init::mounts()?;
    ima_policy::load()?;
    modules::load_all()?;
    init::mount_configfs()?;
    hardening::apply().map_err(GuestError::Hardening)?;
    loopback::up().map_err(GuestError::Loopback)?;
    let mut tpm = Tpm::open()?;
    let tsm = Tsm::find()?;
    let initdata = initdata::read_disk()?;
    if let (Some(initdata), Some(tsm)) = (&initdata, &tsm) {
        initdata::check_host_data(initdata, tsm)?;
    }
    if let (Some(initdata), Some(tpm)) = (&initdata, &mut tpm) {
        tpm.extend(PCR_INITDATA, &initdata.digest())?;
    }
    let boot_log = attester::boot_log().map_err(GuestError::BootLog)?;
    Ok(Machine { tpm, tsm, initdata, boot_log })
}
