//! The owner's release policy: Rego, `data.policy.allow`. No policy, an error or anything but `true` is a no.

use crate::crypto;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use sealpod_evidence::workload::ResourcePath;
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub mod bounds;

/// The policy that `init` installs.
pub const DEFAULT_POLICY: &str = include_str!("../policies/release.rego");
/// Name of the one release policy in the store.
pub const POLICY_NAME: &str = "release.rego";
/// Longest policy in bytes; far above any that a person has reviewed.
pub const MAX_POLICY: usize = 256 * 1024;

const RULE: &str = "data.policy.allow";
const PACKAGE: &str = "data.policy";
/// Longest time for one question. The shipped policy takes some ten thousandth of it; a machine that is busy must not deny.
const PATIENCE: Duration = Duration::from_secs(1);
/// Steps of an evaluation between two looks at the clock.
const STEPS: NonZeroU32 = NonZeroU32::new(64).unwrap();
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
    /// It could be followed without end.
    #[error("the policy is not bounded: {0}")]
    Unbounded(String),
    /// It failed on this input.
    #[error("the policy failed: {0}")]
    Evaluation(String),
}

/// A policy that was parsed once.
pub struct Policy {
    engine: Engine,
    id: u64,
    sha256: [u8; 32],
    unconditional: bool,
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
        let tree = engine.get_ast_as_json().map_err(|e| PolicyError::Syntax(brief(&e)))?;
        bounds::check(text, &tree).map_err(PolicyError::Unbounded)?;
        let mut policy = Self {
            engine,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sha256: crypto::sha256(text.as_bytes()),
            unconditional: false,
        };
        let mut trial = policy.prepare(&["x", "x", "x"], &[]).map_err(PolicyError::Rule)?;
        trial.set_input(Value::new_object());
        let answer = trial.eval_rule(RULE.to_owned()).map_err(|e| PolicyError::Rule(brief(&e)))?;
        policy.unconditional = answer == Value::Bool(true);
        Ok(policy)
    }

    /// What to tell the owner of a policy that gave a resource it cannot know to a pod of which nothing is said.
    pub fn warning(&self) -> Option<&'static str> {
        self.unconditional.then_some(
            "DANGEROUS: the release policy says yes without any claim; every attested pod gets every secret",
        )
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
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: PATIENCE, check_interval: STEPS });
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
mod tests;
