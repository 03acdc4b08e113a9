//! Intel TDX: captures of real machines, and tests that start from valid evidence, spoil one thing, and expect the one refusal
//! that names it.

mod captures;
mod chain;
mod collateral;
mod fields;
mod guest;
mod parts;
mod result;
mod tcb;
mod vectors;
mod world;
