//! Combined verification against the sum of its raw primitives, and the appraisal of a long IMA log.

use crate::bench::table::{Goal, Row, median};
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use sealpod_evidence::rcar::protocol::{Attestation, Tee};
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::{Key, Scheme};
use sealpod_testkit::{Bundle, Sealed, pki};
use sealpod_verifier::{
    AppraisalPolicy, Challenge, CredentialKey, Endorsements, Input, ReferenceValues, SnpRoot, verify,
};
use std::hint::black_box;
use std::time::Instant;

const ENTRIES: usize = 1_000;
const LONG_LOG: usize = 100_000;
const ROUNDS: usize = 15;

/// One appraisal's inputs, owned.
struct Case {
    attestation: Attestation,
    challenge: Challenge,
    endorsements: Endorsements,
    reference: ReferenceValues,
    policy: AppraisalPolicy,
    sealed: Sealed,
}

impl Case {
    fn new(ima_entries: usize) -> Result<Self> {
        let credential_key = CredentialKey::new(&[7; 32]);
        let mut bundle = Bundle::with_ima_entries(ima_entries);
        bundle.activated_credential =
            credential_key.credential(&bundle.nonce, &bundle.tpm.ek_name(), &bundle.tpm.ak_name()).to_vec();
        let reference = ReferenceValues::from_documents(&[bundle.reference()]).context("reference values")?;
        let sealed = bundle.seal();
        let challenge =
            Challenge { nonce: sealed.nonce.clone(), tee: Tee::Snp, expires: pki::NOW + 300, credential_key };
        let root = digest(&SHA384, &Key::Ark.spki());
        let spki_sha384 = root.as_ref().try_into().context("SHA-384 is 48 bytes")?;
        let snp_roots = vec![SnpRoot { product: Product::Genoa, spki_sha384 }];
        let mut case = Self {
            attestation: sealed.attestation(),
            challenge,
            endorsements: Endorsements::new(snp_roots),
            reference,
            policy: AppraisalPolicy::default(),
            sealed,
        };
        let result = verify(&case.input())?;
        case.endorsements.remember(result.snp_key().context("a chip key")?.clone());
        Ok(case)
    }

    fn input(&self) -> Input<'_> {
        Input {
            attestation: &self.attestation,
            challenge: &self.challenge,
            endorsements: &self.endorsements,
            reference: &self.reference,
            policy: &self.policy,
            now: pki::NOW,
        }
    }

    fn verify_ms(&self) -> Result<f64> {
        let start = Instant::now();
        black_box(verify(&self.input())?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

/// What no verifier can do without: three signatures, and one hash over each byte that is signed, bound or logged.
struct Primitives {
    vcek: Vec<u8>,
    ak: Vec<u8>,
    report: Vec<u8>,
    report_signature: Vec<u8>,
    quote: Vec<u8>,
    quote_signature: Vec<u8>,
    additional_text: Vec<u8>,
    initdata: Vec<u8>,
    boot_log: Vec<u8>,
    ima_log: Vec<u8>,
    ima_entries: usize,
}

impl Primitives {
    fn of(case: &Case, ima_entries: usize) -> Self {
        let report = case.sealed.report_bytes[..0x2A0].to_vec();
        let quote = case.sealed.attest.to_bytes();
        let point = |key: Key| {
            let (x, y) = key.point();
            [&[4], x.as_slice(), &y].concat()
        };
        Self {
            vcek: point(Key::Vcek),
            ak: point(Key::AkP256),
            report_signature: Key::Vcek.sign(Scheme::Ecdsa, &report),
            quote_signature: Key::AkP256.sign(Scheme::Ecdsa, &quote),
            report,
            quote,
            additional_text: case.sealed.additional_text.clone().into_bytes(),
            initdata: case.sealed.initdata.clone().unwrap_or_default().into_bytes(),
            boot_log: case.sealed.additional.tpm.boot_log.0.clone(),
            ima_log: case.sealed.additional.tpm.ima_log.data.0.clone(),
            ima_entries,
        }
    }

    fn run_ms(&self) -> Result<f64> {
        let start = Instant::now();
        let vcek = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.vcek);
        let ak = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.ak);
        // The guest's own report and the SVSM's.
        for _ in 0..2 {
            if vcek.verify(&self.report, &self.report_signature).is_err() {
                bail!("the primitive P-384 verification failed");
            }
        }
        if ak.verify(&self.quote, &self.quote_signature).is_err() {
            bail!("the primitive P-256 verification failed");
        }
        // Report data covers the whole text; initdata is digested; a log is digested and each entry extended.
        black_box(digest(&SHA384, &self.additional_text));
        black_box(digest(&SHA512, &self.quote));
        black_box(digest(&SHA256, &self.initdata));
        black_box(digest(&SHA256, &self.boot_log));
        let entry_length = self.ima_log.len() / self.ima_entries.max(1);
        let mut pcr = [0; 64];
        for entry in self.ima_log.chunks(entry_length.max(1)) {
            let template = digest(&SHA256, entry);
            pcr[32..].copy_from_slice(template.as_ref());
            let extended = digest(&SHA256, &pcr);
            pcr[..32].copy_from_slice(extended.as_ref());
        }
        black_box(pcr);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

/// The two rows about verification.
pub fn rows() -> Result<Vec<Row>> {
    Ok(vec![combined()?, long_log()?])
}

fn combined() -> Result<Row> {
    let case = Case::new(ENTRIES)?;
    let primitives = Primitives::of(&case, ENTRIES);
    let (mut verifications, mut floors) = (Vec::new(), Vec::new());
    // In turn, so that a machine that slows down slows both.
    for _ in 0..ROUNDS * 10 {
        verifications.push(case.verify_ms()?);
        floors.push(primitives.run_ms()?);
    }
    let (verification, floor) = (median(verifications), median(floors));
    Ok(Row {
        what: format!(
            "combined verification (cached chain, SVSM, quote, {ENTRIES} IMA entries) / its raw primitives"
        ),
        figures: format!("{verification:.2} ms / {floor:.2} ms"),
        value: verification / floor,
        unit: "×",
        goal: Goal::AtMost(1.25),
    })
}

fn long_log() -> Result<Row> {
    let case = crate::bench::ima_log::LongLog::new(LONG_LOG, None)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(case.appraise_ms()?);
    }
    let appraisal = median(times);
    Ok(Row {
        what: format!("IMA appraisal of {LONG_LOG} entries (digests, replay, every file looked up)"),
        figures: format!("{:.1} MiB of log; Keylime 7.14: 1,100 ms and more", case.mebibytes()),
        value: appraisal,
        unit: " ms",
        goal: Goal::AtMost(40.0),
    })
}
