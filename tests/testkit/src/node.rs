//! A node's evidence of one round, made to be spoiled.

use crate::hash::sha256;
use crate::logs::boot::BootLog;
use crate::logs::ima::{ImaEntry, ImaLog};
use crate::logs::workload;
use crate::tpm::Tpm;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::node::contents::{self, Contents};
use sealpod_evidence::node::evidence::{NodeEvidence, VERSION, quote_nonce};
use sealpod_evidence::node::round::{EMPTY_LAYER, Overlay};
use sealpod_evidence::node::statement::{AgentStatement, FileOutcome, Mount, StatementEvent, System};
use sealpod_evidence::node::{NodePath, RoundNonce};
use sealpod_evidence::rcar::{PCR_WORKLOAD, QUOTED_BANK, QUOTED_PCRS, Quote};
use std::collections::BTreeMap;

/// The nonce that [`Node::default`] answers.
pub const NONCE: &str = "bm9kZSBub25jZQ==";

/// A file of the node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFile {
    /// What is in it.
    pub content: Vec<u8>,
    /// `st_mode` with the file type.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether the content is sent.
    pub sent: bool,
}

impl NodeFile {
    /// A file of root's that is sent.
    pub fn of(content: &str, mode: u16) -> Self {
        Self { content: content.as_bytes().to_vec(), mode: 0o100_000 | mode, uid: 0, gid: 0, sent: true }
    }
}

/// A node before its round is made into evidence.
#[derive(Debug, Clone)]
pub struct Node {
    /// The challenge's nonce.
    pub nonce: String,
    /// Its TPM; PCRs are filled by [`Node::evidence`].
    pub tpm: Tpm,
    /// Firmware's log.
    pub boot_log: BootLog,
    /// Entries before this round, without the boot aggregate.
    pub ima_log: ImaLog,
    /// Files that this round reads.
    pub files: BTreeMap<NodePath, NodeFile>,
    /// Files that this round finds absent.
    pub absent: Vec<NodePath>,
    /// The statement; its files and overlays are filled by [`Node::evidence`].
    pub statement: AgentStatement,
    /// Records of PCR 13 before this round's.
    pub records: Vec<Record>,
    /// The credential, where one is asked for.
    pub activated_credential: Option<Vec<u8>>,
}

impl Default for Node {
    fn default() -> Self {
        let nonce = NONCE.to_owned();
        let system = System { id: "debian".into(), version: "12".into(), kernel: "6.12.0-test".into() };
        let mut statement = AgentStatement::new(RoundNonce::of_challenge(&nonce), system);
        let point = NodePath::root();
        let (source, fstype, options) = ("/dev/vda".into(), "ext4".into(), "rw,relatime".into());
        statement.mounts = Some(vec![Mount { point, source, fstype, options }]);
        let mut ima_log = ImaLog::default();
        ima_log.entries.push(ImaEntry::file("/usr/bin/sealpod-guest", sha256(b"the agent")));
        Self {
            nonce,
            tpm: Tpm::default(),
            boot_log: BootLog::default(),
            ima_log,
            files: BTreeMap::new(),
            absent: Vec::new(),
            statement,
            records: Vec::new(),
            activated_credential: None,
        }
    }
}

impl Node {
    /// Adds a file of this round.
    ///
    /// # Panics
    ///
    /// For a path that is none.
    pub fn with(mut self, path: &str, file: NodeFile) -> Self {
        self.files.insert(path.parse().unwrap(), file);
        self
    }

    /// The round.
    pub fn round(&self) -> RoundNonce {
        RoundNonce::of_challenge(&self.nonce)
    }

    /// Everything consistent, extended and quoted.
    pub fn evidence(&self) -> NodeEvidence {
        let mut tpm = self.tpm.clone();
        self.boot_log.replay(&mut tpm.pcrs);
        let (mut ima_log, statement) = (self.ima_log.clone(), self.stated());
        ima_log.entries.insert(0, ImaEntry::boot_aggregate(&tpm.pcrs));
        let at = ima_log.entries.len() - ima_log.after_quote;
        ima_log.entries.splice(at..at, self.entries());
        ima_log.replay(&mut tpm.pcrs);
        let statement = statement.to_bytes();
        let records = self.records_with(&statement);
        workload::replay(&records, &mut tpm.pcrs);
        let (message, signature) = tpm.quote(&quote_nonce(&self.nonce), &QUOTED_PCRS);
        let values = QUOTED_PCRS.map(|pcr| (pcr, hex::encode(tpm.pcrs.sha256[usize::from(pcr)])));
        NodeEvidence {
            version: VERSION,
            nonce: self.nonce.clone(),
            ek_public: Base64(tpm.ek_public()),
            ek_certificate: None,
            ak_public: Base64(tpm.ak_public()),
            activated_credential: self.activated_credential.clone().map(Base64),
            quote: Quote { message: Base64(message), signature: Base64(signature) },
            pcrs: BTreeMap::from([(QUOTED_BANK.to_owned(), BTreeMap::from(values))]),
            boot_log: Base64(self.boot_log.to_bytes()),
            ima_log: ima_log.to_evidence(),
            statement_log: Base64(cel::encode(&records)),
            statement: Base64(statement),
            contents: Base64(contents::pack(&self.contents()).unwrap()),
        }
    }

    fn entries(&self) -> Vec<ImaEntry> {
        let directory = self.round().directory();
        let entry = |(path, file): (&NodePath, &NodeFile)| {
            let logged = path.below(&directory).unwrap().as_logged();
            let logged = String::from_utf8(logged).expect("test paths are UTF-8");
            let (uid, gid, mode) = (file.uid, file.gid, file.mode);
            ImaEntry { uid, gid, mode, ..ImaEntry::file(&logged, sha256(&file.content)) }
        };
        self.files.iter().map(entry).collect()
    }

    fn stated(&self) -> AgentStatement {
        let mut statement = self.statement.clone();
        statement.nonce = self.round();
        statement.overlays = vec![Overlay {
            mount_point: self.round().directory(),
            lower: NodePath::root(),
            fstype: "overlay".into(),
            options: format!("ro,relatime,ro,lowerdir=/:{EMPTY_LAYER}"),
            device: "254:0".into(),
        }];
        let measured = self.files.keys().map(|path| (path.clone(), FileOutcome::Measured { resolved: None }));
        statement.files.extend(measured);
        statement.files.extend(self.absent.iter().map(|path| (path.clone(), FileOutcome::Absent)));
        statement
    }

    fn contents(&self) -> Contents {
        let sent = self.files.iter().filter(|(_, file)| file.sent);
        sent.map(|(path, file)| (path.clone(), file.content.clone())).collect()
    }

    fn records_with(&self, statement: &[u8]) -> Vec<Record> {
        let content = StatementEvent::of(self.round(), statement).to_content();
        let recnum = self.records.len() as u64;
        let last = Record { recnum, pcr: PCR_WORKLOAD, sha256: sha256(&content), content };
        self.records.iter().cloned().chain([last]).collect()
    }
}
