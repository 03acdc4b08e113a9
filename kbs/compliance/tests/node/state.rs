//! A node's state, and what agent and kernel make of it: the same request, overlay, log, statement and contents as in a real
//! round, without a kernel.

use sealpod_compliance::{Appraised, Finding, NodeEvidence, Profile, ReplayedLogs, State};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::{Bank, Entry, Log};
use sealpod_evidence::node::contents::{self, Contents};
use sealpod_evidence::node::request::{FactKind, FileWish, NEVER_SENT};
use sealpod_evidence::node::round::{EMPTY_LAYER, Overlay};
use sealpod_evidence::node::statement::*;
use sealpod_evidence::node::{NodePath, PathPattern, RoundNonce};
use sealpod_verifier::BindingLevel;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// When everything in these tests happens.
pub const NOW: u64 = 1_800_000_000;

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    pub content: Vec<u8>,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
}

/// The template that the policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    ImaNg,
    EvmSig,
}

/// All that agent and kernel see.
#[derive(Clone, Debug)]
pub struct NodeState {
    pub files: BTreeMap<NodePath, File>,
    pub directories: BTreeMap<NodePath, DirectoryFacts>,
    pub sysctl: BTreeMap<String, String>,
    pub services: BTreeMap<String, Service>,
    pub mounts: Vec<Mount>,
    pub modules: BTreeSet<String>,
    pub listening: Vec<Listener>,
    pub packages: BTreeMap<String, String>,
    pub kubelets: Vec<Process>,
    pub arguments: BTreeMap<NodePath, Arguments>,
    pub firewall: Firewall,
    pub accounts: BTreeMap<AccountCheck, AccountResult>,
    pub scan: Scan,
    pub boot: Boot,
    pub apparmor: Apparmor,
    pub interfaces: Vec<Interface>,
    pub template: Template,
    /// Algorithm of file digests.
    pub sha1: bool,
}

/// What is sent, so that tests can spoil it.
pub struct Sent {
    pub round: RoundNonce,
    pub log: Vec<u8>,
    pub records: Vec<Vec<u8>>,
    pub statement: AgentStatement,
    pub contents: Contents,
}

pub fn path(text: &str) -> NodePath {
    text.parse().unwrap()
}

impl NodeState {
    pub fn new() -> Self {
        let root = Mount {
            point: NodePath::root(),
            source: "/dev/vda1".into(),
            fstype: "ext4".into(),
            options: "rw,relatime".into(),
        };
        Self {
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            sysctl: BTreeMap::new(),
            services: BTreeMap::new(),
            mounts: vec![root],
            modules: BTreeSet::new(),
            listening: Vec::new(),
            packages: BTreeMap::new(),
            kubelets: Vec::new(),
            arguments: BTreeMap::new(),
            firewall: Firewall::default(),
            accounts: BTreeMap::new(),
            scan: Scan::default(),
            boot: Boot::default(),
            apparmor: Apparmor::default(),
            interfaces: Vec::new(),
            template: Template::EvmSig,
            sha1: false,
        }
    }

    pub fn file(&mut self, at: &str, mode: u16, content: &str) -> &mut File {
        let file = File { content: content.as_bytes().to_vec(), mode, uid: 0, gid: 0 };
        self.files.insert(path(at), file);
        self.files.get_mut(&path(at)).unwrap()
    }

    pub fn get(&mut self, at: &str) -> &mut File {
        self.files.get_mut(&path(at)).unwrap_or_else(|| panic!("{at} is not there"))
    }

    /// Replaces text that has to be there.
    pub fn edit(&mut self, at: &str, from: &str, to: &str) {
        let file = self.get(at);
        let text = String::from_utf8(file.content.clone()).unwrap();
        assert!(text.contains(from), "{at} has no {from:?}");
        file.content = text.replace(from, to).into_bytes();
    }

    pub fn append(&mut self, at: &str, more: &str) {
        self.get(at).content.extend(more.as_bytes());
    }

    /// One round, as the agent answers a request for this profile.
    pub fn measure(&self, profile: &Profile, more: &[NodePath]) -> Sent {
        let request = sealpod_compliance::requests(profile, more);
        let round = RoundNonce::of_challenge("challenge");
        let system = System { id: "ubuntu".into(), version: "20.04".into(), kernel: "5.15.0".into() };
        let mut statement = AgentStatement::new(round, system);
        statement.overlays = self.overlays(&round);
        let mut sent =
            Sent { round, log: Vec::new(), records: Vec::new(), statement, contents: Contents::new() };
        sent.log.extend(entry(Template::ImaNg, b"boot_aggregate", &self.one_file(b"boot"), false));
        for (pattern, wish) in &request.files {
            self.answer(pattern, *wish, &mut sent);
        }
        let statement = &mut sent.statement;
        for pattern in &request.directories {
            let path = pattern.literal().unwrap();
            statement.directories.insert(path.clone(), self.directories.get(&path).copied());
        }
        for key in &request.sysctl {
            statement.sysctl.insert(key.clone(), self.sysctl.get(key).cloned());
        }
        for unit in &request.services {
            let none = Service { enabled: "not-found".into(), active: "inactive".into() };
            statement.services.insert(unit.clone(), self.services.get(unit).cloned().unwrap_or(none));
        }
        for fact in &request.facts {
            self.state(*fact, statement);
        }
        statement.arguments = self.arguments.clone();
        sent.record();
        sent
    }

    fn one_file(&self, content: &[u8]) -> File {
        File { content: content.to_vec(), mode: 0o644, uid: 0, gid: 0 }
    }

    fn overlays(&self, round: &RoundNonce) -> Vec<Overlay> {
        let overlay = |mount: &Mount| Overlay {
            mount_point: mount.point.below(&round.directory()).unwrap(),
            lower: mount.point.clone(),
            fstype: "overlay".into(),
            options: format!("ro,relatime,lowerdir={}:{EMPTY_LAYER}", mount.point),
            device: "253:1".into(),
        };
        self.mounts.iter().map(overlay).collect()
    }

    fn answer(&self, pattern: &PathPattern, wish: FileWish, sent: &mut Sent) {
        let met: Vec<NodePath> = match pattern.literal() {
            Some(path) => vec![path],
            None => {
                let met: Vec<_> = self.files.keys().filter(|path| pattern.matches(path)).cloned().collect();
                sent.statement.listings.insert(pattern.clone(), met.clone());
                met
            }
        };
        for path in met {
            let Some(file) = self.files.get(&path) else {
                sent.statement.files.insert(path, FileOutcome::Absent);
                continue;
            };
            if !sent.statement.files.contains_key(&path) {
                let name = [sent.round.directory().as_bytes(), &path.as_logged()].concat();
                sent.log.extend(entry(self.template, &name, file, self.sha1));
            }
            sent.statement.files.insert(path.clone(), FileOutcome::Measured { resolved: None });
            let secret = NEVER_SENT.iter().any(|never| never.parse::<PathPattern>().unwrap().matches(&path));
            if wish == FileWish::Content && !secret {
                sent.contents.insert(path, file.content.clone());
            }
        }
    }

    fn state(&self, fact: FactKind, statement: &mut AgentStatement) {
        match fact {
            FactKind::Mounts => statement.mounts = Some(self.mounts.clone()),
            FactKind::Modules => statement.modules = Some(self.modules.clone()),
            FactKind::Listening => statement.listening = Some(self.listening.clone()),
            FactKind::Packages => statement.packages = Some(self.packages.clone()),
            FactKind::Kubelet => statement.kubelets = Some(self.kubelets.clone()),
            FactKind::Firewall => statement.firewall = Some(self.firewall.clone()),
            FactKind::Accounts => statement.accounts = Some(self.account_facts()),
            FactKind::Scan => statement.scan = Some(self.scan.clone()),
            FactKind::Boot => {
                let judged = self.judged(&["/boot/grub/grub.cfg"]);
                statement.boot = Some(Boot { judged, ..self.boot.clone() });
            }
            FactKind::Apparmor => statement.apparmor = Some(self.apparmor.clone()),
            FactKind::Interfaces => statement.interfaces = Some(self.interfaces.clone()),
        }
    }

    fn judged(&self, paths: &[&str]) -> BTreeMap<NodePath, HexArray<32>> {
        let there = paths.iter().map(|at| path(at)).filter_map(|path| {
            let file = self.files.get(&path)?;
            Some((path, HexArray(Sha256::digest(&file.content).into())))
        });
        there.collect()
    }

    fn account_facts(&self) -> BTreeMap<AccountCheck, AccountFact> {
        let judged = self.judged(&["/etc/passwd", "/etc/shadow", "/etc/group"]);
        let fact = |result: &AccountResult| AccountFact {
            result: *result,
            offenders: Vec::new(),
            judged: judged.clone(),
        };
        self.accounts.iter().map(|(check, result)| (*check, fact(result))).collect()
    }

    /// Evaluates, with a second round for files that settings name.
    pub fn findings(&self, profile: &Profile) -> Vec<Finding> {
        let first = self.measure(profile, &[]).appraise();
        let more = sealpod_compliance::follow_up(&first, profile);
        let appraised = if more.is_empty() { first } else { self.measure(profile, &more).appraise() };
        sealpod_compliance::evaluate(&appraised, profile, NOW)
    }

    /// Items in a state.
    pub fn in_state(&self, profile: &Profile, state: State) -> Vec<String> {
        let findings = self.findings(profile);
        findings.into_iter().filter(|finding| finding.state == state).map(|finding| finding.item).collect()
    }
}

impl Sent {
    /// Extends the statement, as it is now, into PCR 13.
    pub fn record(&mut self) {
        let bytes = self.statement.to_bytes();
        self.records = vec![b"{}".to_vec(), StatementEvent::of(self.statement.nonce, &bytes).to_content()];
    }

    pub fn appraise(&self) -> Appraised {
        self.appraise_at(NOW)
    }

    pub fn appraise_at(&self, verified_at: u64) -> Appraised {
        let contents = contents::pack(&self.contents).unwrap();
        self.appraise_bytes(&self.statement.to_bytes(), &contents, verified_at)
    }

    pub fn appraise_bytes(&self, statement: &[u8], contents: &[u8], verified_at: u64) -> Appraised {
        Appraised::node(&NodeEvidence { round: self.round, statement, contents, verified_at }, self)
    }

    pub fn add_entry(&mut self, template: Template, name: &[u8], file: &File) {
        self.log.extend(entry(template, name, file, false));
    }
}

impl ReplayedLogs for Sent {
    fn ima(&self) -> impl Iterator<Item = Entry<'_>> {
        Log::new(&self.log, Bank::Sha256, 1 << 20).entries().map(|entry| entry.unwrap())
    }
    fn agent_records(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(Vec::as_slice)
    }
    fn binding_level(&self) -> BindingLevel {
        BindingLevel::Host
    }
}

/// One entry of the binary log (Linux, ima_fs.c and ima_template_lib.c).
fn entry(template: Template, name: &[u8], file: &File, sha1: bool) -> Vec<u8> {
    let mut data = Vec::new();
    let mut field = |parts: &[&[u8]]| {
        let value = parts.concat();
        data.extend((value.len() as u32).to_le_bytes());
        data.extend(value);
    };
    let sha256 = Sha256::digest(&file.content);
    if sha1 {
        field(&[b"sha1:\0", &sha256[..20]])
    } else {
        field(&[b"sha256:\0", &sha256])
    }
    field(&[name, b"\0"]);
    if template == Template::EvmSig {
        for _ in 0..4 {
            field(&[]);
        }
        field(&[&file.uid.to_le_bytes()]);
        field(&[&file.gid.to_le_bytes()]);
        field(&[&(0o100_000 | file.mode).to_le_bytes()]);
    }
    let name: &[u8] = if template == Template::EvmSig { b"evm-sig" } else { b"ima-ng" };
    let mut out = 10_u32.to_le_bytes().to_vec();
    out.extend(Sha256::digest(&data));
    out.extend((name.len() as u32).to_le_bytes());
    out.extend(name);
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}
