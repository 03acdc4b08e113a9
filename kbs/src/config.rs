//! Settings: `config.toml`.

use crate::archive::Limits;
use crate::endorsements::EndorsementSettings;
use crate::layout::Layout;
use sealpod_verifier::AppraisalPolicy;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What `init` writes: every setting with its default.
pub const TEMPLATE: &str = include_str!("../config.toml");

/// The settings. Relative paths start in the broker's directory. What weakens the broker is spelled `dangerous_`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS certificate chain, PEM.
    pub tls_certificate: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
    /// How long a challenge may be answered, in seconds.
    pub challenge_seconds: u64,
    /// How long a token is worth something, in seconds.
    pub token_seconds: u64,
    /// Attestations whose evidence is kept, accepted and refused each.
    pub archive_entries: usize,
    /// Bytes of evidence kept, accepted and refused each.
    pub archive_bytes: u64,
    /// Connections served at once; more wait.
    pub max_connections: usize,
    /// Longest time for a TLS handshake, for a request body, and for the peer to take any part of an answer, in seconds.
    pub request_seconds: u64,
    /// Longest time for a request's head, hence between requests, in seconds.
    pub idle_seconds: u64,
    /// Certificates (ASK, ASVK, ARK, VCEK; DER) that a guest may leave out.
    pub endorsement_certificates: Vec<PathBuf>,
    /// Revocation lists, DER.
    pub revocation_lists: Vec<PathBuf>,
    /// A certificate, DER, whose key is trusted as a root of the product that its name gives. Everybody can forge evidence under a test root.
    pub dangerous_trust_test_root: Option<PathBuf>,
    /// A certificate, DER, whose key is trusted as a root of TDX platforms, beside Intel's. The same holds.
    pub dangerous_trust_tdx_test_root: Option<PathBuf>,
    /// Serve without TLS.
    pub dangerous_plain_http: bool,
    /// How strict the appraisal is.
    pub appraisal: AppraisalPolicy,
    /// From where endorsements are fetched.
    pub endorsements: EndorsementSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            tls_certificate: "server.pem".into(),
            tls_key: "server-key.pem".into(),
            challenge_seconds: 300,
            token_seconds: 300,
            archive_entries: 1000,
            archive_bytes: 256 * 1024 * 1024,
            max_connections: 768,
            request_seconds: 30,
            idle_seconds: 120,
            endorsement_certificates: Vec::new(),
            revocation_lists: Vec::new(),
            dangerous_trust_test_root: None,
            dangerous_trust_tdx_test_root: None,
            dangerous_plain_http: false,
            appraisal: AppraisalPolicy::default(),
            endorsements: EndorsementSettings::default(),
        }
    }
}

/// Why settings were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not readable.
    #[error("cannot read {}: {source}; make a broker with `sealpod-kbs init --dir DIR`", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Not TOML, an unknown setting, or a value of the wrong kind.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A number outside its range.
    #[error("config.toml: {setting}: expected {expected}, found {found}")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// The range.
        expected: &'static str,
        /// The value.
        found: u64,
    },
    /// An address without TLS that is not this machine's.
    #[error(
        "config.toml: {setting}: expected https, or http to this machine, found {found}; set dangerous_plain_http to fetch so"
    )]
    PlainHttp {
        /// Which setting.
        setting: &'static str,
        /// The address.
        found: String,
    },
}

impl Config {
    /// Read and check the settings of a broker.
    pub fn load(layout: &Layout) -> Result<Self, ConfigError> {
        let path = layout.config();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        let config: Self = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::Syntax { path, message: format!("line {line}: {}", e.message()) }
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let hour = 1..=3600;
        for (setting, found, range, expected) in [
            ("challenge_seconds", self.challenge_seconds, hour.clone(), "1 to 3600"),
            ("token_seconds", self.token_seconds, hour.clone(), "1 to 3600"),
            ("request_seconds", self.request_seconds, hour.clone(), "1 to 3600"),
            ("idle_seconds", self.idle_seconds, hour, "1 to 3600"),
            ("archive_entries", self.archive_entries as u64, 16..=1_000_000, "16 to 1000000"),
            ("max_connections", self.max_connections as u64, 1..=65_536, "1 to 65536"),
            ("endorsements.wait_seconds", self.endorsements.wait_seconds, 0..=60, "0 to 60"),
            ("endorsements.request_seconds", self.endorsements.request_seconds, 1..=60, "1 to 60"),
            ("endorsements.chips_per_minute", self.endorsements.chips_per_minute, 1..=6000, "1 to 6000"),
            ("endorsements.chips_per_source", self.endorsements.chips_per_source, 1..=6000, "1 to 6000"),
        ] {
            if !range.contains(&found) {
                return Err(ConfigError::Range { setting, expected, found });
            }
        }
        if let Some((setting, url)) = self.endorsements.plain_http() {
            return Err(ConfigError::PlainHttp { setting, found: url.to_string() });
        }
        Ok(())
    }

    /// Limits of the evidence archive.
    pub fn archive_limits(&self) -> Limits {
        Limits { entries: self.archive_entries, bytes: self.archive_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        std::fs::write(layout.config(), text).unwrap();
        Config::load(&layout)
    }

    #[test]
    fn what_init_writes_are_the_defaults() {
        assert_eq!(load(TEMPLATE).unwrap(), Config::default());
        assert_eq!(load("").unwrap(), Config::default());
    }

    #[test]
    fn a_dangerous_setting_can_be_put_first() {
        let config = load(&format!("dangerous_trust_test_root = \"x.der\"\n{TEMPLATE}")).unwrap();
        assert_eq!(config.dangerous_trust_test_root, Some("x.der".into()));
    }

    #[test]
    fn unknown_settings_and_values_out_of_range_are_refused() {
        let error = load("\nlisten_on = \"x\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("listen_on"), "{error}");
        assert!(matches!(load("[appraisal]\nx = 1"), Err(ConfigError::Syntax { .. })));
        assert!(matches!(
            load("token_seconds = 0"),
            Err(ConfigError::Range { setting: "token_seconds", .. })
        ));
        assert!(matches!(load("token_seconds = -1"), Err(ConfigError::Syntax { .. })));
        for (text, expected) in [
            ("amd_kds = \"kdsintf.amd.com\"", "https://HOST"),
            ("amd_kds = \"http://kds.example.org\"", "endorsements.amd_kds: expected https"),
            ("wait_seconds = 61", "0 to 60"),
            ("amd_ksd = \"https://x\"", "amd_ksd"),
        ] {
            let error = load(&format!("[endorsements]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let plain = "[endorsements]\namd_kds = \"http://kds.example.org\"\ndangerous_plain_http = true";
        assert_eq!(load(plain).unwrap().endorsements.amd_kds.unwrap().host, "kds.example.org");
    }
}
