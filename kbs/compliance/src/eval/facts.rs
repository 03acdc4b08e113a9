//! Rules about what no file holds: packages, services, mounts, modules, sockets, directories, boot, and claims of a pod.

use super::files::ids;
use super::outcome::Outcome;
use super::{Context, text};
use crate::expect::{Expect, Mode};
use crate::finding::{Proof, Reason, Root, State};
use crate::rule::{Absent, ApparmorMode, Pointers, Rule, ScanCheck, Target};
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::{Found, Protocol};
use serde_json::Value;

/// Files that tell the kernel's module loader what not to load.
pub(crate) const MODPROBE: [&str; 4] = [
    "/etc/modprobe.d/*.conf",
    "/run/modprobe.d/*.conf",
    "/usr/lib/modprobe.d/*.conf",
    "/lib/modprobe.d/*.conf",
];

impl Context<'_> {
    pub(super) fn fact(&self, rule: &Rule) -> Result<Outcome, Reason> {
        match rule {
            Rule::PackageAbsent(names) => self.packages(names, false),
            Rule::PackagePresent(names) => self.packages(names, true),
            Rule::ServiceEnabled(units) => self.services(units, true),
            Rule::ServiceDisabled(units) => self.services(units, false),
            Rule::MountOption { point, option } => self.mount(point, Some(option)),
            Rule::MountSeparate { point } => self.mount(point, None),
            Rule::ModuleDisabled(modules) => Ok(Outcome::all(
                modules.iter().map(|module| self.module(module).unwrap_or_else(Outcome::unknown)),
            )),
            Rule::ListeningOnly { allow } => self.listening_only(allow),
            Rule::LoopbackOnly { ports } => self.loopback_only(ports),
            Rule::Directory { path, mode, owner, group, absent } => {
                self.directory(path, *mode, owner, group, *absent)
            }
            Rule::KernelArgument { name, expect } => self.kernel_argument(name, expect),
            Rule::BootPassword => self.boot_password(),
            Rule::Apparmor(mode) => self.apparmor(*mode),
            Rule::Scan(check) => self.scan(*check),
            Rule::SetIdOnly(allowed) => self.set_id_only(allowed),
            Rule::NoWireless => self.no_wireless(),
            Rule::Attested => self.attested(),
            Rule::Claim { pointer, expect } => self.claim(pointer, expect),
            // Every other rule has its own module; `leaf` sends none of them here.
            other => Err(Reason::NotStated { what: format!("{other:?}").chars().take(64).collect() }),
        }
    }

    fn packages(&self, names: &[String], wanted: bool) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let packages = node.fact("installed packages", |s| s.packages.as_ref())?;
        let found = names.iter().find_map(|name| Some((name, packages.get(name)?)));
        let required = if wanted { "installed" } else { "not installed" };
        let shown =
            found.map_or_else(|| "not installed".to_owned(), |(name, version)| format!("{name} {version}"));
        let proof = node.stated_proof(&format!("package {}", names.join(" or ")), shown, required);
        Ok(Outcome::one(found.is_some() == wanted, proof))
    }

    fn services(&self, units: &[String], wanted: bool) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let outcomes = units.iter().map(|unit| {
            let service = match node.fact(&format!("unit {unit}"), |s| s.services.get(unit)) {
                Ok(service) => service,
                Err(reason) => return Outcome::unknown(reason),
            };
            let enabled = matches!(
                service.enabled.as_str(),
                "enabled" | "enabled-runtime" | "static" | "indirect" | "alias"
            );
            let (on, off) = (enabled && service.active == "active", {
                let down = !matches!(service.enabled.as_str(), "enabled" | "enabled-runtime");
                down && !matches!(service.active.as_str(), "active" | "activating" | "reloading")
            });
            let required = if wanted { "enabled and active" } else { "neither enabled nor active" };
            let found = format!("{}, {}", service.enabled, service.active);
            Outcome::one(if wanted { on } else { off }, node.stated_proof(unit, found, required))
        });
        Ok(if wanted { Outcome::any(outcomes) } else { Outcome::all(outcomes) })
    }

    fn mount(&self, point: &str, option: Option<&str>) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let mounts = node.fact("mounted file systems", |s| s.mounts.as_ref())?;
        // The last mount at a place is the one that is seen.
        let mount = mounts.iter().rfind(|mount| mount.point.to_string() == point);
        let subject = format!("mount {point}");
        Ok(match (mount, option) {
            (Some(mount), Some(option)) => {
                let holds = mount.options.split(',').any(|held| held == option);
                Outcome::one(holds, node.stated_proof(&subject, mount.options.clone(), option))
            }
            (None, Some(option)) => {
                Outcome::one(true, node.stated_proof(&subject, "not a mount of its own", option))
                    .not_applicable()
            }
            (mount, None) => {
                let found = mount
                    .map_or_else(|| "part of another".to_owned(), |m| format!("{} {}", m.fstype, m.source));
                Outcome::one(mount.is_some(), node.stated_proof(&subject, found, "a file system of its own"))
            }
        })
    }

    fn module(&self, module: &str) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let name = module.replace('-', "_");
        let loaded = node.fact("loaded modules", |s| s.modules.as_ref())?.contains(&name);
        let subject = format!("module {module}");
        let found = if loaded { "loaded" } else { "not loaded" };
        let live = Outcome::one(!loaded, node.stated_proof(&subject, found, "not loaded"));
        let target = Target(MODPROBE.map(str::to_owned).to_vec());
        let sources = self.sources(&target)?;
        let says = |verb: &str, rest: &str| {
            sources.iter().find_map(|source| {
                let content = source.content.text();
                let line = text::lines(&content).find(|line| {
                    let mut words = line.split_whitespace();
                    words.next() == Some(verb)
                        && words.next().is_some_and(|word| word.replace('-', "_") == name)
                        && (rest.is_empty() || words.next().is_some_and(|word| text::wildcard(rest, word)))
                })?;
                Some(Outcome::one(true, source.proof(&subject, line, format!("{verb} {module} {rest}"))))
            })
        };
        let missing = |required: &str| {
            let subject = format!("{subject} in {}", target.0.join(", "));
            Outcome::one(false, node.stated_proof(&subject, "no such line", required))
        };
        let install = says("install", "/bin/true").or_else(|| says("install", "/bin/false"));
        let install = install
            .or_else(|| says("install", "/usr/bin/true"))
            .or_else(|| says("install", "/usr/bin/false"));
        let install = install.unwrap_or_else(|| missing("install … /bin/false"));
        let blacklist = says("blacklist", "").unwrap_or_else(|| missing("blacklist"));
        Ok(Outcome::all([live, install, blacklist].into_iter()))
    }

    fn listening_only(&self, allow: &[String]) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let listening = node.fact("listening sockets", |s| s.listening.as_ref())?;
        let against: Vec<Proof> = listening
            .iter()
            .filter(|socket| !socket.address.is_loopback())
            .map(|socket| {
                let transport = if socket.protocol == Protocol::Tcp { "tcp" } else { "udp" };
                (socket, format!("{transport}/{}", socket.port))
            })
            .filter(|(_, name)| !allow.contains(name))
            .map(|(socket, name)| {
                let found = format!("{name} at {}", socket.address);
                node.stated_proof("listening sockets", found, format!("only {}", allow.join(", ")))
            })
            .collect();
        let none = || {
            vec![node.stated_proof("listening sockets", "none other", format!("only {}", allow.join(", ")))]
        };
        Ok(if against.is_empty() { Outcome::judged(true, none()) } else { Outcome::judged(false, against) })
    }

    fn loopback_only(&self, ports: &[u16]) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let listening = node.fact("listening sockets", |s| s.listening.as_ref())?;
        let open =
            listening.iter().find(|socket| ports.contains(&socket.port) && !socket.address.is_loopback());
        let subject = format!("port {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "));
        let found =
            open.map_or_else(|| "not open beyond loopback".to_owned(), |s| format!("open at {}", s.address));
        Ok(Outcome::one(open.is_none(), node.stated_proof(&subject, found, "loopback at most")))
    }

    fn directory(
        &self,
        target: &Target,
        mode: Mode,
        owners: &[u32],
        groups: &[u32],
        absent: Absent,
    ) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let required = format!("{mode} or stricter, uid {}, gid {}", ids(owners), ids(groups));
        let outcomes = self.paths(target)?.into_iter().map(|path: NodePath| {
            let subject = path.to_string();
            match node.fact(&subject, |s| s.directories.get(&path)) {
                Err(reason) => Outcome::unknown(reason),
                Ok(None) => {
                    let proof = node.stated_proof(&subject, "absent", &required);
                    let state = match absent {
                        Absent::Fail => State::Fail,
                        Absent::Pass => State::Pass,
                        Absent::NotApplicable => State::NotApplicable,
                    };
                    Outcome { state, reasons: Vec::new(), proofs: vec![proof] }
                }
                Ok(Some(found)) => {
                    let holds = found.mode & !mode.0 == 0
                        && owners.contains(&found.uid)
                        && groups.contains(&found.gid);
                    let found = format!("{}, uid {}, gid {}", Mode(found.mode), found.uid, found.gid);
                    Outcome::one(holds, node.stated_proof(&subject, found, &required))
                }
            }
        });
        Ok(Outcome::all(outcomes))
    }

    fn kernel_argument(&self, name: &str, expect: &Expect) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let boot = node.fact("the boot loader", |s| s.boot.as_ref())?;
        self.judged_files(&boot.judged)?;
        let subject = format!("kernel argument {name}");
        let outcomes = boot.command_lines.iter().map(|line| {
            let value = line.split_whitespace().rev().find_map(|word| {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                (key == name).then(|| value.to_owned())
            });
            let found = value.clone().unwrap_or_else(|| "not set".to_owned());
            let holds = value.map_or(expect.wants_absence(), |value| expect.holds(&[value]));
            Outcome::one(holds, node.stated_proof(&subject, found, expect.to_string()))
        });
        let none = node.stated_proof(&subject, "no command line in the boot menu", expect.to_string());
        Ok(if boot.command_lines.is_empty() { Outcome::one(false, none) } else { Outcome::all(outcomes) })
    }

    fn boot_password(&self) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let boot = node.fact("the boot loader", |s| s.boot.as_ref())?;
        self.judged_files(&boot.judged)?;
        let found = if boot.password { "set" } else { "not set" };
        Ok(Outcome::one(boot.password, node.stated_proof("boot menu password", found, "set")))
    }

    fn apparmor(&self, mode: ApparmorMode) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let found = node.fact("AppArmor", |s| s.apparmor.as_ref())?;
        let loaded = found.enforce.saturating_add(found.complain) > 0;
        let strict = mode == ApparmorMode::EnforceOrComplain || found.complain == 0;
        let holds = found.enabled && loaded && strict && found.unconfined == 0;
        let shown = format!(
            "{}, {} enforcing, {} complaining, {} unconfined",
            if found.enabled { "on" } else { "off" },
            found.enforce,
            found.complain,
            found.unconfined
        );
        let required = match mode {
            ApparmorMode::EnforceOrComplain => {
                "on, each profile enforcing or complaining, nothing unconfined"
            }
            ApparmorMode::Enforce => "on, each profile enforcing, nothing unconfined",
        };
        Ok(Outcome::one(holds, node.stated_proof("AppArmor", shown, required)))
    }

    fn scan(&self, check: ScanCheck) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let scan = node.fact("a walk over the file systems", |s| s.scan.as_ref())?;
        let (subject, found): (_, &Found) = match check {
            ScanCheck::WorldWritable => ("files writable by all", &scan.world_writable),
            ScanCheck::Unowned => ("files without a known owner or group", &scan.unowned),
            ScanCheck::OpenLogs => ("logs open to others", &scan.open_logs),
        };
        let examples: Vec<String> = found.examples.iter().take(16).map(NodePath::to_string).collect();
        let shown = format!("{} {}", found.count, examples.join(" "));
        Ok(Outcome::one(found.count == 0, node.stated_proof(subject, shown.trim(), "0")))
    }

    fn set_id_only(&self, allowed: &[String]) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let scan = node.fact("a walk over the file systems", |s| s.scan.as_ref())?;
        let is_allowed =
            |path: &NodePath| allowed.iter().any(|pattern| text::wildcard(pattern, &path.to_string()));
        let others: Vec<String> =
            scan.set_id.iter().filter(|path| !is_allowed(path)).take(16).map(NodePath::to_string).collect();
        let found = if others.is_empty() { "none other".to_owned() } else { others.join(" ") };
        let proof = node.stated_proof("set-id programs", found, "only those that are listed");
        Ok(Outcome::one(others.is_empty(), proof))
    }

    fn no_wireless(&self) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let interfaces = node.fact("network interfaces", |s| s.interfaces.as_ref())?;
        let up = interfaces.iter().find(|interface| interface.wireless && interface.up);
        let found = up.map_or("none up", |interface| &interface.name);
        Ok(Outcome::one(up.is_none(), node.stated_proof("wireless interfaces", found, "none up")))
    }

    /// The agent that measures is itself under evidence: its statement is in PCR 13 and files of this round are in PCR 10.
    fn attested(&self) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let (path, file) = node.first_measured()?;
        let proof = file.proof(
            Root::Ima,
            &path.to_string(),
            "measured by the kernel in this round",
            "measured in this round",
        );
        Ok(Outcome::one(true, proof))
    }

    fn claim(&self, Pointers(pointers): &Pointers, expect: &Expect) -> Result<Outcome, Reason> {
        let claims = self.appraised.claims()?;
        let found = pointers
            .iter()
            .find_map(|pointer| Some((pointer, claims.pointer(pointer).filter(|v| !v.is_null())?)));
        let pointer = found.map_or_else(|| pointers.join(" or "), |(pointer, _)| pointer.clone());
        let value = found.map(|(_, value)| value);
        let texts: Option<Vec<String>> = value.map(|value| match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect(),
            other => vec![other.to_string()],
        });
        let found = texts.as_ref().map_or_else(|| "not claimed".to_owned(), |texts| texts.join(","));
        let Some(texts) = texts else {
            // Without a claim there is nothing to hold a demand against, unless it is that there be none.
            if expect.wants_absence() {
                return Ok(Outcome::one(true, claim_proof(&pointer, found, expect)));
            }
            return Err(Reason::NotStated { what: format!("claim {pointer}") });
        };
        Ok(Outcome::one(expect.holds(&texts), claim_proof(&pointer, found, expect)))
    }
}

fn claim_proof(pointer: &str, found: String, expect: &Expect) -> Proof {
    Proof {
        root: Root::Hardware,
        subject: format!("claim {pointer}"),
        found: super::files::excerpt(&found),
        required: expect.to_string(),
        pcr: None,
        log_index: None,
        hash: None,
    }
}
