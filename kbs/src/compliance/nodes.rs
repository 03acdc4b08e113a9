//! Enrolled nodes.

use super::{ComplianceError, cut};
use crate::storage::{Storage, Table};
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};

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
    let node = Node { version: VERSION, name: node.to_owned(), ak_name, enrolled_at: now };
    storage.put(Table::Nodes, &node.name, &serde_json::to_vec(&node).unwrap_or_default())?;
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
    Ok(storage.delete(Table::Nodes, name(node)?)?)
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
    fn names_and_keys_are_checked() {
        for bad in ["", "a/b", "..", ".a", "a b", &"a".repeat(65)] {
            assert!(matches!(name(bad), Err(ComplianceError::Name { .. })), "{bad}");
        }
        for bad in ["", "zz", &key("1"), &format!("0004{}", "11".repeat(32)), &format!("{}00", key("11"))] {
            assert!(matches!(key_name(bad), Err(ComplianceError::KeyName { .. })), "{bad}");
        }
    }
}
