//! Evidence for people: what a file is, what it says, and which checks hold.
//!
//! [`recognise`] says what was given, [`gather`] puts together what belongs together, [`appraise`] runs every step that the input allows
//! with the verifier's own functions and says which it could not run, [`explain_check`] has a text for each check, [`learn`] proposes
//! Reference Values. Nothing here opens a broker's directory, fetches anything, or gives out a secret: a verdict here is for a person to
//! read.
//!
//! What the input is comes from anywhere, so everything has a budget and nothing panics on it.

mod appraise;
mod azure;
mod boot_log;
mod bundle;
mod certificates;
mod chains;
mod explain;
mod gather;
mod given;
mod ima;
mod keys;
mod learn;
mod machine;
mod outcome;
mod pcrs;
mod piece;
mod quote;
mod recognise;
mod render;
mod snp;
mod tdx;
pub(crate) mod text;
pub mod time;
mod tree;
mod uefi;

pub use appraise::{appraise, events};
pub use explain::{Explanation, explain as explain_check, find as find_check, similar as similar_checks};
pub use gather::{gather, signature_beside};
pub use given::Given;
pub use learn::{Proposal, learn};
pub use outcome::{Appraisal, Status, Step, Verdict};
pub use pcrs::parse as pcr_values;
pub use piece::{ImaForm, Kind, Pcrs, Piece, TpmQuote};
pub use recognise::{MAX_FILE, NotRecognised, recognise};
pub use render::{Mode, text as render};
pub use tree::{Node, Tone};
