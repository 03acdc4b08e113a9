//! Trust roots, certificates and revocation lists, given by the broker. Nothing here fetches anything.

use crate::UnixTime;
use crate::signature::PublicKey;
use crate::snp::{self, Hint, LeafFor};
use crate::tdx::TdxEndorsements;
use crate::x509::Window;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::snp::report::{Product, TcbBytes};
use std::collections::HashMap;
use std::sync::Arc;

/// What the broker believes of processor vendors.
///
/// Keys that were verified are kept beside what they were verified under: whoever changes a root or a list, or takes a certificate
/// away, loses them, so that a verdict never outlives its grounds. One more certificate takes no ground from any of them.
#[derive(Debug, Clone, Default)]
pub struct Endorsements {
    snp_roots: Vec<SnpRoot>,
    certificates: Vec<Vec<u8>>,
    /// Where AMD's authorities are among the certificates.
    snp_authorities: Vec<usize>,
    /// Where chip keys are, and when they say that they are valid: a fleet has one for each host, and must not pay for all of them in
    /// each appraisal.
    snp_leaves: HashMap<LeafFor, Vec<(usize, Window)>>,
    crls: Vec<Vec<u8>>,
    verified: HashMap<[u8; 32], Arc<VerifiedSnpKey>>,
    tdx: TdxEndorsements,
}

/// A trusted root key, pinned by digest so that no vendor's certificate needs to be shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpRoot {
    /// The product line that it speaks for.
    pub product: Product,
    /// SHA-384 of the root certificate's SubjectPublicKeyInfo (DER).
    pub spki_sha384: [u8; 48],
}

/// A chip key (VCEK or VLEK) whose chain was verified. Made only by verification.
#[derive(Debug, Clone)]
pub struct VerifiedSnpKey {
    /// SHA-256 of the certificate.
    pub(crate) id: [u8; 32],
    /// ECDSA P-384, parsed once.
    pub(crate) public_key: PublicKey,
    /// The product line of the root that it chains to.
    pub(crate) product: Product,
    /// Whether it is a VLEK (a cloud provider's) rather than a VCEK (a chip's).
    pub(crate) vlek: bool,
    /// TCB that the certificate is for, in the report's byte layout.
    pub(crate) tcb: [u8; 8],
    /// Chip id that the certificate is for; none for a VLEK.
    pub(crate) hardware_id: Option<[u8; 64]>,
    /// The cloud provider that a VLEK is for.
    pub(crate) csp_id: Option<String>,
    /// Whether a current revocation list was held against the chain.
    pub(crate) revocation_checked: bool,
    /// The chain is valid from here...
    pub(crate) not_before: UnixTime,
    /// ...to here: the narrowest of all its certificates and lists.
    pub(crate) not_after: UnixTime,
}

impl VerifiedSnpKey {
    /// SHA-256 of the certificate.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The product line of the root that it chains to.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Whether it is a VLEK (a cloud provider's) rather than a VCEK (a chip's).
    pub fn is_vlek(&self) -> bool {
        self.vlek
    }

    /// The TCB that the certificate is for.
    pub fn tcb(&self) -> TcbBytes {
        TcbBytes(self.tcb)
    }

    /// The chip that the certificate is for, padded with zeros as in reports; none for a VLEK.
    pub fn hardware_id(&self) -> Option<&[u8; 64]> {
        self.hardware_id.as_ref()
    }

    /// The cloud provider that a VLEK is for.
    pub fn csp_id(&self) -> Option<&str> {
        self.csp_id.as_deref()
    }

    /// Whether a current revocation list was held against the chain.
    pub fn revocation_checked(&self) -> bool {
        self.revocation_checked
    }

    /// The first and the last second at which the chain, and the list if there was one, is valid.
    pub fn window(&self) -> (UnixTime, UnixTime) {
        (self.not_before, self.not_after)
    }
}

impl Endorsements {
    /// Trust these roots, and Intel's for TDX; nothing else is known yet.
    pub fn new(snp_roots: Vec<SnpRoot>) -> Self {
        Self { snp_roots, ..Self::default() }
    }

    /// AMD's root keys for Milan, Genoa and Turin.
    pub fn builtin_snp_roots() -> Vec<SnpRoot> {
        let parse = |(product, digest): (Product, &str)| {
            digest.parse().map(|HexArray(spki_sha384)| SnpRoot { product, spki_sha384 }).ok()
        };
        // A constant that does not parse is missing from the list, hence not trusted; a test counts them.
        AMD_ROOTS.into_iter().filter_map(parse).collect()
    }

    /// Intel's root and what is known of Intel's platforms.
    pub fn tdx(&self) -> &TdxEndorsements {
        &self.tdx
    }

    /// The same, to add to.
    pub fn tdx_mut(&mut self) -> &mut TdxEndorsements {
        &mut self.tdx
    }

    /// Root keys that are trusted.
    pub fn snp_roots(&self) -> &[SnpRoot] {
        &self.snp_roots
    }

    /// Certificates that a sender may leave out (ARK, ASK, ASVK, VCEK), DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Revocation lists, DER.
    pub fn crls(&self) -> &[Vec<u8>] {
        &self.crls
    }

    /// Trust one more root key.
    pub fn add_snp_root(&mut self, root: SnpRoot) {
        self.verified.clear();
        self.snp_roots.push(root);
    }

    /// Know one more certificate (DER). Nothing is believed of it by that. One that is known already is not kept twice.
    pub fn add_certificate(&mut self, der: Vec<u8>) {
        let at = self.certificates.len();
        match snp::hint(&der) {
            Some(Hint::Leaf(leaf, window)) => {
                let known = self.snp_leaves.entry(leaf).or_default();
                if known.iter().any(|(at, _)| self.certificates.get(*at) == Some(&der)) {
                    return;
                }
                known.push((at, window));
            }
            Some(Hint::Authority) => {
                if self.snp_authorities().any(|known| known == der) {
                    return;
                }
                self.snp_authorities.push(at);
            }
            None => {}
        }
        self.certificates.push(der);
    }

    /// Know one more revocation list (DER). One that the root did not sign makes its chains fail.
    pub fn add_crl(&mut self, der: Vec<u8>) {
        self.verified.clear();
        self.crls.push(der);
    }

    /// Trust these root keys and no others.
    pub fn set_snp_roots(&mut self, roots: Vec<SnpRoot>) {
        self.verified.clear();
        self.snp_roots = roots;
    }

    /// Know these certificates (DER) and no others.
    pub fn set_certificates(&mut self, certificates: Vec<Vec<u8>>) {
        self.verified.clear();
        self.snp_leaves.clear();
        self.snp_authorities.clear();
        self.certificates.clear();
        certificates.into_iter().for_each(|der| self.add_certificate(der));
    }

    /// Know these revocation lists (DER) and no others.
    pub fn set_crls(&mut self, crls: Vec<Vec<u8>>) {
        self.verified.clear();
        self.crls = crls;
    }

    /// Keep a verified key, so that its chain need not be verified again. It is still held against the time
    /// of each appraisal.
    ///
    /// It must have been verified under these very endorsements. Whoever appraises in one thread while another changes them
    /// keeps both behind one lock, or compares before remembering.
    pub fn remember(&mut self, key: Arc<VerifiedSnpKey>) {
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(key.id, key);
    }

    /// Certificates with the names of AMD's authorities.
    pub(crate) fn snp_authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.snp_authorities.iter().filter_map(|at| self.certificates.get(*at)).map(Vec::as_slice)
    }

    /// A certificate that says that it is for this chip and TCB: one that is valid at `now` if there is one.
    pub(crate) fn snp_leaf(&self, wanted: &LeafFor, now: UnixTime) -> Option<&[u8]> {
        let known = self.snp_leaves.get(wanted)?;
        let valid = known.iter().find(|(_, (from, to))| (from..=to).contains(&&now));
        let (at, _) = valid.or(known.first())?;
        self.certificates.get(*at).map(Vec::as_slice)
    }

    /// A key that was verified before, by the SHA-256 of its certificate.
    pub(crate) fn verified(&self, id: &[u8; 32]) -> Option<&Arc<VerifiedSnpKey>> {
        self.verified.get(id)
    }

    /// Whether this very key is kept already.
    pub fn remembers(&self, key: &VerifiedSnpKey) -> bool {
        self.verified.contains_key(&key.id)
    }
}

/// SHA-384 of the SubjectPublicKeyInfo of AMD's root keys: ARK-Milan, ARK-Genoa and ARK-Turin, as AMD's Key
/// Distribution Service hands them out (AMD 57230). A test computes them from copies of those certificates.
const AMD_ROOTS: [(Product, &str); 3] = [
    (
        Product::Milan,
        "1249f67f15cf229a4069195e1a9ce537d1765ef706a1f4a123c36be9518786515d25ecc007f366b564d2b3f31c48082e",
    ),
    (
        Product::Genoa,
        "32ab53a6ce5ec14926207396e5c475ae768a6a9831b7e860b5acf2e1c1dff222bc5a8bfc43eb5e06393189c1f246d880",
    ),
    (
        Product::Turin,
        "3475f08a9727f8ac9a1deaea5f2a2097aa59d64d05c2a678c229c873e6359d3a6926287a2a22cd5f88a385e333a2fcc5",
    ),
];

/// Chip keys kept: one per host of a large fleet; about 1 KiB each.
const MAX_VERIFIED: usize = 65_536;
