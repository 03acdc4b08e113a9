//! The audit log: one line of JSON for each decision, each with the hash of the line before it.
//!
//! A line is handed to the operating system before the decision is answered, so it outlives this process; it is on disk at
//! most [`SYNC_SECONDS`] later. The chain shows that a line was changed, removed or put between others. It does not show that
//! lines are missing at the end, and whoever can write the file can write another whole chain: keep copies elsewhere.

use crate::clock::rfc3339;
use crate::crypto;
use sealpod_evidence::bytes::HexArray;
use sealpod_verifier::{TrustVector, UnixTime};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How often the server has the operating system write the log to disk, in seconds.
pub const SYNC_SECONDS: u64 = 1;
/// The hash before the first line.
const GENESIS: HexArray<32> = HexArray([0; 32]);
/// Longest line that is read: two texts of 2,048 characters, escaped, and the rest.
const MAX_LINE: u64 = 64 * 1024;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No.
    Refuse,
}

/// One decision. What does not apply is `null`.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// Of the attestation that it rests on; its evidence is archived under it.
    pub id: Option<&'a str>,
    /// `attest`, `release`, or what an administrator did.
    pub action: &'a str,
    /// The decision.
    pub verdict: Verdict,
    /// Verification step that refused.
    pub step: Option<u8>,
    /// Check that refused.
    pub check: Option<&'a str>,
    /// What it expected.
    pub expected: Option<&'a str>,
    /// What it found.
    pub found: Option<&'a str>,
    /// The resource, policy or document that this is about.
    pub subject: Option<&'a str>,
    /// SHA-256 of the release policy asked.
    pub policy: Option<HexArray<32>>,
    /// AR4SI vector of the attestation.
    pub trust_vector: Option<&'a TrustVector>,
    /// Who vouches for its vTPM.
    pub binding_level: Option<&'a str>,
    /// Address that asked; `null` for an administrator on this machine.
    pub peer: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// A decision of which nothing more is said.
    pub fn new(action: &'a str, verdict: Verdict) -> Self {
        Self {
            id: None,
            action,
            verdict,
            step: None,
            check: None,
            expected: None,
            found: None,
            subject: None,
            policy: None,
            trust_vector: None,
            binding_level: None,
            peer: None,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
    prev: HexArray<32>,
}

/// Why a line was not written or read.
#[derive(Debug, thiserror::Error)]
#[error("audit log {}: {source}", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// The operating system's answer.
    pub source: io::Error,
}

/// An open log. Several processes may append to one file.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Length after our last line; another length means that somebody else wrote.
    length: u64,
    last: HexArray<32>,
    dirty: bool,
}

impl AuditLog {
    /// Open or make the log.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|source| AuditError { path: path.to_owned(), source })?;
        // No file has this length, so the first append looks for the last line.
        let inner = Inner { file, length: u64::MAX, last: GENESIS, dirty: false };
        Ok(Self { path: path.to_owned(), inner: Mutex::new(inner) })
    }

    /// Append a line. When this returns the line outlives the process.
    pub fn append(&self, now: UnixTime, entry: &Entry<'_>) -> Result<(), AuditError> {
        self.with(|inner| {
            inner.file.lock()?;
            let written = inner.append(now, entry);
            if written.is_err() {
                inner.length = u64::MAX;
            }
            inner.file.unlock()?;
            written
        })
    }

    /// Have everything on disk that was appended so far.
    pub fn sync(&self) -> Result<(), AuditError> {
        let file = self.with(|inner| {
            if !std::mem::take(&mut inner.dirty) {
                return Ok(None);
            }
            inner.file.try_clone().map(Some)
        })?;
        // Not under the lock: decisions go on meanwhile.
        let Some(file) = file else { return Ok(()) };
        file.sync_data().map_err(|source| AuditError { path: self.path.clone(), source })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> io::Result<T>) -> Result<T, AuditError> {
        // What a panicking holder left is found again from the file.
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| {
            let mut inner = poisoned.into_inner();
            inner.length = u64::MAX;
            inner
        });
        work(&mut inner).map_err(|source| AuditError { path: self.path.clone(), source })
    }
}

impl Inner {
    fn append(&mut self, now: UnixTime, entry: &Entry<'_>) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut out = Vec::with_capacity(512);
        if length != self.length {
            let tail = last_line(&mut self.file, length)?;
            self.last = tail.hash;
            if !tail.ended {
                out.push(b'\n');
            }
        }
        let start = out.len();
        serde_json::to_writer(&mut out, &Line { time: rfc3339(now), entry, prev: self.last })?;
        let hash = HexArray(crypto::sha256(out.get(start..).unwrap_or_default()));
        out.push(b'\n');
        self.file.write_all(&out)?;
        self.length = length + out.len() as u64;
        self.last = hash;
        self.dirty = true;
        Ok(())
    }
}

struct Tail {
    hash: HexArray<32>,
    /// Whether the line is whole. A crash may leave half a line; it is ended and counts as a line of the chain.
    ended: bool,
}

fn last_line(file: &mut File, length: u64) -> io::Result<Tail> {
    if length == 0 {
        return Ok(Tail { hash: GENESIS, ended: true });
    }
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LINE)))?;
    let mut end = Vec::new();
    file.take(MAX_LINE).read_to_end(&mut end)?;
    let ended = end.last() == Some(&b'\n');
    if ended {
        end.pop();
    }
    let line = end.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    Ok(Tail { hash: HexArray(crypto::sha256(line)), ended })
}

/// What reading the whole log found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Lines read.
    pub lines: u64,
    /// Lines that a crash left unfinished, by number.
    pub torn: Vec<u64>,
    /// First line that does not follow from the one before, by number from 1.
    pub broken: Option<Broken>,
}

/// Where a chain breaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Line number, from 1.
    pub line: u64,
    /// Hash of the line before it.
    pub expected: HexArray<32>,
    /// The hash that the line names.
    pub found: HexArray<32>,
}

/// Read the log, hand each whole line to `show`, and check the chain.
pub fn read(path: &Path, mut show: impl FnMut(&str)) -> Result<Chain, AuditError> {
    #[derive(Deserialize)]
    struct Prev {
        prev: HexArray<32>,
    }
    let failed = |source| AuditError { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut chain, mut last) = (Chain::default(), GENESIS);
    loop {
        let mut line = Vec::new();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(chain);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        chain.lines += 1;
        let text = String::from_utf8_lossy(&line);
        match serde_json::from_str::<Prev>(&text) {
            Ok(Prev { prev }) => {
                if prev != last && chain.broken.is_none() {
                    chain.broken = Some(Broken { line: chain.lines, expected: last, found: prev });
                }
                show(&text);
            }
            Err(_) => chain.torn.push(chain.lines),
        }
        last = HexArray(crypto::sha256(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _directory: tempfile::TempDir,
        path: PathBuf,
    }

    fn fixture() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        Fixture { _directory: directory, path }
    }

    fn add(log: &AuditLog, subject: &str) {
        let entry = Entry { subject: Some(subject), ..Entry::new("test", Verdict::Allow) };
        log.append(1, &entry).unwrap();
    }

    fn check(path: &Path) -> Chain {
        read(path, |_| {}).unwrap()
    }

    #[test]
    fn lines_of_several_writers_make_one_chain() {
        let fixture = fixture();
        let (one, two) = (AuditLog::open(&fixture.path).unwrap(), AuditLog::open(&fixture.path).unwrap());
        add(&one, "1");
        add(&two, "2");
        add(&one, "3");
        add(&one, "4");
        add(&two, "5");
        one.sync().unwrap();
        let mut subjects = Vec::new();
        let chain = read(&fixture.path, |line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            subjects.push(line["subject"].as_str().unwrap().to_owned());
            assert_eq!(line["time"], "1970-01-01T00:00:01Z");
            assert_eq!(line["step"], serde_json::Value::Null);
        });
        assert_eq!(chain.unwrap(), Chain { lines: 5, ..Chain::default() });
        assert_eq!(subjects, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_changed_removed_or_added_line_breaks_the_chain() {
        let fixture = fixture();
        let log = AuditLog::open(&fixture.path).unwrap();
        (0..4).for_each(|i| add(&log, &i.to_string()));
        let text = std::fs::read_to_string(&fixture.path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let rewritten = |lines: &[&str]| {
            std::fs::write(&fixture.path, lines.join("\n") + "\n").unwrap();
            check(&fixture.path).broken.map(|b| b.line)
        };
        assert_eq!(rewritten(&lines), None);
        let changed = lines[1].replace("allow", "refuse");
        assert_eq!(rewritten(&[lines[0], &changed, lines[2], lines[3]]), Some(3));
        assert_eq!(rewritten(&[lines[0], lines[2], lines[3]]), Some(2));
        assert_eq!(rewritten(&[lines[1], lines[2], lines[3]]), Some(1));
        assert_eq!(rewritten(&[lines[0], lines[0], lines[1]]), Some(2));
    }

    #[test]
    fn half_a_line_is_ended_and_the_chain_goes_on() {
        let fixture = fixture();
        add(&AuditLog::open(&fixture.path).unwrap(), "1");
        OpenOptions::new().append(true).open(&fixture.path).unwrap().write_all(b"{\"time\":").unwrap();
        let log = AuditLog::open(&fixture.path).unwrap();
        add(&log, "2");
        add(&log, "3");
        assert_eq!(check(&fixture.path), Chain { lines: 4, torn: vec![2], broken: None });
    }

    #[test]
    fn threads_do_not_mix_their_lines() {
        let fixture = fixture();
        let log = AuditLog::open(&fixture.path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || (0..50).for_each(|i| add(log, &format!("{thread}-{i}"))));
            }
        });
        assert_eq!(check(&fixture.path), Chain { lines: 200, ..Chain::default() });
    }
}
