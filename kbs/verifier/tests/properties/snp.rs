//! SEV-SNP with an SVSM's vTPM.

use crate::spoil::boot_log::unmeasured;
use crate::spoil::{Case, Part};
use aws_lc_rs::digest::{SHA384, digest};
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{Bundle, Sealed, hash, pki};
use sealpod_verifier::{
    AppraisalPolicy, Challenge, CredentialKey, Endorsements, Input, ReferenceValues, SnpRoot, parse_body,
    verify,
};

struct World {
    sealed: Sealed,
    challenge: Challenge,
    endorsements: Endorsements,
    reference: ReferenceValues,
}

impl World {
    fn new() -> Self {
        let mut bundle = Bundle::valid();
        let credential_key = CredentialKey::new(&[7; 32]);
        bundle.activated_credential =
            credential_key.credential(&bundle.nonce, &bundle.tpm.ek_name(), &bundle.tpm.ak_name()).to_vec();
        let spki_sha384 = digest(&SHA384, &Key::Ark.spki()).as_ref().try_into().unwrap();
        let root = SnpRoot { product: Product::Genoa, spki_sha384 };
        let challenge =
            Challenge { nonce: bundle.nonce.clone(), tee: Tee::Snp, expires: pki::NOW + 60, credential_key };
        let reference = ReferenceValues::from_documents(&[bundle.reference()]).unwrap();
        Self { sealed: bundle.seal(), challenge, endorsements: Endorsements::new(vec![root]), reference }
    }

    fn accepts(&self, body: &[u8]) -> bool {
        let Ok(attestation) = parse_body(body) else { return false };
        verify(&Input {
            attestation: &attestation,
            challenge: &self.challenge,
            endorsements: &self.endorsements,
            reference: &self.reference,
            policy: &AppraisalPolicy::default(),
            now: pki::NOW,
        })
        .is_ok()
    }

    fn accepts_sealed(&self, sealed: &Sealed) -> bool {
        self.accepts(&serde_json::to_vec(&sealed.attestation()).unwrap())
    }

    fn each(&self, check: impl Fn(&Case<'_, Sealed>, &Part<Sealed>)) {
        let accepts = |sealed: &Sealed| self.accepts_sealed(sealed);
        let case = Case { valid: &self.sealed, accepts: &accepts };
        for part in parts(&self.sealed) {
            check(&case, &part);
        }
    }
}

/// A part of the additional evidence, with the report over its text made anew; or one that nothing binds.
fn parts(sealed: &Sealed) -> Vec<Part<Sealed>> {
    fn unbound(_: &mut Sealed) {}
    let bind: fn(&mut Sealed) = Sealed::rebind;
    vec![
        Part::new("report", |s| &mut s.report_bytes, unbound),
        Part::new("certificate table", |s| &mut s.certificates, unbound),
        Part::new("SVSM report", |s| &mut s.additional.tpm.svsm.as_mut().unwrap().report.0, bind),
        Part::new("SVSM manifest", |s| &mut s.additional.tpm.svsm.as_mut().unwrap().manifest.0, bind),
        Part::new("EK", |s| &mut s.additional.tpm.ek_public.0, bind),
        Part::new("AK", |s| &mut s.additional.tpm.ak_public.0, bind),
        Part::new("activated credential", |s| &mut s.additional.tpm.activated_credential.0, bind),
        Part::new("quote", |s| &mut s.additional.tpm.quote.message.0, bind),
        Part::new("quote signature", |s| &mut s.additional.tpm.quote.signature.0, bind),
        Part::new("boot log", |s| &mut s.additional.tpm.boot_log.0, bind)
            .but(unmeasured(&sealed.additional.tpm.boot_log.0)),
        Part::new("IMA log", |s| &mut s.additional.tpm.ima_log.data.0, bind),
        Part::new("workload log", |s| &mut s.additional.tpm.workload_log.0, bind),
    ]
}

#[test]
fn every_byte_counts() {
    World::new().each(|case, part| case.every_byte_counts(part));
}

#[test]
fn no_beginning_of_a_part_will_do() {
    World::new().each(|case, part| case.no_beginning_will_do(part, 1, &[]));
}

#[test]
fn the_body_as_it_is_sent() {
    let world = World::new();
    let body = serde_json::to_vec(&world.sealed.attestation()).unwrap();
    let accepts = |body: &Vec<u8>| world.accepts(body);
    let case = Case { valid: &body, accepts: &accepts };
    let part = Part::new("body", |body: &mut Vec<u8>| body, |_| ());
    case.no_beginning_will_do(&part, 1, &[]);
}

#[test]
fn initdata_counts_as_a_whole() {
    let world = World::new();
    let accepts = |sealed: &Sealed| world.accepts_sealed(sealed);
    let text = world.sealed.initdata.clone().unwrap();
    for at in 0..text.len() {
        let mut spoiled = world.sealed.clone();
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        // As a host would that starts the guest with it.
        spoiled.report.host_data = hash::sha256(changed.as_bytes());
        spoiled.initdata = Some(changed);
        spoiled.resign();
        assert!(!accepts(&spoiled), "initdata with a change at {at}");
    }
}
