//! Just enough DER (ITU-T X.690) to hand public keys to aws-lc-rs.

/// `SubjectPublicKeyInfo` of an RSA key (RFC 8017 appendix A.1), from big-endian modulus and exponent.
pub fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    // AlgorithmIdentifier { rsaEncryption, NULL }
    const ALGORITHM: &[u8] =
        &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let key = tlv(0x30, &[integer(modulus), integer(exponent)].concat());
    let bits = tlv(0x03, &[&[0], key.as_slice()].concat());
    tlv(0x30, &[ALGORITHM, &bits].concat())
}

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410 section 4).
pub const ED25519_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands before the 65 bytes of an uncompressed P-256 point in its `SubjectPublicKeyInfo` (RFC 5480 section 2).
pub const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A non-negative INTEGER without surplus zeros.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let mut content = bytes.get(start..).unwrap_or_default().to_vec();
    if content.first().is_none_or(|b| b & 0x80 != 0) {
        content.insert(0, 0);
    }
    tlv(0x02, &content)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
    }

    #[test]
    fn an_rsa_key_is_encoded_as_the_library_encodes_it() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap().public_key();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&key).unwrap();
        let der = der.as_ref();
        // The modulus is the 256 bytes before the exponent 65537 (02 03 01 00 01) at the end.
        let modulus = &der[der.len() - 5 - 256..der.len() - 5];
        assert_eq!(rsa_spki(modulus, &[1, 0, 1]), der);
    }
}
