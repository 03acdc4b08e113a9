//! A broker of our own: made by `sealpod-kbs init`, served on a port that the kernel picks.

use crate::process::{Programs, Server, succeed};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(60);

/// A running broker; it stops when this is dropped.
#[derive(Debug)]
pub struct Broker {
    programs: Programs,
    directory: PathBuf,
    address: String,
    server: Server,
}

impl Broker {
    /// Make a broker under `directory` that trusts the simulator's root, and serve it.
    pub fn start(programs: &Programs, directory: &Path) -> Result<Self> {
        succeed(
            programs.command("sealpod-kbs").args(["init", "--tls-name", "localhost", "--dir"]).arg(directory),
            SHORT,
        )?;
        std::fs::write(directory.join("test-root.der"), sealpod_testkit::pki::ark_der())?;
        let config = directory.join("config.toml");
        let text = std::fs::read_to_string(&config).context("init wrote no config.toml")?;
        std::fs::write(&config, format!("dangerous_trust_test_root = \"test-root.der\"\n{text}"))?;
        let (server, address) = serve(programs, directory)?;
        Ok(Self { programs: programs.clone(), directory: directory.to_path_buf(), address, server })
    }

    /// `host:port` that it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL that guests use.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.rsplit(':').next().unwrap_or_default())
    }

    /// The certificate authority of its TLS certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Run an administration command and return what it printed.
    pub fn admin<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<String> {
        succeed(self.admin_command().args(arguments).arg("--dir").arg(&self.directory), SHORT)
    }

    /// The audit log's lines, oldest first.
    pub fn audit(&self) -> Result<Vec<Value>> {
        let text = self.admin(&["audit", "show", "--json"])?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// The archived evidence of one attestation, by the id in its audit line.
    pub fn evidence(&self, id: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.admin(&["evidence", "show", id])?)?)
    }

    fn admin_command(&self) -> Command {
        self.programs.command("sealpod-kbs")
    }
}

fn serve(programs: &Programs, directory: &Path) -> Result<(Server, String)> {
    let log = std::fs::File::create(directory.join("serve.log"))?;
    let mut child = programs
        .command("sealpod-kbs")
        .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start sealpod-kbs serve")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let server = Server::new(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ").with_context(|| {
        let log = std::fs::read_to_string(directory.join("serve.log")).unwrap_or_default();
        format!("the broker did not start: {line}{log}")
    })?;
    Ok((server, address.to_owned()))
}
