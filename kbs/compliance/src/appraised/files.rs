//! Files of a round: their entries, the overlays they were read through, and contents with the right hash.

use super::{Node, PCR_IMA, clipped};
use crate::finding::{Proof, Reason, Root};
use sealpod_evidence::ima::{DigestKind, Entry, HashAlgorithm};
use sealpod_evidence::node::statement::FileOutcome;
use sealpod_evidence::node::{NodePath, RoundNonce};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::collections::HashMap;

/// Templates by whose names entries are read: the kernel's own. A template's name is not covered by its digest; these differ in
/// their number of fields or in how a digest begins, so that one cannot be taken for another, and `evm-sig` alone has an owner.
const TEMPLATES: [&str; 5] = ["evm-sig", "ima-ng", "ima-sig", "ima-ngv2", "ima-sigv2"];

/// Owner, group and permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u16,
}

/// A file as the kernel measured it in this round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) index: u64,
    pub(crate) template: String,
    pub(crate) kind: DigestKind,
    pub(crate) algorithm: HashAlgorithm,
    pub(crate) digest: Vec<u8>,
    pub(crate) owner: Option<Owner>,
}

/// What is known of a path.
#[derive(Debug)]
pub(crate) enum Lookup<'a> {
    Measured(&'a Measured),
    /// The agent found nothing there, through an overlay that holds.
    Absent,
    Unknown(Reason),
}

/// A content whose hash is the measured one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) measured: &'a Measured,
}

impl Content<'_> {
    /// The text, for programs that read lines of bytes. What is not UTF-8 becomes a replacement character, which no rule asks for.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

/// Entries under one round's directory, by real path as IMA logs it.
#[derive(Debug)]
pub(super) struct Entries(HashMap<Vec<u8>, Slot>);

#[derive(Debug)]
enum Slot {
    One(Measured),
    Differ,
    Violation,
}

impl Entries {
    pub(super) fn of_round<'a>(round: &RoundNonce, log: impl Iterator<Item = Entry<'a>>) -> Self {
        let mut entries = HashMap::new();
        let prefix = round.directory();
        for entry in log.filter(|entry| TEMPLATES.contains(&entry.template_name)) {
            // A cheap look before fields are read: most entries of a log are of no round.
            if !entry.template_data.windows(prefix.as_bytes().len()).any(|part| part == prefix.as_bytes()) {
                continue;
            }
            let Ok(fields) = entry.fields() else { continue };
            let Some(name) = fields.name.and_then(|name| round.real_name(name)) else { continue };
            let slot = match fields.digest {
                _ if entry.is_violation() => Slot::Violation,
                None => Slot::Differ,
                Some(digest) => Slot::One(Measured {
                    index: entry.index,
                    template: entry.template_name.to_owned(),
                    kind: digest.kind,
                    algorithm: digest.algorithm,
                    digest: digest.value.to_vec(),
                    owner: match (fields.uid, fields.gid, fields.mode) {
                        (Some(uid), Some(gid), Some(mode)) => Some(Owner { uid, gid, mode: mode & 0o7777 }),
                        _ => None,
                    },
                }),
            };
            entries.entry(name.to_vec()).and_modify(|held: &mut Slot| held.meet(&slot)).or_insert(slot);
        }
        Self(entries)
    }
}

impl Slot {
    /// A second entry of the same name: it must say the same.
    fn meet(&mut self, other: &Self) {
        let same = matches!((&*self, other), (Self::One(a), Self::One(b))
            if (a.kind, a.algorithm, &a.digest, a.owner) == (b.kind, b.algorithm, &b.digest, b.owner));
        if matches!(self, Self::Violation) || matches!(other, Self::Violation) {
            *self = Self::Violation;
        } else if !same {
            *self = Self::Differ;
        }
    }
}

impl Measured {
    /// The digest with its algorithm in front.
    pub(crate) fn hash(&self) -> String {
        format!("{}:{}", self.algorithm.name(), hex::encode(&self.digest))
    }

    /// The proof that a file was measured so.
    pub(crate) fn proof(
        &self,
        root: Root,
        subject: &str,
        found: impl Into<String>,
        required: impl Into<String>,
    ) -> Proof {
        Proof {
            root,
            subject: subject.to_owned(),
            found: clipped(found.into()),
            required: clipped(required.into()),
            pcr: Some(PCR_IMA),
            log_index: Some(self.index),
            hash: Some(self.hash()),
        }
    }
}

impl Node {
    /// What is known of a path in this round.
    pub(crate) fn lookup(&self, path: &NodePath) -> Lookup<'_> {
        self.find(path).unwrap_or_else(Lookup::Unknown)
    }

    fn find(&self, path: &NodePath) -> Result<Lookup<'_>, Reason> {
        let path_of = || path.clone();
        let outcome = self.statement()?.files.get(path);
        let outcome = outcome.ok_or_else(|| Reason::NotMeasured { path: path_of() })?;
        self.seen_through_overlay(path)?;
        let resolved = match outcome {
            FileOutcome::Measured { resolved: Some(resolved) } => {
                self.seen_through_overlay(resolved)?;
                resolved
            }
            _ => path,
        };
        let slot = self.entries.0.get(&resolved.as_logged());
        match (outcome, slot) {
            (FileOutcome::NotRegular, _) => {
                Err(Reason::Unreadable { path: path_of(), problem: "not a regular file".to_owned() })
            }
            (FileOutcome::Failed { error }, _) => {
                Err(Reason::Unreadable { path: path_of(), problem: error.chars().take(200).collect() })
            }
            (_, Some(Slot::Violation)) => Err(Reason::Violation { path: path_of() }),
            (_, Some(Slot::Differ)) | (FileOutcome::Absent, Some(_)) => {
                Err(Reason::Ambiguous { path: path_of() })
            }
            (FileOutcome::Absent, None) => Ok(Lookup::Absent),
            (FileOutcome::Measured { .. }, None) => Err(Reason::NotMeasured { path: path_of() }),
            (FileOutcome::Measured { .. }, Some(Slot::One(measured))) => Ok(Lookup::Measured(measured)),
        }
    }

    /// The overlay that shows a path is of this round, read-only, and shows what the node itself sees there: a mount over the
    /// path, a bound file among them, would hide the one measured from the programs that read it.
    fn seen_through_overlay(&self, path: &NodePath) -> Result<(), Reason> {
        let refused = |problem: String| Reason::Overlay { path: path.clone(), problem };
        let statement = self.statement()?;
        let deepest = statement
            .overlays
            .iter()
            .filter(|overlay| path.is_in(&overlay.lower))
            .max_by_key(|overlay| overlay.lower.as_bytes().len())
            .ok_or_else(|| refused("there is none".to_owned()))?;
        for overlay in statement.overlays.iter().filter(|overlay| overlay.lower == deepest.lower) {
            overlay.check(&self.round).map_err(|error| refused(error.to_string()))?;
        }
        let mounts = self.fact("mounted file systems", |statement| statement.mounts.as_ref())?;
        let over = mounts
            .iter()
            .filter(|mount| path.is_in(&mount.point))
            .max_by_key(|mount| mount.point.as_bytes().len())
            .ok_or_else(|| refused("the node has no root file system".to_owned()))?;
        if over.point != deepest.lower {
            return Err(refused(format!(
                "shows {}, where the node has another mount at {}",
                deepest.lower, over.point
            )));
        }
        Ok(())
    }

    /// The first file that was asked for and measured.
    pub(crate) fn first_measured(&self) -> Result<(NodePath, &Measured), Reason> {
        let files = &self.statement()?.files;
        let found = files.keys().find_map(|path| match self.lookup(path) {
            Lookup::Measured(file) => Some((path.clone(), file)),
            _ => None,
        });
        found.ok_or_else(|| Reason::NotMeasured { path: self.round.directory() })
    }

    /// The content of a file, once its hash is that of the file's entry. `None` if there is no such file.
    pub(crate) fn content(&self, path: &NodePath) -> Result<Option<Content<'_>>, Reason> {
        let measured = match self.lookup(path) {
            Lookup::Measured(measured) => measured,
            Lookup::Absent => return Ok(None),
            Lookup::Unknown(reason) => return Err(reason),
        };
        let path_of = || path.clone();
        let contents = self.contents.as_ref();
        let contents =
            contents.map_err(|error| Reason::Unreadable { path: path_of(), problem: error.to_string() })?;
        let bytes = contents.get(path).ok_or_else(|| Reason::NoContent { path: path_of() })?;
        let found = hash_as(measured, bytes).ok_or_else(|| {
            let kind = if measured.kind == DigestKind::Verity { "fs-verity " } else { "" };
            Reason::WeakHash { path: path_of(), algorithm: format!("{kind}{}", measured.algorithm.name()) }
        })?;
        if found != measured.digest {
            let found = format!("{}:{}", measured.algorithm.name(), hex::encode(found));
            return Err(Reason::OtherContent { path: path_of(), measured: measured.hash(), found });
        }
        Ok(Some(Content { bytes, measured }))
    }
}

/// The hash that an entry has; `None` where none binds a content: SHA-1 has collisions, and fs-verity hashes a descriptor.
fn hash_as(measured: &Measured, bytes: &[u8]) -> Option<Vec<u8>> {
    match (measured.kind, measured.algorithm) {
        (DigestKind::Verity, _) | (_, HashAlgorithm::Sha1) => None,
        (_, HashAlgorithm::Sha256) => Some(Sha256::digest(bytes).to_vec()),
        (_, HashAlgorithm::Sha384) => Some(Sha384::digest(bytes).to_vec()),
        (_, HashAlgorithm::Sha512) => Some(Sha512::digest(bytes).to_vec()),
    }
}
