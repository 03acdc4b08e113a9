//! `sealpod-guest node ...`.

use super::NodeError;
use super::check::{self, Places};
use super::collect::{Challenge, collect};
use crate::tpm::Tpm;
use sealpod_evidence::node::evidence::MAX_NONCE;
use sealpod_evidence::node::request::{MAX_LEN, MeasureRequest};
use sealpod_evidence::tpm::Public;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Evidence of an ordinary Linux node with a TPM

Usage: sealpod-guest node <COMMAND>

Commands:
  check [--json]      Say what this machine offers, what is missing, and how to add it
  policy [--load]     Print the IMA policy that a node needs, or put it in force (once per boot, root)
  keys                Print the names of the TPM's keys, by which a broker enrols this node (root)
  collect --challenge FILE [--output FILE]
                      Answer one challenge: measure anew what it asks for, quote, and write the
                      evidence as JSON (root; FILE may be - for standard input or output)
  help                This text

Examples:
  sealpod-guest node check
  sealpod-guest node keys
  sealpod-guest node collect --challenge challenge.json --output evidence.json

The broker's side: sealpod-kbs compliance enrol, challenge, report.

Exit codes: 0 done, 1 the machine lacks something or a round failed, 2 wrong use
";

/// Run a command; `arguments` are those after `node`.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(code) => code,
        Err(Failure::Use(text)) => {
            eprintln!("sealpod-guest node: {text}; see `sealpod-guest node help`");
            ExitCode::from(2)
        }
        Err(Failure::Work(text)) => {
            eprintln!("sealpod-guest node: {text}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Use(String),
    Work(String),
}

fn work(error: impl std::fmt::Display) -> Failure {
    Failure::Work(error.to_string())
}

fn misuse(error: impl std::fmt::Display) -> Failure {
    Failure::Use(error.to_string())
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    use lexopt::Arg::{Long, Short, Value};
    let command = match parser.next().map_err(misuse)? {
        Some(Value(command)) => command,
        None | Some(Long("help") | Short('h')) => "help".into(),
        Some(other) => return Err(misuse(other.unexpected())),
    };
    let mut options = Options::default();
    while let Some(argument) = parser.next().map_err(misuse)? {
        match argument {
            Long("json") if command == "check" => options.json = true,
            Long("load") if command == "policy" => options.load = true,
            Long("challenge") if command == "collect" => {
                options.challenge = Some(parser.value().map_err(misuse)?.into())
            }
            Long("output") if command == "collect" => {
                options.output = Some(parser.value().map_err(misuse)?.into())
            }
            Long("help") | Short('h') => return print(HELP),
            other => return Err(misuse(other.unexpected())),
        }
    }
    match command.to_str() {
        Some("help") => print(HELP),
        Some("check") => check(options.json),
        Some("policy") => policy(options.load),
        Some("keys") => keys(),
        Some("collect") => answer(options),
        _ => Err(misuse(format!("no command {}", command.to_string_lossy()))),
    }
}

#[derive(Default)]
struct Options {
    json: bool,
    load: bool,
    challenge: Option<PathBuf>,
    output: Option<PathBuf>,
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    std::io::stdout().write_all(text.as_bytes()).map_err(work)?;
    Ok(ExitCode::SUCCESS)
}

fn check(json: bool) -> Result<ExitCode, Failure> {
    let findings = check::all(&Places::default());
    let ok = findings.iter().all(|finding| finding.ok);
    if json {
        print(&format!("{}\n", serde_json::json!({ "ok": ok, "findings": findings })))?;
    } else {
        for finding in &findings {
            let mark = if finding.ok { "✔" } else { "✘" };
            print(&format!("{mark} {:11} {}\n", finding.name, finding.found))?;
            if let Some(fix) = &finding.fix {
                print(&format!("              → {fix}\n"))?;
            }
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policy(load: bool) -> Result<ExitCode, Failure> {
    let rules = check::rules(&Places::default());
    if !load {
        return print(&rules);
    }
    crate::ima_policy::load_rules(&rules).map_err(work)?;
    let run = Places::default().run;
    std::fs::create_dir_all(&run)
        .and_then(|()| std::fs::write(run.join("ima-policy"), &rules))
        .map_err(work)?;
    Ok(ExitCode::SUCCESS)
}

fn answer(options: Options) -> Result<ExitCode, Failure> {
    let path = options.challenge;
    let path = path
        .ok_or_else(|| misuse("collect needs --challenge FILE, from `sealpod-kbs compliance challenge`"))?;
    let bytes = read(&path).map_err(|error| misuse(format!("cannot read {}: {error}", path.display())))?;
    let given: Given = serde_json::from_slice(&bytes)
        .map_err(|error| misuse(format!("{}: not a challenge: {error}", path.display())))?;
    if given.nonce.is_empty() || given.nonce.len() > MAX_NONCE {
        return Err(misuse(format!("{}: a nonce is 1 to {MAX_NONCE} bytes", path.display())));
    }
    let request = MeasureRequest::parse(given.request.get().as_bytes())
        .map_err(|error| misuse(format!("{}: {error}", path.display())))?;
    let evidence =
        collect(&Challenge { nonce: &given.nonce, request: &request, credential: None }).map_err(work)?;
    let mut json = serde_json::to_vec(&evidence).map_err(work)?;
    json.push(b'\n');
    match options.output.filter(|path| path != Path::new("-")) {
        None => std::io::stdout().write_all(&json).map_err(work)?,
        Some(path) => {
            std::fs::write(&path, json)
                .map_err(|error| work(format!("cannot write {}: {error}", path.display())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A challenge, as a broker writes it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    nonce: String,
    request: Box<serde_json::value::RawValue>,
}

fn keys() -> Result<ExitCode, Failure> {
    let mut tpm = Tpm::open().map_err(work)?.ok_or_else(|| work(NodeError::NoTpm))?;
    let keys = tpm.keys().map_err(work)?;
    let name = |public: &[u8]| Public::parse(public).map(|key| key.name().to_string()).map_err(work);
    let (ek, ak) = (name(&keys.ek_public)?, name(&keys.ak_public)?);
    print(&format!("endorsement key {ek}\nattestation key {ak}\n"))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let source: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut bytes = Vec::new();
    source.take(2 * MAX_LEN as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(words: &[&str]) -> String {
        match run(words.iter().map(OsString::from)) {
            Err(Failure::Use(text)) => text,
            Err(Failure::Work(text)) => panic!("work: {text}"),
            Ok(_) => panic!("{words:?} did something"),
        }
    }

    #[test]
    fn wrong_use_is_named() {
        assert_eq!(failure(&["chekc"]), "no command chekc");
        assert_eq!(failure(&["check", "--load"]), "invalid option '--load'");
        assert!(failure(&["collect"]).starts_with("collect needs --challenge"));
        assert!(failure(&["collect", "--challenge", "/nonexistent"]).contains("cannot read /nonexistent"));
        assert!(failure(&["collect", "--challenge", "/etc/passwd"]).contains("not a challenge"));
    }
}
