//! The claims of an attestation token: EAR (draft-ietf-rats-ear) as KBS protocol 0.4.0 consumers read it.
//!
//! Status and vector are written twice, with the dotted names that deployed consumers read and with those of draft-04.

use sealpod_evidence::bytes::HexArray;
use sealpod_verifier::{AttestationResult, BindingLevel, TrustVector, UnixTime};
use serde_json::{Value, json};

/// The profile whose layout the claims have.
const PROFILE: &str = "tag:github.com,2024:confidential-containers/Trustee";
/// Who says so.
pub const ISSUER: &str = "sealpod-kbs";
/// Where the channel key is (kbs-protocol.md 2.4).
pub const TEE_PUBKEY: [&str; 5] =
    ["submods", "cpu0", "ear.veraison.annotated-evidence", "runtime_data_claims", "tee-pubkey"];

/// What a token says, taken from an attestation result.
#[derive(Debug)]
pub struct Appraised<'a> {
    /// The verifier's claims.
    pub claims: &'a Value,
    /// Its vector.
    pub trust_vector: &'a TrustVector,
    /// Who vouches for the vTPM.
    pub binding_level: BindingLevel,
    /// The guest instance, where its TEE names it.
    pub report_id: Option<&'a [u8; 32]>,
    /// IMA entries that are not evidence.
    pub uncovered_ima_entries: u64,
    /// The channel key.
    pub tee_pubkey: &'a Value,
}

impl<'a> From<&'a AttestationResult> for Appraised<'a> {
    fn from(result: &'a AttestationResult) -> Self {
        Self {
            claims: result.claims(),
            trust_vector: result.trust_vector(),
            binding_level: result.binding_level(),
            report_id: result.report_id(),
            uncovered_ima_entries: result.uncovered_ima_entries(),
            tee_pubkey: result.tee_pubkey(),
        }
    }
}

/// What the broker adds.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The attestation's id, under which its evidence is archived.
    pub id: &'a str,
    /// The nonce that was answered.
    pub nonce: &'a str,
    /// When.
    pub issued: UnixTime,
    /// From when on the token is worth nothing.
    pub expires: UnixTime,
}

/// The claims.
pub fn token_claims(appraised: &Appraised<'_>, issue: &Issue<'_>) -> Value {
    let status = appraised.trust_vector.status().as_str();
    let vector = json!(appraised.trust_vector);
    let verifier =
        json!({"developer": "sealpod", "build": concat!("sealpod-kbs ", env!("CARGO_PKG_VERSION"))});
    json!({
        "eat_profile": PROFILE,
        "iss": ISSUER,
        "jti": issue.id,
        "iat": issue.issued,
        "exp": issue.expires,
        "ear.verifier-id": verifier,
        "ear_verifier_id": verifier,
        "submods": {"cpu0": {
            "ear.status": status,
            "ear_status": status,
            "ear.trustworthiness-vector": vector,
            "ear_trustworthiness_vector": vector,
            "ear.appraisal-policy-id": "sealpod",
            "ear.veraison.annotated-evidence": annotated(appraised, issue),
        }},
    })
}

/// The verifier's claims (`snp`, `report_data`, `init_data`, ...), and what the broker knows beside them.
fn annotated(appraised: &Appraised<'_>, issue: &Issue<'_>) -> Value {
    let mut out = appraised.claims.as_object().cloned().unwrap_or_default();
    let runtime_data = json!({"nonce": issue.nonce, "tee-pubkey": appraised.tee_pubkey});
    let sealpod = json!({
        "binding_level": appraised.binding_level.as_str(),
        "report_id": appraised.report_id.copied().map(HexArray),
        "uncovered_ima_entries": appraised.uncovered_ima_entries,
    });
    out.insert("runtime_data_claims".to_owned(), runtime_data);
    out.insert("sealpod".to_owned(), sealpod);
    Value::Object(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sealpod_verifier::result::TrustTier as Tier;

    pub(crate) fn affirmed() -> TrustVector {
        TrustVector {
            hardware: Some(2),
            configuration: Some(3),
            executables: Some(2),
            ..TrustVector::default()
        }
    }

    pub(crate) fn example(vector: &TrustVector, level: BindingLevel, key: &Value) -> Value {
        let claims = json!({"snp": {"measurement": "00"}, "report_data": "11", "boot": "x"});
        let appraised = Appraised {
            claims: &claims,
            trust_vector: vector,
            binding_level: level,
            report_id: Some(&[1; 32]),
            uncovered_ima_entries: 0,
            tee_pubkey: key,
        };
        let issue = Issue { id: "id", nonce: "n", issued: 10, expires: 20 };
        token_claims(&appraised, &issue)
    }

    #[test]
    fn tiers_have_the_bounds_of_ar4si() {
        for (value, tier) in [
            (-128, Tier::Contraindicated),
            (-97, Tier::Contraindicated),
            (-96, Tier::Warning),
            (-33, Tier::Warning),
            (-32, Tier::Affirming),
            (-2, Tier::Affirming),
            (-1, Tier::None),
            (1, Tier::None),
            (2, Tier::Affirming),
            (31, Tier::Affirming),
            (32, Tier::Warning),
            (95, Tier::Warning),
            (96, Tier::Contraindicated),
            (127, Tier::Contraindicated),
        ] {
            assert_eq!(Tier::of(value), tier, "{value}");
        }
    }

    #[test]
    fn the_status_is_the_worst_claim() {
        assert_eq!(TrustVector::default().status(), Tier::None);
        assert_eq!(affirmed().status(), Tier::Affirming);
        assert_eq!((TrustVector { sourced_data: Some(0), ..affirmed() }).status(), Tier::None);
        assert_eq!((TrustVector { file_system: Some(33), ..affirmed() }).status(), Tier::Warning);
        assert_eq!((TrustVector { storage_opaque: Some(97), ..affirmed() }).status(), Tier::Contraindicated);
    }

    #[test]
    fn both_spellings_say_the_same() {
        let claims = example(&affirmed(), BindingLevel::Svsm, &json!({"kty": "EC"}));
        let pod = &claims["submods"]["cpu0"];
        assert_eq!(pod["ear.status"], "affirming");
        assert_eq!(pod["ear_status"], pod["ear.status"]);
        assert_eq!(pod["ear_trustworthiness_vector"], pod["ear.trustworthiness-vector"]);
        assert_eq!(
            pod["ear.trustworthiness-vector"],
            json!({"hardware": 2, "configuration": 3, "executables": 2})
        );
        assert_eq!(TEE_PUBKEY.iter().fold(&claims, |value, name| &value[*name]), &json!({"kty": "EC"}));
        let annotated = &pod["ear.veraison.annotated-evidence"];
        assert_eq!(annotated["report_data"], "11");
        assert_eq!(annotated["boot"], "x");
        assert_eq!(annotated["sealpod"]["binding_level"], "svsm");
    }
}
