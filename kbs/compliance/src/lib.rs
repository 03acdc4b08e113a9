//! Compliance from attested state: benchmark profiles, their evaluation over appraised evidence, and reports.
//!
//! Pure: evidence, profile, tailoring and time go in, findings come out. Nothing here reads a file, a clock or a socket.
//!
//! 1. A verifier replays a node's logs; [`Appraised::node`] takes them with the agent's statement and contents.
//! 2. [`profile::parse`] reads a profile and tailors it; [`profile::lint`] explains what is wrong with one.
//! 3. [`evaluate`] gives each item a finding: pass, fail, not applicable or unknown, with its proof. Unknown is never pass.
//! 4. [`report`] writes them down for people and programs.
//!
//! What a finding does not say: that nothing was otherwise between two rounds (the log tells that), or that a running program has
//! read the file as it is now.
#![forbid(unsafe_code)]

pub use appraised::{Appraised, NodeEvidence, ReplayedLogs, SubjectKind};
pub use eval::{evaluate, follow_up};
pub use finding::{Finding, Proof, Reason, Root, Severity, State};
pub use profile::{Profile, Tailoring};
pub use requests::requests;

pub mod appraised;
pub mod expect;
pub mod finding;
pub mod profile;
pub mod report;
pub mod rule;
pub mod yaml;

mod eval;
mod requests;
