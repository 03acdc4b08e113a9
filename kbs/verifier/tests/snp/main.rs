//! Steps 1 to 9 and 16: each test starts from valid evidence, spoils one thing, and expects the one refusal
//! that names it.

mod chain;
mod challenge;
mod launch;
mod leaf;
mod parts;
mod products;
mod report;
mod result;
mod revocation;
mod svsm;
mod world;
