//! IMA logs: steps 1, 13 and, for signatures, 14.

use super::boot_log::Replayed;
use super::given::Given;
use super::outcome::Appraisal;
use super::piece::{ImaForm, Pcrs, Piece};
use super::tree::{Node, Tone};
use sealpod_evidence::ima::{self, Bank, ByteOrder, DigestKind, Entry, Fields, HashAlgorithm, Log, TextLog};
use sealpod_evidence::tpm::HashAlg;
use sealpod_verifier::ima::{BankReplay, FileSignature, boot_aggregate};
use sealpod_verifier::reference::FileKey;
use sealpod_verifier::{Check, VerifyError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// More entries than a file within budget can have.
const MAX_ENTRIES: u64 = 1 << 20;
/// PCR of the log.
const PCR_IMA: u8 = 10;
/// Entries shown at the start and at the end of a log.
const SHOWN: usize = 40;
/// Most signatures verified: an RSA verification takes some 20 µs.
const MAX_SIGNATURES: usize = 100_000;

/// What was learnt of the log, for `learn`.
pub(super) struct ReadLog {
    /// Binary, little-endian or as it came.
    pub bytes: Vec<u8>,
    /// Bank.
    pub bank: Bank,
    /// Byte order.
    pub order: ByteOrder,
}

impl ReadLog {
    /// The bytes of a file as a log.
    ///
    /// # Errors
    ///
    /// Why they are none.
    pub(super) fn of(bytes: &[u8], form: ImaForm) -> Result<Self, VerifyError> {
        let refused = |found: String| VerifyError::new(Check::ImaLogSyntax, "an IMA log", found);
        if form == ImaForm::Ascii {
            let text = TextLog::parse(bytes).map_err(|error| refused(error.to_string()))?;
            return Ok(Self { bank: text.bank(), bytes: text.bytes().to_vec(), order: ByteOrder::Little });
        }
        let (bank, order) = ima::detect(bytes)
            .or_else(|| super::recognise::ima_layout(bytes))
            .ok_or_else(|| refused("bytes that are entries in no bank and byte order".to_owned()))?;
        Ok(Self { bytes: bytes.to_vec(), bank, order })
    }

    pub(super) fn log(&self) -> Log<'_> {
        Log::new(&self.bytes, self.bank, MAX_ENTRIES).with_byte_order(self.order)
    }
}

/// Appraise the log of a piece into `out`. `values` are PCR values, quoted or given; `booted` is what a boot log replays to.
pub(super) fn appraise(
    piece: &Piece,
    given: &Given,
    values: &Pcrs,
    booted: Option<&Replayed>,
    out: &mut Appraisal,
) {
    let Some((bytes, form)) = &piece.ima_log else { return };
    let log = match ReadLog::of(bytes, *form) {
        Ok(log) => log,
        Err(error) => {
            out.tree.toned("IMA log", format!("does not parse: {}", error.found), Tone::Bad);
            return out.failed(error);
        }
    };
    let Some(entries) = entries(&log, *form, out) else { return };
    show(&log, &entries, out);
    replay(&log, &entries, *form, values, out);
    aggregate(&entries, values, booted, out);
    signatures(&entries, given, out);
}

/// Step 1: every entry and every field of it parses.
fn entries<'a>(log: &'a ReadLog, form: ImaForm, out: &mut Appraisal) -> Option<Vec<(Entry<'a>, Fields<'a>)>> {
    let expected = "an IMA log that parses to its end";
    let mut all = Vec::new();
    for entry in log.log().entries() {
        match entry.and_then(|entry| entry.fields().map(|fields| (entry, fields))) {
            Ok(both) => all.push(both),
            Err(error) => {
                out.fact("entries", all.len());
                out.tree.toned("IMA log", format!("{} entries, then: {error}", all.len()), Tone::Bad);
                out.failed(VerifyError::new(Check::ImaLogSyntax, expected, error));
                return None;
            }
        }
    }
    if all.is_empty() {
        out.failed(VerifyError::new(Check::ImaLogSyntax, "an IMA log with entries", "none"));
        return None;
    }
    let form = if form == ImaForm::Ascii { "ASCII" } else { "binary" };
    let order = if log.order == ByteOrder::Big { "big-endian " } else { "" };
    let found = format!("{} entries, {order}{form}, {} bank", all.len(), log.bank.name());
    out.ran(Check::ImaLogSyntax, expected, Ok(found));
    Some(all)
}

fn show(log: &ReadLog, entries: &[(Entry<'_>, Fields<'_>)], out: &mut Appraisal) {
    let mut templates: BTreeMap<&str, usize> = BTreeMap::new();
    entries.iter().for_each(|(entry, _)| *templates.entry(entry.template_name).or_default() += 1);
    let violations = entries.iter().filter(|(entry, _)| entry.is_violation()).count();
    out.fact("entries", entries.len());
    out.fact("violations", violations);
    out.fact("bank", log.bank.name());
    out.fact("byte_order", if log.order == ByteOrder::Big { "big" } else { "little" });
    out.fact(
        "templates",
        templates.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<Map<_, _>>(),
    );
    let mut node = Node::with("IMA log", format!("{} entries", entries.len()));
    for (name, count) in &templates {
        node.field(format!("Template {name}"), format!("{count} entries"));
    }
    node.toned("Violations", violations, if violations == 0 { Tone::Good } else { Tone::Notice });
    let mut list = Node::new("Entries");
    let skipped = entries.len().saturating_sub(2 * SHOWN);
    for (position, (entry, fields)) in entries.iter().enumerate() {
        if skipped > 0 && (SHOWN..SHOWN + skipped).contains(&position) {
            if position == SHOWN {
                list.field("…", format!("{skipped} more"));
            }
            continue;
        }
        list.push(entry_node(entry, fields));
    }
    node.push(list);
    out.tree.push(node);
}

fn entry_node(entry: &Entry<'_>, fields: &Fields<'_>) -> Node {
    let name = String::from_utf8_lossy(fields.name.unwrap_or_default()).into_owned();
    let digest = fields.digest.map(|digest| {
        let verity = if digest.kind == DigestKind::Verity { "fs-verity " } else { "" };
        format!("{verity}{}:{}", digest.algorithm.name(), hex::encode(digest.value))
    });
    let mut text = format!("{name}  {}", digest.unwrap_or_default());
    if let (Some(uid), Some(gid), Some(mode)) = (fields.uid, fields.gid, fields.mode) {
        text.push_str(&format!("  {uid}:{gid} {:04o}", mode & 0o7777));
    }
    if fields.signature.is_some_and(|signature| !signature.is_empty()) {
        text.push_str("  signed");
    }
    if let Some(buffer) = fields.buffer {
        text.push_str(&format!("  buffer of {} bytes", buffer.len()));
    }
    let violation = entry.is_violation();
    if violation {
        text.push_str("  VIOLATION");
    }
    Node::with(entry.index.to_string(), text).tone(if violation { Tone::Notice } else { Tone::Plain })
}

/// Step 13: digests of the data, and PCR 10 in every bank.
fn replay(
    log: &ReadLog,
    entries: &[(Entry<'_>, Fields<'_>)],
    form: ImaForm,
    values: &Pcrs,
    out: &mut Appraisal,
) {
    let mut banks: Vec<BankReplay> = HashAlgorithm::ALL.into_iter().map(BankReplay::new).collect();
    let mut covered: BTreeMap<HashAlg, (u64, bool)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (entry, _) in entries {
        for bank in &mut banks {
            match bank.advance(entry, log.bank) {
                Ok(()) => {}
                Err(error) if error.check == Check::ImaTemplateDigest => {
                    if bank.bank == log.bank {
                        wrong.push(error);
                    }
                }
                Err(error) => return out.failed(error),
            }
            let alg = tpm_bank(bank.bank);
            let quoted = values.get(&alg).and_then(|values| values.get(&PCR_IMA)).map(Vec::as_slice);
            if quoted == Some(bank.pcr()) {
                covered.insert(alg, (entry.index + 1, false));
            } else if quoted == Some(bank.padded_pcr()) {
                covered.insert(alg, (entry.index + 1, true));
            }
        }
    }
    let facts: Map<String, Value> =
        banks.iter().map(|bank| (bank.bank.name().to_owned(), json!(hex::encode(bank.pcr())))).collect();
    let expected = "entries with the digests of their own data";
    let hashed = entries.iter().filter(|(entry, _)| !entry.is_violation()).count();
    out.fact("recomputed", hashed - wrong.len());
    match wrong.into_iter().next() {
        None => {
            out.ran(Check::ImaTemplateDigest, expected, Ok(format!("{hashed} digests recomputed")));
            out.fact("pcr10", Value::Object(facts));
        }
        Some(error) => {
            if form == ImaForm::Ascii {
                out.note("The ASCII form is not exact: the kernel shows some names otherwise than it hashes them. The binary log is.");
            }
            out.failed(error);
        }
    }
    pcr_10(entries.len() as u64, &banks, &covered, values, out);
}

fn pcr_10(
    entries: u64,
    banks: &[BankReplay],
    covered: &BTreeMap<HashAlg, (u64, bool)>,
    values: &Pcrs,
    out: &mut Appraisal,
) {
    let expected = "a log that replays to PCR 10";
    let quoted: Vec<HashAlg> =
        values.iter().filter(|(_, values)| values.contains_key(&PCR_IMA)).map(|(b, _)| *b).collect();
    if quoted.is_empty() {
        return out.not_run(
            Check::ImaReplay,
            expected,
            "PCR 10: --pcrs FILE, or a quote with values as a further FILE",
        );
    }
    for alg in quoted {
        let Some(bank) = banks.iter().find(|bank| tpm_bank(bank.bank) == alg) else { continue };
        let value = values.get(&alg).and_then(|values| values.get(&PCR_IMA)).cloned().unwrap_or_default();
        let result = match covered.get(&alg) {
            Some((covered, padded)) => {
                let uncovered = entries - covered;
                out.fact("uncovered_entries", uncovered);
                let tail = if uncovered > 0 {
                    format!(", {uncovered} entries after it are not covered")
                } else {
                    String::new()
                };
                let how = if *padded { " (SHA-1 digests with zeros, as old kernels extend)" } else { "" };
                Ok(format!("{alg} PCR 10 after {covered} entries{how}{tail}"))
            }
            None => Err(VerifyError::new(
                Check::ImaReplay,
                format!("a prefix that replays to {alg} PCR 10 = {}", hex::encode(value)),
                format!("{entries} entries, the last of them reaching {}", hex::encode(bank.pcr())),
            )),
        };
        out.ran(Check::ImaReplay, expected, result);
    }
}

/// Step 13: the first entry is this boot's.
fn aggregate(
    entries: &[(Entry<'_>, Fields<'_>)],
    values: &Pcrs,
    booted: Option<&Replayed>,
    out: &mut Appraisal,
) {
    let expected = "a boot_aggregate over this boot's PCRs";
    let Some((first, fields)) = entries.first() else { return };
    if let Some(digest) = fields.digest.filter(|_| first.is_boot_aggregate()) {
        out.fact("boot_aggregate", format!("{}:{}", digest.algorithm.name(), hex::encode(digest.value)));
        if digest.value.iter().all(|b| *b == 0) && !first.is_violation() {
            out.note("The boot_aggregate is zero: the kernel had no TPM when IMA started, so nothing binds this log to a boot.");
        }
    }
    let pcrs = |bank: HashAlgorithm| {
        let alg = tpm_bank(bank);
        let zero: &[u8] = ZERO.get(..bank.digest_len())?;
        let replayed = booted.and_then(|booted| booted.pcrs.get(&alg));
        let known = values.get(&alg);
        let mut all = [zero; 10];
        for (index, to) in (0_u8..).zip(&mut all) {
            // User space may have extended a PCR since: where there is a boot log, it says what the boot left, be it zero.
            match replayed {
                Some(log) => *to = log.get(&index).map_or(zero, Vec::as_slice),
                None => *to = known?.get(&index)?,
            }
        }
        Some(all)
    };
    let bank = fields.digest.map(|digest| digest.algorithm);
    if !first.is_boot_aggregate() {
        return out.not_run(Check::BootAggregate, expected, "a log from its first entry on");
    }
    let needs = "PCR 0 to 9 of its bank as the boot left them: the boot log as a further FILE";
    if bank.is_none_or(|bank| pcrs(bank).is_none()) {
        return out.not_run(Check::BootAggregate, expected, needs);
    }
    let zero = fields.digest.is_some_and(|digest| digest.value.iter().all(|b| *b == 0));
    match boot_aggregate(first, pcrs) {
        // Values read later may hold what user space extended since; only a boot log says what they were.
        Err(_) if booted.is_none() && !zero => out.not_run(Check::BootAggregate, expected, needs),
        form => {
            out.ran(Check::BootAggregate, expected, form.map(|form| format!("it is over {form:?}")));
        }
    }
}

const ZERO: [u8; 64] = [0; 64];

/// Step 14, for files that carry a signature, by the keys given.
fn signatures(entries: &[(Entry<'_>, Fields<'_>)], given: &Given, out: &mut Appraisal) {
    let signed: Vec<(&Entry<'_>, &Fields<'_>, &[u8])> = entries
        .iter()
        .filter_map(|(entry, fields)| {
            Some((entry, fields, fields.signature.filter(|signature| !signature.is_empty())?))
        })
        .collect();
    if signed.is_empty() {
        return;
    }
    out.fact("signed_entries", signed.len());
    let expected = "file signatures by the keys given";
    let keys: Vec<FileKey> = given.keys.iter().filter_map(|der| FileKey::from_der(der).ok()).collect();
    if keys.is_empty() {
        let needs =
            format!("the signers' keys or certificates, for {} signatures: --chain FILE", signed.len());
        return out.not_run(Check::FileSignature, expected, needs);
    }
    let mut verified = 0_usize;
    let mut unknown = 0_usize;
    for (entry, fields, bytes) in signed.iter().take(MAX_SIGNATURES) {
        let path = String::from_utf8_lossy(fields.name.unwrap_or_default());
        let refused = |found: String| {
            VerifyError::new(
                Check::FileSignature,
                format!("IMA entry {}: a signature over {path}", entry.index),
                found,
            )
        };
        let signature = match FileSignature::parse(bytes) {
            Ok(signature) => signature,
            Err(error) => return out.failed(refused(error.to_string())),
        };
        let digest = fields.digest.map(|digest| digest.value).unwrap_or_default();
        let of_key: Vec<&FileKey> = keys.iter().filter(|key| key.is(signature.key_id)).collect();
        if of_key.is_empty() {
            unknown += 1;
        } else if of_key.iter().any(|key| signature.verifies(key, digest)) {
            verified += 1;
        } else {
            return out.failed(refused(format!(
                "one of key {} that does not verify",
                hex::encode(signature.key_id)
            )));
        }
    }
    out.fact("verified_signatures", verified);
    if verified == 0 {
        return out.not_run(
            Check::FileSignature,
            expected,
            format!("the keys of {unknown} signatures by other keys: --chain FILE"),
        );
    }
    out.ran(Check::FileSignature, expected, Ok(format!("{verified} verify, {unknown} are of other keys")));
}

fn tpm_bank(bank: HashAlgorithm) -> HashAlg {
    match bank {
        HashAlgorithm::Sha1 => HashAlg::Sha1,
        HashAlgorithm::Sha256 => HashAlg::Sha256,
        HashAlgorithm::Sha384 => HashAlg::Sha384,
        HashAlgorithm::Sha512 => HashAlg::Sha512,
    }
}
