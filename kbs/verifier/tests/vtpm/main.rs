//! Steps 10 to 15: each test starts from valid evidence, spoils one thing, and expects the one refusal that names it.

mod boot;
mod containers;
mod ima;
mod keys;
mod long;
mod quote;
mod signed;
mod support;
mod workload;
