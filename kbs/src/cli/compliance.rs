//! `compliance`.

mod output;

use super::CliError;
use super::error::read;
use crate::clock::{Clock as _, SystemClock};
use crate::compliance::nodes::{self, Assigned};
use crate::compliance::{history, online, profiles, rounds};
use crate::layout::Layout;
use crate::storage::FileStorage;
use output::Format;
use sealpod_compliance::profile::BUILTIN;
use sealpod_compliance::report::Report;
use sealpod_compliance::{Profile, Tailoring, follow_up};
use sealpod_verifier::UnixTime;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the profiles that are shipped, with the number of items by root of trust.
    Profiles {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a profile's text, to be copied and changed.
    #[command(after_help = "Example: sealpod-kbs compliance show pod-baseline >ours.yaml")]
    Show {
        /// A profile that is shipped.
        profile: String,
    },
    /// Explain the mistakes in a profile. Exits with 1 if there are any.
    #[command(after_help = "Example: sealpod-kbs compliance lint ours.yaml")]
    Lint {
        /// A file.
        file: PathBuf,
    },
    /// Enrol a node by its attestation key, which its operator reads with `sealpod-guest node keys`.
    /// Doing so again with the same key sets profiles and hold anew.
    #[command(after_help = "Example:
  sealpod-kbs compliance enrol worker-1 --ak 000b5f6e… --profile cis-kubernetes-1.7.1-worker-l1 --hold --dir DIR")]
    Enrol {
        /// The owner's name for it.
        node: String,
        /// Name of its attestation key, hex.
        #[arg(long, value_name = "NAME")]
        ak: String,
        /// A profile that is shipped, or a file, that each round of `sealpod-guest node run` is held against. Several may be named.
        #[arg(long, value_name = "NAME|FILE")]
        profile: Vec<String>,
        #[command(flatten)]
        tailored: Tailored,
        /// Hold the node from a round with a failing item until one without.
        #[arg(long, requires = "profile")]
        hold: bool,
    },
    /// List enrolled nodes, what is kept of them, and which are held.
    Nodes,
    /// Forget a node; its history stays.
    Remove {
        /// Which.
        node: String,
    },
    /// Make a challenge for a node: a nonce, and what profiles need to have measured. JSON.
    #[command(after_help = "Example:
  sealpod-kbs compliance challenge worker-1 --profile cis-kubernetes-1.7.1-worker-l1 --dir DIR >challenge.json")]
    Challenge {
        /// Which.
        node: String,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Verify a node's answer to its challenge, evaluate a profile, keep and print the report.
    #[command(after_help = "Example:
  sealpod-kbs compliance report worker-1 evidence.json --profile cis-kubernetes-1.7.1-worker-l1 --format html --output report.html --dir DIR

Exit codes: 0 every item passes or does not apply; 1 refused or an error; 4 some item fails or is unknown.")]
    Report {
        /// Which.
        node: String,
        /// What `sealpod-guest node collect` wrote; `-` for standard input.
        evidence: PathBuf,
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        printed: Printed,
    },
    /// Print a report that was kept, by default the last, in any format.
    #[command(
        after_help = "Example: sealpod-kbs compliance print worker-1 --profile pod-baseline --format oscal --dir DIR"
    )]
    Print {
        /// Which node.
        node: String,
        /// Which profile.
        #[arg(long)]
        profile: String,
        #[command(flatten)]
        printed: Printed,
    },
    /// Show how a node's score went.
    History {
        /// Which.
        node: String,
        /// Only this profile.
        #[arg(long)]
        profile: Option<String>,
    },
    /// Show what changed from round to round: item, before and after, and when it was last as before.
    #[command(after_help = "Example: sealpod-kbs compliance drift worker-1 --since 1767225600 --dir DIR")]
    Drift {
        /// Which.
        node: String,
        /// Only changes since, in seconds since 1970.
        #[arg(long, default_value_t = 0)]
        since: UnixTime,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Verify a report from the evidence alone. Needs no broker.
    #[command(
        after_help = "Example: sealpod-kbs compliance verify report.json --evidence evidence.json --ak 000b5f6e…

Exit codes: 0 the evidence gives this very report; 3 it does not, each place is named; 1 an error."
    )]
    Verify {
        /// A report, JSON.
        report: PathBuf,
        /// The evidence that it was made from.
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
        /// Name of the node's attestation key, hex: the root of trust.
        #[arg(long, value_name = "NAME")]
        ak: String,
        /// The profile's text, where it is not one that is shipped.
        #[arg(long, value_name = "FILE")]
        profile: Option<PathBuf>,
    },
}

/// Which profile, and what is changed about it.
#[derive(Debug, clap::Args)]
pub struct Chosen {
    /// A profile that is shipped, or a file.
    #[arg(long, required = true, value_name = "NAME|FILE")]
    profile: Vec<String>,
    #[command(flatten)]
    tailored: Tailored,
}

/// What is changed about a profile.
#[derive(Debug, clap::Args)]
pub struct Tailored {
    /// What the organisation changes, and why: YAML with `include`, `exclude`, `set`, `max-age`.
    #[arg(long, value_name = "FILE")]
    tailoring: Option<PathBuf>,
    /// Set one parameter of an item.
    #[arg(long, value_name = "ITEM.PARAM=VALUE")]
    set: Vec<String>,
}

/// In which form, and where to.
#[derive(Debug, clap::Args)]
pub struct Printed {
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Write to this file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    let open = || FileStorage::open(&layout.store());
    match command {
        Command::Profiles { json } => list_profiles(json)?,
        Command::Show { profile } => write!(out, "{}", profiles::shipped(&profile)?)?,
        Command::Lint { file } => lint(&file)?,
        Command::Enrol { node, ak, profile, tailored, hold } => {
            let assigned = tailored.assigned(&profile)?;
            for profile in &assigned {
                profile.profile()?;
            }
            let storage = open()?;
            nodes::enrol(&storage, &node, &ak, SystemClock.now())?;
            let node = nodes::assign(&storage, &node, assigned, hold)?;
            writeln!(out, "enrolled {} with key {}", node.name, node.ak_name)?;
        }
        Command::Nodes => list_nodes(&open()?)?,
        Command::Remove { node } => {
            if !nodes::remove(&open()?, &node)? {
                let list = "sealpod-kbs compliance nodes";
                return Err(CliError::Missing { what: format!("node {node}"), list });
            }
        }
        Command::Challenge { node, chosen } => challenge(&open()?, &node, &chosen)?,
        Command::Report { node, evidence, chosen, printed } => {
            return report(&open()?, &node, &evidence, &chosen, &printed);
        }
        Command::Print { node, profile, printed } => {
            let reports = history::reports(&open()?, &node, &profile)?;
            output::write(&reports, &printed.format, printed.output.as_deref())?;
        }
        Command::History { node, profile } => show_history(&open()?, &node, profile.as_deref())?,
        Command::Drift { node, since, json } => output::drift(&open()?, &node, since, json)?,
        Command::Verify { report, evidence, ak, profile } => {
            return verify(&report, &evidence, &ak, profile.as_deref());
        }
    }
    Ok(())
}

impl Chosen {
    fn profiles(&self) -> Result<Vec<Profile>, CliError> {
        let assigned = self.tailored.assigned(&self.profile)?;
        assigned.iter().map(|assigned| Ok(assigned.profile()?)).collect()
    }
}

impl Tailored {
    fn assigned(&self, profiles: &[String]) -> Result<Vec<Assigned>, CliError> {
        let mut tailoring = match &self.tailoring {
            None => Tailoring::default(),
            Some(path) => Tailoring::parse(&read(path)?).map_err(|error| mistakes(path, &error))?,
        };
        for set in &self.set {
            tailoring.set_from(set).map_err(|error| mistakes(Path::new("--set"), &error))?;
        }
        let one = |name: &String| {
            let (name, tailoring, path) = (name.clone(), tailoring.clone(), Path::new(name));
            let text = match profiles::shipped(&name) {
                Ok(_) => None,
                Err(_) if path.exists() => {
                    Some(String::from_utf8(read(path)?).map_err(|error| mistakes(path, &error))?)
                }
                Err(error) => return Err(error.into()),
            };
            Ok(Assigned { name, text, tailoring })
        };
        profiles.iter().map(one).collect()
    }
}

fn mistakes(path: &Path, error: &impl std::fmt::Display) -> CliError {
    CliError::Profile { name: path.display().to_string(), mistakes: vec![error.to_string()] }
}

fn list_profiles(json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    let mut all = Vec::new();
    for (id, text) in BUILTIN {
        all.push(profiles::read(id, text.as_bytes(), &Tailoring::default())?);
    }
    if json {
        let list: Vec<_> = all
            .iter()
            .map(|profile| serde_json::json!({"id": profile.id, "title": profile.title, "items": profile.items.len(), "roots": profile.roots()}))
            .collect();
        writeln!(out, "{}", serde_json::Value::from(list))?;
        return Ok(());
    }
    for profile in all {
        let roots = profile.roots().into_iter().filter(|(_, count)| *count > 0);
        let roots: Vec<String> = roots.map(|(root, count)| format!("{count} {root}")).collect();
        writeln!(out, "{:35} {:3} items: {}", profile.id, profile.items.len(), roots.join(", "))?;
        writeln!(out, "    {}", profile.title)?;
    }
    Ok(())
}

fn list_nodes(storage: &FileStorage) -> Result<(), CliError> {
    for node in nodes::list(storage)? {
        let found = online::progress(storage, &node.name)?;
        let kept = history::profiles(storage, &node.name)?.join(", ");
        let mut line = format!("{}  {}  {kept}", node.name, node.ak_name);
        if let Some(last) = found.last {
            line.push_str(&format!("  last round {}", crate::clock::rfc3339(last)));
        }
        if let Some(since) = found.held.filter(|_| node.hold) {
            line.push_str(&format!("  HELD since {}", crate::clock::rfc3339(since)));
        }
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

fn lint(file: &Path) -> Result<(), CliError> {
    let found: Vec<String> = profiles::lint(&read(file)?).iter().map(ToString::to_string).collect();
    if found.is_empty() {
        return Ok(writeln!(std::io::stdout(), "{}: no mistakes", file.display())?);
    }
    Err(CliError::Profile { name: file.display().to_string(), mistakes: found })
}

fn challenge(storage: &FileStorage, node: &str, chosen: &Chosen) -> Result<(), CliError> {
    let (now, chosen) = (SystemClock.now(), chosen.profiles()?);
    nodes::get(storage, node)?.forget_old_challenges(storage, now)?;
    let mut more = Vec::new();
    for profile in &chosen {
        more.extend(history::named_paths(storage, node, &profile.id)?);
    }
    let challenge = rounds::challenge(storage, node, &chosen, &more, now)?;
    writeln!(std::io::stdout(), "{}", serde_json::json!(challenge))?;
    Ok(())
}

fn report(
    storage: &FileStorage,
    node: &str,
    evidence: &Path,
    chosen: &Chosen,
    printed: &Printed,
) -> Result<(), CliError> {
    let (now, bytes) = (SystemClock.now(), read(evidence)?);
    let chosen = chosen.profiles()?;
    let round = rounds::answer(storage, node, &rounds::parse(&bytes)?, now)?;
    let mut open = 0;
    for profile in &chosen {
        let report = Report::new(node, &round.appraised, profile, now);
        open += report.score.fail + report.score.unknown;
        history::keep(storage, &report, &bytes)?;
        history::keep_named_paths(storage, node, &profile.id, &follow_up(&round.appraised, profile))?;
        let reports = history::reports(storage, node, &profile.id)?;
        output::write(&reports, &printed.format, printed.output.as_deref())?;
    }
    if open > 0 { Err(CliError::Findings { count: open }) } else { Ok(()) }
}

fn show_history(storage: &FileStorage, node: &str, only: Option<&str>) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    for profile in history::profiles(storage, node)? {
        if only.is_none_or(|only| only == profile) {
            for report in history::reports(storage, node, &profile)? {
                let at = crate::clock::rfc3339(report.verified_at);
                writeln!(out, "{at}  {profile}  {}", report.summary())?;
            }
        }
    }
    Ok(())
}

fn verify(report: &Path, evidence: &Path, ak: &str, profile: Option<&Path>) -> Result<(), CliError> {
    let claimed = Report::parse(&read(report)?).map_err(crate::compliance::ComplianceError::from)?;
    let text = match profile {
        Some(path) => read(path)?,
        None => profiles::shipped(&claimed.profile.id)?.as_bytes().to_vec(),
    };
    let profile = profiles::read(&claimed.profile.id, &text, &claimed.tailoring)?;
    let evidence = rounds::parse(&read(evidence)?)?;
    let round = rounds::verified(&nodes::key_name(ak)?, &evidence.nonce, &evidence, claimed.verified_at)?;
    let ours = Report::new(&claimed.subject, &round.appraised, &profile, claimed.evaluated_at);
    let differences = ours.differences(&claimed);
    let mut out = std::io::stdout();
    if differences.is_empty() {
        let at = crate::clock::rfc3339(claimed.verified_at);
        writeln!(out, "✔ the evidence gives this report: {} ({})", ours.summary(), ours.profile.id)?;
        writeln!(
            out,
            "  not proved by it: that the nonce was fresh at {at}, which the broker that gave it knows"
        )?;
        return Ok(());
    }
    for difference in &differences {
        let (expected, found) = (super::plain(&difference.expected), super::plain(&difference.found));
        writeln!(
            out,
            "✘ {}: the evidence gives {expected}, the report says {found}",
            super::plain(&difference.place)
        )?;
    }
    Err(CliError::Forged { count: differences.len() })
}

/// Whether colours are for somebody's eyes.
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
