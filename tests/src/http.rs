//! An attacker's HTTP client: curl, with the broker's CA and a cookie jar.

use crate::broker::Broker;
use crate::process::succeed;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// One client with its cookies.
#[derive(Debug)]
pub struct Client {
    url: String,
    ca: PathBuf,
    jar: tempfile::NamedTempFile,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, `Null` where it is not JSON.
    pub body: Value,
}

impl Client {
    /// A client without cookies.
    pub fn new(broker: &Broker) -> Result<Self> {
        Ok(Self { url: broker.url(), ca: broker.ca(), jar: tempfile::NamedTempFile::new()? })
    }

    /// POST JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), serde_json::to_vec(body)?)?;
        self.send(path, &["--data-binary", &format!("@{}", file.path().display())])
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(path, &[])
    }

    fn send(&self, path: &str, more: &[&str]) -> Result<Answer> {
        let output = succeed(
            Command::new("curl")
                .args([
                    "-sS",
                    "--noproxy",
                    "*",
                    "-H",
                    "content-type: application/json",
                    "-w",
                    "\n%{http_code}",
                ])
                .arg("--cacert")
                .arg(&self.ca)
                .arg("-c")
                .arg(self.jar.path())
                .arg("-b")
                .arg(self.jar.path())
                .args(more)
                .arg(format!("{}/kbs/v0/{path}", self.url)),
            Duration::from_secs(60),
        )?;
        let (body, status) = output.rsplit_once('\n').context("curl printed no status")?;
        Ok(Answer { status: status.parse()?, body: serde_json::from_str(body).unwrap_or(Value::Null) })
    }
}
