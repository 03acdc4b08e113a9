//! What each check means when it fails, and what usually causes that.

mod texts;

use sealpod_verifier::Check;

/// Two sentences about one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The check.
    pub check: Check,
    /// What a failure means.
    pub means: &'static str,
    /// What usually causes it.
    pub cause: &'static str,
}

/// The texts of a check. Every check has one: a test goes through [`Check::ALL`].
pub fn explain(check: Check) -> Explanation {
    let name = check.name();
    let found = texts::all().find(|(known, ..)| *known == name);
    let (means, cause) = found.map_or(
        ("The evidence does not meet this check.", "See docs/verification-steps.md for what it looks at."),
        |(_, means, cause)| (*means, *cause),
    );
    Explanation { check, means, cause }
}

/// The check of a name.
pub fn find(name: &str) -> Option<Check> {
    Check::ALL.iter().copied().find(|check| check.name() == name)
}

/// Names that are near a name that is none, the nearest first.
pub fn similar(name: &str) -> Vec<&'static str> {
    let name: String =
        name.chars().take(MAX_NAME).map(|c| if c == '_' || c == ' ' { '-' } else { c }).collect();
    let words: Vec<&str> = name.split('-').filter(|word| word.len() > 2).collect();
    let shares = |check: &&Check| words.iter().any(|word| check.name().contains(word));
    let mut near: Vec<(usize, &str)> =
        Check::ALL.iter().filter(shares).map(|check| (distance(&name, check.name()), check.name())).collect();
    near.sort_unstable();
    near.into_iter().take(5).map(|(_, name)| name).collect()
}

/// No check has a name as long as this.
const MAX_NAME: usize = 64;

/// How many letters have to be put in, taken out or exchanged to get from one name to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = diagonal + usize::from(letter != other);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_explained() {
        let missing: Vec<&str> = Check::ALL
            .iter()
            .map(|check| check.name())
            .filter(|name| !texts::all().any(|(known, ..)| known == name))
            .collect();
        assert!(missing.is_empty(), "no text for {missing:?}");
    }

    #[test]
    fn every_text_is_of_a_check_and_is_two_sentences() {
        for (name, means, cause) in texts::all() {
            assert!(find(name).is_some(), "{name} is no check");
            for text in [means, cause] {
                assert!(text.ends_with('.') && text.len() > 20, "{name}: {text}");
            }
        }
        let mut names: Vec<&str> = texts::all().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a check has two texts");
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbours() {
        assert!(similar("quote-sig").contains(&"quote-signature"));
        assert_eq!(similar("certificate_tbc").first(), Some(&"certificate-tcb"));
        assert_eq!(similar("quote-nonse").first(), Some(&"quote-nonce"));
        assert!(similar("").is_empty());
    }
}
