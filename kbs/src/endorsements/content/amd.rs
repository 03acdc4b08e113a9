//! AMD's certificates and lists.

use super::{Content, excerpt, pem_sections, to_pem, words};
use crate::endorsements::error::ContentError;
use crate::endorsements::item::Item;
use rustls_pki_types::pem::SectionKind;
use sealpod_evidence::snp::report::Product;
use sealpod_verifier::VerifyError;
use sealpod_verifier::snp::{Role, SnpCertificateFacts, SnpRevocationFacts};

/// The certificate of this chip for this TCB (DER).
pub(super) fn vcek(
    body: &[u8],
    product: Product,
    chip_id: &[u8; 64],
    tcb: &[u8; 8],
) -> Result<Content, ContentError> {
    let facts = facts(body, "a VCEK certificate in DER")?;
    if facts.role != Role::Vcek {
        return Err(other("kind", "a VCEK", format!("{:?}", facts.role)));
    }
    require_product(facts.product, product)?;
    let found_id = facts.hardware_id.unwrap_or([0; 64]);
    if found_id != *chip_id {
        return Err(other("chip", hex::encode(chip_id), hex::encode(found_id)));
    }
    let found = facts.tcb.map_or([0; 8], |tcb| tcb.0);
    if found != *tcb {
        return Err(other("TCB", hex::encode(tcb), hex::encode(found)));
    }
    let (from, _) = facts.validity;
    Ok(Content { body: body.to_vec(), chain: None, window: facts.validity, issued: from })
}

/// ASK (or ASVK) and ARK, PEM.
pub(super) fn chain(body: &[u8], product: Product, vlek: bool) -> Result<Content, ContentError> {
    let mut chain = AmdChain::default();
    for (kind, der) in pem_sections(body)? {
        if kind != SectionKind::Certificate {
            return Err(other("kind", "certificates", "a revocation list"));
        }
        let facts = facts(&der, "AMD's certificates in PEM")?;
        require_product(facts.product, product)?;
        let place = match facts.role {
            Role::Ark(_) => &mut chain.root,
            Role::Ask(_) if !vlek => &mut chain.authority,
            Role::Asvk(_) if vlek => &mut chain.authority,
            role => {
                return Err(other(
                    "kind",
                    if vlek { "ASVK and ARK" } else { "ASK and ARK" },
                    format!("{role:?}"),
                ));
            }
        };
        if place.replace(der).is_some() {
            return Err(other("kind", "one of each certificate", format!("two of {:?}", facts.role)));
        }
    }
    chain.content()
}

/// What a root withdrew (DER).
pub(super) fn crl(body: &[u8], product: Product) -> Result<Content, ContentError> {
    let facts = list_facts(body)?;
    require_product(facts.product, product)?;
    Ok(Content { body: body.to_vec(), chain: None, window: facts.window, issued: facts.window.0 })
}

/// The two certificates above a leaf (DER), as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AmdChain {
    /// ASK or ASVK.
    pub authority: Option<Vec<u8>>,
    /// ARK.
    pub root: Option<Vec<u8>>,
}

impl AmdChain {
    /// Take a kept chain apart.
    pub fn from_pem(text: &[u8]) -> Result<Self, ContentError> {
        let mut chain = Self::default();
        for (_, der) in pem_sections(text)? {
            match facts(&der, "AMD's certificates in PEM")?.role {
                Role::Ark(_) => chain.root = Some(der),
                _ => chain.authority = Some(der),
            }
        }
        Ok(chain)
    }

    /// Both, as they are kept.
    pub fn content(&self) -> Result<Content, ContentError> {
        let (Some(authority), Some(root)) = (&self.authority, &self.root) else {
            let found = match (&self.authority, &self.root) {
                (Some(_), _) => "no ARK",
                (_, Some(_)) => "no ASK or ASVK",
                _ => "neither",
            };
            return Err(ContentError::Syntax { expected: "ASK or ASVK, and ARK", found: found.to_owned() });
        };
        let mut window = (0, u64::MAX);
        let mut issued = 0;
        for der in [authority, root] {
            let (from, to) = facts(der, "a certificate of AMD")?.validity;
            window = (window.0.max(from), window.1.min(to));
            issued = issued.max(from);
        }
        let body = to_pem([authority.as_slice(), root.as_slice()])?.into_bytes();
        Ok(Content { body, chain: None, window, issued })
    }
}

/// What one certificate or list of AMD (DER) is, where nobody said what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmdFile {
    /// Something complete in itself.
    Item(Item, Content),
    /// One certificate of a chain: ASK, ASVK or ARK.
    Above(Role),
    /// A revocation list, which serves VCEKs and VLEKs.
    List(Product, Content),
    /// A VLEK, which its guest sends itself.
    Vlek,
}

impl AmdFile {
    /// Look at a certificate or list; `None` where it is not AMD's.
    pub fn read(der: &[u8]) -> Option<Self> {
        if let Ok(facts) = SnpCertificateFacts::read(der) {
            return Some(match (facts.role, facts.hardware_id, facts.tcb) {
                (Role::Vcek, Some(chip_id), Some(tcb)) => {
                    let item = Item::Vcek { product: facts.product, chip_id, tcb: tcb.0 };
                    Self::Item(item, Content::read(&item, der, None).ok()?)
                }
                (Role::Vcek | Role::Vlek, _, _) => Self::Vlek,
                (role, _, _) => Self::Above(role),
            });
        }
        let facts = SnpRevocationFacts::read(der).ok()?;
        Some(Self::List(facts.product, crl(der, facts.product).ok()?))
    }
}

fn facts(der: &[u8], expected: &'static str) -> Result<SnpCertificateFacts, ContentError> {
    SnpCertificateFacts::read(der).map_err(|error| syntax(expected, der, &error))
}

fn list_facts(der: &[u8]) -> Result<SnpRevocationFacts, ContentError> {
    SnpRevocationFacts::read(der)
        .map_err(|error| syntax("a revocation list of an AMD root in DER", der, &error))
}

fn syntax(expected: &'static str, der: &[u8], error: &VerifyError) -> ContentError {
    ContentError::Syntax { expected, found: format!("{} ({})", words(&error.found), excerpt(der)) }
}

fn require_product(found: Product, expected: Product) -> Result<(), ContentError> {
    if found == expected { Ok(()) } else { Err(other("product", expected, found)) }
}

fn other(what: &'static str, expected: impl ToString, found: impl ToString) -> ContentError {
    ContentError::Other { what, expected: expected.to_string(), found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::pki::{self, Certificate, Crl, VekExtensions};

    const TCB: [u8; 8] = [3, 0, 0, 0, 0, 0, 10, 20];

    fn what(result: Result<Content, ContentError>) -> &'static str {
        match result.unwrap_err() {
            ContentError::Other { what, .. } => what,
            ContentError::Syntax { .. } => "syntax",
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_vcek_is_that_of_the_chip_and_tcb() {
        let good = vcek(pki::vcek_der(), Product::Genoa, &pki::CHIP_ID, &TCB).unwrap();
        assert_eq!(good.body, pki::vcek_der());
        assert_eq!(good.window, (pki::NOT_BEFORE, pki::NOT_AFTER));
        assert_eq!(what(vcek(pki::vcek_der(), Product::Milan, &pki::CHIP_ID, &TCB)), "product");
        assert_eq!(what(vcek(pki::vcek_der(), Product::Genoa, &[1; 64], &TCB)), "chip");
        assert_eq!(what(vcek(pki::vcek_der(), Product::Genoa, &pki::CHIP_ID, &[3; 8])), "TCB");
        assert_eq!(what(vcek(pki::vlek_der(), Product::Genoa, &pki::CHIP_ID, &TCB)), "kind");
        assert_eq!(what(vcek(pki::ask_der(), Product::Genoa, &pki::CHIP_ID, &TCB)), "kind");
        let html = vcek(b"<html>busy</html>", Product::Genoa, &pki::CHIP_ID, &TCB).unwrap_err();
        assert!(html.to_string().contains("<html>busy"), "{html}");
        let cut = &pki::vcek_der()[..pki::vcek_der().len() - 1];
        assert_eq!(what(vcek(cut, Product::Genoa, &pki::CHIP_ID, &TCB)), "syntax");
    }

    #[test]
    fn a_chain_is_two_certificates_of_the_product() {
        let pem = |ders: &[&[u8]]| to_pem(ders.iter().copied()).unwrap().into_bytes();
        let good = pem(&[pki::ask_der(), pki::ark_der()]);
        let read = chain(&good, Product::Genoa, false).unwrap();
        assert_eq!(read.body, good);
        // The other order is the same chain.
        assert_eq!(chain(&pem(&[pki::ark_der(), pki::ask_der()]), Product::Genoa, false), Ok(read));
        assert!(chain(&pem(&[pki::asvk_der(), pki::ark_der()]), Product::Genoa, true).is_ok());
        assert_eq!(what(chain(&good, Product::Turin, false)), "product");
        assert_eq!(what(chain(&good, Product::Genoa, true)), "kind");
        assert_eq!(what(chain(&pem(&[pki::ask_der()]), Product::Genoa, false)), "syntax");
        assert_eq!(what(chain(&pem(&[pki::ask_der(), pki::ask_der()]), Product::Genoa, false)), "kind");
        assert_eq!(what(chain(pki::ask_der(), Product::Genoa, false)), "syntax");
    }

    #[test]
    fn a_list_is_that_of_the_products_root() {
        let list = Crl { this_update: 500, next_update: Some(900), ..Crl::default() }.to_der();
        let read = crl(&list, Product::Genoa).unwrap();
        assert_eq!((read.window, read.issued), ((500, 900), 500));
        assert_eq!(what(crl(&list, Product::Milan)), "product");
        assert_eq!(what(crl(pki::ark_der(), Product::Genoa)), "syntax");
    }

    #[test]
    fn files_are_known_by_what_they_are() {
        let vcek = AmdFile::read(pki::vcek_der());
        assert!(matches!(vcek, Some(AmdFile::Item(Item::Vcek { chip_id: pki::CHIP_ID, tcb: TCB, .. }, _))));
        assert_eq!(AmdFile::read(pki::vlek_der()), Some(AmdFile::Vlek));
        assert_eq!(AmdFile::read(pki::ark_der()), Some(AmdFile::Above(Role::Ark(Product::Genoa))));
        assert!(matches!(AmdFile::read(&Crl::default().to_der()), Some(AmdFile::List(Product::Genoa, _))));
        assert_eq!(AmdFile::read(b"text"), None);
        let turin = Certificate {
            issuer: "SEV-Turin".to_owned(),
            vek: Certificate::vcek().vek.map(|vek| VekExtensions {
                product: "Turin".to_owned(),
                hardware_id: Some(vec![9; 8]),
                tcb: sealpod_evidence::reference_values::SnpTcb { fmc: Some(1), ..pki::TCB },
                ..vek
            }),
            ..Certificate::vcek()
        };
        let mut chip_id = [0; 64];
        chip_id[..8].fill(9);
        let Some(AmdFile::Item(item, _)) = AmdFile::read(&turin.to_der()) else { panic!() };
        assert_eq!(item, Item::Vcek { product: Product::Turin, chip_id, tcb: [1, 3, 0, 10, 0, 0, 0, 20] });
    }
}
