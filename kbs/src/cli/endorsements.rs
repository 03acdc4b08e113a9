//! `endorsements`.

use super::error::read;
use super::{CliError, plain};
use crate::audit::{AuditLog, Entry, Verdict};
use crate::clock::{Clock as _, SystemClock, rfc3339};
use crate::config::Config;
use crate::endorse;
use crate::endorsements::item::{parse_chip_id, parse_product};
use crate::endorsements::need::{self, Need};
use crate::endorsements::{Cache, Fetcher, Item, PckCa, Record, import};
use crate::layout::Layout;
use sealpod_evidence::snp::report::{Product, REPORT_LEN};
use sealpod_verifier::UnixTime;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Keep endorsements from files, for a broker that reaches no vendor; a running server uses them within a minute.
    #[command(after_help = "Examples:
  sealpod-kbs endorsements import vcek.der cert_chain crl --dir DIR
  sealpod-kbs endorsements import collateral.json root_ca.crl --dir DIR

Known by their content: VCEK; ASK or ASVK with ARK; AMD's revocation lists; Intel's PCK and root revocation lists; TDX TCB info and
QE identity as the service sends them, with their signing certificates (TCB signing and root, PEM) beside them; and collateral
documents that hold all of that. DER, PEM or JSON. When one file is not good, none is kept.")]
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print what was kept as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List what is kept, and until when it is good.
    #[command(
        after_help = "Example: sealpod-kbs endorsements list --json --dir DIR | jq '.[] | select(.state == \"expired\")'"
    )]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove what is kept, by the names that `list` prints; a running server forgets it within a minute, and may fetch it again.
    #[command(after_help = "Example: sealpod-kbs endorsements remove vcek-crl-genoa --dir DIR

Chip certificates and chains that a running server holds already it forgets when it is restarted.")]
    Remove {
        /// The names.
        #[arg(required = true, value_name = "NAME")]
        items: Vec<Item>,
    },
    /// Fetch endorsements now, from the addresses in config.toml: for a chip, for a report, or chain and list of a product.
    #[command(after_help = "Examples:
  sealpod-kbs endorsements fetch --report report.bin --dir DIR
  sealpod-kbs endorsements fetch --product genoa --dir DIR
  sealpod-kbs endorsements fetch --product genoa --chip-id 5a5a… --tcb bootloader=3,tee=0,snp=10,microcode=20 --dir DIR
  sealpod-kbs endorsements fetch --quote quote.bin --dir DIR
  sealpod-kbs endorsements fetch --fmspc 00806F050000 --dir DIR

Exit codes: 0 all is there; 1 something is not, the reason is on standard error; 2 wrong arguments.")]
    Fetch(Fetch),
}

/// Arguments of `fetch`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Fetch {
    /// An SNP report: 1,184 bytes, or hex. Fetches what a guest with it and an empty certificate table needs.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["product", "chip_id", "tcb", "fmspc"], required_unless_present_any = ["quote", "product", "fmspc"])]
    report: Option<PathBuf>,
    /// A TDX quote. Fetches the collateral of its platform.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "product", "chip_id", "tcb", "fmspc"])]
    quote: Option<PathBuf>,
    /// milan, genoa or turin.
    #[arg(long, value_parser = product, conflicts_with = "fmspc")]
    product: Option<Product>,
    /// The chip's id, hex, as in the report.
    #[arg(long, value_name = "HEX", value_parser = chip_id, requires_all = ["product", "tcb"])]
    chip_id: Option<[u8; 64]>,
    /// The reported TCB: its eight bytes in hex, as in the report, or bootloader=N,tee=N,snp=N,microcode=N[,fmc=N].
    #[arg(long, value_name = "TCB", requires_all = ["product", "chip_id"])]
    tcb: Option<String>,
    /// The kind of TDX platform: six bytes in hex. Fetches all of its collateral.
    #[arg(long, value_name = "HEX", value_parser = fmspc)]
    fmspc: Option<[u8; 6]>,
    /// Ask the vendor also for what is kept already.
    #[arg(long)]
    anew: bool,
    /// Print what there is now as JSON.
    #[arg(long)]
    json: bool,
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    // Only where there is a broker.
    let config = Config::load(layout)?;
    let now = SystemClock.now();
    match command {
        Command::Import { files, json } => {
            let mut named = Vec::new();
            for path in files {
                named.push((path.display().to_string(), read(&path)?));
            }
            let cache = Cache::open(layout)?;
            let records = import::import(&cache, &named, now)?;
            let audit = AuditLog::open(&layout.audit())?;
            for record in &records {
                let (name, source) = (record.item.to_string(), record.head.source.as_str());
                let entry = Entry::new("endorsement-import", Verdict::Allow);
                audit.append(now, &Entry { subject: Some(&name), found: Some(source), ..entry })?;
            }
            audit.sync()?;
            print(&records, json, now)
        }
        Command::List { json } => {
            let cache = Cache::open(layout)?;
            let records: Vec<Record> = cache.all()?.iter().filter_map(|item| cache.get(item)).collect();
            print(&records, json, now)
        }
        Command::Remove { items } => {
            let cache = Cache::open(layout)?;
            let audit = AuditLog::open(&layout.audit())?;
            for item in items {
                let name = item.to_string();
                if !cache.remove(&item)? {
                    return Err(CliError::Missing { what: name, list: "sealpod-kbs endorsements list" });
                }
                let entry = Entry::new("endorsement-remove", Verdict::Allow);
                audit.append(now, &Entry { subject: Some(&name), ..entry })?;
            }
            Ok(audit.sync()?)
        }
        Command::Fetch(arguments) => {
            let believed = endorse::load(&config, layout)?;
            let needs = wanted(&arguments, believed.tdx().roots())?;
            let fetcher = Arc::new(Fetcher::open(&config.endorsements, layout, Arc::new(SystemClock))?);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(CliError::Runtime)?;
            let (records, failures) = runtime.block_on(fetch(&fetcher, needs, arguments.anew));
            print(&records, arguments.json, now)?;
            if failures.is_empty() { Ok(()) } else { Err(CliError::Fetch { failures }) }
        }
    }
}

async fn fetch(fetcher: &Arc<Fetcher>, needs: Vec<Need>, anew: bool) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut failures) = (Vec::new(), Vec::new());
    for Need(items) in needs {
        let mut failed = Vec::new();
        for item in items {
            let landed = if anew { fetcher.refresh(item).await } else { fetcher.obtain(item, None).await };
            match landed {
                Ok(record) => {
                    records.push(Record::clone(&record));
                    failed.clear();
                    break;
                }
                Err(why) => failed.push(format!("{item}: {why}")),
            }
        }
        failures.extend(failed);
    }
    (records, failures)
}

fn wanted(arguments: &Fetch, roots: &[[u8; 48]]) -> Result<Vec<Need>, CliError> {
    let one = |item| Need(vec![item]);
    if let Some(path) = &arguments.report {
        let bytes = read(path)?;
        let report = match hex::decode(bytes.trim_ascii()) {
            Ok(report) if bytes.len() != REPORT_LEN => report,
            _ => bytes,
        };
        let needs = need::of_snp(&report, &[]);
        let unusable = || CliError::Report { path: path.clone() };
        return if needs.is_empty() { Err(unusable()) } else { Ok(needs) };
    }
    if let Some(path) = &arguments.quote {
        let quote = read(path)?;
        let platform = need::Platforms::default().of_quote(&quote, roots, SystemClock.now());
        let (fmspc, ca) = platform.ok_or_else(|| CliError::Quote { path: path.clone() })?;
        return Ok(need::of_tdx(fmspc, &[ca]));
    }
    if let Some(fmspc) = arguments.fmspc {
        return Ok(need::of_tdx(fmspc, &[PckCa::Platform, PckCa::Processor]));
    }
    // clap demands one of the three.
    let Some(product) = arguments.product else { return Ok(Vec::new()) };
    let mut needs = vec![one(Item::VcekChain(product)), one(Item::VcekCrl(product))];
    if let (Some(chip_id), Some(text)) = (arguments.chip_id, &arguments.tcb) {
        let found = || CliError::Tcb { product, found: text.chars().take(100).collect() };
        let tcb = tcb(text, product).ok_or_else(found)?;
        needs.insert(0, one(Item::Vcek { product, chip_id, tcb }));
    }
    Ok(needs)
}

fn print(records: &[Record], json: bool, now: UnixTime) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    if json {
        let list: Vec<_> = records
            .iter()
            .map(|record| {
                let head = &record.head;
                json!({"item": record.item.to_string(), "state": state(record, now), "source": head.source,
                       "fetched": rfc3339(head.fetched), "refresh": rfc3339(head.stale), "valid_from": rfc3339(head.from),
                       "valid_to": rfc3339(head.to), "bytes": record.body.len(), "sha256": hex::encode(record.digest())})
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::Array(list))?;
        return Ok(());
    }
    for record in records {
        let (state, to) = (state(record, now), rfc3339(record.head.to));
        writeln!(out, "{}  {state} until {to}  {}", record.item, plain(&record.head.source))?;
    }
    Ok(())
}

fn state(record: &Record, now: UnixTime) -> &'static str {
    match (record.is_valid(now), record.is_stale(now)) {
        (true, false) => "good",
        (true, true) => "old",
        (false, _) if now < record.head.from => "early",
        (false, _) => "expired",
    }
}

fn product(text: &str) -> Result<Product, String> {
    parse_product(text).ok_or_else(|| "expected milan, genoa or turin".to_owned())
}

fn chip_id(text: &str) -> Result<[u8; 64], String> {
    parse_chip_id(text).ok_or_else(|| "expected 64 bytes in hex, or 8 for Turin".to_owned())
}

fn fmspc(text: &str) -> Result<[u8; 6], String> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "expected six bytes in hex".to_owned())
}

/// Eight bytes in hex, or each component by name and none twice; FMC for Turin and only there.
fn tcb(text: &str, product: Product) -> Option<[u8; 8]> {
    if let Some(bytes) = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()) {
        return Some(bytes);
    }
    let names = ["bootloader", "tee", "snp", "microcode", "fmc"];
    let mut found = [None; 5];
    for part in text.split(',') {
        let (name, value) = part.split_once('=')?;
        let place = found.get_mut(names.iter().position(|known| *known == name)?)?;
        if place.replace(value.parse::<u8>().ok()?).is_some() {
            return None;
        }
    }
    let [Some(bootloader), Some(tee), Some(snp), Some(microcode), fmc] = found else { return None };
    match (product, fmc) {
        (Product::Turin, Some(fmc)) => Some([fmc, bootloader, tee, snp, 0, 0, 0, microcode]),
        (Product::Milan | Product::Genoa, None) => Some([bootloader, tee, 0, 0, 0, 0, snp, microcode]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcb_is_bytes_or_names() {
        let genoa = [3, 0, 0, 0, 0, 0, 10, 20];
        assert_eq!(tcb("0300000000000a14", Product::Genoa), Some(genoa));
        assert_eq!(tcb("bootloader=3,tee=0,snp=10,microcode=20", Product::Genoa), Some(genoa));
        assert_eq!(
            tcb("fmc=1,microcode=20,snp=10,tee=0,bootloader=3", Product::Turin),
            Some([1, 3, 0, 10, 0, 0, 0, 20])
        );
        for bad in [
            "",
            "03",
            "bootloader=3",
            "bootloader=3,tee=0,snp=10,microcode=256",
            "bootloader=3,tee=0,snp=10,microcode=20,tee=0",
            "bootloader=3,tee=0,snp=10,microcode=20,fmc=1",
            "bootloader=3,tee=0,snp=10,ucode=20",
        ] {
            assert_eq!(tcb(bad, Product::Genoa), None, "{bad}");
        }
        assert_eq!(tcb("bootloader=3,tee=0,snp=10,microcode=20", Product::Turin), None);
    }
}
