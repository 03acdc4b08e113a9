//! Reports in the form asked for.

use super::{CliError, colours};
use crate::clock::rfc3339;
use crate::compliance::{ComplianceError, history};
use crate::storage::Storage;
use sealpod_compliance::report::{self, Report};
use sealpod_verifier::UnixTime;
use std::io::Write as _;
use std::path::Path;

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people: summary, failures, what changed.
    Terminal,
    /// All that an auditor needs beside the evidence.
    Json,
    /// OSCAL assessment results.
    Oscal,
    /// OCSF Compliance Findings, one a line.
    Ocsf,
    /// An OpenReports ClusterReport.
    Openreports,
    /// One page that stands alone.
    Html,
}

/// Writes the last of these reports.
pub fn write(reports: &[Report], format: &Format, output: Option<&Path>) -> Result<(), CliError> {
    let Some((last, before)) = reports.split_last() else {
        return Err(ComplianceError::NoHistory { name: "asked for".to_owned(), profile: None }.into());
    };
    let changes = before.last().map(|before| last.changes_since(before));
    let text = match format {
        Format::Terminal => report::terminal(last, changes.as_deref(), output.is_none() && colours()),
        Format::Json => last.to_json() + "\n",
        Format::Oscal => lines([report::oscal(last)]),
        Format::Ocsf => lines(report::ocsf(last)),
        Format::Openreports => lines([report::openreports(last)]),
        Format::Html => report::html(last, &history::points(before), changes.as_deref()),
    };
    match output {
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
        Some(path) => {
            std::fs::write(path, text).map_err(|source| CliError::Written { path: path.to_owned(), source })
        }
    }
}

fn lines(values: impl IntoIterator<Item = serde_json::Value>) -> String {
    values.into_iter().map(|value| format!("{value}\n")).collect()
}

/// Prints what changed from round to round.
pub fn drift(storage: &dyn Storage, node: &str, since: UnixTime, json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    for profile in history::profiles(storage, node)? {
        for (at, change) in history::drift(&history::reports(storage, node, &profile)?, since) {
            if json {
                let line = serde_json::json!({"profile": profile, "at": at, "change": change});
                writeln!(out, "{line}")?;
                continue;
            }
            let state = |state: &Option<_>| state.map_or("none", sealpod_compliance::State::as_str);
            let (before, now) = (state(&change.before), state(&change.now));
            writeln!(out, "{}  {profile} {}  {before} → {now}", rfc3339(at), change.item)?;
            writeln!(out, "    {}", super::super::plain(&change.title))?;
            let last = rfc3339(change.before_at);
            writeln!(out, "    before (until {last}): {}", super::super::plain(&change.found_before))?;
            writeln!(out, "    now: {}", super::super::plain(&change.found_now))?;
        }
    }
    Ok(())
}
