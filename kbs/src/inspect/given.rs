//! What the user gives beside the evidence.

use super::piece::{Kind, Pcrs, Piece};
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_evidence::snp::report::Product;
use sealpod_verifier::{AppraisalPolicy, Endorsements, ReferenceValues, SnpRoot, UnixTime, tdx};
use serde_json::Value;

/// Options of an appraisal.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Certificates, DER, in any order.
    pub certificates: Vec<Vec<u8>>,
    /// Revocation lists, DER.
    pub crls: Vec<Vec<u8>>,
    /// Intel collateral: QuoteCollateralV3, or bodies of the PCS.
    pub collateral: Vec<String>,
    /// PCR values.
    pub pcrs: Pcrs,
    /// Attestation key: `TPMT_PUBLIC`, SubjectPublicKeyInfo, PKCS #1, or a certificate's DER.
    pub ak: Option<Vec<u8>>,
    /// Public keys and certificates (DER) of those who sign files for IMA.
    pub keys: Vec<Vec<u8>>,
    /// What the evidence has to answer.
    pub nonce: Option<Vec<u8>>,
    /// HCL runtime data.
    pub runtime_data: Option<Vec<u8>>,
    /// The time at which everything has to be valid.
    pub now: UnixTime,
    /// How strict to be.
    pub policy: AppraisalPolicy,
    /// Whether the user gave that policy.
    pub policy_given: bool,
    /// Certificates (DER) trusted as roots beside the vendors': a simulator's, or a vendor's test root.
    pub trusted_roots: Vec<Vec<u8>>,
    /// What the owner expects; `None` where no document was given.
    pub reference: Option<ReferenceValues>,
    /// The documents behind `reference`.
    pub documents: Vec<ReferenceDocument>,
}

impl Given {
    /// Nothing but a time.
    pub fn at(now: UnixTime) -> Self {
        Self { now, ..Self::default() }
    }

    /// Take what a file of another option, or a file that only serves others, holds.
    pub fn add(&mut self, piece: &Piece) {
        self.certificates.extend(piece.certificates.iter().cloned());
        self.crls.extend(piece.crls.iter().cloned());
        self.collateral.extend(piece.collateral.iter().cloned());
        for (bank, values) in piece.all_pcrs() {
            self.pcrs.entry(bank).or_default().extend(values);
        }
        self.keys.extend(piece.ak.iter().chain(&piece.certificates).cloned());
        if self.ak.is_none() && piece.kind == Kind::AttestationKey {
            self.ak = piece.ak.clone();
        }
        if self.runtime_data.is_none() {
            self.runtime_data = piece.runtime_data.clone();
        }
    }

    /// Certificates and keys of a file given for a chain.
    pub fn add_chain(&mut self, piece: &Piece) {
        self.certificates.extend(piece.certificates.iter().cloned());
        self.crls.extend(piece.crls.iter().cloned());
        self.keys.extend(piece.ak.iter().chain(&piece.certificates).cloned());
    }

    /// The attestation key of a file given for it.
    pub fn set_ak(&mut self, piece: &Piece) -> bool {
        self.ak = match (&piece.ak, piece.certificates.first()) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(certificate)) => Some(certificate.clone()),
            (None, None) => None,
        };
        self.ak.is_some()
    }

    /// Read a policy or Reference Values.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong.
    pub fn set_policy(&mut self, text: &str) -> Result<(), String> {
        let value = document(text)?;
        let Value::Object(mut map) = value else { return Err("a policy is a table".to_owned()) };
        if map.contains_key("version") && map.contains_key("description") {
            return self.add_documents(vec![Value::Object(map)]);
        }
        for name in ["reference_values", "reference", "reference-values"] {
            match map.remove(name) {
                Some(Value::Array(list)) => self.add_documents(list)?,
                Some(document) => self.add_documents(vec![document])?,
                None => {}
            }
        }
        // A broker's whole config.toml has the policy in a table of its own.
        let policy = map.remove("appraisal").unwrap_or(Value::Object(map));
        self.policy_given = true;
        self.policy =
            serde_json::from_value(policy).map_err(|error| format!("the appraisal policy: {error}"))?;
        Ok(())
    }

    /// What the verifier believes of AMD, with what was given.
    pub fn endorsements(&self, more: &[Vec<u8>]) -> Endorsements {
        let mut endorsements = Endorsements::new(Endorsements::builtin_snp_roots());
        for der in &self.trusted_roots {
            for product in [Product::Milan, Product::Genoa, Product::Turin] {
                if let Some(spki_sha384) = super::certificates::spki_sha384(der) {
                    endorsements.add_snp_root(SnpRoot { product, spki_sha384 });
                }
            }
            endorsements.add_certificate(der.clone());
        }
        more.iter().chain(&self.certificates).for_each(|der| endorsements.add_certificate(der.clone()));
        self.crls.iter().for_each(|der| endorsements.add_crl(der.clone()));
        endorsements
    }

    /// The root keys that Intel's chains may end in.
    pub fn intel_roots(&self) -> Vec<[u8; 48]> {
        let more = self.trusted_roots.iter().filter_map(|der| tdx::root_key_digest(der).ok());
        tdx::builtin_roots().into_iter().chain(more).collect()
    }

    fn add_documents(&mut self, list: Vec<Value>) -> Result<(), String> {
        for value in list {
            let document: ReferenceDocument =
                serde_json::from_value(value).map_err(|error| format!("the Reference Values: {error}"))?;
            self.documents.push(document);
        }
        let values = ReferenceValues::from_documents(&self.documents).map_err(|error| error.to_string())?;
        self.reference = Some(values);
        Ok(())
    }
}

/// JSON or TOML.
fn document(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"));
    }
    let value: toml::Value = toml::from_str(text).map_err(|error| {
        let first = error.message().lines().next().unwrap_or_default().to_owned();
        format!("neither JSON nor TOML: {first}")
    })?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_toml_or_json_alone_or_with_reference_values() {
        let document = r#"{"version": 1, "description": "d", "snp_minimum_tcb": {"milan": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}}}"#;
        for (text, debug, reference) in [
            ("dangerous_accept_debug = true".to_owned(), true, false),
            ("[appraisal]\ndangerous_accept_debug = true\n".to_owned(), true, false),
            ("{\"dangerous_accept_debug\": true}".to_owned(), true, false),
            (document.to_owned(), false, true),
            (format!("{{\"dangerous_accept_debug\": true, \"reference_values\": [{document}]}}"), true, true),
        ] {
            let mut given = Given::at(0);
            given.set_policy(&text).unwrap();
            assert_eq!(given.policy.dangerous_accept_debug, debug, "{text}");
            assert_eq!(given.reference.is_some(), reference, "{text}");
        }
    }

    #[test]
    fn a_policy_with_a_word_that_is_none_is_refused() {
        for text in
            ["dangerous_accept_debugging = true", "{", "[", "{\"version\": 1, \"description\": 7}", "= ="]
        {
            assert!(Given::at(0).set_policy(text).is_err(), "{text}");
        }
    }
}
