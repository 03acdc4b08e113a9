//! The five acts of the demo, each a real run with an expected end. The end-to-end test asserts them; the demo shows them.

use crate::http::{Answer, Client};
use crate::process::text;
use crate::world::{Firmware, Pod, RESOURCE, SECRET, SECRET_PATH, World};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use serde_json::{Value, json};

/// How one act ended.
#[derive(Debug)]
pub struct Outcome {
    /// What should have happened.
    pub expected: String,
    /// What did happen.
    pub found: String,
    /// Whether the two agree.
    pub passed: bool,
    /// The broker's audit line.
    pub audit: Option<Value>,
    /// The trustworthiness vector of the last attestation: what the EAR token says, or what a refusal leaves of it.
    pub trust_vector: Option<Value>,
    /// What the launcher or the attacker's client printed.
    pub transcript: String,
}

/// An act's title and what plays it.
pub type Act = (&'static str, fn(&World) -> Result<Outcome>);

/// The acts in order. Later ones use what the first left behind.
pub const ACTS: &[Act] = &[
    ("the secret reaches the container", secret_reaches_container),
    ("one word added to the kernel command line", altered_command_line),
    ("a binary that is not in the image is executed, then the secret asked for", foreign_binary),
    ("the first act's evidence replayed under a new challenge", replayed_evidence),
    ("the vTPM exchanged for another", exchanged_vtpm),
];

/// Play all acts with `firmware` and hand each outcome to `show`.
pub fn play(
    firmware: Firmware,
    say: &mut dyn FnMut(&str),
    show: &mut dyn FnMut(usize, &str, &Outcome),
) -> Result<bool> {
    let world = World::prepare(firmware, say)?;
    let mut all = true;
    for (index, (title, act)) in ACTS.iter().enumerate() {
        say(&format!("act {}: {title}", index + 1));
        let outcome = act(&world).with_context(|| format!("act {}: {title}", index + 1))?;
        all &= outcome.passed;
        show(index + 1, title, &outcome);
    }
    Ok(all)
}

/// Act 1.
pub fn secret_reaches_container(world: &World) -> Result<Outcome> {
    let output = world.run(&Pod {
        name: "honest",
        args: &["/bin/cat", SECRET_PATH],
        run_options: &[],
        platform: &[],
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Outcome {
        expected: format!("exit 0, the container prints {SECRET:?}"),
        found: format!("{}, the container prints {stdout:?}", output.status),
        passed: output.status.success() && stdout.contains(SECRET),
        audit: last_audit(world, |line| line["action"] == "release")?,
        trust_vector: last_audit(world, |line| line["action"] == "attest")?
            .map(|line| line["trust_vector"].clone()),
        transcript: text(&output),
    })
}

/// Act 2.
pub fn altered_command_line(world: &World) -> Result<Outcome> {
    let output = world.run(&Pod {
        name: "altered",
        args: &["/bin/cat", SECRET_PATH],
        run_options: &["--append-cmdline", "mitigations=off"],
        platform: &[],
    })?;
    refused(world, text(&output), &[8], |_| true, "refused at step 8 (launch digest)")
}

/// Act 3.
pub fn foreign_binary(world: &World) -> Result<Outcome> {
    let script = format!(
        "cp /bin/busybox /tmp/busybox && echo intruder >> /tmp/busybox && /tmp/busybox true; \
         printf 'GET /cdh/resource/{RESOURCE} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' | nc 127.0.0.1 8006"
    );
    let output = world.run(&Pod {
        name: "intruder",
        args: &["/bin/sh", "-c", &script],
        run_options: &[],
        platform: &[],
    })?;
    let names_file = |line: &Value| {
        let found = line["found"].as_str().unwrap_or_default();
        found.contains("/tmp/busybox") && found.contains("sha256:")
    };
    let mut outcome = refused(
        world,
        text(&output),
        &[14],
        names_file,
        "the first release allowed; then refused at step 14, naming /tmp/busybox and its digest",
    )?;
    if String::from_utf8_lossy(&output.stdout).contains(SECRET) {
        outcome.passed = false;
        outcome.found.push_str("; but the secret came out");
    }
    Ok(outcome)
}

/// Act 4.
pub fn replayed_evidence(world: &World) -> Result<Outcome> {
    let attested = last_audit(world, |line| line["action"] == "attest" && line["verdict"] == "allow")?
        .context("no attestation was allowed so far")?;
    let archived = world.broker().evidence(attested["id"].as_str().context("audit line without id")?)?;
    let (answer, _) = replay(world, &archived)?;
    let mut outcome =
        refused(world, answer.body.to_string(), &[7], |_| true, "refused at step 7 (report data)")?;
    outcome.passed &= answer.status == 401;
    Ok(outcome)
}

/// Ask for a new challenge with the archived evidence's keys, and answer it with the archived evidence.
pub fn replay(world: &World, archived: &Value) -> Result<(Answer, Client)> {
    let mut attestation = archived["request"].clone();
    let additional: Value = serde_json::from_str(
        attestation["tee-evidence"]["additional_evidence"].as_str().context("no additional evidence")?,
    )?;
    let client = Client::new(world.broker())?;
    let challenge = client.post(
        "auth",
        &json!({
            "version": "0.4.0",
            "tee": "snp",
            "extra-params": { "sealpod": {
                "version": 1,
                "ek_public": additional["tpm"]["ek_public"],
                "ak_public": additional["tpm"]["ak_public"],
            }},
        }),
    )?;
    attestation["runtime-data"]["nonce"] = challenge.body["nonce"].clone();
    Ok((client.post("attest", &attestation)?, client))
}

/// Act 5.
pub fn exchanged_vtpm(world: &World) -> Result<Outcome> {
    let attested = last_audit(world, |line| line["action"] == "attest" && line["verdict"] == "allow")?
        .context("no attestation was allowed so far")?;
    let archived = world.broker().evidence(attested["id"].as_str().context("audit line without id")?)?;
    let additional: Value = serde_json::from_str(
        archived["request"]["tee-evidence"]["additional_evidence"]
            .as_str()
            .context("no additional evidence")?,
    )?;
    let other_ek = base64::engine::general_purpose::STANDARD
        .decode(additional["tpm"]["ek_public"].as_str().context("no EK in the archived evidence")?)?;
    let path = world.path("other-ek.bin");
    std::fs::write(&path, other_ek)?;
    let output = world.run(&Pod {
        name: "exchanged",
        args: &["/bin/cat", SECRET_PATH],
        run_options: &[],
        platform: &[("TEESIM_SVSM_EK", &path)],
    })?;
    refused(world, text(&output), &[9, 10], |_| true, "refused at step 9 or 10 (vTPM not vouched for)")
}

fn refused(
    world: &World,
    transcript: String,
    steps: &[u64],
    names: impl Fn(&Value) -> bool,
    expected: &str,
) -> Result<Outcome> {
    let audit = last_audit(world, |line| line["action"] == "attest")?.unwrap_or(Value::Null);
    let step = audit["step"].as_u64().unwrap_or_default();
    // A refusal's vector must say that something is contraindicated.
    let contraindicated = audit["trust_vector"]
        .as_object()
        .is_some_and(|claims| claims.values().any(|value| value.as_i64().is_some_and(|v| v >= 96)));
    let passed = audit["verdict"] == "refuse"
        && contraindicated
        && steps.contains(&step)
        && names(&audit)
        && !transcript.contains(SECRET);
    let found = format!(
        "{} at step {step} ({}), expected {}, found {}",
        audit["verdict"].as_str().unwrap_or("nothing"),
        audit["check"].as_str().unwrap_or("no check"),
        audit["expected"].as_str().unwrap_or("-"),
        audit["found"].as_str().unwrap_or("-"),
    );
    let trust_vector = Some(audit["trust_vector"].clone());
    Ok(Outcome { expected: expected.to_owned(), found, passed, audit: Some(audit), trust_vector, transcript })
}

fn last_audit(world: &World, which: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
    Ok(world.broker().audit()?.into_iter().rev().find(which))
}
