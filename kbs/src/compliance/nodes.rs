//! Enrolled nodes.

use super::{ComplianceError, cut, online, profiles};
use crate::storage::{Storage, Table};
use sealpod_compliance::{Profile, Tailoring};
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The only version of the record.
const VERSION: u32 = 1;
/// A name with SHA-256: two bytes of algorithm (TPM 2.0 Part 2, `TPM_ALG_SHA256`) and the digest.
const KEY_NAME_LEN: usize = 34;
/// Longest name of a node.
const MAX_NAME: usize = 64;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Of the record.
    pub version: u32,
    /// The owner's name for it.
    pub name: String,
    /// Name of its attestation key, hex.
    pub ak_name: String,
    /// When it was enrolled.
    pub enrolled_at: UnixTime,
    /// What each round that it makes online is held against. Without any it answers challenges by hand only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Assigned>,
    /// Whether a round with a failing item holds it.
    #[serde(default)]
    pub hold: bool,
}

/// A profile of a node's. Its text is kept where it is not one that is shipped, so that the broker needs no other file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// Name of one that is shipped, or of the file that it was.
    pub name: String,
    /// The file's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the owner changed about it.
    #[serde(default)]
    pub tailoring: Tailoring,
}

impl Assigned {
    /// The profile, tailored.
    ///
    /// # Errors
    ///
    /// [`ComplianceError::NoProfile`] and [`ComplianceError::Profile`].
    pub fn profile(&self) -> Result<Profile, ComplianceError> {
        let text = match &self.text {
            Some(text) => text.as_str(),
            None => profiles::shipped(&self.name)?,
        };
        profiles::read(&self.name, text.as_bytes(), &self.tailoring)
    }
}

/// A node's name, checked: it becomes part of file names.
///
/// # Errors
///
/// [`ComplianceError::Name`]
pub fn name(text: &str) -> Result<&str, ComplianceError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let sound = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.');
    if sound { Ok(text) } else { Err(ComplianceError::Name { found: cut(text) }) }
}

/// The name of an attestation key from its hex.
///
/// # Errors
///
/// [`ComplianceError::KeyName`]
pub fn key_name(text: &str) -> Result<Vec<u8>, ComplianceError> {
    let bytes = hex::decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_NAME_LEN);
    bytes
        .filter(|bytes| bytes.starts_with(&[0x00, 0x0b]))
        .ok_or_else(|| ComplianceError::KeyName { found: cut(text) })
}

/// Enrol a node: from now on evidence of that key, and of no other, is its own. Doing so again changes nothing.
///
/// Whose key it is rests on whoever read it on the node; a host that owns the machine can show any key.
///
/// # Errors
///
/// [`ComplianceError::OtherKey`] for a node that has another key, [`ComplianceError::KeyTaken`] for a key that another node has.
pub fn enrol(
    storage: &dyn Storage,
    node: &str,
    ak_name: &str,
    now: UnixTime,
) -> Result<Node, ComplianceError> {
    let (node, ak_name) = (name(node)?, hex::encode(key_name(ak_name)?));
    for known in list(storage)? {
        if known.name == node && known.ak_name != ak_name {
            return Err(ComplianceError::OtherKey { name: known.name, enrolled: known.ak_name });
        }
        if known.name == node {
            return Ok(known);
        }
        if known.ak_name == ak_name {
            return Err(ComplianceError::KeyTaken { other: known.name });
        }
    }
    let (name, profiles) = (node.to_owned(), Vec::new());
    let node = Node { version: VERSION, name, ak_name, enrolled_at: now, profiles, hold: false };
    write(storage, &node)?;
    Ok(node)
}

/// Set what a node's rounds are held against from now on, and whether a failing item holds it. What was set before is replaced.
///
/// # Errors
///
/// [`ComplianceError::NotEnrolled`], and [`ComplianceError::Profile`] for a profile that is not sound or named twice.
pub fn assign(
    storage: &dyn Storage,
    node: &str,
    profiles: Vec<Assigned>,
    hold: bool,
) -> Result<Node, ComplianceError> {
    let mut ids = BTreeSet::new();
    for assigned in &profiles {
        let id = assigned.profile()?.id;
        if !ids.insert(id.clone()) {
            return Err(ComplianceError::Profile { name: id, message: "named twice".to_owned() });
        }
    }
    let node = Node { profiles, hold, ..get(storage, node)? };
    write(storage, &node)?;
    Ok(node)
}

/// A node.
///
/// # Errors
///
/// [`ComplianceError::NotEnrolled`]
pub fn get(storage: &dyn Storage, node: &str) -> Result<Node, ComplianceError> {
    let name = name(node)?;
    let bytes = storage.get(Table::Nodes, name)?;
    let bytes = bytes.ok_or_else(|| ComplianceError::NotEnrolled { name: name.to_owned() })?;
    read(name, &bytes)
}

/// All nodes by name.
///
/// # Errors
///
/// The store's, and records that do not parse.
pub fn list(storage: &dyn Storage) -> Result<Vec<Node>, ComplianceError> {
    let mut nodes = Vec::new();
    for (name, _) in storage.list(Table::Nodes)? {
        if let Some(bytes) = storage.get(Table::Nodes, &name)? {
            nodes.push(read(&name, &bytes)?);
        }
    }
    Ok(nodes)
}

/// Forget a node. Its history stays. Whether there was one.
///
/// # Errors
///
/// The store's.
pub fn remove(storage: &dyn Storage, node: &str) -> Result<bool, ComplianceError> {
    let found = storage.delete(Table::Nodes, name(node)?)?;
    online::start_over(storage, node)?;
    Ok(found)
}

fn write(storage: &dyn Storage, node: &Node) -> Result<(), ComplianceError> {
    let refused = |error: serde_json::Error| ComplianceError::Record {
        name: format!("nodes/{}", node.name),
        found: error.to_string(),
    };
    let bytes = serde_json::to_vec(node).map_err(refused)?;
    Ok(storage.put(Table::Nodes, &node.name, &bytes)?)
}

fn read(name: &str, bytes: &[u8]) -> Result<Node, ComplianceError> {
    let refused = |found: String| ComplianceError::Record { name: format!("nodes/{name}"), found };
    let node: Node = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
    if node.version == VERSION && node.name == name {
        Ok(node)
    } else {
        Err(refused("another version or name".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    fn key(fill: &str) -> String {
        format!("000b{}", fill.repeat(32))
    }

    #[test]
    fn a_node_has_one_key_and_a_key_one_node() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::create(&dir.path().join("store")).unwrap();
        assert!(matches!(get(&storage, "worker-1"), Err(ComplianceError::NotEnrolled { .. })));
        let node = enrol(&storage, "worker-1", &key("11"), 5).unwrap();
        assert_eq!(get(&storage, "worker-1").unwrap(), node);
        assert_eq!(enrol(&storage, "worker-1", &key("11"), 9).unwrap(), node, "again");
        assert!(matches!(enrol(&storage, "worker-1", &key("22"), 9), Err(ComplianceError::OtherKey { .. })));
        let taken = enrol(&storage, "worker-2", &key("11"), 9).unwrap_err();
        assert!(matches!(taken, ComplianceError::KeyTaken { other } if other == "worker-1"));
        assert!(remove(&storage, "worker-1").unwrap());
        assert!(enrol(&storage, "worker-2", &key("11"), 9).is_ok());
    }

    #[test]
    fn profiles_are_assigned_after_they_were_read() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::create(&dir.path().join("store")).unwrap();
        let named = |name: &str, text: Option<&str>| Assigned {
            name: name.to_owned(),
            text: text.map(str::to_owned),
            tailoring: Tailoring::default(),
        };
        let baseline = || named("pod-baseline", None);
        let missing = assign(&storage, "worker-1", vec![baseline()], true);
        assert!(matches!(missing, Err(ComplianceError::NotEnrolled { .. })));
        enrol(&storage, "worker-1", &key("11"), 5).unwrap();
        let node = assign(&storage, "worker-1", vec![baseline()], true).unwrap();
        assert!(node.hold && get(&storage, "worker-1").unwrap() == node);
        let unknown = assign(&storage, "worker-1", vec![named("none", None)], false);
        assert!(matches!(unknown, Err(ComplianceError::NoProfile { found, .. }) if found == "none"));
        let unsound = assign(&storage, "worker-1", vec![named("ours.yaml", Some("x"))], false);
        assert!(matches!(unsound, Err(ComplianceError::Profile { name, .. }) if name == "ours.yaml"));
        let twice = assign(&storage, "worker-1", vec![baseline(), baseline()], false);
        assert!(matches!(twice, Err(ComplianceError::Profile { message, .. }) if message == "named twice"));
        assert_eq!(get(&storage, "worker-1").unwrap(), node, "a refusal changes nothing");
    }

    #[test]
    fn a_record_without_profiles_is_one_of_a_node_that_has_none() {
        let text = format!(r#"{{"version":1,"name":"w","ak_name":"{}","enrolled_at":5}}"#, key("11"));
        let node = read("w", text.as_bytes()).unwrap();
        assert!(node.profiles.is_empty() && !node.hold);
    }

    #[test]
    fn names_and_keys_are_checked() {
        for bad in ["", "a/b", "..", ".a", "a b", &"a".repeat(65)] {
            assert!(matches!(name(bad), Err(ComplianceError::Name { .. })), "{bad}");
        }
        for bad in ["", "zz", &key("1"), &format!("0004{}", "11".repeat(32)), &format!("{}00", key("11"))] {
            assert!(matches!(key_name(bad), Err(ComplianceError::KeyName { .. })), "{bad}");
        }
    }
}
