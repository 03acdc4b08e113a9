use super::*;
use AccountResult::{Holds, Worst};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
    sync:x:4:65534:sync:/bin:/bin/sync\n\
    ann:x:1000:1000:Ann:/home/ann:/bin/bash\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nshadow:x:42:\nann:x:1000:\nnogroup:x:65534:\n";
const SHADOW: &str = "root:!:19000:0:99999:7:::\n\
    daemon:*:19000:0:99999:7:::\n\
    sync:*:19000:0:99999:7:::\n\
    ann:$6$salt$hash:19000:1:365:7:30::\n";
const LOGIN_DEFS: &str = "# comment\nUID_MIN 1000\nENCRYPT_METHOD SHA512\n";

fn judged(spoil: impl Fn(&mut Sources)) -> BTreeMap<AccountCheck, AccountFact> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let mut sources = Sources {
        passwd: bytes(PASSWD),
        group: bytes(GROUP),
        shadow: bytes(SHADOW),
        login_defs: bytes(LOGIN_DEFS),
    };
    spoil(&mut sources);
    sources.judge(20_000)
}

fn add(file: &mut Vec<u8>, line: &str) {
    file.extend(line.as_bytes());
}

/// What the databases alone decide; homes and root's path are this machine's.
const DECIDED: &[AccountCheck] = &[
    AccountCheck::RootPassword,
    AccountCheck::Shadowed,
    AccountCheck::NoEmptyPasswords,
    AccountCheck::GroupsResolve,
    AccountCheck::ShadowGroupEmpty,
    AccountCheck::UniqueUids,
    AccountCheck::UniqueGids,
    AccountCheck::UniqueUserNames,
    AccountCheck::UniqueGroupNames,
    AccountCheck::OnlyRootIsUidZero,
    AccountCheck::RootGroup,
    AccountCheck::SystemAccountsLocked,
    AccountCheck::PasswordChangesInPast,
    AccountCheck::CurrentHashes,
];

#[test]
fn sound_databases_hold_and_say_what_was_judged() {
    let facts = judged(|_| {});
    for check in DECIDED {
        assert_eq!(facts[check].result, Holds(true), "{check:?}: {:?}", facts[check].offenders);
    }
    assert_eq!(facts[&AccountCheck::MinimumDays].result, Worst(1));
    assert_eq!(facts[&AccountCheck::MaximumDays].result, Worst(365));
    assert_eq!(facts[&AccountCheck::WarningDays].result, Worst(7));
    assert_eq!(facts[&AccountCheck::InactiveDays].result, Worst(30));
    let judged = &facts[&AccountCheck::NoEmptyPasswords].judged;
    let shadow: NodePath = "/etc/shadow".parse().unwrap();
    assert_eq!(judged, &[(shadow, HexArray(Sha256::digest(SHADOW).into()))].into());
}

type Spoil = fn(&mut Sources);

#[test]
fn each_check_names_who_is_against_it() {
    let cases: &[(AccountCheck, &str, Spoil)] = &[
        (AccountCheck::RootPassword, "root", |s| s.shadow = SHADOW.replace("root:!:", "root::").into()),
        (AccountCheck::Shadowed, "ann", |s| s.passwd = PASSWD.replace("ann:x:", "ann:hash:").into()),
        (AccountCheck::NoEmptyPasswords, "bob", |s| add(&mut s.shadow, "bob::19000:0:9:7:::\n")),
        (AccountCheck::GroupsResolve, "bob", |s| add(&mut s.passwd, "bob:x:1001:77::/home/bob:/bin/sh\n")),
        (AccountCheck::ShadowGroupEmpty, "ann", |s| {
            s.group = GROUP.replace("shadow:x:42:", "shadow:x:42:ann").into()
        }),
        (AccountCheck::ShadowGroupEmpty, "ann", |s| s.passwd = PASSWD.replace("1000:1000", "1000:42").into()),
        (AccountCheck::UniqueUids, "1000", |s| add(&mut s.passwd, "bob:x:1000:1000::/home/bob:/bin/sh\n")),
        (AccountCheck::UniqueGids, "1000", |s| add(&mut s.group, "bob:x:1000:\n")),
        (AccountCheck::UniqueUserNames, "ann", |s| add(&mut s.passwd, "ann:x:1001:1000::/home/x:/bin/sh\n")),
        (AccountCheck::UniqueGroupNames, "ann", |s| add(&mut s.group, "ann:x:1001:\n")),
        (AccountCheck::OnlyRootIsUidZero, "toor", |s| add(&mut s.passwd, "toor:x:0:0::/root:/bin/sh\n")),
        (AccountCheck::RootGroup, "root", |s| s.passwd = PASSWD.replace("root:x:0:0", "root:x:0:1").into()),
        (AccountCheck::SystemAccountsLocked, "daemon", |s| {
            s.passwd = PASSWD.replace("/usr/sbin/nologin", "/bin/sh").into();
        }),
        (AccountCheck::SystemAccountsLocked, "daemon", |s| {
            s.shadow = SHADOW.replace("daemon:*", "daemon:$6$a$b").into();
        }),
        (AccountCheck::PasswordChangesInPast, "ann", |s| {
            s.shadow = SHADOW.replace("hash:19000", "hash:20001").into()
        }),
        (AccountCheck::CurrentHashes, "ann", |s| s.shadow = SHADOW.replace("$6$", "$1$").into()),
    ];
    for (check, offender, spoil) in cases {
        let fact = &judged(spoil)[check];
        assert_eq!(
            (fact.result, fact.offenders.as_slice()),
            (Holds(false), &[(*offender).to_owned()][..]),
            "{check:?}"
        );
    }
}

#[test]
fn a_limit_that_is_not_set_is_the_worst_there_is() {
    let facts = judged(|s| add(&mut s.shadow, "bob:$6$a$b:19000::-1::::\n"));
    assert_eq!(facts[&AccountCheck::MinimumDays].result, Worst(0));
    assert_eq!(facts[&AccountCheck::MaximumDays].result, Worst(i32::MAX));
    assert_eq!(facts[&AccountCheck::WarningDays].result, Worst(0));
    assert_eq!(facts[&AccountCheck::InactiveDays].result, Worst(i32::MAX));
    assert_eq!(facts[&AccountCheck::InactiveDays].offenders, ["bob"]);
}

#[test]
fn where_nobody_has_a_password_no_limit_is_broken() {
    let facts = judged(|s| s.shadow = SHADOW.replace("ann:$6$", "ann:!$6$").into());
    assert_eq!(facts[&AccountCheck::MinimumDays].result, Worst(i32::MAX));
    assert_eq!(facts[&AccountCheck::MaximumDays].result, Worst(0));
    assert_eq!(facts[&AccountCheck::WarningDays].result, Worst(i32::MAX));
    assert_eq!(facts[&AccountCheck::InactiveDays].result, Worst(0));
}
