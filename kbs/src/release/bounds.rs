//! What a policy must not be, because the engine would follow it until the broker's stack is at its end: functions that call
//! themselves, and chains of rules without a sensible length.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most rules of a policy, hence the longest chain of them. A chain of this length needs less than half of [`STACK`].
const MAX_RULES: usize = 512;
/// Stack of each thread that evaluates policies, in bytes. Only what is used costs memory.
pub const STACK: usize = 16 << 20;

/// Refuse a policy, given as its text and the engine's syntax tree of it, in words.
///
/// By which way a function is reached (its name, its package, a bracket, another import name) is not resolved: whoever so much
/// as mentions one counts as its caller. Rules that depend on themselves are found by the engine.
pub fn check(text: &str, tree: &str) -> Result<(), String> {
    let tree: Value = serde_json::from_str(tree).map_err(|e| e.to_string())?;
    let unknown = || "the engine's syntax tree is not of the expected form".to_owned();
    let mut callers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut rules = 0;
    for module in tree.as_array().ok_or_else(unknown)? {
        let mut names = Names { packages: BTreeSet::from(["data".to_owned()]) };
        for import in module["ast"]["imports"].as_array().ok_or_else(unknown)? {
            let reference = &import["refr"];
            names.packages.extend(last_name(reference));
            // Another name for a function is a function that mentions it.
            if let Some(span) = import.get("as") {
                let at = |end: &str| span[end].as_u64().and_then(|at| usize::try_from(at).ok());
                let alias = at("start").zip(at("end")).and_then(|(start, end)| text.get(start..end));
                let alias = alias.ok_or_else(unknown)?.to_owned();
                names.packages.insert(alias.clone());
                names.collect(reference, callers.entry(alias).or_default());
            }
        }
        for rule in module["ast"]["rules"].as_array().ok_or_else(unknown)? {
            rules += 1;
            let function = &rule["Spec"]["head"]["Func"];
            if let Some(name) = last_name(&function["refr"]) {
                let mentioned = callers.entry(name).or_default();
                for part in [&function["args"], &function["assign"], &rule["Spec"]["bodies"]] {
                    names.collect(part, mentioned);
                }
            }
        }
    }
    if rules > MAX_RULES {
        return Err(format!("{rules} rules, at most {MAX_RULES} are accepted"));
    }
    match cycle(callers) {
        Some(name) => Err(format!("the function `{name}` calls itself, directly or through others")),
        None => Ok(()),
    }
}

/// A function that is left when those are removed, again and again, that call none of the rest.
fn cycle(mut callers: BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    loop {
        let names: BTreeSet<String> = callers.keys().cloned().collect();
        callers.retain(|_, mentioned| !mentioned.is_disjoint(&names));
        if callers.len() == names.len() {
            return callers.into_keys().next();
        }
    }
}

/// The last component of a reference.
fn last_name(reference: &Value) -> Option<String> {
    let name = reference["Var"]["value"].as_str();
    name.or_else(|| reference["RefDot"]["field"][1].as_str())
        .or_else(|| reference["RefBrack"]["index"]["String"]["value"].as_str())
        .map(str::to_owned)
}

/// What a function can be reached by in one module.
struct Names {
    /// `data` and what was imported. Fields of anything else are data, not functions.
    packages: BTreeSet<String>,
}

impl Names {
    /// All variables in a tree, and all fields and keys of packages.
    fn collect(&self, tree: &Value, found: &mut BTreeSet<String>) {
        match tree {
            Value::Object(object) => {
                if root(tree).is_some_and(|root| tree.get("Var").is_some() || self.packages.contains(root)) {
                    found.extend(last_name(tree));
                }
                object.values().for_each(|value| self.collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| self.collect(value, found)),
            _ => {}
        }
    }
}

/// The variable that a reference starts with.
fn root(mut reference: &Value) -> Option<&str> {
    while let Some(inner) = ["RefDot", "RefBrack"].into_iter().find_map(|kind| reference.get(kind)) {
        reference = &inner["refr"];
    }
    reference["Var"]["value"].as_str()
}
