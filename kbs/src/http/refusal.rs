//! A no: the protocol's error body with the check that failed and what to do next.

use hyper::StatusCode;
use sealpod_verifier::VerifyError;
use serde::Serialize;
use serde_json::json;

/// Error types of KBS protocol 0.4.0 (kbs-protocol.md 2.8), two for bodies that HTTP itself refuses, and one for nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not an administrator.
    AdminAuthAccess,
    /// Evidence, challenge or request to attest.
    AttestationError,
    /// No such path.
    InvalidRequestPath,
    /// Encryption to the guest's key.
    JweError,
    /// No such plugin.
    PluginNotFound,
    /// The broker's own fault, or no such secret.
    PluginInternalError,
    /// The release policy said no.
    PolicyDeny,
    /// The release policy does not load.
    ParsePolicyError,
    /// The release policy failed.
    PolicyEngineError,
    /// Reference Values.
    RvpsError,
    /// A body that does not parse.
    SerdeError,
    /// No token.
    TokenNotFound,
    /// Not a good token.
    TokenVerifierError,
    /// No such node is enrolled.
    NodeNotFound,
    /// A body over its budget.
    BodyTooLarge,
    /// A body that did not come in time, or broke off.
    BodyTooSlow,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequestPath | Self::PluginNotFound | Self::NodeNotFound => StatusCode::NOT_FOUND,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

/// Which check refused, with what it expected and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Verification step, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// Name of the check.
    pub check: String,
    /// What would have been accepted.
    pub expected: String,
    /// What there was.
    pub found: String,
    /// The attestation's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Longest text kept of either side, in characters; as long as the verifier's.
const MAX_TEXT: usize = 2048;

impl Finding {
    /// By a verification step.
    pub fn new(step: u8, check: &str, expected: impl ToString, found: impl ToString) -> Self {
        Self { step: Some(step), ..Self::without_step(check, expected, found) }
    }

    /// By a check that is no verification step.
    pub fn without_step(check: &str, expected: impl ToString, found: impl ToString) -> Self {
        let cut = |text: String| text.chars().take(MAX_TEXT).collect();
        let (expected, found) = (cut(expected.to_string()), cut(found.to_string()));
        Self { step: None, check: check.to_owned(), expected, found, id: None }
    }
}

impl From<&VerifyError> for Finding {
    fn from(error: &VerifyError) -> Self {
        Self::new(error.check.step(), error.check.name(), &error.expected, &error.found)
    }
}

/// A no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: Kind,
    detail: String,
    finding: Option<Box<Finding>>,
    internal: bool,
}

impl Refusal {
    /// A no with its reason and what to do next.
    pub fn new(kind: Kind, reason: impl std::fmt::Display, next: &str) -> Self {
        Self { kind, detail: format!("{reason}; next: {next}"), finding: None, internal: false }
    }

    /// A no by a check.
    pub fn found(kind: Kind, finding: Finding, next: &str) -> Self {
        let step = finding.step.map(|step| format!("step {step}, ")).unwrap_or_default();
        let Finding { check, expected, found, .. } = &finding;
        let detail = format!("{step}{check}: expected {expected}, found {found}; next: {next}");
        Self { kind, detail, finding: Some(Box::new(finding)), internal: false }
    }

    /// The broker's own fault.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        let next = "look at the server's log and its disk, then try again";
        Self { internal: true, ..Self::new(Kind::PluginInternalError, error, next) }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Reason and next step.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether whoever runs the broker must be told.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// The body. Of the broker's own faults the sender learns no paths.
    pub fn body(&self) -> Vec<u8> {
        let detail =
            if self.internal { "the broker failed; next: ask whoever runs it" } else { &self.detail };
        let kind = format!("https://github.com/confidential-containers/kbs/errors/{:?}", self.kind);
        let mut body = json!({"type": kind, "detail": detail});
        if let (Some(finding), Some(object)) = (&self.finding, body.as_object_mut()) {
            object.insert("sealpod".to_owned(), json!(finding));
        }
        body.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_verifier::Check;
    use serde_json::Value;

    fn body(refusal: &Refusal) -> Value {
        serde_json::from_slice(&refusal.body()).unwrap()
    }

    #[test]
    fn a_refusal_names_check_step_and_next_step() {
        let error = VerifyError::new(Check::LaunchDigest, "aa", "bb");
        let refusal = Refusal::found(Kind::AttestationError, Finding::from(&error), "do this");
        assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
        let body = body(&refusal);
        assert_eq!(body["type"], "https://github.com/confidential-containers/kbs/errors/AttestationError");
        assert_eq!(body["detail"], "step 8, launch-digest: expected aa, found bb; next: do this");
        assert_eq!(
            body["sealpod"],
            json!({"step": 8, "check": "launch-digest", "expected": "aa", "found": "bb"})
        );
    }

    #[test]
    fn only_two_protocol_errors_are_not_found() {
        assert_eq!(Kind::PluginNotFound.status(), StatusCode::NOT_FOUND);
        assert_eq!(Kind::InvalidRequestPath.status(), StatusCode::NOT_FOUND);
        assert_eq!(Kind::PolicyDeny.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Kind::PluginInternalError.status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn the_senders_see_nothing_of_the_brokers_disk() {
        let refusal = Refusal::internal("cannot read /var/lib/x");
        assert!(refusal.detail().contains("/var/lib/x"));
        assert!(!body(&refusal).to_string().contains("/var"));
    }
}
