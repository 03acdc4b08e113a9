//! What was found of a node, round by round.

use super::ComplianceError;
use super::nodes::name;
use crate::storage::{Storage, Table};
use sealpod_compliance::report::{Change, HistoryPoint, Report};
use sealpod_evidence::node::NodePath;
use sealpod_verifier::UnixTime;

/// Keep a report and the evidence that it was made from.
///
/// # Errors
///
/// The store's.
pub fn keep(storage: &dyn Storage, report: &Report, evidence: &[u8]) -> Result<(), ComplianceError> {
    let node = name(&report.subject)?;
    let at = report.verified_at;
    // Ten digits, so that names sort by time until the year 2286.
    storage.put(Table::Rounds, &format!("{node}/evidence/{at:010}"), evidence)?;
    let record = format!("{node}/report/{}/{at:010}", report.profile.id);
    storage.put(Table::Rounds, &record, report.to_json().as_bytes())?;
    Ok(())
}

/// Forget the evidence of a round and the reports that were made from it.
///
/// # Errors
///
/// The store's.
pub fn forget(
    storage: &dyn Storage,
    node: &str,
    profiles: &[String],
    at: UnixTime,
) -> Result<(), ComplianceError> {
    let node = name(node)?;
    storage.delete(Table::Rounds, &format!("{node}/evidence/{at:010}"))?;
    for profile in profiles {
        storage.delete(Table::Rounds, &format!("{node}/report/{profile}/{at:010}"))?;
    }
    Ok(())
}

/// Reports of one node and profile, oldest first.
///
/// # Errors
///
/// The store's, and reports that do not parse.
pub fn reports(storage: &dyn Storage, node: &str, profile: &str) -> Result<Vec<Report>, ComplianceError> {
    let prefix = format!("{}/report/{profile}/", name(node)?);
    let mut reports = Vec::new();
    for (record, _) in storage.list(Table::Rounds)? {
        if record.starts_with(&prefix)
            && let Some(bytes) = storage.get(Table::Rounds, &record)?
        {
            reports.push(Report::parse(&bytes)?);
        }
    }
    Ok(reports)
}

/// Profiles that a node was held against.
///
/// # Errors
///
/// The store's.
pub fn profiles(storage: &dyn Storage, node: &str) -> Result<Vec<String>, ComplianceError> {
    let prefix = format!("{}/report/", name(node)?);
    let records = storage.list(Table::Rounds)?;
    let found = records
        .iter()
        .filter_map(|(record, _)| Some(record.strip_prefix(&prefix)?.rsplit_once('/')?.0.to_owned()));
    let mut found: Vec<String> = found.collect();
    found.dedup();
    Ok(found)
}

/// Keep the paths that settings of a node name, so that the next challenge asks for them.
///
/// # Errors
///
/// The store's.
pub fn keep_named_paths(
    storage: &dyn Storage,
    node: &str,
    profile: &str,
    paths: &[NodePath],
) -> Result<(), ComplianceError> {
    let record = format!("{}/named/{profile}", name(node)?);
    Ok(storage.put(Table::Rounds, &record, &serde_json::to_vec(paths).unwrap_or_default())?)
}

/// The paths that were kept; none before the first round.
///
/// # Errors
///
/// The store's, and a record that does not parse.
pub fn named_paths(
    storage: &dyn Storage,
    node: &str,
    profile: &str,
) -> Result<Vec<NodePath>, ComplianceError> {
    let record = format!("{}/named/{profile}", name(node)?);
    let Some(bytes) = storage.get(Table::Rounds, &record)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes)
        .map_err(|error| ComplianceError::Record { name: record, found: error.to_string() })
}

/// The points of a history line.
pub fn points(reports: &[Report]) -> Vec<HistoryPoint> {
    let point = |report: &Report| HistoryPoint {
        verified_at: report.verified_at,
        per_mille: report.score.per_mille(),
    };
    reports.iter().map(point).collect()
}

/// What changed from round to round since a time, oldest first: when, and what.
pub fn drift(reports: &[Report], since: UnixTime) -> Vec<(UnixTime, Change)> {
    let pairs = reports.windows(2).filter_map(|pair| match pair {
        [before, now] if now.verified_at >= since => Some((now, before)),
        _ => None,
    });
    pairs
        .flat_map(|(now, before)| {
            now.changes_since(before).into_iter().map(|change| (now.verified_at, change))
        })
        .collect()
}
