//! One endorsement as it is kept: the bytes, whence they came, and how long they are good.

use super::content::Content;
use super::item::Item;
use crate::crypto;
use sealpod_evidence::bytes::HexArray;
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};

/// Format of a record; another one is fetched anew.
const VERSION: u32 = 1;
/// How long something is not asked for again that the server says nothing of, in seconds.
const DEFAULT_FRESH: u64 = 24 * 3600;
/// Bounds on what a server may say, in seconds: it is neither asked all the time nor never again.
const MIN_FRESH: u64 = 5 * 60;
const MAX_FRESH: u64 = 30 * 24 * 3600;

/// Head of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    version: u32,
    item: String,
    /// Address or file that it came from.
    pub source: String,
    /// When it was fetched, imported or last confirmed.
    pub fetched: UnixTime,
    /// From when on a newer one is asked for.
    pub stale: UnixTime,
    /// Its own first second.
    pub from: UnixTime,
    /// Its own last second.
    pub to: UnixTime,
    /// When it was issued; a later one replaces it, an earlier one does not.
    pub issued: UnixTime,
    /// The server's name for these bytes.
    pub etag: Option<String>,
    /// Certificates of whoever signed it, PEM, where it does not hold them itself.
    pub chain: Option<String>,
}

/// An endorsement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which.
    pub item: Item,
    /// All but the bytes.
    pub head: Head,
    /// A certificate or list in DER, a chain in PEM, collateral in JSON as it was signed.
    pub body: Vec<u8>,
}

/// Why a file is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not those that were written.
    #[error("expected bytes of SHA-256 {expected}, found {found}")]
    Digest {
        /// In the file's first line.
        expected: String,
        /// Of the rest.
        found: String,
    },
    /// Not of this form.
    #[error("expected a record of version {VERSION} of {expected}, found {found}")]
    Form {
        /// The item.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl Record {
    /// A record of something that was looked at just now.
    pub fn new(item: Item, content: Content, source: String, now: UnixTime) -> Self {
        let Content { body, chain, window: (from, to), issued } = content;
        let head = Head {
            version: VERSION,
            item: item.to_string(),
            source,
            fetched: now,
            stale: now,
            from,
            to,
            issued,
            etag: None,
            chain,
        };
        let mut record = Self { item, head, body };
        record.confirm(None, now);
        record
    }

    /// It was just fetched, or its server said that there is no newer one.
    ///
    /// It is asked for again after what the server allowed, and in any case when three quarters of its remaining life are over.
    pub fn confirm(&mut self, max_age: Option<u64>, now: UnixTime) {
        let fresh = max_age.unwrap_or(DEFAULT_FRESH).clamp(MIN_FRESH, MAX_FRESH);
        let life = self.head.to.saturating_sub(now);
        self.head.fetched = now;
        self.head.stale = now.saturating_add(fresh.min((life / 4 * 3).max(MIN_FRESH)));
    }

    /// Whether its own dates allow its use.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        (self.head.from..=self.head.to).contains(&now)
    }

    /// Whether a newer one should be asked for.
    pub fn is_stale(&self, now: UnixTime) -> bool {
        now >= self.head.stale
    }

    /// Certificates of whoever signed it, PEM, empty where there are none beside it.
    pub fn chain(&self) -> &[u8] {
        self.head.chain.as_deref().unwrap_or_default().as_bytes()
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> [u8; 32] {
        crypto::sha256(&self.body)
    }

    /// The file: SHA-256 of the rest in a line, the head in a line, the bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Text and numbers always serialize.
        let mut rest = serde_json::to_vec(&self.head).unwrap_or_default();
        rest.push(b'\n');
        rest.extend_from_slice(&self.body);
        let mut out = hex::encode(crypto::sha256(&rest)).into_bytes();
        out.push(b'\n');
        out.extend(rest);
        out
    }

    /// Read what [`Self::encode`] wrote.
    pub fn decode(item: Item, bytes: &[u8]) -> Result<Self, RecordError> {
        let form = |found: &dyn std::fmt::Display| RecordError::Form {
            expected: item.to_string(),
            found: found.to_string(),
        };
        let (digest, rest) = line(bytes).ok_or_else(|| form(&"no first line"))?;
        let found = HexArray(crypto::sha256(rest)).to_string();
        if digest != found.as_bytes() {
            let expected = String::from_utf8_lossy(digest).chars().take(64).collect();
            return Err(RecordError::Digest { expected, found });
        }
        let (head, body) = line(rest).ok_or_else(|| form(&"no head"))?;
        let head: Head = serde_json::from_slice(head).map_err(|e| form(&e))?;
        if head.version != VERSION || head.item != item.to_string() {
            return Err(form(&format!("version {} of {}", head.version, head.item)));
        }
        Ok(Self { item, head, body: body.to_vec() })
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(to: UnixTime) -> Record {
        let content = Content { body: b"{\n}".to_vec(), chain: None, window: (100, to), issued: 100 };
        Record::new(Item::TdxQeIdentity, content, "https://x".to_owned(), 1000)
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let record = record(5000);
        let bytes = record.encode();
        assert_eq!(Record::decode(Item::TdxQeIdentity, &bytes), Ok(record));
        for position in 0..bytes.len() {
            let mut spoiled = bytes.clone();
            spoiled[position] ^= 1;
            assert!(Record::decode(Item::TdxQeIdentity, &spoiled).is_err(), "byte {position}");
            assert!(Record::decode(Item::TdxQeIdentity, &bytes[..position]).is_err(), "{position} bytes");
        }
        assert!(matches!(Record::decode(Item::IntelRootCrl, &bytes), Err(RecordError::Form { .. })));
    }

    #[test]
    fn it_is_asked_for_again_before_it_ends() {
        for (to, max_age, stale) in [
            (u64::MAX, None, 1000 + DEFAULT_FRESH),
            (u64::MAX, Some(0), 1000 + MIN_FRESH),
            (u64::MAX, Some(7200), 1000 + 7200),
            (u64::MAX, Some(u64::MAX), 1000 + MAX_FRESH),
            (1000 + 4000, Some(7200), 1000 + 3000),
            (1000 + 40, None, 1000 + MIN_FRESH),
            (900, None, 1000 + MIN_FRESH),
        ] {
            let mut record = record(to);
            record.confirm(max_age, 1000);
            assert_eq!(record.head.stale, stale, "{to} {max_age:?}");
        }
        let record = record(5000);
        assert!(
            record.is_valid(100) && record.is_valid(5000) && !record.is_valid(5001) && !record.is_valid(99)
        );
        assert!(!record.is_stale(record.head.stale - 1) && record.is_stale(record.head.stale));
    }
}
