//! Paths and methods.

use super::refusal::{Kind, Refusal};
use crate::compliance::nodes;
use hyper::Method;
use sealpod_evidence::workload::ResourcePath;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Whether the server answers.
    Health,
    /// A challenge.
    Auth,
    /// An answer to a challenge.
    Attest,
    /// A secret.
    GetResource(ResourcePath),
    /// An administrator stores a secret.
    PutResource(ResourcePath),
    /// An administrator removes a secret.
    DeleteResource(ResourcePath),
    /// An administrator lists or installs the release policy.
    Policy(Method),
    /// An administrator adds a Reference Value document.
    Reference,
    /// A node asks for a challenge.
    NodeChallenge(String),
    /// A node answers it.
    NodeEvidence(String),
}

/// Ours, beside the protocol's.
const NODES: &str = "/sealpod/v0/nodes/";
/// Parameters of a query that are read; the protocol defines none.
const MAX_QUERY: usize = 16;

/// The route of a method and path.
pub fn parse(method: &Method, path: &str) -> Result<Route, Refusal> {
    let unknown = || {
        let what = format!("{method} {} is not served", path.chars().take(256).collect::<String>());
        Refusal::new(
            Kind::InvalidRequestPath,
            what,
            "see KBS protocol 0.4.0: /kbs/v0/auth, /attest, /resource/R/T/T; for nodes POST /sealpod/v0/nodes/NODE/challenge, /evidence",
        )
    };
    let (get, post) = (*method == Method::GET, *method == Method::POST);
    if path == "/healthz" && get {
        return Ok(Route::Health);
    }
    if let Some(rest) = path.strip_prefix(NODES) {
        return node(rest).filter(|_| post).ok_or_else(unknown);
    }
    let rest = path.strip_prefix("/kbs/v0/").ok_or_else(unknown)?;
    let (plugin, rest) = rest.split_once('/').unwrap_or((rest, ""));
    match (plugin, rest) {
        ("auth", "") if post => Ok(Route::Auth),
        ("attest", "") if post => Ok(Route::Attest),
        ("resource-policy", "") if post || get => Ok(Route::Policy(method.clone())),
        ("reference-value", "") if post => Ok(Route::Reference),
        ("resource", path) => {
            let path: ResourcePath = path
                .parse()
                .map_err(|e| Refusal::new(Kind::InvalidRequestPath, e, "correct the resource's path"))?;
            match *method {
                Method::GET => Ok(Route::GetResource(path)),
                Method::POST | Method::PUT => Ok(Route::PutResource(path)),
                Method::DELETE => Ok(Route::DeleteResource(path)),
                _ => Err(unknown()),
            }
        }
        ("auth" | "attest" | "resource-policy" | "reference-value", _) => Err(unknown()),
        (plugin, _) => {
            let what = format!("there is no plugin {:?}", plugin.chars().take(64).collect::<String>());
            Err(Refusal::new(Kind::PluginNotFound, what, "this broker has one plugin, `resource`"))
        }
    }
}

fn node(rest: &str) -> Option<Route> {
    let (name, what) = rest.split_once('/')?;
    let name = nodes::name(name).ok()?.to_owned();
    match what {
        "challenge" => Some(Route::NodeChallenge(name)),
        "evidence" => Some(Route::NodeEvidence(name)),
        _ => None,
    }
}

/// Names and values of a query (application/x-www-form-urlencoded).
pub fn query(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs: Vec<_> = text.split('&').filter(|pair| !pair.is_empty()).take(MAX_QUERY + 1).collect();
    let refuse = || Refusal::new(Kind::InvalidRequestPath, "the query does not parse", "leave it away");
    if pairs.len() > MAX_QUERY {
        return Err(refuse());
    }
    pairs
        .into_iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name).ok_or_else(refuse)?, decode(value).ok_or_else(refuse)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_protocol_are_served() {
        let path: ResourcePath = "a/b/c".parse().unwrap();
        for (method, text, route) in [
            (Method::GET, "/healthz", Route::Health),
            (Method::POST, "/kbs/v0/auth", Route::Auth),
            (Method::POST, "/kbs/v0/attest", Route::Attest),
            (Method::GET, "/kbs/v0/resource/a/b/c", Route::GetResource(path.clone())),
            (Method::PUT, "/kbs/v0/resource/a/b/c", Route::PutResource(path.clone())),
            (Method::POST, "/kbs/v0/resource/a/b/c", Route::PutResource(path.clone())),
            (Method::DELETE, "/kbs/v0/resource/a/b/c", Route::DeleteResource(path)),
            (Method::POST, "/kbs/v0/resource-policy", Route::Policy(Method::POST)),
            (Method::POST, "/kbs/v0/reference-value", Route::Reference),
            (Method::POST, "/sealpod/v0/nodes/worker-1/challenge", Route::NodeChallenge("worker-1".into())),
            (Method::POST, "/sealpod/v0/nodes/w.x/evidence", Route::NodeEvidence("w.x".into())),
        ] {
            assert_eq!(parse(&method, text), Ok(route), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_found() {
        for (method, text, kind) in [
            (Method::GET, "/", Kind::InvalidRequestPath),
            (Method::GET, "/kbs/v0/auth", Kind::InvalidRequestPath),
            (Method::POST, "/kbs/v0/auth/x", Kind::InvalidRequestPath),
            (Method::GET, "/kbs/v0/resource/a/b", Kind::InvalidRequestPath),
            (Method::GET, "/kbs/v0/resource/../b/c", Kind::InvalidRequestPath),
            (Method::PATCH, "/kbs/v0/resource/a/b/c", Kind::InvalidRequestPath),
            (Method::GET, "/sealpod/v0/nodes/w/challenge", Kind::InvalidRequestPath),
            (Method::POST, "/sealpod/v0/nodes/w", Kind::InvalidRequestPath),
            (Method::POST, "/sealpod/v0/nodes/../challenge", Kind::InvalidRequestPath),
            (Method::POST, "/sealpod/v0/nodes/w/challenge/x", Kind::InvalidRequestPath),
            (Method::GET, "/kbs/v0/pkcs11/wrap-key", Kind::PluginNotFound),
        ] {
            assert_eq!(parse(&method, text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn queries_are_decoded_and_bounded() {
        let found = query("a=1&b=%2Fx+y&c").unwrap();
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, [("a", "1"), ("b", "/x y"), ("c", "")]);
        assert_eq!(query("").unwrap(), []);
        for bad in ["a=%", "a=%f", "a=%zz", "a=%ff", &"a&".repeat(17)] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }
}
