//! The texts, in step order.

mod guest;
mod platform;

/// Name of the check, what a failure means, what usually causes it.
pub(super) type Text = (&'static str, &'static str, &'static str);

/// Every check's texts.
pub(super) fn all() -> impl Iterator<Item = &'static Text> {
    platform::ALL.iter().chain(guest::ALL)
}
