//! Files and options of the commands that look at evidence.

use super::super::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::inspect::{
    Given, Kind, MAX_FILE, NotRecognised, Pcrs, Piece, gather, pcr_values, recognise, signature_beside, text,
    time,
};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What `inspect`, `verify` and `explain` take.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Take every FILE for this kind instead of recognising it.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Certificates above or beside the evidence (VCEK or VLEK, ASK or ASVK, ARK; PCK chain; TCB signing chain; signers of files for IMA):
    /// PEM or DER, in any order, bundles too. Roots of AMD and Intel are built in by their keys.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    chain: Vec<PathBuf>,
    /// Intel's collateral for a quote: QuoteCollateralV3 JSON, or the answers of the PCS or a PCCS one by one.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    collateral: Vec<PathBuf>,
    /// Revocation lists, PEM or DER.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    crl: Vec<PathBuf>,
    /// PCR values: what tpm2_pcrread prints, `sha256:10=HEX` lines, `PCR-10: 0A …` as in sysfs, or JSON.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pcrs: Vec<PathBuf>,
    /// The attestation key that a TPM quote has to be signed by: TPM2B or TPMT public area, PEM or DER key, or a certificate.
    #[arg(long, value_name = "FILE")]
    ak: Option<PathBuf>,
    /// What the evidence has to answer (report data, a quote's extra data): hex, `text:…`, or a file with either or the bare bytes.
    #[arg(long, value_name = "HEX|FILE")]
    nonce: Option<String>,
    /// Runtime data that an HCL report has to hold.
    #[arg(long, value_name = "FILE")]
    runtime_data: Option<PathBuf>,
    /// The time at which certificates, lists and collateral have to be valid; now, unless given.
    #[arg(long, value_parser = time::parse, value_name = "RFC3339")]
    time: Option<u64>,
    /// An appraisal policy, or Reference Values, or both (`reference_values`): TOML or JSON. May be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    policy: Vec<PathBuf>,
    /// Trust this root certificate too, as a simulator's or a vendor's test root. Whoever has its key can make any evidence.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    dangerous_trust_root: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Colors.
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = ["auto", "always", "never"])]
    color: String,
}

/// Pieces that belong together, and files that are nothing that is known.
pub(super) struct Input {
    pub pieces: Vec<Piece>,
    pub unreadable: Vec<NotRecognised>,
    pub given: Given,
}

fn kinds() -> Vec<&'static str> {
    Kind::ALL.iter().map(|(_, name)| *name).collect()
}

impl Options {
    /// Whether to print JSON.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether to print colors.
    pub(super) fn colors(&self) -> bool {
        use std::io::IsTerminal as _;
        match self.color.as_str() {
            "always" => true,
            "never" => false,
            // https://no-color.org
            _ => {
                std::io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// Read all that was named.
    pub(super) fn read(&self, files: &[PathBuf]) -> Result<Input, CliError> {
        let mut given = self.given()?;
        let kind = self.kind.as_deref().and_then(Kind::from_name);
        let (pieces, unreadable) = read(files, kind);
        let pieces = gather(pieces, &mut given);
        Ok(Input { pieces, unreadable, given })
    }

    fn given(&self) -> Result<Given, CliError> {
        let mut given = Given::at(self.time.unwrap_or_else(|| SystemClock.now()));
        for path in &self.chain {
            let piece = aid(path)?;
            let keys = piece.ak.is_some();
            require(path, !piece.certificates.is_empty() || keys, "no certificate is in it")?;
            given.add_chain(&piece);
        }
        for path in &self.collateral {
            let piece = aid(path)?;
            let any =
                !piece.collateral.is_empty() || !piece.crls.is_empty() || !piece.certificates.is_empty();
            require(path, any, "it is no collateral: QuoteCollateralV3 JSON, or an answer of Intel's PCS")?;
            given.add(&piece);
        }
        for path in &self.crl {
            let piece = aid(path)?;
            require(path, !piece.crls.is_empty(), "no revocation list is in it")?;
            given.add(&piece);
        }
        for path in &self.pcrs {
            merge(&mut given.pcrs, pcr_file(path)?, path)?;
        }
        if let Some(path) = &self.ak {
            let piece = aid(path)?;
            require(
                path,
                given.set_ak(&piece),
                "it is no public key: TPM2B or TPMT public area, PEM, DER or a certificate",
            )?;
        }
        if let Some(text) = &self.nonce {
            given.nonce = Some(nonce(text)?);
        }
        if let Some(path) = &self.runtime_data {
            given.runtime_data = Some(bounded(path)?);
        }
        for path in &self.policy {
            let bytes = bounded(path)?;
            let text = text::of(&bytes)
                .or_else(|| bytes.is_empty().then(String::new))
                .ok_or_else(|| refused(path, "it is no text"))?;
            given.set_policy(&text).map_err(|found| refused(path, &found))?;
        }
        for path in &self.dangerous_trust_root {
            let piece = aid(path)?;
            require(path, !piece.certificates.is_empty(), "no certificate is in it")?;
            given.trusted_roots.extend(piece.certificates);
        }
        Ok(given)
    }
}

/// Recognise files; those that are nothing come back with the reason.
pub(super) fn read(files: &[PathBuf], kind: Option<Kind>) -> (Vec<Piece>, Vec<NotRecognised>) {
    let (mut pieces, mut unreadable, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for path in files {
        let name = path.display().to_string();
        match bounded(path) {
            Err(error) => unreadable.push(NotRecognised {
                name,
                found: error.reason(),
                advice: "nothing was read from it".to_owned(),
            }),
            Ok(bytes) => match recognise(&name, &bytes, kind) {
                Ok(piece) => pieces.push(piece),
                Err(error) => unknown.push((error, bytes)),
            },
        }
    }
    let errors: Vec<NotRecognised> = unknown.iter().map(|(error, _)| error.clone()).collect();
    match signature_beside(&pieces, unknown) {
        Ok(signature) => pieces.extend(signature),
        Err(_) => unreadable.extend(errors),
    }
    (pieces, unreadable)
}

/// At most [`MAX_FILE`] bytes of a file; `-` is standard input.
pub(super) fn bounded(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::Input { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let most = MAX_FILE as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(refused(path, "it is a directory; name the files in it"));
        }
        if metadata.len() <= MAX_FILE as u64 {
            std::fs::File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
        }
        if metadata.len() > MAX_FILE as u64 {
            return Err(too_large(path));
        }
    }
    if bytes.len() > MAX_FILE { Err(too_large(path)) } else { Ok(bytes) }
}

fn too_large(path: &Path) -> CliError {
    refused(path, &format!("it has more than {} MiB, and no evidence has", MAX_FILE >> 20))
}

fn refused(path: &Path, found: &str) -> CliError {
    CliError::Unfit { path: path.to_owned(), found: found.to_owned() }
}

fn require(path: &Path, holds: bool, found: &str) -> Result<(), CliError> {
    if holds { Ok(()) } else { Err(refused(path, found)) }
}

/// A file of an option, recognised.
fn aid(path: &Path) -> Result<Piece, CliError> {
    let bytes = bounded(path)?;
    recognise(&path.display().to_string(), &bytes, None).map_err(CliError::Unrecognised)
}

fn pcr_file(path: &Path) -> Result<Pcrs, CliError> {
    let bytes = bounded(path)?;
    if let Some(values) = pcr_values(&bytes) {
        return Ok(values);
    }
    let found = "no PCR values are in it; forms are what tpm2_pcrread prints, `sha256:10=HEX` lines, `PCR-10: 0A …`, JSON";
    let values = recognise(&path.display().to_string(), &bytes, None)
        .map(|piece| piece.all_pcrs())
        .unwrap_or_default();
    require(path, !values.is_empty(), found)?;
    Ok(values)
}

fn merge(into: &mut Pcrs, values: Pcrs, path: &Path) -> Result<(), CliError> {
    for (bank, values) in values {
        for (index, value) in values {
            let known = into.entry(bank).or_default().entry(index).or_insert_with(|| value.clone());
            require(
                path,
                *known == value,
                &format!("{bank} PCR {index} has another value in an earlier file"),
            )?;
        }
    }
    Ok(())
}

/// Hex, a text, or a file with hex or bare bytes.
fn nonce(given: &str) -> Result<Vec<u8>, CliError> {
    if let Some(text) = given.strip_prefix("text:") {
        return Ok(text.as_bytes().to_vec());
    }
    let path = Path::new(given);
    if path.is_file() || given == "-" {
        let bytes = bounded(path)?;
        return Ok(text::of(&bytes).and_then(|text| text::hex_bytes(&text)).unwrap_or(bytes));
    }
    text::hex_bytes(given)
        .ok_or_else(|| refused(path, "there is no such file, and it is no hex; a text is given as text:…"))
}

/// Print and keep what went wrong.
pub(super) fn complain(errors: &[NotRecognised]) {
    for error in errors {
        let line = super::super::plain(&format!("sealpod-kbs: {error}"));
        // Nobody is left to be told.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
