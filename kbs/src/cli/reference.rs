//! `reference`.

use super::error::read;
use super::{CliError, plain};
use crate::admin::{Admin, AdminError, By};
use crate::clock::{Clock as _, SystemClock};
use crate::layout::Layout;
use crate::{crypto, packed};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::{PackedFiles, ReferenceDocument};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add Reference Values that `sealpod-images reference-values` wrote; prints each document's id.
    #[command(after_help = "Example: sealpod-kbs reference add guest.json image.json pod.json --dir DIR")]
    Add {
        /// Documents, JSON, and packed sets that they list.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Take the lists of files out of a document and pack them: a million files load in a tenth of a second and take 40 MB.
    #[command(
        after_help = "Example: sealpod-kbs reference pack image.json --output-dir packed && sealpod-kbs reference add packed/* --dir DIR"
    )]
    Pack {
        /// A document, JSON.
        document: PathBuf,
        /// Where the smaller document and the packed sets go; prints their paths.
        #[arg(long)]
        output_dir: PathBuf,
    },
    /// List ids and descriptions.
    List,
    /// Remove documents. Pods that need them no longer attest; tokens that were given stay valid until they expire.
    Remove {
        /// Ids, as `add` and `list` print them.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    if let Command::Pack { document, output_dir } = command {
        return pack(&document, &output_dir);
    }
    let admin = Admin::open(layout)?;
    let by = By { peer: None, now: SystemClock.now() };
    let mut out = std::io::stdout();
    match command {
        Command::Add { files } => {
            for path in files {
                let bytes = read(&path)?;
                let id = if bytes.starts_with(packed::MAGIC) {
                    admin.add_packed(by, layout, bytes)
                } else {
                    admin.add_reference(by, &bytes)
                };
                let id = id.map_err(|source| CliError::Document { path: path.clone(), source })?;
                writeln!(out, "{id}  {}", path.display())?;
            }
        }
        Command::Pack { .. } => {}
        Command::List => {
            for (id, document) in admin.references()? {
                writeln!(out, "{id}  {}", plain(&document.description))?;
            }
        }
        Command::Remove { ids } => {
            for id in ids {
                if !admin.remove_reference(by, &id)? {
                    let list = "sealpod-kbs reference list";
                    return Err(CliError::Missing { what: format!("document {id}"), list });
                }
            }
        }
    }
    Ok(())
}

/// Writes the document and the sets. Nobody has to trust this: the document names the sets by digest, and is for review.
fn pack(path: &Path, output_dir: &Path) -> Result<(), CliError> {
    let refused = |source| CliError::Document { path: path.to_owned(), source };
    // Larger than what `add` takes: that is why it is packed.
    let mut document: ReferenceDocument = serde_json::from_slice(&read(path)?)
        .map_err(|error| refused(AdminError::Document(error.to_string())))?;
    let mut out = std::io::stdout();
    let write = |name: String, bytes: &[u8]| {
        let path = output_dir.join(name);
        let written = std::fs::create_dir_all(output_dir).and_then(|()| std::fs::write(&path, bytes));
        written.map(|()| path.clone()).map_err(|source| CliError::Write { path, source })
    };
    for set in std::mem::take(&mut document.files) {
        let bytes = sealpod_verifier::reference::pack(&set)
            .map_err(|error| refused(AdminError::Packed(error.into())))?;
        let sha256 = HexArray(crypto::sha256(&bytes));
        writeln!(out, "{}", write(format!("{sha256}.{}", packed::SUFFIX), &bytes)?.display())?;
        document.packed_files.push(PackedFiles { image: set.image, description: set.description, sha256 });
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let text = serde_json::to_string_pretty(&document).map_err(io::Error::from)?;
    writeln!(out, "{}", write(name, format!("{text}\n").as_bytes())?.display())?;
    Ok(())
}
