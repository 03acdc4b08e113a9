//! Servers that meet the benchmark. Their files are written as an administrator would, not derived from the profile.

use crate::state::{NodeState, path};
use sealpod_evidence::node::statement::*;

const SSHD: &str = "\
Include /etc/ssh/sshd_config.d/*.conf
# Who
AllowGroups ssh-users
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding no
AllowTcpForwarding no
PrintMotd no
Banner /etc/issue.net
LogLevel VERBOSE
HostbasedAuthentication no
PermitEmptyPasswords no
PermitUserEnvironment no
IgnoreRhosts yes
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512,hmac-sha2-256
KexAlgorithms curve25519-sha256,diffie-hellman-group16-sha512
MaxAuthTries 4
MaxStartups 10:30:60
LoginGraceTime 1m
MaxSessions 10
ClientAliveInterval 15
ClientAliveCountMax 3
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
";

const SYSCTL: &str = "\
# hardening
kernel.randomize_va_space = 2
kernel.yama.ptrace_scope = 1
fs.suid_dumpable = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.ip_forward = 0
net.ipv6.conf.all.forwarding = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv6.conf.all.accept_source_route = 0
net.ipv6.conf.default.accept_source_route = 0
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv6.conf.default.accept_redirects = 0
net.ipv4.conf.all.secure_redirects = 0
net.ipv4.conf.default.secure_redirects = 0
net.ipv4.conf.all.log_martians = 1
net.ipv4.conf.default.log_martians = 1
net.ipv4.icmp_echo_ignore_broadcasts = 1
net.ipv4.icmp_ignore_bogus_error_responses = 1
net.ipv4.conf.all.rp_filter = 1
net.ipv4.conf.default.rp_filter = 1
net.ipv4.tcp_syncookies = 1
net.ipv6.conf.all.accept_ra = 0
net.ipv6.conf.default.accept_ra = 0
net.ipv6.conf.all.disable_ipv6 = 1
net.ipv6.conf.default.disable_ipv6 = 1
";

const PASSWORD: &str = "\
password requisite pam_pwquality.so retry=3
password required pam_pwhistory.so use_authtok remember=5
password [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass sha512
password requisite pam_deny.so
";

/// Audit rules as a distribution's sample would have them: `b64` and `b32`, keys at the end.
fn audit_rules() -> String {
    let mut rules = String::from("-D\n-b 8192\n");
    let watches = "/etc/sudoers /etc/sudoers.d /var/log/sudo.log /etc/localtime /etc/issue /etc/issue.net /etc/hosts /etc/networks \
        /etc/network/ /etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd /var/run/utmp /var/log/wtmp \
        /var/log/btmp /var/log/lastlog /var/run/faillock /etc/apparmor/ /etc/apparmor.d/";
    for watch in watches.split_whitespace() {
        rules.push_str(&format!("-w {watch} -p wa -k changes\n"));
    }
    let user = "-F auid>=1000 -F auid!=unset";
    for arch in ["b64", "b32"] {
        let head = format!("-a always,exit -F arch={arch}");
        rules.push_str(&format!("{head} -C euid!=uid -F auid!=unset -S execve -k emulation\n"));
        rules.push_str(&format!("{head} -S adjtimex,settimeofday,clock_settime -k time\n"));
        rules.push_str(&format!("{head} -S sethostname,setdomainname -k names\n"));
        for error in ["EACCES", "EPERM"] {
            let calls = "-S creat,open,openat,truncate,ftruncate";
            rules.push_str(&format!("{head} {calls} -F exit=-{error} {user} -k access\n"));
        }
        for calls in [
            "chmod,fchmod,fchmodat",
            "chown,fchown,lchown,fchownat",
            "setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr",
            "mount",
            "unlink,unlinkat,rename,renameat",
        ] {
            rules.push_str(&format!("{head} -S {calls} {user} -k calls\n"));
        }
    }
    let calls = "init_module,finit_module,delete_module";
    rules.push_str(&format!("-a always,exit -F arch=b64 -S {calls} {user} -k modules\n"));
    for program in [
        "/usr/bin/chcon",
        "/usr/bin/setfacl",
        "/usr/bin/chacl",
        "/usr/sbin/usermod",
        "/usr/bin/kmod",
        "/usr/bin/sudo",
    ] {
        rules.push_str(&format!("-a always,exit -F path={program} -F perm=x {user} -k programs\n"));
    }
    rules
}

fn mount(node: &mut NodeState, point: &str, options: &str) {
    let source = format!("/dev/mapper/vg-{}", point.replace('/', ""));
    node.mounts.push(Mount {
        point: path(point),
        source,
        fstype: "ext4".into(),
        options: format!("rw,{options},relatime"),
    });
}

fn service(node: &mut NodeState, unit: &str, enabled: &str, active: &str) {
    node.services.insert(unit.into(), Service { enabled: enabled.into(), active: active.into() });
}

fn listen(node: &mut NodeState, protocol: Protocol, address: &str, port: u16) {
    node.listening.push(Listener { protocol, address: address.parse().unwrap(), port });
}

fn accounts(node: &mut NodeState) {
    use AccountCheck as C;
    for check in [
        C::RootPassword,
        C::Shadowed,
        C::NoEmptyPasswords,
        C::GroupsResolve,
        C::ShadowGroupEmpty,
        C::UniqueUids,
        C::UniqueGids,
        C::UniqueUserNames,
        C::UniqueGroupNames,
        C::RootPath,
        C::OnlyRootIsUidZero,
        C::RootGroup,
        C::SystemAccountsLocked,
        C::PasswordChangesInPast,
        C::CurrentHashes,
        C::HomeDirectories,
        C::DotFiles,
    ] {
        node.accounts.insert(check, AccountResult::Holds(true));
    }
    for (check, days) in
        [(C::MinimumDays, 1), (C::MaximumDays, 365), (C::WarningDays, 7), (C::InactiveDays, 30)]
    {
        node.accounts.insert(check, AccountResult::Worst(days));
    }
    node.file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n");
    node.file("/etc/passwd-", 0o644, "root:x:0:0:root:/root:/bin/bash\n");
    node.file("/etc/group", 0o644, "root:x:0:\n");
    node.file("/etc/group-", 0o644, "root:x:0:\n");
    for shadow in ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"] {
        node.file(shadow, 0o640, "root:$6$salt$hash:19000:1:365:7:30::\n").gid = 42;
    }
    node.file("/etc/security/opasswd", 0o600, "");
    node.file("/etc/shells", 0o644, "/bin/sh\n/bin/bash\n");
}

fn logins(node: &mut NodeState) {
    node.file("/etc/pam.d/common-password", 0o644, PASSWORD);
    node.file(
        "/etc/pam.d/common-auth",
        0o644,
        "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so\n",
    );
    node.file(
        "/etc/pam.d/common-session",
        0o644,
        "session optional pam_umask.so\nsession required pam_unix.so\n",
    );
    node.file(
        "/etc/pam.d/su",
        0o644,
        "auth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid group=sugroup\n",
    );
    node.file("/etc/security/pwquality.conf", 0o644, "minlen = 14\nminclass = 4\ndifok = 2\nmaxrepeat = 3\n");
    node.file("/etc/security/faillock.conf", 0o644, "deny = 4\nfail_interval = 900\nunlock_time = 600\n");
    node.file("/etc/security/limits.conf", 0o644, "# none\n* hard core 0\n");
    node.file(
        "/etc/login.defs",
        0o644,
        "PASS_MAX_DAYS\t365\nPASS_MIN_DAYS\t1\nPASS_WARN_AGE\t7\nUMASK\t\t027\nENCRYPT_METHOD SHA512\n",
    );
    node.file("/etc/default/useradd", 0o644, "SHELL=/bin/sh\nINACTIVE=30\n");
    node.file("/etc/profile.d/tmout.sh", 0o644, "TMOUT=900\nreadonly TMOUT\nexport TMOUT\n");
    node.file(
        "/etc/sudoers",
        0o440,
        "Defaults env_reset, use_pty\nDefaults logfile=\"/var/log/sudo.log\"\n%sudo ALL=(ALL:ALL) ALL\n",
    );
    node.file("/etc/crontab", 0o600, "");
    for allow in ["/etc/cron.allow", "/etc/at.allow"] {
        node.file(allow, 0o640, "root\n");
    }
    for directory in
        ["/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/cron.d"]
    {
        node.directories.insert(path(directory), DirectoryFacts { mode: 0o700, uid: 0, gid: 0 });
    }
    node.file("/etc/ssh/sshd_config", 0o600, SSHD);
    node.file("/etc/ssh/ssh_host_ed25519_key", 0o600, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    node.file("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, "ssh-ed25519 AAAA\n");
}

fn system(node: &mut NodeState) {
    let modules: String = "cramfs freevxfs jffs2 hfs hfsplus squashfs udf usb-storage dccp sctp rds tipc"
        .split(' ')
        .map(|module| format!("install {module} /bin/false\nblacklist {module}\n"))
        .collect();
    node.file("/etc/modprobe.d/hardening.conf", 0o644, &modules);
    node.file("/etc/sysctl.d/60-hardening.conf", 0o644, SYSCTL);
    for line in SYSCTL.lines() {
        if let Some((key, value)) = line.split_once(" = ") {
            node.sysctl.insert(key.into(), value.into());
        }
    }
    node.file("/etc/apt/sources.list", 0o644, "deb http://de.archive.ubuntu.com/ubuntu focal main\ndeb http://security.ubuntu.com/ubuntu focal-security main\n");
    node.file("/boot/grub/grub.cfg", 0o400, "password_pbkdf2 root grub.pbkdf2.sha512.10000.AA\n");
    let line =
        "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro apparmor=1 security=apparmor audit=1 audit_backlog_limit=8192";
    node.boot = Boot { password: true, command_lines: vec![line.into()], ..Boot::default() };
    node.file("/etc/default/apport", 0o644, "enabled=0\n");
    for (text, at) in [
        ("Authorized use only.\n", "/etc/issue"),
        ("Authorized use only.\n", "/etc/issue.net"),
        ("Welcome.\n", "/etc/motd"),
    ] {
        node.file(at, 0o644, text);
    }
    node.file("/etc/systemd/coredump.conf", 0o644, "[Coredump]\nStorage=none\nProcessSizeMax=0\n");
    node.apparmor = Apparmor { enabled: true, enforce: 31, complain: 0, unconfined: 0 };
    for (point, options) in [
        ("/tmp", "nosuid,nodev,noexec"),
        ("/var", "nosuid,nodev"),
        ("/var/tmp", "nosuid,nodev,noexec"),
        ("/var/log", "nosuid,nodev,noexec"),
        ("/var/log/audit", "nosuid,nodev,noexec"),
        ("/home", "nosuid,nodev"),
        ("/dev/shm", "nosuid,nodev,noexec"),
    ] {
        mount(node, point, options);
    }
    node.scan.set_id = vec![path("/usr/bin/sudo")];
    node.interfaces = vec![Interface { name: "ens3".into(), wireless: false, up: true }];
    listen(node, Protocol::Tcp, "0.0.0.0", 22);
    listen(node, Protocol::Tcp, "127.0.0.1", 25);
    for package in ["apparmor", "sudo", "libpam-pwquality", "openssh-server", "systemd-coredump", "apport"] {
        node.packages.insert(package.into(), "1.0".into());
    }
    service(node, "cron.service", "enabled", "active");
    service(node, "systemd-journald.service", "static", "active");
    service(node, "apport.service", "disabled", "inactive");
    service(node, "systemd-journal-remote.socket", "masked", "inactive");
}

fn journal(node: &mut NodeState, forward: &str) {
    let sizes =
        "SystemMaxUse=1G\nSystemKeepFree=500M\nRuntimeMaxUse=200M\nRuntimeKeepFree=50M\nMaxFileSec=1month\n";
    let text = format!("[Journal]\nStorage=persistent\nCompress=yes\nForwardToSyslog={forward}\n{sizes}");
    node.file("/etc/systemd/journald.conf", 0o644, &text);
    node.file(
        "/usr/lib/tmpfiles.d/systemd.conf",
        0o644,
        "d /run/log 0755 root root -\nz /var/log/journal/%m/system.journal 0640 root systemd-journal - -\n",
    );
}

fn audit(node: &mut NodeState) {
    node.packages.insert("auditd".into(), "1.0".into());
    service(node, "auditd.service", "enabled", "active");
    node.file(
        "/etc/audit/auditd.conf",
        0o640,
        "log_file = /var/log/audit/audit.log\nmax_log_file = 8\nmax_log_file_action = keep_logs\nspace_left_action = email\n\
         action_mail_acct = root\nadmin_space_left_action = halt\n",
    );
    node.file("/etc/audit/rules.d/50-hardening.rules", 0o640, &audit_rules());
    node.file("/etc/audit/rules.d/99-finalize.rules", 0o640, "-e 2\n");
    for tool in ["auditctl", "aureport", "ausearch", "autrace", "auditd", "augenrules"] {
        node.file(&format!("/usr/sbin/{tool}"), 0o755, "ELF");
    }
    node.directories.insert(path("/var/log/audit"), DirectoryFacts { mode: 0o750, uid: 0, gid: 4 });
    node.directories.insert(path("/var/log/audit/audit.log"), DirectoryFacts { mode: 0o640, uid: 0, gid: 4 });
}

fn rsyslog(node: &mut NodeState) {
    node.packages.insert("rsyslog".into(), "8".into());
    service(node, "rsyslog.service", "enabled", "active");
    journal(node, "yes");
    node.file(
        "/etc/rsyslog.conf",
        0o644,
        "$ModLoad imuxsock\n$FileCreateMode 0640\n$IncludeConfig /etc/rsyslog.d/*.conf\n",
    );
    node.file(
        "/etc/rsyslog.d/50-default.conf",
        0o644,
        "auth,authpriv.* /var/log/auth.log\n*.* @@log.example.org:6514\n",
    );
}

fn hardened() -> NodeState {
    let mut node = NodeState::new();
    accounts(&mut node);
    logins(&mut node);
    system(&mut node);
    audit(&mut node);
    node
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// ufw, chrony, rsyslog.
pub fn ufw_server() -> NodeState {
    let mut node = hardened();
    rsyslog(&mut node);
    for package in ["ufw", "chrony"] {
        node.packages.insert(package.into(), "1.0".into());
    }
    service(&mut node, "ufw.service", "enabled", "active");
    service(&mut node, "chrony.service", "enabled", "active");
    node.file("/etc/chrony/chrony.conf", 0o644, "pool ntp.ubuntu.com iburst\nuser _chrony\n");
    listen(&mut node, Protocol::Udp, "127.0.0.1", 323);
    let rules = "allow in on lo\nallow out on lo\ndeny in from 127.0.0.0/8\ndeny in from ::1\nallow 22/tcp\nallow out on ens3 to any";
    node.firewall.ufw = Some(Ufw {
        active: true,
        incoming: "deny".into(),
        outgoing: "deny".into(),
        routed: "disabled".into(),
        rules: lines(rules),
    });
    node
}

/// nftables, systemd-timesyncd, a journal that is sent.
pub fn nftables_server() -> NodeState {
    let mut node = hardened();
    journal(&mut node, "no");
    for package in ["nftables", "systemd-journal-remote"] {
        node.packages.insert(package.into(), "1.0".into());
    }
    for unit in ["nftables.service", "systemd-timesyncd.service", "systemd-journal-upload.service"] {
        service(&mut node, unit, "enabled", "active");
    }
    node.file(
        "/etc/systemd/timesyncd.conf",
        0o644,
        "[Time]\nNTP=ntp.example.org\nFallbackNTP=ntp.ubuntu.com\n",
    );
    node.file(
        "/etc/systemd/journal-upload.conf",
        0o644,
        "[Upload]\nURL=https://log.example.org\nServerKeyFile=/etc/ssl/private/u.pem\nServerCertificateFile=/etc/ssl/u.pem\n\
         TrustedCertificateFile=/etc/ssl/ca.pem\n",
    );
    let rules = "table inet filter {\nchain input {\ntype filter hook input priority 0; policy drop;\niif \"lo\" accept\n\
        ip saddr 127.0.0.0/8 counter drop\nip6 saddr ::1 counter drop\nct state established accept\ntcp dport 22 accept\n}\n\
        chain forward {\ntype filter hook forward priority 0; policy drop;\n}\nchain output {\n\
        type filter hook output priority 0; policy drop;\nct state established,related,new accept\n}\n}\n";
    node.file("/etc/nftables.conf", 0o755, &format!("#!/usr/sbin/nft -f\nflush ruleset\n{rules}"));
    node.firewall.nft = Some(lines(rules));
    node.firewall.ipv4 = Some(lines("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT"));
    node.firewall.ipv6 = node.firewall.ipv4.clone();
    node
}

/// iptables, ntp, rsyslog, and somebody in front of the screen.
pub fn iptables_desktop() -> NodeState {
    let mut node = hardened();
    rsyslog(&mut node);
    for package in ["iptables", "iptables-persistent", "ntp", "gdm3"] {
        node.packages.insert(package.into(), "1.0".into());
    }
    for unit in ["netfilter-persistent.service", "ntp.service"] {
        service(&mut node, unit, "enabled", "active");
    }
    node.file(
        "/etc/ntp.conf",
        0o644,
        "restrict -4 default kod notrap nomodify nopeer noquery\nrestrict -6 default kod notrap nomodify nopeer noquery\nserver a.example\n",
    );
    node.file("/etc/init.d/ntp", 0o755, "#!/bin/sh\nRUNASUSER=ntp\n");
    let rules = |source: &str| {
        lines(&format!(
            "-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -s {source} -j DROP\n\
             -A OUTPUT -o lo -j ACCEPT\n-A INPUT -p tcp -m state --state ESTABLISHED -j ACCEPT\n\
             -A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -j ACCEPT\n\
             -A OUTPUT -p tcp -m state --state NEW,ESTABLISHED -j ACCEPT"
        ))
    };
    node.firewall.ipv4 = Some(rules("127.0.0.0/8"));
    node.firewall.ipv6 = Some(rules("::1"));
    node.file("/etc/gdm3/custom.conf", 0o644, "[daemon]\n[xdmcp]\n");
    node.file(
        "/etc/dconf/db/gdm.d/01-hardening",
        0o644,
        "[org/gnome/login-screen]\nbanner-message-enable=true\nbanner-message-text='Authorized use only.'\ndisable-user-list=true\n\n\
         [org/gnome/desktop/session]\nidle-delay=uint32 900\n\n[org/gnome/desktop/screensaver]\nlock-delay=uint32 5\n\n\
         [org/gnome/desktop/media-handling]\nautomount=false\nautomount-open=false\nautorun-never=true\n",
    );
    node.file(
        "/etc/dconf/db/gdm.d/locks/00-hardening",
        0o644,
        "/org/gnome/desktop/session/idle-delay\n/org/gnome/desktop/screensaver/lock-delay\n\
         /org/gnome/desktop/media-handling/automount\n/org/gnome/desktop/media-handling/automount-open\n\
         /org/gnome/desktop/media-handling/autorun-never\n",
    );
    node
}
