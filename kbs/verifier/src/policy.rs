//! How strict an appraisal is where the field leaves a choice. Defaults are the strict ones.

use crate::result::BindingLevel;
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::Sha384Digest;
use serde::{Deserialize, Serialize};

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
    /// Refuse where simultaneous multithreading is on.
    pub forbid_smt: bool,
    /// Refuse when no current revocation list was given for the chain.
    pub require_crl: bool,
    /// Least ABI version `[major, minor]` that the guest's launch policy must demand.
    pub minimum_abi: [u8; 2],
    /// Digests of the id block author keys accepted. Empty: an id block is not demanded.
    pub id_block_authors: Vec<Sha384Digest>,
}

impl Default for AppraisalPolicy {
    fn default() -> Self {
        Self {
            minimum_binding_level: BindingLevel::Paravisor,
            dangerous_accept_host_vtpm: false,
            dangerous_accept_debug: false,
            forbid_smt: false,
            require_crl: false,
            minimum_abi: [0, 0],
            id_block_authors: Vec::new(),
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
