//! What a node is asked for, so that a profile can be evaluated.

use crate::eval::sources;
use crate::profile::Profile;
use crate::rule::{Rule, Target};
use sealpod_evidence::node::request::{FactKind, FileWish, MeasureRequest, NEVER_SENT};
use sealpod_evidence::node::{NodePath, PathPattern};

/// The request for a profile. Files that settings of a node name are asked for once they are known: `more`, as
/// [`crate::follow_up`] gives them.
///
/// Content is asked for only where a rule reads it, and never of what never leaves a node.
pub fn requests(profile: &Profile, more: &[NodePath]) -> MeasureRequest {
    let mut request = MeasureRequest::default();
    // Every look at a file needs to know what is mounted over it.
    request.facts.insert(FactKind::Mounts);
    platforms(profile, &mut request);
    for item in &profile.items {
        for rule in item.when.iter().chain([&item.rule]) {
            rule.walk(&mut |rule| ask(rule, profile, &mut request));
        }
    }
    for path in more {
        if let Ok(pattern) = path.to_string().parse() {
            let wish = if is_configuration(profile, path) { FileWish::Content } else { FileWish::Measure };
            file(&mut request, pattern, wish);
        }
    }
    request
}

/// Whether a file that a node's setting names may be asked for whole: what is a key by its name is only measured, whatever the
/// setting.
fn is_configuration(profile: &Profile, path: &NodePath) -> bool {
    let kubelets = profile.platforms.iter().filter_map(|platform| platform.kubelet.as_ref());
    let mut known = kubelets.flat_map(|kubelet| kubelet.configs.iter().chain(&kubelet.config_drop_ins));
    let name = path.file_name();
    known.any(|pattern| pattern.matches(path))
        || [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Whether a path is a file with credentials on some platform, however another one uses it.
fn holds_credentials_somewhere(profile: &Profile, pattern: &PathPattern) -> bool {
    profile.platforms.iter().any(|platform| {
        let named = platform.named_by.iter().map(|(name, by)| (name, &by.otherwise));
        let mut targets =
            platform.targets.iter().chain(named).filter(|(name, _)| name.contains("kubeconfig"));
        targets.any(|(_, patterns)| patterns.contains(pattern))
    })
}

fn file(request: &mut MeasureRequest, pattern: PathPattern, wish: FileWish) {
    let secret = NEVER_SENT
        .iter()
        .filter_map(|text| text.parse::<PathPattern>().ok())
        .any(|never| never == pattern || pattern.literal().is_some_and(|path| never.matches(&path)));
    request.file(pattern, if secret { FileWish::Measure } else { wish });
}

fn target(request: &mut MeasureRequest, profile: &Profile, Target(paths): &Target, wish: FileWish) {
    for text in paths {
        match text.strip_prefix('@') {
            Some(name) => {
                for platform in &profile.platforms {
                    let named = platform.named_by.get(name).map(|by| &by.otherwise);
                    for pattern in platform.targets.get(name).into_iter().chain(named).flatten() {
                        file(request, pattern.clone(), wish);
                    }
                }
            }
            None => {
                if let Ok(pattern) = text.parse() {
                    file(request, pattern, wish);
                }
            }
        }
    }
}

fn contents<'t>(request: &mut MeasureRequest, paths: impl IntoIterator<Item = &'t str>) {
    for pattern in paths.into_iter().filter_map(|text| text.parse().ok()) {
        file(request, pattern, FileWish::Content);
    }
}

fn platforms(profile: &Profile, request: &mut MeasureRequest) {
    for platform in &profile.platforms {
        for marker in &platform.markers {
            file(request, marker.clone(), FileWish::Measure);
        }
        let Some(kubelet) = &platform.kubelet else { continue };
        let lists = [
            &kubelet.units,
            &kubelet.drop_ins,
            &kubelet.environment,
            &kubelet.configs,
            &kubelet.config_drop_ins,
            &kubelet.argument_files,
        ];
        for pattern in lists.into_iter().flatten() {
            // What is a configuration here and a kubeconfig elsewhere is asked for whole once the platform is known.
            let ambiguous = holds_credentials_somewhere(profile, pattern);
            file(request, pattern.clone(), if ambiguous { FileWish::Measure } else { FileWish::Content });
        }
        if kubelet.running {
            request.facts.insert(FactKind::Kubelet);
        }
    }
}

fn ask(rule: &Rule, profile: &Profile, request: &mut MeasureRequest) {
    match rule {
        Rule::FileModeAtMost { path, .. }
        | Rule::FileOwner { path, .. }
        | Rule::FilePresent { path }
        | Rule::FileAbsent { path } => target(request, profile, path, FileWish::Measure),
        Rule::Lines { path, .. }
        | Rule::Setting { path, .. }
        | Rule::YamlPath { path, .. }
        | Rule::Pam { path, .. } => {
            target(request, profile, path, FileWish::Content);
        }
        Rule::Sshd { .. } => contents(request, sources::SSHD),
        Rule::Sysctl { keys, .. } => {
            request.sysctl.extend(keys.iter().cloned());
            contents(request, sources::sysctl());
        }
        Rule::AuditRules(_) => contents(request, [sources::AUDIT_RULES]),
        Rule::AuditSetId => {
            contents(request, [sources::AUDIT_RULES]);
            request.facts.insert(FactKind::Scan);
        }
        Rule::Sudoers { .. } => contents(request, sources::SUDOERS),
        Rule::ModuleDisabled(_) => {
            contents(request, sources::MODPROBE);
            request.facts.insert(FactKind::Modules);
        }
        Rule::ServiceEnabled(units) | Rule::ServiceDisabled(units) => {
            request.services.extend(units.iter().cloned())
        }
        Rule::Directory { path: Target(paths), .. } => {
            request.directories.extend(paths.iter().filter_map(|text| text.parse().ok()));
        }
        Rule::Account(_) | Rule::AccountDays { .. } => {
            contents(request, sources::ACCOUNTS);
            request.facts.insert(FactKind::Accounts);
        }
        Rule::BootPassword | Rule::KernelArgument { .. } => {
            contents(request, sources::BOOT);
            request.facts.insert(FactKind::Boot);
        }
        rule => request.facts.extend(fact_of(rule)),
    }
}

fn fact_of(rule: &Rule) -> Vec<FactKind> {
    match rule {
        Rule::PackageAbsent(_) | Rule::PackagePresent(_) => vec![FactKind::Packages],
        Rule::MountOption { .. } | Rule::MountSeparate { .. } => vec![FactKind::Mounts],
        Rule::ListeningOnly { .. } | Rule::LoopbackOnly { .. } => vec![FactKind::Listening],
        Rule::Apparmor(_) => vec![FactKind::Apparmor],
        Rule::Firewall(_) => vec![FactKind::Firewall, FactKind::Listening],
        Rule::Scan(_) | Rule::SetIdOnly(_) => vec![FactKind::Scan],
        Rule::NoWireless => vec![FactKind::Interfaces],
        _ => Vec::new(),
    }
}
