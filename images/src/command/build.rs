//! `sealpod-images build`.

use super::Source;
use anyhow::Result;
use sealpod_images::build::{Options, build};
use std::path::PathBuf;

/// Build the guest image: vmlinuz, initrd, manifest.json and the SNP firmware.
///
/// The same lock file and agent give the same bytes. Writes only below --cache and --out.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  sealpod-images build --guest-binary target/release/sealpod-guest --out out/image"
)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Image directory to write.
    #[arg(long, default_value = "out/image", value_name = "DIR")]
    out: PathBuf,
    /// The agent; by default the sealpod-guest beside this program.
    #[arg(long, value_name = "PATH")]
    guest_binary: Option<PathBuf>,
    /// Base address of Debian's snapshot archive, asked for packages that left the mirror.
    #[arg(long, default_value = "https://snapshot.debian.org", value_name = "URL")]
    snapshot: String,
    /// When a locked package is nowhere to be had, build from the newest ones and say so.
    #[arg(long)]
    accept_newest: bool,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let beside = std::env::current_exe().map(|path| path.with_file_name("sealpod-guest")).unwrap_or_default();
    let manifest = build(&Options {
        lock: &arguments.source.lock,
        cache: &arguments.source.cache,
        out: &arguments.out,
        guest_binary: arguments.guest_binary.as_deref().unwrap_or(&beside),
        mirror: &arguments.source.mirror,
        snapshot: &arguments.snapshot,
        accept_newest: arguments.accept_newest,
        quiet: arguments.source.quiet,
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&manifest)?);
    }
    Ok(())
}
