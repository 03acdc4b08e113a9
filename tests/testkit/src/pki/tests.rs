use super::*;
use crate::keys::Scheme;
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use der::{Decode as _, Encode as _};
use sealpod_evidence::snp::cert_table::CertTable;
use x509_cert::crl::CertificateList;

fn parse(der: &[u8]) -> x509_cert::Certificate {
    x509_cert::Certificate::from_der(der).unwrap()
}

fn is_signed_by(der: &[u8], key: Key) -> bool {
    let certificate = parse(der);
    let signed = certificate.tbs_certificate.to_der().unwrap();
    let signature = certificate.signature.raw_bytes();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, key.spki()).verify(&signed, signature).is_ok()
}

fn extension(der: &[u8], oid: &str) -> Option<Vec<u8>> {
    let found = parse(der).tbs_certificate.extensions?.into_iter().find(|e| e.extn_id.to_string() == oid)?;
    Some(found.extn_value.into_bytes())
}

#[test]
fn both_chains_verify_and_chain_by_name() {
    for (chain, keys) in [
        ([ark_der(), ask_der(), vcek_der()], [Key::Ark, Key::Ark, Key::Ask]),
        ([ark_der(), asvk_der(), vlek_der()], [Key::Ark, Key::Ark, Key::Asvk]),
    ] {
        let mut issuer = parse(chain[0]).tbs_certificate.subject;
        for (der, key) in chain.into_iter().zip(keys) {
            assert!(is_signed_by(der, key));
            let tbs = parse(der).tbs_certificate;
            assert_eq!(tbs.issuer, issuer);
            issuer = tbs.subject;
        }
    }
    assert!(!is_signed_by(vcek_der(), Key::Asvk));
}

#[test]
fn names_are_amds() {
    let name = parse(vcek_der()).tbs_certificate.issuer.to_string();
    assert_eq!(name, "CN=SEV-Genoa,O=Advanced Micro Devices,ST=CA,L=Santa Clara,C=US,OU=Engineering");
}

#[test]
fn everything_is_valid_now_and_to_the_end_of_the_century() {
    let validity = parse(vcek_der()).tbs_certificate.validity;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    assert_eq!((seconds(validity.not_before), seconds(validity.not_after)), (NOT_BEFORE, NOT_AFTER));
    assert!((NOT_BEFORE..NOT_AFTER).contains(&NOW));
}

#[test]
fn the_leaf_has_amds_extensions_as_amd_encodes_them() {
    let vcek = |arc: &str| extension(vcek_der(), &format!("1.3.6.1.4.1.3704.1.{arc}")).unwrap();
    assert_eq!(vcek("1"), [2, 1, 1]);
    assert_eq!(vcek("2"), b"\x16\x05Genoa");
    assert_eq!(vcek("3.1"), [2, 1, TCB.bootloader]);
    assert_eq!(vcek("3.2"), [2, 1, TCB.tee]);
    assert_eq!(vcek("3.3"), [2, 1, TCB.snp]);
    assert_eq!(vcek("3.8"), [2, 1, TCB.microcode]);
    assert_eq!(vcek("4"), CHIP_ID);
    assert_eq!(extension(vcek_der(), "1.3.6.1.4.1.3704.1.5"), None);
    assert_eq!(extension(vlek_der(), "1.3.6.1.4.1.3704.1.4"), None);
    assert_eq!(extension(vlek_der(), "1.3.6.1.4.1.3704.1.5").unwrap()[2..], *CSP.as_bytes());
}

#[test]
fn authorities_differ_from_leaves() {
    assert_eq!(extension(ark_der(), "2.5.29.19").unwrap(), [0x30, 3, 1, 1, 0xff]);
    assert_eq!(extension(ask_der(), "2.5.29.19").unwrap(), [0x30, 6, 1, 1, 0xff, 2, 1, 0]);
    assert_eq!(extension(ark_der(), "2.5.29.15").unwrap(), [3, 2, 1, 6]);
    assert_eq!(extension(ask_der(), "2.5.29.15").unwrap(), [3, 2, 2, 4]);
    assert_eq!(extension(vcek_der(), "2.5.29.19"), None);
}

#[test]
fn each_field_can_be_spoiled() {
    let valid = Certificate::vcek();
    let foreign = Certificate { signed_by: Key::ForeignArk, ..valid.clone() }.to_der();
    assert!(is_signed_by(&foreign, Key::ForeignArk) && !is_signed_by(&foreign, Key::Ask));
    assert!(is_signed_by(foreign_ark_der(), Key::ForeignArk));
    let weak = Certificate { scheme: Scheme::Pkcs1Sha384, ..valid.clone() }.to_der();
    assert!(!is_signed_by(&weak, Key::Ask));
    let critical =
        Certificate { extra: vec![("1.3.6.1.4.1.3704.9", true, vec![5, 0])], ..valid.clone() }.to_der();
    assert_eq!(extension(&critical, "1.3.6.1.4.1.3704.9").unwrap(), [5, 0]);
    let bare = Certificate { vek: None, ..valid };
    assert_eq!(extension(&bare.to_der(), "1.3.6.1.4.1.3704.1.4"), None);
}

#[test]
fn a_revocation_list_names_what_it_revokes() {
    let list = CertificateList::from_der(&Crl::revoking(&Certificate::ask()).to_der()).unwrap();
    let revoked = list.tbs_cert_list.revoked_certificates.clone().unwrap();
    assert_eq!(revoked[0].serial_number, parse(ask_der()).tbs_certificate.serial_number);
    let signed = list.tbs_cert_list.to_der().unwrap();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, Key::Ark.spki())
        .verify(&signed, list.signature.raw_bytes())
        .unwrap();
    let empty = CertificateList::from_der(&Crl::default().to_der()).unwrap();
    assert_eq!(empty.tbs_cert_list.revoked_certificates, None);
}

#[test]
fn the_table_parses_and_entries_can_be_replaced() {
    let bytes = certificate_table();
    let table = CertTable::parse(&bytes).unwrap();
    assert_eq!(table.get(Guid::VCEK), Some(vcek_der()));
    assert_eq!(table.get(Guid::ASK), Some(ask_der()));
    assert_eq!(table.get(Guid::ARK), Some(ark_der()));
    let bytes = CertificateTable::vlek().with(Guid::ARK, foreign_ark_der().to_vec()).to_bytes();
    let table = CertTable::parse(&bytes).unwrap();
    assert_eq!(table.get(Guid::VLEK), Some(vlek_der()));
    assert_eq!(table.get(Guid::ARK), Some(foreign_ark_der()));
}
