//! Addresses that are fetched from. Only those of the settings, never one that an answer names.

use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `https://host[:port][/path]`, or `http` where it is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Url {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// DNS name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port, given or the scheme's.
    pub port: u16,
    /// Path and query; empty, or starts with `/` and does not end with it.
    pub path: String,
}

/// Text that is no address to fetch from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected https://HOST[:PORT][/PATH], found {found:?}")]
pub struct UrlError {
    /// The text.
    pub found: String,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        parse(text).ok_or_else(|| UrlError { found: text.chars().take(200).collect() })
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

fn parse(text: &str) -> Option<Url> {
    let uri: hyper::Uri = text.parse().ok()?;
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = uri.authority()?;
    // A password here would end in log lines, and a `#` is no part of a request.
    if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let explicit = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let port = match (explicit, uri.port_u16()) {
        (Some(_), None) => return None,
        (_, port) => port.unwrap_or(if tls { 443 } else { 80 }),
    };
    let path = uri.path().trim_end_matches('/').to_owned();
    (!host.is_empty() && port != 0).then_some(Url { tls, host, port, path })
}

impl Url {
    /// This address with more path and query.
    pub fn join(&self, path_and_query: &str) -> Self {
        Self { path: format!("{}{path_and_query}", self.path), ..self.clone() }
    }

    /// Whether only this machine is asked. A name other than `localhost` may lead elsewhere tomorrow.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Path and query as the request line has them.
    pub fn target(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, port, path) in [
            ("https://kdsintf.amd.com", "kdsintf.amd.com", 443, ""),
            ("https://Pccs.example.org:8081/", "pccs.example.org", 8081, ""),
            ("https://cache.example.org/amd/kds/", "cache.example.org", 443, "/amd/kds"),
            ("http://[::1]:80/x", "::1", 80, "/x"),
            ("https://[::1]", "::1", 443, ""),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
        }
        let url: Url = "http://[::1]:8080".parse().unwrap();
        assert_eq!(url.join("/vcek?x=1").to_string(), "http://[::1]:8080/vcek?x=1");
        assert_eq!(url.join("/vcek?x=1").target(), "/vcek?x=1");
        assert_eq!(url.authority(), "[::1]:8080");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "kdsintf.amd.com",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x/?q=1",
            "https://x/#f",
            "https://x:0",
            "https://x:99999",
            "https://x:",
            "https://a b",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
