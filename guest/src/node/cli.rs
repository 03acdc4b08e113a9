//! `sealpod-guest node ...`.

use super::NodeError;
use super::broker::Broker;
use super::check::{self, Places};
use super::collect::{Challenge, collect};
use super::install::{self, Service};
use super::schedule;
use crate::tpm::Tpm;
use sealpod_evidence::node::evidence::MAX_NONCE;
use sealpod_evidence::node::request::{MAX_LEN, MeasureRequest};
use sealpod_evidence::tpm::Public;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

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
  run --broker URL --ca FILE --name NODE [--every SECONDS] [--once]
                      Make a round with a broker every hour, or only one (root)
  install --broker URL --ca FILE --name NODE [--every SECONDS] [--force] [--print]
                      Write the systemd units that do so, or only print them (root)
  help                This text

Examples:
  sealpod-guest node check
  sealpod-guest node keys
  sealpod-guest node collect --challenge challenge.json --output evidence.json
  sealpod-guest node run --broker https://kbs.example.org:8443 --ca ca.pem --name worker-1 --once

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
    let online = command == "run" || command == "install";
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
            Long("once") if command == "run" => options.once = true,
            Long("force") if command == "install" => options.force = true,
            Long("print") if command == "install" => options.print = true,
            Long(option @ ("broker" | "ca" | "name" | "every")) if online => {
                let option = option.to_owned();
                let value = parser.value().map_err(misuse)?;
                options.online(&option, value)?;
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
        Some("run") => rounds(&options),
        Some("install") => install(&options),
        _ => Err(misuse(format!("no command {}", command.to_string_lossy()))),
    }
}

#[derive(Default)]
struct Options {
    json: bool,
    load: bool,
    challenge: Option<PathBuf>,
    output: Option<PathBuf>,
    broker: Option<String>,
    ca: Option<PathBuf>,
    name: Option<String>,
    every: Option<u64>,
    once: bool,
    force: bool,
    print: bool,
}

impl Options {
    fn online(&mut self, option: &str, value: OsString) -> Result<(), Failure> {
        if option == "ca" {
            self.ca = Some(value.into());
            return Ok(());
        }
        let text = value.into_string().map_err(|_| misuse(format!("--{option}: not UTF-8")))?;
        match option {
            "broker" => self.broker = Some(text),
            "name" => self.name = Some(text),
            _ => {
                let range = schedule::EVERY;
                let every = text.parse().ok().filter(|every| range.contains(every));
                let (least, most) = (range.start(), range.end());
                let wrong = || misuse(format!("--every: expected {least} to {most} seconds, found {text:?}"));
                self.every = Some(every.ok_or_else(wrong)?);
            }
        }
        Ok(())
    }

    /// URL, authority and name of the node, and the broker that they make.
    fn target(&self) -> Result<(&str, &Path, &str, Broker), Failure> {
        let need = |option: &str| {
            misuse(format!("needs --broker URL, --ca FILE and --name NODE; --{option} is missing"))
        };
        let url = self.broker.as_deref().ok_or_else(|| need("broker"))?;
        let ca = self.ca.as_deref().ok_or_else(|| need("ca"))?;
        let name = self.name.as_deref().ok_or_else(|| need("name"))?;
        let broker = Broker::new(url, ca, name).map_err(misuse)?;
        Ok((url, ca, name, broker))
    }

    fn every(&self) -> u64 {
        self.every.unwrap_or(HOURLY)
    }
}

/// Seconds between rounds where nothing is said.
const HOURLY: u64 = 3600;

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

/// Rounds with a broker. Each is this same program with `--once`, in a process that ends with its round.
fn rounds(options: &Options) -> Result<ExitCode, Failure> {
    let (url, ca, name, broker) = options.target()?;
    if !nix::unistd::geteuid().is_root() {
        return Err(work(NodeError::NotRoot));
    }
    if options.once {
        return match broker.round(collect) {
            Ok(taken) => print(&format!("{taken}\n")),
            Err(error) => Err(work(error)),
        };
    }
    drop(broker);
    schedule::run(Duration::from_secs(options.every()), || {
        // The very program that runs, also after another was installed at its path.
        let mut round = Command::new("/proc/self/exe");
        round.args(["node", "run", "--once", "--broker", url, "--name", name, "--ca"]).arg(ca);
        round
    })
    .map_err(work)?;
    Ok(ExitCode::SUCCESS)
}

fn install(options: &Options) -> Result<ExitCode, Failure> {
    let (broker, ca, name, _) = options.target()?;
    let program = std::env::current_exe().map_err(work)?;
    let authority = std::path::absolute(ca).map_err(work)?;
    let service = Service { program: &program, broker, authority: &authority, name, every: options.every() };
    if options.print {
        for (name, text) in install::units(&service).map_err(misuse)? {
            print(&format!("# {}/{name}\n{text}\n", install::UNITS))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    install::install(Path::new(install::UNITS), &service, options.force).map_err(work)?;
    let (units, rounds, policy) = (install::UNITS, install::SERVICE, install::POLICY_SERVICE);
    print(&format!(
        "\
wrote {units}/{policy} and {units}/{rounds}

Next:
  sealpod-guest node keys                      the key by which the broker's owner enrols this node:
      sealpod-kbs compliance enrol {name} --ak KEY --profile PROFILE --dir DIR
  systemctl daemon-reload
  systemctl enable {policy} {rounds}
  reboot                                       so that the policy comes first
  journalctl -u {rounds}           one line for each round
"
    ))
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

    #[test]
    fn a_broker_is_named_completely_and_soundly() {
        let missing = "needs --broker URL, --ca FILE and --name NODE; --";
        assert_eq!(failure(&["run"]), format!("{missing}broker is missing"));
        assert_eq!(failure(&["install", "--broker", "https://kbs"]), format!("{missing}ca is missing"));
        let named = ["run", "--broker", "https://kbs", "--ca", "/etc/passwd"];
        assert_eq!(failure(&named), format!("{missing}name is missing"));
        let named = [&named[..], &["--name", "w"]].concat();
        assert_eq!(
            failure(&named),
            "--ca /etc/passwd: it holds no certificate; copy ca.pem from the broker's directory"
        );
        for every in ["9", "604801", "x"] {
            let expected = format!("--every: expected 10 to 604800 seconds, found {every:?}");
            assert_eq!(failure(&["run", "--every", every]), expected);
        }
        assert_eq!(failure(&["check", "--broker", "x"]), "invalid option '--broker'");
        assert_eq!(failure(&["run", "--force"]), "invalid option '--force'");
        assert!(
            failure(&["run", "--broker", "http://kbs", "--ca", "x", "--name", "w"]).starts_with("--broker: ")
        );
    }
}
