//! The command line as typed; nothing here is checked yet beyond its syntax.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "sealpod",
    version,
    about = "Start containers in confidential virtual machines",
    after_help = "\
Examples:
  sealpod doctor
  sealpod run --image-dir out/image --allow-output ./busybox-oci echo hello
  sealpod policy generate ./app.tar --kbs https://broker:8080 --kbs-ca ca.pem \\
      --secret db=kbs:///prod/key/db:/run/secrets/db -o pod.toml
  sealpod ps --all"
)]
pub struct Cli {
    /// Where running pods are recorded [default: /run/sealpod, or $XDG_RUNTIME_DIR/sealpod when not root]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a container in its own sealed machine
    Run(Box<RunArgs>),
    /// List pods
    Ps(PsArgs),
    /// Show what a pod's container wrote
    Logs(LogsArgs),
    /// Stop a pod: SIGTERM to its container, SIGKILL after the grace period
    Stop(StopArgs),
    /// Forget a pod that has ended
    Rm(RmArgs),
    /// Show all that is known of a pod, as JSON
    Inspect(NameArgs),
    /// Pull an image from a registry into the cache, and say where its OCI layout is
    Pull(PullArgs),
    /// Write the owner's policy (initdata)
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Check whether this machine can start sealed pods, and say what to install
    Doctor(DoctorArgs),
    /// Start the guest without a container and save its measured-boot log
    BootLog(BootLogArgs),
    /// Write a completion script for a shell
    #[command(after_help = "Example:\n  sealpod completions bash > /etc/bash_completion.d/sealpod")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealpod run --image-dir out/image --allow-output ./busybox-oci echo hello
  sealpod run --image-dir out/image --kbs https://127.0.0.1:8080 --kbs-ca ca.pem \\
      --secret db=kbs:///prod/key/db:/run/secrets/db --detach --name app ./app.tar
  sealpod run --image-dir out/image --policy pod.toml ./app.tar

The exit code is the container's, or 125 when it did not run.")]
pub struct RunArgs {
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Use this initdata file, as written by `policy generate`, instead of one made from the flags
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kbs", "kbs_ca", "allow_output", "allow_input", "allow_signals"])]
    pub policy: Option<PathBuf>,
    /// Name of the pod [default: random]
    #[arg(long)]
    pub name: Option<String>,
    /// Return once the container runs
    #[arg(long, short)]
    pub detach: bool,
    /// The other half of --detach
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached_child: bool,
    /// Forget the pod when its container has ended
    #[arg(long)]
    pub rm: bool,
    /// Write events and output as JSON lines to standard output
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Seconds between SIGTERM and SIGKILL when stopped
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub grace: u32,
    #[command(flatten)]
    pub workload: WorkloadArgs,
}

/// The machine.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Guest image: a directory with vmlinuz, initrd and manifest.json
    #[arg(long, value_name = "DIR")]
    pub image_dir: PathBuf,
    /// Confidential-computing platform
    #[arg(long, value_enum, default_value_t = PlatformArg::Auto)]
    pub platform: PlatformArg,
    /// Firmware of a plain machine: none, or OVMF with measured boot. SNP and TDX machines always start their own OVMF
    #[arg(long, value_enum, default_value_t = FirmwareArg::Direct)]
    pub firmware: FirmwareArg,
    /// QEMU accelerator; auto takes KVM for SNP and TDX, and for a plain machine once KVM has booted the guest's kernel
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// Virtual CPUs; part of an SNP launch measurement
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub vcpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    pub memory: u32,
    /// QEMU binary
    #[arg(long, default_value = "qemu-system-x86_64", value_name = "PATH")]
    pub qemu: PathBuf,
    /// swtpm binary
    #[arg(long, default_value = "swtpm", value_name = "PATH")]
    pub swtpm: PathBuf,
    /// Firmware image [default: the platform's, where Debian puts it]
    #[arg(long, value_name = "PATH")]
    pub ovmf: Option<PathBuf>,
    /// SVSM image in IGVM format, for --platform snp-svsm
    #[arg(long, value_name = "PATH")]
    pub svsm: Option<PathBuf>,
    /// Add a word to the kernel command line; it is measured (repeatable)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub append_cmdline: Vec<String>,
    /// Connect here when the guest wants its broker, instead of to the address in the broker's URL
    #[arg(long, value_name = "HOST:PORT")]
    pub kbs_connect: Option<String>,
    /// Seconds until the guest must have said hello
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub boot_timeout: u64,
}

/// The container and what its owner allows.
#[derive(Debug, Args)]
pub struct WorkloadArgs {
    /// The broker that holds the secrets
    #[arg(long, value_name = "URL", requires = "kbs_ca")]
    pub kbs: Option<String>,
    /// PEM file: the only certificate authority that the guest accepts for the broker
    #[arg(long, value_name = "FILE", requires = "kbs")]
    pub kbs_ca: Option<PathBuf>,
    /// A secret and the file it becomes (repeatable)
    #[arg(long, value_name = "NAME=kbs:///REPO/TYPE/TAG:/PATH")]
    pub secret: Vec<String>,
    /// Set an environment variable (repeatable)
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// User and group id in the container [default: the image's]
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Working directory in the container [default: the image's]
    #[arg(long, value_name = "PATH")]
    pub workdir: Option<String>,
    /// Let the host see the container's standard output and error
    #[arg(long)]
    pub allow_output: bool,
    /// Let the host write to the container's standard input
    #[arg(long)]
    pub allow_input: bool,
    /// Let the host send signals to the container
    #[arg(long)]
    pub allow_signals: bool,
    /// Pull over plain http: anyone on the way sees and changes what a tag names. This machine needs no such flag
    #[arg(long)]
    pub dangerous_insecure_registry: bool,
    /// OCI layout (directory or tar), `docker save` archive, or REGISTRY/REPOSITORY[:TAG|@sha256:…]
    pub image: PathBuf,
    /// Command and arguments [default: the image's]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealpod pull docker.io/library/busybox
  sealpod pull registry:5000/app:1 -o ./app-oci

Pulled images are kept in $XDG_CACHE_HOME/sealpod [default: /var/cache/sealpod for root, ~/.cache/sealpod for
others], which may be deleted at any time. Credentials are those of `docker login` without a helper; a registry
with its own certificate authority needs SSL_CERT_FILE.")]
pub struct PullArgs {
    /// Copy the OCI layout to this directory, new or empty
    #[arg(long, short, value_name = "LAYOUT_DIR")]
    pub output: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print the layout's path only
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Pull over plain http: anyone on the way sees and changes what a tag names. This machine needs no such flag
    #[arg(long)]
    pub dangerous_insecure_registry: bool,
    /// REGISTRY/REPOSITORY[:TAG|@sha256:…]
    pub image: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlatformArg {
    /// The strongest that this machine has
    Auto,
    /// No hardware protection: for tests, no secrets
    Plain,
    /// AMD SEV-SNP
    Snp,
    /// AMD SEV-SNP with an SVSM that holds the vTPM
    SnpSvsm,
    /// Intel TDX
    Tdx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirmwareArg {
    /// QEMU's own loader (SeaBIOS): quickest
    Direct,
    /// OVMF with measured boot
    Ovmf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccelArg {
    /// KVM if it boots the guest's kernel, TCG otherwise
    Auto,
    /// KVM
    Kvm,
    /// Emulation: slow, works everywhere
    Tcg,
}

#[derive(Debug, Args)]
pub struct PsArgs {
    /// Also pods that have ended
    #[arg(long, short)]
    pub all: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Name of the pod
    pub name: String,
    /// Keep showing until the pod has ended
    #[arg(long, short)]
    pub follow: bool,
    /// The machine's serial console instead of the container's output
    #[arg(long)]
    pub console: bool,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// Name of the pod
    pub name: String,
    /// Seconds to wait for the pod to end before its machine is killed
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of the pods
    #[arg(required = true)]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct NameArgs {
    /// Name of the pod
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write the initdata that allows exactly this container
    #[command(after_help = "\
Example:
  sealpod policy generate --kbs https://broker:8080 --kbs-ca ca.pem \\
      --secret db=kbs:///prod/key/db:/run/secrets/db -o pod.toml ./app.tar

The digest printed is what SNP HOST_DATA will be; give the file to the broker as a Reference Value.")]
    Generate {
        /// Where to write it
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        workload: WorkloadArgs,
    },
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Guest image whose kernel is booted to prove that KVM works
    #[arg(long, value_name = "DIR")]
    pub image_dir: Option<PathBuf>,
    /// QEMU binary
    #[arg(long, default_value = "qemu-system-x86_64", value_name = "PATH")]
    pub qemu: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sealpod boot-log --image-dir out/image --firmware ovmf -o boot.bin")]
pub struct BootLogArgs {
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Where to write it (binary, TCG2 event log)
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_image_is_the_command() {
        let cli = Cli::parse_from(["sealpod", "run", "--image-dir", "g", "img", "sh", "-c", "--name"]);
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.workload.command, ["sh", "-c", "--name"]);
        assert_eq!(run.name, None);
    }

    #[test]
    fn a_policy_file_and_policy_flags_exclude_each_other() {
        let args = ["sealpod", "run", "--image-dir", "g", "--policy", "p", "--allow-output", "img"];
        assert!(Cli::try_parse_from(args).is_err());
    }
}
