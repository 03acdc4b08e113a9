//! Verdicts of the agent about accounts, tied to the files that the kernel measured.

use super::Context;
use super::outcome::Outcome;
use crate::appraised::Lookup;
use crate::expect::Expect;
use crate::finding::Reason;
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::ima::HashAlgorithm;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::{AccountCheck, AccountFact, AccountResult};
use std::collections::BTreeMap;

/// Days that stand for no end.
const ENDLESS: i32 = i32::MAX;

impl Context<'_> {
    pub(super) fn account(&self, check: AccountCheck) -> Result<Outcome, Reason> {
        let fact = self.account_fact(check)?;
        let AccountResult::Holds(holds) = fact.result else {
            return Err(Reason::NotStated { what: format!("yes or no to {}", name(check)) });
        };
        let found = match (holds, fact.offenders.as_slice()) {
            (true, _) => "holds".to_owned(),
            (false, []) => "does not hold".to_owned(),
            (false, offenders) => format!("not for {}", offenders.join(", ")),
        };
        Ok(Outcome::one(
            holds,
            self.node()?.stated_proof(&name(check), super::files::excerpt(&found), "holds"),
        ))
    }

    pub(super) fn account_days(&self, check: AccountCheck, expect: &Expect) -> Result<Outcome, Reason> {
        let fact = self.account_fact(check)?;
        let AccountResult::Worst(days) = fact.result else {
            return Err(Reason::NotStated { what: format!("a number of {}", name(check)) });
        };
        let shown = if days == ENDLESS { "endless".to_owned() } else { days.to_string() };
        let found = match fact.offenders.as_slice() {
            [] => shown,
            offenders => format!("{shown} ({})", offenders.join(", ")),
        };
        let proof =
            self.node()?.stated_proof(&name(check), super::files::excerpt(&found), expect.to_string());
        Ok(Outcome::one(expect.holds(&[days.to_string()]), proof))
    }

    fn account_fact(&self, check: AccountCheck) -> Result<&AccountFact, Reason> {
        let node = self.node()?;
        let fact = node.fact(&name(check), |s| s.accounts.as_ref()?.get(&check))?;
        if fact.judged.is_empty() {
            return Err(Reason::NotStated { what: format!("which files were judged for {}", name(check)) });
        }
        self.judged_files(&fact.judged)?;
        Ok(fact)
    }

    /// Each file that the agent judged is the one that the kernel measured in this round.
    pub(super) fn judged_files(&self, judged: &BTreeMap<NodePath, Sha256Digest>) -> Result<(), Reason> {
        let node = self.node()?;
        for (path, digest) in judged {
            match node.lookup(path) {
                Lookup::Measured(file)
                    if file.algorithm == HashAlgorithm::Sha256 && file.digest == digest.0 => {}
                Lookup::Measured(file) if file.algorithm != HashAlgorithm::Sha256 => {
                    let algorithm = file.algorithm.name().to_owned();
                    return Err(Reason::WeakHash { path: path.clone(), algorithm });
                }
                Lookup::Unknown(reason) => return Err(reason),
                _ => return Err(Reason::OtherFileJudged { path: path.clone() }),
            }
        }
        Ok(())
    }
}

/// As profiles spell it.
fn name(check: AccountCheck) -> String {
    let text = serde_json::to_value(check).ok();
    text.as_ref().and_then(|text| text.as_str()).unwrap_or("account check").to_owned()
}
