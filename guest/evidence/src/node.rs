//! What an ordinary Linux node's agent and the broker's evaluator must agree on.
//!
//! One *round* per challenge: the agent mounts the node's file systems read-only under a path that holds the challenge's nonce
//! ([`round`]), reads the files that the broker asks for ([`request`]) so that the kernel measures them there, sends the content
//! of those whose rules need it ([`contents`]), and states what no file holds ([`statement`]). The statement's digest is extended
//! into PCR 13 before the quote.
//!
//! Everything here is *well formed* and no more. That a statement was measured, that a content has the hash of its IMA entry, and
//! that entries are this round's is for whoever appraises them.

pub mod contents;
pub mod evidence;
pub mod path;
pub mod request;
pub mod round;
pub mod statement;

pub use evidence::NodeEvidence;
pub use path::{NodePath, PathPattern};
pub use round::RoundNonce;
pub use statement::AgentStatement;
