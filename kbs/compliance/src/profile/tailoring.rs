//! What an organisation changes about a profile, and why.

use crate::yaml::{self, YamlError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Longest reason or value in characters.
const MAX_TEXT: usize = 1000;

/// Changes to a profile. Recorded in each report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tailoring {
    /// Optional items that are evaluated too, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub include: BTreeMap<String, String>,
    /// Items that are left out, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exclude: BTreeMap<String, String>,
    /// `item.param`, and its value. For a list, its elements between commas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Seconds for which evidence counts as current; an hour if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
}

/// Why a tailoring is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TailoringError {
    /// Not YAML that is taken here.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// Not a tailoring.
    #[error("line {line}: {message}")]
    Decode {
        /// Where.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An exclusion or inclusion without a reason, or a text that is too long.
    #[error("{item}: a reason is 1 to {MAX_TEXT} characters")]
    Reason {
        /// The item.
        item: String,
    },
    /// Not `item.param=value`.
    #[error("{found:?} is not item.param=value")]
    Set {
        /// What was found.
        found: String,
    },
    /// The profile has no such item, or the item no such parameter.
    #[error("{what} {found:?} is not in profile {profile}{}", .suggestion.as_ref().map(|s| format!("; is it {s:?}?")).unwrap_or_default())]
    NotThere {
        /// `item` or `parameter`.
        what: &'static str,
        /// What was named.
        found: String,
        /// The profile.
        profile: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
}

impl Tailoring {
    /// Seconds for which evidence counts as current, if nothing else is said.
    pub const DEFAULT_MAX_AGE: u64 = 3600;

    /// Reads a YAML document.
    ///
    /// # Errors
    ///
    /// [`TailoringError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, TailoringError> {
        let node = yaml::parse(bytes)?;
        let tailoring: Self = yaml::decode(&node)
            .map_err(|error| TailoringError::Decode { line: error.line, message: error.message })?;
        tailoring.check()?;
        Ok(tailoring)
    }

    /// Adds one `item.param=value`.
    ///
    /// # Errors
    ///
    /// [`TailoringError::Set`]
    pub fn set_from(&mut self, text: &str) -> Result<(), TailoringError> {
        let error = || TailoringError::Set { found: text.chars().take(128).collect() };
        let (name, value) = text.split_once('=').ok_or_else(error)?;
        if !name.contains('.') || text.len() > MAX_TEXT {
            return Err(error());
        }
        self.set.insert(name.trim().to_owned(), value.trim().to_owned());
        Ok(())
    }

    fn check(&self) -> Result<(), TailoringError> {
        for (item, reason) in self.include.iter().chain(&self.exclude) {
            if reason.trim().is_empty() || reason.chars().count() > MAX_TEXT {
                return Err(TailoringError::Reason { item: item.clone() });
            }
        }
        match self.set.iter().find(|(name, value)| !name.contains('.') || value.len() > MAX_TEXT) {
            Some((name, _)) => Err(TailoringError::Set { found: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tailoring_is_read_and_each_mistake_named() {
        let text = "exclude:\n  4.2.13: pods are capped elsewhere\nset:\n  4.2.18.max: \"3\"\nmax-age: 600\n";
        let tailoring = Tailoring::parse(text.as_bytes()).unwrap();
        assert_eq!(tailoring.max_age, Some(600));
        assert_eq!(tailoring.set["4.2.18.max"], "3");
        let error = |text: &str| Tailoring::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error("exclude: {4.1.1: \"\"}"), TailoringError::Reason { item: "4.1.1".into() });
        assert_eq!(error("set: {max: 3}"), TailoringError::Set { found: "max".into() });
        assert!(matches!(
            error("exclude:\n  4.1.1: no\nexlude: {}\n"),
            TailoringError::Decode { line: 3, .. }
        ));
        assert!(matches!(error("exclude: *a"), TailoringError::Yaml(_)));
        let mut tailoring = Tailoring::default();
        assert!(tailoring.set_from("4.2.18.max = 3").is_ok());
        assert!(tailoring.set_from("4.2.18.max").is_err());
    }
}
