//! The whole protocol over TLS against a broker on a port of its own: challenge, evidence, secret, and what is refused on the way.

mod attest;
mod azure;
mod budgets;
mod nodes;
mod owner;
mod release;
mod support;
