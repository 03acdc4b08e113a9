//! What rules are made of.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Where a rule looks: paths and patterns, or `@name` for what the platform calls so. All that are there count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(pub Vec<String>);

/// What it means that a file is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// The item fails.
    #[default]
    Fail,
    /// Nothing to object to.
    Pass,
    /// The item says nothing about this node.
    NotApplicable,
}

/// How a file writes its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `KEY value`, as in login.defs.
    Words,
    /// `key = value`, in sections or without.
    Assignments,
}

/// A look at the live packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallCheck {
    /// Loopback is allowed in and out, and loopback addresses are refused elsewhere.
    UfwLoopback,
    /// Outgoing traffic has a rule, or a default that the owner chose.
    UfwOutgoing,
    /// Each open port has a rule.
    UfwOpenPorts,
    /// What no rule allows is denied.
    UfwDefaultDeny,
    /// No iptables rules beside nftables.
    IptablesEmpty,
    /// A table exists.
    NftTable,
    /// Base chains for input, forward and output exist.
    NftBaseChains,
    /// Loopback is accepted, and its addresses dropped elsewhere.
    NftLoopback,
    /// Established connections are accepted.
    NftEstablished,
    /// Base chains drop by default.
    NftDefaultDeny,
    /// IPv4: the built-in chains drop or reject by default.
    Ipv4DefaultDeny,
    /// IPv4 loopback.
    Ipv4Loopback,
    /// IPv4 established connections.
    Ipv4Established,
    /// IPv4: each open port has a rule.
    Ipv4OpenPorts,
    /// IPv6: the built-in chains drop or reject by default.
    Ipv6DefaultDeny,
    /// IPv6 loopback.
    Ipv6Loopback,
    /// IPv6 established connections.
    Ipv6Established,
    /// IPv6: each open port has a rule.
    Ipv6OpenPorts,
}

/// A walk over the file systems, as the agent found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanCheck {
    /// Nothing is writable by all, but for directories with the sticky bit.
    WorldWritable,
    /// Everything belongs to a user and a group that exist.
    Unowned,
    /// Logs are closed.
    OpenLogs,
}

/// State of AppArmor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApparmorMode {
    /// On; each profile enforces or complains, nothing runs unconfined that has a profile.
    EnforceOrComplain,
    /// On; each profile enforces.
    Enforce,
}

/// Type of a PAM line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PamKind {
    /// `auth`
    Auth,
    /// `account`
    Account,
    /// `password`
    Password,
    /// `session`
    Session,
}

impl PamKind {
    /// As the file has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Password => "password",
            Self::Session => "session",
        }
    }
}

/// JSON pointers of one claim under the names that it has for different platforms; the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointers(pub Vec<String>);

/// A text, or a list of texts that is not empty.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMore;
    impl<'de> serde::de::Visitor<'de> for OneOrMore {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a list of texts")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
    let texts = deserializer.deserialize_any(OneOrMore)?;
    if texts.is_empty() { Err(D::Error::custom("an empty list")) } else { Ok(texts) }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let paths = one_or_more(deserializer)?;
        for path in paths.iter().filter(|path| !path.starts_with('@')) {
            path.parse::<sealpod_evidence::node::PathPattern>().map_err(D::Error::custom)?;
        }
        Ok(Self(paths))
    }
}

impl<'de> Deserialize<'de> for Pointers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pointers = one_or_more(deserializer)?;
        match pointers.iter().find(|pointer| !pointer.starts_with('/')) {
            Some(other) => {
                Err(D::Error::custom(format!("{other:?} is not a JSON pointer such as /ima/entries")))
            }
            None => Ok(Self(pointers)),
        }
    }
}
