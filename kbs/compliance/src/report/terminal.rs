//! A report for a terminal: the summary, then what fails, then what is not known, then what changed.

use super::time::rfc3339;
use super::{Change, Report};
use crate::finding::{Finding, State};
use std::fmt::Write as _;

/// Columns before text is wrapped.
const WIDTH: usize = 100;

/// The text, with ANSI colours if asked for. `changes` are those since the last report, if there is one. Control characters that
/// a node's values may hold are shown as spaces, so that they do not reach the terminal.
pub fn terminal(report: &Report, changes: Option<&[Change]>, colours: bool) -> String {
    let mut out = String::new();
    let paint = |code: &str, text: &str| {
        if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let _ = writeln!(
        out,
        "{}",
        paint("1", &format!("{}: {}", plain(&report.subject), plain(&report.profile.title)))
    );
    let colour = if report.score.fail > 0 {
        "31"
    } else if report.score.unknown > 0 {
        "33"
    } else {
        "32"
    };
    let _ = writeln!(out, "{}", paint(colour, &report.summary()));
    let roots: Vec<String> = report.roots.iter().map(|(root, count)| format!("{count} {root}")).collect();
    let _ = writeln!(
        out,
        "verified {}, binding level {}, rooted in {}",
        rfc3339(report.verified_at),
        report.binding_level.as_str(),
        if roots.is_empty() { "nothing".to_owned() } else { roots.join(", ") }
    );
    if !report.excluded.is_empty() {
        let items: Vec<&str> = report.excluded.iter().map(|excluded| excluded.item.as_str()).collect();
        let _ = writeln!(out, "left out: {}", plain(&items.join(", ")));
    }
    for (state, heading, code) in [(State::Fail, "Fails", "31"), (State::Unknown, "Not known", "33")] {
        let findings = report.in_state(state);
        if findings.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}", paint(code, heading));
        findings.iter().for_each(|finding| item(&mut out, finding));
    }
    match changes {
        Some([]) => {
            let _ = writeln!(out, "\nNothing changed since the last report.");
        }
        Some(changes) => {
            let _ = writeln!(out, "\n{}", paint("1", "Changed since the last report"));
            changes.iter().for_each(|change| changed(&mut out, change));
        }
        None => {}
    }
    out
}

fn item(out: &mut String, finding: &Finding) {
    let _ = writeln!(
        out,
        "  {:<9} {:<8} {}",
        plain(&finding.item),
        finding.severity.as_str(),
        plain(&finding.title)
    );
    wrapped(out, "found", &finding.found());
    if finding.state == State::Fail {
        wrapped(out, "required", finding.required());
    }
    wrapped(out, "mend", &finding.remediation);
}

fn changed(out: &mut String, change: &Change) {
    let state = |state: Option<State>| state.map_or("none", State::as_str);
    let _ = writeln!(
        out,
        "  {:<9} {} -> {}  {}",
        plain(&change.item),
        state(change.before),
        state(change.now),
        plain(&change.title)
    );
    wrapped(out, "before", &change.found_before);
    wrapped(out, "now", &change.found_now);
}

/// A labelled text, wrapped at words.
fn wrapped(out: &mut String, label: &str, text: &str) {
    const INDENT: usize = 30;
    let mut line = format!("{:>20}{label:<9} ", "");
    let mut empty = true;
    for word in plain(text).split_whitespace() {
        if !empty && line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(INDENT);
        }
        line.push_str(word);
        line.push(' ');
        empty = false;
    }
    if !empty {
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Without control characters, and without those that turn the direction of text.
fn plain(text: &str) -> String {
    let safe = |c: char| {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { ' ' } else { c }
    };
    text.chars().map(safe).collect()
}
