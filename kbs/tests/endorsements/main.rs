//! Fetching, keeping and importing endorsements, against a vendor's service on loopback that does as it is told.

mod command_line;
mod fake;
mod faults;
mod flow;
mod intel;
#[path = "../rcar/support.rs"]
#[allow(dead_code, reason = "the broker and client of the protocol's tests, of which this needs a part")]
mod support;
mod tls;
