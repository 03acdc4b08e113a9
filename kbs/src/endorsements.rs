//! Endorsements of processor vendors, fetched and kept beside the verifier, which never fetches anything.
//!
//! [`need`] says what a piece of evidence lacks, [`fetch`] gets it within the bounds of [`patience`], [`content`] sees that it is
//! what was asked for, [`cache`] keeps it on disk. Nothing here decides: a wrong endorsement makes the verifier refuse.

pub use cache::Cache;
pub use error::{ContentError, FetchError};
pub use fetch::{Fetcher, OpenError};
pub use item::{Item, PckCa, Vendor};
pub use need::Need;
pub use record::Record;
pub use settings::EndorsementSettings;
pub use url::Url;

pub mod cache;
pub mod client;
pub mod content;
pub mod error;
pub mod fetch;
pub mod import;
pub mod item;
pub mod need;
pub mod patience;
pub mod record;
pub mod settings;
pub mod url;
