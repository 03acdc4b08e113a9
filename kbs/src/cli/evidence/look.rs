//! `evidence inspect`, `verify`, `explain` and `learn`.

use super::super::CliError;
use super::input::{self, Options};
use crate::inspect::{
    Appraisal, Mode, NotRecognised, Piece, Verdict, appraise, events, explain_check, find_check,
    learn as propose, render, similar_checks,
};
use sealpod_verifier::Check;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Appraise, print, and give the exit code.
pub(super) fn run(mode: Mode, files: &[PathBuf], options: &Options) -> Result<ExitCode, CliError> {
    let input = options.read(files)?;
    let appraisals: Vec<(Piece, Appraisal)> =
        input.pieces.into_iter().map(|piece| (piece.clone(), appraise(&piece, &input.given))).collect();
    let mut out = std::io::stdout();
    if options.json() {
        let text = document(mode, &appraisals, &input.unreadable);
        serde_json::to_writer_pretty(&mut out, &text).map_err(|error| CliError::Output(error.into()))?;
        writeln!(out)?;
    } else {
        for (_, appraisal) in &appraisals {
            out.write_all(render(appraisal, mode, options.colors()).as_bytes())?;
        }
    }
    out.flush()?;
    input::complain(&input.unreadable);
    Ok(ExitCode::from(code(mode, &appraisals, &input.unreadable)))
}

fn code(mode: Mode, appraisals: &[(Piece, Appraisal)], unreadable: &[NotRecognised]) -> u8 {
    if !unreadable.is_empty() {
        return Verdict::Unreadable.exit_code();
    }
    let worst = |appraisal: &Appraisal| match (mode, appraisal.verdict()) {
        // Looking at something succeeds where it could be read.
        (Mode::Inspect, _) => u8::from(appraisal.is_malformed()),
        (_, verdict) => verdict.exit_code(),
    };
    appraisals.iter().map(|(_, appraisal)| worst(appraisal)).max().unwrap_or(Verdict::Unreadable.exit_code())
}

/// One object whatever was given: the appraisal, or a frame around several.
fn document(mode: Mode, appraisals: &[(Piece, Appraisal)], unreadable: &[NotRecognised]) -> Value {
    let mut all: Vec<Value> =
        appraisals.iter().map(|(piece, appraisal)| one(mode, piece, appraisal)).collect();
    all.extend(unreadable.iter().map(|error| {
        json!({"kind": "unknown", "verdict": "unreadable", "files": [error.name], "steps": [], "facts": {},
               "notes": [error.to_string()]})
    }));
    if all.len() == 1 {
        return all.remove(0);
    }
    let verdict = match unreadable {
        [] => {
            appraisals.iter().map(|(_, appraisal)| appraisal.verdict()).max().unwrap_or(Verdict::Unreadable)
        }
        _ => Verdict::Unreadable,
    };
    json!({"kind": "several", "verdict": verdict, "steps": [], "facts": {}, "appraisals": all})
}

fn one(mode: Mode, piece: &Piece, appraisal: &Appraisal) -> Value {
    let mut value = appraisal.to_json();
    match mode {
        Mode::Inspect => {
            value["tree"] = json!(appraisal.tree);
            value["trust"] = json!(appraisal.trust().children);
            if let Some(events) = events(piece) {
                value["events"] = events;
            }
        }
        Mode::Explain => {
            for step in value["steps"].as_array_mut().into_iter().flatten() {
                if let Some(check) =
                    step["name"].as_str().and_then(find_check).filter(|_| step["status"] == "fail")
                {
                    let explanation = explain_check(check);
                    step["means"] = json!(explanation.means);
                    step["cause"] = json!(explanation.cause);
                }
            }
        }
        Mode::Verify => {}
    }
    value
}

/// `explain` with a file, or with the name of a check.
pub(super) fn explain(files: &[PathBuf], options: &Options) -> Result<ExitCode, CliError> {
    if let [only] = files
        && let Some(name) = only.to_str()
        && !only.exists()
        && name != "-"
    {
        let Some(check) = find_check(name) else {
            return Err(CliError::NoCheck {
                name: name.to_owned(),
                similar: similar_checks(name).join(", "),
            });
        };
        print_check(check, options.json())?;
        return Ok(ExitCode::SUCCESS);
    }
    run(Mode::Explain, files, options)
}

fn print_check(check: Check, json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    let explanation = explain_check(check);
    if json {
        writeln!(out, "{}", described(check))?;
        return Ok(());
    }
    writeln!(out, "{}  (step {})", check.name(), check.step())?;
    writeln!(out, "  means    {}", explanation.means)?;
    writeln!(out, "  usually  {}", explanation.cause)?;
    Ok(())
}

fn described(check: Check) -> Value {
    let explanation = explain_check(check);
    json!({"name": check.name(), "step": check.step(), "means": explanation.means, "cause": explanation.cause})
}

/// `explain --list`.
pub(super) fn list_checks(json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    if json {
        let all: Vec<Value> = Check::ALL.iter().map(|check| described(*check)).collect();
        writeln!(out, "{}", Value::from(all))?;
        return Ok(());
    }
    for check in Check::ALL {
        print_check(*check, false)?;
    }
    Ok(())
}

/// `learn`.
pub(super) fn learn(files: &[PathBuf], output: Option<&Path>) -> Result<ExitCode, CliError> {
    let (pieces, unreadable) = input::read(files, None);
    if !unreadable.is_empty() {
        input::complain(&unreadable);
        return Ok(ExitCode::from(Verdict::Unreadable.exit_code()));
    }
    let Some(proposal) = propose(&pieces) else {
        return Err(CliError::NothingLearnt);
    };
    let mut text =
        serde_json::to_string_pretty(&proposal.document).map_err(|error| CliError::Output(error.into()))?;
    text.push('\n');
    match output {
        None => std::io::stdout().write_all(text.as_bytes())?,
        Some(path) => {
            let failed = |source| CliError::Write { path: path.to_owned(), source };
            let mut file = std::fs::File::create_new(path).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
    }
    for remark in &proposal.remarks {
        writeln!(std::io::stderr(), "sealpod-kbs: review: {}", super::super::plain(remark))?;
    }
    Ok(ExitCode::SUCCESS)
}
