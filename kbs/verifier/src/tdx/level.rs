//! Step 4: what Intel's TCB levels say of this platform, its TDX module and its quoting enclave.

use super::chain::VerifiedPck;
use super::collateral::VerifiedCollateral;
use super::document::{EnclaveLevel, ModuleSigner, TcbInfo, TcbLevel};
use super::pck::Platform;
use super::status::TcbStatus;
use crate::policy::TdxPolicy;
use crate::{Check, VerifyError};
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::quote::TeeKind;
use sealpod_evidence::tdx::report::TdReport;
use serde::Serialize;
use std::collections::BTreeSet;

/// Intel's verdict on all that a quote's TCB consists of. Made only by [`evaluate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TcbVerdict {
    /// All parts together.
    pub status: TcbStatus,
    /// Processor, microcode and, for early TDX, the module.
    pub platform: TcbStatus,
    /// The TDX module, where it has levels of its own.
    pub module: Option<TcbStatus>,
    /// The quoting enclave.
    pub quoting_enclave: TcbStatus,
    /// Advisories of every level that matched.
    pub advisory_ids: BTreeSet<String>,
    /// Date of the platform's level, as Intel writes it.
    pub tcb_date: String,
    /// Intel's evaluation of TCBs that this rests on: the older of the two documents'.
    pub evaluation_data_number: u32,
}

/// Step 4. TCB Info is about this platform; the quoting enclave is Intel's current one; and there is a level for every security
/// version that quote and PCK report. Gives Intel's verdict, which [`accept`] holds against the owner's policy.
///
/// A body of TDX 1.5 has the security versions of launch and of now, and both must have a level.
///
/// # Errors
///
/// [`Check::Fmspc`], [`Check::QeIdentity`], [`Check::QeTcbLevel`], [`Check::TdxModule`], [`Check::TcbLevel`].
pub fn evaluate(
    quote: &Quote<'_>,
    pck: &VerifiedPck,
    collateral: &VerifiedCollateral,
) -> Result<TcbVerdict, VerifyError> {
    let VerifiedCollateral { tcb_info, qe_identity, .. } = collateral;
    about_platform(quote.header.tee, pck.platform(), collateral)?;
    let qe = quoting_enclave(quote, collateral)?;
    let mut verdict = TcbVerdict {
        status: TcbStatus::UpToDate,
        platform: TcbStatus::UpToDate,
        module: None,
        quoting_enclave: qe.tcb_status,
        advisory_ids: qe.advisory_ids.iter().cloned().collect(),
        tcb_date: String::new(),
        evaluation_data_number: tcb_info
            .tcb_evaluation_data_number
            .min(qe_identity.tcb_evaluation_data_number),
    };
    match quote.td() {
        None => {
            let level = platform_level(tcb_info, pck.platform(), None)?;
            verdict.set_platform(level, level.tcb_status);
        }
        Some(td) => {
            let launch = verdict.of_svn(tcb_info, pck.platform(), td, &td.tee_tcb_svn.0, true)?;
            verdict.status = launch;
            if let Some(svn) = td.tee_tcb_svn2() {
                let current = verdict.of_svn(tcb_info, pck.platform(), td, &svn.0, false)?;
                verdict.status = launch.relaunch(current);
            }
        }
    }
    verdict.status = verdict.status.with_part(qe.tcb_status);
    Ok(verdict)
}

/// Step 4. Intel's verdict is one that the owner takes. A revoked TCB is never taken; of a status other than `UpToDate`, each
/// advisory must be one that the owner has accepted.
///
/// # Errors
///
/// [`Check::TcbStatus`], [`Check::TcbAdvisory`].
pub fn accept(verdict: &TcbVerdict, policy: &TdxPolicy) -> Result<(), VerifyError> {
    let accepted = &policy.accepted_tcb_statuses;
    if verdict.status == TcbStatus::Revoked || !accepted.contains(&verdict.status) {
        let found = format!("{} with advisories {:?}", verdict.status, verdict.advisory_ids);
        return Err(VerifyError::new(Check::TcbStatus, format!("one of {accepted:?}"), found));
    }
    let open = verdict.advisory_ids.iter().find(|id| !policy.accepted_advisories.contains(*id));
    match open {
        Some(id) if verdict.status != TcbStatus::UpToDate => {
            let expected =
                format!("for {}, no advisory but {:?}", verdict.status, policy.accepted_advisories);
            Err(VerifyError::new(Check::TcbAdvisory, expected, id))
        }
        _ => Ok(()),
    }
}

impl TcbVerdict {
    /// The status at one TEE_TCB_SVN; what matched is noted.
    fn of_svn(
        &mut self,
        info: &TcbInfo,
        platform: &Platform,
        td: &TdReport,
        svn: &[u8; 16],
        launch: bool,
    ) -> Result<TcbStatus, VerifyError> {
        let level = platform_level(info, platform, Some(svn))?;
        let module = module_level(info, td, svn)?;
        let status = module.map_or(level.tcb_status, |module| level.tcb_status.with_part(module.tcb_status));
        if launch {
            self.set_platform(level, status);
            self.module = module.map(|module| module.tcb_status);
        } else {
            self.advisory_ids.extend(level.advisory_ids.iter().cloned());
        }
        self.advisory_ids.extend(module.iter().flat_map(|module| module.advisory_ids.iter().cloned()));
        Ok(status)
    }

    fn set_platform(&mut self, level: &TcbLevel, status: TcbStatus) {
        self.platform = level.tcb_status;
        self.status = status;
        self.tcb_date.clone_from(&level.tcb_date);
        self.advisory_ids.extend(level.advisory_ids.iter().cloned());
    }
}

fn about_platform(
    tee: TeeKind,
    platform: &Platform,
    collateral: &VerifiedCollateral,
) -> Result<(), VerifyError> {
    let (info, identity) = (&collateral.tcb_info, &collateral.qe_identity);
    let enclave = match tee {
        TeeKind::Sgx => "QE",
        TeeKind::Tdx => "TD_QE",
    };
    let expected = (tee.as_str(), enclave, platform.fmspc, platform.pce_id);
    let found = (info.id.as_str(), identity.id.as_str(), info.fmspc, info.pce_id);
    if expected == found {
        return Ok(());
    }
    let text = |(tee, enclave, fmspc, pce): (&str, &str, _, _)| {
        format!("TCB Info of {tee} for FMSPC {fmspc}, PCE {pce}, and the identity of {enclave}")
    };
    Err(VerifyError::new(Check::Fmspc, text(expected), text(found)))
}

/// The quoting enclave's report is of the enclave that Intel names, and has a level.
fn quoting_enclave<'c>(
    quote: &Quote<'_>,
    collateral: &'c VerifiedCollateral,
) -> Result<&'c EnclaveLevel, VerifyError> {
    let (report, identity) = (&quote.qe_report, &collateral.qe_identity);
    let misc = report.misc_select.to_le_bytes();
    let expected = (
        identity.mrsigner,
        identity.isvprodid,
        masked(&identity.miscselect.0, &identity.miscselect_mask.0),
        masked(&identity.attributes.0, &identity.attributes_mask.0),
        false,
    );
    let found = (
        report.mr_signer,
        report.isv_prod_id,
        masked(&misc, &identity.miscselect_mask.0),
        masked(&report.attributes.0, &identity.attributes_mask.0),
        report.debug(),
    );
    if expected != found {
        let text = |(signer, product, misc, attributes, debug): (_, u16, Vec<u8>, Vec<u8>, bool)| {
            let (misc, attributes) = (hex::encode(misc), hex::encode(attributes));
            format!(
                "MRSIGNER {signer}, ISVPRODID {product}, MISCSELECT {misc}, attributes {attributes}, debug {debug}"
            )
        };
        return Err(VerifyError::new(Check::QeIdentity, text(expected), text(found)));
    }
    level_of(&identity.tcb_levels, report.isv_svn).ok_or_else(|| {
        let expected = format!("a level for the {}'s ISVSVN", identity.id);
        VerifyError::new(Check::QeTcbLevel, expected, format!("{}, below all levels", report.isv_svn))
    })
}

/// The highest level that the platform reaches in every component.
fn platform_level<'c>(
    info: &'c TcbInfo,
    platform: &Platform,
    tdx: Option<&[u8; 16]>,
) -> Result<&'c TcbLevel, VerifyError> {
    // From version 1 on, the first two TDX components are the module's own and have levels of their own.
    let skipped = if tdx.is_some_and(|[_, version, ..]| *version > 0) { 2 } else { 0 };
    let reaches = |level: &&TcbLevel| {
        let tcb = &level.tcb;
        let sgx = tcb.sgxtcbcomponents.iter().zip(&platform.components).all(|(least, svn)| *svn >= least.svn);
        let tdx = match (tdx, &tcb.tdxtcbcomponents) {
            (None, _) => true,
            (Some(svns), Some(least)) => {
                least.iter().zip(svns).skip(skipped).all(|(least, svn)| *svn >= least.svn)
            }
            (Some(_), None) => false,
        };
        sgx && tdx && platform.pce_svn >= tcb.pcesvn
    };
    info.tcb_levels.iter().find(reaches).ok_or_else(|| {
        let expected = format!("a TCB level of {} {} that the platform reaches", info.id, info.fmspc);
        let tdx = tdx.map(|svns| format!(", TDX {}", hex::encode(svns))).unwrap_or_default();
        let found =
            format!("SGX {}, PCESVN {}{tdx}: none", hex::encode(platform.components), platform.pce_svn);
        VerifyError::new(Check::TcbLevel, expected, found)
    })
}

/// The TDX module is one that Intel names, and its level; `None` for an early module, whose level is the platform's.
fn module_level<'c>(
    info: &'c TcbInfo,
    td: &TdReport,
    svn: &[u8; 16],
) -> Result<Option<&'c EnclaveLevel>, VerifyError> {
    let refuse = |expected: String, found: String| Err(VerifyError::new(Check::TdxModule, expected, found));
    let [isv_svn, version, ..] = *svn;
    if version == 0 {
        let Some(signer) = &info.tdx_module else {
            return refuse("a TDX module in TCB Info".to_owned(), "none".to_owned());
        };
        return module_signer(signer, td).map(|()| None);
    }
    let id = format!("TDX_{version:02X}");
    let Some(identity) = info.tdx_module_identities.iter().find(|known| known.id.eq_ignore_ascii_case(&id))
    else {
        let known: Vec<_> = info.tdx_module_identities.iter().map(|known| &known.id).collect();
        return refuse(format!("one of {known:?}"), id);
    };
    module_signer(&identity.signer, td)?;
    match level_of(&identity.tcb_levels, isv_svn.into()) {
        Some(level) => Ok(Some(level)),
        None => refuse(format!("a level of {id}"), format!("ISVSVN {isv_svn}, below all levels")),
    }
}

fn module_signer(signer: &ModuleSigner, td: &TdReport) -> Result<(), VerifyError> {
    let mask = &signer.attributes_mask.0;
    let expected = (signer.mrsigner, masked(&signer.attributes.0, mask));
    let found = (td.mr_signer_seam, masked(&td.seam_attributes.0, mask));
    if expected == found {
        return Ok(());
    }
    let text = |(signer, attributes): (_, Vec<u8>)| {
        format!("a TDX module of signer {signer} with attributes {}", hex::encode(attributes))
    };
    Err(VerifyError::new(Check::TdxModule, text(expected), text(found)))
}

fn level_of(levels: &[EnclaveLevel], isv_svn: u16) -> Option<&EnclaveLevel> {
    levels.iter().filter(|level| isv_svn >= level.tcb.isvsvn).max_by_key(|level| level.tcb.isvsvn)
}

fn masked(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask).map(|(byte, mask)| byte & mask).collect()
}
