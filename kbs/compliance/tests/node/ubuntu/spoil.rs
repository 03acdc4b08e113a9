//! From a rule, the ways to break it.

use crate::state::{File, NodeState};
use sealpod_compliance::expect::Expect;
use sealpod_compliance::rule::{FirewallCheck, Format, Rule, ScanCheck, Target};
use sealpod_evidence::node::statement::*;
use sealpod_evidence::node::{NodePath, PathPattern};

pub type Way = Box<dyn Fn(&mut NodeState)>;

/// Each way by itself has to make the rule fail.
pub fn ways(rule: &Rule) -> Vec<Way> {
    match rule {
        Rule::AllOf(rules) => rules.iter().filter(|rule| **rule != Rule::Attested).flat_map(ways).collect(),
        Rule::AnyOf(rules) => {
            let all: Vec<Way> = rules.iter().map(|rule| ways(rule).remove(0)).collect();
            vec![Box::new(move |node| all.iter().for_each(|way| way(node)))]
        }
        Rule::Lines { path, require, forbid, allow, forbid_text, .. } => {
            lines(path, require, forbid, allow, forbid_text)
        }
        Rule::Sudoers { setting, expect, forbid, .. } => sudoers(setting.clone(), expect.as_ref(), forbid),
        rule => vec![one(rule.clone())],
    }
}

fn one(rule: Rule) -> Way {
    Box::new(move |node| match &rule {
        Rule::FileModeAtMost { path, .. } => first(node, path).mode = 0o7777,
        Rule::FileOwner { path, .. } => first(node, path).gid = 4242,
        Rule::FilePresent { path } => node.files.retain(|file, _| !matches(path, file)),
        Rule::FileAbsent { path } => {
            node.file(&path.0[0], 0o600, "");
        }
        Rule::Setting { format, path, section, key, expect, .. } => {
            let line = match format {
                Format::Words => format!("\n{key} {}\n", bad(expect)),
                Format::Assignments => format!("\n{key}={}\n", bad(expect)),
            };
            let section = section.as_ref().map(|section| format!("\n[{section}]")).unwrap_or_default();
            let last = node.files.iter_mut().rfind(|(file, _)| matches(path, file)).expect("a file").1;
            last.content.extend(format!("{section}{line}").bytes());
        }
        Rule::Sshd { keyword, expect, .. } => {
            let file = node.get("/etc/ssh/sshd_config");
            let text = String::from_utf8(file.content.clone()).unwrap();
            let others = text
                .lines()
                .filter(|line| !line.starts_with(keyword.as_str()))
                .collect::<Vec<_>>()
                .join("\n");
            let value = bad(expect);
            let line = if value.is_empty() { String::new() } else { format!("{keyword} {value}\n") };
            file.content = format!("{line}{others}\n").into_bytes();
        }
        Rule::Sysctl { keys, .. } => {
            node.sysctl.insert(keys.last().unwrap().clone(), "7".into());
        }
        Rule::PackageAbsent(names) => {
            node.packages.insert(names.last().unwrap().clone(), "1".into());
        }
        Rule::PackagePresent(names) => node.packages.retain(|name, _| !names.contains(name)),
        Rule::ServiceEnabled(units) => units.iter().for_each(|unit| set(node, unit, "disabled", "inactive")),
        Rule::ServiceDisabled(units) => set(node, units.last().unwrap(), "enabled", "active"),
        Rule::MountOption { point, option } => {
            let mount = node.mounts.iter_mut().find(|mount| mount.point.to_string() == *point).unwrap();
            mount.options =
                mount.options.split(',').filter(|held| held != option).collect::<Vec<_>>().join(",");
        }
        Rule::MountSeparate { point } => node.mounts.retain(|mount| mount.point.to_string() != *point),
        Rule::ModuleDisabled(modules) => {
            node.modules.insert(modules[0].replace('-', "_"));
        }
        Rule::ListeningOnly { .. } => listen(node, 4444),
        Rule::LoopbackOnly { ports } => listen(node, ports[0]),
        Rule::Directory { path, .. } => {
            node.directories.get_mut(&crate::state::path(&path.0[0])).unwrap().mode = 0o777;
        }
        Rule::Account(check) => {
            node.accounts.insert(*check, AccountResult::Holds(false));
        }
        Rule::AccountDays { check, expect } => {
            node.accounts.insert(*check, AccountResult::Worst(bad(expect).parse().unwrap()));
        }
        Rule::AuditRules(rules) => {
            let rule = rules.last().unwrap();
            for (_, file) in
                node.files.iter_mut().filter(|(file, _)| file.to_string().starts_with("/etc/audit/rules.d"))
            {
                let text = String::from_utf8(file.content.clone()).unwrap();
                let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(rule.as_str())).collect();
                file.content = (kept.join("\n") + "\n").into_bytes();
            }
        }
        Rule::AuditSetId => node.scan.set_id.push(crate::state::path("/usr/bin/mount")),
        Rule::KernelArgument { name, .. } => {
            let line = &node.boot.command_lines[0];
            let kept: Vec<&str> = line.split(' ').filter(|word| !word.starts_with(name.as_str())).collect();
            node.boot.command_lines.push(kept.join(" "));
        }
        Rule::BootPassword => node.boot.password = false,
        Rule::Apparmor(_) => node.apparmor.unconfined = 1,
        Rule::Firewall(FirewallCheck::IptablesEmpty) => {
            node.firewall.ipv6 = Some(vec!["-A INPUT -j ACCEPT".into()]);
        }
        Rule::Firewall(_) => {
            let none = Some(Vec::new());
            node.firewall =
                Firewall { ufw: Some(Ufw::default()), nft: none.clone(), ipv4: none.clone(), ipv6: none };
        }
        Rule::Pam { path, module, .. } => {
            let file = first(node, path);
            let text = String::from_utf8(file.content.clone()).unwrap();
            let kept: Vec<&str> = text.lines().filter(|line| !line.contains(module.as_str())).collect();
            file.content = (kept.join("\n") + "\n").into_bytes();
        }
        Rule::Scan(check) => {
            let found = match check {
                ScanCheck::WorldWritable => &mut node.scan.world_writable,
                ScanCheck::Unowned => &mut node.scan.unowned,
                ScanCheck::OpenLogs => &mut node.scan.open_logs,
            };
            *found = Found { count: 1, examples: vec![crate::state::path("/srv/x")] };
        }
        Rule::SetIdOnly(_) => node.scan.set_id.push(crate::state::path("/tmp/sh")),
        Rule::NoWireless => {
            node.interfaces.push(Interface { name: "wlan0".into(), wireless: true, up: true });
        }
        other => panic!("no way to break {other:?}"),
    })
}

fn lines(
    path: &Target,
    require: &[String],
    forbid: &[String],
    allow: &[String],
    forbid_text: &[String],
) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for pattern in require {
        let (path, pattern) = (path.clone(), pattern.clone());
        ways.push(Box::new(move |node| {
            let first_word = pattern.trim_start_matches('*').split(['*', ' ']).next().unwrap().to_owned();
            for (_, file) in node.files.iter_mut().filter(|(file, _)| matches(&path, file)) {
                let text = String::from_utf8(file.content.clone()).unwrap();
                let kept: Vec<&str> = text.lines().filter(|line| !line.contains(&first_word)).collect();
                file.content = (kept.join("\n") + "\n").into_bytes();
            }
        }));
    }
    let more = forbid.iter().chain(forbid_text).map(|pattern| pattern.replace('*', "x"));
    let more = more.chain((!allow.is_empty()).then(|| "deb http://elsewhere.example/ x".to_owned()));
    for line in more {
        let path = path.clone();
        ways.push(Box::new(move |node| first(node, &path).content.extend(format!("\n{line}\n").bytes())));
    }
    ways
}

fn sudoers(setting: Option<String>, expect: Option<&Expect>, forbid: &[String]) -> Vec<Way> {
    let mut lines: Vec<String> = forbid.iter().map(|word| format!("x ALL=(ALL) {word}: ALL")).collect();
    if let Some((setting, expect)) = setting.zip(expect) {
        let value = bad(expect);
        lines.push(if value.is_empty() {
            format!("Defaults {setting}=\"\"")
        } else {
            format!("Defaults !x, {setting}={value}")
        });
    }
    let way =
        |line: String| -> Way { Box::new(move |node| node.append("/etc/sudoers", &format!("\n{line}\n"))) };
    lines.into_iter().map(way).collect()
}

/// A value that the demand refuses; empty for one that wants any.
fn bad(expect: &Expect) -> String {
    match expect {
        Expect::NotEquals(text) => text.clone(),
        Expect::NoneOf(list) | Expect::Excludes(list) => list[0].clone(),
        Expect::Present => String::new(),
        Expect::AtMost(most) | Expect::Between(_, most) => (most + 1).to_string(),
        Expect::AtLeast(least) => (least - 1).to_string(),
        Expect::MaskAtLeast(_) => "022".into(),
        Expect::ModeAtMost(_) => "0666".into(),
        Expect::StartupsAtMost(..) => "1000:30:1000".into(),
        _ => "spoiled".into(),
    }
}

fn matches(Target(paths): &Target, file: &NodePath) -> bool {
    paths.iter().filter_map(|path| path.parse::<PathPattern>().ok()).any(|pattern| pattern.matches(file))
}

fn first<'n>(node: &'n mut NodeState, target: &Target) -> &'n mut File {
    let found = node.files.iter_mut().find(|(file, _)| matches(target, file));
    found.unwrap_or_else(|| panic!("none of {target:?} is there")).1
}

fn set(node: &mut NodeState, unit: &str, enabled: &str, active: &str) {
    node.services.insert(unit.to_owned(), Service { enabled: enabled.into(), active: active.into() });
}

fn listen(node: &mut NodeState, port: u16) {
    let address = "0.0.0.0".parse().unwrap();
    node.listening.push(Listener { protocol: Protocol::Tcp, address, port });
}
