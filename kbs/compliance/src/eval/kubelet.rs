//! The kubelet's settings, as it would read them: flags of its unit, drop-ins and environment files; the configuration and its
//! drop-ins; for k3s and RKE2 the flags in their own configuration.
//!
//! Every file that has a say must be there with its measured content, or nothing about any setting is established.

use super::files::excerpt;
use super::outcome::Outcome;
use super::systemd::Unit;
use super::{Context, literal};
use crate::appraised::{Lookup, Measured, Node};
use crate::expect::Expect;
use crate::finding::{Proof, Reason, Root};
use crate::profile::KubeletSources;
use crate::yaml::{self, Node as Yaml};
use sealpod_evidence::node::statement::Process;
use sealpod_evidence::node::{NodePath, PathPattern};
use std::collections::BTreeMap;

/// Programs whose command line holds kubelet flags.
const PROGRAMS: [&str; 4] = ["kubelet", "hyperkube", "k3s", "rke2"];

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

struct Reader<'n> {
    node: &'n Node,
    kubelet: Kubelet,
}

impl Reader<'_> {
    /// A file's content as text, noted as one that has a say; `None` if there is no such file.
    fn text(&mut self, path: &NodePath) -> Result<Option<(String, usize)>, Reason> {
        let Some(content) = self.node.content(path)? else { return Ok(None) };
        let origin = self.kubelet.origins.len();
        self.kubelet.origins.push(origin_of(path, content.measured, Root::ImaContent));
        Ok(Some((content.text().into_owned(), origin)))
    }

    fn expand(&self, patterns: &[PathPattern]) -> Result<Vec<NodePath>, Reason> {
        let paths = patterns.iter().map(|pattern| self.node.expand(pattern));
        Ok(paths.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The unit that systemd takes, and its drop-ins by file name, of each name the first.
    fn unit(&mut self, sources: &KubeletSources) -> Result<(), Reason> {
        let mut unit = Unit::default();
        let mut origin = None;
        for path in self.expand(&sources.units)? {
            if let Some((content, index)) = self.text(&path)? {
                unit.apply(&content);
                origin = Some(index);
                break;
            }
        }
        let mut drop_ins: BTreeMap<Vec<u8>, NodePath> = BTreeMap::new();
        for path in self.expand(&sources.drop_ins)? {
            drop_ins.entry(path.file_name().to_vec()).or_insert(path);
        }
        for path in drop_ins.values() {
            if let Some((content, index)) = self.text(path)? {
                unit.apply(&content);
                if content.contains("ExecStart") || origin.is_none() {
                    origin = Some(index);
                }
            }
        }
        // Environment files may hold credentials; where no variable is put in, they have no say.
        let has_variables = unit.exec_start.last().is_some_and(|command| command.contains('$'));
        let environment = if has_variables { self.environment(&mut unit)? } else { Vec::new() };
        let Some(origin) = origin else {
            return Err(Reason::NotStated { what: "a unit file of the kubelet".to_owned() });
        };
        self.command(&unit, origin, &environment)
    }

    fn environment(&mut self, unit: &mut Unit) -> Result<Vec<(usize, String)>, Reason> {
        let mut read = Vec::new();
        for (file, optional) in unit.environment_files.clone() {
            let path = literal(&file)?.literal().ok_or_else(|| Reason::NotStated { what: file.clone() })?;
            match self.text(&path)? {
                Some((content, index)) => {
                    unit.apply_environment_file(&content);
                    read.push((index, content));
                }
                None if optional => {}
                None => {
                    return Err(Reason::NotStated {
                        what: format!("{path}, which the kubelet's unit reads"),
                    });
                }
            }
        }
        Ok(read)
    }

    /// The flags of the last command line. A flag whose text is in an environment file is laid to that file.
    fn command(&mut self, unit: &Unit, origin: usize, environment: &[(usize, String)]) -> Result<(), Reason> {
        let Some(command) = unit.exec_start.last() else {
            return Err(Reason::NotStated {
                what: "how the kubelet is started: its unit has no ExecStart".to_owned(),
            });
        };
        let words = unit.words(command).unwrap_or_default();
        let is_program = |word: &String| {
            PROGRAMS.contains(
                &word.rsplit('/').next().unwrap_or_default().trim_start_matches(['-', '@', ':', '+', '!']),
            )
        };
        let Some(at) = words.iter().position(is_program) else {
            return Err(Reason::NotStated { what: format!("a kubelet in ExecStart={}", excerpt(command)) });
        };
        let arguments = words.get(at + 1..).unwrap_or_default();
        for mut flag in flags(arguments, origin) {
            let in_file =
                environment.iter().rev().find(|(_, content)| content.contains(&format!("--{}", flag.name)));
            if let Some((index, _)) = in_file {
                flag.origin = *index;
            }
            self.push(flag);
        }
        Ok(())
    }

    /// `--kubelet-arg=name=value` stands for the kubelet's `--name=value`.
    fn push(&mut self, flag: Flag) {
        if flag.name == "kubelet-arg" {
            let (name, value) = flag.value.split_once('=').unwrap_or((&flag.value, "true"));
            let (name, value) = (name.to_owned(), value.to_owned());
            self.kubelet.flags.push(Flag { name, value, origin: flag.origin });
        } else {
            self.kubelet.flags.push(flag);
        }
    }

    /// k3s and RKE2: flags in their own configuration. It holds their token too, so the agent tells the flags, and the file's hash.
    fn arguments(&mut self, sources: &KubeletSources) -> Result<(), Reason> {
        let before = self.kubelet.flags.len();
        for path in self.expand(&sources.argument_files)? {
            let measured = match self.node.lookup(&path) {
                Lookup::Measured(measured) => measured,
                Lookup::Absent => continue,
                Lookup::Unknown(reason) => return Err(reason),
            };
            let said = self.node.fact(&format!("kubelet flags in {path}"), |s| s.arguments.get(&path))?;
            if measured.digest != said.sha256.0 {
                return Err(Reason::OtherFileJudged { path });
            }
            let origin = self.kubelet.origins.len();
            self.kubelet.origins.push(origin_of(&path, measured, Root::Agent));
            if let Some(list) = &said.instead {
                self.kubelet.flags.truncate(before);
                list.iter().for_each(|argument| self.push(argument_flag(argument, origin)));
            }
            said.added.iter().for_each(|argument| self.push(argument_flag(argument, origin)));
        }
        Ok(())
    }

    /// The file of `--config`, then the files of `--config-dir` in the order of their paths.
    fn configs(&mut self, sources: &KubeletSources) -> Result<Vec<(Yaml, usize)>, Reason> {
        let mut configs = Vec::new();
        let named = self.kubelet.flag(Some("config")).map(|setting| setting.values.concat());
        if let Some(path) = named {
            let path = literal(&path)?.literal().ok_or_else(|| Reason::NotStated { what: path.clone() })?;
            let Some(config) = self.yaml(&path)? else {
                return Err(Reason::NotStated {
                    what: format!("{path}, which --config names and which is absent"),
                });
            };
            configs.push(config);
        }
        let directory = self.kubelet.flag(Some("config-dir")).map(|setting| setting.values.concat());
        if directory.is_none() && !sources.config_drop_ins_always {
            return Ok(configs);
        }
        let mut paths = self.expand(&sources.config_drop_ins)?;
        if let Some(directory) = directory {
            let directory = literal(&directory)?.literal().unwrap_or_else(NodePath::root);
            paths.retain(|path| path.is_in(&directory));
            if !sources
                .config_drop_ins
                .iter()
                .any(|pattern| pattern.as_str().starts_with(&directory.to_string()))
            {
                return Err(Reason::NotStated { what: format!("{directory}, which --config-dir names") });
            }
        }
        paths.sort();
        for path in paths {
            configs.extend(self.yaml(&path)?);
        }
        Ok(configs)
    }

    /// A configuration, with where it is from; `None` if there is no such file.
    fn yaml(&mut self, path: &NodePath) -> Result<Option<(Yaml, usize)>, Reason> {
        let Some(content) = self.node.content(path)? else { return Ok(None) };
        let yaml = yaml::parse(content.bytes)
            .map_err(|error| Reason::Unreadable { path: path.clone(), problem: error.to_string() })?;
        let origin = self.kubelet.origins.len();
        self.kubelet.origins.push(origin_of(path, content.measured, Root::ImaContent));
        Ok(Some((yaml, origin)))
    }
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
