//! What AMD's certificates and revocation lists say of themselves, for whoever fetches and files them.
//!
//! Nothing here is verified: no signature, no chain, no time. [`crate::verify`] decides.

use super::leaf;
use super::names::{AMD, Role};
use crate::x509::{Certificate, Window, crl};
use crate::{Check, VerifyError};
use sealpod_evidence::snp::report::{Product, TcbBytes};

/// A certificate's own words. Well formed, not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpCertificateFacts {
    /// What the name says that it is.
    pub role: Role,
    /// The product line: the name's, or for a leaf the issuer's.
    pub product: Product,
    /// A leaf's TCB, in the report's byte layout.
    pub tcb: Option<TcbBytes>,
    /// A VCEK's chip id, zero-padded as in the report.
    pub hardware_id: Option<[u8; 64]>,
    /// First and last second of its validity.
    pub validity: Window,
}

impl SnpCertificateFacts {
    /// Read a certificate (DER).
    ///
    /// # Errors
    ///
    /// The checks of steps 3 and 4 about one certificate by itself: its syntax, names, TCB and chip id.
    pub fn read(der: &[u8]) -> Result<Self, VerifyError> {
        let certificate = Certificate::parse(der, &AMD)?;
        let role = Role::of(certificate.subject())?;
        let product = match (role, Role::of(certificate.issuer())?) {
            (Role::Ark(product) | Role::Ask(product) | Role::Asvk(product), _) => product,
            (Role::Vcek, Role::Ask(product)) | (Role::Vlek, Role::Asvk(product)) => product,
            (_, issuer) => {
                let expected = "a leaf issued by its own kind of signing key";
                return Err(VerifyError::new(Check::CertificateName, expected, format!("{issuer:?}")));
            }
        };
        let is_leaf = matches!(role, Role::Vcek | Role::Vlek);
        Ok(Self {
            role,
            product,
            tcb: is_leaf.then(|| leaf::tcb(&certificate, product)).transpose()?.map(TcbBytes),
            hardware_id: (role == Role::Vcek)
                .then(|| leaf::hardware_id(&certificate, product))
                .transpose()?,
            validity: certificate.window(),
        })
    }
}

/// A revocation list's own words. Well formed, not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpRevocationFacts {
    /// The product line whose root it names as issuer.
    pub product: Product,
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// How many serial numbers it lists.
    pub revoked: usize,
}

impl SnpRevocationFacts {
    /// Read a revocation list (DER).
    ///
    /// # Errors
    ///
    /// [`Check::RevocationList`] for what is no list of an AMD root, or has no nextUpdate.
    pub fn read(der: &[u8]) -> Result<Self, VerifyError> {
        let (list, window) = crl::read(der, &AMD)?;
        let Role::Ark(product) = Role::of(&list.issuer)? else {
            return Err(crl::refuse(format!("a list of {}", list.issuer)));
        };
        Ok(Self { product, window, revoked: list.revoked_certificates.map_or(0, |entries| entries.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::pki::{self, Crl};

    #[test]
    fn certificates_say_what_they_are() {
        let facts = SnpCertificateFacts::read(pki::vcek_der()).unwrap();
        assert_eq!((facts.role, facts.product), (Role::Vcek, Product::Genoa));
        assert_eq!(facts.tcb, Some(TcbBytes(pki::tcb_bytes(&pki::TCB))));
        assert_eq!(facts.hardware_id, Some(pki::CHIP_ID));
        assert_eq!(facts.validity, (pki::NOT_BEFORE, pki::NOT_AFTER));
        let facts = SnpCertificateFacts::read(pki::vlek_der()).unwrap();
        assert_eq!((facts.role, facts.hardware_id), (Role::Vlek, None));
        let facts = SnpCertificateFacts::read(pki::ask_der()).unwrap();
        assert_eq!((facts.role, facts.tcb), (Role::Ask(Product::Genoa), None));
        assert_eq!(SnpCertificateFacts::read(b"<html>").unwrap_err().check, Check::CertificateSyntax);
    }

    #[test]
    fn lists_say_whose_they_are_and_when() {
        let list = Crl::revoking(&pki::Certificate::ask());
        let facts = SnpRevocationFacts::read(&list.to_der()).unwrap();
        assert_eq!((facts.product, facts.revoked), (Product::Genoa, 1));
        assert_eq!(facts.window, (pki::NOT_BEFORE, pki::NOT_AFTER));
        let refused = |list: Crl| SnpRevocationFacts::read(&list.to_der()).unwrap_err().check;
        assert_eq!(refused(Crl { next_update: None, ..Crl::default() }), Check::RevocationList);
        assert_eq!(refused(Crl { issuer: "SEV-Genoa".to_owned(), ..Crl::default() }), Check::RevocationList);
        assert_eq!(refused(Crl { issuer: "Else".to_owned(), ..Crl::default() }), Check::CertificateName);
    }
}
