//! The whole system, run for real on one machine: QEMU under TCG, swtpm, Linux IMA, TLS, the broker. The one
//! simulated thing is the CPU vendor's signing key (`tests/teesim`).
#![forbid(unsafe_code)]

pub mod acts;
pub mod bench;
pub mod broker;
pub mod compliance;
pub mod http;
pub mod node;
pub mod oci_fixture;
pub mod process;
pub mod world;
