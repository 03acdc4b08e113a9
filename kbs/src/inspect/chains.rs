//! Certificates and revocation lists by themselves: that they chain to a vendor's root, now.

use super::certificates;
use super::given::Given;
use super::outcome::Appraisal;
use super::piece::Piece;
use super::snp;
use super::tree::{Node, Tone};
use sealpod_verifier::x509::{Algorithm, Certificate, Curve, KeyKind, Profile, crl};
use sealpod_verifier::{Check, VerifyError, tdx};

/// Most certificates that a path has.
const MAX_PATH: usize = 6;

/// AMD's authorities (AMD 57230).
static AMD: Profile = Profile {
    source: "AMD 57230",
    algorithms: &[Algorithm::RsaPssSha384],
    authority_keys: &[KeyKind::Rsa(4096)],
    leaf_keys: &[KeyKind::Ec(Curve::P384)],
    critical: &[],
};
/// Intel's SGX certificates (Intel SGX PCK Certificate and CRL Profile Specification).
static INTEL: Profile = Profile {
    source: "Intel's PCK certificate profile",
    algorithms: &[Algorithm::EcdsaP256Sha256],
    authority_keys: &[KeyKind::Ec(Curve::P256)],
    leaf_keys: &[KeyKind::Ec(Curve::P256)],
    critical: &[],
};

/// Whose certificates they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vendor {
    Amd,
    Intel,
}

impl Vendor {
    fn of(der: &[u8]) -> Option<Self> {
        let certificate = certificates::read(der)?;
        let text = format!("{} {}", certificate.tbs_certificate.subject, certificate.tbs_certificate.issuer);
        Self::of_name(&text)
    }

    fn of_name(text: &str) -> Option<Self> {
        if text.contains("Advanced Micro Devices") {
            Some(Self::Amd)
        } else if text.contains("Intel SGX") {
            Some(Self::Intel)
        } else {
            None
        }
    }

    fn profile(self) -> &'static Profile {
        match self {
            Self::Amd => &AMD,
            Self::Intel => &INTEL,
        }
    }

    /// Whether a root's key is one of the vendor's, or one that the user trusts.
    fn trusts(self, der: &[u8], given: &Given) -> bool {
        let Some(found) = certificates::spki_sha384(der) else { return false };
        match self {
            Self::Amd => given.endorsements(&[]).snp_roots().iter().any(|root| root.spki_sha384 == found),
            Self::Intel => given.intel_roots().contains(&found),
        }
    }
}

/// Appraise every certificate and list of a piece.
pub(super) fn appraise(piece: &Piece, given: &Given, out: &mut Appraisal) {
    let all: Vec<Vec<u8>> = piece.certificates.iter().chain(&given.certificates).cloned().collect();
    out.fact("certificates", piece.certificates.len());
    let names =
        piece.certificates.iter().filter_map(|der| certificates::names(der)).map(|(subject, _)| subject);
    out.fact("subjects", names.collect::<Vec<_>>());
    if let [only] = &piece.certificates[..]
        && let Some((from, to)) = certificates::validity(only)
    {
        out.fact("not_before", crate::clock::rfc3339(from));
        out.fact("not_after", crate::clock::rfc3339(to));
    }
    for der in &piece.certificates {
        out.tree.push(certificates::tree(der, given.now));
        one(der, &all, given, out);
    }
    for der in &piece.crls {
        list(der, &all, given, out);
    }
}

fn one(der: &[u8], all: &[Vec<u8>], given: &Given, out: &mut Appraisal) {
    let Some((subject, _)) = certificates::names(der) else {
        let found = format!("{} bytes that do not parse", der.len());
        return out.failed(VerifyError::new(Check::CertificateSyntax, "an X.509 certificate", found));
    };
    let expected = format!("{subject}: a chain to its vendor's root, valid now");
    if certificates::vek(der).is_some() {
        return match snp::missing(der, all) {
            Some(missing) => {
                if let Err(error) = links(der, all, given) {
                    return out.failed(error);
                }
                alone(der, Vendor::Amd, &subject, given, out);
                out.not_run(Check::ChainIncomplete, expected, format!("--chain with {missing}"));
            }
            None => {
                if let Some(key) = snp::chain(der, &[], &given.endorsements(all), given, out) {
                    out.tree.push(snp::key_node(&key));
                }
            }
        };
    }
    match Vendor::of(der) {
        Some(Vendor::Intel) if subject == "Intel SGX PCK Certificate" => pck(der, all, given, expected, out),
        Some(vendor) => path(der, all, vendor, given, &subject, out),
        None => {
            let window = certificates::validity(der).unwrap_or_default();
            dates(window, &subject, given, out);
            out.not_run(
                Check::TrustRoot,
                expected,
                "a vendor whose root is built in: AMD (SEV) or Intel (SGX, TDX)",
            );
        }
    }
}

/// A certificate without those above it: that it is well formed and of this time.
fn alone(der: &[u8], vendor: Vendor, subject: &str, given: &Given, out: &mut Appraisal) {
    match Certificate::parse(der, vendor.profile()) {
        Ok(certificate) => {
            dates(certificate.window(), subject, given, out);
        }
        Err(error) => out.failed(error),
    }
}

fn dates(window: (u64, u64), subject: &str, given: &Given, out: &mut Appraisal) {
    let time = crate::clock::rfc3339;
    let text = format!("{} to {}", time(window.0), time(window.1));
    let result = (window.0..=window.1).contains(&given.now).then_some(&text).ok_or_else(|| {
        VerifyError::new(
            Check::CertificateValidity,
            format!("{subject} valid at {}", time(given.now)),
            format!("valid {text}"),
        )
    });
    out.ran(Check::CertificateValidity, format!("{subject} valid now"), result);
}

fn pck(der: &[u8], all: &[Vec<u8>], given: &Given, expected: String, out: &mut Appraisal) {
    let named = |name: &str| {
        all.iter().any(|der| certificates::names(der).is_some_and(|(subject, _)| subject == name))
    };
    let issuer = certificates::names(der).map(|(_, issuer)| issuer).unwrap_or_default();
    if !named(&issuer) || !named("Intel SGX Root CA") {
        alone(der, Vendor::Intel, "Intel SGX PCK Certificate", given, out);
        let needs = format!("--chain with {issuer:?} and \"Intel SGX Root CA\"");
        return out.not_run(Check::ChainIncomplete, expected, needs);
    }
    let chain: Vec<Vec<u8>> =
        std::iter::once(der.to_vec()).chain(all.iter().filter(|other| *other != der).cloned()).collect();
    let result = tdx::pck(&chain, &given.intel_roots(), &given.crls, given.policy.require_crl, given.now);
    if let Ok(pck) = &result {
        out.fact("fmspc", pck.platform().fmspc.to_string());
    }
    out.ran(
        Check::CertificateSignature,
        expected,
        result.map(|pck| format!("{} CA, FMSPC {}", pck.ca().as_str(), pck.platform().fmspc)),
    );
}

/// An authority: each is signed by the next, up to a root that is trusted.
fn path(der: &[u8], all: &[Vec<u8>], vendor: Vendor, given: &Given, subject: &str, out: &mut Appraisal) {
    let expected = format!("{subject}: signed by its issuer, up to the vendor's root, valid now");
    match climb(der, all, vendor, given) {
        Ok(Climbed::Root(steps)) => {
            let found = if steps == 0 {
                "the vendor's root itself".to_owned()
            } else {
                format!("chains to the vendor's root, {steps} above it")
            };
            out.ran(Check::CertificateSignature, expected, Ok(format!("{subject}: {found}")));
        }
        Ok(Climbed::Missing(issuer)) => {
            alone(der, vendor, subject, given, out);
            out.not_run(Check::ChainIncomplete, expected, format!("--chain with {issuer:?}"));
        }
        Err(error) => out.failed(error),
    }
}

/// The links of an AMD chain that are at hand: each certificate is signed by the next, as far as they go.
pub(super) fn links(leaf: &[u8], all: &[Vec<u8>], given: &Given) -> Result<(), VerifyError> {
    climb(leaf, all, Vendor::Amd, given).map(drop)
}

enum Climbed {
    Root(usize),
    Missing(String),
}

fn climb(der: &[u8], all: &[Vec<u8>], vendor: Vendor, given: &Given) -> Result<Climbed, VerifyError> {
    let mut current = Certificate::parse(der, vendor.profile())?;
    current.validity(given.now)?;
    let mut path = vec![der];
    for depth in 0..MAX_PATH {
        if current.subject() == current.issuer() {
            if !vendor.trusts(current.der(), given) {
                let found = certificates::spki_sha384(current.der()).map(hex::encode).unwrap_or_default();
                return Err(VerifyError::new(Check::TrustRoot, "a root with a key of the vendor's", found));
            }
            if !current.is_signed_by(&current) {
                let found = current.issuer().to_string();
                return Err(VerifyError::new(Check::CertificateSignature, "a self-signed root", found));
            }
            current.require_authority(u8::try_from(depth.saturating_sub(1)).unwrap_or(u8::MAX))?;
            return Ok(Climbed::Root(depth));
        }
        let mut named = all.iter().filter(|other| !path.contains(&other.as_slice())).filter_map(|other| {
            let issuer = Certificate::parse(other, vendor.profile()).ok()?;
            (issuer.subject() == current.issuer()).then_some((other, issuer))
        });
        let Some(first) = named.next() else {
            let issuer = certificates::common_name(current.issuer())
                .map_or_else(|| current.issuer().to_string(), str::to_owned);
            return Ok(Climbed::Missing(issuer));
        };
        // Several may bear the name: the one whose key made the signature is the issuer.
        let signer = std::iter::once(first).chain(named).find(|(_, issuer)| current.is_signed_by(issuer));
        let Some((der, issuer)) = signer else {
            let found = format!("{}, not signed by that key", current.subject());
            return Err(VerifyError::new(Check::CertificateSignature, current.issuer(), found));
        };
        issuer.validity(given.now)?;
        path.push(der);
        current = issuer;
    }
    Err(VerifyError::new(Check::CertificateName, format!("a path of at most {MAX_PATH}"), "a longer one"))
}

/// A revocation list: signed by its issuer, who chains to a root, and of this time.
fn list(der: &[u8], all: &[Vec<u8>], given: &Given, out: &mut Appraisal) {
    let Some(list) = certificates::list(der) else {
        let found = format!("{} bytes that do not parse", der.len());
        return out.failed(VerifyError::new(Check::RevocationList, "a revocation list", found));
    };
    let mut node = Node::with("Revocation list", &list.issuer);
    let time = crate::clock::rfc3339;
    let current = list.this_update <= given.now && list.next_update.is_none_or(|next| given.now <= next);
    let next = list.next_update.map_or_else(|| "without an end".to_owned(), time);
    node.toned(
        "Holds",
        format!("{} to {next}", time(list.this_update)),
        if current { Tone::Plain } else { Tone::Bad },
    );
    node.field("Revoked", format!("{} certificates", list.revoked.len()));
    for serial in list.revoked.iter().take(20) {
        node.field("Serial", serial);
    }
    out.tree.push(node);
    out.fact("crl_issuer", list.issuer.as_str());
    out.fact("crl_this_update", time(list.this_update));
    out.fact("crl_next_update", list.next_update.map(time));
    out.fact("revoked", list.revoked.len());
    let expected = format!("a current list signed by {}", list.issuer);
    let vendor = Vendor::of_name(&list.issuer_name);
    let issuer =
        all.iter().find(|der| certificates::names(der).is_some_and(|(subject, _)| subject == list.issuer));
    let (Some(vendor), Some(issuer)) = (vendor, issuer) else {
        let window = format!("{} to {next}", time(list.this_update));
        let result =
            current.then_some(format!("holds {window}; its signature was not verified")).ok_or_else(|| {
                VerifyError::new(
                    Check::RevocationList,
                    format!("a list that holds at {}", time(given.now)),
                    format!("one of {window}"),
                )
            });
        out.ran(Check::CertificateValidity, "a list of this time", result);
        return out.not_run(
            Check::CertificateSignature,
            expected,
            format!("--chain with the issuer's certificate, {:?}", list.issuer),
        );
    };
    if let Err(error) = climb(issuer, all, vendor, given) {
        return out.failed(error);
    }
    let result = Certificate::parse(issuer, vendor.profile())
        .and_then(|issuer| crl::check(&[der.to_vec()], &issuer, &[], true, given.now));
    out.ran(
        Check::RevocationList,
        expected,
        result.map(|_| format!("signed, holds to {next}, {} revoked", list.revoked.len())),
    );
}
