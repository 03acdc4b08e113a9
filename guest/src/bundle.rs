//! The OCI runtime bundle of one container: what it may do inside the guest.

use crate::seccomp;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceCgroupBuilder,
    LinuxMemoryBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder, LinuxResourcesBuilder,
    Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    get_default_maskedpaths, get_default_readonly_paths,
};
use sealpod_evidence::workload::ContainerSpec;
use std::path::{Component, Path, PathBuf};

/// What a container keeps of root's powers: what images commonly need at start (dropping privileges, chown,
/// low ports), nothing that reaches devices, modules, mounts, raw sockets or other processes.
const CAPABILITIES: [Capability; 9] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
];

/// Namespaces of its own. The network is the guest's: its only interface is the loopback on which the pod-local API
/// listens.
const NAMESPACES: [LinuxNamespaceType; 5] = [
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Cgroup,
];

/// Masked beside the runtime specification's defaults: the kernel's own doors.
const MORE_MASKED: [&str; 7] = [
    "/proc/kallsyms",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
    "/proc/dynamic_debug",
    "/sys/kernel/security",
    "/sys/kernel/config",
];

/// Most processes and threads: beyond what one service uses, and far from what fills the kernel's own tables.
const MAX_PIDS: i64 = 4096;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The specification does not hold together.
    #[error("bundle: {0}")]
    Spec(#[from] OciSpecError),
    /// A path that must be absolute and plain is not.
    #[error("bundle: {what} {found:?} is not an absolute path without \"..\"")]
    Path {
        /// Which path.
        what: &'static str,
        /// What it is.
        found: String,
    },
    /// Nothing to execute.
    #[error("bundle: the container has no arguments to execute")]
    NoArgs,
}

/// One secret's file and where the container sees it.
pub struct SecretMountPoint {
    /// In the guest.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
}

/// Write `config.json` into `directory`; the root file system is `directory/rootfs`. The container may take `memory`
/// bytes.
pub fn write(
    directory: &Path,
    spec: &ContainerSpec,
    secrets: &[SecretMountPoint],
    memory: u64,
) -> Result<(), BundleError> {
    Ok(runtime_spec(spec, secrets, memory)?.save(directory.join("config.json"))?)
}

fn runtime_spec(
    spec: &ContainerSpec,
    secrets: &[SecretMountPoint],
    memory: u64,
) -> Result<Spec, BundleError> {
    if spec.args.is_empty() {
        return Err(BundleError::NoArgs);
    }
    plain_path("working directory", &spec.working_dir)?;
    let capabilities = Capabilities::from(CAPABILITIES);
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .effective(capabilities.clone())
        .permitted(capabilities)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(UserBuilder::default().uid(spec.uid).gid(spec.gid).build()?)
        .args(spec.args.clone())
        .env(spec.env.clone())
        .cwd(&spec.working_dir)
        .no_new_privileges(true)
        .capabilities(capabilities)
        .rlimits(Vec::new())
        // PID 1's own would be inherited, and with it nothing could be killed.
        .oom_score_adj(0)
        .build()?;
    Ok(SpecBuilder::default()
        .version("1.0.2")
        .process(process)
        .root(RootBuilder::default().path("rootfs").readonly(false).build()?)
        .hostname("sealpod")
        .mounts(mounts(secrets)?)
        .linux(linux(memory)?)
        .build()?)
}

fn linux(memory: u64) -> Result<oci_spec::runtime::Linux, BundleError> {
    let namespaces = NAMESPACES
        .iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(*kind).build())
        .collect::<Result<Vec<_>, _>>()?;
    let no_devices = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
    let resources = LinuxResourcesBuilder::default()
        .devices(vec![no_devices])
        .memory(LinuxMemoryBuilder::default().limit(i64::try_from(memory).unwrap_or(i64::MAX)).build()?)
        .pids(LinuxPidsBuilder::default().limit(MAX_PIDS).build()?);
    let mut masked = get_default_maskedpaths();
    masked.extend(MORE_MASKED.map(str::to_owned));
    Ok(LinuxBuilder::default()
        .namespaces(namespaces)
        .resources(resources.build()?)
        .seccomp(seccomp::profile()?)
        .cgroups_path("/sealpod/container")
        .masked_paths(masked)
        .readonly_paths(get_default_readonly_paths())
        .build()?)
}

/// All of them `noexec`: a tmpfs does not tell IMA about writes through a mapping (see [`crate::init::CONTAINERS`]), so that
/// what was measured there once could be exchanged and executed again.
fn mounts(secrets: &[SecretMountPoint]) -> Result<Vec<Mount>, BundleError> {
    const TABLE: [(&str, &str, &str); 6] = [
        ("proc", "/proc", "nosuid,noexec,nodev"),
        ("tmpfs", "/dev", "nosuid,noexec,strictatime,mode=755,size=65536k"),
        ("devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
        ("tmpfs", "/dev/shm", "nosuid,noexec,nodev,mode=1777,size=16m"),
        ("sysfs", "/sys", "nosuid,noexec,nodev,ro"),
        ("cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ];
    let mut mounts = Vec::new();
    for (kind, destination, options) in TABLE {
        mounts.push(mount(kind, Path::new(kind), destination, options)?);
    }
    for secret in secrets {
        plain_path("secret's path", &secret.destination)?;
        mounts.push(mount("bind", &secret.source, &secret.destination, "bind,ro,nosuid,nodev,noexec")?);
    }
    Ok(mounts)
}

fn mount(kind: &str, source: &Path, destination: &str, options: &str) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .typ(kind)
        .source(source)
        .destination(destination)
        .options(options.split(',').map(str::to_owned).collect::<Vec<_>>())
        .build()
}

fn plain_path(what: &'static str, path: &str) -> Result<(), BundleError> {
    let plain = |c: Component<'_>| matches!(c, Component::RootDir | Component::Normal(_));
    if Path::new(path).is_absolute() && Path::new(path).components().all(plain) && !path.contains('\0') {
        return Ok(());
    }
    Err(BundleError::Path { what, found: path.chars().take(256).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec() -> ContainerSpec {
        ContainerSpec {
            image: format!("sha256:{}", "11".repeat(32)).parse().unwrap(),
            args: vec!["/bin/sh".into(), "-c".into(), "true".into()],
            env: vec!["A=b".into()],
            working_dir: "/srv".into(),
            uid: 1000,
            gid: 100,
            secrets: vec![],
        }
    }

    fn config(secrets: &[SecretMountPoint]) -> Value {
        serde_json::to_value(runtime_spec(&spec(), secrets, 1 << 26).unwrap()).unwrap()
    }

    #[test]
    fn the_process_is_exactly_what_was_asked_for() {
        let config = config(&[]);
        assert_eq!(config["process"]["args"], json!(["/bin/sh", "-c", "true"]));
        assert_eq!(config["process"]["env"], json!(["A=b"]));
        assert_eq!(config["process"]["cwd"], "/srv");
        assert_eq!(config["process"]["user"], json!({"uid": 1000, "gid": 100}));
        assert_eq!(config["process"]["noNewPrivileges"], true);
    }

    #[test]
    fn powers_over_the_guest_are_dropped() {
        let config = config(&[]);
        let text = config["process"]["capabilities"].to_string();
        for power in
            ["SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "NET_ADMIN", "NET_RAW", "MKNOD", "BPF"]
        {
            assert!(!text.contains(power), "{power}");
        }
        assert_eq!(config["process"]["capabilities"]["ambient"], json!([]));
        let denied = &config["linux"]["resources"]["devices"];
        assert_eq!(denied[0]["allow"], false);
        let namespaces = config["linux"]["namespaces"].to_string();
        assert!(
            !namespaces.contains("network") && namespaces.contains("pid") && namespaces.contains("mount")
        );
        assert!(config["linux"]["maskedPaths"].to_string().contains("/proc/kcore"));
    }

    #[test]
    fn the_container_has_limits_and_is_killed_before_pid_1() {
        let config = config(&[]);
        assert_eq!(config["linux"]["resources"]["memory"]["limit"], 1 << 26);
        assert_eq!(config["linux"]["resources"]["pids"]["limit"], MAX_PIDS);
        assert_eq!(config["process"]["oomScoreAdj"], 0);
        assert_eq!(config["linux"]["seccomp"], serde_json::to_value(seccomp::profile().unwrap()).unwrap());
    }

    #[test]
    fn nothing_can_be_executed_from_a_mount_but_the_root() {
        let secret = SecretMountPoint { source: "/run/s/0".into(), destination: "/run/key".into() };
        let config = config(&[secret]);
        for mount in config["mounts"].as_array().unwrap() {
            assert!(mount["options"].as_array().unwrap().contains(&json!("noexec")), "{mount}");
        }
    }

    #[test]
    fn secrets_are_bound_read_only() {
        let secret = SecretMountPoint { source: "/run/s/0".into(), destination: "/run/key".into() };
        let config = config(&[secret]);
        let mount = config["mounts"].as_array().unwrap().last().unwrap();
        assert_eq!(mount["source"], "/run/s/0");
        assert_eq!(mount["options"], json!(["bind", "ro", "nosuid", "nodev", "noexec"]));
    }

    #[test]
    fn relative_and_climbing_paths_are_refused() {
        for path in ["run/key", "/run/../key", ""] {
            let secret = SecretMountPoint { source: "/s".into(), destination: path.into() };
            assert!(
                matches!(runtime_spec(&spec(), &[secret], 1 << 26), Err(BundleError::Path { .. })),
                "{path}"
            );
        }
        let mut other = spec();
        other.args.clear();
        assert!(matches!(runtime_spec(&other, &[], 1 << 26), Err(BundleError::NoArgs)));
    }
}
