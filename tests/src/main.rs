//! The demo: plays the acts with real guests and prints, for each, what was expected, what was found, the
//! trust vector and the audit line.
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use sealpod_tests::acts::{Outcome, play};
use sealpod_tests::world::Firmware;
use sealpod_verifier::result::TrustTier;
use serde_json::Value;
use std::process::ExitCode;

/// Play the release and the refusal of a secret, with real guests, on this machine.
#[derive(Parser)]
#[command(
    name = "demo",
    after_help = "Examples:
  demo                 a secret reaches its container, and four times it does not
  demo --fast          the same without firmware
  demo compliance      a Kubernetes worker is held against its benchmark, broken, mended and audited"
)]
struct Arguments {
    /// What to play: `release` or `compliance`.
    #[arg(value_enum, default_value_t = Play::Release)]
    play: Play,
    /// Start the guests without firmware: quicker, but nothing measures the kernel into the vTPM.
    #[arg(long)]
    fast: bool,
    /// Also print everything that the guests and the launcher said.
    #[arg(long)]
    verbose: bool,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Play {
    /// A secret reaches its container, and four times it does not.
    Release,
    /// A Kubernetes worker is held against its benchmark.
    Compliance,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let played = match arguments.play {
        Play::Release => demo(&arguments),
        Play::Compliance => compliance(&arguments),
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!(
                "demo: at least one act went otherwise than expected (run with --verbose to see all output)"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compliance(arguments: &Arguments) -> Result<bool> {
    let page = sealpod_tests::process::workspace_root().join("out/compliance-report.html");
    let mut all = true;
    sealpod_tests::compliance::play(&page, &mut |phase| eprintln!("… {phase}"), &mut |number, scene| {
        println!("\n── Act {number}: {}\n   $ {}", scene.title, scene.command);
        println!("   expected  {}", scene.expected);
        println!("   verdict   {}", if scene.passed { "as expected" } else { "NOT AS EXPECTED" });
        if scene.shown || arguments.verbose || !scene.passed {
            scene.output.lines().for_each(|line| println!("   | {line}"));
        }
        all &= scene.passed;
    })?;
    println!("\nThe page: {}", page.display());
    println!("{}", if all { "All acts ended as expected." } else { "NOT all acts ended as expected." });
    Ok(all)
}

fn demo(arguments: &Arguments) -> Result<bool> {
    let firmware = if arguments.fast { Firmware::Direct } else { Firmware::Ovmf };
    let verbose = arguments.verbose;
    let all = play(firmware, &mut |phase| eprintln!("… {phase}"), &mut |number, title, outcome| {
        show(number, title, outcome, verbose);
    })?;
    println!("\n{}", if all { "All acts ended as expected." } else { "NOT all acts ended as expected." });
    Ok(all)
}

fn show(number: usize, title: &str, outcome: &Outcome, verbose: bool) {
    println!("\n── Act {number}: {title}");
    println!("   expected  {}", outcome.expected);
    println!("   found     {}", outcome.found);
    println!("   verdict   {}", if outcome.passed { "as expected" } else { "NOT AS EXPECTED" });
    if let Some(vector) = &outcome.trust_vector {
        trust_vector(vector);
    }
    if let Some(audit) = &outcome.audit {
        println!("   audit     {}", audit_line(audit));
    }
    if verbose || !outcome.passed {
        for line in outcome.transcript.lines() {
            println!("   | {line}");
        }
    }
}

/// The audit line as the broker wrote it, without what is empty, and long values cut.
fn audit_line(audit: &Value) -> Value {
    const LONGEST: usize = 120;
    let cut = |text: &str| match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    let fields = audit.as_object().into_iter().flatten();
    let kept = fields.filter(|(name, value)| !value.is_null() && *name != "trust_vector");
    kept.map(|(name, value)| {
        (name.clone(), value.as_str().map_or_else(|| value.clone(), |text| cut(text).into()))
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}

/// The AR4SI trustworthiness vector, a line each.
fn trust_vector(vector: &Value) {
    let Some(claims) = vector.as_object() else { return };
    println!("   trust vector");
    for (claim, value) in claims {
        let number = value.as_i64().and_then(|value| i8::try_from(value).ok()).unwrap_or_default();
        println!("     {claim:<18} {number:>4}  {}", TrustTier::of(number).as_str());
    }
}
