//! How strict an appraisal is where the field leaves a choice. Defaults are the strict ones.

use crate::result::BindingLevel;
use crate::tdx::TcbStatus;
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::Sha384Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The owner's choices. What weakens an appraisal is spelled `dangerous_`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppraisalPolicy {
    /// The weakest binding level taken: `svsm`, `paravisor`, `guest-kernel`. `host` needs [`Self::dangerous_accept_host_vtpm`] too.
    pub minimum_binding_level: BindingLevel,
    /// Take a vTPM that no TEE vouches for. It proves drift to an honest host and nothing against a hostile one.
    pub dangerous_accept_host_vtpm: bool,
    /// Take a guest whose memory the host may read: SNP guest policies with the debug bit, debug TDs. Proves nothing against that host.
    pub dangerous_accept_debug: bool,
    /// Take a report of Azure's paravisor that does not name the challenge: its user data is zero or missing, as in evidence of version 0
    /// and 1 of most attesters. The vTPM's quote still answers the challenge, but the hardware's report may be of an earlier day,
    /// and of a launch with firmware that was good then.
    pub dangerous_accept_stale_paravisor_report: bool,
    /// Refuse where simultaneous multithreading is on.
    pub forbid_smt: bool,
    /// Refuse when no current revocation list was given for the chain.
    pub require_crl: bool,
    /// Least ABI version `[major, minor]` that the guest's launch policy must demand.
    pub minimum_abi: [u8; 2],
    /// Mitigation bits that an SNP firmware must say were verified, at launch as well as now (`LAUNCH_MIT_VECTOR`, `CURRENT_MIT_VECTOR`,
    /// AMD 56860, table 23). Reports before version 5 say nothing of them, so any bit refuses those.
    pub required_mitigations: u64,
    /// Digests of the id keys accepted: SHA-384 of the key that signed the id block. Empty: an id block is not demanded.
    pub id_block_keys: Vec<Sha384Digest>,
    /// Digests of the id block author keys accepted. Empty: an id block is not demanded.
    pub id_block_authors: Vec<Sha384Digest>,
    /// What holds for TDX alone.
    pub tdx: TdxPolicy,
}

impl Default for AppraisalPolicy {
    fn default() -> Self {
        Self {
            minimum_binding_level: BindingLevel::Paravisor,
            dangerous_accept_host_vtpm: false,
            dangerous_accept_debug: false,
            dangerous_accept_stale_paravisor_report: false,
            forbid_smt: false,
            require_crl: false,
            minimum_abi: [0, 0],
            required_mitigations: 0,
            id_block_keys: Vec::new(),
            id_block_authors: Vec::new(),
            tdx: TdxPolicy::default(),
        }
    }
}

impl AppraisalPolicy {
    /// Step 9, once the level is established: it is one that the owner takes.
    pub(crate) fn require_level(&self, level: BindingLevel) -> Result<(), VerifyError> {
        let least = self.minimum_binding_level;
        if level < least {
            let expected = format!("at least {}", least.as_str());
            return Err(VerifyError::new(Check::BindingLevel, expected, level.as_str()));
        }
        if level == BindingLevel::Host && !self.dangerous_accept_host_vtpm {
            let expected = "a vTPM that a TEE vouches for, or dangerous_accept_host_vtpm";
            return Err(VerifyError::new(Check::BindingLevel, expected, level.as_str()));
        }
        Ok(())
    }
}

/// The owner's choices about Intel's platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TdxPolicy {
    /// Statuses of the TCB that are taken. `Revoked` never is.
    pub accepted_tcb_statuses: BTreeSet<TcbStatus>,
    /// Advisories (`INTEL-SA-…`) that are taken where the status is not `UpToDate`. One that is not listed is refused.
    pub accepted_advisories: BTreeSet<String>,
    /// Take a TD that a service TD is bound to, or that may be migrated: whoever made the service TD can then read it.
    pub dangerous_accept_service_td: bool,
    /// Take a TD without SEPT_VE_DISABLE: the host can make it take exceptions at any access to memory.
    pub dangerous_accept_ept_exceptions: bool,
}

impl Default for TdxPolicy {
    fn default() -> Self {
        Self {
            accepted_tcb_statuses: BTreeSet::from([TcbStatus::UpToDate]),
            accepted_advisories: BTreeSet::new(),
            dangerous_accept_service_td: false,
            dangerous_accept_ept_exceptions: false,
        }
    }
}
