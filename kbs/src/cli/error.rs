//! One line that says what went wrong and what to do.

use crate::admin::AdminError;
use crate::audit::AuditError;
use crate::broker::StartError;
use crate::config::ConfigError;
use crate::endorse::EndorseError;
use crate::endorsements::OpenError;
use crate::endorsements::import::ImportError;
use crate::init::InitError;
use crate::inspect::NotRecognised;
use crate::jwt::KeyError;
use crate::server::ServeError;
use crate::storage::StorageError;
use sealpod_evidence::snp::report::Product;
use std::io;
use std::path::{Path, PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No broker was made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The owner's records.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The administration key.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// A file that was named.
    #[error("cannot read {}: {source}", path.display())]
    Input {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file that was named is not what it has to be.
    #[error("{}: {found}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// Why.
        found: String,
    },
    /// A file that was named is nothing that is known.
    #[error(transparent)]
    Unrecognised(NotRecognised),
    /// There is no such check and no such file.
    #[error("there is neither a file nor a check {name:?}; checks: {}", if similar.is_empty() { "see --list" } else { similar })]
    NoCheck {
        /// The name given.
        name: String,
        /// Checks with similar names.
        similar: String,
    },
    /// Evidence that says nothing that a document of Reference Values can hold.
    #[error(
        "nothing in it can become a Reference Value: give a report, a quote, a boot log, an IMA log or a bundle"
    )]
    NothingLearnt,
    /// A file that is to be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A document among several.
    #[error("{}: {source}", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: AdminError,
    },
    /// Standard output.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    /// The address.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The asynchronous runtime.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// What was named is not there.
    #[error("there is no {what}; see `{list}`")]
    Missing {
        /// What.
        what: String,
        /// How to see what there is.
        list: &'static str,
    },
    /// Endorsements cannot be kept or fetched.
    #[error(transparent)]
    Endorsements(#[from] OpenError),
    /// Files with endorsements.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Not all endorsements came.
    #[error("{}", failures.join("; "))]
    Fetch {
        /// Which not, and why.
        failures: Vec<String>,
    },
    /// A report on whose word nothing is fetched.
    #[error("{}: expected an SNP report that names its chip and is signed, found something else", path.display())]
    Report {
        /// Which file.
        path: PathBuf,
    },
    /// A quote on whose word nothing is fetched.
    #[error("{}: expected a TDX quote with PCK certificates of a trusted root that are valid now, found something else", path.display())]
    Quote {
        /// Which file.
        path: PathBuf,
    },
    /// What the settings name.
    #[error(transparent)]
    Endorse(#[from] EndorseError),
    /// Not a TCB.
    #[error(
        "--tcb: expected eight bytes in hex, or bootloader=N,tee=N,snp=N,microcode=N and for Turin fmc=N, found {found:?} for {product}"
    )]
    Tcb {
        /// Whose.
        product: Product,
        /// The text.
        found: String,
    },
    /// Nodes, rounds, profiles.
    #[error(transparent)]
    Compliance(#[from] crate::compliance::ComplianceError),
    /// A profile with mistakes.
    #[error("{name}: {} mistake(s)\n{}", mistakes.len(), mistakes.join("\n"))]
    Profile {
        /// Which profile.
        name: String,
        /// One line or two each.
        mistakes: Vec<String>,
    },
    /// A report with open items, which was printed.
    #[error("{count} item(s) fail or are unknown")]
    Findings {
        /// How many.
        count: usize,
    },
    /// A file that was to be written.
    #[error("cannot write {}: {source}", path.display())]
    Written {
        /// Which.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A report that is not what the evidence gives.
    #[error("the report is not what the evidence gives, in {count} place(s)")]
    Forged {
        /// How many.
        count: usize,
    },
    /// The audit log was altered.
    #[error(
        "the audit log's chain is broken at line {line}: it follows {found}, not {expected}; compare with a copy"
    )]
    Chain {
        /// Line number, from 1.
        line: u64,
        /// Hash of the line before.
        expected: String,
        /// The hash that the line names.
        found: String,
    },
}

impl CliError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Chain { .. } | Self::Forged { .. } => 3,
            Self::Findings { .. } => 4,
            Self::Unfit { .. } | Self::Unrecognised(_) | Self::NoCheck { .. } | Self::NothingLearnt => 2,
            _ => 1,
        }
    }

    /// What is wrong, without the name of a file.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unfit { found, .. } => found.clone(),
            Self::Input { source, .. } => format!("cannot read it: {source}"),
            other => other.to_string(),
        }
    }

    /// Whether whoever reads our output stopped reading.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Read a file that was named; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    bytes.map_err(|source| CliError::Input { path: path.to_owned(), source })
}
