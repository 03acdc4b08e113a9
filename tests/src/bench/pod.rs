//! A pod's start against a bare boot of the same kernel and initrd, and what its image weighs.

use crate::bench::table::{Goal, Row, median};
use crate::process::{Server, run};
use crate::world::{Firmware, Pod, World, guest_image_directory};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const OUTPUT: &str = "out";

/// The rows about a pod.
pub fn rows(say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    let world = World::prepare(Firmware::Direct, say)?;
    let memory = world.path("agent-memory");
    let (mut bare, mut plain, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        say(&format!("starting guests, round {} of {ROUNDS}", round + 1));
        bare.push(bare_boot_seconds()?);
        plain.push(first_output_seconds(&mut plain_pod(&world, round))?);
        let name = format!("sealed-{round}");
        let platform: &[(&str, &std::path::Path)] = &[("TEESIM_MEMORY_FILE", &memory)];
        let pod = Pod { name: &name, args: &["/bin/echo", OUTPUT], run_options: &["--quiet"], platform };
        sealed.push(first_output_seconds(&mut world.pod(&pod)?)?);
    }
    let (bare, plain, sealed) = (median(bare), median(plain), median(sealed));
    let initrd = std::fs::metadata(guest_image_directory().join("initrd")).context("no initrd")?.len();
    let agent: f64 = std::fs::read_to_string(&memory).context("no word of the agent's memory")?.parse()?;
    Ok(vec![
        Row {
            what: "`sealpod run` to first container output / bare boot of the same kernel and initrd"
                .to_owned(),
            figures: format!("{plain:.2} s / {bare:.2} s, medians of {ROUNDS}, TCG, direct boot, no secret"),
            value: plain / bare,
            unit: "×",
            goal: Goal::AtMost(1.3),
        },
        Row {
            what: "the same with the simulated platform, attestation and a secret".to_owned(),
            figures: format!("{sealed:.2} s / {bare:.2} s"),
            value: sealed / bare,
            unit: "×",
            goal: Goal::None,
        },
        Row {
            what: "agent: peak resident memory, at its last report".to_owned(),
            figures: "PID 1, with libraries".to_owned(),
            value: agent / 1024.0,
            unit: " MiB",
            goal: Goal::AtMost(16.0),
        },
        Row {
            what: "initrd".to_owned(),
            figures: "compressed, as shipped".to_owned(),
            value: initrd as f64 / f64::from(1 << 20),
            unit: " MiB",
            goal: Goal::AtMost(16.0),
        },
    ])
}

/// Power on to user space and off again: the first program is crun, which has nothing to do and ends, and the kernel's panic
/// about that ends QEMU.
fn bare_boot_seconds() -> Result<f64> {
    let image = guest_image_directory();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "null"])
        .arg("-kernel")
        .arg(image.join("vmlinuz"))
        .arg("-initrd")
        .arg(image.join("initrd"))
        .args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/usr/bin/crun"]);
    let start = Instant::now();
    let output = run(&mut qemu, Duration::from_secs(120))?;
    if !output.status.success() {
        bail!("the bare boot failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(start.elapsed().as_secs_f64())
}

fn plain_pod(world: &World, round: usize) -> Command {
    let mut command = world.sealpod(&["run", "--quiet", "--platform", "plain", "--accel", "tcg"]);
    command
        .args(["--allow-output", "--name", &format!("plain-{round}")])
        .arg("--image-dir")
        .arg(guest_image_directory())
        .arg(world.path("layout"))
        .args(["--", "/bin/echo", OUTPUT]);
    command
}

/// From the command to the container's first line.
fn first_output_seconds(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no stdout")?;
    let stderr = child.stderr.take().context("no stderr")?;
    let server = Server::new(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let seconds = start.elapsed().as_secs_f64();
    if line.trim() != OUTPUT {
        bail!("the pod printed {line:?}: {}", std::io::read_to_string(stderr).unwrap_or_default());
    }
    drop(server);
    Ok(seconds)
}
