//! Guests under Azure's paravisor: each test starts from valid evidence, spoils one thing, and expects the one refusal that names
//! it; and evidence of real machines, checked piece by piece.

mod captures;
mod parts;
mod snp;
mod tdx;
mod vectors;
mod world;
