//! Boot logs: steps 1 and 12, and a tree of their events.

use super::outcome::Appraisal;
use super::piece::Pcrs;
use super::tree::{Node, Tone};
use super::uefi;
use sealpod_evidence::tcg2::{BootLog, BootLogError, Event, Layout, Register, event_type_name};
use sealpod_evidence::tpm::HashAlg;
use sealpod_verifier::{BootStage, Check, VerifyError, boot_rules, tpm};
use serde_json::{Map, Value, json};

/// PCRs that firmware and loader extend and log: what is quoted of them has to be what the log replays to, with or without events.
const FIRMWARE: std::ops::RangeInclusive<u8> = 0..=7;
/// PCRs that boot loaders extend and log (8, 9: GRUB and EFI stub; 14: shim).
const LOADER: [u8; 3] = [8, 9, 14];
/// Most events of one register in a tree.
const MAX_EVENTS: usize = 512;

/// What a log replays to.
pub(super) struct Replayed {
    /// Values by bank and register.
    pub pcrs: Pcrs,
    /// Banks that the log has.
    pub banks: Vec<HashAlg>,
}

/// Parse a TPM's log, show it, and judge what it is by itself.
pub(super) fn tpm_log(bytes: &[u8], out: &mut Appraisal) -> Option<Replayed> {
    let parsed = BootLog::parse_any(bytes);
    // Logs that were copied out of the area that firmware reserves end in its padding.
    let parsed = parsed.or_else(|error| BootLog::parse_area(bytes).map_err(|_| error));
    let log = read(parsed, out)?;
    let replayed = replay(&log, out);
    judge(&log, out);
    Some(replayed)
}

/// The same for a CCEL.
pub(super) fn ccel(bytes: &[u8], out: &mut Appraisal) -> Option<Replayed> {
    let log = read(BootLog::parse_ccel(bytes), out)?;
    let replayed = replay(&log, out);
    judge(&log, out);
    Some(replayed)
}

fn read<'a>(parsed: Result<BootLog<'a>, BootLogError>, out: &mut Appraisal) -> Option<BootLog<'a>> {
    match parsed {
        Ok(log) => {
            let found = format!("{} events", log.event_count());
            out.ran(Check::BootLogSyntax, "a boot log that parses to its end", Ok(found));
            // Windows ends a log with its trust point, an event of no register at all.
            out.fact("events", log.events().filter(|event| event.pcr != u32::MAX).count());
            out.fact("algs", log.spec().algorithms.iter().map(|(id, _)| algorithm(id)).collect::<Vec<_>>());
            out.tree.push(tree(&log));
            if log.layout() == Layout::TpmSha1 {
                out.note(
                    "The log is in the SHA-1-only form of TPM 1.2: it replays, but no policy is met by it.",
                );
            }
            Some(log)
        }
        Err(error) => {
            out.tree.toned("Boot log", format!("does not parse: {error}"), Tone::Bad);
            out.failed(VerifyError::new(Check::BootLogSyntax, "a boot log that parses to its end", error));
            None
        }
    }
}

/// The name of an algorithm as logs' readers spell it.
fn algorithm(id: u16) -> String {
    match HashAlg::from_id(id) {
        Some(HashAlg::Sm3_256) => "sm3".to_owned(),
        Some(alg) => alg.name().to_owned(),
        None => format!("{id:#06x}"),
    }
}

fn replay(log: &BootLog<'_>, out: &mut Appraisal) -> Replayed {
    let mut replayed = Replayed { pcrs: Pcrs::new(), banks: Vec::new() };
    let (mut facts, mut incomplete) = (Map::new(), Vec::new());
    for (id, _) in log.spec().algorithms.iter() {
        let Some(bank) = HashAlg::from_id(id) else { continue };
        let Ok(registers) = log.registers(bank) else { continue };
        replayed.banks.push(bank);
        let mut of = Map::new();
        for (index, register) in (0_u8..).zip(registers) {
            match register {
                Register::Value(value) => {
                    of.insert(index.to_string(), Value::String(hex::encode(&value)));
                    replayed.pcrs.entry(bank).or_default().insert(index, value);
                }
                Register::Unknown { .. } => {
                    incomplete.push(Value::String(format!("{}:{index}", algorithm(id))));
                    if let Some(value) = partial(log, bank, u32::from(index)) {
                        of.insert(index.to_string(), Value::String(hex::encode(value)));
                    }
                }
                Register::Untouched => {}
            }
        }
        facts.insert(algorithm(id), Value::Object(of));
    }
    if !incomplete.is_empty() {
        out.note("Some events lack a digest of some bank: registers listed as incomplete are replayed without them and prove nothing.");
        out.fact("incomplete_pcrs", incomplete);
    }
    let mut node = super::quote::pcr_node("Replayed registers", &replayed.pcrs);
    if log.layout() == Layout::Ccel {
        node = registers_node(&replayed.pcrs);
    }
    if !replayed.pcrs.is_empty() {
        out.tree.push(node);
    }
    if replayed.banks.is_empty() {
        out.note("The log has no bank whose hash is computed here, so its registers are not replayed.");
    }
    out.fact("replayed_pcrs", Value::Object(facts));
    replayed
}

/// A register from those events that have a digest of the bank; for show, and `None` where none has.
fn partial(log: &BootLog<'_>, bank: HashAlg, register: u32) -> Option<Vec<u8>> {
    let mut value = vec![0; bank.size()];
    let mut any = false;
    for event in log.events().filter(|event| event.is_extended() && event.pcr == register) {
        if let Some(digest) = event.digests.get(bank.id()) {
            value = bank.digest(&[&value, digest])?;
            any = true;
        }
    }
    any.then_some(value)
}

fn registers_node(pcrs: &Pcrs) -> Node {
    let mut node = Node::new("Replayed registers");
    for (bank, values) in pcrs {
        let mut of = Node::new(bank.name());
        for (index, value) in values {
            let label = if *index == 0 { "MRTD".to_owned() } else { format!("RTMR{}", index - 1) };
            of.field(label, hex::encode(value));
        }
        node.push(of);
    }
    node
}

fn judge(log: &BootLog<'_>, out: &mut Appraisal) {
    let expected = "separators, actions and order as firmware logs them";
    let rules = boot_rules(log);
    let found = |stage: &BootStage| match stage {
        BootStage::Firmware => "a log of firmware at work",
        BootStage::Loader => "a log up to the boot loader",
        BootStage::OperatingSystem => "a log up to the operating system",
    };
    if let Ok(stage) = &rules {
        out.fact("boot_stage", format!("{stage:?}"));
    }
    out.ran(Check::BootEventOrder, expected, rules.as_ref().map(found).map_err(Clone::clone));
}

/// Step 12: the log replays to PCR values. Gives whether any were compared.
pub(super) fn compare(replayed: &Replayed, values: &Pcrs, quoted: bool, out: &mut Appraisal) -> bool {
    let expected = if quoted { "PCRs as quoted" } else { "PCRs as given" };
    let mut compared = Vec::new();
    for bank in &replayed.banks {
        let (Some(values), log) = (values.get(bank), replayed.pcrs.get(bank)) else { continue };
        let mut same = Vec::new();
        for (index, value) in values {
            let zero = vec![0; bank.size()];
            let of_log = log.and_then(|log| log.get(index));
            let binding = FIRMWARE.contains(index) || (LOADER.contains(index) && of_log.is_some());
            let of_log = of_log.unwrap_or(&zero);
            if !binding {
                // What user space extends later is in no boot log.
                continue;
            }
            if let Err(error) = tpm::boot::pcr(*index, value, of_log) {
                let found = format!("{} ({bank} bank)", error.found);
                out.failed(VerifyError { found, ..error });
                return true;
            }
            same.push(index.to_string());
        }
        if !same.is_empty() {
            compared.push(format!("{bank}: PCR {}", same.join(", ")));
        }
    }
    if compared.is_empty() {
        return false;
    }
    out.ran(Check::BootLogReplay, expected, Ok(format!("the log replays to {}", compared.join("; "))));
    true
}

/// Steps that need Reference Values or PCR values, for a log without them.
pub(super) fn missing(out: &mut Appraisal) {
    out.not_run(
        Check::BootLogReplay,
        "PCR values that the log replays to",
        "--pcrs FILE, or a quote with values as a further FILE",
    );
}

fn tree(log: &BootLog<'_>) -> Node {
    let mut node = Node::with("Events", log.event_count());
    let mut header = Node::new("Header");
    match log.layout() {
        Layout::TpmSha1 => header.toned("Form", "SHA-1 only, as with a TPM 1.2", Tone::Notice),
        Layout::Tpm => header.field("Form", "crypto agile (TCG2)"),
        Layout::Ccel => header.field("Form", "CCEL: registers are MRTD and RTMR0-3"),
    };
    header.field(
        "Banks",
        log.spec().algorithms.iter().map(|(id, _)| algorithm(id)).collect::<Vec<_>>().join(", "),
    );
    if log.startup_locality() > 0 {
        header.field("Startup locality", log.startup_locality());
    }
    if log.unused() > 0 {
        header.field("Padding", format!("{} bytes", log.unused()));
    }
    node.push(header);
    let mut registers: std::collections::BTreeMap<Option<u32>, Vec<Event<'_>>> =
        std::collections::BTreeMap::new();
    for event in log.events() {
        let register = event.is_extended().then_some(event.pcr);
        registers.entry(register).or_default().push(event);
    }
    for (register, events) in registers {
        let label = match (register, log.layout()) {
            (None, _) => "Not extended anywhere".to_owned(),
            (Some(0), Layout::Ccel) => "MRTD".to_owned(),
            (Some(index), Layout::Ccel) => format!("RTMR{}", index - 1),
            (Some(index), _) => format!("PCR {index}{}", meaning(index)),
        };
        let mut of = Node::with(label, format!("{} events", events.len()));
        for event in events.iter().take(MAX_EVENTS) {
            of.push(event_node(event));
        }
        if events.len() > MAX_EVENTS {
            of.field("…", format!("{} more", events.len() - MAX_EVENTS));
        }
        node.push(of);
    }
    node
}

fn meaning(pcr: u32) -> &'static str {
    match pcr {
        0 => " (firmware)",
        1 => " (firmware's configuration)",
        2 => " (option ROMs)",
        3 => " (option ROMs' configuration)",
        4 => " (boot loader)",
        5 => " (boot loader's configuration, partitions)",
        6 => " (vendor)",
        7 => " (secure boot)",
        8 => " (GRUB: command lines)",
        9 => " (files that the loader read; EFI stub: command line, initrd)",
        11 => " (unified kernel image; Windows: BitLocker)",
        12 => " (kernel command line; Windows: events)",
        13 => " (system extensions; Windows: details)",
        14 => " (shim's keys; Windows: authorities)",
        _ => "",
    }
}

fn event_node(event: &Event<'_>) -> Node {
    let mut node = Node::with(event_type_name(event.event_type), uefi::describe(event));
    let shown = event.digests.iter().filter_map(|(id, digest)| HashAlg::from_id(id).map(|alg| (alg, digest)));
    // One digest is enough for people: the longest that most quotes are of.
    let best = shown.max_by_key(|(alg, _)| match alg {
        HashAlg::Sha256 => 4,
        HashAlg::Sha384 => 3,
        HashAlg::Sha512 => 2,
        _ => 1,
    });
    if let Some((alg, digest)) = best.filter(|_| event.is_extended()) {
        let (text, tone) = match uefi::digest_is_of_data(event, alg) {
            Some(true) => (", the data's", Tone::Plain),
            Some(false) => (", not the data's", Tone::Notice),
            None => ("", Tone::Plain),
        };
        node.toned(alg.name(), format!("{}{text}", hex::encode(digest)), tone);
    }
    node
}

/// Facts of every event, for programs: only with `inspect`.
pub(super) fn event_facts(bytes: &[u8], is_ccel: bool) -> Vec<Value> {
    let parsed = if is_ccel { BootLog::parse_ccel(bytes) } else { BootLog::parse_any(bytes) };
    let Ok(log) = parsed else { return Vec::new() };
    log.events()
        .map(|event| {
            let digests: Map<String, Value> = event
                .digests
                .iter()
                .map(|(id, digest)| (algorithm(id), json!(hex::encode(digest))))
                .collect();
            json!({
                "register": event.pcr,
                "type": event_type_name(event.event_type),
                "digests": digests,
                "description": uefi::describe(&event),
            })
        })
        .collect()
}
