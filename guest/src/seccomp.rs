//! System calls that a container cannot make: a deny list.
//!
//! Everything that is not named here stays allowed. An allow list would be stronger, but it breaks images on the day
//! that their C library learns a new call; the wall around a pod is its machine, not this filter. What it takes away is
//! the part of the kernel that no workload needs, and from which the measured guest could be changed.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

/// Refused with `EPERM`, whatever their arguments.
const DENIED: &[&str] = &[
    // Code in the kernel, and another kernel.
    "bpf",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    // Large or old parts of the kernel that are reached without any power.
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "add_key",
    "keyctl",
    "request_key",
    "lookup_dcookie",
    "nfsservctl",
    "uselib",
    "ustat",
    "sysfs",
    "modify_ldt",
    // Mounts: what is executed from where is what IMA's entries are about.
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "pivot_root",
    // Other namespaces, and files without their path.
    "setns",
    "open_by_handle_at",
    // The machine as a whole.
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "vhangup",
    "syslog",
    "iopl",
    "ioperm",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
];

/// `CLONE_NEW*` of clone(2) and unshare(2) (include/uapi/linux/sched.h): namespace, mount, cgroup, UTS, IPC, user,
/// PID, network.
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// `CLONE_NEWTIME`, for unshare(2) only: clone(2) has the signal's number in that place.
const NEW_TIME: u64 = 0x80;
/// personality(2): only tell which one it is.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;
/// `TIOCSTI` and `TIOCLINUX` of ioctl(2): put input into a terminal, as if it had been typed.
const TERMINAL_INPUT: [u64; 2] = [0x5412, 0x541c];

/// The filter.
///
/// Only the 64-bit calls of x86-64 are there; a process that makes a 32-bit or x32 call is killed, as each call has
/// another number there.
pub fn profile() -> Result<LinuxSeccomp, OciSpecError> {
    let mut rules = vec![rule(DENIED, libc::EPERM, None)?];
    // Its flags are in memory, where no filter can look. C libraries then fall back to clone(2).
    rules.push(rule(&["clone3"], libc::ENOSYS, None)?);
    for flag in NAMESPACES {
        rules.push(rule(&["clone", "unshare"], libc::EPERM, masked(flag, flag))?);
    }
    rules.push(rule(&["unshare"], libc::EPERM, masked(NEW_TIME, NEW_TIME))?);
    let other = Some((0, PERSONALITY_QUERY, None, LinuxSeccompOperator::ScmpCmpNe));
    rules.push(rule(&["personality"], libc::EPERM, other)?);
    for request in TERMINAL_INPUT {
        // The kernel looks at the lower 32 bits only, and so must the filter.
        let same = (1, u64::from(u32::MAX), Some(request), LinuxSeccompOperator::ScmpCmpMaskedEq);
        rules.push(rule(&["ioctl"], libc::EPERM, Some(same))?);
    }
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .architectures(vec![Arch::ScmpArchX86_64])
        .syscalls(rules)
        .build()
}

/// Index of the argument, value or mask, value under the mask, comparison.
type Condition = (usize, u64, Option<u64>, LinuxSeccompOperator);

fn masked(mask: u64, value: u64) -> Option<Condition> {
    Some((0, mask, Some(value), LinuxSeccompOperator::ScmpCmpMaskedEq))
}

fn rule(names: &[&str], errno: i32, condition: Option<Condition>) -> Result<LinuxSyscall, OciSpecError> {
    let rule = LinuxSyscallBuilder::default()
        .names(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .action(LinuxSeccompAction::ScmpActErrno)
        .errno_ret(errno.unsigned_abs());
    let Some((index, value, value_two, op)) = condition else {
        return rule.build();
    };
    let mut argument = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    if let Some(value_two) = value_two {
        argument = argument.value_two(value_two);
    }
    rule.args(vec![argument.build()?]).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rules() -> Vec<Value> {
        let profile = serde_json::to_value(profile().unwrap()).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
        assert_eq!(profile["architectures"], json!(["SCMP_ARCH_X86_64"]));
        profile["syscalls"].as_array().unwrap().clone()
    }

    fn of(name: &str) -> Vec<Value> {
        rules().into_iter().filter(|r| r["names"].as_array().unwrap().contains(&json!(name))).collect()
    }

    #[test]
    fn doors_into_the_kernel_are_shut_whatever_the_arguments() {
        for name in ["bpf", "mount", "open_tree", "io_uring_setup", "finit_module", "setns", "reboot"] {
            let rules = of(name);
            assert_eq!(rules.len(), 1, "{name}");
            assert_eq!((&rules[0]["action"], &rules[0]["errnoRet"]), (&json!("SCMP_ACT_ERRNO"), &json!(1)));
            assert!(rules[0].get("args").is_none(), "{name}");
        }
        assert_eq!(of("clone3")[0]["errnoRet"], libc::ENOSYS);
        assert!(of("clone3")[0].get("args").is_none());
    }

    #[test]
    fn threads_and_children_can_be_made_and_namespaces_cannot() {
        // What glibc's pthread_create and fork give to clone(2).
        let (thread, fork) = (0x003d_0f00_u64, 0x0120_0011_u64);
        let namespaces = [0x0002_0000_u64, 0x1000_0000, 0x4000_0000, 0x6c02_0000];
        let denied = |name: &str, flags: u64| {
            of(name).iter().any(|rule| {
                let argument = &rule["args"][0];
                assert_eq!(argument["op"], "SCMP_CMP_MASKED_EQ");
                flags & argument["value"].as_u64().unwrap() == argument["valueTwo"].as_u64().unwrap()
            })
        };
        for name in ["clone", "unshare"] {
            assert!(!denied(name, thread) && !denied(name, fork), "{name}");
            assert!(namespaces.iter().all(|flags| denied(name, *flags)), "{name}");
        }
        assert!(denied("unshare", NEW_TIME) && !denied("clone", NEW_TIME));
    }

    #[test]
    fn no_call_is_denied_twice() {
        let mut names = DENIED.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DENIED.len());
    }
}
