//! Why there is no endorsement.

use super::item::{Item, Vendor};
use crate::clock::rfc3339;
use sealpod_verifier::UnixTime;

/// Why something was not fetched. Whoever waited for the same thing gets the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The settings name no address.
    #[error("{item}: no address of {} is set; set it in [endorsements] of config.toml, or `sealpod-kbs endorsements import` it", item.vendor())]
    Off {
        /// What was wanted.
        item: Box<Item>,
    },
    /// This minute's chips are used up.
    #[error("at most {expected} unknown chips are asked for in a minute; try again in the next")]
    TooManyChips {
        /// The setting.
        expected: u64,
    },
    /// One address' chips of this minute are used up.
    #[error(
        "at most {expected} unknown chips of one address are asked for in a minute; try again in the next"
    )]
    TooManyOfSource {
        /// The setting.
        expected: u64,
    },
    /// The vendor is not asked for a while.
    #[error("{vendor} is not asked before {}", rfc3339(*until))]
    Paused {
        /// Whom.
        vendor: Vendor,
        /// From when on it is.
        until: UnixTime,
    },
    /// This failed a moment ago.
    #[error("not asked for again before {}, because: {why}", rfc3339(*until))]
    Failed {
        /// From when on it is.
        until: UnixTime,
        /// What it was.
        why: Box<FetchError>,
    },
    /// No connection.
    #[error("cannot connect to {host}: {found}")]
    Connect {
        /// To whom.
        host: String,
        /// The operating system's or TLS library's answer.
        found: String,
    },
    /// The whole answer took too long.
    #[error("expected the whole answer of {host} within {seconds} s")]
    Timeout {
        /// Whose.
        host: String,
        /// The setting.
        seconds: u64,
    },
    /// A redirection. Followed, it could lead anywhere, also into the broker's own network.
    #[error(
        "expected an answer, found redirection {status} to {location:?}; set the address that answers itself"
    )]
    Redirect {
        /// HTTP status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// Asked too often.
    #[error("expected status 200, found 429: asked too often, again in {seconds} s")]
    TooOften {
        /// Retry-After, or a default, within bounds.
        seconds: u64,
    },
    /// Another status.
    #[error("expected status 200, found {found}")]
    Status {
        /// HTTP status.
        found: u16,
    },
    /// Larger than anything of its kind.
    #[error("expected at most {expected} bytes, found more")]
    TooLarge {
        /// The budget.
        expected: usize,
    },
    /// The answer broke off, or is not HTTP.
    #[error("expected a whole answer: {found}")]
    Broken {
        /// The HTTP library's answer.
        found: String,
    },
    /// It is not what was asked for.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It could not be kept.
    #[error("cannot keep it: {0}")]
    Keep(String),
    /// The fetching task ended without an answer.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl FetchError {
    /// Whether the vendor, not the item, is at fault, so that others would fail, too.
    pub(super) fn is_vendors(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Redirect { .. } | Self::Broken { .. } => true,
            Self::Status { found } => *found >= 500,
            _ => false,
        }
    }

    /// A short name, for the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off { .. } => "endorsement-off",
            Self::TooManyChips { .. } | Self::TooManyOfSource { .. } => "endorsement-budget",
            Self::Paused { .. } | Self::Failed { .. } | Self::TooOften { .. } => "endorsement-pause",
            Self::Connect { .. } | Self::Timeout { .. } | Self::Interrupted => "endorsement-connection",
            Self::Redirect { .. } | Self::Status { .. } => "endorsement-status",
            Self::TooLarge { .. } => "endorsement-size",
            Self::Broken { .. } => "endorsement-transfer",
            Self::Content(_) => "endorsement-content",
            Self::Keep(_) => "endorsement-cache",
        }
    }
}

/// Why bytes are not the endorsement that they should be. What its signatures are worth is the verifier's to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not of that kind at all.
    #[error("expected {expected}, found {found}")]
    Syntax {
        /// The kind.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// Of that kind, but another one.
    #[error("expected {what} {expected}, found {found}")]
    Other {
        /// In what they differ.
        what: &'static str,
        /// Asked for.
        expected: String,
        /// Found.
        found: String,
    },
    /// Not valid now.
    #[error("expected it to be valid at {}, found {} to {}", rfc3339(*now), rfc3339(*from), rfc3339(*to))]
    Validity {
        /// The time.
        now: UnixTime,
        /// Valid from here.
        from: UnixTime,
        /// Valid to here.
        to: UnixTime,
    },
    /// Older than what is held: somebody withholds what is newer.
    #[error("expected it to be of {} or later, like the one held, found {}", rfc3339(*expected), rfc3339(*found))]
    Older {
        /// When the one held was issued.
        expected: UnixTime,
        /// When this one was.
        found: UnixTime,
    },
}

impl ContentError {
    /// What would have been taken, and what there was.
    pub fn sides(&self) -> (String, String) {
        match self {
            Self::Syntax { expected, found } => ((*expected).to_owned(), found.clone()),
            Self::Other { what, expected, found } => (format!("{what} {expected}"), found.clone()),
            Self::Validity { now, from, to } => {
                (format!("valid at {}", rfc3339(*now)), format!("{} to {}", rfc3339(*from), rfc3339(*to)))
            }
            Self::Older { expected, found } => (format!("{} or later", rfc3339(*expected)), rfc3339(*found)),
        }
    }
}
