//! `sealpod-images update`.

use super::Source;
use anyhow::{Context as _, Result};
use sealpod_images::apt::Apt;
use sealpod_images::lock::Lock;

/// Lock the newest version of each package, from package indexes that Debian signed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sealpod-images update && git diff images/packages.lock")]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let source = &arguments.source;
    let say = |text: &str| {
        if !source.quiet {
            eprintln!("{text}");
        }
    };
    let newest = Apt::new(&source.cache, &source.mirror).newest(&say)?;
    let old = Lock::read(&source.lock).ok();
    for package in &newest.packages {
        let before = old.as_ref().and_then(|lock| lock.package(&package.wanted).ok());
        if before.is_none_or(|before| before != package) {
            let from = before.map_or("new", |before| before.version.as_str());
            say(&format!("{}: {from} -> {}", package.name, package.version));
        }
    }
    let partial = source.lock.with_extension("lock.part");
    std::fs::write(&partial, newest.to_text()?)
        .and_then(|()| std::fs::rename(&partial, &source.lock))
        .with_context(|| format!("cannot write lock file {}", source.lock.display()))?;
    say(&format!("{}: {} packages", source.lock.display(), newest.packages.len()));
    Ok(())
}
