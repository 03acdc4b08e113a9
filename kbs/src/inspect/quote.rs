//! A TPM's quotes: steps 1, 10 and 11.

use super::given::Given;
use super::keys::{self, Key};
use super::outcome::Appraisal;
use super::piece::{Pcrs, Piece, TpmQuote};
use super::tree::{Node, Tone};
use sealpod_evidence::tpm::{Attest, HashAlg, Signature, TpmError};
use sealpod_verifier::{Check, VerifyError, tpm};
use serde_json::{Value, json};

/// What the quotes of a piece established.
#[derive(Debug, Default)]
pub(super) struct Quoted {
    /// Values that a quote's digest covers. Vouched for only where its signature verified too.
    pub pcrs: Pcrs,
}

/// Appraise every quote of a piece into `out`. `bound_key` is a key that other evidence vouches for (Azure's runtime data).
pub(super) fn appraise(piece: &Piece, given: &Given, bound_key: Option<Key>, out: &mut Appraisal) -> Quoted {
    let mut quoted = Quoted::default();
    let key = bound_key.or_else(|| key(piece, given, out));
    let values = values(piece, given);
    let mut facts = Vec::new();
    let many = piece.tpm_quotes.len() > 1;
    for (number, quote) in piece.tpm_quotes.iter().enumerate() {
        let label = if many { format!("Quote {}", number + 1) } else { "Quote".to_owned() };
        let mut node = Node::new(label);
        if let Some(fact) = one(quote, given, key.as_ref(), &values, &mut node, &mut quoted, out) {
            facts.push(fact);
        }
        out.tree.push(node);
    }
    if let [only] = &facts[..]
        && let Some(only) = only.as_object()
    {
        out.facts.extend(only.clone());
    } else if !facts.is_empty() {
        out.fact("quotes", facts);
    }
    pcr_tree(&values, out);
    attributes(key.as_ref(), out);
    quoted
}

/// The key that the signature has to be by where no other evidence vouches for one: the one given, else the file's.
fn key(piece: &Piece, given: &Given, out: &mut Appraisal) -> Option<Key> {
    let bytes = given.ak.as_deref().or(piece.ak.as_deref())?;
    match Key::read(bytes) {
        Ok(key) => {
            out.tree.field("Attestation key", key.describe());
            Some(key)
        }
        Err(found) => {
            out.failed(VerifyError::new(
                Check::TpmStructure,
                "an attestation key: TPMT_PUBLIC, PEM or DER",
                found,
            ));
            None
        }
    }
}

/// Values from the quote's own file, and those given, which go first.
fn values(piece: &Piece, given: &Given) -> Pcrs {
    let mut values = piece.all_pcrs();
    for (bank, given) in &given.pcrs {
        values.entry(*bank).or_default().extend(given.iter().map(|(i, v)| (*i, v.clone())));
    }
    values
}

fn one(
    quote: &TpmQuote,
    given: &Given,
    key: Option<&Key>,
    values: &Pcrs,
    node: &mut Node,
    quoted: &mut Quoted,
    out: &mut Appraisal,
) -> Option<Value> {
    let attest = match Attest::parse(&quote.message) {
        Ok(attest) => attest,
        Err(error) => {
            let check = match error {
                TpmError::Magic { .. } | TpmError::AttestType { .. } => Check::QuoteType,
                _ => Check::TpmStructure,
            };
            node.toned("Message", format!("does not parse: {error}"), Tone::Bad);
            out.failed(VerifyError::new(check, "a quote (TPMS_ATTEST)", error));
            return None;
        }
    };
    let selection: Vec<String> = attest.selections.iter().map(selection).collect();
    let selection = selection.join(", ");
    out.ran(Check::QuoteType, "a quote that a TPM made (TPMS_ATTEST)", Ok(format!("a quote of {selection}")));
    let mut fact = tree(&attest, &selection, node);
    let signature = read_signature(quote, key, &attest, out);
    if let Some(signature) = &signature {
        node.field("Signature", keys::describe(signature));
        fact["signature_scheme"] = json!(keys::describe(signature));
    }
    nonce(&attest, quote, given, out);
    digest(&attest, signature.as_ref(), values, quoted, out);
    signed(&attest, signature.as_ref(), quote, key, out);
    Some(fact)
}

fn selection(bank: &sealpod_evidence::tpm::PcrSelection) -> String {
    let pcrs: Vec<u8> = bank.pcrs().collect();
    let text = match (pcrs.first(), pcrs.last()) {
        (Some(first), Some(last)) if usize::from(*last - *first) + 1 == pcrs.len() && pcrs.len() > 2 => {
            format!("{first}-{last}")
        }
        _ => pcrs.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
    };
    format!("{}:{}", bank.hash, if text.is_empty() { "none" } else { &text })
}

fn tree(attest: &Attest, selection: &str, node: &mut Node) -> Value {
    let challenge = challenge(&attest.extra_data);
    let tone = if attest.extra_data.is_empty() { Tone::Bad } else { Tone::Plain };
    node.toned("Challenge answered", challenge, tone);
    node.field("PCRs", selection);
    node.field("PCR digest", hex::encode(&attest.pcr_digest));
    node.field("Qualified signer", hex::encode(&attest.qualified_signer));
    let clock = attest.clock_info;
    node.field("TPM powered for", format!("{} h", clock.clock / 3_600_000));
    node.field("Resets and restarts", format!("{} and {}", clock.reset_count, clock.restart_count));
    let safe = if clock.safe { Tone::Plain } else { Tone::Notice };
    node.toned("Clock is safe", if clock.safe { "yes" } else { "no: after an unclean stop" }, safe);
    node.field("Firmware version", format!("{:#018x}", attest.firmware_version));
    json!({
        "nonce": hex::encode(&attest.extra_data),
        "pcr_selection": attest.selections.iter().map(|bank| json!({
            "bank": bank.hash.name(), "pcrs": bank.pcrs().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "pcr_digest": hex::encode(&attest.pcr_digest),
        "firmware_version": format!("{:#018x}", attest.firmware_version),
        "clock": clock.clock,
        "reset_count": clock.reset_count,
        "restart_count": clock.restart_count,
        "clock_safe": clock.safe,
    })
}

fn challenge(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        _ if data.is_empty() => "none".to_owned(),
        Ok(text) if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => {
            format!("{} ({text:?})", hex::encode(data))
        }
        _ => hex::encode(data),
    }
}

fn read_signature(
    quote: &TpmQuote,
    key: Option<&Key>,
    attest: &Attest,
    out: &mut Appraisal,
) -> Option<Signature> {
    let bytes = quote.signature.as_deref()?;
    match keys::signature(bytes, key, attest.pcr_digest.len()) {
        Ok(signature) => Some(signature),
        Err(found) => {
            out.failed(VerifyError::new(Check::TpmStructure, "a signature (TPMT_SIGNATURE, or bare)", found));
            None
        }
    }
}

/// Freshness: a quote without a challenge answers none, whoever asks.
fn nonce(attest: &Attest, quote: &TpmQuote, given: &Given, out: &mut Appraisal) {
    let expected = "the challenge that the quote has to answer";
    let own = quote.nonce.as_ref().filter(|nonce| !nonce.is_empty());
    match given.nonce.as_ref().or(own) {
        Some(nonce) => {
            out.ran(Check::QuoteNonce, expected, tpm::quote::nonce(attest, nonce).map(|()| challenge(nonce)));
        }
        None if attest.extra_data.is_empty() => {
            out.failed(VerifyError::new(
                Check::QuoteNonce,
                "a challenge in the quote's extra data",
                "none: nothing shows when the quote was made",
            ));
        }
        None => {
            let found = challenge(&attest.extra_data);
            out.not_run(Check::QuoteNonce, expected, format!("--nonce HEX|FILE (the quote answers {found})"));
        }
    }
}

fn digest(
    attest: &Attest,
    signature: Option<&Signature>,
    values: &Pcrs,
    quoted: &mut Quoted,
    out: &mut Appraisal,
) {
    let expected = "the digest of the PCR values";
    let wanted = || attest.selections.iter().flat_map(|bank| bank.pcrs().map(|pcr| (bank.hash, pcr)));
    let value = |bank: HashAlg, pcr: u8| values.get(&bank).and_then(|bank| bank.get(&pcr)).map(Vec::as_slice);
    let missing: Vec<String> = wanted()
        .filter(|(bank, pcr)| value(*bank, *pcr).is_none())
        .map(|(bank, pcr)| format!("{bank}:{pcr}"))
        .collect();
    if !missing.is_empty() {
        let needs = match missing.len() {
            ..=6 => format!("--pcrs with {}", missing.join(", ")),
            many => format!("--pcrs with {many} values of the quote's selection"),
        };
        return out.not_run(Check::QuotePcrDigest, expected, needs);
    }
    let hash = signature.map(Signature::hash).or_else(|| super::pcrs::by_length(attest.pcr_digest.len()));
    let result = tpm::quote::pcr_digest(attest, hash.unwrap_or(HashAlg::Sha256), value);
    let found = format!("{} values have that digest", wanted().count());
    if out.ran(Check::QuotePcrDigest, expected, result.map(|()| found)) {
        for (bank, pcr) in wanted() {
            let known = value(bank, pcr).map(<[u8]>::to_vec);
            quoted.pcrs.entry(bank).or_default().extend(known.map(|known| (pcr, known)));
        }
        if wanted().all(|(bank, _)| bank == HashAlg::Sha1) {
            out.note("Only the SHA-1 bank is quoted: it replays, but no policy is met by it alone.");
        }
    }
}

fn signed(
    attest: &Attest,
    signature: Option<&Signature>,
    quote: &TpmQuote,
    key: Option<&Key>,
    out: &mut Appraisal,
) {
    let expected = "a signature over the quote by the attestation key";
    let (signature, key) = match (signature, key) {
        (Some(signature), Some(key)) => (signature, key),
        (Some(_), None) => {
            return out.not_run(Check::QuoteSignature, expected, "the attestation key: --ak FILE");
        }
        // One that does not parse has failed already.
        (None, _) if quote.signature.is_some() => return,
        (None, _) => return out.not_run(Check::QuoteSignature, expected, "the signature, as a further FILE"),
    };
    let found = format!("{} verifies", keys::describe(signature));
    out.ran(Check::QuoteSignature, expected, key.verify(signature, attest.raw()).map(|()| found));
    let expected = "a signature and a bank that do not rest on SHA-1";
    let found = format!(
        "{}, {}",
        signature.hash(),
        attest.selections.iter().map(selection).collect::<Vec<_>>().join(", ")
    );
    out.ran(Check::WeakHash, expected, tpm::quote::strong_hash(attest, signature).map(|()| found));
}

/// Step 10, as far as a key says it of itself.
pub(super) fn attributes(key: Option<&Key>, out: &mut Appraisal) {
    let expected = "a restricted signing key fixed to its TPM";
    match key {
        Some(Key::Public(public)) => {
            let found = format!("attributes {:#010x}", public.attributes().0);
            out.ran(Check::AkAttributes, expected, tpm::keys::attestation_key(public).map(|()| found));
            out.note(
                "The key's attributes are its own word until a credential or a certificate ties it to a TPM.",
            );
        }
        Some(Key::Spki(_)) => {
            out.not_run(Check::AkAttributes, expected, "the key's TPM public area: --ak with a TPMT_PUBLIC");
            out.note("Nothing here shows that the key is a TPM's: a quote is worth what its key is.");
        }
        Some(Key::Named(..)) | None => {}
    }
}

fn pcr_tree(values: &Pcrs, out: &mut Appraisal) {
    if values.is_empty() {
        return;
    }
    out.tree.push(pcr_node("PCR values", values));
}

/// PCR values as a tree.
pub(super) fn pcr_node(label: &str, values: &Pcrs) -> Node {
    let mut node = Node::new(label);
    for (bank, values) in values {
        let mut of = Node::new(bank.name());
        for (index, value) in values {
            let text = match value {
                all if all.iter().all(|b| *b == 0) => "zero".to_owned(),
                all if all.iter().all(|b| *b == 0xff) => "all ones".to_owned(),
                value => hex::encode(value),
            };
            of.field(format!("PCR {index}"), text);
        }
        node.push(of);
    }
    node
}
