//! The kubelet's settings, as it would read them: flags of its unit, drop-ins and environment files; the configuration and its
//! drop-ins; for k3s and RKE2 the flags in their own configuration.
//!
//! Every file that has a say must be there with its measured content, or nothing about any setting is established.

mod reader;

use super::Context;
use super::files::excerpt;
use super::outcome::Outcome;
use crate::appraised::Measured;
use crate::expect::Expect;
use crate::finding::{Proof, Reason, Root};
use crate::yaml::Node as Yaml;
use reader::Reader;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::Process;

/// Which setting is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) flag: Option<&'w str>,
    pub(super) key: Option<&'w str>,
    pub(super) gate: Option<&'w str>,
}

/// A setting that is there.
#[derive(Debug, Clone)]
pub(super) struct Setting<'k> {
    pub(super) values: Vec<String>,
    /// The flag or key.
    name: String,
    source: &'k Origin,
}

/// A file that has a say.
#[derive(Debug, Clone)]
struct Origin {
    path: NodePath,
    log_index: u64,
    hash: String,
    root: Root,
}

#[derive(Debug)]
struct Flag {
    name: String,
    value: String,
    origin: usize,
}

/// All settings of one node.
#[derive(Debug)]
pub(super) struct Kubelet {
    origins: Vec<Origin>,
    flags: Vec<Flag>,
    /// Configurations: the first is the base, later ones go over it. An error where one that is in use cannot be had.
    configs: Result<Vec<(Yaml, usize)>, Reason>,
}

impl Kubelet {
    /// The value that the kubelet uses; `None` where its own default applies. A flag settles it without the configuration.
    pub(super) fn setting(&self, wanted: &Wanted<'_>) -> Result<Option<Setting<'_>>, Reason> {
        let flag = match wanted.gate {
            Some(gate) => self.gate_flag(wanted.flag, gate),
            None => self.flag(wanted.flag),
        };
        match (flag, wanted.key) {
            (None, Some(key)) => self.key(key, wanted.gate),
            (flag, _) => Ok(flag),
        }
    }

    fn origin(&self, index: usize) -> Option<&Origin> {
        self.origins.get(index)
    }

    /// The last flag of that name holds.
    fn flag(&self, name: Option<&str>) -> Option<Setting<'_>> {
        let name = name?;
        let flag = self.flags.iter().rev().find(|flag| flag.name == name)?;
        let source = self.origin(flag.origin)?;
        Some(Setting { values: vec![flag.value.clone()], name: format!("--{name}"), source })
    }

    /// `--feature-gates=A=true,B=false`: each gate by itself.
    fn gate_flag(&self, name: Option<&str>, gate: &str) -> Option<Setting<'_>> {
        let name = name?;
        let (value, flag) = self.flags.iter().rev().filter(|flag| flag.name == name).find_map(|flag| {
            let value =
                flag.value.split(',').rev().find_map(|part| part.strip_prefix(gate)?.strip_prefix('='))?;
            Some((value, flag))
        })?;
        let source = self.origin(flag.origin)?;
        Some(Setting { values: vec![value.to_owned()], name: format!("--{name} {gate}"), source })
    }

    fn key(&self, key: &str, gate: Option<&str>) -> Result<Option<Setting<'_>>, Reason> {
        let configs = self.configs.as_ref().map_err(Clone::clone)?;
        let found = configs.iter().rev().find_map(|(config, origin)| {
            let node = config.at(key)?;
            let node = if let Some(gate) = gate { node.get(gate)? } else { node };
            (!node.is_null()).then_some((node, self.origin(*origin)?))
        });
        Ok(found.map(|(node, source)| {
            let values = node.texts().unwrap_or_default().into_iter().map(str::to_owned).collect();
            let name = gate.map_or_else(|| key.to_owned(), |gate| format!("{key}.{gate}"));
            Setting { values, name, source }
        }))
    }

    fn proof(origin: &Origin, setting: &str, found: &str, required: &str) -> Proof {
        Proof {
            root: origin.root,
            subject: format!("{setting} in {}", origin.path),
            found: excerpt(found),
            required: excerpt(required),
            pcr: Some(crate::appraised::PCR_IMA),
            log_index: Some(origin.log_index),
            hash: Some(origin.hash.clone()),
        }
    }
}

impl Context<'_> {
    pub(super) fn kubelet_setting(
        &self,
        wanted: &Wanted<'_>,
        expect: &Expect,
        absent_passes: bool,
    ) -> Result<Outcome, Reason> {
        let kubelet = self.kubelet()?;
        let required = expect.to_string();
        let name = wanted.key.or(wanted.flag).unwrap_or_default();
        let from_files = match kubelet.setting(wanted)? {
            Some(setting) => {
                let found = setting.values.join(",");
                let proof = Kubelet::proof(setting.source, &setting.name, &found, &required);
                Outcome::one(expect.holds(&setting.values), proof)
            }
            None => {
                let holds = absent_passes || expect.wants_absence();
                let found = if absent_passes { "not set; the default meets it" } else { "not set" };
                let proofs =
                    kubelet.origins.iter().map(|origin| Kubelet::proof(origin, name, found, &required));
                Outcome::judged(holds, proofs.collect::<Vec<_>>())
            }
        };
        let running = self.running(wanted, expect, &required)?;
        Ok(Outcome::all([from_files].into_iter().chain(running)))
    }

    /// Running kubelets whose flags are against the demand, however good the files are.
    fn running(&self, wanted: &Wanted<'_>, expect: &Expect, required: &str) -> Result<Vec<Outcome>, Reason> {
        let node = self.node()?;
        let looked_at = self.platform()?.kubelet.as_ref().is_some_and(|sources| sources.running);
        let Some(processes) = node.statement()?.kubelets.as_ref().filter(|_| looked_at) else {
            return Ok(Vec::new());
        };
        let against = processes.iter().filter_map(|process| {
            let running = Kubelet {
                origins: vec![unmeasured(process)],
                flags: flags(&process.arguments, 0),
                configs: Ok(Vec::new()),
            };
            let setting = running.setting(wanted).ok()?.filter(|setting| !expect.holds(&setting.values))?;
            let subject = format!("{} of the running {}", setting.name, process.executable);
            let proof = node.stated_proof(&subject, excerpt(&setting.values.join(",")), required);
            Some(Outcome::one(false, proof))
        });
        Ok(against.collect())
    }

    pub(super) fn read_kubelet(&self) -> Result<Kubelet, Reason> {
        let node = self.node()?;
        let platform = self.platform()?;
        let sources = platform.kubelet.as_ref();
        let sources =
            sources.ok_or_else(|| Reason::NotStated { what: format!("a kubelet of {}", platform.name) })?;
        let mut reader = Reader {
            node,
            kubelet: Kubelet { origins: Vec::new(), flags: Vec::new(), configs: Ok(Vec::new()) },
        };
        reader.unit(sources)?;
        reader.arguments(sources)?;
        reader.kubelet.configs = reader.configs(sources);
        Ok(reader.kubelet)
    }
}

/// Where a running process's flags come from; its place in a proof is the statement's.
fn unmeasured(process: &Process) -> Origin {
    Origin { path: process.executable.clone(), log_index: 0, hash: String::new(), root: Root::Agent }
}

fn origin_of(path: &NodePath, measured: &Measured, root: Root) -> Origin {
    Origin { path: path.clone(), log_index: measured.index, hash: measured.hash(), root }
}

fn argument_flag(text: &str, origin: usize) -> Flag {
    let text = text.trim_start_matches('-');
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    Flag { name: name.to_owned(), value: value.to_owned(), origin }
}

/// `--name=value`, `--name value`, `--name` for true.
fn flags(words: &[String], origin: usize) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(text) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let mut flag = argument_flag(text, origin);
        if !text.contains('=')
            && let Some(value) = words.next_if(|next| !next.starts_with('-'))
        {
            flag.value = value.clone();
        }
        flags.push(flag);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_each_of_their_forms() {
        let words = ["--a=1", "--b", "2", "stray", "--c", "--d=x=y", "-v=2"].map(str::to_owned);
        let found: Vec<_> = flags(&words, 0).into_iter().map(|flag| (flag.name, flag.value)).collect();
        let expected = [("a", "1"), ("b", "2"), ("c", "true"), ("d", "x=y"), ("v", "2")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
