//! What an answer or file is, read just far enough to file it: that it is the thing asked for, and until when it is good.
//!
//! No signature is verified here. A wrong one makes the verifier refuse; it never makes it accept.

use super::error::ContentError;
use super::item::Item;
use super::record::Record;
use rustls_pki_types::pem::{self, SectionKind};
use sealpod_verifier::UnixTime;
use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode as _, EncodePem as _};
use x509_cert::name::Name;

mod amd;
mod intel;

pub use amd::{AmdChain, AmdFile};
pub use intel::{Collateral, IntelFile};

/// Most certificates in one PEM text: AMD's chains have two, Intel's two or three, and a file may hold both of all products.
const MAX_PEM_SECTIONS: usize = 32;

/// An endorsement that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// A certificate or list in DER, a chain in PEM, collateral in JSON as it was signed.
    pub body: Vec<u8>,
    /// Certificates of whoever signed it, PEM.
    pub chain: Option<String>,
    /// First and last second at which it is good.
    pub window: (UnixTime, UnixTime),
    /// When it was issued.
    pub issued: UnixTime,
}

impl Content {
    /// Read a server's answer, and refuse what is not `item`. `chain` is the issuer chain of a header, decoded.
    pub fn read(item: &Item, body: &[u8], chain: Option<String>) -> Result<Self, ContentError> {
        match item {
            Item::Vcek { product, chip_id, tcb } => amd::vcek(body, *product, chip_id, tcb),
            Item::VcekChain(product) => amd::chain(body, *product, false),
            Item::VlekChain(product) => amd::chain(body, *product, true),
            Item::VcekCrl(product) | Item::VlekCrl(product) => amd::crl(body, *product),
            Item::TdxTcbInfo { fmspc } => intel::tcb_info(body, fmspc, chain),
            Item::TdxQeIdentity => intel::qe_identity(body, chain),
            Item::PckCrl(ca) => intel::pck_crl(body, *ca, chain),
            Item::IntelRootCrl => intel::root_crl(body),
        }
    }

    /// Refuse what is not good now, or was issued before what is held.
    pub fn require_current(&self, held: Option<&Record>, now: UnixTime) -> Result<(), ContentError> {
        let (from, to) = self.window;
        if !(from..=to).contains(&now) {
            return Err(ContentError::Validity { now, from, to });
        }
        match held {
            Some(held) if self.issued < held.head.issued => {
                Err(ContentError::Older { expected: held.head.issued, found: self.issued })
            }
            _ => Ok(()),
        }
    }
}

/// The sections of a PEM text, in order. Text between them is passed over, another kind of section is refused.
pub(super) fn pem_sections(text: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, ContentError> {
    let refuse = |found: String| ContentError::Syntax {
        expected: "certificates and lists in PEM",
        found: words(&found),
    };
    let mut rest = text;
    let mut sections = Vec::new();
    while let Some((kind, der)) = pem::from_buf(&mut rest).map_err(|e| refuse(format!("{e:?}")))? {
        if !matches!(kind, SectionKind::Certificate | SectionKind::Crl) {
            return Err(refuse(format!("{kind:?}")));
        }
        if sections.len() == MAX_PEM_SECTIONS {
            return Err(refuse(format!("more than {MAX_PEM_SECTIONS} sections")));
        }
        sections.push((kind, der));
    }
    if sections.is_empty() { Err(refuse(excerpt(text))) } else { Ok(sections) }
}

/// PEM of these certificates (DER).
pub(super) fn to_pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<String, ContentError> {
    let refuse =
        |e: x509_cert::der::Error| ContentError::Syntax { expected: "a certificate", found: e.to_string() };
    certificates
        .into_iter()
        .map(|der| {
            let certificate = Certificate::from_der(der).map_err(refuse)?;
            certificate.to_pem(x509_cert::der::pem::LineEnding::LF).map_err(refuse)
        })
        .collect()
}

/// The common name, where there is exactly one.
pub(super) fn common_name(name: &Name) -> Option<&str> {
    let mut found = name.0.iter().flat_map(|part| part.0.iter()).filter(|attribute| attribute.oid == CN);
    match (found.next(), found.next()) {
        (Some(attribute), None) => std::str::from_utf8(attribute.value.value()).ok(),
        _ => None,
    }
}

/// Somebody else's words for a log line: bounded, and nothing in it moves a cursor.
fn words(text: &str) -> String {
    const LENGTH: usize = 300;
    text.chars().take(LENGTH).flat_map(char::escape_debug).collect()
}

/// The start of bytes that are something else, for whoever looks into it.
fn excerpt(bytes: &[u8]) -> String {
    const LENGTH: usize = 40;
    let text = String::from_utf8_lossy(bytes.get(..LENGTH).unwrap_or(bytes)).escape_debug().to_string();
    format!("{} bytes: {text}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::pki;

    #[test]
    fn what_others_wrote_is_short_and_moves_nothing() {
        assert_eq!(words("a\u{1b}[2J\u{202e}\n"), "a\\u{1b}[2J\\u{202e}\\n");
        assert_eq!(words(&"ä".repeat(1000)).chars().count(), 300);
    }

    #[test]
    fn pem_is_written_and_read() {
        let text = to_pem([pki::ask_der(), pki::ark_der()]).unwrap();
        let sections: Vec<_> =
            pem_sections(text.as_bytes()).unwrap().into_iter().map(|(_, der)| der).collect();
        assert_eq!(sections, [pki::ask_der(), pki::ark_der()]);
        let many = text.repeat(17);
        for bad in ["", "<html>", &many, "-----BEGIN CERTIFICATE-----\nAAAA"] {
            assert!(matches!(pem_sections(bad.as_bytes()), Err(ContentError::Syntax { .. })), "{bad}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(pem_sections(key.as_bytes()), Err(ContentError::Syntax { .. })));
    }

    #[test]
    fn what_is_not_current_or_older_than_what_is_held_is_refused() {
        let content = |issued| Content { body: Vec::new(), chain: None, window: (100, 200), issued };
        let held = Record::new(Item::TdxQeIdentity, content(50), String::new(), 100);
        assert_eq!(content(50).require_current(Some(&held), 100), Ok(()));
        assert_eq!(
            content(49).require_current(Some(&held), 100),
            Err(ContentError::Older { expected: 50, found: 49 })
        );
        for now in [99, 201] {
            let expected = ContentError::Validity { now, from: 100, to: 200 };
            assert_eq!(content(50).require_current(None, now), Err(expected));
        }
    }
}
