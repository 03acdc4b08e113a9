//! What a setting's value has to be.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;

/// Permission bits, in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u16);

/// A demand on a value. Closed: what a profile can say is listed here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// This text; for `true` and `false`, any spelling that Go takes for it.
    Equals(String),
    /// Any other text.
    NotEquals(String),
    /// One of these, whatever the case of letters.
    OneOf(Vec<String>),
    /// None of these.
    NoneOf(Vec<String>),
    /// Set, to anything but nothing.
    Present,
    /// Not set.
    Absent,
    /// A number, or a span of time in seconds, that is not more.
    AtMost(i64),
    /// A number or span of time that is not less.
    AtLeast(i64),
    /// Both bounds together.
    Between(i64, i64),
    /// A number or span of time other than 0.
    NotZero,
    /// A list without anything but these.
    SubsetOf(Vec<String>),
    /// A list with all of these.
    Includes(Vec<String>),
    /// A list with none of these.
    Excludes(Vec<String>),
    /// A umask with at least these bits.
    MaskAtLeast(Mode),
    /// A mode with at most these bits.
    ModeAtMost(Mode),
    /// sshd's `start:rate:full`, none of them more.
    StartupsAtMost(i64, i64, i64),
}

/// A value that was found: its texts, one for a scalar.
pub(crate) type Texts = [String];

impl Expect {
    /// Whether a value that is there meets the demand.
    pub(crate) fn holds(&self, found: &Texts) -> bool {
        let scalar = || match found {
            [one] => Some(one.trim()),
            _ => None,
        };
        let number = || scalar().and_then(number);
        match self {
            Self::Equals(wanted) => scalar().is_some_and(|found| same(found, wanted)),
            Self::NotEquals(wanted) => scalar().is_some_and(|found| !same(found, wanted)),
            Self::OneOf(wanted) => {
                scalar().is_some_and(|found| wanted.iter().any(|wanted| found.eq_ignore_ascii_case(wanted)))
            }
            Self::NoneOf(wanted) => {
                scalar().is_some_and(|found| !wanted.iter().any(|wanted| found.eq_ignore_ascii_case(wanted)))
            }
            Self::Present => found.iter().any(|text| !text.trim().is_empty()),
            Self::Absent => false,
            Self::AtMost(most) => number().is_some_and(|found| found <= *most),
            Self::AtLeast(least) => number().is_some_and(|found| found >= *least),
            Self::Between(least, most) => number().is_some_and(|found| (*least..=*most).contains(&found)),
            Self::NotZero => number().is_some_and(|found| found != 0),
            Self::SubsetOf(allowed) => {
                let list = list(found);
                !list.is_empty() && list.iter().all(|text| contains(allowed, text))
            }
            Self::Includes(wanted) => {
                let list = list(found);
                wanted.iter().all(|wanted| list.iter().any(|text| text.eq_ignore_ascii_case(wanted)))
            }
            // sshd's `+` and `^` add to its defaults.
            Self::Excludes(refused) => {
                list(found).iter().all(|text| !contains(refused, text.trim_start_matches(['+', '^'])))
            }
            Self::MaskAtLeast(Mode(bits)) => {
                scalar().and_then(octal).is_some_and(|mask| mask & bits == *bits)
            }
            Self::ModeAtMost(Mode(bits)) => scalar().and_then(octal).is_some_and(|mode| mode & !bits == 0),
            Self::StartupsAtMost(a, b, c) => scalar().is_some_and(|found| {
                let parts: Option<Vec<i64>> = found.split(':').map(|part| part.parse().ok()).collect();
                // One number alone is start and full, with a rate that refuses all.
                match parts.as_deref() {
                    Some([start, rate, full]) => start <= a && rate <= b && full <= c,
                    Some([start]) => start <= a && start <= c,
                    _ => false,
                }
            }),
        }
    }

    /// Whether not being set meets the demand by itself.
    pub(crate) fn wants_absence(&self) -> bool {
        *self == Self::Absent
    }
}

fn same(found: &str, wanted: &str) -> bool {
    match wanted {
        "true" => matches!(found, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        "false" => matches!(found, "0" | "f" | "F" | "false" | "FALSE" | "False"),
        _ => found == wanted,
    }
}

fn contains(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item.eq_ignore_ascii_case(text))
}

/// The elements: of a list, or of a text between commas or white space.
fn list(found: &Texts) -> Vec<&str> {
    let between = |c: char| c == ',' || c.is_whitespace();
    found.iter().flat_map(|text| text.split(between)).filter(|text| !text.is_empty()).collect()
}

/// A whole number, with dconf's type or without, or a span of time like `1m30s` or `4h0m0s` in seconds.
pub(crate) fn number(text: &str) -> Option<i64> {
    let text = text.strip_prefix("uint32 ").unwrap_or(text);
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (amount, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let seconds = match unit {
            "ms" | "us" | "ns" => 0,
            "s" | "S" | "sec" => 1,
            "m" | "M" | "min" => 60,
            "h" | "H" => 3600,
            "d" | "D" => 86_400,
            "w" | "W" => 604_800,
            _ => return None,
        };
        total = total.checked_add(amount.parse::<i64>().ok()?.checked_mul(seconds)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn octal(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let error = || D::Error::custom(format!("{text:?} is not a mode: octal digits such as 0600"));
        octal(&text).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(text) => write!(f, "{text}"),
            Self::NotEquals(text) => write!(f, "not {text}"),
            Self::OneOf(list) => write!(f, "one of {}", list.join(", ")),
            Self::NoneOf(list) => write!(f, "none of {}", list.join(", ")),
            Self::Present => f.write_str("set"),
            Self::Absent => f.write_str("not set"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::NotZero => f.write_str("not 0"),
            Self::SubsetOf(list) => write!(f, "only {}", list.join(", ")),
            Self::Includes(list) => write!(f, "with {}", list.join(", ")),
            Self::Excludes(list) => write!(f, "without {}", list.join(", ")),
            Self::MaskAtLeast(mode) => write!(f, "mask {mode} or stricter"),
            Self::ModeAtMost(mode) => write!(f, "mode {mode} or stricter"),
            Self::StartupsAtMost(a, b, c) => write!(f, "at most {a}:{b}:{c}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expect: &Expect, found: &str) -> bool {
        expect.holds(&[found.to_owned()])
    }

    #[test]
    fn numbers_and_spans_of_time() {
        for (text, expected) in [
            ("10", Some(10)),
            ("uint32 900", Some(900)),
            ("-1", Some(-1)),
            ("1m", Some(60)),
            ("1m30s", Some(90)),
            ("4h0m0s", Some(14_400)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("5x", None),
            ("99999999999999999999", None),
            ("9223372036854775807w", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn each_demand_takes_and_refuses() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (expect, good, bad) in [
            (Expect::Equals("false".into()), "0", "true"),
            (Expect::Equals("x".into()), "x", "X"),
            (Expect::NotEquals("AlwaysAllow".into()), "Webhook", "AlwaysAllow"),
            (Expect::OneOf(list(&["no"])), "No", "yes"),
            (Expect::NoneOf(list(&["yes"])), "no", "YES"),
            (Expect::Present, "x", " "),
            (Expect::AtMost(4), "4", "5"),
            (Expect::AtLeast(14), "14", "13"),
            (Expect::Between(1, 60), "1m", "0"),
            (Expect::NotZero, "4h0m0s", "0s"),
            (Expect::SubsetOf(list(&["a", "b"])), "a,b", "a,c"),
            (Expect::Includes(list(&["ro"])), "rw,ro", "rw"),
            (Expect::Excludes(list(&["cbc"])), "ctr gcm", "ctr,cbc"),
            (Expect::Excludes(list(&["cbc"])), "-cbc", "+cbc"),
            (Expect::MaskAtLeast(Mode(0o027)), "077", "022"),
            (Expect::ModeAtMost(Mode(0o640)), "0600", "0644"),
            (Expect::StartupsAtMost(10, 30, 60), "10:30:60", "10:30:100"),
        ] {
            assert!(holds(&expect, good), "{expect}: {good}");
            assert!(!holds(&expect, bad), "{expect}: {bad}");
        }
        assert!(!holds(&Expect::SubsetOf(list(&["a"])), ""), "an empty list is not a choice");
        assert!(!Expect::Equals("a".into()).holds(&list(&["a", "a"])), "a list is not a scalar");
    }
}
