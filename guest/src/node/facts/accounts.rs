//! Accounts: judged here, because password databases never leave the node. The hash of each file judged goes along, and is that
//! of its IMA entry.

mod database;
mod homes;

use crate::files;
use database::{Databases, Group, Passwd, Shadow};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::{AccountCheck, AccountFact, AccountResult};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most bytes of a database, or of login.defs.
const MAX_LEN: usize = 4 << 20;
/// Offenders named.
const MAX_OFFENDERS: usize = 16;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// What one check found: the verdict and who is against it.
type Verdict = (AccountResult, Vec<String>);

/// Known user and group ids; `None` where the databases cannot be read.
pub fn ids() -> Option<(BTreeSet<u32>, BTreeSet<u32>)> {
    let databases = Sources::read()?.databases();
    Some((
        databases.passwd.iter().map(|user| user.uid).collect(),
        databases.group.iter().map(|group| group.gid).collect(),
    ))
}

/// All checks; `None` where a database cannot be read.
pub fn judge() -> Option<BTreeMap<AccountCheck, AccountFact>> {
    let sources = Sources::read()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the dates in shadow are held against this machine's clock"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    Some(sources.judge(now / DAY))
}

/// The files, as read.
struct Sources {
    passwd: Vec<u8>,
    group: Vec<u8>,
    shadow: Vec<u8>,
    login_defs: Vec<u8>,
}

impl Sources {
    fn read() -> Option<Self> {
        let read = |path: &str| files::read(Path::new(path), MAX_LEN).ok();
        Some(Self {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
            shadow: read("/etc/shadow")?,
            // Not every system has one; its defaults then hold.
            login_defs: read("/etc/login.defs").unwrap_or_default(),
        })
    }

    fn databases(&self) -> Databases {
        Databases::parse(&self.passwd, &self.group, &self.shadow, &self.login_defs)
    }

    fn judge(&self, today: u64) -> BTreeMap<AccountCheck, AccountFact> {
        let databases = self.databases();
        ALL.iter()
            .map(|(check, judge, sources)| {
                let (result, mut offenders) = judge(&databases, today);
                offenders.sort();
                offenders.dedup();
                offenders.truncate(MAX_OFFENDERS);
                (*check, AccountFact { result, offenders, judged: self.judged(sources) })
            })
            .collect()
    }

    fn judged(&self, sources: &[&str]) -> BTreeMap<NodePath, Sha256Digest> {
        let digest = |name: &&str| {
            let (path, bytes) = match *name {
                "passwd" => ("/etc/passwd", &self.passwd),
                "group" => ("/etc/group", &self.group),
                "shadow" => ("/etc/shadow", &self.shadow),
                _ => ("/etc/login.defs", &self.login_defs),
            };
            Some((path.parse().ok()?, HexArray(Sha256::digest(bytes).into())))
        };
        sources.iter().filter_map(digest).collect()
    }
}

type Judge = fn(&Databases, u64) -> Verdict;

/// Each check, what judges it, and the files that it judges.
const ALL: &[(AccountCheck, Judge, &[&str])] = &[
    (
        AccountCheck::RootPassword,
        |d, _| none(d.shadow_of("root").filter(|s| s.password.is_empty()).map(name)),
        &["shadow"],
    ),
    (
        AccountCheck::Shadowed,
        |d, _| none(d.passwd.iter().filter(|u| u.password != "x").map(name)),
        &["passwd"],
    ),
    (
        AccountCheck::NoEmptyPasswords,
        |d, _| none(d.shadow.iter().filter(|s| s.password.is_empty()).map(name)),
        &["shadow"],
    ),
    (AccountCheck::GroupsResolve, groups_resolve, &["passwd", "group"]),
    (AccountCheck::ShadowGroupEmpty, shadow_group, &["passwd", "group"]),
    (AccountCheck::UniqueUids, |d, _| unique(d.passwd.iter().map(|u| u.uid)), &["passwd"]),
    (AccountCheck::UniqueGids, |d, _| unique(d.group.iter().map(|g| g.gid)), &["group"]),
    (AccountCheck::UniqueUserNames, |d, _| unique(d.passwd.iter().map(name)), &["passwd"]),
    (AccountCheck::UniqueGroupNames, |d, _| unique(d.group.iter().map(name)), &["group"]),
    (AccountCheck::RootPath, |_, _| none(homes::root_path()), &[]),
    (
        AccountCheck::OnlyRootIsUidZero,
        |d, _| none(d.passwd.iter().filter(|u| u.uid == 0 && u.name != "root").map(name)),
        &["passwd"],
    ),
    (
        AccountCheck::RootGroup,
        |d, _| none(d.passwd.iter().filter(|u| u.name == "root" && u.gid != 0).map(name)),
        &["passwd"],
    ),
    (AccountCheck::SystemAccountsLocked, system_accounts, &["passwd", "shadow", "login.defs"]),
    (
        AccountCheck::PasswordChangesInPast,
        |d, today| {
            none(with_password(d).filter(|s| s.changed.is_some_and(|day| day > today as i64)).map(name))
        },
        &["shadow"],
    ),
    (AccountCheck::CurrentHashes, current_hashes, &["shadow", "login.defs"]),
    (AccountCheck::HomeDirectories, |d, _| none(homes::directories(&d.interactive())), &["passwd"]),
    (AccountCheck::DotFiles, |d, _| none(homes::dot_files(&d.interactive())), &["passwd"]),
    (AccountCheck::MinimumDays, |d, _| worst(d, |s| s.minimum, 0, i32::min), &["shadow"]),
    (AccountCheck::MaximumDays, |d, _| worst(d, |s| s.maximum, ENDLESS, i32::max), &["shadow"]),
    (AccountCheck::WarningDays, |d, _| worst(d, |s| s.warning, 0, i32::min), &["shadow"]),
    (AccountCheck::InactiveDays, |d, _| worst(d, |s| s.inactive, ENDLESS, i32::max), &["shadow"]),
];

/// A limit that is not set, or is -1.
const ENDLESS: i32 = i32::MAX;

/// What has a name.
trait Named {
    fn name(&self) -> &str;
}

fn name(named: &(impl Named + ?Sized)) -> String {
    named.name().to_owned()
}

impl Named for Passwd {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Group {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Shadow {
    fn name(&self) -> &str {
        &self.name
    }
}

/// The check holds where nobody is against it.
fn none(offenders: impl IntoIterator<Item = String>) -> Verdict {
    let offenders: Vec<String> = offenders.into_iter().collect();
    (AccountResult::Holds(offenders.is_empty()), offenders)
}

fn unique<T: Ord + ToString + Clone>(values: impl Iterator<Item = T>) -> Verdict {
    let mut seen = BTreeSet::new();
    none(
        values.filter(|value| !seen.insert(value.clone())).map(|value| value.to_string()).collect::<Vec<_>>(),
    )
}

fn groups_resolve(databases: &Databases, _: u64) -> Verdict {
    let known: BTreeSet<u32> = databases.group.iter().map(|group| group.gid).collect();
    none(databases.passwd.iter().filter(|user| !known.contains(&user.gid)).map(name))
}

/// Nobody is a member of `shadow`, by the group's list or as a primary group.
fn shadow_group(databases: &Databases, _: u64) -> Verdict {
    let Some(group) = databases.group.iter().find(|group| group.name == "shadow") else { return none(None) };
    let primary = databases.passwd.iter().filter(|user| user.gid == group.gid).map(name);
    none(primary.chain(group.members.iter().cloned()))
}

fn system_accounts(databases: &Databases, _: u64) -> Verdict {
    let kept = ["root", "sync", "shutdown", "halt"];
    let system = databases
        .passwd
        .iter()
        .filter(|user| user.uid < databases.uid_min && !kept.contains(&user.name.as_str()));
    let open = system.filter(|user| {
        let usable = databases.shadow_of(&user.name).is_some_and(Shadow::is_usable);
        user.has_login_shell() || usable
    });
    none(open.map(name))
}

fn with_password(databases: &Databases) -> impl Iterator<Item = &Shadow> {
    databases.shadow.iter().filter(|shadow| shadow.is_usable())
}

/// Prefix of crypt(5) for each name of `ENCRYPT_METHOD`, strongest first.
const METHODS: &[(&str, &[&str])] =
    &[("YESCRYPT", &["$y$"]), ("SHA512", &["$6$", "$y$"]), ("SHA256", &["$5$", "$6$", "$y$"])];

fn current_hashes(databases: &Databases, _: u64) -> Verdict {
    let configured = METHODS.iter().find(|(method, _)| *method == databases.encrypt_method);
    let accepted = configured.map_or(&["$6$", "$y$"][..], |(_, prefixes)| prefixes);
    none(with_password(databases).filter(|s| !accepted.iter().any(|p| s.password.starts_with(p))).map(name))
}

fn worst(
    databases: &Databases,
    field: fn(&Shadow) -> Option<i64>,
    missing: i32,
    worse: fn(i32, i32) -> i32,
) -> Verdict {
    let value = |shadow: &Shadow| match field(shadow) {
        None => missing,
        Some(days) if days < 0 => ENDLESS,
        Some(days) => i32::try_from(days).unwrap_or(ENDLESS),
    };
    let values: Vec<(i32, String)> =
        with_password(databases).map(|shadow| (value(shadow), name(shadow))).collect();
    // Where nobody has a password, no limit is broken: the best value that the comparison knows.
    let best = worse(0, ENDLESS).abs_diff(ENDLESS) as i32;
    let worst = values.iter().map(|(days, _)| *days).reduce(worse).unwrap_or(best);
    let offenders = values.into_iter().filter(|(days, _)| *days == worst).map(|(_, name)| name);
    (AccountResult::Worst(worst), offenders.collect())
}

#[cfg(test)]
mod tests;
