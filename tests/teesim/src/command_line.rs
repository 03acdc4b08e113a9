//! An SNP command line for QEMU, taken apart: what the simulated processor must know, and what is left
//! for a QEMU that emulates the machine.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;

/// Guest policy that QEMU uses where none is given: SMT allowed, bit 17 always set.
const DEFAULT_POLICY: u64 = 0x30000;

/// What is measured or reported of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// `-bios`: firmware that the launch digest covers.
    pub firmware: PathBuf,
    /// `-kernel`.
    pub kernel: PathBuf,
    /// `-initrd`.
    pub initrd: Option<PathBuf>,
    /// `-append`.
    pub append: Option<String>,
    /// `-smp`.
    pub vcpus: u32,
    /// Model named by `-cpu`, without its options.
    pub cpu: String,
    /// SNP guest policy.
    pub policy: u64,
    /// SNP HOST_DATA; zero where the launcher gave none, as on the real platform.
    pub host_data: [u8; 32],
}

/// What the emulated machine starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// QEMU's own kernel loader.
    Direct,
    /// OVMF, as code and a fresh copy of its variables.
    Ovmf {
        /// `OVMF_CODE*.fd`.
        code: PathBuf,
        /// `OVMF_VARS*.fd`.
        vars: PathBuf,
    },
}

/// The command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// What the processor measures.
    pub launch: Launch,
    /// Arguments for the emulating QEMU.
    pub arguments: Vec<String>,
}

/// `key=value` options of one QEMU argument. A doubled comma stands for a comma.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options(Vec<(String, Option<String>)>);

impl Options {
    fn parse(text: &str) -> Self {
        let split = text.replace(",,", "\0");
        let option = |part: &str| {
            let part = part.replace('\0', ",");
            match part.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (part, None),
            }
        };
        Self(split.split(',').map(option).collect())
    }

    /// The first word, which has no key: an object's or machine's type.
    fn head(&self) -> &str {
        match self.0.first() {
            Some((word, None)) => word,
            Some((key, Some(value))) if matches!(key.as_str(), "type" | "qom-type" | "cpus") => value,
            _ => "",
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).and_then(|(_, v)| v.as_deref())
    }

    fn without(&self, keys: &[&str]) -> String {
        let kept = self.0.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
        let texts = kept.map(|(key, value)| match value {
            Some(value) => format!("{key}={}", value.replace(',', ",,")),
            None => key.replace(',', ",,"),
        });
        texts.collect::<Vec<_>>().join(",")
    }
}

#[derive(Default)]
struct Found {
    machine: Option<Options>,
    guest: Option<Options>,
    firmware: Option<PathBuf>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    append: Option<String>,
    smp: Option<Options>,
    cpu: Option<String>,
    objects: Vec<(String, Options)>,
    kept: Vec<String>,
}

/// Take `arguments` apart and put them together again for an emulated machine that starts with `boot`.
pub fn translate(arguments: &[String], boot: &Boot) -> Result<Translated> {
    let found = collect(arguments)?;
    let machine = found.machine.as_ref().context("no -machine: this is not a launcher's command line")?;
    let id = machine
        .get("confidential-guest-support")
        .context("-machine has no confidential-guest-support: start plain machines without teesim")?;
    let guest = found
        .guest
        .as_ref()
        .filter(|guest| guest.get("id") == Some(id))
        .with_context(|| format!("no -object sev-snp-guest,id={id}: teesim simulates SEV-SNP only"))?;
    let launch = launch(&found, guest)?;

    let mut out = emulation(machine, boot)?;
    let backend = machine.get("memory-backend");
    for (text, object) in &found.objects {
        if backend.is_none() || object.get("id") != backend {
            out.extend(["-object".to_owned(), text.clone()]);
        }
    }
    out.extend(found.kept);
    Ok(Translated { launch, arguments: out })
}

fn collect(arguments: &[String]) -> Result<Found> {
    let mut found = Found::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        // QEMU takes one dash or two.
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).unwrap_or_default();
        if matches!(name, "enable-kvm") {
            continue;
        }
        if !TAKEN.contains(&name) {
            found.kept.push(argument.clone());
            continue;
        }
        let value = rest.next().with_context(|| format!("{argument} has no value"))?;
        match name {
            "machine" | "M" => found.machine = Some(Options::parse(value)),
            "bios" => found.firmware = Some(value.into()),
            "accel" => {}
            "cpu" => found.cpu = Some(Options::parse(value).head().to_owned()),
            "object" => take_object(&mut found, value),
            _ => {
                found.kept.extend([argument.clone(), value.clone()]);
                match name {
                    "kernel" => found.kernel = Some(value.into()),
                    "initrd" => found.initrd = Some(value.into()),
                    "append" => found.append = Some(value.clone()),
                    _ => found.smp = Some(Options::parse(value)),
                }
            }
        }
    }
    Ok(found)
}

/// Options that are read; every other argument is passed on as it is.
const TAKEN: [&str; 10] =
    ["machine", "M", "bios", "accel", "cpu", "object", "kernel", "initrd", "append", "smp"];

fn take_object(found: &mut Found, value: &str) {
    let options = Options::parse(value);
    match options.head() {
        "sev-snp-guest" => found.guest = Some(options),
        // The SVSM itself: this simulator plays it.
        "igvm-cfg" => {}
        _ => found.objects.push((value.to_owned(), options)),
    }
}

fn launch(found: &Found, guest: &Options) -> Result<Launch> {
    if guest.get("kernel-hashes") != Some("on") {
        bail!("-object sev-snp-guest lacks kernel-hashes=on: the kernel would not be measured");
    }
    let policy = match guest.get("policy") {
        None => DEFAULT_POLICY,
        Some(text) => number(text).with_context(|| format!("SNP policy {text:?} is not a number"))?,
    };
    let host_data = match guest.get("host-data") {
        None => [0; 32],
        Some(text) => STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .with_context(|| format!("host-data {text:?} is not the base64 of 32 bytes"))?,
    };
    let smp = found.smp.as_ref().context("no -smp: the launch digest depends on the number of vCPUs")?;
    let vcpus = smp.get("cpus").unwrap_or_else(|| smp.head());
    Ok(Launch {
        firmware: found.firmware.clone().context("no -bios: an SNP machine needs its measured firmware")?,
        kernel: found.kernel.clone().context("no -kernel")?,
        initrd: found.initrd.clone(),
        append: found.append.clone(),
        vcpus: vcpus.parse().with_context(|| format!("-smp {vcpus:?} is not a number"))?,
        cpu: found.cpu.clone().context("no -cpu: the launch digest depends on the vCPU model")?,
        policy,
        host_data,
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Machine, processor and firmware of the emulated machine.
fn emulation(machine: &Options, boot: &Boot) -> Result<Vec<String>> {
    let stripped = ["confidential-guest-support", "memory-backend", "igvm-cfg", "accel", "kernel-irqchip"];
    let mut out: Vec<String> =
        ["-machine", &machine.without(&stripped), "-accel", "tcg,thread=multi", "-cpu", "max"]
            .map(str::to_owned)
            .into();
    if let Boot::Ovmf { code, vars } = boot {
        let path = |path: &PathBuf| -> Result<String> {
            Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.replace(',', ",,"))
        };
        out.extend([
            "-drive".to_owned(),
            format!("if=pflash,unit=0,format=raw,readonly=on,file={}", path(code)?),
            "-drive".to_owned(),
            // Every machine starts with the variables as they were installed.
            format!("if=pflash,unit=1,format=raw,snapshot=on,file={}", path(vars)?),
        ]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
