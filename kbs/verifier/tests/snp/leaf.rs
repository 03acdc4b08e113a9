//! Step 4.

use crate::world::World;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_testkit::Bundle;
use sealpod_testkit::pki::{self, Certificate, CertificateTable, Guid, VekExtensions};
use sealpod_verifier::Check;

#[track_caller]
fn vcek(spoil: impl FnOnce(&mut VekExtensions), check: Check) {
    vcek_world(spoil).refused(check);
}

fn vcek_world(spoil: impl FnOnce(&mut VekExtensions)) -> World {
    let mut certificate = Certificate::vcek();
    spoil(certificate.vek.as_mut().unwrap());
    World::with_certificates(&CertificateTable::vcek().with(Guid::VCEK, certificate.to_der()))
}

#[test]
fn the_certificate_is_for_the_reported_tcb() {
    let spoils: [fn(&mut SnpTcb); 4] =
        [|t| t.bootloader += 1, |t| t.tee += 1, |t| t.snp -= 1, |t| t.microcode += 200];
    for spoil in spoils {
        vcek(|vek| spoil(&mut vek.tcb), Check::CertificateTcb);
    }
    vcek(|vek| vek.tcb.fmc = Some(0), Check::CertificateTcb);
    World::spoiled(|sealed| {
        sealed.report.reported_tcb[6] -= 1;
        sealed.resign();
    })
    .refused(Check::CertificateTcb);
}

#[test]
fn a_leaf_without_tcb_is_refused() {
    let bare = Certificate { vek: None, ..Certificate::vcek() };
    let extra = vec![
        ("1.3.6.1.4.1.3704.1.2", false, b"\x16\x05Genoa".to_vec()),
        ("1.3.6.1.4.1.3704.1.4", false, pki::CHIP_ID.to_vec()),
    ];
    let table = CertificateTable::vcek().with(Guid::VCEK, Certificate { extra, ..bare }.to_der());
    World::with_certificates(&table).refused(Check::CertificateTcb);
}

#[test]
fn the_certificate_is_for_the_chip() {
    vcek(|vek| vek.hardware_id = Some(vec![0x5b; 64]), Check::CertificateHardwareId);
    vcek(|vek| vek.hardware_id = Some(vec![0x5a; 63]), Check::CertificateHardwareId);
    vcek(|vek| vek.hardware_id = Some(vec![0x5a; 8]), Check::CertificateHardwareId);
    vcek(|vek| vek.hardware_id = None, Check::CertificateHardwareId);
    // A platform that masks its chip id cannot be held against a VCEK.
    World::spoiled(|sealed| {
        sealed.report.chip_id = [0; 64];
        sealed.resign();
    })
    .refused(Check::CertificateHardwareId);
}

#[test]
fn a_chip_id_may_be_an_octet_string() {
    let wrapped = [&[0x04, 0x40][..], &pki::CHIP_ID].concat();
    vcek_world(|vek| vek.hardware_id = Some(wrapped)).accepted();
}

#[test]
fn a_vlek_names_a_provider_and_no_chip() {
    let vlek = |spoil: fn(&mut VekExtensions)| {
        let mut certificate = Certificate::vlek();
        spoil(certificate.vek.as_mut().unwrap());
        let table = CertificateTable::vlek().with(Guid::VLEK, certificate.to_der());
        World::of(Bundle { certificates: table.to_bytes(), ..Bundle::with_vlek() })
    };
    vlek(|_| ()).accepted();
    vlek(|vek| vek.csp = None).refused(Check::CertificateHardwareId);
    vlek(|vek| vek.hardware_id = Some(pki::CHIP_ID.to_vec())).refused(Check::CertificateHardwareId);
    vlek(|vek| vek.tcb.snp += 1).refused(Check::CertificateTcb);
}

#[test]
fn the_certificate_is_for_the_product() {
    vcek(|vek| vek.product = "Milan-B0".into(), Check::CertificateProduct);
    vcek(|vek| vek.product = "Genoa2".into(), Check::CertificateProduct);
    vcek_world(|vek| vek.product = "Genoa-B1".into()).accepted();
    World::spoiled(|sealed| {
        sealed.report.cpuid = [0x19, 0x01, 1];
        sealed.resign();
    })
    .refused(Check::CertificateProduct);
}

#[test]
fn a_version_2_report_has_its_product_from_the_certificate() {
    let mut bundle = Bundle::valid();
    bundle.report.version = 2;
    bundle.report.cpuid = [0; 3];
    World::of(bundle).accepted();
}
