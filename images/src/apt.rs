//! Debian's own tools, with a configuration apart from the host's: lists and caches are kept in our cache directory.
//!
//! `apt-get update` verifies the suite's InRelease file with the Debian archive keyring, and the package index with it.
//! The host's apt configuration is not read, so none of its hooks run; only its proxies, retries and date checks are taken over.

use crate::lock::{Lock, LockError, Package, VERSION};
use crate::recipe::{PACKAGES, Wanted};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The keyring that signs Debian suites (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Settings of the host that decide whether the mirror can be reached at all.
const TAKEN_OVER: &[&str] = &[
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Retries",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
];

/// Why apt could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// A tool is missing.
    #[error("cannot run {program}: {source}; it is part of Debian's package `apt`")]
    Run {
        /// Which.
        program: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A directory or file of the separate configuration cannot be made.
    #[error("cannot write {path}: {source}; choose another cache with --cache")]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The package index could not be had or did not verify.
    #[error(
        "cannot get the package index of {suite} from {mirror}: {detail}; is the mirror reachable? another can be named with --mirror"
    )]
    Index {
        /// Which suite.
        suite: String,
        /// From where.
        mirror: String,
        /// apt's words.
        detail: String,
    },
    /// A package is not in the index.
    #[error("{suite} has no package {name:?}; the recipe needs a change")]
    NoPackage {
        /// Which suite.
        suite: String,
        /// Which package.
        name: String,
    },
    /// The index's record lacks a field.
    #[error("the index record of {name:?} has no usable {field} (found {found:?})")]
    Record {
        /// Which package.
        name: String,
        /// Which field.
        field: &'static str,
        /// What was there.
        found: String,
    },
    /// A download failed.
    #[error("cannot download {url}: {detail}")]
    Download {
        /// From where.
        url: String,
        /// apt's words.
        detail: String,
    },
    /// What was found does not make a lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// apt with our own directories.
#[derive(Debug, Clone)]
pub struct Apt {
    directory: PathBuf,
    mirror: String,
}

impl Apt {
    /// Use `cache` for everything that apt writes.
    pub fn new(cache: &Path, mirror: &str) -> Self {
        let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.to_owned());
        Self { directory: cache.join("apt"), mirror: mirror.trim_end_matches('/').to_owned() }
    }

    /// The mirror's base address.
    pub fn mirror(&self) -> &str {
        &self.mirror
    }

    /// The newest version of each package of the recipe, from freshly verified indexes.
    pub fn newest(&self, say: &dyn Fn(&str)) -> Result<Lock, AptError> {
        let mut suites: Vec<&str> = PACKAGES.iter().map(|w| w.suite).collect();
        suites.dedup();
        for suite in suites {
            say(&format!("reading the package index of Debian {suite} from {}", self.mirror));
            self.update(suite)?;
        }
        let packages = PACKAGES.iter().map(|w| self.find(w)).collect::<Result<_, _>>()?;
        let lock = Lock { version: VERSION, packages };
        Ok(Lock::parse(&lock.to_text()?)?)
    }

    /// Download one file with Debian's tool, which resumes a partial one. The content is not to be trusted yet.
    pub fn download(&self, url: &str, to: &Path, progress: bool) -> Result<(), AptError> {
        let config = self.configure("download", "")?;
        let mut command = Command::new("/usr/lib/apt/apt-helper");
        command.env("APT_CONFIG", config).arg("download-file").arg(url).arg(to);
        if progress {
            // apt draws its progress bar on standard output, which is ours for data; both are the terminal here.
            command.stdout(std::io::stderr());
        } else {
            command.arg("-qq").stdout(Stdio::null());
        }
        let output = run("apt-helper", &mut command)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(AptError::Download { url: url.to_owned(), detail: words(&output) })
        }
    }

    fn update(&self, suite: &str) -> Result<(), AptError> {
        let source = format!("deb [signed-by={KEYRING}] {} {suite} main\n", self.mirror);
        let config = self.configure(suite, &source)?;
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", config).args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]);
        let output = run("apt-get", &mut command)?;
        if output.status.success() {
            return Ok(());
        }
        Err(AptError::Index { suite: suite.to_owned(), mirror: self.mirror.clone(), detail: words(&output) })
    }

    fn find(&self, wanted: &Wanted) -> Result<Package, AptError> {
        let record = self.record(wanted.suite, wanted.name)?;
        let (name, record) = match wanted.follow {
            None => (wanted.name.to_owned(), record),
            Some(prefix) => {
                let name = followed(wanted.name, &record, prefix)?;
                let record = self.record(wanted.suite, &name)?;
                (name, record)
            }
        };
        package(wanted, name, &record)
    }

    fn record(&self, suite: &str, name: &str) -> Result<BTreeMap<String, String>, AptError> {
        let mut command = Command::new("apt-cache");
        command.env("APT_CONFIG", self.directory.join(suite).join("apt.conf")).args([
            "show",
            "--no-all-versions",
            name,
        ]);
        let output = run("apt-cache", &mut command)?;
        let record = parse_record(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() || record.get("Package").is_none_or(|found| found != name) {
            return Err(AptError::NoPackage { suite: suite.to_owned(), name: name.to_owned() });
        }
        Ok(record)
    }

    /// Write the configuration of one suite and give its path.
    fn configure(&self, suite: &str, source: &str) -> Result<PathBuf, AptError> {
        let directory = self.directory.join(suite);
        for part in ["lists/partial", "cache/archives/partial", "parts"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).map_err(|source| AptError::Write { path, source })?;
        }
        let at = |name: &str| directory.join(name);
        // The sandbox user could not enter a cache below a home directory; every file is verified after download.
        let mut text = format!(
            "Dir::Etc::parts \"{parts}\";\nDir::Etc::main \"{none}\";\nDir::Etc::sourcelist \"{sources}\";\n\
             Dir::Etc::sourceparts \"{parts}\";\nDir::Etc::preferences \"{none}\";\nDir::Etc::preferencesparts \"{parts}\";\n\
             Dir::State::lists \"{lists}\";\nDir::State::status \"{status}\";\nDir::State::extended_states \"{none}\";\n\
             Dir::Cache \"{cache}\";\nDir::Log \"{cache}\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n",
            parts = at("parts").display(),
            none = at("none").display(),
            sources = at("sources.list").display(),
            lists = at("lists").display(),
            status = at("status").display(),
            cache = at("cache").display(),
        );
        text.push_str(&host_settings());
        for (name, content) in [("sources.list", source), ("status", ""), ("apt.conf", text.as_str())] {
            let path = at(name);
            fs::write(&path, content).map_err(|source| AptError::Write { path, source })?;
        }
        Ok(at("apt.conf"))
    }
}

fn host_settings() -> String {
    let Ok(output) = Command::new("apt-config").arg("dump").output() else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let taken =
        text.lines().filter(|line| line.split(' ').next().is_some_and(|key| TAKEN_OVER.contains(&key)));
    taken.map(|line| format!("{line}\n")).collect()
}

fn run(program: &'static str, command: &mut Command) -> Result<Output, AptError> {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let child = command.stderr(Stdio::piped());
    let child = if program == "apt-helper" { child } else { child.stdout(Stdio::piped()) };
    child
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|source| AptError::Run { program, source })
}

/// The errors that a tool printed, in one line.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|l| l.starts_with("E:") || l.starts_with("W:")).collect();
    if lines.is_empty() { format!("{} {}", output.status, text.trim()) } else { lines.join(" ") }
}

/// The fields of the first record, continuation lines left out.
fn parse_record(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().take_while(|line| !line.is_empty());
    let fields = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(": "));
    fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn followed(name: &str, record: &BTreeMap<String, String>, prefix: &str) -> Result<String, AptError> {
    let depends = record.get("Depends").map(String::as_str).unwrap_or_default();
    let mut names = depends.split(',').filter_map(|d| d.split_whitespace().next());
    names.find(|n| n.starts_with(prefix)).map(str::to_owned).ok_or_else(|| AptError::Record {
        name: name.to_owned(),
        field: "Depends",
        found: depends.to_owned(),
    })
}

fn package(wanted: &Wanted, name: String, record: &BTreeMap<String, String>) -> Result<Package, AptError> {
    let text = |field: &'static str| record.get(field).cloned().unwrap_or_default();
    let bad = |field: &'static str| AptError::Record { name: name.clone(), field, found: text(field) };
    Ok(Package {
        wanted: wanted.name.to_owned(),
        version: text("Version"),
        suite: wanted.suite.to_owned(),
        size: text("Size").parse().map_err(|_| bad("Size"))?,
        sha256: text("SHA256").parse().map_err(|_| bad("SHA256"))?,
        path: text("Filename"),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "Package: linux-image-cloud-amd64\nVersion: 6.12.1-1\nDepends: linux-base, linux-image-6.12.1-cloud-amd64 (= 6.12.1-1)\nDescription: x\n more: y\nSize: 7\n\nPackage: other\nVersion: 2\n";

    #[test]
    fn only_the_first_record_counts_and_folded_lines_are_no_fields() {
        let record = parse_record(RECORD);
        assert_eq!(record["Version"], "6.12.1-1");
        assert_eq!(record["Package"], "linux-image-cloud-amd64");
        assert!(!record.contains_key(" more"));
    }

    #[test]
    fn a_metapackage_leads_to_its_dependency() {
        let record = parse_record(RECORD);
        let name = followed("linux-image-cloud-amd64", &record, "linux-image-").unwrap();
        assert_eq!(name, "linux-image-6.12.1-cloud-amd64");
        assert!(matches!(followed("x", &record, "none-"), Err(AptError::Record { field: "Depends", .. })));
    }

    #[test]
    fn a_record_without_digest_is_refused() {
        let error = package(&PACKAGES[0], "x".into(), &parse_record(RECORD)).unwrap_err();
        assert!(matches!(error, AptError::Record { field: "SHA256", .. }), "{error}");
    }
}
