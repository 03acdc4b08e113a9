//! Certificates, revocation lists and public keys, PEM and DER, in bundles and in any order.

use crate::inspect::piece::{Kind, Piece};
use crate::inspect::text;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

/// Most certificates of one file; the longest chain that is published has four.
const MAX_CERTIFICATES: usize = 256;

/// Certificates and lists in a PEM text. Texts between and other blocks are passed over, but a key alone is one.
pub(super) fn pem(text: &str) -> Option<Piece> {
    let mut piece = Piece::new(Kind::Certificate);
    for (label, der) in blocks(text) {
        match label {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE"
                if piece.certificates.len() < MAX_CERTIFICATES =>
            {
                piece.certificates.push(der);
            }
            "X509 CRL" | "CRL" => piece.crls.push(der),
            "PUBLIC KEY" | "RSA PUBLIC KEY" if piece.ak.is_none() => piece.ak = Some(der),
            _ => {}
        }
    }
    piece.kind = match (&piece.certificates[..], &piece.crls[..], &piece.ak) {
        ([], [], Some(_)) => Kind::AttestationKey,
        ([], [_, ..], _) => Kind::Crl,
        ([_, ..], ..) => Kind::Certificate,
        ([], [], None) => return None,
    };
    piece.form.push("PEM".to_owned());
    Some(piece)
}

/// One certificate or list, several one after the other, or a public key.
pub(super) fn der(bytes: &[u8]) -> Option<Piece> {
    if bytes.first() != Some(&0x30) {
        return None;
    }
    let mut piece = Piece::new(Kind::Certificate);
    let mut rest = bytes;
    while !rest.is_empty() && rest.iter().any(|b| *b != 0) {
        let (value, tail) = first_value(rest)?;
        if is_certificate(value) && piece.certificates.len() < MAX_CERTIFICATES {
            piece.certificates.push(value.to_vec());
        } else if is_crl(value) {
            piece.crls.push(value.to_vec());
        } else if is_public_key(value) && piece.ak.is_none() {
            piece.ak = Some(value.to_vec());
        } else {
            return None;
        }
        rest = tail;
    }
    piece.kind = match (&piece.certificates[..], &piece.crls[..], &piece.ak) {
        ([_, ..], ..) => Kind::Certificate,
        ([], [_, ..], _) => Kind::Crl,
        ([], [], Some(_)) => Kind::AttestationKey,
        ([], [], None) => return None,
    };
    piece.form.push("DER".to_owned());
    Some(piece)
}

/// All certificates and lists of a file that may be PEM, DER, or either of them as hex or base64.
pub fn certificates(bytes: &[u8]) -> Option<Piece> {
    let of_text = |text: &str| if text.contains("-----BEGIN ") { pem(text) } else { None };
    if let Some(piece) = der(bytes) {
        return Some(piece);
    }
    let text = text::of(bytes)?;
    of_text(&text).or_else(|| {
        let inner = text::hex_bytes(&text).or_else(|| text::base64_bytes(&text))?;
        der(&inner).or_else(|| text::of(&inner).and_then(|text| of_text(&text)))
    })
}

/// Whether DER has the outer form of a certificate: a version 3 body in three parts.
pub fn is_certificate(der: &[u8]) -> bool {
    // The body's explicit version is what a revocation list has not.
    body(der).is_some_and(|body| body.first() == Some(&0xa0))
}

/// Whether DER has the outer form of a revocation list.
pub fn is_crl(der: &[u8]) -> bool {
    x509_cert::crl::CertificateList::from_der(der).is_ok()
        || body(der).is_some_and(|body| x509_cert::crl::TbsCertList::from_der(&wrapped(body)).is_ok())
}

/// The content of the first of the three parts of `SIGNED{}`.
fn body(der: &[u8]) -> Option<&[u8]> {
    let (content, rest) = content(der, 0x30)?;
    if !rest.is_empty() {
        return None;
    }
    let (body, rest) = self::content(content, 0x30)?;
    let (_algorithm, rest) = self::content(rest, 0x30)?;
    let (_signature, rest) = self::content(rest, 0x03)?;
    rest.is_empty().then_some(body)
}

fn wrapped(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0x30, 0x84], length.as_slice(), content].concat()
}

fn is_public_key(der: &[u8]) -> bool {
    x509_cert::spki::SubjectPublicKeyInfoRef::from_der(der).is_ok() || is_rsa_public_key(der)
}

/// `RSAPublicKey` of RFC 8017: two positive integers.
fn is_rsa_public_key(der: &[u8]) -> bool {
    let parts = || {
        let (inner, rest) = content(der, 0x30)?;
        let (modulus, tail) = content(inner, 0x02)?;
        let (exponent, end) = content(tail, 0x02)?;
        Some(rest.is_empty() && end.is_empty() && modulus.len() > 64 && exponent.len() <= 8)
    };
    parts().unwrap_or(false)
}

/// The first value with its tag and length, and what follows it.
fn first_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let value = reader.tlv_bytes().ok()?;
    bytes.split_at_checked(value.len())
}

/// The content of a value with this tag, and what follows it.
fn content(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    if *first != tag { None } else { rest.split_at_checked(length) }
}

/// Label and content of each PEM block that decodes.
fn blocks(text: &str) -> Vec<(&str, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else { break };
        let Some((body, after)) = after.split_once("-----END ") else { break };
        // JSON and shell variables carry line ends as two characters.
        let body = body.replace("\\r", "").replace("\\n", "\n");
        if let Some(der) = text::base64_bytes(&body) {
            found.push((label, der));
        }
        rest = after;
    }
    found
}
