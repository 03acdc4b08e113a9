//! Measurement logs.

use crate::heap::within;
use sealpod_evidence::ima::{Bank, ByteOrder, Entry, Log, TextLog, detect, is_text};
use sealpod_evidence::tcg2::{self, BootLog};
use sealpod_evidence::tpm::HashAlg;
use sealpod_evidence::{cel, tdx};
use sealpod_verifier::boot_rules;
use sealpod_verifier::ima::{AppendedSignature, BankReplay, FileSignature};

const MAX_ENTRIES: u64 = 100_000;

/// A firmware's log in any of its forms.
pub fn boot_log(data: &[u8]) {
    let Ok(bytes) = within(data.len(), 4, 64 << 10, || tcg2::binary(data)) else { return };
    for parse in [BootLog::parse, BootLog::parse_any, BootLog::parse_area] {
        if let Ok(log) = within(bytes.len(), 2, 64 << 10, || parse(&bytes)) {
            events(&log, bytes.len());
        }
    }
}

/// The log of a TD's firmware.
pub fn ccel(data: &[u8]) {
    let Ok(log) = within(data.len(), 2, 64 << 10, || BootLog::parse_ccel(data)) else { return };
    events(&log, data.len());
    let _ = tdx::ccel::rtmrs(&log);
    let _ = tdx::ccel::check_separators(&log);
}

fn events(log: &BootLog<'_>, length: usize) {
    let mut last = None;
    let mut count = 0;
    for event in log.events() {
        assert!(last.is_none_or(|last| last < event.offset) && event.offset < length);
        last = Some(event.offset);
        count += 1;
        for (algorithm, digest) in event.digests.iter() {
            assert_eq!(event.digests.get(algorithm), Some(digest));
        }
        let _ = (tcg2::event_type_name(event.event_type), event.says_acpi_data(), event.is_extended());
    }
    assert_eq!(count, log.event_count());
    assert!(log.unused() <= length);
    let _ = (log.startup_locality(), log.layout(), log.spec());
    // Strict and lenient replay agree wherever the strict one gives values.
    if let (Ok(strict), Ok(lenient)) = (log.replay_sha256(), log.registers(HashAlg::Sha256)) {
        for (value, register) in strict.iter().zip(&lenient) {
            if let tcg2::Register::Value(found) = register {
                assert_eq!(found.as_slice(), value);
            }
        }
    }
    let _ = (log.replay_sha1(), log.replay_sha384(), log.replay_sha512());
    let _ = within(length, 8, 256 << 10, || boot_rules(log));
}

/// IMA's binary log, in each bank and byte order: each byte belongs to one entry, and a log in two parts has the same entries.
pub fn ima_log(data: &[u8]) {
    let detected = detect(data);
    for bank in Bank::ALL {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let log = Log::new(data, bank, MAX_ENTRIES).with_byte_order(order);
            let whole = within(data.len(), 0, 4 << 10, || walk(&log));
            if let (Some(entries), true) = (whole, detected == Some((bank, order))) {
                parts(&log, data, entries);
            }
        }
    }
}

/// Count of entries, if all of the log is well formed.
fn walk(log: &Log<'_>) -> Option<u64> {
    let mut entries = log.entries();
    let (mut count, mut offset) = (0, 0);
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        look_at(&entry);
        assert!(entries.offset() > offset);
        (count, offset) = (count + 1, entries.offset());
    }
    Some(count)
}

fn look_at(entry: &Entry<'_>) {
    let mut hashed = 0;
    entry.hash_parts(|part| hashed += part.len());
    assert!(hashed >= entry.template_data.len().min(276) || entry.template_name == "ima");
    assert_eq!(entry.extended().len(), entry.template_digest.len());
    let _ = (entry.fields(), entry.is_boot_aggregate());
}

fn parts(log: &Log<'_>, data: &[u8], count: u64) {
    let mut whole = BankReplay::new(Bank::Sha256);
    let whole_result = whole.run(log);
    let mut entries = log.entries();
    for _ in 0..count / 2 {
        let _ = entries.next();
    }
    let (first, second) = data.split_at(entries.offset());
    let again = |bytes| Log::new(bytes, log.bank(), MAX_ENTRIES).with_byte_order(log_order(data));
    let mut split = BankReplay::new(Bank::Sha256);
    let split_result =
        split.run(&again(first)).and_then(|()| split.run(&again(second).starting_at(count / 2)));
    assert_eq!(whole_result.is_ok(), split_result.is_ok());
    if whole_result.is_ok() {
        assert_eq!((whole.pcr(), whole.violations), (split.pcr(), split.violations));
    }
}

fn log_order(data: &[u8]) -> ByteOrder {
    detect(data).map_or(ByteOrder::Little, |(_, order)| order)
}

/// IMA's text log: what it is turned into is a binary log of that many entries.
pub fn ima_text(data: &[u8]) {
    let _ = is_text(data);
    let Ok(text) = within(data.len(), 8, 64 << 10, || TextLog::parse(data)) else { return };
    let log = text.log(MAX_ENTRIES);
    let mut entries = log.entries();
    let count = entries.by_ref().filter(|entry| entry.is_ok()).count();
    assert_eq!(entries.offset(), text.bytes().len());
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(count <= lines, "{count} entries of {lines} lines");
}

/// The workload log: there is one way to write it.
pub fn cel(data: &[u8]) {
    let Ok(records) = within(data.len(), 6, 64 << 10, || cel::parse(data)) else { return };
    assert_eq!(cel::encode(&records), data);
}

/// Signatures of files: `security.ima` and appended ones.
pub fn file_signature(data: &[u8]) {
    let _ = within(data.len(), 4, 16 << 10, || FileSignature::parse(data));
    let _ = within(data.len(), 16, 64 << 10, || AppendedSignature::parse(data));
}
