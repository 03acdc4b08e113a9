//! The bytes that Attester and Verifier must agree on.
//!
//! Parsing and bindings only: nothing in this crate reads a file, a clock or a socket, and nothing
//! checks a signature. A parsed value is *well formed*, never *true*: truth is the verifier's word.
//!
//! Every parser takes bytes from an untrusted sender: it returns a typed error or a value that used
//! every byte, never panics, and never allocates more than a small multiple of its input.
#![forbid(unsafe_code)]

pub mod azure;
pub mod binding;
pub mod bytes;
pub mod cel;
pub mod ima;
pub mod initdata;
pub mod node;
pub mod pem;
pub mod rcar;
pub mod reader;
pub mod reference_values;
pub mod snp;
pub mod tcg2;
pub mod tdx;
pub mod tpm;
pub mod workload;

mod json_text;
#[cfg(test)]
mod testing;
