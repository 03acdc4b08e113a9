//! Appended signatures (`modsig`): a PKCS#7 message without its content (RFC 5652), as `scripts/sign-file` writes it.
//!
//! Taken: one signer, who signs the digest itself or the usual attributes with that digest in them; SHA-256, SHA-384 or SHA-512; RSA
//! with PKCS#1 v1.5 or ECDSA. Certificates in the message are nobody's word and are passed over: the key is one of the owner's.

use super::algorithm;
use crate::reference::FileKey;
use aws_lc_rs::digest::Context;
use const_oid::ObjectIdentifier;
use der::{Decode as _, Header, Reader as _, SliceReader, Tag, TagNumber};
use sealpod_evidence::ima::{FileDigest, HashAlgorithm};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// rsaEncryption, and then with SHA-256, SHA-384 and SHA-512: RSA, and ECDSA. Which of RSA and ECDSA it is, the key says.
const SCHEMES: [ObjectIdentifier; 7] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
];
/// The first byte of the attributes as they are signed: `SET OF`, where the message has `[0]` (RFC 5652 section 5.4).
const SET_OF: u8 = 0x31;
/// Most attributes of a signer; there are three or four.
const MAX_ATTRIBUTES: usize = 16;

/// A message of one signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedSignature<'a> {
    /// The hash of the content, and of the attributes.
    pub algorithm: HashAlgorithm,
    /// The signed attributes without their first byte, and the content's digest in them.
    attributes: Option<(&'a [u8], &'a [u8])>,
    signature: &'a [u8],
}

impl<'a> AppendedSignature<'a> {
    /// Takes a message apart.
    ///
    /// # Errors
    ///
    /// A text for people, that says what is not as it should be.
    pub fn parse(message: &'a [u8]) -> Result<Self, String> {
        let mut message = Elements::new(message)?;
        let mut content = message.next(Tag::Sequence)?.inside()?;
        message.end()?;
        content.oid("the content's type", &[SIGNED_DATA])?;
        let mut explicit = content.next(context(0))?.inside()?;
        content.end()?;
        let mut data = explicit.next(Tag::Sequence)?.inside()?;
        explicit.end()?;
        data.next(Tag::Integer)?;
        data.next(Tag::Set)?;
        let mut encapsulated = data.next(Tag::Sequence)?.inside()?;
        encapsulated.oid("what is signed", &[DATA])?;
        encapsulated.end().map_err(|_| "a content in the message".to_owned())?;
        for certificates_or_lists in [context(0), context(1)] {
            data.skip(certificates_or_lists)?;
        }
        let mut signers = data.next(Tag::Set)?.inside()?;
        data.end()?;
        let signer = signers.next(Tag::Sequence)?.inside()?;
        signers.end().map_err(|_| "more than one signer".to_owned())?;
        Self::signer(signer)
    }

    fn signer(mut signer: Elements<'a>) -> Result<Self, String> {
        signer.next(Tag::Integer)?;
        // Who it is: the caller tries the keys that it knows.
        signer.any()?;
        let digest = signer.algorithm("the digest's algorithm", &[SHA256, SHA384, SHA512])?;
        let algorithm = match digest {
            SHA256 => HashAlgorithm::Sha256,
            SHA384 => HashAlgorithm::Sha384,
            _ => HashAlgorithm::Sha512,
        };
        let attributes = match signer.optional(context(0))? {
            Some(element) => {
                let digest = message_digest(element.inside()?)?;
                Some((element.whole.get(1..).unwrap_or_default(), digest))
            }
            None => None,
        };
        let [rsa, rsa256, rsa384, rsa512, ec256, ec384, ec512] = SCHEMES;
        let schemes = match algorithm {
            HashAlgorithm::Sha512 => [rsa, rsa512, ec512],
            HashAlgorithm::Sha384 => [rsa, rsa384, ec384],
            HashAlgorithm::Sha256 | HashAlgorithm::Sha1 => [rsa, rsa256, ec256],
        };
        signer.algorithm("the signature's algorithm", &schemes)?;
        let signature = signer.next(Tag::OctetString)?.content;
        signer.skip(context(1))?;
        signer.end()?;
        Ok(Self { algorithm, attributes, signature })
    }

    /// Whether `key` made it over a content with this digest.
    pub fn verifies(&self, key: &FileKey, digest: &FileDigest<'_>) -> bool {
        if digest.algorithm != self.algorithm {
            return false;
        }
        let Some((attributes, in_them)) = self.attributes else {
            return key.verifies(self.algorithm, digest.value, self.signature);
        };
        let mut context = Context::new(algorithm(self.algorithm));
        context.update(&[SET_OF]);
        context.update(attributes);
        in_them == digest.value && key.verifies(self.algorithm, context.finish().as_ref(), self.signature)
    }
}

/// The one attribute that holds the content's digest.
fn message_digest(mut attributes: Elements<'_>) -> Result<&[u8], String> {
    let mut found = None;
    for _ in 0..MAX_ATTRIBUTES {
        if attributes.is_empty() {
            return found.ok_or_else(|| "signed attributes without the content's digest".to_owned());
        }
        let mut attribute = attributes.next(Tag::Sequence)?.inside()?;
        let kind = ObjectIdentifier::from_der(attribute.next(Tag::ObjectIdentifier)?.whole).map_err(text)?;
        if kind == MESSAGE_DIGEST {
            let mut values = attribute.next(Tag::Set)?.inside()?;
            let digest = values.next(Tag::OctetString)?.content;
            values.end()?;
            if found.replace(digest).is_some() {
                return Err("the content's digest twice".to_owned());
            }
        }
    }
    Err(format!("more than {MAX_ATTRIBUTES} signed attributes"))
}

/// Elements of DER, one after the other.
struct Elements<'a>(SliceReader<'a>);

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

impl<'a> Element<'a> {
    fn inside(&self) -> Result<Elements<'a>, String> {
        Elements::new(self.content)
    }
}

impl<'a> Elements<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, String> {
        SliceReader::new(bytes).map(Self).map_err(text)
    }

    fn is_empty(&self) -> bool {
        self.0.is_finished()
    }

    fn end(&self) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { Err("bytes left over".to_owned()) }
    }

    fn any(&mut self) -> Result<(Tag, Element<'a>), String> {
        let whole = self.0.tlv_bytes().map_err(text)?;
        let mut reader = SliceReader::new(whole).map_err(text)?;
        let Header { tag, length } = Header::decode(&mut reader).map_err(text)?;
        Ok((tag, Element { whole, content: reader.read_slice(length).map_err(text)? }))
    }

    fn next(&mut self, expected: Tag) -> Result<Element<'a>, String> {
        let (tag, element) = self.any()?;
        if tag == expected { Ok(element) } else { Err(format!("{tag}, expected {expected}")) }
    }

    fn optional(&mut self, tag: Tag) -> Result<Option<Element<'a>>, String> {
        if self.is_empty() || self.0.peek_header().map_err(text)?.tag != tag {
            return Ok(None);
        }
        self.next(tag).map(Some)
    }

    fn skip(&mut self, tag: Tag) -> Result<(), String> {
        self.optional(tag).map(drop)
    }

    fn oid(&mut self, what: &str, expected: &[ObjectIdentifier]) -> Result<ObjectIdentifier, String> {
        let found = ObjectIdentifier::from_der(self.next(Tag::ObjectIdentifier)?.whole).map_err(text)?;
        if expected.contains(&found) { Ok(found) } else { Err(format!("{what} is {found}")) }
    }

    /// The object identifier of an `AlgorithmIdentifier`, whose parameters may be missing or NULL.
    fn algorithm(&mut self, what: &str, expected: &[ObjectIdentifier]) -> Result<ObjectIdentifier, String> {
        let mut identifier = self.next(Tag::Sequence)?.inside()?;
        let found = identifier.oid(what, expected)?;
        identifier.skip(Tag::Null)?;
        identifier.end()?;
        Ok(found)
    }
}

fn context(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber::new(number) }
}

fn text(error: der::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
