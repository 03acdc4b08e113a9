//! Azure's SNP guests, whose vTPM is the paravisor's.

use crate::spoil::boot_log::unmeasured;
use crate::spoil::{Case, Part};
use aws_lc_rs::digest::{SHA384, digest};
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{AzureBundle, AzureSealed, pki};
use sealpod_verifier::{
    AppraisalPolicy, Challenge, CredentialKey, Endorsements, Input, ReferenceValues, SnpRoot, parse_body,
    verify,
};

fn each(check: impl Fn(&Case<'_, AzureSealed>, &Part<AzureSealed>)) {
    let bundle = AzureBundle::snp();
    let valid = bundle.seal();
    let spki_sha384 = digest(&SHA384, &Key::Ark.spki()).as_ref().try_into().unwrap();
    let mut endorsements = Endorsements::new(vec![SnpRoot { product: Product::Genoa, spki_sha384 }]);
    endorsements.add_certificate(pki::ask_der().to_vec());
    endorsements.add_certificate(pki::ark_der().to_vec());
    let reference = ReferenceValues::from_documents(&[bundle.reference()]).unwrap();
    let challenge = Challenge {
        nonce: valid.nonce.clone(),
        tee: valid.tee,
        expires: pki::NOW + 60,
        credential_key: CredentialKey::new(&[7; 32]),
    };
    let accepts = |sealed: &AzureSealed| {
        let Ok(attestation) = parse_body(&serde_json::to_vec(&sealed.attestation()).unwrap()) else {
            return false;
        };
        let policy = AppraisalPolicy::default();
        verify(&Input {
            attestation: &attestation,
            challenge: &challenge,
            endorsements: &endorsements,
            reference: &reference,
            policy: &policy,
            now: pki::NOW,
        })
        .is_ok()
    };
    let case = Case { valid: &valid, accepts: &accepts };
    for part in parts(&valid) {
        check(&case, &part);
    }
}

fn parts(valid: &AzureSealed) -> Vec<Part<AzureSealed>> {
    fn unbound(_: &mut AzureSealed) {}
    let bind: fn(&mut AzureSealed) = AzureSealed::rebind;
    let logs = &valid.additional.tpm;
    vec![
        Part::new("hardware report", |s| &mut s.report_bytes, unbound),
        Part::new("runtime data", |s| &mut s.runtime_bytes, unbound),
        Part::new("VCEK", |s| &mut s.vcek, unbound),
        Part::new("quote", |s| &mut s.message, unbound),
        Part::new("quote signature", |s| &mut s.signature, unbound),
        Part::new("boot log", |s| &mut s.additional.tpm.boot_log.0, bind).but(unmeasured(&logs.boot_log.0)),
        Part::new("IMA log", |s| &mut s.additional.tpm.ima_log.data.0, bind),
        Part::new("workload log", |s| &mut s.additional.tpm.workload_log.0, bind),
    ]
}

#[test]
fn every_byte_counts() {
    each(|case, part| case.every_byte_counts(part));
}

#[test]
fn no_beginning_of_a_part_will_do() {
    // The hardware report has a place of fixed size in the HCL report, which ends in zeros as the report does.
    let of_its_own_length = |part: &Part<AzureSealed>| part.name != "hardware report";
    each(|case, part| {
        if of_its_own_length(part) {
            case.no_beginning_will_do(part, 3, &[]);
        }
    });
}
