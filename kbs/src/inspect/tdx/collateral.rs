//! Intel's collateral: whole, or its documents one by one.

use crate::inspect::certificates;
use crate::inspect::given::Given;
use crate::inspect::outcome::Appraisal;
use crate::inspect::piece::Piece;
use crate::inspect::tree::{Node, Tone};
use base64::Engine as _;
use sealpod_verifier::tdx::{self, Collateral, CollateralParts, VerifiedCollateral};
use sealpod_verifier::{Check, VerifyError};
use serde_json::Value;

const TCB_SIGNING: &str = "Intel SGX TCB Signing";
const ROOT: &str = "Intel SGX Root CA";

/// Collateral documents at hand for one appraisal.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Documents {
    whole: Vec<Result<Collateral, VerifyError>>,
    tcb_info: Vec<String>,
    qe_identity: Vec<String>,
    chain: Vec<u8>,
    /// Revocation lists, DER.
    pub lists: Vec<Vec<u8>>,
}

impl Documents {
    /// All that a piece and the options hold.
    pub(in crate::inspect) fn of(piece: &Piece, given: &Given) -> Self {
        let mut documents = Self::default();
        for text in piece.collateral.iter().chain(&given.collateral) {
            documents.add(text);
        }
        documents.lists.extend(piece.crls.iter().chain(&given.crls).cloned());
        let quote = piece.intel_quote.as_deref().and_then(|bytes| tdx::parse(bytes).ok());
        let own = quote.and_then(|quote| tdx::certificates(&quote).ok()).unwrap_or_default();
        let all = piece.certificates.iter().chain(&given.certificates).chain(&own);
        // Signing certificate first, then the root, each once.
        let mut chain: Vec<&Vec<u8>> = Vec::new();
        for wanted in [TCB_SIGNING, ROOT] {
            let named = |der: &&Vec<u8>| certificates::names(der).is_some_and(|(name, _)| name == wanted);
            for der in all.clone().filter(named) {
                if !chain.contains(&der) {
                    chain.push(der);
                }
            }
        }
        let signed =
            chain.iter().any(|der| certificates::names(der).is_some_and(|(name, _)| name == TCB_SIGNING));
        documents.chain = chain.into_iter().filter(|_| signed).flat_map(|der| pem(der)).collect();
        documents.complete();
        documents
    }

    /// Whether anything was given at all.
    pub(in crate::inspect) fn any(&self) -> bool {
        !self.whole.is_empty() || !self.tcb_info.is_empty() || !self.qe_identity.is_empty()
    }

    fn add(&mut self, text: &str) {
        let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else { return };
        let has = |name: &str| map.contains_key(name);
        if has("tcb_info") || has("qe_identity") || has("pck_crl") {
            let collateral = Collateral::from_json(text.as_bytes());
            if let Ok(collateral) = &collateral {
                self.lists.extend(collateral.revocation_lists().map(<[u8]>::to_vec));
            }
            return self.whole.push(collateral);
        }
        if has("tcbInfo") {
            self.tcb_info.push(text.to_owned());
        }
        if has("enclaveIdentity") {
            self.qe_identity.push(text.to_owned());
        }
    }

    /// Put single documents together to a whole where all of it is there.
    fn complete(&mut self) {
        let (Some(tcb_info), Some(qe_identity)) = (self.tcb_info.first(), self.qe_identity.first()) else {
            return;
        };
        let issued_by = |name: &str| {
            self.lists
                .iter()
                .find(|list| certificates::list_issuer(list).is_some_and(|issuer| issuer.contains(name)))
        };
        let (Some(root_ca_crl), Some(pck_crl)) = (issued_by("Root CA"), issued_by("PCK")) else { return };
        if self.chain.is_empty() {
            return;
        }
        let parts = CollateralParts {
            tcb_info: tcb_info.as_bytes(),
            tcb_info_issuer_chain: &self.chain,
            qe_identity: qe_identity.as_bytes(),
            qe_identity_issuer_chain: &self.chain,
            pck_crl,
            root_ca_crl,
        };
        self.whole.push(Collateral::from_parts(parts));
    }

    /// Step 3 for the collateral.
    pub(in crate::inspect) fn verify(
        &self,
        given: &Given,
        out: &mut Appraisal,
    ) -> Option<VerifiedCollateral> {
        let expected = "collateral signed by Intel and valid now";
        let roots = given.intel_roots();
        let fmspc = out.facts.get("fmspc").and_then(Value::as_str).map(str::to_owned);
        let of_platform = |known: &&Result<Collateral, VerifyError>| {
            known.as_ref().is_ok_and(|known| Some(known.fmspc().to_string()) == fmspc)
        };
        let first = self.whole.iter().find(of_platform).or_else(|| self.whole.first());
        let Some(whole) = first else {
            self.single(given, &roots, out);
            let missing = self.missing();
            out.not_run(Check::CollateralSignature, expected, missing);
            return None;
        };
        let collateral = match whole {
            Ok(collateral) => collateral,
            Err(error) => {
                out.failed(error.clone());
                return None;
            }
        };
        out.tree.push(node(collateral));
        let verified = tdx::verify_collateral(collateral, &roots, given.now);
        let found = |verified: &VerifiedCollateral| {
            let (from, to) = verified.window();
            let time = crate::clock::rfc3339;
            format!("for FMSPC {}, holds from {} to {}", verified.tcb_info().fmspc, time(from), time(to))
        };
        out.ran(Check::CollateralSignature, expected, verified.as_ref().map(found).map_err(Clone::clone));
        verified.ok()
    }

    fn missing(&self) -> String {
        let mut missing = Vec::new();
        if self.tcb_info.is_empty() {
            missing.push("TCB info");
        }
        if self.qe_identity.is_empty() {
            missing.push("QE identity");
        }
        if self.chain.is_empty() {
            missing.push("its TCB signing certificate (--chain)");
        }
        if self.lists.len() < 2 {
            missing.push("revocation lists of Intel's root and PCK CA (--crl)");
        }
        if self.any() {
            format!("the rest of the collateral: {}", missing.join(", "))
        } else {
            "--collateral FILE: QuoteCollateralV3 JSON, or the answers of Intel's PCS or a PCCS (https://api.trustedservices.intel.com)".to_owned()
        }
    }

    /// Documents that are there without the rest.
    fn single(&self, given: &Given, roots: &[[u8; 48]], out: &mut Appraisal) {
        let named = |name: &str| {
            self.chain.is_empty().then(|| {
                format!("{name}'s signing certificate \"{TCB_SIGNING}\" and Intel's root: --chain FILE")
            })
        };
        let dates = |issued: u64, next: u64| -> Result<String, VerifyError> {
            let time = crate::clock::rfc3339;
            let window = format!("{} to {}", time(issued), time(next));
            if (issued..=next).contains(&given.now) {
                return Ok(format!("signed by Intel, holds {window}"));
            }
            let expected = format!("a document that holds at {}", time(given.now));
            Err(VerifyError::new(Check::CollateralValidity, expected, window))
        };
        for body in &self.tcb_info {
            let expected = "TCB info signed by Intel and valid now";
            if let Some(needs) = named("the TCB info") {
                out.not_run(Check::CollateralSignature, expected, needs);
                continue;
            }
            let info = tdx::verify_tcb_info(body.as_bytes(), &self.chain, roots, given.now);
            out.ran(
                Check::CollateralSignature,
                expected,
                info.and_then(|info| dates(info.issue_date, info.next_update)),
            );
        }
        for body in &self.qe_identity {
            let expected = "QE identity signed by Intel and valid now";
            if let Some(needs) = named("the QE identity") {
                out.not_run(Check::CollateralSignature, expected, needs);
                continue;
            }
            let identity = tdx::verify_qe_identity(body.as_bytes(), &self.chain, roots, given.now);
            out.ran(
                Check::CollateralSignature,
                expected,
                identity.and_then(|it| dates(it.issue_date, it.next_update)),
            );
        }
    }
}

/// Appraise collateral without a quote.
pub(in crate::inspect) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) {
    let documents = Documents::of(piece, given);
    for text in &piece.collateral {
        out.tree.push(document(text, given.now));
    }
    if let Some((body, _)) =
        piece.collateral.iter().find_map(|text| Some((text, serde_json::from_str::<Value>(text).ok()?)))
    {
        out.ran(Check::Collateral, "a document of Intel's PCS", Ok(format!("{} bytes of JSON", body.len())));
    }
    documents.verify(given, out);
}

fn node(collateral: &Collateral) -> Node {
    let mut node = Node::new("Collateral");
    node.field(
        "For",
        format!("{} with FMSPC {}, {} CA", collateral.tee(), collateral.fmspc(), collateral.ca().as_str()),
    );
    node
}

/// The dates and levels of a document, read leniently.
fn document(text: &str, now: u64) -> Node {
    let mut node = Node::new("Document");
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        node.toned("JSON", "does not parse", Tone::Bad);
        return node;
    };
    for (name, label) in [
        ("tcbInfo", "TCB info"),
        ("enclaveIdentity", "QE identity"),
        ("tcb_info", "TCB info"),
        ("qe_identity", "QE identity"),
    ] {
        let inner = match value.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            Some(other) => Some(other.clone()),
            None => None,
        };
        let Some(inner) = inner else { continue };
        let mut of = Node::new(label);
        for (key, label) in [
            ("id", "Id"),
            ("version", "Version"),
            ("fmspc", "FMSPC"),
            ("pceId", "PCE id"),
            ("tcbEvaluationDataNumber", "Evaluation data number"),
            ("mrsigner", "MRSIGNER"),
            ("isvprodid", "Product"),
        ] {
            if let Some(value) = inner.get(key) {
                of.field(label, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        for (key, label, future) in [("issueDate", "Issued", false), ("nextUpdate", "Next update", true)] {
            let Some(text) = inner.get(key).and_then(Value::as_str) else { continue };
            let time = crate::inspect::time::parse(text).unwrap_or(0);
            let wrong = if future { time < now } else { time > now };
            of.toned(label, text, if wrong { Tone::Bad } else { Tone::Plain });
        }
        let levels = inner.get("tcbLevels").and_then(Value::as_array);
        for level in levels.into_iter().flatten().take(32) {
            let status = level.get("tcbStatus").and_then(Value::as_str).unwrap_or("without a status");
            let date = level.get("tcbDate").and_then(Value::as_str).unwrap_or("without a date");
            let tone = if status == "UpToDate" { Tone::Good } else { Tone::Notice };
            of.toned(format!("Level of {date}"), status, tone);
        }
        node.push(of);
    }
    node
}

fn pem(der: &[u8]) -> Vec<u8> {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes()
}
