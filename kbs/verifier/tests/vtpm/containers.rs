//! Quotes of real machines, in the forms in which other tools keep them: every verdict that is known of them.

use sealpod_evidence::tcg2::BootLog;
use sealpod_evidence::tpm::containers::{self, AkPublic, Contained, ContainedQuote};
use sealpod_evidence::tpm::{Attest, HashAlg};
use sealpod_verifier::tpm::{boot, keys, quote};
use sealpod_verifier::{Check, VerifyError};
use std::path::PathBuf;

/// The file at `path` under `$SEALPOD_VECTORS`, or beside the workspace; where it is absent, says so.
fn vector(path: &str) -> Option<Vec<u8>> {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tpm-quote"));
    let root =
        std::env::var_os("SEALPOD_VECTORS").map_or(default, |root| PathBuf::from(root).join("tpm-quote"));
    let file = root.join(path);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("skipped: no {} (set SEALPOD_VECTORS)", file.display());
    }
    bytes
}

fn signature(ak: Option<&AkPublic>, sent: &ContainedQuote) -> Result<(), VerifyError> {
    match ak.expect("a key") {
        AkPublic::Tpm(key) => quote::signature(key, &sent.signature, sent.attest.raw()),
        AkPublic::Spki(spki) => quote::signature_by_spki(spki, &sent.signature, sent.attest.raw()),
    }
}

fn pcr_digest(sent: &ContainedQuote) -> Result<(), VerifyError> {
    quote::pcr_digest(&sent.attest, sent.signature.hash(), |bank, pcr| sent.pcrs.get(bank, pcr))
}

fn check<T>(result: Result<T, VerifyError>) -> Result<T, Check> {
    result.map_err(|error| error.check)
}

fn strong(sent: &ContainedQuote) -> Result<(), Check> {
    check(quote::strong_hash(&sent.attest, &sent.signature))
}

fn nonce(sent: &ContainedQuote, expected: &[u8]) -> Result<(), Check> {
    check(quote::nonce(&sent.attest, expected))
}

/// PCR 0 to 7 as the boot log has them, held against those of the quote.
fn boot_log(contained: &Contained, bank: HashAlg) -> Result<(), VerifyError> {
    let (log, sent) = (BootLog::parse_any(&contained.boot_log).unwrap(), &contained.quotes[0]);
    let replayed: Vec<Vec<u8>> = match bank {
        HashAlg::Sha1 => log.replay_sha1().unwrap().map(|pcr| pcr.to_vec()).to_vec(),
        HashAlg::Sha256 => log.replay_sha256().unwrap().map(|pcr| pcr.to_vec()).to_vec(),
        other => panic!("{other}"),
    };
    for (index, replayed) in (0..8).zip(&replayed) {
        boot::pcr(index, sent.pcrs.get(bank, index).unwrap(), replayed)?;
    }
    Ok(())
}

#[test]
fn a_google_machine_quotes_three_banks_without_a_nonce() {
    let Some(bytes) = vector("google__go-tpm-tools/gce-cos-85-no-nonce.pb") else { return };
    let contained = containers::go_tpm_tools(&bytes).unwrap();
    let Some(AkPublic::Tpm(ak)) = &contained.ak else { panic!("{:?}", contained.ak) };
    assert_eq!(keys::attestation_key(ak), Ok(()));
    assert_eq!(contained.quotes.len(), 3);
    for sent in &contained.quotes {
        assert_eq!(signature(contained.ak.as_ref(), sent), Ok(()));
        assert_eq!(pcr_digest(sent), Ok(()));
        assert_eq!((nonce(sent, b""), nonce(sent, b"fresh")), (Ok(()), Err(Check::QuoteNonce)));
        // One bank of SHA-1 alone is worth nothing, whatever signs it.
        let sha1 = sent.pcrs.banks().eq([HashAlg::Sha1]);
        assert_eq!(strong(sent), if sha1 { Err(Check::WeakHash) } else { Ok(()) });
        let mut spoiled = sent.clone();
        spoiled.pcrs = contained.quotes[0].pcrs.clone();
        let foreign = check(pcr_digest(&spoiled));
        assert_eq!(foreign, if sha1 { Ok(()) } else { Err(Check::QuotePcrDigest) });
    }
}

#[test]
fn a_quote_of_trustee_holds_under_a_key_that_nobody_vouches_for() {
    let Some(bytes) = vector("confidential-containers__trustee/tpm_evidence.json") else { return };
    let contained = containers::trustee(&bytes).unwrap();
    let [sent] = contained.quotes.as_slice() else { panic!("{:?}", contained.quotes) };
    assert_eq!(signature(contained.ak.as_ref(), sent), Ok(()));
    assert_eq!((pcr_digest(sent), strong(sent)), (Ok(()), Ok(())));
    let all: Vec<u8> = (0..24).collect();
    assert_eq!(quote::selection_of(&sent.attest, &[(HashAlg::Sha256, &all)]), Ok(()));
    // That is not what sealpod's guest quotes.
    assert_eq!(check(quote::selection(&sent.attest)), Err(Check::QuoteSelection));
    assert!(matches!(contained.ak, Some(AkPublic::Spki(_))));
}

#[test]
fn a_windows_machine_signs_with_sha_1_which_holds_and_is_weak() {
    let Some(bytes) = vector("google__go-attestation/windows_gcp_shielded_vm.json") else { return };
    let contained = containers::go_attestation(&bytes).unwrap();
    let [sent] = contained.quotes.as_slice() else { panic!("{:?}", contained.quotes) };
    assert_eq!(signature(contained.ak.as_ref(), sent), Ok(()));
    assert_eq!((nonce(sent, b""), pcr_digest(sent)), (Ok(()), Ok(())));
    assert_eq!(boot_log(&contained, HashAlg::Sha1), Ok(()));
    assert_eq!(strong(sent), Err(Check::WeakHash));
}

#[test]
fn two_machines_of_guard_differ_in_what_their_boot_logs_replay_to() {
    for (name, verdict) in [("good-1", Ok(())), ("failed-1", Err(Check::BootLogReplay))] {
        let file = format!("immune-gmbh__guard-oss/{name}.quote-eventlog.json");
        let Some(bytes) = vector(&file) else { return };
        let contained = containers::guard(&bytes).unwrap();
        assert_eq!((pcr_digest(&contained.quotes[0]), strong(&contained.quotes[0])), (Ok(()), Ok(())));
        let replay = boot_log(&contained, HashAlg::Sha256);
        if let Err(error) = &replay {
            assert!(error.expected.contains("PCR 0"), "{error}");
        }
        assert_eq!(check(replay), verdict, "{name}");
        assert_eq!(contained.ak, None);
    }
}

#[test]
fn a_quote_of_keylime_parses_and_is_weak() {
    let Some(bytes) = vector("keylime__rust-keylime/test-quote.txt") else { return };
    let contained = containers::keylime(std::str::from_utf8(&bytes).unwrap()).unwrap();
    let sent = &contained.quotes[0];
    assert_eq!((nonce(sent, b"TEST"), pcr_digest(sent)), (Ok(()), Ok(())));
    assert_eq!(quote::selection_of(&sent.attest, &[(HashAlg::Sha1, &[16])]), Ok(()));
    assert_eq!(strong(sent), Err(Check::WeakHash));
}

#[test]
fn a_bare_quote_of_dstack_says_what_it_is_of() {
    let Some(bytes) = vector("Dstack-TEE__dstack/tpm_quote_sample.bin") else { return };
    let attest = Attest::parse(&bytes).unwrap();
    assert_eq!(quote::nonce(&attest, &[0x12, 0x34, 0x56, 0x78]), Ok(()));
    assert_eq!(quote::selection_of(&attest, &[(HashAlg::Sha256, &[0, 1, 2])]), Ok(()));
}
