//! One page that stands alone: no script, nothing from the network, readable on paper and on a telephone.
//!
//! Values come from nodes and are hostile: each is escaped, and the page's own policy forbids scripts. Filters are boxes that style
//! sheets look at.

use super::time::rfc3339;
use super::{Change, Report};
use crate::finding::{Finding, Proof, Root, State};
use crate::profile::Excluded;
use std::fmt::Write as _;

/// A score of an earlier report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPoint {
    /// When that evidence was verified, in seconds since 1970.
    pub verified_at: u64,
    /// [`super::Score::per_mille`] of that report.
    pub per_mille: usize,
}

const STYLE: &str = include_str!("html/page.css");
/// Most points of a history line: more are narrower than a dot.
const MAX_POINTS: usize = 400;

/// The page. `history` is that of the subject and profile, oldest first, without this report.
pub fn html(report: &Report, history: &[HistoryPoint], changes: Option<&[Change]>) -> String {
    let mut out = String::with_capacity(64 * 1024);
    head(&mut out, report);
    top(&mut out, report);
    history_line(&mut out, report, history);
    out.push_str("<section aria-labelledby=\"findings\"><h2 id=\"findings\">Findings</h2>\n");
    filters(&mut out, report);
    for state in State::ALL {
        report.in_state(state).into_iter().for_each(|finding| item(&mut out, finding));
    }
    out.push_str("</section>\n");
    if let Some(changes) = changes {
        changed(&mut out, changes);
    }
    tailoring(&mut out, report);
    evidence(&mut out, report);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn head(out: &mut String, report: &Report) {
    let title = format!("{}: {}", report.subject, report.profile.title);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n",
        escaped(&title),
        filter_rules()
    );
    let _ = write!(
        out,
        "<header><h1>{}</h1>\n<p>{}</p>\n<p class=\"soft\">{}, evidence of {}</p></header>\n",
        escaped(&report.subject),
        escaped(&report.profile.title),
        escaped(&report.profile.benchmark),
        rfc3339(report.verified_at)
    );
}

/// A box that is not ticked hides what it stands for.
fn filter_rules() -> String {
    let states = State::ALL.map(State::as_str).map(|name| ("state", name, slug(name)));
    let roots = Root::ALL.map(Root::as_str).map(|name| ("root", name, slug(name)));
    let rule = |(kind, name, slug): (&str, &str, String)| {
        format!(
            "body:has(#{kind}-{slug}:not(:checked)) details[data-{kind}=\"{name}\"] {{ display: none; }}\n"
        )
    };
    states.into_iter().chain(roots).map(rule).collect()
}

fn slug(name: &str) -> String {
    name.replace('+', "-")
}

fn top(out: &mut String, report: &Report) {
    let score = &report.score;
    // The circle's length is 2 pi 45; a share of it is drawn.
    let length = 282_743_usize;
    let drawn = length.saturating_mul(score.per_mille()) / 1000;
    let _ = write!(
        out,
        "<div class=\"top\">\n<svg class=\"ring\" viewBox=\"0 0 100 100\" role=\"img\" aria-label=\"{} of {} items pass, {}\">\
         <circle class=\"track\" cx=\"50\" cy=\"50\" r=\"45\"/>\
         <circle class=\"value\" cx=\"50\" cy=\"50\" r=\"45\" stroke-dasharray=\"{}.{:03} 283\"/>\
         <text x=\"50\" y=\"53\">{}</text><text class=\"small\" x=\"50\" y=\"67\">{} of {}</text></svg>\n<dl class=\"counts\">\n",
        score.pass,
        score.applicable(),
        score.percent(),
        drawn / 1000,
        drawn % 1000,
        score.percent().replace(' ', "\u{a0}"),
        score.pass,
        score.applicable()
    );
    for (state, count) in [
        (State::Fail, score.fail),
        (State::Unknown, score.unknown),
        (State::Pass, score.pass),
        (State::NotApplicable, score.not_applicable),
    ] {
        let _ = writeln!(out, "<div class=\"{state}\"><dt>{}</dt><dd>{count}</dd></div>", spoken(state));
    }
    out.push_str("</dl>\n</div>\n");
}

fn spoken(state: State) -> &'static str {
    match state {
        State::Pass => "Passes",
        State::Fail => "Fails",
        State::NotApplicable => "Does not apply",
        State::Unknown => "Not known",
    }
}

/// A sign beside the word, so that colour is not the only difference.
fn sign(state: State) -> &'static str {
    match state {
        State::Pass => "\u{2713}",
        State::Fail => "\u{2717}",
        State::NotApplicable => "\u{2013}",
        State::Unknown => "?",
    }
}

fn history_line(out: &mut String, report: &Report, history: &[HistoryPoint]) {
    let now = HistoryPoint { verified_at: report.verified_at, per_mille: report.score.per_mille() };
    let skipped = history.len().saturating_sub(MAX_POINTS);
    let points: Vec<HistoryPoint> = history
        .iter()
        .skip(skipped)
        .filter(|point| point.verified_at < now.verified_at)
        .copied()
        .chain([now])
        .collect();
    let (Some(first), true) = (points.first(), points.len() > 1) else { return };
    let span = now.verified_at.saturating_sub(first.verified_at).max(1);
    let place = |point: &HistoryPoint| {
        let x = 10 + 980 * point.verified_at.saturating_sub(first.verified_at) / span;
        let y = 10 + 100_usize.saturating_sub(point.per_mille.min(1000) / 10);
        (x, y)
    };
    let line: Vec<String> = points.iter().map(place).map(|(x, y)| format!("{x},{y}")).collect();
    let _ = write!(
        out,
        "<section aria-labelledby=\"history\"><h2 id=\"history\">History</h2>\n\
         <svg class=\"history\" viewBox=\"0 0 1000 120\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Score from {} per cent on {} to {} per cent on {}, in {} reports\">\
         <polyline points=\"{}\"/></svg>\n\
         <p class=\"soft\">{} to {}, 0 to 100 %</p></section>\n",
        first.per_mille / 10,
        rfc3339(first.verified_at),
        now.per_mille / 10,
        rfc3339(now.verified_at),
        points.len(),
        line.join(" "),
        rfc3339(first.verified_at),
        rfc3339(now.verified_at)
    );
}

fn changed(out: &mut String, changes: &[Change]) {
    out.push_str(
        "<section aria-labelledby=\"changes\"><h2 id=\"changes\">Changed since the last report</h2>\n",
    );
    if changes.is_empty() {
        out.push_str("<p>Nothing.</p></section>\n");
        return;
    }
    out.push_str("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Item</th><th scope=\"col\">Before</th><th scope=\"col\">Now</th></tr></thead><tbody>\n");
    for change in changes {
        let cell = |label: &str, state: Option<State>, found: &str| {
            let state = state.map_or("not in the report", spoken);
            format!(
                "<td data-label=\"{label}\">{state}<br><span class=\"mono\">{}</span></td>",
                escaped(found)
            )
        };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{} {}</th>{}{}</tr>",
            escaped(&change.item),
            escaped(&change.title),
            cell("Before", change.before, &change.found_before),
            cell("Now", change.now, &change.found_now)
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

fn filters(out: &mut String, report: &Report) {
    let mut boxes = |legend: &str, kind: &str, names: Vec<(&str, String, usize)>| {
        let _ = write!(out, "<fieldset><legend>{legend}</legend>");
        for (name, label, count) in names.into_iter().filter(|(.., count)| *count > 0) {
            let _ = write!(
                out,
                "<label><input type=\"checkbox\" id=\"{kind}-{}\" checked> {label} ({count})</label>",
                slug(name)
            );
        }
        out.push_str("</fieldset>\n");
    };
    let count =
        |test: &dyn Fn(&Finding) -> bool| report.findings.iter().filter(|finding| test(finding)).count();
    let states =
        State::ALL.map(|state| (state.as_str(), spoken(state).to_owned(), count(&|f| f.state == state)));
    let roots = Root::ALL.map(|root| (root.as_str(), root.to_string(), count(&|f| f.root == root)));
    boxes("Show findings that are", "state", states.to_vec());
    boxes("and that rest on", "root", roots.to_vec());
}

fn item(out: &mut String, finding: &Finding) {
    let open = if finding.state == State::Fail { " open" } else { "" };
    let _ = write!(
        out,
        "<details data-state=\"{state}\" data-root=\"{root}\"{open}><summary>\
         <span class=\"state {state}\"><span aria-hidden=\"true\">{}</span> {}</span><span class=\"mono\">{}</span>\
         <span class=\"title\">{}</span><span class=\"meta\">{}, {root}</span></summary>\n<div class=\"body\">\n",
        sign(finding.state),
        spoken(finding.state),
        escaped(&finding.item),
        escaped(&finding.title),
        finding.severity.as_str(),
        state = finding.state,
        root = finding.root
    );
    for reason in &finding.reasons {
        let _ = writeln!(out, "<p>{}</p>", escaped(&reason.to_string()));
    }
    if !finding.proofs.is_empty() {
        out.push_str("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">What</th><th scope=\"col\">Found</th><th scope=\"col\">Required</th><th scope=\"col\">Proof</th></tr></thead><tbody>\n");
        finding.proofs.iter().for_each(|proof| proof_row(out, proof));
        out.push_str("</tbody></table></div>\n");
    }
    if matches!(finding.state, State::Fail | State::Unknown) {
        let _ = writeln!(out, "<p><strong>To mend:</strong> {}</p>", escaped(&finding.remediation));
    }
    out.push_str("</div></details>\n");
}

fn proof_row(out: &mut String, proof: &Proof) {
    let mut place = proof.root.to_string();
    if let Some(pcr) = proof.pcr {
        let _ = write!(place, ", PCR {pcr}");
    }
    if let Some(index) = proof.log_index {
        let _ = write!(place, ", entry {index}");
    }
    let hash = proof.hash.as_deref().unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td data-label=\"What\">{}</td><td class=\"mono\" data-label=\"Found\">{}</td>\
         <td class=\"mono\" data-label=\"Required\">{}</td><td data-label=\"Proof\">{place}<br><code>{}</code></td></tr>",
        escaped(&proof.subject),
        escaped(&proof.found),
        escaped(&proof.required),
        escaped(hash)
    );
}

fn tailoring(out: &mut String, report: &Report) {
    let set = &report.tailoring.set;
    if report.excluded.is_empty() && set.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"tailoring\"><h2 id=\"tailoring\">Tailoring</h2>\n<ul>\n");
    for Excluded { item, title, reason } in &report.excluded {
        let (item, title, reason) = (escaped(item), escaped(title), escaped(reason));
        let _ = writeln!(out, "<li>{item} {title} is left out: {reason}</li>");
    }
    for (name, value) in set {
        let _ = writeln!(out, "<li><code>{} = {}</code></li>", escaped(name), escaped(value));
    }
    out.push_str("</ul></section>\n");
}

fn evidence(out: &mut String, report: &Report) {
    let hashes: Vec<String> = report.profile.sha256.iter().map(ToString::to_string).collect();
    let round = report.round.map_or_else(|| "none".to_owned(), |round| round.to_string());
    let _ = write!(
        out,
        "<section aria-labelledby=\"evidence\"><h2 id=\"evidence\">Evidence</h2>\n<div class=\"scroll\"><table><tbody>\n\
         <tr><th scope=\"row\">Binding level</th><td>{}</td></tr>\n<tr><th scope=\"row\">Round</th><td><code>{round}</code></td></tr>\n\
         <tr><th scope=\"row\">Verified</th><td>{}</td></tr>\n<tr><th scope=\"row\">Evaluated</th><td>{}</td></tr>\n\
         <tr><th scope=\"row\">Profile</th><td>{} <code>{}</code></td></tr>\n</tbody></table></div></section>\n",
        report.binding_level.as_str(),
        rfc3339(report.verified_at),
        rfc3339(report.evaluated_at),
        escaped(&report.profile.id),
        hashes.join(" ")
    );
}

/// Text for an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
