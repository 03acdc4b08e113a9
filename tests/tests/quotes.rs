//! Two verifiers of the same quotes: ours, and `dcap-qvl`. Where they differ, it is known why.

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use sealpod_testkit::pki::NOW;
use sealpod_testkit::tdx::{IntelCertificate, Key, TdxBundle, root_digest};
use sealpod_verifier::tdx::{self, Collateral, TdxEndorsements};
use sealpod_verifier::{AppraisalPolicy, Check, VerifyError};
use std::path::PathBuf;

/// Steps 1 and 3 to 6, with the status left to judge.
fn ours(quote: &[u8], endorsements: &TdxEndorsements, now: u64) -> Result<String, VerifyError> {
    let quote = tdx::parse(quote)?;
    let platform = tdx::endorse(&quote, endorsements, now)?;
    tdx::qe_report(&quote, platform.pck())?;
    let verdict = tdx::evaluate(&quote, platform.pck(), platform.collateral())?;
    tdx::signature(&quote)?;
    if let Some(td) = quote.td() {
        tdx::attributes(td, &AppraisalPolicy::default())?;
    }
    Ok(verdict.status.to_string())
}

fn theirs(verifier: &QuoteVerifier, quote: &[u8], collateral: &[u8], now: u64) -> Option<String> {
    let collateral: QuoteCollateralV3 = serde_json::from_slice(collateral).expect("collateral");
    verifier.verify(quote, &collateral, now).ok().map(|report| report.status)
}

fn endorsements(collateral: &[u8]) -> TdxEndorsements {
    let mut endorsements = TdxEndorsements::default();
    endorsements.dangerous_trust_root(root_digest());
    assert!(endorsements.set_collateral(Collateral::from_json(collateral).expect("collateral")));
    endorsements
}

fn vector(path: &str) -> Option<Vec<u8>> {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors"));
    let root = std::env::var_os("SEALPOD_VECTORS").map_or(default, PathBuf::from);
    let bytes = std::fs::read(root.join(path)).ok();
    if bytes.is_none() {
        eprintln!("skipped: no {path} (set SEALPOD_VECTORS)");
    }
    bytes
}

#[test]
fn both_say_the_same_of_captures_around_the_time_in_which_they_hold() {
    let qvl = "tdx/crates.io_dcap-qvl-0.7.1";
    let captures = [
        (format!("{qvl}/tdx_quote"), format!("{qvl}/tdx_quote_collateral.json"), 1_750_329_148_u64),
        (
            format!("{qvl}/tdx_quote_outdated"),
            format!("{qvl}/tdx_quote_outdated_collateral.json"),
            1_771_412_332,
        ),
        (format!("{qvl}/tdx_quote_td15ex"), format!("{qvl}/tdx_quote_td15ex_collateral.json"), 1_791_419_307),
        (format!("{qvl}/sgx_quote"), format!("{qvl}/sgx_quote_collateral.json"), 1_750_330_572),
    ];
    let verifier = QuoteVerifier::new_prod();
    let mut compared = 0;
    for (quote, collateral, first) in captures {
        let (Some(bytes), Some(collateral)) = (vector(&quote), vector(&collateral)) else { continue };
        let endorsements = endorsements(&collateral);
        for day in -3..40 {
            let now = first.saturating_add_signed(day * 86_400);
            let (a, b) = (ours(&bytes, &endorsements, now), theirs(&verifier, &bytes, &collateral, now));
            match &a {
                // They do not look at thisUpdate of revocation lists.
                Err(error) if error.check == Check::RevocationList && now < first => {}
                _ => assert_eq!(a.as_ref().ok(), b.as_ref(), "{quote} at {now}: {a:?}"),
            }
            compared += usize::from(a.is_ok());
        }
    }
    if vector(&format!("{qvl}/tdx_quote")).is_some() {
        assert!(compared > 60, "{compared} verdicts");
    }
}

/// What is made after this change, judged by both.
fn made(change: impl FnOnce(&mut TdxBundle)) -> (Result<String, VerifyError>, Option<String>) {
    let mut bundle = TdxBundle::valid_v5();
    change(&mut bundle);
    let (quote, collateral) = (bundle.seal().quote_bytes, bundle.collateral.to_json());
    let verifier = QuoteVerifier::new(IntelCertificate::root().to_der());
    (ours(&quote, &endorsements(&collateral), NOW), theirs(&verifier, &quote, &collateral, NOW))
}

#[test]
fn both_say_the_same_of_spoiled_evidence() {
    let spoils: [fn(&mut TdxBundle); 15] = [
        |_| {},
        |bundle| bundle.quote.version = 4,
        |bundle| bundle.quote.td.tee_tcb_svn[0] -= 1,
        |bundle| bundle.quote.td.tee_tcb_svn[0] -= 2,
        |bundle| bundle.quote.td.tee_tcb_svn[2] = 0,
        |bundle| bundle.quote.td.mr_signer_seam[0] = 1,
        |bundle| bundle.quote.td.td_attributes |= 1,
        |bundle| bundle.quote.td.mr_service_td[0] = 1,
        |bundle| bundle.quote.qe.isv_svn -= 1,
        |bundle| bundle.quote.qe.isv_svn -= 2,
        |bundle| bundle.quote.qe.mr_signer[0] ^= 1,
        |bundle| bundle.quote.qe_signed_by = Key::Root,
        |bundle| bundle.quote.bound_key = Key::Pck,
        |bundle| bundle.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = "SWHardeningNeeded".into(),
        |bundle| bundle.collateral.qe_identity["nextUpdate"] = "2026-05-31T00:00:00Z".into(),
    ];
    for (index, spoil) in spoils.into_iter().enumerate() {
        let (ours, theirs) = made(spoil);
        assert_eq!(ours.as_ref().ok(), theirs.as_ref(), "{index}: {ours:?}");
    }
    assert_eq!(made(|_| {}).0.unwrap(), "UpToDate");
}

#[test]
fn where_they_differ_ours_is_the_stricter() {
    // Updated to a module that is worse than the one of the launch.
    let (ours, theirs) = made(|bundle| bundle.quote.td.tee_tcb_svn2[0] -= 1);
    assert_eq!((ours.unwrap().as_str(), theirs.as_deref()), ("OutOfDate", Some("UpToDate")));
    let (ours, theirs) = made(|bundle| bundle.quote.padding = vec![1]);
    assert_eq!(ours.unwrap_err().check, Check::PrimaryEvidence);
    assert_eq!(theirs.as_deref(), Some("UpToDate"));
}
