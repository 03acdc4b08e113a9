//! TDX, with a boot log in the RTMRs.

use crate::spoil::boot_log::unmeasured_ccel;
use crate::spoil::{Case, Part};
use sealpod_evidence::ima::{Bank, Log};
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::tcg2::BootLog;
use sealpod_testkit::pki::NOW;
use sealpod_testkit::tdx::{self, TdxBundle, TdxSealed};
use sealpod_verifier::tdx::Collateral;
use sealpod_verifier::{
    AppraisalPolicy, BindingLevel, Challenge, CredentialKey, Endorsements, Input, ReferenceValues,
    parse_body, verify,
};

fn each(check: impl Fn(&Case<'_, TdxSealed>, &Part<TdxSealed>)) {
    let bundle = TdxBundle::valid();
    let mut valid = bundle.seal();
    // The log's area is filled up behind the last event. What stands there is no evidence, and a log may come without it.
    let unused = BootLog::parse_ccel(&valid.ccel).unwrap().unused();
    valid.ccel.truncate(valid.ccel.len() - unused);
    let mut endorsements = Endorsements::default();
    endorsements.tdx_mut().dangerous_trust_root(tdx::root_digest());
    let collateral = Collateral::from_json(&bundle.collateral.to_json()).unwrap();
    assert!(endorsements.tdx_mut().set_collateral(collateral));
    let reference = ReferenceValues::from_documents(&[bundle.reference()]).unwrap();
    let challenge = Challenge {
        nonce: valid.nonce.clone(),
        tee: Tee::Tdx,
        expires: NOW + 60,
        credential_key: CredentialKey::new(&[7; 32]),
    };
    let policy =
        AppraisalPolicy { minimum_binding_level: BindingLevel::GuestKernel, ..AppraisalPolicy::default() };
    let accepts = |sealed: &TdxSealed| {
        let Ok(attestation) = parse_body(&serde_json::to_vec(&sealed.attestation()).unwrap()) else {
            return false;
        };
        verify(&Input {
            attestation: &attestation,
            challenge: &challenge,
            endorsements: &endorsements,
            reference: &reference,
            policy: &policy,
            now: NOW,
        })
        .is_ok()
    };
    let case = Case { valid: &valid, accepts: &accepts };
    for part in parts(&valid) {
        check(&case, &part);
    }
}

fn parts(valid: &TdxSealed) -> Vec<Part<TdxSealed>> {
    fn unbound(_: &mut TdxSealed) {}
    let bind: fn(&mut TdxSealed) = TdxSealed::rebind;
    vec![
        Part::new("quote", |s| &mut s.quote_bytes, unbound),
        Part::new("boot log", |s| &mut s.ccel, unbound).but(unmeasured_ccel(&valid.ccel)),
        Part::new("IMA log", |s| &mut s.logs().ima_log.data.0, bind),
        Part::new("workload log", |s| &mut s.logs().workload_log.0, bind),
    ]
}

/// Without a TPM no register has IMA's measurements: this is level `guest-kernel`, where the log is the guest kernel's word. A guest that
/// lies may end it sooner, at the end of an entry; the report still covers what it sent.
fn whole_entries(valid: &TdxSealed, part: &Part<TdxSealed>) -> Vec<usize> {
    if part.name != "IMA log" {
        return Vec::new();
    }
    let log = (part.bytes)(&mut valid.clone()).clone();
    let mut entries = Log::new(&log, Bank::Sha256, 1000).entries();
    let mut ends = Vec::new();
    while entries.next().is_some() {
        ends.push(entries.offset());
    }
    // All of it is no cut, and a log without its boot aggregate alone is refused.
    ends.retain(|end| *end < log.len());
    ends
}

#[test]
fn every_byte_counts() {
    each(|case, part| case.every_byte_counts(part));
}

#[test]
fn no_beginning_of_a_part_will_do() {
    each(|case, part| case.no_beginning_will_do(part, 3, &whole_entries(case.valid, part)));
}
