//! The key broker: releases a secret only when combined evidence verifies and the owner's policy says yes.
//!
//! A request goes through these modules in order: [`server`] (sockets, TLS, budgets), [`http`] (routes and answers),
//! [`cookie`] (the stateless challenge), `sealpod_verifier` (appraisal), [`ear`] and [`jwt`] (the token), [`release`] (the
//! owner's policy), [`vault`] (the secret), [`jwe`] (encryption to the guest's key). [`endorsements`] fetches, before
//! an appraisal, what a guest's host left out. [`audit`] has a line of each decision, and of a flood of refusals their number.
//!
//! [`compliance`] is beside that way: nodes, their rounds, and what profiles say of them.
//!
//! What is kept lives behind [`storage::Storage`]. The command line in [`cli`] works on the same directory as the server.
#![forbid(unsafe_code)]

pub mod admin;
pub mod archive;
pub mod audit;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod compliance;
pub mod config;
pub mod cookie;
pub mod ear;
pub mod endorse;
pub mod endorsements;
pub mod http;
pub mod init;
pub mod inspect;
pub mod jwe;
pub mod jwt;
pub mod keys;
pub mod layout;
pub mod make_credential;
pub mod packed;
pub mod release;
pub mod secret;
pub mod server;
pub mod sessions;
pub mod storage;
pub mod vault;

mod crypto;
mod der;
