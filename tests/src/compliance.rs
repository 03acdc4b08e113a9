//! The compliance demo: a Kubernetes worker in QEMU is enrolled, reported on, broken, reported on, mended, reported on; then an
//! auditor verifies the report from the evidence alone, and an edited one is pointed at.

use crate::node::Node;
use crate::process::{Programs, run, succeed, text};
use anyhow::{Context as _, Result, bail};
use sealpod_evidence::node::request::MeasureRequest;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(60);
const NODE: &str = "worker-1";
const PROFILE: &str = "cis-kubernetes-1.7.1-worker-l1";
/// Exit code of `report` where items are open, and of `verify` where the report is not the evidence's.
const OPEN: i32 = 4;
const FORGED: i32 = 3;

/// Three items, each broken in another way: mode, configuration, flag.
const BREAK: &str = "chmod 644 /etc/kubernetes/kubelet.conf\n\
    sed -i '/anonymous/{n;s/false/true/}' /var/lib/kubelet/config.yaml\n\
    sed -i 's#sock#sock --read-only-port=10255#' /var/lib/kubelet/kubeadm-flags.env\n";
const BROKEN: [&str; 3] = ["4.1.5", "4.2.1", "4.2.4"];
const MEND: &str = "chmod 600 /etc/kubernetes/kubelet.conf\n\
    sed -i '/anonymous/{n;s/true/false/}' /var/lib/kubelet/config.yaml\n\
    sed -i 's# --read-only-port=10255##' /var/lib/kubelet/kubeadm-flags.env\n";

/// One act as it went.
#[derive(Debug)]
pub struct Scene {
    /// What it is about.
    pub title: &'static str,
    /// The command that an operator would type.
    pub command: String,
    /// What has to come of it.
    pub expected: String,
    /// Whether it did.
    pub passed: bool,
    /// Whether the output is worth looking at.
    pub shown: bool,
    /// What it printed.
    pub output: String,
}

struct Stage {
    programs: Programs,
    directory: tempfile::TempDir,
    node: Node,
}

/// Plays all acts. The last report is written to `page` as HTML. `say` is told each phase, `show` each act.
///
/// # Errors
///
/// What keeps an act from being played at all.
pub fn play(page: &Path, say: &mut dyn FnMut(&str), show: &mut dyn FnMut(usize, &Scene)) -> Result<()> {
    say("making a worker's disk and an empty TPM");
    let stage = Stage {
        programs: Programs::locate()?,
        directory: tempfile::Builder::new().prefix("sealpod-compliance-").tempdir()?,
        node: Node::create(&MeasureRequest::default())?,
    };
    let key = stage.enrol(say, show)?;
    stage.report(2, "a hardened worker", "", "22 of 22 pass", &[], say, show)?;
    stage.report(3, "three items are broken", BREAK, "19 of 22 pass", &BROKEN, say, show)?;
    stage.report(4, "the worker is mended", MEND, "22 of 22 pass", &[], say, show)?;
    stage.audit(&key, show)?;
    let written = page.display().to_string();
    let arguments =
        ["compliance", "print", NODE, "--profile", PROFILE, "--format", "html", "--output", &written];
    stage.kbs_succeeds(&arguments)?;
    Ok(())
}

impl Stage {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn kbs(&self, arguments: &[&str]) -> Command {
        let mut command = self.programs.command("sealpod-kbs");
        command.args(arguments).arg("--dir").arg(self.path("broker"));
        command
    }

    fn kbs_succeeds(&self, arguments: &[&str]) -> Result<String> {
        succeed(&mut self.kbs(arguments), SHORT)
    }

    /// The operator reads the key on the node and confirms it at the broker.
    fn enrol(&self, say: &mut dyn FnMut(&str), show: &mut dyn FnMut(usize, &Scene)) -> Result<String> {
        self.kbs_succeeds(&["init", "--tls-name", "localhost"])?;
        say("booting the worker, to read its key");
        let boot = self.node.boot("sealpod-guest node keys; sealpod-guest node check || true")?;
        let key = boot.console.lines().find_map(|line| line.trim().strip_prefix("attestation key "));
        let key = key.context("the worker named no key")?.to_owned();
        let arguments = ["compliance", "enrol", NODE, "--ak", &key];
        let output = self.kbs_succeeds(&arguments)?;
        show(
            1,
            &Scene {
                title: "a worker is enrolled by the key of its TPM",
                command: format!("sealpod-kbs {}", arguments.join(" ")),
                expected: "evidence of this key, and of no other, is this worker's".to_owned(),
                passed: output.starts_with("enrolled worker-1"),
                shown: false,
                output: format!("{}\n{output}", boot.console),
            },
        );
        Ok(key)
    }

    #[expect(clippy::too_many_arguments, reason = "an act is all of these")]
    fn report(
        &self,
        number: usize,
        title: &'static str,
        change: &str,
        summary: &str,
        open: &[&str],
        say: &mut dyn FnMut(&str),
        show: &mut dyn FnMut(usize, &Scene),
    ) -> Result<()> {
        let challenge = self.kbs_succeeds(&["compliance", "challenge", NODE, "--profile", PROFILE])?;
        say(&format!("booting the worker: {title}"));
        let boot =
            self.node.boot(&format!("{change}cat >/run/challenge.json <<'END'\n{challenge}END\nanswer"))?;
        let [evidence] = boot.rounds.as_slice() else {
            bail!("the worker did not answer:\n{}", boot.console)
        };
        let file = self.path("evidence.json");
        std::fs::write(&file, serde_json::to_vec(evidence)?)?;
        let name = file.display().to_string();
        let output = run(&mut self.kbs(&["compliance", "report", NODE, &name, "--profile", PROFILE]), SHORT)?;
        let (printed, code) = (text(&output), if open.is_empty() { 0 } else { OPEN });
        let named = open.iter().all(|item| printed.contains(item));
        show(
            number,
            &Scene {
                title,
                command: format!("sealpod-kbs compliance report {NODE} evidence.json --profile {PROFILE}"),
                expected: format!(
                    "{summary}{}",
                    open.iter().map(|item| format!(", {item} fails")).collect::<String>()
                ),
                passed: output.status.code() == Some(code) && printed.contains(summary) && named,
                shown: true,
                output: printed,
            },
        );
        Ok(())
    }

    /// Nothing but report, evidence and key: no broker, no node.
    fn audit(&self, key: &str, show: &mut dyn FnMut(usize, &Scene)) -> Result<()> {
        let (report, forged) = (self.path("report.json"), self.path("forged.json"));
        let json =
            self.kbs_succeeds(&["compliance", "print", NODE, "--profile", PROFILE, "--format", "json"])?;
        std::fs::write(&report, &json)?;
        // Somebody says of a passing item that the file's mode was another.
        std::fs::write(&forged, json.replacen("\"state\": \"pass\"", "\"state\": \"fail\"", 1))?;
        let evidence = self.path("evidence.json").display().to_string();
        let cases = [
            (
                5,
                "an auditor verifies the report from the evidence alone",
                report,
                0,
                "the evidence gives this report",
            ),
            (
                6,
                "an edited report is pointed at",
                forged,
                FORGED,
                "the evidence gives pass, the report says fail",
            ),
        ];
        for (number, title, file, code, words) in cases {
            let file = file.display().to_string();
            let arguments = ["compliance", "verify", &file, "--evidence", &evidence, "--ak", key];
            let output = run(&mut self.kbs(&arguments), SHORT)?;
            let printed = text(&output);
            let passed = output.status.code() == Some(code) && printed.contains(words);
            let command =
                format!("sealpod-kbs compliance verify report.json --evidence evidence.json --ak {key}");
            show(
                number,
                &Scene { title, command, expected: words.to_owned(), passed, shown: true, output: printed },
            );
        }
        Ok(())
    }
}
