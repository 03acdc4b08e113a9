//! The owner's release policy: Rego, `data.policy.allow`. No policy, an error or anything but `true` is a no.

use crate::crypto;
use regorus::{Engine, Value};
use sealpod_evidence::workload::ResourcePath;
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The policy that `init` installs.
pub const DEFAULT_POLICY: &str = include_str!("../policies/release.rego");
/// Name of the one release policy in the store.
pub const POLICY_NAME: &str = "release.rego";
/// Longest policy in bytes; far above any that a person has reviewed.
pub const MAX_POLICY: usize = 256 * 1024;

const RULE: &str = "data.policy.allow";
const PACKAGE: &str = "data.policy";
/// Prepared engines kept by each thread: one per resource that is asked for. An engine is some tens of kilobytes.
const MAX_PREPARED: usize = 256;

/// Why a policy was not accepted, or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too long.
    #[error("the policy is {found} bytes, at most {MAX_POLICY} are accepted")]
    Size {
        /// Its length.
        found: usize,
    },
    /// Not Rego.
    #[error("the policy does not parse: {0}")]
    Syntax(String),
    /// Without the one rule that is asked.
    #[error("the policy has no rule `allow` in a package `policy`: {0}")]
    Rule(String),
    /// It failed on this input.
    #[error("the policy failed: {0}")]
    Evaluation(String),
}

/// A policy that was parsed once.
pub struct Policy {
    engine: Engine,
    id: u64,
    sha256: [u8; 32],
}

/// Engines of one thread, prepared for the policy of this id, by resource path. Preparing costs a hundred times what asking costs.
struct Prepared {
    policy: u64,
    engines: HashMap<String, Engine>,
}

thread_local! {
    static PREPARED: RefCell<Prepared> = RefCell::new(Prepared { policy: 0, engines: HashMap::new() });
}

impl Policy {
    /// Parse a policy, as Rego v1 or else as v0, and see that it can be asked.
    pub fn compile(text: &str) -> Result<Self, PolicyError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if text.len() > MAX_POLICY {
            return Err(PolicyError::Size { found: text.len() });
        }
        let engine = parse(text, false).or_else(|first| parse(text, true).map_err(|_| first))?;
        let packages = engine.get_packages().map_err(|e| PolicyError::Rule(brief(&e)))?;
        if !packages.iter().any(|package| package == PACKAGE) {
            return Err(PolicyError::Rule(format!("found {}", packages.join(", "))));
        }
        let policy = Self {
            engine,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sha256: crypto::sha256(text.as_bytes()),
        };
        let mut trial = policy.prepare(&["x", "x", "x"], &[]).map_err(PolicyError::Rule)?;
        trial.set_input(Value::new_object());
        trial.eval_rule(RULE.to_owned()).map_err(|e| PolicyError::Rule(brief(&e)))?;
        Ok(policy)
    }

    /// SHA-256 of its text.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whether the bearer of these claims may have this resource.
    pub fn allows(
        &self,
        claims: &Value,
        resource: &ResourcePath,
        query: &[(String, String)],
    ) -> Result<bool, PolicyError> {
        if !query.is_empty() {
            let mut engine = self.prepare(&resource.segments(), query).map_err(PolicyError::Evaluation)?;
            return ask(&mut engine, claims);
        }
        PREPARED.with_borrow_mut(|prepared| {
            if prepared.policy != self.id || prepared.engines.len() >= MAX_PREPARED {
                *prepared = Prepared { policy: self.id, engines: HashMap::new() };
            }
            let name = resource.to_string();
            if let Some(engine) = prepared.engines.get_mut(&name) {
                return ask(engine, claims);
            }
            let mut engine = self.prepare(&resource.segments(), &[]).map_err(PolicyError::Evaluation)?;
            let answer = ask(&mut engine, claims);
            prepared.engines.insert(name, engine);
            answer
        })
    }

    /// An engine whose `data` is this request (kbs-protocol.md 2.5).
    fn prepare(&self, path: &[&str], query: &[(String, String)]) -> Result<Engine, String> {
        let query: HashMap<&str, &str> = query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let data = json!({"plugin": "resource", "resource-path": path, "query": query});
        let mut engine = self.engine.clone();
        let data = Value::from_json_str(&data.to_string()).map_err(|e| brief(&e))?;
        engine.add_data(data).map_err(|e| brief(&e))?;
        Ok(engine)
    }
}

fn parse(text: &str, v0: bool) -> Result<Engine, PolicyError> {
    let mut engine = Engine::new();
    engine.set_rego_v0(v0);
    engine.add_policy(POLICY_NAME.to_owned(), text.to_owned()).map_err(|e| PolicyError::Syntax(brief(&e)))?;
    Ok(engine)
}

fn ask(engine: &mut Engine, claims: &Value) -> Result<bool, PolicyError> {
    engine.set_input(claims.clone());
    let answer = engine.eval_rule(RULE.to_owned()).map_err(|e| PolicyError::Evaluation(brief(&e)))?;
    Ok(answer == Value::Bool(true))
}

/// The engine draws its errors over several lines.
fn brief(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ear::tests::{affirmed, example};
    use sealpod_verifier::{BindingLevel, TrustVector};

    fn claims(vector: &TrustVector, level: BindingLevel) -> Value {
        with_secret(vector, level, "a/b/c")
    }

    /// The claims of a pod whose one container names one secret.
    fn with_secret(vector: &TrustVector, level: BindingLevel, resource: &str) -> Value {
        let mut claims = example(vector, level, &json!({}));
        claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["containers"] =
            json!([{"secrets": [{"resource": resource}]}]);
        Value::from_json_str(&claims.to_string()).unwrap()
    }

    fn allows(policy: &Policy, claims: &Value, path: &str) -> bool {
        policy.allows(claims, &path.parse().unwrap(), &[]).unwrap()
    }

    fn compile(text: &str) -> Policy {
        Policy::compile(text).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_shipped_policy_wants_every_claim_affirmed_and_a_vouched_for_vtpm() {
        let policy = compile(DEFAULT_POLICY);
        assert!(allows(&policy, &claims(&affirmed(), BindingLevel::Svsm), "a/b/c"));
        assert!(allows(&policy, &claims(&affirmed(), BindingLevel::Paravisor), "a/b/c"));
        assert!(!allows(&policy, &claims(&affirmed(), BindingLevel::GuestKernel), "a/b/c"));
        assert!(!allows(&policy, &claims(&affirmed(), BindingLevel::Host), "a/b/c"));
        for value in [0, 1, 32, 96, -1] {
            let vector = TrustVector { file_system: Some(value), ..affirmed() };
            assert!(!allows(&policy, &claims(&vector, BindingLevel::Svsm), "a/b/c"), "{value}");
        }
        assert!(!allows(&policy, &claims(&TrustVector::default(), BindingLevel::Svsm), "a/b/c"));
        assert!(!allows(&policy, &Value::new_object(), "a/b/c"));
    }

    #[test]
    fn the_shipped_policy_gives_a_pod_only_the_secrets_that_its_containers_name() {
        let policy = compile(DEFAULT_POLICY);
        let of = |resource: &str| with_secret(&affirmed(), BindingLevel::Svsm, resource);
        assert!(allows(&policy, &of("a/b/c"), "a/b/c"));
        assert!(!allows(&policy, &of("a/b/c"), "a/b/d"));
        assert!(!allows(&policy, &of("a/b"), "a/b/c"));
        let none = example(&affirmed(), BindingLevel::Svsm, &json!({}));
        assert!(!allows(&policy, &Value::from_json_str(&none.to_string()).unwrap(), "a/b/c"));
    }

    #[test]
    fn each_resource_is_judged_for_itself() {
        let policy = compile(
            "package policy\nimport rego.v1\ndefault allow := false\nallow if data[\"resource-path\"] == [\"a\", \"b\", \"c\"]",
        );
        for _ in 0..2 {
            assert!(allows(&policy, &Value::new_object(), "a/b/c"));
            assert!(!allows(&policy, &Value::new_object(), "a/b/d"));
        }
        for index in 0..2 * MAX_PREPARED {
            assert!(!allows(&policy, &Value::new_object(), &format!("a/b/{index}")));
        }
    }

    #[test]
    fn the_next_policy_is_asked_at_once() {
        let (yes, no) = (compile("package policy\nallow := true"), compile("package policy\nallow := false"));
        for _ in 0..2 {
            assert!(allows(&yes, &Value::new_object(), "a/b/c"));
            assert!(!allows(&no, &Value::new_object(), "a/b/c"));
        }
    }

    #[test]
    fn the_query_reaches_the_policy_and_is_not_kept() {
        let policy =
            compile("package policy\nimport rego.v1\ndefault allow := false\nallow if data.query.v == \"1\"");
        let path = "a/b/c".parse().unwrap();
        let query = [("v".to_owned(), "1".to_owned())];
        assert_eq!(policy.allows(&Value::new_object(), &path, &query), Ok(true));
        assert_eq!(policy.allows(&Value::new_object(), &path, &[]), Ok(false));
    }

    #[test]
    fn policies_written_for_rego_v0_load() {
        let policy = compile("package policy\ndefault allow = false\nallow { input.x == 1 }");
        assert!(allows(&policy, &Value::from_json_str("{\"x\": 1}").unwrap(), "a/b/c"));
        assert!(!allows(&policy, &Value::new_object(), "a/b/c"));
    }

    #[test]
    fn only_true_is_a_yes() {
        for value in ["false", "1", "\"true\"", "[true]", "{true}"] {
            let policy = compile(&format!("package policy\nallow := {value}"));
            assert!(!allows(&policy, &Value::new_object(), "a/b/c"), "{value}");
        }
        let undefined = compile("package policy\nimport rego.v1\nallow if input.absent");
        assert!(!allows(&undefined, &Value::new_object(), "a/b/c"));
    }

    #[test]
    fn a_policy_that_cannot_be_asked_is_refused() {
        let refused = |text: &str| Policy::compile(text).err().unwrap();
        assert!(matches!(refused("package policy\nallow {"), PolicyError::Syntax(_)));
        assert!(matches!(refused("package other\nallow := true"), PolicyError::Rule(_)));
        assert!(matches!(refused("package policy\ndeny := true"), PolicyError::Rule(_)));
        assert!(matches!(refused(&" ".repeat(MAX_POLICY + 1)), PolicyError::Size { .. }));
    }
}
