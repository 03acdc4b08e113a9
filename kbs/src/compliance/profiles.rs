//! Profiles by name or file, tailored.

use super::ComplianceError;
use sealpod_compliance::profile::{self, BUILTIN, Mistake, builtin};
use sealpod_compliance::{Profile, Tailoring};

/// The text of a profile that is shipped.
///
/// # Errors
///
/// [`ComplianceError::NoProfile`]
pub fn shipped(id: &str) -> Result<&'static str, ComplianceError> {
    let known = || BUILTIN.iter().map(|(name, _)| *name).collect();
    builtin(id).ok_or_else(|| ComplianceError::NoProfile { found: super::cut(id), known: known() })
}

/// A profile from its text. `name` is for errors.
///
/// # Errors
///
/// [`ComplianceError::Profile`] with every mistake.
pub fn read(name: &str, text: &[u8], tailoring: &Tailoring) -> Result<Profile, ComplianceError> {
    profile::parse(text, &text_of, tailoring).map_err(|mistakes| {
        let message = mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n");
        ComplianceError::Profile { name: super::cut(name), message }
    })
}

/// Mistakes in a profile.
pub fn lint(text: &[u8]) -> Vec<Mistake> {
    profile::lint(text, &text_of)
}

/// What a profile extends is one that is shipped.
fn text_of(id: &str) -> Option<String> {
    builtin(id).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_sound() {
        for (id, text) in BUILTIN {
            assert_eq!(read(id, text.as_bytes(), &Tailoring::default()).unwrap().id, id);
            assert!(lint(text.as_bytes()).is_empty());
        }
        assert!(matches!(shipped("cis-windows"), Err(ComplianceError::NoProfile { .. })));
    }
}
