//! Release: an attested session and a resource in, the encrypted secret out, with its audit line.

use super::Broker;
use crate::audit::{Entry, Verdict};
use crate::cookie;
use crate::http::refusal::{Finding, Kind, Refusal};
use crate::sessions::{self, Session};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ResourcePath;
use sealpod_verifier::UnixTime;
use std::sync::Arc;

/// What to do about most refusals.
const ATTEST: &str = "attest again: /kbs/v0/auth, then /kbs/v0/attest";

impl Broker {
    /// The session of a cookie or, where that leads to none, of a bearer token.
    pub fn session(&self, cookie: Option<&str>, bearer: Option<&str>) -> Result<Arc<Session>, Refusal> {
        let now = self.now();
        if let Some(value) = cookie
            && let Ok(cookie::Session::Attested { token, .. }) = cookie::open(&self.keys.cookie, value, now)
            && let Some(session) = self.sessions.get(&token.0, now)
        {
            return Ok(session);
        }
        let Some(token) = bearer else {
            let what = "no token and no cookie of an attested session that this broker remembers";
            return Err(Refusal::new(Kind::TokenNotFound, what, ATTEST));
        };
        let key = sessions::key(token);
        if let Some(session) = self.sessions.get(&key, now) {
            return Ok(session);
        }
        let refuse = |error: &dyn std::fmt::Display| Refusal::new(Kind::TokenVerifierError, error, ATTEST);
        let claims = self.keys.token.verify(token).map_err(|e| refuse(&e))?;
        let session = Arc::new(Session::from_claims(&claims).map_err(|e| refuse(&e))?);
        if now >= session.expires {
            return Err(refuse(&format!("the token expired at {}, it is {now}", session.expires)));
        }
        self.sessions.insert(key, session.clone());
        Ok(session)
    }

    /// Encrypt a secret to the session's guest if the owner's policy says yes. The decision is in the audit log before this returns.
    pub fn release(
        &self,
        session: &Session,
        path: &ResourcePath,
        query: &[(String, String)],
        peer: &str,
    ) -> Result<Vec<u8>, Refusal> {
        let now = self.now();
        let owner = self.owner().map_err(Refusal::internal)?;
        let policy = owner.policy.as_ref();
        let subject = path.to_string();
        let entry = Entry {
            id: Some(&session.id),
            subject: Some(&subject),
            policy: policy.ok().map(|policy| HexArray(*policy.sha256())),
            peer: Some(peer),
            ..Entry::new("release", Verdict::Allow)
        };
        let allowed = policy.map_err(|why| (Kind::ParsePolicyError, why.clone())).and_then(|policy| {
            policy.allows(&session.claims, path, query).map_err(|e| (Kind::PolicyEngineError, e.to_string()))
        });
        let next =
            "see `sealpod-kbs policy show` and, for the claims, `sealpod-kbs evidence show` of this id";
        let refused = match allowed {
            Ok(true) => None,
            Ok(false) => Some((Kind::PolicyDeny, "false".to_owned())),
            Err(refused) => Some(refused),
        };
        if let Some((kind, found)) = refused {
            let finding = Finding::without_step("release-policy", "data.policy.allow is true", found);
            return Err(self.refuse_release(entry, kind, finding, next, now)?);
        }
        let secret = match self.admin.vault.get(path) {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                let finding = Finding::without_step("resource", format!("a secret at {path}"), "none");
                let next = "store it with `sealpod-kbs secret set`";
                return Err(self.refuse_release(entry, Kind::PluginInternalError, finding, next, now)?);
            }
            Err(error) => return Err(Refusal::internal(error)),
        };
        let jwe = session
            .recipient
            .seal(secret.expose())
            .map_err(|e| Refusal::new(Kind::JweError, e, "look at the server's log"))?;
        self.audit(&entry, now)?;
        Ok(jwe)
    }

    fn refuse_release(
        &self,
        entry: Entry<'_>,
        kind: Kind,
        finding: Finding,
        next: &'static str,
        now: UnixTime,
    ) -> Result<Refusal, Refusal> {
        let entry = Entry {
            verdict: Verdict::Refuse,
            check: Some(&finding.check),
            expected: Some(&finding.expected),
            found: Some(&finding.found),
            ..entry
        };
        self.audit(&entry, now)?;
        let id = entry.id.map(str::to_owned);
        Ok(Refusal::found(kind, Finding { id, ..finding }, next))
    }
}
