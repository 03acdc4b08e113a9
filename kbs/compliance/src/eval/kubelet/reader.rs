//! Reads the files that have a say in a kubelet's settings.

use super::{Flag, Kubelet, argument_flag, flags, origin_of};
use crate::appraised::{Lookup, Node};
use crate::eval::files::excerpt;
use crate::eval::literal;
use crate::eval::systemd::Unit;
use crate::finding::{Reason, Root};
use crate::profile::KubeletSources;
use crate::yaml::{self, Node as Yaml};
use sealpod_evidence::node::{NodePath, PathPattern};
use std::collections::BTreeMap;

/// Programs whose command line holds kubelet flags.
const PROGRAMS: [&str; 4] = ["kubelet", "hyperkube", "k3s", "rke2"];

pub(super) struct Reader<'n> {
    pub(super) node: &'n Node,
    pub(super) kubelet: Kubelet,
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
    pub(super) fn unit(&mut self, sources: &KubeletSources) -> Result<(), Reason> {
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
    pub(super) fn arguments(&mut self, sources: &KubeletSources) -> Result<(), Reason> {
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
    pub(super) fn configs(&mut self, sources: &KubeletSources) -> Result<Vec<(Yaml, usize)>, Reason> {
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
