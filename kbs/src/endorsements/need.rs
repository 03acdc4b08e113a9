//! What a piece of evidence needs beside what it brings.
//!
//! The evidence is not verified yet, so what it names may be made up. Only what a real report could say is asked for.

use super::item::{Item, PckCa};
use crate::crypto;
use sealpod_evidence::azure::{AzSnpEvidence, AzTdxEvidence, Hardware, HclReport};
use sealpod_evidence::rcar::protocol::{Attestation, Tee};
use sealpod_evidence::rcar::{SnpEvidence, TdxEvidence};
use sealpod_evidence::snp::cert_table::{CertTable, Guid};
use sealpod_evidence::snp::report::{Product, Report, SigningKey};
use sealpod_evidence::tdx::quote::Certification;
use sealpod_verifier::snp::SnpCertificateFacts;
use sealpod_verifier::{UnixTime, tdx};
use serde::Deserialize as _;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Something that is needed: the first of these items that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need(pub Vec<Item>);

/// What this evidence of an SNP guest needs. Nothing where it does not parse: then there is nothing to verify.
pub fn of_attestation(attestation: &Attestation, tee: Tee) -> Vec<Need> {
    let primary = &attestation.tee_evidence.primary_evidence;
    match tee {
        Tee::Snp => {
            let Ok(evidence) = SnpEvidence::deserialize(primary) else { return Vec::new() };
            of_snp(&evidence.report.0, &evidence.certificates.0)
        }
        Tee::AzSnpVtpm => match AzSnpEvidence::from_value(primary) {
            Ok(AzSnpEvidence { hcl, vcek, .. }) => of_azure_snp(&hcl, &vcek),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What an SNP report with its host's certificate table needs.
pub fn of_snp(report: &[u8], certificates: &[u8]) -> Vec<Need> {
    let (Ok(report), Ok(table)) = (Report::parse(report), CertTable::parse(certificates)) else {
        return Vec::new();
    };
    let products = products(&report, &table);
    let whole = table.get(Guid::ASK).is_some() && table.get(Guid::ARK).is_some();
    let (vlek, leaf) = match report.key_info().signing_key() {
        // A VLEK is the provider's, who hands it to its guests: there is no address for it.
        SigningKey::Vlek => (true, None),
        SigningKey::Vcek if table.get(Guid::VCEK).is_some() => (false, None),
        SigningKey::Vcek => {
            let items: Vec<_> = products.iter().filter_map(|product| vcek(&report, *product)).collect();
            if items.is_empty() {
                return Vec::new();
            }
            (false, Some(Need(items)))
        }
        SigningKey::None | SigningKey::Reserved(_) => return Vec::new(),
    };
    // Of a product that only its certificate will name, chain and list are asked for the next time.
    let &[product] = products.as_slice() else { return leaf.into_iter().collect() };
    let (chain, crl) = match vlek {
        true => (Item::VlekChain(product), Item::VlekCrl(product)),
        false => (Item::VcekChain(product), Item::VcekCrl(product)),
    };
    let chain = (!whole).then(|| Need(vec![chain]));
    leaf.into_iter().chain(chain).chain([Need(vec![crl])]).collect()
}

/// What a report of Azure's paravisor needs: its evidence has the chip's certificate and no other.
fn of_azure_snp(hcl: &HclReport, vcek: &[u8]) -> Vec<Need> {
    let Hardware::Snp(report) = hcl.hardware() else { return Vec::new() };
    let certified = || SnpCertificateFacts::read(vcek).ok().map(|facts| facts.product);
    let Some(product) = report.product().or_else(certified) else { return Vec::new() };
    [Item::VcekChain(product), Item::VcekCrl(product)].map(|item| Need(vec![item])).to_vec()
}

/// All collateral for TDX quotes of this kind of platform whose PCK certificates these authorities issued.
pub fn of_tdx(fmspc: [u8; 6], authorities: &[PckCa]) -> Vec<Need> {
    let lists = authorities.iter().map(|ca| Item::PckCrl(*ca));
    let items =
        [Item::TdxTcbInfo { fmspc }, Item::TdxQeIdentity, Item::IntelRootCrl].into_iter().chain(lists);
    items.map(|item| Need(vec![item])).collect()
}

/// Kinds of platform by the certificates that quotes carry.
///
/// Only the certificates say what kind a platform is of, and only such that lead to a trusted root are believed: nobody makes up a
/// platform. Verifying them takes a while, so it is remembered.
#[derive(Debug, Default)]
pub struct Platforms(Mutex<HashMap<[u8; 32], Platform>>);

/// FMSPC, and who issued the PCK certificate.
pub type Platform = ([u8; 6], PckCa);

/// Chains remembered, of 100 bytes each.
const MAX_PLATFORMS: usize = 16_384;

impl Platforms {
    /// FMSPC and authority of the platform that made a quote, where a chain to one of these roots says it.
    pub fn of_quote(&self, quote: &[u8], roots: &[[u8; 48]], now: UnixTime) -> Option<Platform> {
        let quote = tdx::parse(quote).ok()?;
        let Certification::PckChain(sent) = quote.certification else { return None };
        let id = crypto::sha256(sent);
        let known = |platforms: &HashMap<_, _>| platforms.get(&id).copied();
        if let Some(platform) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(platform);
        }
        let pck = tdx::pck(&tdx::certificates(&quote).ok()?, roots, &[], false, now).ok()?;
        let platform = (pck.platform().fmspc.0, pck.ca());
        let mut platforms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if platforms.len() >= MAX_PLATFORMS {
            platforms.clear();
        }
        platforms.insert(id, platform);
        Some(platform)
    }
}

/// The TD quote of evidence; `None` where it has none.
pub fn td_quote(attestation: &Attestation, tee: Tee) -> Option<Vec<u8>> {
    let primary = &attestation.tee_evidence.primary_evidence;
    match tee {
        Tee::Tdx => TdxEvidence::deserialize(primary).ok().map(|evidence| evidence.quote.0),
        Tee::AzTdxVtpm => AzTdxEvidence::from_value(primary).ok().map(|evidence| evidence.td_quote),
        _ => None,
    }
}

/// The product lines that a report can be of: its own word, or for version 2 a certificate's, or else both that wrote version 2.
fn products(report: &Report, table: &CertTable<'_>) -> Vec<Product> {
    if let Some(product) = report.product() {
        return vec![product];
    }
    let named = [Guid::VCEK, Guid::VLEK, Guid::ASK, Guid::ARK]
        .into_iter()
        .filter_map(|guid| table.get(guid))
        .find_map(|der| SnpCertificateFacts::read(der).ok());
    named.map_or(vec![Product::Milan, Product::Genoa], |facts| vec![facts.product])
}

/// The chip's certificate, where the report names a chip that can be.
fn vcek(report: &Report, product: Product) -> Option<Item> {
    let chip_id = report.chip_id();
    let significant = if product == Product::Turin { 8 } else { 64 };
    let (id, rest) = chip_id.split_at_checked(significant)?;
    // Zero is a chip id that the platform masks.
    let named = id.iter().any(|byte| *byte != 0) && rest.iter().all(|byte| *byte == 0);
    let signed = !report.key_info().mask_chip_key() && report.signature().iter().any(|byte| *byte != 0);
    // Firmware never reports more than it runs.
    let (reported, current) = (report.reported_tcb().decode(product), report.current_tcb().decode(product));
    let possible = reported.fmc <= current.fmc
        && reported.bootloader <= current.bootloader
        && reported.tee <= current.tee
        && reported.snp <= current.snp
        && reported.microcode <= current.microcode;
    (named && signed && possible).then_some(Item::Vcek { product, chip_id, tcb: report.reported_tcb().0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::Bundle;
    use sealpod_testkit::pki::{self, CertificateTable};
    use sealpod_testkit::report::ReportFields;

    const VCEK: Item =
        Item::Vcek { product: Product::Genoa, chip_id: pki::CHIP_ID, tcb: [3, 0, 0, 0, 0, 0, 10, 20] };

    fn report(spoil: impl FnOnce(&mut ReportFields)) -> Vec<u8> {
        let mut fields = ReportFields::default();
        spoil(&mut fields);
        fields.to_bytes_signed().to_vec()
    }

    fn needs(report: &[u8], table: CertificateTable) -> Vec<Vec<Item>> {
        of_snp(report, &table.to_bytes()).into_iter().map(|need| need.0).collect()
    }

    fn empty() -> CertificateTable {
        CertificateTable::default()
    }

    #[test]
    fn what_the_table_has_is_not_needed() {
        let genuine = report(|_| {});
        let (chain, crl) = (Item::VcekChain(Product::Genoa), Item::VcekCrl(Product::Genoa));
        assert_eq!(needs(&genuine, empty()), [vec![VCEK], vec![chain], vec![crl]]);
        assert_eq!(needs(&genuine, CertificateTable::vcek()), [vec![crl]]);
        let leaf = CertificateTable(vec![(Guid::VCEK, pki::vcek_der().to_vec())]);
        assert_eq!(needs(&genuine, leaf), [vec![chain], vec![crl]]);
        assert_eq!(of_snp(&genuine, &[]).len(), 3);
    }

    #[test]
    fn azures_evidence_has_the_chips_certificate_alone() {
        let attestation = sealpod_testkit::AzureBundle::snp().seal().attestation();
        let needed = of_attestation(&attestation, Tee::AzSnpVtpm);
        let (chain, crl) = (Item::VcekChain(Product::Genoa), Item::VcekCrl(Product::Genoa));
        assert_eq!(needed, [Need(vec![chain]), Need(vec![crl])]);
        assert_eq!(of_attestation(&Bundle::valid().seal().attestation(), Tee::AzSnpVtpm), []);
    }

    #[test]
    fn a_platform_is_believed_only_with_a_chain_to_a_root() {
        let bundle = sealpod_testkit::tdx::TdxBundle::valid();
        let quote = td_quote(&bundle.seal().attestation(), Tee::Tdx).unwrap();
        let platforms = Platforms::default();
        assert_eq!(platforms.of_quote(&quote, &tdx::builtin_roots(), pki::NOW), None);
        let roots = [sealpod_testkit::tdx::root_digest()];
        let found = platforms.of_quote(&quote, &roots, pki::NOW);
        assert_eq!(found, Some((sealpod_testkit::tdx::FMSPC, PckCa::Platform)));
        // What was verified once is remembered.
        assert_eq!(platforms.of_quote(&quote, &[], pki::NOW), found);
        assert_eq!(platforms.of_quote(&quote[1..], &roots, pki::NOW), None);
        assert_eq!(td_quote(&Bundle::valid().seal().attestation(), Tee::Tdx), None);
    }

    #[test]
    fn a_vlek_is_never_asked_for_but_its_chain_is() {
        let Bundle { report: fields, certificates, .. } = Bundle::with_vlek();
        let genuine = fields.to_bytes_signed();
        assert_eq!(of_snp(&genuine, &certificates), [Need(vec![Item::VlekCrl(Product::Genoa)])]);
        let found = needs(&genuine, empty());
        assert_eq!(found, [vec![Item::VlekChain(Product::Genoa)], vec![Item::VlekCrl(Product::Genoa)]]);
    }

    #[test]
    fn nothing_is_asked_for_on_the_word_of_an_impossible_report() {
        for (what, bad) in [
            ("masked chip", report(|r| r.chip_id = [0; 64])),
            ("more than current", report(|r| r.reported_tcb[6] += 1)),
            ("cut", report(|_| {})[1..].to_vec()),
            ("no signature", ReportFields::default().to_bytes().to_vec()),
        ] {
            assert_eq!(needs(&bad, empty()), Vec::<Vec<Item>>::new(), "{what}");
        }
        assert_eq!(of_snp(&report(|_| {}), b"no table"), []);
    }

    #[test]
    fn version_2_is_of_the_product_that_a_certificate_names_or_of_both() {
        let old = report(|r| (r.version, r.cpuid) = (2, [0; 3]));
        let Item::Vcek { chip_id, tcb, .. } = VCEK else { panic!() };
        let milan = Item::Vcek { product: Product::Milan, chip_id, tcb };
        assert_eq!(needs(&old, empty()), [vec![milan, VCEK]]);
        let named = CertificateTable(vec![(Guid::ARK, pki::ark_der().to_vec())]);
        assert_eq!(needs(&old, named)[0], [VCEK]);
    }
}
