//! The rules that a profile can state. The enum is closed: a profile never carries code.

mod parts;

pub use parts::{Absent, ApparmorMode, FirewallCheck, Format, PamKind, Pointers, ScanCheck, Target};

use crate::expect::{Expect, Mode};
use crate::finding::Root;
use sealpod_evidence::node::statement::AccountCheck;
use serde::Deserialize;

/// One typed rule. In YAML: its name, and under it its fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// No permission bit outside of `mode`.
    FileModeAtMost {
        /// Which files.
        path: Target,
        /// The bits allowed.
        mode: Mode,
        /// What if there is none.
        #[serde(default)]
        absent: Absent,
    },
    /// Owner and group are among those listed; root if nothing is.
    FileOwner {
        /// Which files.
        path: Target,
        /// User ids.
        #[serde(default = "root_only")]
        owner: Vec<u32>,
        /// Group ids.
        #[serde(default = "root_only")]
        group: Vec<u32>,
        /// What if there is none.
        #[serde(default)]
        absent: Absent,
    },
    /// At least one of these exists.
    FilePresent {
        /// Which files.
        path: Target,
    },
    /// None of these exists.
    FileAbsent {
        /// Which files.
        path: Target,
    },
    /// Lines of text. A pattern's words are met by a line that begins with them; `*` within a word stands for anything.
    Lines {
        /// Which files, taken together.
        path: Target,
        /// Each is met by at least one line.
        #[serde(default)]
        require: Vec<String>,
        /// No line meets any.
        #[serde(default)]
        forbid: Vec<String>,
        /// If any: each line meets one of these.
        #[serde(default)]
        allow: Vec<String>,
        /// Texts that are nowhere, whatever the case.
        #[serde(default)]
        forbid_text: Vec<String>,
        /// What if there is no file.
        #[serde(default)]
        absent: Absent,
    },
    /// A setting of the kubelet: the flag beats the configuration.
    KubeletSetting {
        /// Flag, without dashes.
        #[serde(default)]
        flag: Option<String>,
        /// Dotted key of the configuration.
        #[serde(default)]
        key: Option<String>,
        /// For a feature gate: its name. Then `flag` and `key` are of the table of gates.
        #[serde(default)]
        gate: Option<String>,
        /// The demand.
        expect: Expect,
        /// Whether the kubelet's own default meets it.
        #[serde(default)]
        absent_passes: bool,
    },
    /// A setting in files of keys and values; the last one holds.
    Setting {
        /// How the files are written.
        format: Format,
        /// The files, in the order in which they are read.
        path: Target,
        /// The section.
        #[serde(default)]
        section: Option<String>,
        /// The key.
        key: String,
        /// The demand.
        expect: Expect,
        /// Whether the program's own default meets it.
        #[serde(default)]
        absent_passes: bool,
    },
    /// A setting of sshd, `Include` followed; a `Match` block that sets it otherwise fails too.
    Sshd {
        /// The keyword.
        keyword: String,
        /// The demand.
        expect: Expect,
        /// Whether sshd's own default meets it.
        #[serde(default)]
        absent_passes: bool,
    },
    /// Kernel parameters, live and as the next boot would set them.
    Sysctl {
        /// The parameters.
        keys: Vec<String>,
        /// The demand on each.
        expect: Expect,
    },
    /// A value in a YAML file.
    YamlPath {
        /// The file.
        path: Target,
        /// Dotted key.
        key: String,
        /// The demand.
        expect: Expect,
        /// Whether nothing meets it.
        #[serde(default)]
        absent_passes: bool,
    },
    /// None of these packages is installed.
    PackageAbsent(Vec<String>),
    /// One of these packages is installed.
    PackagePresent(Vec<String>),
    /// One of these units is enabled and active.
    ServiceEnabled(Vec<String>),
    /// None of these units is enabled or active.
    ServiceDisabled(Vec<String>),
    /// A mount has an option. Says nothing where nothing is mounted.
    MountOption {
        /// Mount point.
        point: String,
        /// The option.
        option: String,
    },
    /// Something is mounted there.
    MountSeparate {
        /// Mount point.
        point: String,
    },
    /// A kernel module is not loaded, and cannot be by its name.
    ModuleDisabled(Vec<String>),
    /// Only these are open, as `tcp/22`; loopback is not looked at.
    ListeningOnly {
        /// Transports and ports.
        allow: Vec<String>,
    },
    /// These ports are open on loopback at most.
    LoopbackOnly {
        /// Ports.
        ports: Vec<u16>,
    },
    /// Mode and owner of a directory, or of a file that is always open for writing, for which the kernel cannot vouch.
    Directory {
        /// Which.
        path: Target,
        /// The bits allowed.
        mode: Mode,
        /// User ids.
        #[serde(default = "root_only")]
        owner: Vec<u32>,
        /// Group ids.
        #[serde(default = "root_only")]
        group: Vec<u32>,
        /// What if there is none.
        #[serde(default)]
        absent: Absent,
    },
    /// A verdict of the agent about accounts.
    Account(AccountCheck),
    /// A count of days that the agent found.
    AccountDays {
        /// Of what.
        check: AccountCheck,
        /// The demand.
        expect: Expect,
    },
    /// Audit rules, whatever the order of their fields and whatever their key.
    AuditRules(Vec<String>),
    /// An audit rule for each set-id program.
    AuditSetId,
    /// Each kernel command line has this argument.
    KernelArgument {
        /// Its name.
        name: String,
        /// The demand on its value.
        expect: Expect,
    },
    /// The boot menu cannot be edited without a password.
    BootPassword,
    /// AppArmor.
    Apparmor(ApparmorMode),
    /// The live packet filter.
    Firewall(FirewallCheck),
    /// A line of a PAM service, and its arguments.
    Pam {
        /// The files, taken together.
        path: Target,
        /// Type.
        kind: PamKind,
        /// Module.
        module: String,
        /// Arguments that the line has to have.
        #[serde(default)]
        arguments: Vec<String>,
        /// For `name=value` arguments: the name of the one that `expect` is about.
        #[serde(default)]
        argument: Option<String>,
        /// The demand on it.
        #[serde(default)]
        expect: Option<Expect>,
    },
    /// sudo: settings that are there and words that are nowhere.
    Sudoers {
        /// Name of a `Defaults` setting.
        #[serde(default)]
        setting: Option<String>,
        /// The demand on it.
        #[serde(default)]
        expect: Option<Expect>,
        /// Whether sudo's own default meets it.
        #[serde(default)]
        absent_passes: bool,
        /// Words that no rule may have.
        #[serde(default)]
        forbid: Vec<String>,
    },
    /// A walk over the file systems.
    Scan(ScanCheck),
    /// Only these programs have set-id bits.
    SetIdOnly(Vec<String>),
    /// No radio is up.
    NoWireless,
    /// This node's integrity is measured by the kernel and appraised: what a file integrity program would be installed for.
    Attested,
    /// A claim of an attestation result, by JSON pointer.
    Claim {
        /// Where it is.
        pointer: Pointers,
        /// The demand.
        expect: Expect,
    },
    /// A human must answer.
    Manual {
        /// What.
        question: String,
    },
    /// All of these.
    AllOf(Vec<Rule>),
    /// One of these.
    AnyOf(Vec<Rule>),
    /// Not this.
    Not(Box<Rule>),
}

impl Rule {
    /// The weakest root of trust on which a pass rests.
    pub fn root(&self) -> Root {
        match self {
            Self::FileModeAtMost { .. }
            | Self::FileOwner { .. }
            | Self::FilePresent { .. }
            | Self::Attested => Root::Ima,
            Self::Lines { .. }
            | Self::KubeletSetting { .. }
            | Self::Setting { .. }
            | Self::Sshd { .. }
            | Self::YamlPath { .. }
            | Self::AuditRules(_)
            | Self::Pam { .. }
            | Self::Sudoers { .. } => Root::ImaContent,
            Self::Claim { .. } => Root::Hardware,
            Self::Manual { .. } => Root::Manual,
            Self::AllOf(rules) | Self::AnyOf(rules) => {
                rules.iter().map(Self::root).max().unwrap_or(Root::Manual)
            }
            Self::Not(rule) => rule.root(),
            _ => Root::Agent,
        }
    }

    /// This rule and all within it.
    pub fn walk<'r>(&'r self, visit: &mut impl FnMut(&'r Self)) {
        visit(self);
        match self {
            Self::AllOf(rules) | Self::AnyOf(rules) => rules.iter().for_each(|rule| rule.walk(visit)),
            Self::Not(rule) => rule.walk(visit),
            _ => {}
        }
    }
}

fn root_only() -> Vec<u32> {
    vec![0]
}
