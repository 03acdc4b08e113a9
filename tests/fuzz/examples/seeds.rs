//! Writes the seeds of one target, or of all, into directories: `seeds DIRECTORY [TARGET]`. The testkit's always; captures where
//! `SEALPOD_VECTORS` names their directory.

use sealpod_fuzz::{TARGETS, seeds};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY [TARGET]");
        return ExitCode::from(2);
    };
    let only = arguments.next();
    let vectors = std::env::var_os("SEALPOD_VECTORS").map(PathBuf::from);
    for (target, _) in TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
        let mut all = seeds::own(target);
        all.extend(vectors.iter().flat_map(|vectors| seeds::captures(target, vectors)));
        if let Err(error) = write(&directory.join(target), &all) {
            eprintln!("seeds: {}: {error}", directory.join(target).display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(directory: &Path, all: &[Vec<u8>]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (index, bytes) in all.iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{index:03}")), bytes)?;
    }
    Ok(())
}
