//! Mistakes in a profile, in words that help to mend them.

use super::resolve;
use super::tailoring::Tailoring;
use serde::Serialize;
use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Line, from 1; 0 for the document as a whole.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "\n  help: did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl Mistake {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        let suggestion = suggestion_in(&message);
        Self { line, message, suggestion }
    }
}

/// All mistakes of a profile that stand at different items; none for one that can be evaluated.
///
/// `text_of` gives the text of a profile that this one extends.
pub fn lint(bytes: &[u8], text_of: &dyn Fn(&str) -> Option<String>) -> Vec<Mistake> {
    resolve::parse(bytes, text_of, &Tailoring::default()).err().unwrap_or_default()
}

/// serde says "unknown field `moed`, expected one of `mode`, ..."; the nearest of those is what was meant.
fn suggestion_in(message: &str) -> Option<String> {
    let rest = message.split_once("unknown ")?.1;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let found = quoted.next()?;
    nearest(found, quoted)
}

/// The candidate that is nearest, if it is near at all: half of the letters may differ.
pub(super) fn nearest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = found.chars().count().div_ceil(2);
    candidates
        .map(|candidate| (distance(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance, over the first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = (above_left + usize::from(x != y)).min(left + 1).min(above + 1);
            above_left = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("mood", "mode", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        assert_eq!(nearest("sysctll", ["sysctl", "sshd"].into_iter()), Some("sysctl".into()));
        assert_eq!(nearest("zzz", ["sysctl", "sshd"].into_iter()), None);
    }
}
