//! From arguments to QEMU's command line, one snapshot per platform; and every refusal.

use super::*;
use crate::cli::{Cli, Command};
use crate::qemu::qemu_args;
use clap::Parser as _;
use sealpod_evidence::bytes::HexArray;

fn host() -> Host {
    Host {
        platform: PlatformArg::Plain,
        accel: Accel::Tcg,
        cbitpos: 51,
        ovmf_code: Some("/fw/OVMF_CODE_4M.fd".into()),
        ovmf_amdsev: Some("/fw/OVMF.amdsev.fd".into()),
        ovmf_tdx: Some("/fw/OVMF.inteltdx.ms.fd".into()),
    }
}

fn image() -> GuestImage {
    GuestImage {
        kernel: "/guest/vmlinuz".into(),
        initrd: "/guest/initrd".into(),
        cmdline: "console=ttyS0 quiet".into(),
        ovmf_amdsev: None,
    }
}

fn spec_in(dir: &str, args: &[&str], host: &Host) -> Result<VmSpec, SpecError> {
    let all = ["sealpod", "run", "--image-dir", "/guest"].iter().chain(args).chain(&["img"]);
    let Command::Run(run) = Cli::parse_from(all).command else { panic!("not run") };
    VmSpec::try_from(Request {
        name: "p",
        args: &run.machine,
        image: &image(),
        host,
        dir: Path::new(dir),
        initdata: HexArray([0xab; 32]),
        has_image: true,
    })
}

fn spec(args: &[&str]) -> Result<VmSpec, SpecError> {
    spec_in("/run/sealpod/p", args, &host())
}

/// One line per option with its value.
fn lines(args: &[&str]) -> String {
    let mut out = String::new();
    for arg in qemu_args(&spec(args).unwrap()) {
        let separator = if arg.starts_with('-') { "\n" } else { " " };
        out.push_str(separator);
        out.push_str(&arg);
    }
    out.trim_start().to_owned()
}

#[test]
fn a_plain_machine() {
    insta::assert_snapshot!(lines(&[]));
}

#[test]
fn a_plain_machine_with_measured_boot() {
    insta::assert_snapshot!(lines(&["--firmware", "ovmf", "--vcpus", "2", "--append-cmdline", "debug"]));
}

#[test]
fn an_snp_machine() {
    insta::assert_snapshot!(lines(&["--platform", "snp"]));
}

#[test]
fn an_snp_machine_with_svsm() {
    insta::assert_snapshot!(lines(&["--platform", "snp-svsm", "--svsm", "/fw/coconut-qemu.igvm"]));
}

#[test]
fn a_tdx_machine() {
    insta::assert_snapshot!(lines(&["--platform", "tdx"]));
}

#[test]
fn auto_takes_what_the_host_has() {
    let snp = Host { platform: PlatformArg::Snp, ..host() };
    let spec = spec_in("/d", &[], &snp).unwrap();
    assert!(matches!(spec.machine, Machine::Snp { .. }));
    assert_eq!(spec.accel, Accel::Kvm);
}

#[test]
fn commas_in_paths_are_doubled() {
    let spec = spec_in("/a,b", &[], &host()).unwrap();
    let args = qemu_args(&spec).join(" ");
    assert!(args.contains("path=/a,,b/channel.sock"), "{args}");
    assert!(!args.contains("/a,b"), "{args}");
}

#[test]
fn every_mistake_has_its_own_error() {
    assert!(matches!(spec(&["--vcpus", "0"]), Err(SpecError::Range { option: "vcpus", found: 0, .. })));
    assert!(matches!(spec(&["--memory", "64"]), Err(SpecError::Range { option: "memory", found: 64, .. })));
    assert!(matches!(spec(&["--append-cmdline", "a b"]), Err(SpecError::CmdlineWord { .. })));
    let long = "x".repeat(3000);
    assert!(matches!(spec(&["--append-cmdline", &long]), Err(SpecError::CmdlineLength { .. })));
    assert!(matches!(spec(&["--platform", "snp-svsm"]), Err(SpecError::Firmware { option: "--svsm", .. })));
    let bare = Host { ovmf_amdsev: None, ..host() };
    assert!(matches!(
        spec_in("/d", &["--platform", "snp"], &bare),
        Err(SpecError::Firmware { option: "--ovmf", .. })
    ));
    let deep = format!("/{}", "d".repeat(120));
    assert!(matches!(spec_in(&deep, &[], &host()), Err(SpecError::SocketPath { .. })));
}
