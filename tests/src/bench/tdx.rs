//! A TDX quote: all that this verifier checks of it, against `dcap-qvl` alone.

use crate::bench::table::{Goal, Row, median};
use anyhow::{Context as _, Result, bail};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use sealpod_testkit::pki;
use sealpod_testkit::tdx::{IntelCertificate, TdxBundle, root_digest};
use sealpod_verifier::AppraisalPolicy;
use sealpod_verifier::tdx::{self, Collateral, TdxEndorsements};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 300;

/// One quote and what either verifier needs for it.
struct Case {
    quote: Vec<u8>,
    endorsements: TdxEndorsements,
    policy: AppraisalPolicy,
    theirs: QuoteVerifier,
    collateral: QuoteCollateralV3,
}

impl Case {
    fn new() -> Result<Self> {
        let bundle = TdxBundle::valid();
        let json = bundle.collateral.to_json();
        let mut endorsements = TdxEndorsements::default();
        endorsements.dangerous_trust_root(root_digest());
        if !endorsements.set_collateral(Collateral::from_json(&json)?) {
            bail!("the test collateral is for neither SGX nor TDX");
        }
        Ok(Self {
            quote: bundle.seal().quote_bytes,
            endorsements,
            policy: AppraisalPolicy::default(),
            theirs: QuoteVerifier::new(IntelCertificate::root().to_der()),
            collateral: serde_json::from_slice(&json).context("collateral")?,
        })
    }

    /// Steps 1 and 3 to 6.
    fn ours_ms(&self) -> Result<f64> {
        let start = Instant::now();
        let quote = tdx::parse(&self.quote)?;
        let platform = tdx::endorse(&quote, &self.endorsements, pki::NOW)?;
        tdx::qe_report(&quote, platform.pck())?;
        let verdict = tdx::evaluate(&quote, platform.pck(), platform.collateral())?;
        tdx::accept(&verdict, &self.policy.tdx)?;
        tdx::signature(&quote)?;
        tdx::attributes(tdx::td(&quote)?, &self.policy)?;
        black_box(Arc::clone(&platform));
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn theirs_ms(&self) -> Result<f64> {
        let start = Instant::now();
        black_box(self.theirs.verify(&self.quote, &self.collateral, pki::NOW)?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn remembering(mut self) -> Result<Self> {
        let platform = tdx::endorse(&tdx::parse(&self.quote)?, &self.endorsements, pki::NOW)?;
        self.endorsements.remember(platform);
        Ok(self)
    }
}

/// The two rows about TDX.
pub fn rows() -> Result<Vec<Row>> {
    let uncached = "TDX quote, chain and collateral (nothing cached) / dcap-qvl 0.7 alone";
    let cached = "TDX quote of a platform that is remembered / dcap-qvl 0.7 alone";
    Ok(vec![
        row(&Case::new()?, uncached, Goal::AtMost(1.05))?,
        row(&Case::new()?.remembering()?, cached, Goal::None)?,
    ])
}

fn row(case: &Case, what: &str, goal: Goal) -> Result<Row> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turn, so that a machine that slows down slows both.
    for _ in 0..ROUNDS {
        ours.push(case.ours_ms()?);
        theirs.push(case.theirs_ms()?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let figures = format!("{ours:.2} ms / {theirs:.2} ms");
    Ok(Row { what: what.to_owned(), figures, value: ours / theirs, unit: "×", goal })
}
