//! PID 1 and agent of a sealed pod: the Attester (RFC 9334). The host is the attacker.
#![deny(unsafe_code)]

pub mod agent;
pub mod attester;
pub mod block;
pub mod bundle;
pub mod crun;
pub mod descriptors;
pub mod error;
pub mod files;
pub mod hardening;
pub mod ima_policy;
pub mod image;
pub mod init;
pub mod initdata;
pub mod link;
pub mod loopback;
pub mod machine;
pub mod memory;
pub mod modules;
pub mod node;
pub mod pod;
pub mod pod_api;
pub mod power;
pub mod processor;
pub mod rcar;
pub mod reaper;
pub mod seccomp;
pub mod secret;
pub mod tpm;
pub mod tsm;
pub mod workload;

pub use agent::boot;
pub use node::cli::main as node_main;
