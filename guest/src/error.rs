//! Everything that ends a pod, by the stage it happened in.

use crate::attester::AttestError;
use crate::bundle::BundleError;
use crate::crun::CrunError;
use crate::files::FileError;
use crate::ima_policy::ImaPolicyError;
use crate::image::ImageError;
use crate::init::InitError;
use crate::initdata::DiskError;
use crate::link::LinkError;
use crate::memory::MemoryError;
use crate::modules::ModuleError;
use crate::rcar::{RcarError, Verdict};
use crate::tpm::TpmError;
use crate::tsm::TsmError;
use crate::workload::WorkloadError;
use sealpod_channel::Event;
use std::io;

/// Longest reason sent to the host: a frame is limited, and an error may quote its input.
const MAX_REASON: usize = 8 * 1024;

/// Why the pod does not run (any more).
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The mount table.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The IMA policy.
    #[error(transparent)]
    ImaPolicy(#[from] ImaPolicyError),
    /// Kernel modules.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// Kernel settings.
    #[error("cannot close a kernel door: {0}")]
    Hardening(FileError),
    /// The loopback interface.
    #[error("cannot bring up lo: {0}")]
    Loopback(io::Error),
    /// The vTPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// TEE reports.
    #[error(transparent)]
    Tsm(#[from] TsmError),
    /// initdata.
    #[error(transparent)]
    Initdata(#[from] DiskError),
    /// The boot log.
    #[error("boot log: {0}")]
    BootLog(FileError),
    /// The channel to the host.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What the host asked for.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// Memory for image and container.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Directories and secret files.
    #[error("cannot prepare the container ({what}): {source}")]
    Prepare {
        /// What was being made.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The broker, or the evidence for it.
    #[error(transparent)]
    Rcar(#[from] RcarError),
    /// The runtime bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The runtime.
    #[error(transparent)]
    Crun(#[from] CrunError),
    /// The pod-local API.
    #[error("pod-local API: {0}")]
    PodApi(io::Error),
    /// A part of the guest panicked.
    #[error("internal error: {0}")]
    Panic(String),
}

impl GuestError {
    /// The stage, as `Event::Refused` names it.
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Init(_) => "mounts",
            Self::ImaPolicy(_) => "ima-policy",
            Self::Modules(_) => "modules",
            Self::Hardening(_) => "hardening",
            Self::Loopback(_) => "network",
            Self::Tpm(_) => "tpm",
            Self::Tsm(_) => "tee",
            Self::Initdata(_) => "initdata",
            Self::BootLog(_) => "boot-log",
            Self::Link(_) => "channel",
            Self::Workload(_) => "workload",
            Self::Memory(_) => "memory",
            Self::Image(_) => "image",
            Self::Prepare { .. } => "prepare",
            Self::Rcar(RcarError::Attest(_) | RcarError::Aborted) => "evidence",
            Self::Rcar(_) => "broker",
            Self::Bundle(_) => "bundle",
            Self::Crun(_) => "runtime",
            Self::PodApi(_) => "pod-api",
            Self::Panic(_) => "internal",
        }
    }

    /// What the host is told. Nothing secret is in any error: none of them ever held a secret.
    pub fn to_event(&self) -> Event {
        let verdict = self.verdict();
        Event::Refused {
            stage: self.stage().to_owned(),
            reason: self.to_string().chars().take(MAX_REASON / 4).collect(),
            step: verdict.step,
            check: verdict.check,
            expected: verdict.expected,
            found: verdict.found,
        }
    }

    /// The broker's verdict, or this guest's own expected and found.
    fn verdict(&self) -> Verdict {
        let own = |expected: String, found: String| Verdict {
            expected: Some(expected),
            found: Some(found),
            ..Verdict::default()
        };
        match self {
            Self::Rcar(RcarError::Refused { verdict: Some(verdict), .. }) => Verdict::clone(verdict),
            Self::Rcar(RcarError::Attest(AttestError::Version { expected, found })) => {
                own(expected.to_string(), found.to_string())
            }
            Self::Initdata(DiskError::HostData { expected, found }) => {
                own(expected.to_string(), found.to_string())
            }
            Self::Image(ImageError::Digest { expected, found }) => {
                own(expected.to_string(), found.to_string())
            }
            Self::Image(ImageError::Size { expected, found, .. }) => {
                own(expected.to_string(), found.to_string())
            }
            _ => Verdict::default(),
        }
    }
}
