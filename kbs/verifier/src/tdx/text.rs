//! The forms in which certificates and lists come: PEM or DER, hex, and PEM escaped for an HTTP header.

use crate::{Check, VerifyError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{Decode as _, Header, Reader as _, SliceReader};

/// Most certificates of one chain; Intel's have up to three.
const MAX_CERTIFICATES: usize = 8;
/// Most bytes of one chain in any form: three certificates are 4 KB, escaped twice that.
pub(super) const MAX_CHAIN: usize = 32 << 10;
const CERTIFICATE: &str = "CERTIFICATE";
const LIST: &str = "X509 CRL";

/// DER certificates of a chain that is PEM (escaped or not, with NULs at the end or not) or DER, one after the other.
///
/// # Errors
///
/// [`Check::CertificateSyntax`] for anything else, [`Check::Budget`] for more than any chain has.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, VerifyError> {
    if bytes.len() > MAX_CHAIN {
        let expected = format!("a certificate chain of at most {MAX_CHAIN} bytes");
        return Err(VerifyError::new(Check::Budget, expected, bytes.len()));
    }
    let found = if bytes.first() == Some(&0x30) { der_items(bytes) } else { pem_items(bytes, CERTIFICATE) };
    let found = found.map_err(|found| {
        VerifyError::new(Check::CertificateSyntax, "certificates in PEM or DER and nothing else", found)
    })?;
    if found.len() > MAX_CERTIFICATES {
        let expected = format!("at most {MAX_CERTIFICATES} certificates");
        return Err(VerifyError::new(Check::Budget, expected, found.len()));
    }
    Ok(found)
}

/// One DER revocation list that is DER, PEM, hex or base64.
///
/// # Errors
///
/// A text that says what is wrong with it.
pub(super) fn revocation_list(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|byte| !byte.is_ascii_hexdigit()) {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "neither DER nor text")?.trim();
    if text.starts_with('-') {
        let mut items = pem_items(bytes, LIST)?;
        return match (items.pop(), items.is_empty()) {
            (Some(list), true) => Ok(list),
            _ => Err("not one list".to_owned()),
        };
    }
    hex::decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| "neither hex nor base64".to_owned())
}

/// Whole DER values, one after the other.
fn der_items(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = SliceReader::new(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    while !reader.is_finished() {
        Header::decode(&mut reader.clone()).map_err(|error| error.to_string())?;
        out.push(reader.tlv_bytes().map_err(|error| error.to_string())?.to_vec());
    }
    Ok(out)
}

/// The contents of PEM blocks of one label; between them may only be white space, after them NULs too.
fn pem_items(bytes: &[u8], label: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let unescaped;
    let mut rest = text.trim_end_matches('\0').trim();
    if rest.contains("%20") {
        unescaped = unescape(rest)?;
        rest = unescaped.trim();
    }
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut out = Vec::new();
    while !rest.is_empty() {
        let body = rest.strip_prefix(&begin).ok_or_else(|| format!("no {begin} at {:.40?}", rest))?;
        let (body, after) = body.split_once(&end).ok_or_else(|| format!("no {end}"))?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        out.push(STANDARD.decode(body).map_err(|error| error.to_string())?);
        rest = after.trim_start();
    }
    Ok(out)
}

/// Undoes percent-encoding (RFC 3986, section 2.1), as in the headers of Intel's service.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err("a percent sign without two hex digits".to_owned());
        };
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMC\r\nAQU=\n-----END CERTIFICATE-----\n";
    const DER: [u8; 5] = [0x30, 3, 2, 1, 5];

    #[test]
    fn chains_come_in_three_forms() {
        let escaped = format!("{PEM}{PEM}").replace('\n', "%0A").replace(' ', "%20").replace('=', "%3D");
        for text in [format!("{PEM}{PEM}"), format!("{PEM}\n{PEM}\0\0"), escaped] {
            assert_eq!(certificates(text.as_bytes()).unwrap(), [DER.to_vec(), DER.to_vec()], "{text}");
        }
        assert_eq!(certificates(&[DER, DER].concat()).unwrap(), [DER.to_vec(), DER.to_vec()]);
        assert!(certificates(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_chain_is_refused() {
        let long = DER.repeat(MAX_CERTIFICATES + 1);
        let bad: [&[u8]; 7] = [
            b"text",
            b"-----BEGIN CERTIFICATE-----\nMAMC",
            b"-----BEGIN CERTIFICATE-----\nM!MC-----END CERTIFICATE-----",
            b"-----BEGIN%20CERTIFICATE-----%0",
            &[0x30, 9, 1],
            b"\xff",
            &long,
        ];
        for bytes in bad {
            assert!(certificates(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(certificates(&vec![b' '; MAX_CHAIN + 1]).unwrap_err().check, Check::Budget);
    }

    #[test]
    fn a_list_comes_in_four_forms() {
        let pem = PEM.replace("CERTIFICATE", LIST);
        for form in [&DER[..], b"3003020105", b"MAMCAQU=\n", pem.as_bytes()] {
            assert_eq!(revocation_list(form).unwrap(), DER);
        }
        for bad in [&b"\xff\x00"[..], b"-----BEGIN X509 CRL-----", b"zz", PEM.as_bytes()] {
            assert!(revocation_list(bad).is_err());
        }
        assert!(revocation_list(format!("{pem}{pem}").as_bytes()).is_err());
    }
}
