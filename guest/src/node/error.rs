//! Why a round, or its preparation, failed.

use crate::files::FileError;
use crate::tpm::TpmError;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::contents::ContentsError;
use sealpod_evidence::node::path::PathError;
use std::io;

/// Why a node cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Not root: mounts, the TPM and `/etc/shadow` need it.
    #[error("measuring a node needs root; run it with sudo or as the systemd service")]
    NotRoot,
    /// There is no TPM.
    #[error(
        "this machine has no TPM at /dev/tpmrm0; give the VM a vTPM, or turn the TPM on in the firmware, and see `sealpod-guest node check`"
    )]
    NoTpm,
    /// The TPM failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// A file of the kernel or of the agent.
    #[error(transparent)]
    File(#[from] FileError),
    /// A mount of the round.
    #[error("cannot mount an overlay of {lower}: {source}; `modprobe overlay` where it is a module")]
    Overlay {
        /// The file system that should have shown through.
        lower: NodePath,
        /// The system's answer.
        source: io::Error,
    },
    /// The round's own mount namespace.
    #[error("cannot prepare the round: {operation}: {source}")]
    Prepare {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A line of `/proc/self/mountinfo`.
    #[error("mount table: {0}")]
    Mounts(#[from] super::mountinfo::MountInfoError),
    /// A path of the system that has no place in evidence.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The contents asked for are over the budget of a round.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// The log of earlier statements is not what PCR 13 holds.
    #[error("{path} does not hold the records of PCR 13: {found}; reboot the node to begin again")]
    StatementLog {
        /// The file.
        path: String,
        /// What is wrong with it.
        found: String,
    },
    /// Evidence that cannot be written.
    #[error("evidence does not serialise: {0}")]
    Json(#[from] serde_json::Error),
}
