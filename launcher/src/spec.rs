//! From what was asked and what the host is, to a machine that can be started.

use crate::cli::{AccelArg, FirmwareArg, MachineArgs, PlatformArg};
use crate::guest_image::GuestImage;
use crate::host::{Accel, Host};
use sealpod_evidence::bytes::Sha256Digest;
use std::path::{Path, PathBuf};

/// Most virtual CPUs: what q35 takes without an IOMMU.
const MAX_VCPUS: u32 = 255;
/// Least memory: kernel, initrd unpacked and a small container.
const MIN_MEMORY_MIB: u32 = 256;
/// Most memory: 4 TiB, the guest physical address space that every platform has.
const MAX_MEMORY_MIB: u32 = 4 * 1024 * 1024;
/// Longest kernel command line (COMMAND_LINE_SIZE of Linux x86, less the final zero).
const MAX_CMDLINE: usize = 2047;
/// Longest path of a unix socket (sun_path, less the final zero).
const MAX_SOCKET_PATH: usize = 107;

/// A machine, checked. Made only by `VmSpec::try_from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSpec {
    pub name: String,
    pub accel: Accel,
    pub machine: Machine,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    pub cmdline: String,
    pub vcpus: u32,
    pub memory_mib: u32,
    /// Socket of the swtpm that plays the vTPM, where the platform brings none.
    pub swtpm: Option<PathBuf>,
    /// Read-only disks: serial number and file.
    pub disks: Vec<(&'static str, PathBuf)>,
    pub channel: PathBuf,
    pub console: PathBuf,
}

/// The platform with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    Plain { firmware: Firmware },
    Snp { ovmf: PathBuf, cbitpos: u32, host_data: Sha256Digest },
    SnpSvsm { igvm: PathBuf, cbitpos: u32, host_data: Sha256Digest },
    Tdx { ovmf: PathBuf, mr_config_id: [u8; 48] },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    Direct,
    Ovmf { code: PathBuf, vars: PathBuf },
}

/// What a machine is made from.
pub struct Request<'a> {
    pub name: &'a str,
    pub args: &'a MachineArgs,
    pub image: &'a GuestImage,
    pub host: &'a Host,
    /// The pod's directory; sockets and disks are in it.
    pub dir: &'a Path,
    pub initdata: Sha256Digest,
    /// Whether there is a container, and so an image disk.
    pub has_image: bool,
}

/// Why no such machine can be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("--{option} is {found}, expected {expected}")]
    Range { option: &'static str, expected: String, found: u64 },
    #[error("--append-cmdline {found:?} is not one word of printable ASCII")]
    CmdlineWord { found: String },
    #[error(
        "the kernel command line has {found} bytes, at most {expected} are possible; use fewer --append-cmdline"
    )]
    CmdlineLength { expected: usize, found: usize },
    #[error("--platform {platform} needs {option}, and {looked_for} is not there; {fix}")]
    Firmware { platform: &'static str, option: &'static str, looked_for: String, fix: &'static str },
    #[error("socket path {path:?} is longer than {expected} bytes; use a shorter --state-dir or --name")]
    SocketPath { path: PathBuf, expected: usize },
    #[error("path {path:?} is not UTF-8, which QEMU's options cannot carry")]
    Path { path: PathBuf },
}

impl TryFrom<Request<'_>> for VmSpec {
    type Error = SpecError;

    fn try_from(request: Request<'_>) -> Result<Self, SpecError> {
        let Request { args, image, dir, .. } = request;
        in_range("vcpus", args.vcpus, 1, MAX_VCPUS)?;
        in_range("memory", args.memory, MIN_MEMORY_MIB, MAX_MEMORY_MIB)?;
        let machine = machine(&request)?;
        let swtpm = matches!(machine, Machine::Plain { .. } | Machine::Snp { .. });
        let mut disks = vec![("initdata", dir.join("initdata.disk"))];
        if request.has_image {
            disks.push(("image0", dir.join("image0.tar")));
        }
        let spec = Self {
            name: request.name.to_owned(),
            accel: accel(&machine, args, request.host),
            machine,
            kernel: image.kernel.clone(),
            initrd: image.initrd.clone(),
            cmdline: cmdline(&image.cmdline, &args.append_cmdline)?,
            vcpus: args.vcpus,
            memory_mib: args.memory,
            swtpm: swtpm.then(|| dir.join("swtpm.sock")),
            disks,
            channel: dir.join("channel.sock"),
            console: dir.join("console.log"),
        };
        spec.check_paths()?;
        Ok(spec)
    }
}

impl VmSpec {
    fn check_paths(&self) -> Result<(), SpecError> {
        for path in self.swtpm.iter().chain([&self.channel]) {
            if path.as_os_str().len() > MAX_SOCKET_PATH {
                return Err(SpecError::SocketPath { path: path.clone(), expected: MAX_SOCKET_PATH });
            }
        }
        let firmware: Vec<&PathBuf> = match &self.machine {
            Machine::Plain { firmware: Firmware::Direct } => vec![],
            Machine::Plain { firmware: Firmware::Ovmf { code, vars } } => vec![code, vars],
            Machine::Snp { ovmf, .. } | Machine::Tdx { ovmf, .. } => vec![ovmf],
            Machine::SnpSvsm { igvm, .. } => vec![igvm],
        };
        let all = firmware.into_iter().chain([&self.kernel, &self.initrd, &self.channel, &self.console]);
        match all.chain(self.disks.iter().map(|(_, path)| path)).find(|path| path.to_str().is_none()) {
            Some(path) => Err(SpecError::Path { path: path.clone() }),
            None => Ok(()),
        }
    }
}

fn in_range(option: &'static str, found: u32, least: u32, most: u32) -> Result<(), SpecError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(SpecError::Range { option, expected: format!("{least} to {most}"), found: found.into() })
}

fn cmdline(base: &str, words: &[String]) -> Result<String, SpecError> {
    let mut line = base.to_owned();
    for word in words {
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SpecError::CmdlineWord { found: word.clone() });
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > MAX_CMDLINE {
        return Err(SpecError::CmdlineLength { expected: MAX_CMDLINE, found: line.len() });
    }
    Ok(line)
}

/// Confidential machines run under KVM; another choice is QEMU's to refuse.
fn accel(machine: &Machine, args: &MachineArgs, host: &Host) -> Accel {
    match (machine, args.accel) {
        (Machine::Plain { .. }, _) => host.accel,
        (_, AccelArg::Auto | AccelArg::Kvm) => Accel::Kvm,
        (_, AccelArg::Tcg) => Accel::Tcg,
    }
}

fn machine(request: &Request<'_>) -> Result<Machine, SpecError> {
    let Request { args, host, dir, initdata, image, .. } = request;
    let cbitpos = host.cbitpos;
    let platform = match args.platform {
        PlatformArg::Auto => host.platform,
        chosen => chosen,
    };
    let file =
        |platform, option, given: &Option<PathBuf>, default: &Option<PathBuf>, looked_for: &str, fix| {
            given.clone().or_else(|| default.clone()).ok_or_else(|| SpecError::Firmware {
                platform,
                option,
                looked_for: looked_for.to_owned(),
                fix,
            })
        };
    Ok(match platform {
        PlatformArg::Auto | PlatformArg::Plain => match args.firmware {
            FirmwareArg::Direct => Machine::Plain { firmware: Firmware::Direct },
            FirmwareArg::Ovmf => Machine::Plain {
                firmware: Firmware::Ovmf {
                    code: file(
                        "plain",
                        "--ovmf",
                        &args.ovmf,
                        &host.ovmf_code,
                        crate::host::OVMF_CODE,
                        "apt-get install ovmf",
                    )?,
                    vars: dir.join("ovmf-vars.fd"),
                },
            },
        },
        PlatformArg::Snp => Machine::Snp {
            ovmf: file(
                "snp",
                "--ovmf",
                &args.ovmf,
                &image.ovmf_amdsev.clone().or_else(|| host.ovmf_amdsev.clone()),
                crate::host::OVMF_AMDSEV,
                "apt-get install ovmf-amdsev, or name the file",
            )?,
            cbitpos,
            host_data: *initdata,
        },
        PlatformArg::SnpSvsm => Machine::SnpSvsm {
            igvm: file(
                "snp-svsm",
                "--svsm",
                &args.svsm,
                &None,
                "an SVSM image",
                "name a COCONUT-SVSM IGVM file for QEMU",
            )?,
            cbitpos,
            host_data: *initdata,
        },
        PlatformArg::Tdx => Machine::Tdx {
            ovmf: file(
                "tdx",
                "--ovmf",
                &args.ovmf,
                &host.ovmf_tdx,
                crate::host::OVMF_TDX,
                "apt-get install ovmf-inteltdx, or name the file",
            )?,
            mr_config_id: {
                // MRCONFIGID has 48 bytes (Intel TDX module specification, TD_PARAMS); a SHA-256 digest fills 32.
                let mut id = [0; 48];
                id[..32].copy_from_slice(&initdata.0);
                id
            },
        },
    })
}

#[cfg(test)]
mod tests;
