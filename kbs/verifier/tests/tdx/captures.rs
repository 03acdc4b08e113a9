//! Quotes and collateral of real machines, at the edges of the time in which they hold.

use crate::vectors::vector;
use sealpod_evidence::tdx::Quote;
use sealpod_verifier::tdx::{self, Collateral, CollateralParts, TcbStatus, TcbVerdict, VerifiedPck};
use sealpod_verifier::{AppraisalPolicy, Check, TdxPolicy, VerifyError};
use std::collections::BTreeSet;

/// Seconds since 1970 of `2025-06-19T10:32:27Z`.
fn at(time: &str) -> u64 {
    time.parse::<der::DateTime>().unwrap().unix_duration().as_secs()
}

/// Steps 3 to 5, as the pipeline runs them.
fn verified(quote: &Quote<'_>, collateral: &Collateral, now: u64) -> Result<TcbVerdict, VerifyError> {
    let roots = tdx::builtin_roots();
    let lists = collateral.revocation_lists().map(<[u8]>::to_vec);
    let pck = tdx::pck(&tdx::certificates(quote)?, &roots, &lists, true, now)?;
    let collateral = tdx::verify_collateral(collateral, &roots, now)?;
    tdx::qe_report(quote, &pck)?;
    let verdict = tdx::evaluate(quote, &pck, &collateral)?;
    tdx::signature(quote)?;
    Ok(verdict)
}

/// Quote, collateral, first and last second.
type Capture = (&'static str, &'static str, &'static str, &'static str);

const PHALA_A: Capture = (
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote",
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_collateral.json",
    "2025-06-19T10:32:28Z",
    "2025-07-19T10:00:34Z",
);
const PHALA_EXTENDED: Capture = (
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_td15ex",
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_td15ex_collateral.json",
    "2026-10-08T00:28:27Z",
    "2026-11-06T23:45:10Z",
);
const PHALA_OUTDATED: Capture = (
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_outdated",
    "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_outdated_collateral.json",
    "2026-02-18T10:58:52Z",
    "2026-03-20T10:41:14Z",
);
const PHALA_SGX: Capture = (
    "tdx/crates.io_dcap-qvl-0.7.1/sgx_quote",
    "tdx/crates.io_dcap-qvl-0.7.1/sgx_quote_collateral.json",
    "2025-06-19T10:56:12Z",
    "2025-07-19T10:01:17Z",
);
const GOOGLE: Capture = (
    "tdx/google__go-tdx-guest/tdx_prod_quote_SPR_E4.dat",
    "tdx/assembled/google-v4.collateral.json",
    "2023-06-18T08:42:59Z",
    "2023-07-08T07:24:58Z",
);

/// Runs `test` with quote and collateral, and how many bytes of the file are the quote.
fn with(capture: Capture, length: usize, test: impl Fn(&Quote<'_>, &Collateral)) {
    let (Some(quote), Some(collateral)) = (vector(capture.0), vector(capture.1)) else { return };
    let quote = tdx::parse(&quote[..length]).unwrap();
    test(&quote, &Collateral::from_json(&collateral).unwrap());
}

fn refused(result: Result<TcbVerdict, VerifyError>) -> Check {
    result.unwrap_err().check
}

#[test]
fn platforms_that_are_up_to_date_verify_from_the_first_second_to_the_last() {
    for (capture, length) in [(PHALA_A, 5006), (PHALA_EXTENDED, 5247)] {
        with(capture, length, |quote, collateral| {
            let (first, last) = (at(capture.2), at(capture.3));
            for now in [first, (first + last) / 2, last] {
                let verdict = verified(quote, collateral, now).unwrap();
                assert_eq!(verdict.status, TcbStatus::UpToDate);
                assert!(verdict.advisory_ids.is_empty());
                assert_eq!(tdx::accept(&verdict, &TdxPolicy::default()), Ok(()));
            }
            let dated = [Check::CollateralValidity, Check::RevocationList];
            for now in [first - 2, last + 2, at("2026-11-23T03:20:00Z")] {
                let check = refused(verified(quote, collateral, now));
                assert!(dated.contains(&check), "{check:?} at {now}");
            }
            let td = tdx::td(quote).unwrap();
            assert_eq!(tdx::attributes(td, &AppraisalPolicy::default()), Ok(()));
        });
    }
}

#[test]
fn lists_that_are_not_yet_in_force_count_for_nothing() {
    // The other documents are valid by then.
    with(PHALA_EXTENDED, 5247, |quote, collateral| {
        let before = at("2026-10-08T00:28:25Z");
        assert_eq!(refused(verified(quote, collateral, before)), Check::RevocationList);
        assert!(verified(quote, collateral, before + 1).is_ok());
    });
}

#[test]
fn a_platform_below_every_level_has_none() {
    for (capture, length) in [(PHALA_OUTDATED, 5006), (GOOGLE, 4935)] {
        with(capture, length, |quote, collateral| {
            let (first, last) = (at(capture.2), at(capture.3));
            for now in [first, (first + last) / 2, last] {
                assert_eq!(refused(verified(quote, collateral, now)), Check::TcbLevel, "{}", capture.0);
            }
            let dated = [Check::CollateralValidity, Check::RevocationList];
            for now in [first - 2, last + 2, at("2026-11-23T03:20:00Z")] {
                let check = refused(verified(quote, collateral, now));
                assert!(dated.contains(&check), "{check:?} at {now}");
            }
        });
    }
}

#[test]
fn text_behind_a_quote_is_refused() {
    let Some(bytes) = vector(GOOGLE.0) else { return };
    assert_eq!(tdx::parse(&bytes).unwrap_err().check, Check::PrimaryEvidence);
}

#[test]
fn an_sgx_platform_has_a_status_and_advisories_that_the_owner_may_take() {
    with(PHALA_SGX, 4600, |quote, collateral| {
        let (first, last) = (at(PHALA_SGX.2), at(PHALA_SGX.3));
        for now in [first, (first + last) / 2, last] {
            let verdict = verified(quote, collateral, now).unwrap();
            assert_eq!(verdict.status, TcbStatus::ConfigurationAndSwHardeningNeeded);
            let advisories: BTreeSet<_> = ["INTEL-SA-00289", "INTEL-SA-00615"].map(str::to_owned).into();
            assert_eq!(verdict.advisory_ids, advisories);
            let mut policy = TdxPolicy::default();
            assert_eq!(tdx::accept(&verdict, &policy).unwrap_err().check, Check::TcbStatus);
            policy.accepted_tcb_statuses.insert(verdict.status);
            assert_eq!(tdx::accept(&verdict, &policy).unwrap_err().check, Check::TcbAdvisory);
            policy.accepted_advisories = advisories;
            assert_eq!(tdx::accept(&verdict, &policy), Ok(()));
        }
        assert_eq!(refused(verified(quote, collateral, first - 2)), Check::CollateralValidity);
        assert_eq!(refused(verified(quote, collateral, last + 2)), Check::CollateralValidity);
        assert_eq!(refused(verified(quote, collateral, at("2026-11-23T03:20:00Z"))), Check::RevocationList);
        assert_eq!(tdx::td(quote).unwrap_err().check, Check::TeeType);
    });
}

/// Chain and signatures by themselves, at a time within the PCK's validity.
fn signed(quote: &Quote<'_>, now: u64) -> VerifiedPck {
    let pck = tdx::pck(&tdx::certificates(quote).unwrap(), &tdx::builtin_roots(), &[], false, now).unwrap();
    assert!(!pck.revocation_checked());
    tdx::qe_report(quote, &pck).unwrap();
    tdx::signature(quote).unwrap();
    pck
}

#[test]
fn quotes_without_collateral_of_their_time_are_signed_by_intels_platforms() {
    let known = [
        ("ccel/google__go-tdx-guest/cos-113-tdx-quote.dat", "2025-01-01T00:00:00Z", "00806f050000"),
        ("tdx/confidential-containers__trustee/tdx_quote_4.dat", "2024-01-01T00:00:00Z", "50806f000000"),
        ("tdx/confidential-containers__trustee/tdx_quote_5.dat", "2026-01-27T15:54:59Z", "90c06f000000"),
        ("tdx/oasisprotocol__oasis-core/quote_v4_tdx_ecdsa_p256.bin", "2025-01-01T00:00:00Z", "c0806f000000"),
        (
            "tdx/oasisprotocol__oasis-core/quote_v4_tdx_ecdsa_p256_trailing.bin",
            "2025-01-01T00:00:00Z",
            "c0806f000000",
        ),
        (
            "fuzz/oasisprotocol__oasis-core/quote_v3_ecdsa_p256_pck_chain.bin",
            "2023-01-01T00:00:00Z",
            "00606a000000",
        ),
    ];
    for (path, time, fmspc) in known {
        let Some(bytes) = vector(path) else { continue };
        let pck = signed(&tdx::parse(&bytes).unwrap(), at(time));
        assert_eq!(pck.platform().fmspc.to_string(), fmspc, "{path}");
        assert_eq!(pck.ca(), tdx::PckCa::Platform, "{path}");
    }
    if let Some(text) = vector("tdx/automata-network__automata-dcap-attestation/quotev4.hex") {
        let bytes = hex::decode(text).unwrap();
        let pck = signed(&tdx::parse(&bytes).unwrap(), at("2025-01-01T00:00:00Z"));
        assert_eq!(pck.platform().fmspc.to_string(), "00806f050000");
    }
}

#[test]
fn a_td_with_a_service_td_is_refused_for_it() {
    for path in [
        "tdx/confidential-containers__trustee/tdx_quote_5.dat",
        "tdx/automata-network__automata-dcap-attestation/tdx_quote_5.dat",
    ] {
        let Some(bytes) = vector(path) else { continue };
        let quote = tdx::parse(&bytes).unwrap();
        let mut policy = AppraisalPolicy::default();
        let td = tdx::td(&quote).unwrap();
        assert_eq!(tdx::attributes(td, &policy).unwrap_err().check, Check::ServiceTd);
        policy.tdx.dangerous_accept_service_td = true;
        assert_eq!(tdx::attributes(td, &policy), Ok(()));
    }
}

#[test]
fn a_td_that_can_be_debugged_is_refused_for_it() {
    let Some(bytes) = vector("tdx/confidential-containers__trustee/tdx_quote_4.dat") else { return };
    let quote = tdx::parse(&bytes).unwrap();
    let mut policy = AppraisalPolicy::default();
    let td = tdx::td(&quote).unwrap();
    assert_eq!(tdx::attributes(td, &policy).unwrap_err().check, Check::DebugAllowed);
    policy.dangerous_accept_debug = true;
    assert_eq!(tdx::attributes(td, &policy), Ok(()));
    let Some(ccel) = vector("ccel/confidential-containers__trustee/CCEL_data") else { return };
    assert_eq!(tdx::boot_log(td, &ccel).unwrap_err().check, Check::BootLogReplay);
}

#[test]
fn a_boot_log_replays_to_the_quote_of_its_machine() {
    let (Some(quote), Some(ccel)) = (
        vector("ccel/google__go-tdx-guest/cos-113-tdx-quote.dat"),
        vector("ccel/google__go-tdx-guest/ccel_data.dat"),
    ) else {
        return;
    };
    let quote = tdx::parse(&quote).unwrap();
    let td = tdx::td(&quote).unwrap();
    assert_eq!(tdx::boot_log(td, &ccel), Ok(43));
    // The nonce beside it was another day's.
    let Some(nonce) = vector("ccel/google__go-tdx-guest/nonce.dat") else { return };
    let nonce = nonce.try_into().unwrap();
    assert_eq!(tdx::report_data(&quote, &nonce).is_ok(), nonce == [0; 64]);
    let Some(other) = vector("ccel/google__go-eventlog/cos-113-intel-tdx-dupe-separator-unpadded.bin") else {
        return;
    };
    assert_eq!(tdx::boot_log(td, &other).unwrap_err().check, Check::BootLogReplay);
}

#[test]
fn a_quote_without_a_chain_is_refused_for_it() {
    let Some(bytes) = vector("fuzz/oasisprotocol__oasis-core/quote_v3_ecdsa_p256_eppid.bin") else { return };
    let quote = tdx::parse(&bytes).unwrap();
    let error = tdx::certificates(&quote).unwrap_err();
    assert_eq!(error.check, Check::ChainIncomplete);
    assert!(error.found.contains("encrypted with RSA-3072"), "{error}");
    tdx::signature(&quote).unwrap();
}

const INTEL_SAMPLE: &str = "tdx/intel__SGX-TDX-DCAP-QuoteVerificationLibrary";

#[test]
fn a_test_root_of_intels_own_is_not_trusted() {
    let sample = |name: &str| vector(&format!("{INTEL_SAMPLE}/{name}"));
    let (Some(bytes), Some(root)) = (sample("quote.dat"), sample("trustedRootCaCert.pem")) else { return };
    let quote = tdx::parse(&bytes).unwrap();
    let chain = tdx::certificates(&quote).unwrap();
    let now = at("2022-01-01T00:00:00Z");
    let check = |roots: &[[u8; 48]]| tdx::pck(&chain, roots, &[], false, now);
    assert_eq!(check(&tdx::builtin_roots()).unwrap_err().check, Check::TrustRoot);
    // Under the sample's own root the signatures hold.
    let root = tdx::read_certificates(&root).unwrap().remove(0);
    let pck = check(&[tdx::root_key_digest(&root).unwrap()]).unwrap();
    assert_eq!(pck.platform().fmspc.to_string(), "ed742af8adf5");
    tdx::qe_report(&quote, &pck).unwrap();
    tdx::signature(&quote).unwrap();
    let lists: Vec<_> = ["rootCaCrl.der", "intermediateCaCrl.der"].into_iter().filter_map(sample).collect();
    let roots = [tdx::root_key_digest(&root).unwrap()];
    assert!(tdx::pck(&chain, &roots, &lists, true, now).unwrap().revocation_checked());
    let (Some(info), Some(identity), Some(chain)) =
        (sample("tcbInfo.json"), sample("qeIdentity.json"), sample("tcbSignChain.pem"))
    else {
        return;
    };
    let check = tdx::verify_qe_identity(&identity, &chain, &tdx::builtin_roots(), now).unwrap_err().check;
    assert_eq!(check, Check::TrustRoot);
    assert_eq!(tdx::verify_qe_identity(&identity, &chain, &roots, now).unwrap().id, "TD_QE");
    // Its security versions are random numbers that no platform can have.
    assert_eq!(tdx::verify_tcb_info(&info, &chain, &roots, now).unwrap_err().check, Check::Collateral);
}

/// The TCB signing chain that PCS gave out with collateral of about that time.
fn signing_chain(capture: Capture) -> Option<Vec<u8>> {
    let json: serde_json::Value = serde_json::from_slice(&vector(capture.1)?).unwrap();
    Some(json["tcb_info_issuer_chain"].as_str().unwrap().as_bytes().to_vec())
}

#[test]
fn documents_of_intels_service_are_signed_over_their_exact_bytes() {
    let automata = "collateral/automata-network__automata-dcap-attestation";
    let trustee = "tdx/confidential-containers__trustee";
    let oasis = "tdx/oasisprotocol__oasis-core";
    let roots = tdx::builtin_roots();
    let infos = [
        (format!("{automata}/0625-tcbinfov3_00806f050000.json"), PHALA_A, "2025-07-01T00:00:00Z"),
        (format!("{automata}/0625-tcbinfov3_90C06F000000.json"), PHALA_A, "2025-07-01T00:00:00Z"),
        (format!("{automata}/1025-tcb_info.json"), PHALA_A, "2025-10-30T00:00:00Z"),
        (format!("{trustee}/tcbInfo.json"), PHALA_A, "2025-11-01T00:00:00Z"),
        (format!("{oasis}/tcb_info_v3_tdx_fmspc_50806F000000.json"), GOOGLE, "2023-07-01T00:00:00Z"),
        ("tdx/google__go-tdx-guest/sample_tcbInfo_response".to_owned(), GOOGLE, "2023-07-01T00:00:00Z"),
    ];
    for (path, of, time) in infos {
        let (Some(body), Some(chain)) = (vector(&path), signing_chain(of)) else { continue };
        let info =
            tdx::verify_tcb_info(&body, &chain, &roots, at(time)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(info.id, "TDX", "{path}");
        assert!((info.issue_date..=info.next_update).contains(&at(time)), "{path}");
        // The same document, written otherwise, is another.
        let spoiled = String::from_utf8(body).unwrap().replacen("\"version\":3", "\"version\": 3", 1);
        let error = tdx::verify_tcb_info(spoiled.as_bytes(), &chain, &roots, at(time)).unwrap_err();
        assert_eq!(error.check, Check::CollateralSignature, "{path}");
    }
    let identities = [
        (format!("{automata}/0625-qe_td.json"), PHALA_A, "2025-07-01T00:00:00Z"),
        (format!("{automata}/1025-identity.json"), PHALA_A, "2025-10-30T00:00:00Z"),
        (format!("{trustee}/enclaveIdentity.json"), PHALA_A, "2025-11-01T00:00:00Z"),
        (format!("{oasis}/qe_identity_v2_tdx.json"), GOOGLE, "2023-07-01T00:00:00Z"),
        ("tdx/google__go-tdx-guest/sample_qeIdentity_response".to_owned(), GOOGLE, "2023-07-01T00:00:00Z"),
    ];
    for (path, of, time) in identities {
        let (Some(body), Some(chain)) = (vector(&path), signing_chain(of)) else { continue };
        let identity = tdx::verify_qe_identity(&body, &chain, &roots, at(time))
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(identity.id == "TD_QE" || identity.id == "QE", "{path}: {}", identity.id);
    }
}

#[test]
fn separate_answers_of_the_service_make_the_same_collateral() {
    let google = "tdx/google__go-tdx-guest";
    let (Some(info), Some(identity), Some(pck_crl), Some(root_crl), Some(json)) = (
        vector(&format!("{google}/sample_tcbInfo_response")),
        vector(&format!("{google}/sample_qeIdentity_response")),
        vector(&format!("{google}/pckcrl")),
        vector(&format!("{google}/rootcrl.der")),
        vector(GOOGLE.1),
    ) else {
        return;
    };
    let chain = String::from_utf8(signing_chain(GOOGLE).unwrap()).unwrap();
    // As in the headers of the service.
    let chain = chain.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B").replace('=', "%3D");
    let parts = CollateralParts {
        tcb_info: &info,
        tcb_info_issuer_chain: chain.as_bytes(),
        qe_identity: &identity,
        qe_identity_issuer_chain: chain.as_bytes(),
        pck_crl: &pck_crl,
        root_ca_crl: &root_crl,
    };
    let collateral = Collateral::from_parts(parts).unwrap();
    assert_eq!(collateral, Collateral::from_json(&json).unwrap());
    assert_eq!(collateral.fmspc().to_string(), "50806f000000");
    assert_eq!((collateral.tee(), collateral.ca()), ("TDX", tdx::PckCa::Platform));
}

#[test]
fn the_pinned_root_is_intels() {
    let Some(chain) = signing_chain(PHALA_A) else { return };
    let root = tdx::read_certificates(&chain).unwrap().pop().unwrap();
    assert_eq!(tdx::builtin_roots(), [tdx::root_key_digest(&root).unwrap()]);
    // The chain that another project keeps beside its samples ends in the same root.
    let Some(chain) = vector("tdx/oasisprotocol__oasis-core/tcb_info_v3_fmspc_00606A000000_certs.pem") else {
        return;
    };
    let certificates = tdx::read_certificates(&chain).unwrap();
    assert_eq!(certificates.len(), 2);
    assert_eq!(tdx::root_key_digest(&certificates[1]).unwrap(), tdx::builtin_roots()[0]);
}

#[test]
fn revocation_lists_of_intels_service_hold_in_their_time_alone() {
    let Some(quote) = vector("tdx/confidential-containers__trustee/tdx_quote_5.dat") else { return };
    let chain = tdx::certificates(&tdx::parse(&quote).unwrap()).unwrap();
    let automata = "collateral/automata-network__automata-dcap-attestation";
    let lists = [
        ("0825-platform_crl.der", "2025-08-20T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1025-pck_crl.der", "2025-10-30T00:00:00Z", "2025-08-01T00:00:00Z"),
    ];
    for (name, inside, outside) in lists {
        let Some(list) = vector(&format!("{automata}/{name}")) else { continue };
        let check = |list: &[u8], time| {
            tdx::pck(&chain, &tdx::builtin_roots(), &[list.to_vec()], false, at(time)).map(|pck| pck.window())
        };
        let (from, to) = check(&list, inside).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((from..=to).contains(&at(inside)) && to - from <= 31 * 86_400, "{name}: {from} to {to}");
        assert_eq!(check(&list, outside).unwrap_err().check, Check::RevocationList, "{name}");
        let mut spoiled = list;
        let last = spoiled.len() - 1;
        spoiled[last] ^= 1;
        assert_eq!(check(&spoiled, inside).unwrap_err().check, Check::RevocationList, "{name}");
    }
}

#[test]
fn no_bit_of_a_quote_can_be_changed_but_in_what_nobody_reads() {
    let capture = PHALA_A;
    let (Some(bytes), Some(collateral)) = (vector(capture.0), vector(capture.1)) else { return };
    let collateral = Collateral::from_json(&collateral).unwrap();
    let now = at(capture.2);
    // Signature data has nothing that is not signed or needed; beyond it are the certificates, covered by their own signatures,
    // whose line breaks and final NUL anybody may set.
    for index in (0..1220).step_by(7) {
        let mut spoiled = bytes.clone();
        spoiled[index] ^= 1;
        let outcome = tdx::parse(&spoiled).and_then(|quote| verified(&quote, &collateral, now));
        assert!(outcome.is_err(), "byte {index}");
    }
}
