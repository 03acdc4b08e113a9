//! Appraisals on a terminal.
//!
//! Everything that comes from a file is anybody's text: it is put on one line, and nothing in it moves the cursor.

use super::explain::explain;
use super::outcome::{Appraisal, Status, Step, Verdict};
use super::tree::{Node, Tone};
use crate::cli::plain;
use std::fmt::Write as _;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The tree.
    Inspect,
    /// The steps.
    Verify,
    /// The steps, and what a failure means.
    Explain,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// Most events, entries and the like of one node on a terminal; `--json` has them all.
const MAX_VALUE: usize = 2000;

/// One appraisal as text.
pub fn text(appraisal: &Appraisal, mode: Mode, color: bool) -> String {
    let paint = Paint { color };
    let mut out = String::new();
    let files: Vec<String> = appraisal.files.iter().map(|file| plain(file)).collect();
    let _ = writeln!(out, "{}  {}", paint.of(BOLD, &appraisal.tree.label), paint.of(DIM, &files.join(", ")));
    if !appraisal.tree.value.is_empty() {
        let _ = writeln!(out, "{}", plain(&appraisal.tree.value));
    }
    if mode == Mode::Inspect {
        let all: Vec<Node> = appraisal.tree.children.iter().cloned().chain([appraisal.trust()]).collect();
        children(&mut out, &all, "", paint);
        let _ = writeln!(out);
        return out;
    }
    for step in appraisal.steps.iter().filter(|step| step.status != Status::NotRun) {
        ran(&mut out, step, paint);
        if mode == Mode::Explain && step.status == Status::Fail {
            explained(&mut out, step, paint);
        }
    }
    let missing: Vec<&Step> = appraisal.steps.iter().filter(|step| step.status == Status::NotRun).collect();
    if !missing.is_empty() {
        let _ = writeln!(out, "\n{}", paint.of(DIM, "Not run for want of input:"));
        for step in missing {
            let _ = writeln!(
                out,
                "  {} {:>2} {:24} {}",
                paint.of(YELLOW, "–"),
                step.step,
                step.name,
                paint.of(DIM, &format!("{}; needs {}", plain(&step.expected), plain(&step.needs)))
            );
        }
    }
    verdict(&mut out, appraisal, paint);
    out
}

fn ran(out: &mut String, step: &Step, paint: Paint) {
    let (mark, color) = if step.status == Status::Pass { ("✔", GREEN) } else { ("✘", RED) };
    let found = plain(&step.found);
    if step.status == Status::Pass {
        let _ = writeln!(out, "  {} {:>2} {:24} {found}", paint.of(color, mark), step.step, step.name);
        return;
    }
    let _ = writeln!(out, "  {} {:>2} {}", paint.of(color, mark), step.step, paint.of(RED, &step.name));
    let _ = writeln!(out, "       expected {}", plain(&step.expected));
    let _ = writeln!(out, "       found    {found}");
}

fn explained(out: &mut String, step: &Step, paint: Paint) {
    let Some(check) = step.check else { return };
    let explanation = explain(check);
    let _ = writeln!(out, "       {} {}", paint.of(CYAN, "means   "), explanation.means);
    let _ = writeln!(out, "       {} {}", paint.of(CYAN, "usually "), explanation.cause);
}

fn verdict(out: &mut String, appraisal: &Appraisal, paint: Paint) {
    let count = |status| appraisal.steps.iter().filter(|step| step.status == status).count();
    let (passed, failed, missing) = (count(Status::Pass), count(Status::Fail), count(Status::NotRun));
    let (word, color) = match appraisal.verdict() {
        Verdict::Verified if !appraisal.has_signature() => ("nothing against it, and nothing signed", YELLOW),
        Verdict::Verified => ("verified", GREEN),
        Verdict::Refused => ("refused", RED),
        Verdict::Unreadable => ("nothing could be checked", YELLOW),
    };
    let _ = writeln!(
        out,
        "\n{}: {passed} checks hold, {failed} do not, {missing} could not run",
        paint.of(color, &word.to_uppercase())
    );
    for note in &appraisal.notes {
        let _ = writeln!(out, "  {}", paint.of(DIM, &plain(note)));
    }
    let _ = writeln!(out);
}

fn children(out: &mut String, nodes: &[Node], indent: &str, paint: Paint) {
    for (position, node) in nodes.iter().enumerate() {
        let last = position + 1 == nodes.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let label = plain(&node.label);
        let _ = write!(out, "{indent}{}", paint.of(DIM, branch));
        if node.value.is_empty() {
            let _ = writeln!(out, "{}", paint.of(BOLD, &label));
        } else {
            let mut value = plain(&node.value);
            if let Some((at, _)) = value.char_indices().nth(MAX_VALUE) {
                value.truncate(at);
                value.push('…');
            }
            let value = match node.tone {
                Tone::Plain => value,
                Tone::Good => paint.of(GREEN, &value),
                Tone::Bad => paint.of(RED, &value),
                Tone::Notice => paint.of(YELLOW, &value),
            };
            let _ = writeln!(out, "{}: {value}", paint.of(CYAN, &label));
        }
        children(out, &node.children, &format!("{indent}{below}"), paint);
    }
}

/// Colors, if the output has them.
#[derive(Debug, Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn of(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
