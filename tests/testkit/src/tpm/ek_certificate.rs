//! Endorsement key certificates (TCG EK Credential Profile 2.5, section 3), under a vendor root of their own.

use crate::keys::{Key, Scheme};
use crate::pki::{Ca, Certificate};

/// What makes a certificate an endorsement key's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EkProfile {
    /// tpmManufacturer, tpmModel and tpmVersion: arc below 2.23.133.2 and text.
    pub attributes: Vec<(u8, String)>,
    /// Extended key usages: arc below 2.23.133.8. 1 is an endorsement key's certificate.
    pub usages: Vec<u8>,
}

impl Default for EkProfile {
    fn default() -> Self {
        let attribute = |arc, text: &str| (arc, text.to_owned());
        Self {
            attributes: vec![
                attribute(1, "id:53454144"),
                attribute(2, "test TPM"),
                attribute(3, "id:00010002"),
            ],
            usages: vec![1],
        }
    }
}

impl EkProfile {
    /// The vendor's root.
    pub fn root() -> Certificate {
        let name = "Test TPM Root".to_owned();
        Certificate { subject: name.clone(), issuer: name, scheme: Scheme::Pkcs1Sha384, ..Certificate::ark() }
    }

    /// The authority that issues certificates for endorsement keys.
    pub fn authority() -> Certificate {
        let ca = Ca { is_ca: true, path_length: Some(0), sign_certificates: true, sign_crls: false };
        Certificate {
            subject: "Test TPM EK Authority".to_owned(),
            key: Key::Ask,
            ca: Some(ca),
            ..Self::root()
        }
    }

    /// The certificate of the key of [`super::Tpm::default`], with this profile.
    pub fn certificate(&self) -> Certificate {
        let name = self.attributes.iter().flat_map(|(arc, text)| {
            let oid = tlv(0x06, &[0x67, 0x81, 0x05, 0x02, *arc]);
            tlv(0x31, &tlv(0x30, &[oid, tlv(0x0c, text.as_bytes())].concat()))
        });
        // GeneralNames with one directoryName, which is tagged explicitly.
        let names = tlv(0x30, &tlv(0xa4, &tlv(0x30, &name.collect::<Vec<_>>())));
        let usages: Vec<_> =
            self.usages.iter().flat_map(|arc| tlv(0x06, &[0x67, 0x81, 0x05, 0x08, *arc])).collect();
        Certificate {
            subject: String::new(),
            issuer: "Test TPM EK Authority".to_owned(),
            serial: vec![7],
            key: Key::Ek,
            signed_by: Key::Ask,
            scheme: Scheme::Pkcs1Sha256,
            ca: None,
            vek: None,
            extra: vec![("2.5.29.17", true, names), ("2.5.29.37", false, tlv(0x30, &usages))],
            ..Self::root()
        }
    }
}

/// One DER element of at most 255 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short element");
    let mut out = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    out.extend(content);
    out
}
