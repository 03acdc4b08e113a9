//! `evidence`.

mod input;
mod look;

use super::CliError;
use crate::archive;
use crate::inspect::Mode;
use crate::layout::Layout;
use crate::storage::{FileStorage, Storage as _, Table};
use input::Options;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the attestations whose evidence is kept, oldest first.
    List,
    /// Print one attestation's request and decision, JSON.
    #[command(
        after_help = "Example: sealpod-kbs evidence show 006a1c2f30-0123456789abcdef --dir DIR | jq .decision"
    )]
    Show {
        /// The id, as audit lines carry it.
        id: String,
    },
    /// Say what evidence is and what is in it, field by field. Needs no broker.
    #[command(after_help = INSPECT_HELP)]
    Inspect {
        /// Evidence, in any form that is recognised; `-` is standard input. Put files before options that take several values.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Run every check that the input allows. Needs no broker.
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// Evidence. Files that belong together (message, signature and logs of one machine) are one appraisal.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// As verify, and what each failure means and usually comes from; or the same for a check by its name.
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// Evidence, or the name of a check.
        #[arg(required_unless_present = "list", value_name = "FILE|CHECK")]
        files: Vec<PathBuf>,
        /// List every check.
        #[arg(long)]
        list: bool,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Propose Reference Values from a machine that is known to be good, for review. Needs no broker.
    #[command(after_help = LEARN_HELP)]
    Learn {
        /// Evidence of one machine: a bundle, or report, boot log and IMA log.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Where the document goes, instead of standard output. It must not exist yet.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

const INSPECT_HELP: &str = "Examples:
  sealpod-kbs evidence inspect report.bin
  sealpod-kbs evidence inspect /sys/kernel/security/tpm0/binary_bios_measurements
  sealpod-kbs evidence show ID --dir DIR | sealpod-kbs evidence inspect -

Exit codes: 0 read; 1 recognised, but malformed; 2 not recognised, or wrong arguments.";

const VERIFY_HELP: &str = "Examples:
  sealpod-kbs evidence verify report.bin --chain vcek.der cert_chain.pem
  sealpod-kbs evidence verify report.bin --chain vlek.der vlek_chain.pem --time 2024-03-01T00:00:00Z
  sealpod-kbs evidence verify quote.dat CCEL --collateral collateral.json --nonce 0011…
  sealpod-kbs evidence verify quote.msg quote.sig --ak ak.pub --pcrs pcrs.yaml --nonce challenge.bin
  sealpod-kbs evidence verify binary_runtime_measurements_sha256 binary_bios_measurements --pcrs pcrs.yaml
  sealpod-kbs evidence verify vcek.der --chain ask_ark.pem --crl milan.crl

Exit codes: 0 every check that could run holds; 1 one does not; 2 not recognised, nothing to check, or wrong arguments.";

const EXPLAIN_HELP: &str = "Examples:
  sealpod-kbs evidence explain report.bin --chain chain.pem
  sealpod-kbs evidence explain certificate-tcb
  sealpod-kbs evidence explain --list";

const LEARN_HELP: &str = "Example:
  sealpod-kbs evidence show ID --dir DIR > good.json
  sealpod-kbs evidence learn good.json --output proposed.json
  # read it, change its descriptions, then:
  sealpod-kbs reference add proposed.json --dir DIR

The document says what that machine was, not what it should be.";

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::List => list(layout)?,
        Command::Show { id } => show(layout, &id)?,
        Command::Inspect { files, options } => return look::run(Mode::Inspect, &files, &options),
        Command::Verify { files, options } => return look::run(Mode::Verify, &files, &options),
        Command::Explain { list: true, options, .. } => look::list_checks(options.json())?,
        Command::Explain { files, options, .. } => return look::explain(&files, &options),
        Command::Learn { files, output } => return look::learn(&files, output.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(layout: &Layout) -> Result<(), CliError> {
    let storage = FileStorage::open(&layout.store())?;
    let mut out = std::io::stdout();
    let mut found = Vec::new();
    for (table, verdict) in [(Table::Accepted, "allow"), (Table::Refused, "refuse")] {
        found.extend(storage.list(table)?.into_iter().map(|(id, size)| (id, verdict, size)));
    }
    found.sort();
    for (id, verdict, size) in found {
        writeln!(out, "{id}  {verdict}  {size} bytes")?;
    }
    Ok(())
}

fn show(layout: &Layout, id: &str) -> Result<(), CliError> {
    let storage = FileStorage::open(&layout.store())?;
    let mut out = std::io::stdout();
    let list = "sealpod-kbs evidence list";
    let missing = || CliError::Missing { what: format!("evidence {id}"), list };
    out.write_all(&archive::find(&storage, id)?.ok_or_else(missing)?)?;
    writeln!(out)?;
    Ok(())
}
