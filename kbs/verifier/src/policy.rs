//! How strict an appraisal is where the field leaves a choice. Defaults are the strict ones.

use crate::result::BindingLevel;
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
            forbid_smt: false,
            require_crl: false,
            minimum_abi: [0, 0],
            id_block_authors: Vec::new(),
        }
    }
}
