//! What a refusal still says of the guest: which claims held before the check that failed, and which one it broke.

use super::TrustVector;
use crate::error::{Check, VerifyError};

/// "Affirmed" of every claim (draft-ietf-rats-ar4si, section 2.3.4).
const AFFIRMED: i8 = 2;
/// "Contraindicated" of every claim that has no narrower value for it.
const CONTRAINDICATED: i8 = 96;
/// "Cryptographic validation failed", of every claim.
const VALIDATION_FAILED: i8 = 99;

/// The steps that a claim rests on, as the result of all of them says it.
struct Basis {
    steps: &'static [u8],
    claim: fn(&mut TrustVector) -> &mut Option<i8>,
}

const BASES: &[Basis] = &[
    Basis { steps: &[3, 4, 5, 6], claim: |v| &mut v.hardware },
    Basis { steps: &[6], claim: |v| &mut v.runtime_opaque },
    Basis { steps: &[9, 10, 11], claim: |v| &mut v.instance_identity },
    Basis { steps: &[7, 8, 12, 15], claim: |v| &mut v.configuration },
    Basis { steps: &[13, 14], claim: |v| &mut v.executables },
    Basis { steps: &[15], claim: |v| &mut v.file_system },
];

impl VerifyError {
    /// The trustworthiness vector at the point where appraisal ended: claims whose steps had all held are affirmed, the claim
    /// that the failed step belongs to is contraindicated, and nothing is claimed of what was not looked at.
    ///
    /// For audit lines. It is never part of a token: a refused guest gets none. Evidence that does not parse or does not
    /// answer its challenge (steps 1 and 2) says nothing of the guest, so every claim of it is contraindicated.
    pub fn trust_vector(&self) -> TrustVector {
        let failed = self.check.step();
        let value = if is_cryptographic(self.check) { VALIDATION_FAILED } else { CONTRAINDICATED };
        let mut vector = TrustVector::default();
        for basis in BASES {
            *(basis.claim)(&mut vector) = if failed <= 2 || basis.steps.contains(&failed) {
                Some(value)
            } else if basis.steps.iter().all(|step| *step < failed) {
                Some(AFFIRMED)
            } else {
                None
            };
        }
        vector
    }
}

/// Checks of signatures, digests and replays, where evidence is not merely unwanted but false.
fn is_cryptographic(check: Check) -> bool {
    matches!(
        check,
        Check::CertificateSignature
            | Check::ReportSignature
            | Check::ReportData
            | Check::SvsmReportData
            | Check::RuntimeUserData
            | Check::RuntimeData
            | Check::Credential
            | Check::QuoteNonce
            | Check::QuotePcrDigest
            | Check::QuoteSignature
            | Check::BootLogReplay
            | Check::InitdataPcr
            | Check::BootAggregate
            | Check::ImaTemplateDigest
            | Check::ImaReplay
            | Check::WorkloadReplay
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrustTier;

    fn at(check: Check) -> TrustVector {
        VerifyError::new(check, "", "").trust_vector()
    }

    #[test]
    fn every_refusal_contraindicates_something() {
        for check in Check::ALL {
            assert_eq!(at(*check).status(), TrustTier::Contraindicated, "{}", check.name());
        }
    }

    #[test]
    fn what_was_established_before_is_affirmed_and_what_comes_after_is_not_claimed() {
        let vector = at(Check::ForeignFile);
        assert_eq!(vector.hardware, Some(AFFIRMED));
        assert_eq!(vector.instance_identity, Some(AFFIRMED));
        assert_eq!(vector.executables, Some(CONTRAINDICATED));
        assert_eq!(vector.file_system, None);
        assert_eq!(vector.configuration, None, "step 15 was not reached");
        assert_eq!(at(Check::QuoteSignature).instance_identity, Some(VALIDATION_FAILED));
    }

    #[test]
    fn evidence_that_does_not_parse_says_nothing_good() {
        let vector = at(Check::Budget);
        assert!(BASES.iter().all(|basis| {
            let mut vector = vector;
            *(basis.claim)(&mut vector) == Some(CONTRAINDICATED)
        }));
    }
}
