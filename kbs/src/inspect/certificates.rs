//! Certificates as facts and as a tree. Nothing is verified here; the verifier's functions do that.

use super::tree::{Node, Tone};
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::tpm::HashAlg;
use sealpod_verifier::UnixTime;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, OctetStringRef};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::name::Name;

/// Arcs of AMD and of Intel's SGX extensions.
const AMD: &str = "1.3.6.1.4.1.3704.1";
const INTEL_SGX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a VCEK or VLEK says, read leniently.
#[derive(Debug, Clone, Default)]
pub(super) struct VekFacts {
    /// The product extension's bytes as text, DER head included.
    pub product_extension: String,
    /// `milan`, `genoa` or `turin`, of the issuer's name.
    pub line: Option<String>,
    /// TCB components.
    pub tcb: Option<SnpTcb>,
    /// The same in the report's layout.
    pub tcb_bytes: Option<[u8; 8]>,
    /// Chip id.
    pub hardware_id: Option<Vec<u8>>,
    /// Cloud provider.
    pub csp: Option<String>,
    /// Validity.
    pub not_before: String,
    /// Validity.
    pub not_after: String,
}

/// A certificate that can be shown: one that parses at all.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    Certificate::from_der(der).ok()
}

/// The common name of a name.
pub(super) fn common_name(name: &Name) -> Option<&str> {
    let mut all =
        name.0.iter().flat_map(|part| part.0.iter()).filter(|attribute| attribute.oid == COMMON_NAME);
    all.next().and_then(|attribute| std::str::from_utf8(attribute.value.value()).ok())
}

/// Subject's and issuer's common names.
pub(super) fn names(der: &[u8]) -> Option<(String, String)> {
    let certificate = read(der)?;
    let text = |name: &Name| common_name(name).map_or_else(|| name.to_string(), str::to_owned);
    Some((text(&certificate.tbs_certificate.subject), text(&certificate.tbs_certificate.issuer)))
}

/// SHA-384 of the SubjectPublicKeyInfo, the form that roots are pinned by.
pub(super) fn spki_sha384(der: &[u8]) -> Option<[u8; 48]> {
    let spki = read(der)?.tbs_certificate.subject_public_key_info.to_der().ok()?;
    HashAlg::Sha384.digest(&[&spki])?.try_into().ok()
}

/// First and last second of validity.
pub(super) fn validity(der: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let validity = read(der)?.tbs_certificate.validity;
    Some((seconds(validity.not_before), seconds(validity.not_after)))
}

/// A revocation list, read leniently.
pub(super) struct List {
    /// The issuer's common name.
    pub issuer: String,
    /// The issuer's whole name.
    pub issuer_name: String,
    /// When it was made.
    pub this_update: UnixTime,
    /// When it ends.
    pub next_update: Option<UnixTime>,
    /// Serial numbers, hex.
    pub revoked: Vec<String>,
}

/// What a revocation list says.
pub(super) fn list(der: &[u8]) -> Option<List> {
    let list = CertificateList::from_der(der).ok()?.tbs_cert_list;
    let revoked = list.revoked_certificates.unwrap_or_default();
    Some(List {
        issuer: common_name(&list.issuer).map_or_else(|| list.issuer.to_string(), str::to_owned),
        issuer_name: list.issuer.to_string(),
        this_update: seconds(list.this_update),
        next_update: list.next_update.map(seconds),
        revoked: revoked.iter().map(|entry| hex::encode(entry.serial_number.as_bytes())).collect(),
    })
}

/// The issuer of a revocation list.
pub(super) fn list_issuer(der: &[u8]) -> Option<String> {
    let list = CertificateList::from_der(der).ok()?;
    Some(
        common_name(&list.tbs_cert_list.issuer)
            .map_or_else(|| list.tbs_cert_list.issuer.to_string(), str::to_owned),
    )
}

/// Facts of a chip key's certificate.
pub(super) fn vek(der: &[u8]) -> Option<VekFacts> {
    let certificate = read(der)?;
    let tbs = &certificate.tbs_certificate;
    if !matches!(common_name(&tbs.subject), Some("SEV-VCEK" | "SEV-VLEK")) {
        return None;
    }
    let extension = |arcs: &str| amd_extension(&certificate, arcs);
    let spl = |arc: u32| extension(&format!("3.{arc}")).and_then(|value| u8::from_der(value).ok());
    let issuer = common_name(&tbs.issuer).unwrap_or_default().to_ascii_lowercase();
    let line = ["milan", "genoa", "turin"].into_iter().find(|line| issuer.contains(line)).map(str::to_owned);
    let tcb =
        || Some(SnpTcb { fmc: spl(9), bootloader: spl(1)?, tee: spl(2)?, snp: spl(3)?, microcode: spl(8)? });
    let tcb = tcb();
    let tcb_bytes = tcb.map(|tcb| match tcb.fmc {
        Some(fmc) => [fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode],
        None => [tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode],
    });
    let hardware_id = extension("4").map(|value| match value.len() {
        8 | 64 => value.to_vec(),
        _ => OctetStringRef::from_der(value)
            .map(|id| id.as_bytes().to_vec())
            .unwrap_or_else(|_| value.to_vec()),
    });
    let csp = extension("5")
        .and_then(|value| Ia5StringRef::from_der(value).ok())
        .map(|name| name.as_str().to_owned());
    Some(VekFacts {
        product_extension: extension("2")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .unwrap_or_default(),
        line,
        tcb,
        tcb_bytes,
        hardware_id,
        csp,
        not_before: python_time(seconds(tbs.validity.not_before)),
        not_after: python_time(seconds(tbs.validity.not_after)),
    })
}

fn amd_extension<'a>(certificate: &'a Certificate, arcs: &str) -> Option<&'a [u8]> {
    let oid = ObjectIdentifier::new(&format!("{AMD}.{arcs}")).ok()?;
    let extensions = certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
    extensions
        .iter()
        .find(|extension| extension.extn_id == oid)
        .map(|extension| extension.extn_value.as_bytes())
}

fn seconds(time: x509_cert::time::Time) -> UnixTime {
    time.to_unix_duration().as_secs()
}

/// `2023-04-03 19:23:43+00:00`.
fn python_time(time: UnixTime) -> String {
    crate::clock::rfc3339(time).replace('T', " ").replace('Z', "+00:00")
}

/// A certificate as a tree.
pub(super) fn tree(der: &[u8], now: UnixTime) -> Node {
    let Some(certificate) = read(der) else {
        return Node::with("Certificate", format!("{} bytes that do not parse", der.len())).tone(Tone::Bad);
    };
    let tbs = &certificate.tbs_certificate;
    let mut node = Node::with("Certificate", common_name(&tbs.subject).unwrap_or("without a common name"));
    node.field("Subject", &tbs.subject).field("Issuer", &tbs.issuer);
    node.field("Serial", hex::encode(tbs.serial_number.as_bytes()));
    let (from, to) = (seconds(tbs.validity.not_before), seconds(tbs.validity.not_after));
    let tone = if (from..=to).contains(&now) { Tone::Plain } else { Tone::Bad };
    node.toned("Valid", format!("{} to {}", crate::clock::rfc3339(from), crate::clock::rfc3339(to)), tone);
    let key = &tbs.subject_public_key_info;
    let bits = key.subject_public_key.raw_bytes().len();
    node.field("Key", format!("{}, {bits} bytes", algorithm(&key.algorithm.oid)));
    node.field("Signed with", algorithm(&certificate.signature_algorithm.oid));
    if let Ok(Some((_, constraints))) = tbs.get::<BasicConstraints>() {
        let depth = constraints.path_len_constraint.map(|n| format!(", path length {n}")).unwrap_or_default();
        node.field("Authority", if constraints.ca { format!("yes{depth}") } else { "no".to_owned() });
    }
    if let Ok(Some((_, usage))) = tbs.get::<KeyUsage>() {
        let names: Vec<String> = usage.0.into_iter().map(|usage| format!("{usage:?}")).collect();
        node.field("Key usage", names.join(", "));
    }
    if let Ok(Some((_, names))) = tbs.get::<SubjectAltName>() {
        node.field("Alternative names", names.0.len());
    }
    if let Some(vek) = vek(der) {
        let mut amd = Node::new("AMD extensions");
        amd.field("Product", vek.product_extension.trim_start_matches(|c: char| c.is_control()));
        if let Some(tcb) = &vek.tcb {
            amd.field("TCB", super::snp::components(tcb));
        }
        if let Some(id) = &vek.hardware_id {
            amd.field("Chip id", hex::encode(id));
        }
        if let Some(csp) = &vek.csp {
            amd.field("Cloud provider", csp);
        }
        node.push(amd);
    }
    if tbs.extensions.as_deref().unwrap_or_default().iter().any(|extension| extension.extn_id == INTEL_SGX) {
        node.field("Intel SGX extensions", "present: a PCK certificate");
    }
    node
}

fn algorithm(oid: &ObjectIdentifier) -> String {
    let text = oid.to_string();
    let known = [
        ("1.2.840.113549.1.1.1", "RSA"),
        ("1.2.840.113549.1.1.5", "RSA with SHA-1"),
        ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
        ("1.2.840.113549.1.1.11", "RSA with SHA-256"),
        ("1.2.840.113549.1.1.12", "RSA with SHA-384"),
        ("1.2.840.113549.1.1.13", "RSA with SHA-512"),
        ("1.2.840.10045.2.1", "elliptic curve"),
        ("1.2.840.10045.4.3.2", "ECDSA with SHA-256"),
        ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
        ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
    ];
    known.iter().find(|(id, _)| *id == text).map_or(text, |(_, name)| (*name).to_owned())
}
