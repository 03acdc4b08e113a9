//! `sealpod-images reference-values`.

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use sealpod_evidence::reference_values::{ReferenceDocument, VERSION};
use sealpod_images::build::{INITRD, KERNEL, MANIFEST, Manifest};
use sealpod_images::launch::Launch;
use sealpod_images::oci::container_files;
use sealpod_images::recipe::SNP_FIRMWARE_FILE;
use sealpod_images::reference::{self, ReferenceBoot};
use sealpod_images::tcb::MinimumTcb;
use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Firmware {
    Direct,
    Ovmf,
}

/// Print the Reference Values of a guest image, of container images and of initdata documents as one JSON document.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sealpod-images reference-values --image-dir out/image --firmware ovmf --boot-log boot.bin -o guest.json\n  \
    sealpod-images reference-values --oci ./busybox-oci -o busybox.json\n  \
    sealpod-images reference-values --initdata pod.toml -o pod.json\n  \
    sealpod-images reference-values --snp-minimum-tcb genoa=3.0.20.72 -o tcb.json"
)]
pub struct Arguments {
    /// Guest image directory.
    #[arg(long, value_name = "DIR")]
    image_dir: Option<PathBuf>,
    /// The initrd as booted, where it is not the image directory's.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// How the reference boot of --boot-log was made.
    #[arg(long, value_enum, default_value = "ovmf")]
    firmware: Firmware,
    /// Firmware of the SNP machine; by default the image directory's.
    #[arg(long, value_name = "FILE")]
    snp_firmware: Option<PathBuf>,
    /// Kernel command line; by default the image's own.
    #[arg(long)]
    cmdline: Option<String>,
    /// Number of vCPUs.
    #[arg(long, default_value_t = 1)]
    vcpus: u32,
    /// vCPU model.
    #[arg(long, default_value = "EPYC-v4")]
    vcpu_type: String,
    /// VMPL (0 to 3) at which the launch runs the guest's kernel; 0 claims that there is no SVSM. A number above 0 claims that an
    /// SVSM holds VMPL 0 in this very launch: the binding level `svsm` rests on it, so it must be true of what is measured.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    guest_vmpl: u8,
    /// Memory of the machine; by default the usual sizes are tried.
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// TCG2 log of a trusted reference boot (`sealpod boot-log`).
    #[arg(long, value_name = "FILE")]
    boot_log: Option<PathBuf>,
    /// Accept a reference boot whose firmware does not measure ACPI tables. A hostile host can then run bytecode of its own in the
    /// guest's kernel, and no evidence shows it.
    #[arg(long)]
    dangerous_unmeasured_acpi: bool,
    /// Container image whose files may be executed: an OCI layout, as a directory or a tar; may be repeated.
    #[arg(long, value_name = "PATH")]
    oci: Vec<PathBuf>,
    /// initdata document to accept; may be repeated.
    #[arg(long, value_name = "FILE")]
    initdata: Vec<PathBuf>,
    /// The least SNP firmware that a processor must report, for example genoa=3.0.20.72; may be repeated. A processor line that no
    /// document names is refused.
    #[arg(long, value_name = "PRODUCT=TCB")]
    snp_minimum_tcb: Vec<MinimumTcb>,
    /// Write here instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut document = match &arguments.image_dir {
        Some(directory) => guest(arguments, directory)?,
        None if parts(arguments).is_empty() => {
            bail!("nothing to compute from; give --image-dir, --oci, --initdata or --snp-minimum-tcb")
        }
        None => ReferenceDocument {
            version: VERSION,
            description: parts(arguments).join(" and "),
            ..Default::default()
        },
    };
    for path in &arguments.oci {
        document.files.push(container_files(path)?);
    }
    reference::add_initdata(&mut document, &arguments.initdata)?;
    let least = arguments.snp_minimum_tcb.iter().map(|least| (least.product.clone(), least.tcb));
    document.snp_minimum_tcb.extend(least);
    let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
    match &arguments.output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

/// What a document without a guest image is about.
fn parts(arguments: &Arguments) -> Vec<&'static str> {
    let parts = [
        ("container images", arguments.oci.is_empty()),
        ("initdata", arguments.initdata.is_empty()),
        ("processor firmware", arguments.snp_minimum_tcb.is_empty()),
    ];
    parts.iter().filter(|(_, empty)| !empty).map(|(name, _)| *name).collect()
}

fn guest(arguments: &Arguments, directory: &std::path::Path) -> Result<ReferenceDocument> {
    let manifest = directory.join(MANIFEST);
    let text = std::fs::read(&manifest).with_context(|| {
        format!("cannot read {}; build the image with `sealpod-images build`", manifest.display())
    })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).context("manifest.json is not a guest image's manifest")?;
    let in_directory =
        |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| directory.join(name));
    let launch = Launch {
        firmware: &in_directory(&arguments.snp_firmware, SNP_FIRMWARE_FILE),
        kernel: &directory.join(KERNEL),
        initrd: &in_directory(&arguments.initrd, INITRD),
        command_line: arguments.cmdline.as_deref().unwrap_or(&manifest.cmdline),
        vcpus: arguments.vcpus,
        vcpu_type: &arguments.vcpu_type,
        guest_vmpl: arguments.guest_vmpl,
    };
    let boot = arguments.boot_log.as_deref().map(|log| ReferenceBoot {
        log,
        ovmf: arguments.firmware == Firmware::Ovmf,
        memory_mib: arguments.memory,
        dangerous_unmeasured_acpi: arguments.dangerous_unmeasured_acpi,
    });
    Ok(reference::guest(&launch, boot)?)
}
