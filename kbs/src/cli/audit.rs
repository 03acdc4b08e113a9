//! `audit`.

use super::{CliError, plain};
use crate::audit;
use crate::layout::Layout;
use serde_json::Value;
use std::io::{BufWriter, Write as _};

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print all decisions, oldest first, and check that each line follows from the one before.
    #[command(
        after_help = "Example: sealpod-kbs audit show --json --dir DIR | jq 'select(.verdict == \"refuse\")'"
    )]
    Show {
        /// Print the lines as they are in the file.
        #[arg(long)]
        json: bool,
    },
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let Command::Show { json } = command;
    let mut out = BufWriter::new(std::io::stdout());
    let mut written = Ok(());
    let chain = audit::read(&layout.audit(), |line| {
        if written.is_ok() {
            written = if json { writeln!(out, "{line}") } else { writeln!(out, "{}", human(line)) };
        }
    })?;
    written?;
    out.flush()?;
    for line in &chain.torn {
        eprintln!("sealpod-kbs: line {line} of the audit log is not whole; a crash can leave such a line");
    }
    match chain.broken {
        None => Ok(()),
        Some(broken) => Err(CliError::Chain {
            line: broken.line,
            expected: broken.expected.to_string(),
            found: broken.found.to_string(),
        }),
    }
}

/// Time, verdict, action, subject, id; for refusals the check with what it expected and found.
fn human(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |name: &str| line[name].as_str();
    let mut out = Vec::new();
    out.extend(
        ["time", "verdict", "action", "subject", "id"].into_iter().filter_map(text).map(str::to_owned),
    );
    if let Some(check) = text("check") {
        let step = line["step"].as_u64().map(|step| format!("step {step}, ")).unwrap_or_default();
        let (expected, found) = (text("expected").unwrap_or("-"), text("found").unwrap_or("-"));
        out.push(format!("({step}{check}: expected {expected}, found {found})"));
    }
    plain(&out.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_has_no_control_characters() {
        let line = r#"{"time":"t","verdict":"refuse","action":"attest","step":14,"check":"foreign-file","expected":"x","found":"\u001b[2J\u202e"}"#;
        assert_eq!(
            human(line),
            "t refuse attest (step 14, foreign-file: expected x, found \u{fffd}[2J\u{fffd})"
        );
    }
}
