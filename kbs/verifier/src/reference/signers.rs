//! Keys whose signatures on files are accepted.

use super::files::as_logged;
use aws_lc_rs::digest::Digest;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::ObjectIdentifier;
use der::{Decode as _, Document};
use sealpod_evidence::ima::HashAlgorithm;
use sealpod_evidence::reference_values::ImaSigner;
use sealpod_evidence::workload::ImageDigest;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
/// Longest text of a key, in bytes: a certificate with a key of 8192 bits is 4 KiB in base64.
const MAX_KEY: usize = 64 * 1024;

/// A key and the files that it may sign.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// Whose files; `None` for the guest image.
    pub image: Option<ImageDigest>,
    /// As its reviewer described it.
    pub description: Box<str>,
    /// Each with a `/` at its end, as IMA logs it.
    directories: Vec<Box<str>>,
    key: FileKey,
}

/// A public key of an IMA signer, for each hash that files may be signed with: RSA of at least 2048 bits with PKCS#1 v1.5, or
/// ECDSA on P-256, P-384 or P-521 with DER signatures. SHA-1 is for none.
#[derive(Debug, Clone)]
pub struct FileKey {
    /// What signatures call it: the last four bytes of a key identifier.
    ids: Vec<[u8; 4]>,
    keys: [ParsedPublicKey; 3],
}

/// The verification algorithms of one kind of key for SHA-256, SHA-384 and SHA-512.
type Algorithms = [&'static dyn VerificationAlgorithm; 3];

impl Signer {
    /// Takes a signer from a document; says what is wrong with it.
    pub fn new(listed: &ImaSigner) -> Result<Self, String> {
        let key = FileKey::from_text(&listed.key)?;
        if listed.directories.is_empty() {
            return Err("it has no directories: expected at least one, \"/\" for all files".to_owned());
        }
        let directory = |path: &String| {
            if !path.starts_with('/') {
                return Err(format!("directory {path:?} is not absolute"));
            }
            let logged = as_logged(path);
            Ok(if logged.ends_with('/') { logged } else { format!("{logged}/").into() })
        };
        let directories = listed.directories.iter().map(directory).collect::<Result<_, _>>()?;
        Ok(Self { image: listed.image, description: listed.description.as_str().into(), directories, key })
    }

    /// Whether a file at this path may bear its signature.
    pub fn may_sign(&self, path: &[u8]) -> bool {
        self.directories.iter().any(|directory| path.starts_with(directory.as_bytes()))
    }

    pub fn key(&self) -> &FileKey {
        &self.key
    }
}

impl FileKey {
    /// Takes a public key or certificate, PEM or base64 of DER; says what is wrong with it.
    ///
    /// Of a certificate, key and subject key identifier are taken. Its dates and its issuer are not looked at, and neither does
    /// the kernel when it checks a file: whoever lists the key vouches for it.
    ///
    /// # Errors
    ///
    /// A text for people.
    pub fn from_text(text: &str) -> Result<Self, String> {
        if text.len() > MAX_KEY {
            return Err(format!("a key of {} bytes, more than {MAX_KEY}", text.len()));
        }
        if text.contains("-----BEGIN ") {
            let (label, document) = Document::from_pem(text).map_err(|error| format!("PEM: {error}"))?;
            return match label {
                "CERTIFICATE" | "PUBLIC KEY" => Self::from_der(document.as_bytes()),
                other => Err(format!("PEM of a {other:?}, expected CERTIFICATE or PUBLIC KEY")),
            };
        }
        let digits: String = text.split_ascii_whitespace().collect();
        Self::from_der(&STANDARD.decode(digits).map_err(|error| format!("neither PEM nor base64: {error}"))?)
    }

    /// The same from DER.
    ///
    /// # Errors
    ///
    /// A text for people.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        if let Ok(key) = SubjectPublicKeyInfoRef::from_der(der) {
            let oid = key.algorithm.parameters_oid().ok();
            let bits = key.subject_public_key.as_bytes().ok_or("a key of odd bits")?;
            return Self::new(key.algorithm.oid, oid, bits, None);
        }
        let certificate = Certificate::from_der(der)
            .map_err(|error| format!("neither a public key nor a certificate: {error}"))?;
        let tbs = certificate.tbs_certificate;
        let mut extensions = tbs.extensions.iter().flatten();
        let id = extensions.find(|extension| extension.extn_id == SUBJECT_KEY_IDENTIFIER);
        let id = id.map(|id| SubjectKeyIdentifier::from_der(id.extn_value.as_bytes()));
        let id = id.transpose().map_err(|error| format!("subject key identifier: {error}"))?;
        let SubjectPublicKeyInfoOwned { algorithm, subject_public_key } = tbs.subject_public_key_info;
        let curve = algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
        let bits = subject_public_key.as_bytes().ok_or("a key of odd bits")?;
        Self::new(algorithm.oid, curve, bits, id.as_ref().map(|id| id.0.as_bytes()))
    }

    fn new(
        kind: ObjectIdentifier,
        curve: Option<ObjectIdentifier>,
        bits: &[u8],
        id: Option<&[u8]>,
    ) -> Result<Self, String> {
        let algorithms: Algorithms = match (kind, curve) {
            (RSA_ENCRYPTION, _) => {
                [&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_2048_8192_SHA384, &RSA_PKCS1_2048_8192_SHA512]
            }
            (EC_PUBLIC_KEY, Some(P256)) => {
                [&ECDSA_P256_SHA256_ASN1, &ECDSA_P256_SHA384_ASN1, &ECDSA_P256_SHA512_ASN1]
            }
            (EC_PUBLIC_KEY, Some(P384)) => {
                [&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1, &ECDSA_P384_SHA512_ASN1]
            }
            (EC_PUBLIC_KEY, Some(P521)) => {
                [&ECDSA_P521_SHA256_ASN1, &ECDSA_P521_SHA384_ASN1, &ECDSA_P521_SHA512_ASN1]
            }
            (kind, curve) => {
                return Err(format!("a key of algorithm {kind} {curve:?}, expected RSA or a NIST curve"));
            }
        };
        let parse = |algorithm| {
            ParsedPublicKey::new(algorithm, bits).map_err(|error| format!("the key is not usable: {error}"))
        };
        let [one, two, three] = algorithms;
        let keys = [parse(one)?, parse(two)?, parse(three)?];
        // evmctl and the kernel name a bare key by the SHA-1 of its bits (RFC 5280 section 4.2.1.2).
        let computed = digest(&SHA1_FOR_LEGACY_USE_ONLY, bits);
        let last = |id: &[u8]| id.last_chunk::<4>().copied();
        let ids = id.and_then(last).into_iter().chain(last(computed.as_ref())).collect();
        Ok(Self { ids, keys })
    }

    /// Whether signatures that name this key identifier may be its own.
    pub fn is(&self, id: [u8; 4]) -> bool {
        self.ids.contains(&id)
    }

    /// Whether `signature` is this key's over `digest`. Says nothing about what the digest is of.
    pub fn verifies(&self, algorithm: HashAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        let [sha256, sha384, sha512] = &self.keys;
        let key = match algorithm {
            HashAlgorithm::Sha1 => return false,
            HashAlgorithm::Sha256 => sha256,
            HashAlgorithm::Sha384 => sha384,
            HashAlgorithm::Sha512 => sha512,
        };
        let digest = Digest::import_less_safe(digest, crate::ima::algorithm(algorithm));
        digest.is_ok_and(|digest| key.verify_digest_sig(&digest, signature).is_ok())
    }
}
