//! An ordinary Linux node with a TPM: the same evidence, from a service instead of from PID 1.
//!
//! One round answers one challenge of the broker: the files that it asks for are read through fresh read-only overlays, so that
//! the kernel measures them as they are now ([`round`]); what no file holds is stated ([`facts`]); the statement is extended into
//! PCR 13, and the TPM quotes ([`collect`]).
//!
//! Evidence goes by hand, or to a broker over TLS ([`broker`]), then from time to time ([`schedule`]) by a service ([`install`]).
//!
//! A round runs in a process and a mount namespace of its own: whatever ends it, its mounts go with it.

pub mod broker;
pub mod check;
pub mod cli;
pub mod collect;
pub mod error;
pub mod facts;
pub mod files;
pub mod install;
pub mod mountinfo;
pub mod policy;
pub mod round;
pub mod schedule;
pub mod statements;

pub use error::NodeError;
