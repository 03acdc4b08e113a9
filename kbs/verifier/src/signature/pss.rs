//! RSASSA-PSS with the longest salt that fits, which old TPMs make.
//!
//! The library that does all other cryptography here takes salts as long as the digest alone. TPM 2.0 Part 1, annex B.7 has the salt
//! as long as fits; a TPM that keeps to FIPS 186-4 has it as long as the digest. Both lengths are fixed, so neither is the sender's
//! choice. Only public numbers are computed with, so how long it takes tells nobody anything.

use aws_lc_rs::digest::{self, Algorithm, Context};
use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};
use num_bigint::BigUint;

/// Last byte of an encoded message (RFC 8017, section 9.1.1, step 12).
const TRAILER: u8 = 0xbc;
/// Longest exponent. One of hundreds of bits would make verification slow.
const MAX_EXPONENT_BITS: u64 = 32;
/// RSA keys that TPMs have.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// Whether `signature` over `message` is by this key (DER `RSAPublicKey`), with the hash also in MGF1 and a salt of exactly `emLen - hLen - 2`
/// bytes (RFC 8017, section 8.1.2).
pub(super) fn verifies_with_longest_salt(
    key: &[u8],
    hash: &'static Algorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    verify(key, hash, message, signature).is_some()
}

/// `Some` where the signature holds.
fn verify(key: &[u8], hash: &'static Algorithm, message: &[u8], signature: &[u8]) -> Option<()> {
    let (modulus, exponent) = public_key(key)?;
    let number = BigUint::from_bytes_be(signature);
    let length = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
    // A key of whole bytes has an encoded message of as many, with one bit free in front.
    let fits = MODULUS_BYTES.contains(&length) && modulus.bits() % 8 == 0;
    if !fits || signature.len() != length || number >= modulus {
        return None;
    }
    let opened = number.modpow(&exponent, &modulus).to_bytes_be();
    let mut encoded = vec![0; length.checked_sub(opened.len())?];
    encoded.extend(opened);
    let (masked, rest) = encoded.split_at_checked(length.checked_sub(hash.output_len() + 1)?)?;
    let (h, trailer) = rest.split_at_checked(hash.output_len())?;
    let free = *masked.first()? & 0x80;
    if trailer != [TRAILER] || free != 0 {
        return None;
    }
    let mut data: Vec<u8> = masked.iter().zip(mask(hash, h, masked.len())).map(|(a, b)| a ^ b).collect();
    *data.first_mut()? &= 0x7f;
    // The padding in front of the salt is empty: a one, and all the rest is salt.
    let (1, salt) = data.split_first()? else { return None };
    let mut context = Context::new(hash);
    context.update(&[0; 8]);
    context.update(digest::digest(hash, message).as_ref());
    context.update(salt);
    (context.finish().as_ref() == h).then_some(())
}

/// MGF1 (RFC 8017, appendix B.2.1).
fn mask(hash: &'static Algorithm, seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u32..).map(|counter| {
        let mut context = Context::new(hash);
        context.update(seed);
        context.update(&counter.to_be_bytes());
        context.finish().as_ref().to_vec()
    });
    blocks.flatten().take(length).collect()
}

/// Modulus and exponent.
fn public_key(der: &[u8]) -> Option<(BigUint, BigUint)> {
    let mut reader = SliceReader::new(der).ok()?;
    let (modulus, exponent) = reader
        .sequence(|inner| Ok((UintRef::decode(inner)?, UintRef::decode(inner)?)))
        .ok()
        .map(|(n, e)| (BigUint::from_bytes_be(n.as_bytes()), BigUint::from_bytes_be(e.as_bytes())))?;
    reader.finish(()).ok()?;
    // An odd exponent of more than one bit; one would make every message its own signature.
    let sound = exponent.bit(0) && (2..=MAX_EXPONENT_BITS).contains(&exponent.bits()) && modulus.bit(0);
    sound.then_some((modulus, exponent))
}

#[cfg(test)]
mod tests;
