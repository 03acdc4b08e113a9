//! Public areas: `TPMT_PUBLIC` (Part 2, section 12.2.4).

use super::{HashAlg, Name, TpmError, exact, reader, sized};
use crate::reader::Reader;

/// Algorithm identifiers (Part 2, TPM_ALG_ID).
const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
const ALG_NULL: u16 = 0x0010;
pub(super) const ALG_RSASSA: u16 = 0x0014;
const ALG_RSAES: u16 = 0x0015;
pub(super) const ALG_RSAPSS: u16 = 0x0016;
const ALG_OAEP: u16 = 0x0017;
pub(super) const ALG_ECDSA: u16 = 0x0018;
const ALG_ECDH: u16 = 0x0019;
const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;

/// An exponent of zero stands for this one.
const DEFAULT_EXPONENT: u32 = 65537;

/// `TPMA_OBJECT` (Part 2, section 8.3). The TPM keeps to these; they say nothing about a key that only
/// claims to be in a TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u32);

impl Attributes {
    /// Bits with a meaning (TPM 2.0 revision 1.83).
    const KNOWN: u32 = 0x000f_0ff6;

    /// The key never leaves its TPM.
    pub fn fixed_tpm(self) -> bool {
        self.bit(1)
    }

    /// A saved context of the key is void after a restart.
    pub fn st_clear(self) -> bool {
        self.bit(2)
    }

    /// The key never leaves its parent.
    pub fn fixed_parent(self) -> bool {
        self.bit(4)
    }

    /// The TPM made the secret part itself.
    pub fn sensitive_data_origin(self) -> bool {
        self.bit(5)
    }

    /// The user role may use the authorization value.
    pub fn user_with_auth(self) -> bool {
        self.bit(6)
    }

    /// The admin role needs a policy.
    pub fn admin_with_policy(self) -> bool {
        self.bit(7)
    }

    /// The key works only for signed or TPM-made structures.
    pub fn restricted(self) -> bool {
        self.bit(16)
    }

    /// The key decrypts; with [`Self::restricted`], it is a storage key.
    pub fn decrypt(self) -> bool {
        self.bit(17)
    }

    /// The key signs; with [`Self::restricted`], only what its TPM made.
    pub fn sign(self) -> bool {
        self.bit(18)
    }

    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// The cipher with which a storage key protects its children: AES in CFB mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symmetric {
    /// 128, 192 or 256.
    pub key_bits: u16,
}

/// What a key is restricted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Not restricted to one.
    Null,
    /// RSASSA-PKCS1-v1_5 signatures.
    RsaSsa(HashAlg),
    /// RSASSA-PSS signatures.
    RsaPss(HashAlg),
    /// RSAES-PKCS1-v1_5 encryption.
    RsaEs,
    /// RSAES-OAEP encryption.
    Oaep(HashAlg),
    /// ECDSA signatures.
    Ecdsa(HashAlg),
    /// ECDH key exchange.
    Ecdh(HashAlg),
}

/// A curve (Part 2, TPM_ECC_CURVE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Length of a coordinate in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, TpmError> {
        match reader.be_u16()? {
            0x0003 => Ok(Self::P256),
            0x0004 => Ok(Self::P384),
            found => Err(TpmError::Value { what: "curve", found: found.into() }),
        }
    }
}

/// The key itself. Whether it is a sound one (a point on the curve, a modulus of two primes) is for the
/// library that uses it to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// 2048, 3072 or 4096.
        bits: u16,
        /// Public exponent; never zero.
        exponent: u32,
        /// Modulus, big-endian, `bits / 8` bytes.
        modulus: Vec<u8>,
    },
    /// Elliptic curve.
    Ecc {
        /// The curve.
        curve: Curve,
        /// Big-endian, as long as the curve has it.
        x: Vec<u8>,
        /// Likewise.
        y: Vec<u8>,
    },
}

/// A public area, well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    name: Name,
    attributes: Attributes,
    auth_policy: Vec<u8>,
    symmetric: Option<Symmetric>,
    scheme: Scheme,
    key: PublicKey,
    raw: Vec<u8>,
}

impl Public {
    /// Takes exactly one public area of an RSA or elliptic-curve key.
    ///
    /// # Errors
    ///
    /// See [`TpmError`]. SHA-1 is not taken for a name: then two keys could have the same.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        let mut reader = reader(bytes)?;
        let kind = reader.be_u16()?;
        let name_alg = HashAlg::read(&mut reader, "name algorithm")?;
        let unusable = TpmError::Algorithm { what: "name algorithm", found: name_alg.id() };
        let digest = match name_alg {
            HashAlg::Sha1 => None,
            other => other.digest(&[bytes]),
        };
        let name = Name::new(name_alg, &digest.ok_or(unusable)?);
        let attributes = Attributes(reader.be_u32()?);
        if attributes.0 & !Attributes::KNOWN != 0 {
            return Err(TpmError::ReservedAttributes { found: attributes.0 & !Attributes::KNOWN });
        }
        let auth_policy = policy(&mut reader, name_alg)?;
        let symmetric = symmetric(&mut reader)?;
        let (scheme, key) = match kind {
            ALG_RSA => rsa(&mut reader)?,
            ALG_ECC => ecc(&mut reader)?,
            found => return Err(TpmError::Algorithm { what: "key type", found }),
        };
        reader.finish()?;
        Ok(Self { name, attributes, auth_policy, symmetric, scheme, key, raw: bytes.to_vec() })
    }

    /// The bytes as received.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The object's name, computed from the bytes received.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Object attributes.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Policy that authorizes the use of the key; empty without one.
    pub fn auth_policy(&self) -> &[u8] {
        &self.auth_policy
    }

    /// The cipher of a storage key.
    pub fn symmetric(&self) -> Option<Symmetric> {
        self.symmetric
    }

    /// The scheme that the key is restricted to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn policy(reader: &mut Reader<'_>, name_alg: HashAlg) -> Result<Vec<u8>, TpmError> {
    let (what, expected) = ("authorization policy", name_alg.size());
    let bytes = sized(reader, what, expected)?;
    match bytes.len() {
        found if found != 0 && found != expected => Err(TpmError::Size { what, expected, found }),
        _ => Ok(bytes.to_vec()),
    }
}

/// `TPMT_SYM_DEF_OBJECT` (Part 2, section 11.1.7).
fn symmetric(reader: &mut Reader<'_>) -> Result<Option<Symmetric>, TpmError> {
    match reader.be_u16()? {
        ALG_NULL => return Ok(None),
        ALG_AES => {}
        found => return Err(TpmError::Algorithm { what: "symmetric algorithm", found }),
    }
    let key_bits = reader.be_u16()?;
    if ![128, 192, 256].contains(&key_bits) {
        return Err(TpmError::Value { what: "AES key size", found: key_bits.into() });
    }
    match reader.be_u16()? {
        ALG_CFB => Ok(Some(Symmetric { key_bits })),
        found => Err(TpmError::Algorithm { what: "symmetric mode", found }),
    }
}

/// `TPMS_RSA_PARMS` after its symmetric part, and the modulus (Part 2, section 12.2.3.5).
fn rsa(reader: &mut Reader<'_>) -> Result<(Scheme, PublicKey), TpmError> {
    let scheme = match reader.be_u16()? {
        ALG_NULL => Scheme::Null,
        ALG_RSAES => Scheme::RsaEs,
        ALG_RSASSA => Scheme::RsaSsa(HashAlg::read(reader, "scheme hash")?),
        ALG_RSAPSS => Scheme::RsaPss(HashAlg::read(reader, "scheme hash")?),
        ALG_OAEP => Scheme::Oaep(HashAlg::read(reader, "scheme hash")?),
        found => return Err(TpmError::Algorithm { what: "RSA scheme", found }),
    };
    let bits = reader.be_u16()?;
    if ![2048, 3072, 4096].contains(&bits) {
        return Err(TpmError::Value { what: "RSA key size", found: bits.into() });
    }
    let exponent = match reader.be_u32()? {
        0 => DEFAULT_EXPONENT,
        exponent => exponent,
    };
    let modulus = exact(reader, "RSA modulus", usize::from(bits / 8))?.to_vec();
    Ok((scheme, PublicKey::Rsa { bits, exponent, modulus }))
}

/// `TPMS_ECC_PARMS` after its symmetric part, and the point (Part 2, section 12.2.3.6).
fn ecc(reader: &mut Reader<'_>) -> Result<(Scheme, PublicKey), TpmError> {
    let scheme = match reader.be_u16()? {
        ALG_NULL => Scheme::Null,
        ALG_ECDSA => Scheme::Ecdsa(HashAlg::read(reader, "scheme hash")?),
        ALG_ECDH => Scheme::Ecdh(HashAlg::read(reader, "scheme hash")?),
        found => return Err(TpmError::Algorithm { what: "ECC scheme", found }),
    };
    let curve = Curve::read(reader)?;
    // No TPM uses another key derivation function than none here (Part 2, section 12.2.3.6).
    match reader.be_u16()? {
        ALG_NULL => {}
        found => return Err(TpmError::Algorithm { what: "ECC key derivation", found }),
    }
    let x = exact(reader, "ECC x", curve.size())?.to_vec();
    let y = exact(reader, "ECC y", curve.size())?.to_vec();
    Ok((scheme, PublicKey::Ecc { curve, x, y }))
}
