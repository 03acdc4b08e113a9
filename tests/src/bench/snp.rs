//! An SNP report by itself, steps 3 to 6, beside the signature checks that nobody can do without.

use crate::bench::table::{Goal, Row, median};
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA384, digest};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use sealpod_evidence::snp::cert_table::CertTable;
use sealpod_evidence::snp::report::{Product, Report};
use sealpod_testkit::keys::{Key, Scheme};
use sealpod_testkit::pki;
use sealpod_testkit::report::ReportFields;
use sealpod_verifier::{AppraisalPolicy, Endorsements, SnpRoot, snp};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 400;

/// A report with its certificates, and whom to trust.
struct Case {
    report: Vec<u8>,
    table: Vec<u8>,
    endorsements: Endorsements,
    policy: AppraisalPolicy,
}

impl Case {
    fn new() -> Result<Self> {
        let root = digest(&SHA384, &Key::Ark.spki());
        let spki_sha384 = root.as_ref().try_into().context("SHA-384 is 48 bytes")?;
        Ok(Self {
            report: ReportFields::default().to_bytes_signed().to_vec(),
            table: pki::certificate_table(),
            endorsements: Endorsements::new(vec![SnpRoot { product: Product::Genoa, spki_sha384 }]),
            policy: AppraisalPolicy::default(),
        })
    }

    /// Steps 3 to 6, from bytes.
    fn verify_us(&self) -> Result<f64> {
        let start = Instant::now();
        let report = Report::parse(&self.report)?;
        let table = CertTable::parse(&self.table)?;
        let key = snp::endorse(&report, &table, &self.endorsements, false, pki::NOW)?;
        snp::report::certificate(&key, &report)?;
        snp::report::signature(&key, &report)?;
        snp::report::vmpl(&report)?;
        snp::report::fields(&key, &report, &self.policy, Some(&pki::TCB))?;
        black_box(key);
        Ok(start.elapsed().as_secs_f64() * 1e6)
    }

    fn remember(&mut self) -> Result<()> {
        let table = CertTable::parse(&self.table)?;
        let report = Report::parse(&self.report)?;
        let key = snp::endorse(&report, &table, &self.endorsements, false, pki::NOW)?;
        self.endorsements.remember(Arc::clone(&key));
        Ok(())
    }
}

/// One signature with its key and what it is over.
struct Signature {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signature {
    /// As long as a certificate's, by the same key.
    fn by_authority(key: Key, certificate: &[u8]) -> Self {
        Self {
            algorithm: &RSA_PSS_2048_8192_SHA384,
            key: key.spki(),
            message: certificate.to_vec(),
            signature: key.sign(Scheme::PssSha384, certificate),
        }
    }

    fn of_report(report: &[u8]) -> Result<Self> {
        let report = Report::parse(report)?;
        Ok(Self {
            algorithm: &ECDSA_P384_SHA384_FIXED,
            key: Key::Vcek.spki(),
            message: report.signed().to_vec(),
            signature: report.signature().to_vec(),
        })
    }
}

fn check_us(signatures: &[Signature]) -> Result<f64> {
    let start = Instant::now();
    for it in signatures {
        if UnparsedPublicKey::new(it.algorithm, &it.key).verify(&it.message, &it.signature).is_err() {
            bail!("a primitive signature check failed");
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

/// Nothing cached, and the chain cached.
pub fn rows() -> Result<Vec<Row>> {
    let mut case = Case::new()?;
    let chain = [
        Signature::by_authority(Key::Ark, pki::ark_der()),
        Signature::by_authority(Key::Ark, pki::ask_der()),
        Signature::by_authority(Key::Ask, pki::vcek_der()),
        Signature::of_report(&case.report)?,
    ];
    let uncached = row("SNP report, nothing cached / its four raw signature checks", 1.15, &case, &chain)?;
    case.remember()?;
    let cached = row("SNP report, chain cached / its raw signature check", 1.25, &case, &chain[3..])?;
    Ok(vec![uncached, cached])
}

fn row(what: &str, goal: f64, case: &Case, signatures: &[Signature]) -> Result<Row> {
    let (mut verifications, mut floors) = (Vec::new(), Vec::new());
    // In turn, so that a machine that slows down slows both.
    for _ in 0..ROUNDS {
        verifications.push(case.verify_us()?);
        floors.push(check_us(signatures)?);
    }
    let (verification, floor) = (median(verifications), median(floors));
    Ok(Row {
        what: what.to_owned(),
        figures: format!("{verification:.0} µs / {floor:.0} µs"),
        value: verification / floor,
        unit: "×",
        goal: Goal::AtMost(goal),
    })
}
